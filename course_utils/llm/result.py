"""What a call to a model gives: one result, or the events that lead to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from course_utils.wire.reply import Usage
from course_utils.wire.request import Message, ToolCall


@dataclass(frozen=True, slots=True)
class ChatResult:
    """One answer of one model, whichever provider gave it.

    Attributes:
        content: the text; empty where the model only asks for tools.
        finish_reason: stop, length, tool_calls or content_filter.
        usage: tokens; `usage.exact` is False where they are an estimate.
        model: as the provider names it in its answer.
        provider: its id in the catalogue.
        tool_calls: what the model wants to be run, in its order.
        cost_usd: by the catalogue's prices; None where it has none for the model.
        latency_s: from sending the request to the end of the answer.
        first_token_s: from sending the request to the first piece of a stream; None without one.
        request_id: what the provider's support asks for.
        refusal: the model's words where it declined.
        parsed: the object that was asked for by a schema or a pydantic model, else None.
        thoughts: the model's thinking as its provider wants it back; `message` takes it along.
        warnings: what was left out of the request because the model refuses it.
        raw: the SDK's own object (the last event of a stream).
    """

    content: str
    finish_reason: str
    usage: Usage
    model: str
    provider: str
    tool_calls: tuple[ToolCall, ...] = ()
    cost_usd: float | None = None
    latency_s: float = 0.0
    first_token_s: float | None = None
    request_id: str | None = None
    refusal: str | None = None
    parsed: Any = None
    thoughts: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    warnings: tuple[str, ...] = ()
    raw: Any = field(default=None, repr=False, compare=False)

    @property
    def prompt_tokens(self) -> int:
        """Tokens in, cached ones included."""
        return self.usage.prompt_tokens

    @property
    def completion_tokens(self) -> int:
        """Tokens out, those of thinking included."""
        return self.usage.completion_tokens

    @property
    def cached_tokens(self) -> int:
        """The part of the tokens in that the provider had in its prompt cache."""
        return self.usage.cached_tokens

    @property
    def thinking(self) -> str:
        """What the model shows of its thinking; empty where it shows nothing."""
        return "".join(str(thought.get("thinking") or "") for thought in self.thoughts)

    @property
    def message(self) -> Message:
        """The answer as the assistant's message, to go on with the conversation."""
        return Message(
            "assistant", self.content, tool_calls=self.tool_calls, thoughts=self.thoughts
        )


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the answer's text."""

    text: str


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    """The next piece of what the model shows of its thinking."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """The next piece of a tool call: `id` and `name` come once, `arguments` in parts."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event of a stream, with the whole answer."""

    result: ChatResult


ChatEvent = TextDelta | ThinkingDelta | ToolCallDelta | Finished
