"""An API that fails on purpose, and the report on how retrying copes with it.

What professionals use: toxiproxy, or a server that fails on demand as `course_utils.faults` makes
the stand-in do; and stamina's or OpenTelemetry's counters for the report.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean

from course_utils.llm.clock import Clock, SystemClock
from course_utils.llm.errors import RateLimitError, SettingError
from course_utils.llm.retry import RetryReport


class FlakyAPI:
    """An API whose calls fail at random, by default 40 % with a rate limit, 20 % by time-out.

    Args:
        rate_limit, timeout: the share of calls that fail so, each from 0 to 1.
        seed: the same seed gives the same failures.
        latency_s: how long an answer takes.
        timeout_s: how long a call takes that nobody answers.
        clock: on which that time passes.

    Attributes:
        calls: how often it has been called.

    Raises SettingError where the shares are no probabilities.
    """

    def __init__(
        self,
        rate_limit: float = 0.4,
        timeout: float = 0.2,
        *,
        seed: int = 0,
        latency_s: float = 0.1,
        timeout_s: float = 1.0,
        clock: Clock | None = None,
    ) -> None:
        if not (rate_limit >= 0 and timeout >= 0 and rate_limit + timeout <= 1):
            raise SettingError(
                f"rate_limit is {rate_limit!r} and timeout {timeout!r}: each must be 0 or more, "
                f"and both together at most 1."
            )
        self.calls = 0
        self._rate_limit, self._timeout = rate_limit, timeout
        self._latency_s, self._timeout_s = latency_s, timeout_s
        self._random = random.Random(seed)
        self._clock = clock or SystemClock()

    def call(self) -> str:
        """An answer, or RateLimitError, or TimeoutError."""
        self.calls += 1
        draw = self._random.random()
        if draw < self._rate_limit:
            raise RateLimitError("Too many requests: slow down.", provider="flaky", status=429)
        if draw < self._rate_limit + self._timeout:
            self._clock.sleep(self._timeout_s)
            raise TimeoutError(f"No answer within {self._timeout_s:g} s.")
        self._clock.sleep(self._latency_s)
        return f"Answer to call {self.calls}."


@dataclass(frozen=True, slots=True)
class RetrySummary:
    """What many reports come to.

    Attributes:
        calls: how many calls there were.
        success_rate: the share that went well in the end, 0 to 1.
        attempts_per_success: average attempts of those; None where none went well.
        latency_s: average seconds of a call, waits included, whether it went well or not.
        errors: how often each type of error was seen, the most frequent first.
    """

    calls: int
    success_rate: float
    attempts_per_success: float | None
    latency_s: float
    errors: Mapping[str, int]

    def __str__(self) -> str:
        attempts = (
            "none" if self.attempts_per_success is None else f"{self.attempts_per_success:.2f}"
        )
        kinds = ", ".join(f"{name} {count}" for name, count in self.errors.items()) or "none"
        return (
            f"calls                          {self.calls}\n"
            f"success rate                   {self.success_rate:.0%}\n"
            f"attempts per successful call   {attempts}\n"
            f"average latency                {self.latency_s:.2f} s\n"
            f"errors                         {kinds}"
        )


def summarise(reports: Iterable[RetryReport]) -> RetrySummary:
    """Add up reports; SettingError where there are none."""
    every = list(reports)
    if not every:
        raise SettingError("There is no report to summarise: make at least one call first.")
    good = [report.attempts for report in every if report.succeeded]
    seen = Counter(error.type for report in every for error in report.errors)
    return RetrySummary(
        calls=len(every),
        success_rate=len(good) / len(every),
        attempts_per_success=fmean(good) if good else None,
        latency_s=fmean(report.total_s for report in every),
        errors=dict(seen.most_common()),
    )
