"""One call to the stand-in: what came in, what goes out, and what the log keeps of it."""

from __future__ import annotations

import json
import re
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
# How an answer ends: as it should; with the connection closed before its end; or torn down, so
# that the client's system reports a reset.
WHOLE, CLOSED, RESET = "whole", "closed", "reset"
_LOG_LENGTH = 1000
_LOG_BYTES = 64 * 2**20
LARGEST_ANSWER = 2**20
_SECRET_QUERY = re.compile(r"((?:^|&)(?:key|access_token)=)[^&]*", re.IGNORECASE)
_SECRET_HEADERS = frozenset(
    ("authorization", "x-api-key", "x-goog-api-key", "cookie", "set-cookie")
)


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
    """An HTTP response to send: one chunk, or many where it is streamed.

    `ends` is whole, closed or reset; status 0 is no response at all.
    """

    status: int
    headers: Mapping[str, str]
    chunks: Iterable[bytes] | AsyncIterator[bytes]
    ends: str = WHOLE


@dataclass(slots=True)
class LoggedCall:
    """What the log remembers of one call. Keys and cookies are never in it.

    `tier` says who answered: recorded, adapted, simulated, refused or live. `request` and
    `reply` are None where the body could not be read, or where the provider refused.
    `recording` names the recording behind a recorded or adapted answer, and `fault` the failure
    that was asked for. `status` is 0 where no answer was sent. `is_complete` says that the answer's
    body is in the entry whole, and takes no more. With `is_batch` it is a line of a batch, which
    came in no request of its own; `lines` are those that this call had answered.
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
    fault: str | None = None
    response_headers: Mapping[str, str] = field(default_factory=dict)
    response_body: bytes = b""
    latency_s: float = 0.0
    is_complete: bool = False
    query: str = ""
    is_batch: bool = False
    lines: list[LoggedCall] = field(default_factory=list, repr=False)

    @property
    def json(self) -> object:
        """The request body as parsed JSON."""
        return json.loads(self.request_body)


class Log:
    """The newest calls, oldest first. Safe to read while the server writes.

    It forgets the oldest when there are more than `length`, or when their bodies together have
    more than `most_bytes` bytes; of the newest it forgets the body where that alone is too long.
    """

    def __init__(self, length: int = _LOG_LENGTH, most_bytes: int = _LOG_BYTES) -> None:
        self._calls: deque[LoggedCall] = deque()
        self._length, self._most_bytes = length, most_bytes
        self._bytes = 0
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
                query=query_without_secrets(call.query),
            )
            self._append(entry)
        return entry

    def add_lines(self, entry: LoggedCall) -> None:
        """Note the lines of a batch that a call had answered, as calls after it."""
        with self._lock:
            for line in entry.lines:
                self._count += 1
                line.number = self._count
                self._append(line)
            entry.lines = []

    def _append(self, entry: LoggedCall) -> None:
        self._calls.append(entry)
        self._bytes += len(entry.request_body) + len(entry.response_body)
        self._forget()

    def add(self, entry: LoggedCall, chunk: bytes) -> None:
        """Note a part of the answer's body; what is beyond a megabyte is left out."""
        if not entry.is_complete and len(entry.response_body) < LARGEST_ANSWER:
            with self._lock:
                entry.response_body += chunk
                self._bytes += len(chunk)
                self._forget()

    def _forget(self) -> None:
        while len(self._calls) > self._length or (
            self._bytes > self._most_bytes and len(self._calls) > 1
        ):
            oldest = self._calls.popleft()
            self._bytes -= len(oldest.request_body) + len(oldest.response_body)
        if self._bytes > self._most_bytes:
            newest = self._calls[-1]
            self._bytes -= len(newest.request_body)
            newest.request_body, newest.request = b"", None

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


def query_without_secrets(query: str) -> str:
    """The query with the value of Google's `key` replaced by three stars."""
    return _SECRET_QUERY.sub(r"\1***", query)


def without_secrets(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers with the value of each key and cookie replaced by three stars."""
    return {k: "***" if k.lower() in _SECRET_HEADERS else v for k, v in headers.items()}
