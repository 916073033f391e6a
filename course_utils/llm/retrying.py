"""A client whose calls are tried again: `call_with_retry` around anything that chats."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from course_utils.llm.chat import AsyncChat, Chat, Messages
from course_utils.llm.result import ChatEvent, ChatResult
from course_utils.llm.retry import acall_with_retry, call_with_retry
from course_utils.llm.wrapping import stream_of


class RetryingChat:
    """Answers as `chat` does, after as many attempts as it takes.

    Args:
        chat: an `LLMClient`, or anything with its method `chat`.
        rules: as for `call_with_retry`: max_retries, deadline_s, clock, on_retry and so on.
    """

    def __init__(self, chat: Chat, **rules: Any) -> None:
        self.inner = chat
        self._rules = rules

    def chat(self, messages: Messages, **options: Any) -> ChatResult:
        """The answer; the last error, with the report of the attempts, where none succeeds."""
        return call_with_retry(partial(self.inner.chat, messages, **options), **self._rules).value

    def stream(self, messages: Messages, **options: Any) -> Iterator[ChatEvent]:
        """The answer piece by piece; tried again only as long as no piece has come."""

        def begin() -> tuple[ChatEvent, Iterator[ChatEvent]]:
            events = stream_of(self.inner, messages, options)
            return next(events), events

        first, rest = call_with_retry(begin, **self._rules).value
        yield first
        yield from rest


class AsyncRetryingChat:
    """The same around an `AsyncLLMClient`."""

    def __init__(self, chat: AsyncChat, **rules: Any) -> None:
        self.inner = chat
        self._rules = rules

    async def chat(self, messages: Messages, **options: Any) -> ChatResult:
        """The answer; the last error, with the report of the attempts, where none succeeds."""
        ask = partial(self.inner.chat, messages, **options)
        return (await acall_with_retry(ask, **self._rules)).value
