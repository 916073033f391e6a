"""The shape that every benchmark of the toolkit reports in, and the clock that it measures with."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: ours and the peers' figures, in `unit`.

    `target` is what the course asks of itself, such as "≤ 1.05". A peer that cannot do it at all
    has None.
    """

    what: str
    unit: str
    ours: float
    peers: Mapping[str, float | None]
    target: str


def cpu_s(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median CPU seconds of one call of each way; the ways take turns, round by round."""
    took: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()  # the first call imports and connects
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, way in ways.items():
                began = time.process_time()
                way()
                took[name].append(time.process_time() - began)
    finally:
        gc.enable()
    return {name: statistics.median(times) for name, times in took.items()}
