"""A crowd that was turned away together: how many of it come back in the same instant.

A thousand clients are told "Retry-After: 1" at one moment. Each library's own code decides how
long each of them waits; counted is the largest share that comes back within any 50 ms.
"""

from __future__ import annotations

import random
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import stamina
import tenacity
from rows import Row

from course_utils.llm.clock import VirtualClock
from course_utils.llm.errors import RateLimitError
from course_utils.llm.retry import call_with_retry

CLIENTS, SLOT_S, TOLD_S = 1_000, 0.05, 1.0


def rows() -> Iterator[Row]:
    """The largest share in one slot, and the share that comes back before it was told to."""
    random.seed(1)
    stamina.instrumentation.set_on_retry_hooks([])  # it would log a line for each of them
    ways: dict[str, Callable[[], float]] = {
        "openai": _sdk("openai"),
        "anthropic": _sdk("anthropic"),
        "tenacity's recipe": _tenacity,
        "stamina": lambda: _stamina(None),
        "stamina told": lambda: _stamina(TOLD_S),
    }
    theirs = {name: sorted(way() for _ in range(CLIENTS)) for name, way in ways.items()}
    ours = sorted(_ours() for _ in range(CLIENTS))
    largest = {name: largest_share(waits) for name, waits in theirs.items()}
    yield Row("1,000 told Retry-After: 1, in one 50 ms", "%", largest_share(ours), largest, "≤ 10")
    early = {name: early_share(waits) for name, waits in theirs.items()}
    yield Row("of them back before the second is over", "%", early_share(ours), early, "0")


def largest_share(waits: list[float]) -> float:
    """The most of them in any slot, wherever it begins, in per cent; `waits` are sorted."""
    ends = (bisect_left(waits, wait + SLOT_S) for wait in waits)
    return 100 * max(end - begin for begin, end in enumerate(ends)) / len(waits)


def early_share(waits: list[float]) -> float:
    """How many come back earlier than they were told to, in per cent."""
    return 100 * sum(wait < TOLD_S for wait in waits) / len(waits)


def _sdk(name: str) -> Callable[[], float]:
    """What the installed SDK itself says that it waits before its first retry."""
    from importlib import import_module

    sdk: Any = import_module(name)
    client = {"openai": "OpenAI", "anthropic": "Anthropic"}[name]
    made = getattr(sdk, client)(api_key="none")
    options = sdk._models.FinalRequestOptions(method="post", url="/")
    headers = httpx2.Headers({"retry-after": "1"})
    return lambda: float(made._calculate_retry_timeout(2, options, headers))


def _tenacity() -> float:
    """The recipe that OpenAI's cookbook made popular."""
    waits: list[float] = []
    wait = tenacity.wait_random_exponential(min=1, max=60)
    stop = tenacity.stop_after_attempt(2)
    tenacity.Retrying(wait=wait, stop=stop, sleep=waits.append)(_failing())
    return waits[0]


def _stamina(told_s: float | None) -> float:
    """Stamina as it comes, and with its hook, which may hand it the server's Retry-After."""
    waits: list[float] = []
    real, time.sleep = time.sleep, waits.append
    try:
        on: Any = RateLimitError if told_s is None else lambda _: told_s
        stamina.retry(on=on, attempts=2)(_failing())()
    finally:
        time.sleep = real
    return waits[0]


def _ours() -> float:
    clock = VirtualClock()
    call_with_retry(_failing(), clock=clock)
    return clock.slept[0]


def _failing() -> Callable[[], None]:
    """A function that is turned away once."""
    left = [RateLimitError("Too many requests.", status=429, retry_after_s=TOLD_S)]

    def call() -> None:
        if left:
            raise left.pop()

    return call
