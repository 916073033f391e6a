"""Keeping to a limit on requests and tokens a minute, exactly.

The limiter remembers when each call of the last minute left (a sliding log), so that no minute,
wherever it begins, holds more than the limit. A bucket that starts full and refills, the usual way,
lets nearly twice the limit through in its first minute. What professionals use: ``aiolimiter``
(such a bucket) in asyncio programs, a gateway such as LiteLLM's proxy for many programs at once.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping

from course_utils.llm.clock import Clock, SystemClock
from course_utils.llm.errors import SettingError
from course_utils.llm.waiting import Level, read_limits, retry_after_s

_Departure = tuple[float, int, int]
"""When something stops counting, and how many requests and tokens it was."""
# A waiting call looks again now and then: answers that come meanwhile may give tokens back.
_LOOK_AGAIN_S = 0.05
# Rounding must not leave a wait an instant short.
_INSTANT_S = 1e-6
_TURNED_AWAY = (429, 503, 529)


class Permit:
    """The right to make one call now. Say afterwards what the call really used."""

    __slots__ = ("_limiter", "at", "counted", "is_open", "tokens")

    def __init__(self, limiter: RateLimiter, at: float, tokens: int) -> None:
        self._limiter, self.at, self.tokens = limiter, at, tokens
        self.counted, self.is_open = True, True

    def settle(
        self, tokens: int | None = None, headers: Mapping[str, str] | None = None, status: int = 200
    ) -> None:
        """The call is over: what it used, and its answer's headers and status.

        None keeps the reservation, for a call that the server may have answered into the void.
        """
        self._limiter._settle(self, self.tokens if tokens is None else tokens)
        if headers:
            self._limiter.learn(headers, status)


class RateLimiter:
    """A limit on requests and tokens in any sliding window; first come, first served.

    One limiter serves threads and asyncio tasks at once. `acquire` and `aacquire` wait until the
    call may leave; `permit.settle` corrects the reservation afterwards and learns from the server.

    Args:
        rpm, tpm: requests and tokens in a window; None is no limit of your own.
        window_s: the window's length, a minute at all providers.
        margin_s: how much longer a call is remembered, because it arrives later than it leaves,
            and not each call equally late; by default a hundredth of the window.
        clock: what tells the time and waits.

    Raises SettingError where a limit is not positive.
    """

    def __init__(
        self,
        rpm: int | None = None,
        tpm: int | None = None,
        *,
        window_s: float = 60.0,
        margin_s: float | None = None,
        clock: Clock | None = None,
    ) -> None:
        for name, value in (("rpm", rpm), ("tpm", tpm), ("window_s", window_s)):
            if value is not None and not value > 0:
                raise SettingError(f"{name} is {value!r}: it must be above 0, or left out.")
        self._clock = clock or SystemClock()
        self._span_s = window_s + (window_s / 100 if margin_s is None else margin_s)
        self._requests = _Budget(rpm)
        self._tokens = _Budget(tpm)
        self._log: deque[Permit] = deque()
        self._unsettled = 0
        self._quiet_until = -math.inf
        self._queue: deque[Callable[[], object]] = deque()
        self._lock = threading.RLock()

    @property
    def used(self) -> tuple[int, int]:
        """Requests and tokens of our own that count at the moment."""
        with self._lock:
            self._forget(self._clock.now())
            return self._requests.used, self._tokens.used

    def acquire(self, tokens: int = 0) -> Permit:
        """Wait in this thread until a call of about so many tokens may leave.

        Raises SettingError for a call that is larger than a whole window.
        """
        turn = threading.Event()
        call = turn.set
        self._enter(tokens, call)
        try:
            turn.wait()
            while (wait_s := self._wait_s(tokens)) > 0:
                self._clock.sleep(self._nap_s(wait_s))
            return self._book(tokens)
        finally:
            self._leave(call)

    async def aacquire(self, tokens: int = 0) -> Permit:
        """Do as `acquire`, in a task: other tasks go on meanwhile."""
        with self._lock:
            if not self._queue and 0 <= tokens <= self._tokens.limit and not self._wait_s(tokens):
                return self._book(tokens)
        loop, turn = asyncio.get_running_loop(), asyncio.Event()

        def call() -> None:
            loop.call_soon_threadsafe(turn.set)

        self._enter(tokens, call)
        try:
            await turn.wait()
            while (wait_s := self._wait_s(tokens)) > 0:
                await self._clock.asleep(self._nap_s(wait_s))
            return self._book(tokens)
        finally:
            self._leave(call)

    def pause(self, seconds: float) -> None:
        """Let no call leave for so long, as a server's Retry-After asks."""
        with self._lock:
            self._quiet_until = max(self._quiet_until, self._clock.now() + seconds)

    def learn(self, headers: Mapping[str, str], status: int = 200) -> None:
        """Adapt to what a server's answer says about its limits, in OpenAI's or Anthropic's words.

        The lower of its limit and ours holds. Where it has counted more than we have sent, others
        share the account: their part counts too, until the server's own reset. Retry-after in a
        refusal lets nothing leave until then.
        """
        epoch = self._clock.time()
        told = read_limits(headers, epoch)
        with self._lock:
            now = self._clock.now()
            self._forget(now)
            self._requests.learn(told.requests, now)
            self._tokens.learn(told.tokens, now)
            wait_s = retry_after_s(headers, epoch) if status in _TURNED_AWAY else None
            if wait_s is not None:
                self.pause(min(wait_s, self._span_s))

    def _enter(self, tokens: int, call: Callable[[], object]) -> None:
        """Queue up; `call` is called when it is one's turn."""
        with self._lock:
            if not 0 <= tokens <= self._tokens.limit:
                raise SettingError(
                    f"A call of {tokens:,} tokens never fits a limit of {self._tokens.limit:,} a "
                    f"minute: shorten its prompt, or ask for fewer tokens with max_tokens."
                )
            self._queue.append(call)
            if len(self._queue) == 1:
                call()

    def _leave(self, call: Callable[[], object]) -> None:
        """Leave the queue, also from its middle (a task was cancelled), and call the next one."""
        with self._lock:
            was_first = self._queue[0] == call
            self._queue.remove(call)
            if was_first and self._queue:
                self._queue[0]()

    def _wait_s(self, tokens: int) -> float:
        """Seconds until a call of so many tokens fits, as things are; 0.0 where it fits now."""
        with self._lock:
            now = self._clock.now()
            self._forget(now)
            free_requests = self._requests.free(now) - 1
            free_tokens = self._tokens.free(now) - tokens
            wait_s = self._quiet_until - now
            for at, requests, used in self._departures(now):
                if free_requests >= 0 and free_tokens >= 0:
                    break
                free_requests, free_tokens = free_requests + requests, free_tokens + used
                wait_s = max(wait_s, at - now + _INSTANT_S)
            return max(0.0, wait_s)

    def _departures(self, now: float) -> Iterator[_Departure]:
        """What counts now, in the order in which it stops counting."""
        ours = ((permit.at + self._span_s, 1, permit.tokens) for permit in self._log)
        others = [
            (self._requests.others_until, self._requests.others(now), 0),
            (self._tokens.others_until, 0, self._tokens.others(now)),
        ]
        return heapq.merge(ours, sorted(o for o in others if o[0] > now))

    def _nap_s(self, wait_s: float) -> float:
        """How long to sleep at once: answers that come meanwhile may give tokens back."""
        return max(_LOOK_AGAIN_S, wait_s / 4) if self._unsettled and wait_s > 1 else wait_s

    def _book(self, tokens: int) -> Permit:
        with self._lock:
            permit = Permit(self, self._clock.now(), tokens)
            self._log.append(permit)
            self._requests.used += 1
            self._tokens.used += tokens
            self._unsettled += 1
            return permit

    def _settle(self, permit: Permit, tokens: int) -> None:
        with self._lock:
            self._unsettled -= permit.is_open
            permit.is_open = False
            if permit.counted:
                self._tokens.used += tokens - permit.tokens
            permit.tokens = tokens

    def _forget(self, now: float) -> None:
        while self._log and self._log[0].at + self._span_s <= now:
            permit = self._log.popleft()
            permit.counted = False
            self._requests.used -= 1
            self._tokens.used -= permit.tokens


class _Budget:
    """One of the two limits: ours, the server's, and what others have used of it."""

    def __init__(self, own: int | None) -> None:
        self.own: float = math.inf if own is None else own
        self.limit = self.own
        self.used = 0
        self.others_until = -math.inf
        self._others = 0

    def others(self, now: float) -> int:
        return self._others if self.others_until > now else 0

    def free(self, now: float) -> float:
        return self.limit - self.used - self.others(now)

    def learn(self, level: Level | None, now: float) -> None:
        if level is None:
            return
        self.limit = min(self.own, level.limit or math.inf)
        self._others = max(0, level.limit - level.remaining - self.used)
        self.others_until = now + level.reset_s
