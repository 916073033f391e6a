"""Time as an argument: the machine's own clock, and one on which waiting takes no time.

Whatever waits takes a `Clock`, so that a lesson on waiting runs in milliseconds and a test never
sleeps. What professionals use: trio's `MockClock`, `time-machine` and `freezegun` for patching the
`time` module; here nothing is patched.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

# Noon of 2026-11-12 (UTC): where the stand-in's own clock starts too.
_EPOCH = 1_794_484_800.0
# So often must the event loop go round with nobody falling asleep before virtual time moves on: a
# task that was just woken may need some rounds until it sleeps again.
_ROUNDS = 25


class Clock(Protocol):
    """What tells the time and waits."""

    def now(self) -> float:
        """Seconds since some start; never goes back."""

    def time(self) -> float:
        """Seconds since 1970 (UTC)."""

    def sleep(self, seconds: float) -> None:
        """Wait in this thread; not at all where ``seconds`` is 0 or less."""

    async def asleep(self, seconds: float) -> None:
        """Wait in this task, while other tasks go on."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Seconds on the monotonic clock."""
        return time.monotonic()

    def time(self) -> float:
        """Seconds since 1970 (UTC), as the machine knows them."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait in this thread."""
        if seconds > 0:
            time.sleep(seconds)

    async def asleep(self, seconds: float) -> None:
        """Wait in this task."""
        await asyncio.sleep(seconds)


class VirtualClock:
    """A clock that jumps to the end of each wait.

    Among asyncio tasks time moves only when all of them wait, and then to whoever wakes first, so
    a thousand tasks wake in the order in which they would. A task that waits for something real,
    such as a server's answer, counts as waiting, unless it does so under `hold()`.

    Args:
        start: what `now()` says at first.
        epoch: what `time()` says at first, in seconds since 1970 (UTC).

    Attributes:
        slept: every wait so far, in seconds, in the order in which they began.
    """

    def __init__(self, start: float = 0.0, epoch: float = _EPOCH) -> None:
        self.slept: list[float] = []
        self._now = start
        self._offset = epoch - start
        self._lock = threading.Lock()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._idle_rounds = 0
        self._holds = 0
        # The event loop that goes round for this clock; a new one takes over from one that ended.
        self._loop: asyncio.AbstractEventLoop | None = None

    def now(self) -> float:
        """Seconds since the start, as far as they have been slept through."""
        return self._now

    def time(self) -> float:
        """Seconds since 1970 (UTC) on this clock."""
        return self._now + self._offset

    def advance(self, seconds: float) -> None:
        """Let time pass while nobody sleeps; it does not go back."""
        with self._lock:
            self._now += max(0.0, seconds)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Let time stand still for sleeping tasks while something real is under way."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
            self._idle_rounds = 0

    def sleep(self, seconds: float) -> None:
        """Jump ahead at once."""
        if seconds > 0:
            self.slept.append(seconds)
            self.advance(seconds)

    async def asleep(self, seconds: float) -> None:
        """Wait until every other task waits too and no one wakes earlier."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        self.slept.append(seconds)
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), woken))
        self._idle_rounds = 0
        if self._loop is not loop:
            self._loop = loop
            loop.call_soon(self._tick, loop)
        await woken

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        """Once in each round of the event loop: wake the next sleeper if all tasks are idle."""
        self._idle_rounds += 1
        if self._idle_rounds > _ROUNDS and not self._holds:
            self._wake_next()
        if not self._sleepers:
            self._loop = None
        elif self._loop is loop:
            loop.call_soon(self._tick, loop)

    def _wake_next(self) -> None:
        """Jump to the next wake-up time and wake all who sleep until then."""
        self._idle_rounds = 0
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)  # its task was cancelled
        if not self._sleepers:
            return
        self._now = max(self._now, self._sleepers[0][0])
        while self._sleepers and self._sleepers[0][0] <= self._now:
            woken = heapq.heappop(self._sleepers)[2]
            if not woken.done():
                woken.set_result(None)
