"""One call to the stand-in: what came in, what goes out, and what the log keeps of it."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from threading import Lock

from course_utils.wire.reply import Refusal, Reply
from course_utils.wire.request import Request

RECORDED, ADAPTED, SIMULATED, REFUSED, LIVE = (
    "recorded",
    "adapted",
    "simulated",
    "refused",
    "live",
)
_LOG_LENGTH = 1000
_SECRET_HEADERS = frozenset(("authorization", "x-api-key", "x-goog-api-key", "cookie"))


@dataclass(frozen=True, slots=True)
class Call:
    """An HTTP request as it arrived. Header names are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response to send: one chunk, or many where it is streamed."""

    status: int
    headers: Mapping[str, str]
    chunks: Iterable[bytes] | AsyncIterator[bytes]


@dataclass(slots=True)
class LoggedCall:
    """What the log remembers of one call. Keys and cookies are never in it.

    `tier` says who answered: recorded, adapted, simulated, refused or live. `request` and
    `reply` are None where the body could not be read, or where the provider refused.
    `recording` names the recording behind a recorded or adapted answer.
    """

    number: int
    provider: str
    method: str
    path: str
    request_headers: Mapping[str, str]
    request_body: bytes
    tier: str
    status: int = 0
    request: Request | None = None
    reply: Reply | None = None
    refusal: Refusal | None = None
    recording: str | None = None
    response_headers: Mapping[str, str] = field(default_factory=dict)
    response_body: bytes = b""
    latency_s: float = 0.0

    @property
    def json(self) -> object:
        """The request body as parsed JSON."""
        return json.loads(self.request_body)


class Log:
    """The newest calls, oldest first. Safe to read while the server writes."""

    def __init__(self, length: int = _LOG_LENGTH) -> None:
        self._calls: deque[LoggedCall] = deque(maxlen=length)
        self._count = 0
        self._lock = Lock()

    def open(self, call: Call, provider: str) -> LoggedCall:
        """A new entry for a call that has just come in."""
        with self._lock:
            self._count += 1
            entry = LoggedCall(
                number=self._count,
                provider=provider,
                method=call.method,
                path=call.path,
                request_headers=without_secrets(call.headers),
                request_body=call.body,
                tier=REFUSED,
            )
            self._calls.append(entry)
        return entry

    def since(self, number: int) -> list[LoggedCall]:
        """The calls after the one with this number."""
        with self._lock:
            return [entry for entry in self._calls if entry.number > number]

    @property
    def last_number(self) -> int:
        """The number of the newest call; 0 before the first."""
        return self._count

    def __iter__(self) -> Iterator[LoggedCall]:
        return iter(self.since(0))

    def __len__(self) -> int:
        return len(self._calls)


def without_secrets(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers with the value of each key and cookie replaced by three stars."""
    return {k: "***" if k.lower() in _SECRET_HEADERS else v for k, v in headers.items()}
