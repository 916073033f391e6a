"""Verbatim exchanges as recordings, so that the same conversation with other knobs is answered."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime

from course_utils.offline.doors import door_of
from course_utils.offline.endpoints import codec_of
from course_utils.offline.reading import read_reply, read_request
from course_utils.offline.replay.exchange import Exchange
from course_utils.offline.replay.recordings import Recording
from course_utils.wire.reply import Reply


def recordings_of(exchanges: Iterable[Exchange]) -> Iterator[Recording]:
    """Those of the exchanges in which a model was asked and answered, as recordings to adapt."""
    for exchange in exchanges:
        recording = _recording(exchange)
        if recording is not None:
            yield recording


def _recording(exchange: Exchange) -> Recording | None:
    path = exchange.paths[0]
    door = door_of(path)
    if door is None or not isinstance(exchange.request, dict):
        return None
    codec = codec_of(exchange.method, path, door)
    request = read_request(json.dumps(exchange.request).encode(), codec)
    reply = read_reply(exchange.body, codec, status=exchange.status, stream=exchange.is_stream)
    day = _day(exchange, reply) if reply else None
    if request is None or reply is None or day is None or not _is_answer(reply):
        return None
    return Recording(exchange.name, door.provider, request, reply.choices, day)


def _is_answer(reply: Reply) -> bool:
    """Whether a reply says something of its own: not a cut one, nor one of an unknown format."""
    choices = reply.choices
    return bool(choices) and all(
        c.finish_reason and (c.text or c.tool_calls or c.refusal) for c in choices
    )


def _day(exchange: Exchange, reply: Reply) -> date | None:
    """The day of an answer, by itself or by its headers; None where neither tells."""
    if reply.created:
        return datetime.fromtimestamp(reply.created, UTC).date()
    sent = next((value for name, value in exchange.headers.items() if name.lower() == "date"), "")
    try:
        return parsedate_to_datetime(sent).date()
    except ValueError:
        return None
