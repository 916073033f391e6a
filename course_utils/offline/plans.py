"""Which calls fail, and when: plans for the faults of faults.py."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from course_utils.offline.call import Call
from course_utils.offline.doors import Door
from course_utils.offline.faults import FAULTS, STREAM_FAULTS, Fault, is_streamed, model_of


@dataclass(slots=True)
class Plan:
    """Which calls fail, and how: each entry of `schedule` is for one call, None lets it pass.

    `rounds` says how often the schedule is gone through (math.inf: for ever). With a `rate`, each
    call fails with that probability, and a fault that does not happen is not used up. `hits`
    counts the calls that failed.
    """

    schedule: Sequence[Fault | None]
    rounds: float = 1
    rate: float = 1.0
    provider: str | None = None
    model: str | None = None
    seed: int = 0
    hits: int = 0
    _at: int = 0
    _random: Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = Random(self.seed)

    def covers(self, call: Call, door: Door) -> bool:
        """Whether a call is among those that may fail."""
        if self.provider not in (None, door.provider):
            return False
        return self.model is None or self.model == model_of(call)

    def next(self, call: Call, possible: Container[str] = FAULTS) -> Fault | None:
        """The fault that befalls a call that this plan covers, if it is `possible` there."""
        if not self.schedule or self._at >= len(self.schedule) * self.rounds:
            return None
        fault = self.schedule[self._at % len(self.schedule)]
        if fault is not None and fault.name not in possible:
            return None
        if fault is not None and fault.name in STREAM_FAULTS and not is_streamed(call):
            return None
        if fault is not None and self._random.random() >= self.rate:
            return None
        self._at += 1
        self.hits += fault is not None
        return fault


def plan(
    what: str | int | Sequence[str | int | None],
    *,
    times: int | None = None,
    rate: float = 1.0,
    seed: int = 0,
    provider: str | None = None,
    model: str | None = None,
    **details: Any,
) -> Plan:
    """A plan from the names of its faults; `details` are the fields of each Fault.

    One name is for every call, a sequence for one call each and once through, unless `times`
    says how often. Raises UnknownFaultError.
    """
    names, rounds = ((what,), math.inf) if isinstance(what, str | int) else (what, 1)
    schedule = [None if name is None else Fault(str(name), **details) for name in names]
    rounds = rounds if times is None else times
    return Plan(schedule, rounds, rate, provider, model, seed)


class Faults:
    """The plans in force; of two that cover a call, the newer one decides."""

    def __init__(self) -> None:
        self._plans: tuple[Plan, ...] = ()

    def __bool__(self) -> bool:
        return bool(self._plans)

    def add(self, plan: Plan) -> Plan:
        """Put a plan into force."""
        self._plans = (plan, *self._plans)
        return plan

    def remove(self, plan: Plan) -> None:
        """End a plan; one that has ended already is no error."""
        self._plans = tuple(other for other in self._plans if other is not plan)

    def aim(self, call: Call, door: Door, possible: Container[str] = FAULTS) -> Fault | None:
        """The fault that befalls a call, of those that are `possible` there."""
        covering: Iterator[Plan] = (plan for plan in self._plans if plan.covers(call, door))
        return next((fault for plan in covering if (fault := plan.next(call, possible))), None)
