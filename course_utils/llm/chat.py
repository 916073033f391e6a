"""What everything around a client needs of it: one method, `chat`.

Fallback, routing, retrying, caching and tests take any object that has it, so that each can stand
around any other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Protocol

from course_utils.llm.result import ChatResult
from course_utils.wire.request import Message

Messages = str | Sequence[Mapping[str, Any] | Message]
"""A question, or a conversation: dicts in OpenAI's shape, `Message`s, or both."""


class Chat(Protocol):
    """Something that answers messages."""

    def chat(self, messages: Messages, **options: Any) -> ChatResult:
        """The answer; an `LLMError` where there is none."""


class AsyncChat(Protocol):
    """Something that answers messages while other work goes on."""

    def chat(self, messages: Messages, **options: Any) -> Awaitable[ChatResult]:
        """The answer; an `LLMError` where there is none."""
