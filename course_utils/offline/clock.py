"""The stand-in's own clock: it moves when something is asked for, so that nobody waits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

# Noon of the day of the newest figures in the catalogue, 2026-11-12 (UTC).
_START = 1_794_484_800


@dataclass(slots=True)
class Clock:
    """Seconds since 1970 (UTC). Two runs of the same calls see the same times."""

    now: int = _START

    def advance(self, seconds: int) -> int:
        """Let time pass; the new time."""
        self.now += seconds
        return self.now


def rfc3339(seconds: int) -> str:
    """A time as Anthropic writes it: 2026-11-12T12:00:00.000000+00:00."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
