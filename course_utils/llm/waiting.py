"""What a provider's headers say about waiting: when to come back, and what is left of a limit.

The forms are those of real traffic: ``retry-after`` as seconds or as an HTTP date,
``retry-after-ms``, OpenAI's ``x-ratelimit-*`` with durations such as ``1m26.4s``, Anthropic's
``anthropic-ratelimit-*`` with moments such as ``2026-11-12T12:00:00Z``. Google sends none of them.
What professionals use: nothing shared; each SDK reads the first two for itself and ignores the
rest.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

_GO_PART = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s)")
_GO_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
# Anthropic limits input and output by themselves too; the budget for both is the one compared.
_NAMES = (
    ("x-ratelimit-limit-{}", "x-ratelimit-remaining-{}", "x-ratelimit-reset-{}"),
    (
        "anthropic-ratelimit-{}-limit",
        "anthropic-ratelimit-{}-remaining",
        "anthropic-ratelimit-{}-reset",
    ),
)


@dataclass(frozen=True, slots=True)
class Level:
    """One limit as the server sees it: how many a minute, how many are left, when it is whole."""

    limit: int
    remaining: int
    reset_s: float


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What an answer's headers say; None for what they do not say."""

    requests: Level | None = None
    tokens: Level | None = None


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """How many seconds the server asks to wait; None where it does not, or not understandably.

    Args:
        headers: names in any case where the mapping allows it, else in lower case.
        now: seconds since 1970 (UTC), to which an HTTP date is compared.
    """
    exact_ms = _number(headers.get("retry-after-ms"))
    if exact_ms is not None:
        return exact_ms / 1000
    told = headers.get("retry-after")
    seconds = _number(told)
    return _until_date(told, now) if seconds is None else seconds


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return None if math.isnan(number) or number < 0 else number


def _until_date(text: str | None, now: float) -> float | None:
    try:
        moment = parsedate_to_datetime(text or "")
        return max(0.0, moment.timestamp() - now)
    except (TypeError, ValueError, IndexError, OverflowError, OSError):
        return None


def read_limits(headers: Mapping[str, str], now: float) -> ServerLimits:
    """The limits in an answer's headers; `now` is in seconds since 1970 (UTC)."""
    return ServerLimits(_level(headers, "requests", now), _level(headers, "tokens", now))


def _level(headers: Mapping[str, str], kind: str, now: float) -> Level | None:
    for names in _NAMES:
        limit, remaining, reset = (headers.get(name.format(kind)) for name in names)
        if limit and remaining and limit.isdigit() and remaining.isdigit():
            return Level(int(limit), int(remaining), _reset_s(reset or "", now))
    return None


def _reset_s(text: str, now: float) -> float:
    """Seconds until a limit is whole again; 0.0 where the server does not say it clearly."""
    parts = _GO_PART.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return math.fsum(float(number) * _GO_UNITS[unit] for number, unit in parts)
    try:
        return max(0.0, datetime.fromisoformat(text).timestamp() - now)
    except (ValueError, OverflowError, OSError):
        return 0.0
