"""A circuit breaker: stop asking a provider that is down, and try again later.

    closed ──(max_failures in a row)──► open ──(reset_s later)──► half-open
      ▲                                  ▲                            │ one probe at a time
      │                                  └───────(it fails)───────────┤
      └───────────────────────────────────────(it is answered)────────┘

Only failures of the provider itself count: 5xx, overloaded, a lost connection, a timeout, a stream
that is cut. A 400, a wrong key or a 429 is about your request or your account: it even shows that
the provider answers.

What professionals use: pybreaker and purgatory in Python, Envoy's outlier detection in front of a
service. The rules here are pybreaker's (5 failures in a row, 60 s, one success closes), but for
three cases: an error that never reached the provider decides nothing, a call from before the last
change of state does not either, and half-open lets one call through, however many threads ask.
LiteLLM's cooldown (litellm 1.106) shuts a model out after 401, 404 and 429 too, and not after a
lost connection.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from course_utils.llm.chat import AsyncChat, Chat, Messages
from course_utils.llm.clock import Clock, SystemClock
from course_utils.llm.errors import (
    AllModelsFailedError,
    AnswerError,
    CallTimeoutError,
    CircuitOpenError,
    ConnectionLostError,
    ProviderError,
    ServerError,
    SettingError,
    StreamCutError,
)
from course_utils.llm.result import ChatEvent, ChatResult
from course_utils.llm.wrapping import astream_of, name_of, stream_of

State = Literal["closed", "open", "half_open"]

_ITS_OWN_FAULT = (ServerError, ConnectionLostError, CallTimeoutError, StreamCutError)


class CircuitBreaker:
    """Counts one provider's failures in a row; shared by all threads and tasks that ask it.

    Args:
        name: the provider, for messages.
        max_failures: so many in a row open the circuit.
        reset_s: so many seconds later one call may try again.
        clock: what tells the time.

    Raises SettingError for limits that make no sense.
    """

    def __init__(
        self,
        name: str,
        *,
        max_failures: int = 5,
        reset_s: float = 60.0,
        clock: Clock | None = None,
    ) -> None:
        if max_failures < 1 or reset_s <= 0:
            raise SettingError(
                f"A circuit cannot open after {max_failures} failures for {reset_s} s: give "
                f"max_failures of at least 1 and reset_s above 0."
            )
        self.name = name
        self._max_failures = max_failures
        self._reset_s = reset_s
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._failures = 0
        self._opened_at: float | None = None
        # Since when a probe is under way. One that never comes back holds the place for reset_s.
        self._probe_since: float | None = None
        # Counts the changes of state: a call that began before the last one decides nothing.
        self._era = 0

    @property
    def state(self) -> State:
        """Closed, open, or half_open: open, but long enough for a probe."""
        with self._lock:
            return self._state()

    @property
    def failures(self) -> int:
        """Failures in a row so far."""
        return self._failures

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Let one call through and learn from how it ends; works around `await` as well.

        Raises CircuitOpenError where the provider is left alone.
        """
        era = self._enter()
        try:
            yield
        except BaseException as error:
            self._leave(era, _is_up(error))
            raise
        self._leave(era, True)

    def _state(self) -> State:
        if self._opened_at is None:
            return "closed"
        return "half_open" if self._clock.now() >= self._opened_at + self._reset_s else "open"

    def _enter(self) -> int:
        with self._lock:
            if self._opened_at is None:
                return self._era
            now = self._clock.now()
            since = self._opened_at if self._probe_since is None else self._probe_since
            if now < since + self._reset_s:
                raise CircuitOpenError(self.name, since + self._reset_s - now)
            self._probe_since = now
            self._era += 1
            return self._era

    def _leave(self, era: int, is_up: bool | None) -> None:
        with self._lock:
            if era != self._era:
                return
            self._probe_since = None
            if is_up:
                self._failures = 0
                self._change(opened_at=None)
            elif is_up is False:
                self._failures += 1
                if self._opened_at is not None or self._failures >= self._max_failures:
                    self._change(opened_at=self._clock.now())

    def _change(self, opened_at: float | None) -> None:
        self._era += opened_at != self._opened_at
        self._opened_at = opened_at


def _is_up(error: BaseException) -> bool | None:
    """Whether an error says that the provider works; None where it says nothing of it."""
    if isinstance(error, _ITS_OWN_FAULT):
        return False
    if isinstance(error, AllModelsFailedError):
        # A breaker around a fallback: one model that works is enough.
        told = {_is_up(each) for each in error.errors}
        return next((verdict for verdict in (True, False) if verdict in told), None)
    return True if isinstance(error, ProviderError | AnswerError) else None


class BreakerChat:
    """A client that is left alone while its circuit is open."""

    def __init__(self, inner: Chat, breaker: CircuitBreaker | None = None) -> None:
        self.inner = inner
        self.breaker = breaker or CircuitBreaker(name_of(inner))

    def chat(self, messages: Messages, **options: Any) -> ChatResult:
        """The answer; CircuitOpenError at once while the provider is left alone."""
        with self.breaker.guard():
            return self.inner.chat(messages, **options)

    def stream(self, messages: Messages, **options: Any) -> Iterator[ChatEvent]:
        """The answer's events; a stream that is cut counts as a failure."""
        with self.breaker.guard():
            yield from stream_of(self.inner, messages, options)


class AsyncBreakerChat:
    """The same around an async client. One breaker may serve both kinds."""

    def __init__(self, inner: AsyncChat, breaker: CircuitBreaker | None = None) -> None:
        self.inner = inner
        self.breaker = breaker or CircuitBreaker(name_of(inner))

    async def chat(self, messages: Messages, **options: Any) -> ChatResult:
        """The answer; CircuitOpenError at once while the provider is left alone."""
        with self.breaker.guard():
            return await self.inner.chat(messages, **options)

    async def stream(self, messages: Messages, **options: Any) -> AsyncIterator[ChatEvent]:
        """The answer's events; a stream that is cut counts as a failure."""
        with self.breaker.guard():
            async for event in astream_of(self.inner, messages, options):
                yield event
