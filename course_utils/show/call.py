"""What the views need to know of a logged call; the stand-in's log entries fit it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from course_utils.wire.reply import Reply
from course_utils.wire.request import Request


class LoggedCall(Protocol):
    """One call in the request log."""

    number: int
    provider: str
    method: str
    path: str
    request_headers: Mapping[str, str]
    request_body: bytes
    tier: str
    status: int
    request: Request | None
    reply: Reply | None
    recording: str | None
    latency_s: float
    response_headers: Mapping[str, str]
    response_body: bytes
    is_batch: bool
