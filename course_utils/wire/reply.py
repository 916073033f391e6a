"""What a model answered: one value type for every provider's format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
class TokenLogprob:
    """A token with the natural logarithm of its probability, and the likeliest tokens there.

    `utf8` are the token's bytes: a character may span several tokens.
    """

    utf8: bytes
    logprob: float
    top: tuple[TokenLogprob, ...] = ()

    @property
    def token(self) -> str:
        """The token as text; bytes that are no whole character are written `\\xf0`."""
        return self.utf8.decode("utf-8", "backslashreplace")


@dataclass(frozen=True, slots=True)
class Thinking:
    """What a model shows of its thinking before it answers.

    The `signature` proves to the provider that the text is the model's own.
    """

    text: str
    signature: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer. `finish_reason` is stop, length, tool_calls or content_filter (OpenAI's words),
    or None where a stream ended without one; `stop_sequence` is the text that stopped it.
    `logprobs` is None where nobody asked for them."""

    text: str = ""
    finish_reason: str | None = "stop"
    tool_calls: tuple[ToolCall, ...] = ()
    refusal: str | None = None
    stop_sequence: str | None = None
    thinking: Thinking | None = None
    logprobs: tuple[TokenLogprob, ...] | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """One model's reply to one request; more than one choice only where `n` asked for it.

    `created` is in seconds since 1970 (UTC). `reasoned` says that the model thought before it
    answered. It does not know over which wire it travels.
    """

    id: str
    model: str
    choices: tuple[Choice, ...]
    usage: Usage
    created: int = 0
    reasoned: bool = False

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
    `details` are the objects that Google adds, each with its `@type`.
    """

    status: int
    type: str
    message: str
    code: str | None = None
    param: str | None = None
    details: tuple[Mapping[str, Any], ...] = ()
