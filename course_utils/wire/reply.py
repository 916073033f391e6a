"""What a model answered: one value type for every provider's format."""

from __future__ import annotations

from dataclasses import dataclass

from course_utils.wire.request import ToolCall


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call. `exact` is false where they are an estimate.

    `cached_tokens` and `cache_write_tokens` are parts of `prompt_tokens`, and
    `reasoning_tokens` of `completion_tokens`.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    exact: bool = True

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer. `finish_reason` is stop, length, tool_calls or content_filter (OpenAI's words),
    or None where a stream ended without one; `stop_sequence` is the text that stopped it."""

    text: str = ""
    finish_reason: str | None = "stop"
    tool_calls: tuple[ToolCall, ...] = ()
    refusal: str | None = None
    stop_sequence: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """One model's reply to one request; more than one choice only where `n` asked for it.

    `created` is in seconds since 1970 (UTC). It does not know over which wire it travels.
    """

    id: str
    model: str
    choices: tuple[Choice, ...]
    usage: Usage
    created: int = 0

    @property
    def text(self) -> str:
        """The text of the first choice."""
        return self.choices[0].text if self.choices else ""

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended."""
        return self.choices[0].finish_reason if self.choices else None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A provider's error answer, in the words of its format.

    `type`, `code` and `param` are the error object's fields; a format leaves out those it lacks.
    """

    status: int
    type: str
    message: str
    code: str | None = None
    param: str | None = None
