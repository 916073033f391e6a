"""Asking again after a failure, and telling what happened.

Waits double (1, 2, 4 s …) and a random part is added to each, also to what a server asks for, so
that a crowd which failed together does not come back together. Only errors that waiting can cure
are tried again. What professionals use: ``stamina`` (safe defaults, on top of ``tenacity``) or
``tenacity`` itself; the SDKs retry twice by themselves, so give them ``max_retries=0`` underneath.
"""

from __future__ import annotations

import random as _random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from course_utils.llm.clock import Clock, SystemClock
from course_utils.llm.errors import SettingError
from course_utils.llm.transient import is_retryable, told_wait_s

T = TypeVar("T")
Outcome = Literal["success", "not retryable", "out of retries", "out of time", "told to wait long"]
Uniform = Callable[[float, float], float]
"""A random number between two, such as `random.uniform` or `Random(7).uniform`."""


@dataclass(frozen=True, slots=True)
class SeenError:
    """One failed attempt: the error's type and message, and when, in seconds after the start."""

    type: str
    message: str
    at_s: float


@dataclass(frozen=True, slots=True)
class RetryReport:
    """What happened to one call.

    Attributes:
        outcome: "success", or why no further attempt was made.
        attempts: how often the function was called.
        total_s: from the first attempt to the outcome, waits included.
        errors: every failure, in order.
        waits: seconds waited before each retry.
    """

    outcome: Outcome
    attempts: int
    total_s: float
    errors: tuple[SeenError, ...] = ()
    waits: tuple[float, ...] = ()

    @property
    def succeeded(self) -> bool:
        """Whether an attempt went well in the end."""
        return self.outcome == "success"


@dataclass(frozen=True, slots=True)
class Retried(Generic[T]):
    """What the function returned in the end, and how it came to that."""

    value: T
    report: RetryReport


@dataclass(frozen=True, slots=True)
class Retry:
    """What `on_retry` is told before each wait."""

    attempt: int
    error: Exception
    wait_s: float


@dataclass(frozen=True, slots=True)
class RetryRules:
    """When to try again, and how long to wait before.

    Attributes:
        max_retries: attempts after the first one.
        retryable: says of an error whether waiting can cure it.
        base_s: the wait before the first retry; it doubles each time, up to `max_wait_s`.
        jitter_s: the least and the most that is added at random to each of these waits.
        told_jitter_s: the same for a wait that the server asks for. It is wider, because everybody
            who was turned away is told the same moment.
        max_wait_s: a server that asks for more than this is not waited for.
        deadline_s: seconds for everything together; a wait that would end later is not begun.

    Raises SettingError where a number is negative or a range is upside down.
    """

    max_retries: int = 3
    retryable: Callable[[Exception], bool] = is_retryable
    base_s: float = 1.0
    jitter_s: tuple[float, float] = (0.0, 0.5)
    told_jitter_s: tuple[float, float] = (0.0, 1.0)
    max_wait_s: float = 60.0
    deadline_s: float | None = None

    def __post_init__(self) -> None:
        for name in ("max_retries", "base_s", "max_wait_s", "deadline_s"):
            value = getattr(self, name)
            if value is not None and not value >= 0:  # nan is not
                raise SettingError(f"{name} is {value!r}: it must be 0 or more.")
        for name in ("jitter_s", "told_jitter_s"):
            low, high = getattr(self, name)
            if not 0 <= low <= high:
                raise SettingError(
                    f"{name} is ({low!r}, {high!r}): give the least and the most seconds, both 0 "
                    f"or more, such as (0, 0.5)."
                )

    def backoff_s(self, retry: int) -> float:
        """The wait before a retry (1 is the first) without its random part."""
        # Beyond 2**64 the doubling only overflows.
        return min(self.base_s * 2.0 ** min(retry - 1, 64), self.max_wait_s)

    def wait_s(self, retry: int, told_s: float | None, random: Uniform) -> float:
        """The wait before a retry; never shorter than the server asks for."""
        if told_s is None or told_s < self.backoff_s(retry):
            return self.backoff_s(retry) + random(*self.jitter_s)
        return told_s + random(*self.told_jitter_s)


def call_with_retry(
    fn: Callable[[], T],
    max_retries: int = 3,
    *,
    retryable: Callable[[Exception], bool] = is_retryable,
    base_s: float = 1.0,
    jitter_s: tuple[float, float] = (0.0, 0.5),
    max_wait_s: float = 60.0,
    deadline_s: float | None = None,
    clock: Clock | None = None,
    random: Uniform = _random.uniform,
    on_retry: Callable[[Retry], object] | None = None,
) -> Retried[T]:
    """Call ``fn()`` until it succeeds, or until another attempt makes no sense.

    Args as in `RetryRules`; `random` draws the jitter, `on_retry` is told of each wait before it
    begins.

    Raises the last error of ``fn`` itself; `report_of(error)` gives the report, which the error's
    traceback names too. SettingError where a number makes no sense.
    """
    rules = RetryRules(
        max_retries, retryable, base_s, jitter_s, max_wait_s=max_wait_s, deadline_s=deadline_s
    )
    story = _Story(rules, clock or SystemClock(), random, on_retry)
    while True:
        try:
            value = fn()
        except Exception as error:
            wait_s = story.wait_after(error)
            if wait_s is None:
                raise
        else:
            return Retried(value, story.report("success"))
        story.clock.sleep(wait_s)


async def acall_with_retry(
    fn: Callable[[], Awaitable[T]],
    max_retries: int = 3,
    *,
    retryable: Callable[[Exception], bool] = is_retryable,
    base_s: float = 1.0,
    jitter_s: tuple[float, float] = (0.0, 0.5),
    max_wait_s: float = 60.0,
    deadline_s: float | None = None,
    clock: Clock | None = None,
    random: Uniform = _random.uniform,
    on_retry: Callable[[Retry], object] | None = None,
) -> Retried[T]:
    """Do as `call_with_retry`, with a function that is awaited; other tasks go on meanwhile."""
    rules = RetryRules(
        max_retries, retryable, base_s, jitter_s, max_wait_s=max_wait_s, deadline_s=deadline_s
    )
    story = _Story(rules, clock or SystemClock(), random, on_retry)
    while True:
        try:
            value = await fn()
        except Exception as error:
            wait_s = story.wait_after(error)
            if wait_s is None:
                raise
        else:
            return Retried(value, story.report("success"))
        await story.clock.asleep(wait_s)


def report_of(error: BaseException) -> RetryReport | None:
    """The report of the retries that ended in this error; None where there were none."""
    report = getattr(error, "retry_report", None)
    return report if isinstance(report, RetryReport) else None


class _Story:
    """What has happened so far, and what that means for the next attempt."""

    def __init__(
        self,
        rules: RetryRules,
        clock: Clock,
        random: Uniform,
        on_retry: Callable[[Retry], object] | None,
    ) -> None:
        self.rules, self.clock, self.random, self.on_retry = rules, clock, random, on_retry
        self.began = clock.now()
        self.errors: list[SeenError] = []
        self.waits: list[float] = []

    def wait_after(self, error: Exception) -> float | None:
        """Seconds to wait before the next attempt; None where this error was the last."""
        self.errors.append(SeenError(type(error).__name__, str(error), self._passed_s()))
        told_s = told_wait_s(error, self.clock.time())
        wait_s = self.rules.wait_s(len(self.errors), told_s, self.random)
        outcome = self._verdict(error, told_s, wait_s)
        if outcome is not None:
            _attach(error, self.report(outcome))
            return None
        if self.on_retry is not None:
            self.on_retry(Retry(len(self.errors), error, wait_s))
        self.waits.append(wait_s)
        return wait_s

    def _verdict(self, error: Exception, told_s: float | None, wait_s: float) -> Outcome | None:
        """Why this was the last attempt; None where there is to be another one."""
        rules = self.rules
        if not rules.retryable(error):
            return "not retryable"
        if len(self.errors) > rules.max_retries:
            return "out of retries"
        if told_s is not None and told_s > rules.max_wait_s:
            return "told to wait long"
        if rules.deadline_s is not None and self._passed_s() + wait_s > rules.deadline_s:
            return "out of time"
        return None

    def report(self, outcome: Outcome) -> RetryReport:
        attempts = len(self.errors) + (outcome == "success")
        return RetryReport(
            outcome, attempts, self._passed_s(), tuple(self.errors), tuple(self.waits)
        )

    def _passed_s(self) -> float:
        return self.clock.now() - self.began


def _attach(error: Exception, report: RetryReport) -> None:
    plural = "" if report.attempts == 1 else "s"
    error.add_note(
        f"Given up after {report.attempts} attempt{plural} in {report.total_s:.2f} s: "
        f"{report.outcome}."
    )
    error.retry_report = report  # type: ignore[attr-defined]
