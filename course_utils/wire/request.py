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

    `role` is system, user, assistant or tool. A tool message answers the call `tool_call_id`.
    `attachments` keeps content parts that are not text (images, audio) as they came.
    """

    role: str
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    attachments: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """One call to a model. `None` means: not sent, the provider's default holds.

    It does not know who receives it, nor whether the model accepts all of it. `rest` keeps the
    fields of the wire format that have no name here.
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
    tools: tuple[Tool, ...] = ()
    tool_choice: str | None = None
    json_mode: bool = False
    json_schema: Mapping[str, Any] | None = None
    reasoning_effort: str | None = None
    rest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def system(self) -> str:
        """All system messages as one text."""
        return "\n\n".join(m.text for m in self.messages if m.role == "system")

    @property
    def last_user_text(self) -> str:
        """The newest user message, or an empty text where there is none."""
        return next((m.text for m in reversed(self.messages) if m.role == "user"), "")
