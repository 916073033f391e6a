"""What a program asks a model: one value type for every provider's format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model's wish to run one tool; `arguments` is JSON text, exactly as on the wire."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may ask for; `parameters` is its JSON schema."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of a conversation.

    `role` is system, user, assistant or tool. A tool message answers the call `tool_call_id`;
    `is_error` says that the tool failed, where a format has a field for that.
    `attachments` keeps content parts that are not text (images, audio) as they came. `name` tells
    two speakers of one role apart. `thoughts` are blocks of an assistant's thinking, with the
    signatures that its provider wants back unchanged; no other provider gets them.
    """

    role: str
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    attachments: tuple[Mapping[str, Any], ...] = ()
    name: str | None = None
    thoughts: tuple[Mapping[str, Any], ...] = ()
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class CachePlan:
    """Which beginnings of a prompt are to be cached.

    `text` is the prompt as it is read, tools first; `ends` are where its blocks end, and `marks`
    those of them up to which is to be cached, both as characters from the start. `lasting` asks
    for an hour in place of five minutes.
    """

    text: str
    ends: tuple[int, ...]
    marks: tuple[int, ...]
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One call to a model. `None` means: not sent, the provider's default holds.

    It does not know who receives it, nor whether the model accepts all of it. `logprobs` is how
    many alternatives are wanted for each token (0: none but the token's own logprob). `thinking`
    is what is to be shown of the model's thinking: summarized, omitted (its signature only), or
    default. `cache_plan` is None where nothing is to be cached. `rest` keeps the fields of the
    wire format that have no name here.
    """

    model: str
    messages: tuple[Message, ...]
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    n: int = 1
    seed: int | None = None
    stream: bool = False
    stream_usage: bool = False
    stream_padding: bool = True
    tools: tuple[Tool, ...] = ()
    tool_choice: str | None = None
    parallel_tool_calls: bool = True
    json_mode: bool = False
    json_schema: Mapping[str, Any] | None = None
    reasoning_effort: str | None = None
    logprobs: int | None = None
    thinking: str | None = None
    cache_plan: CachePlan | None = None
    rest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def system(self) -> str:
        """All system messages as one text."""
        return "\n\n".join(m.text for m in self.messages if m.role == "system")

    @property
    def last_user_text(self) -> str:
        """The newest user message, or an empty text where there is none."""
        return next((m.text for m in reversed(self.messages) if m.role == "user"), "")
