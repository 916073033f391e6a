"""Reading what passed by into the log's value types, where it can be read."""

from __future__ import annotations

import json
from collections import deque

from course_utils.wire import sse
from course_utils.wire.codec import Codec
from course_utils.wire.reply import Reply
from course_utils.wire.request import Request

_FORMATS_WITH_END = ("chat.completion.chunk", "text_completion", "message_start", "response.")
_DONE = "[DONE]"
_LAST_NAMES = ("message_stop", "response.completed", "response.incomplete", "response.failed")
# More than the last event of a stream may have, which can repeat the whole answer.
_LAST_EVENT = 2**20


def read_request(body: bytes, codec: Codec) -> Request | None:
    """The request in a body; None where it is none, which is for others to refuse."""
    try:
        return codec.read_request(json.loads(body))
    except Exception:  # what passes by is not ours, and must pass whatever it is
        return None


def read_reply(body: bytes, codec: Codec, *, status: int, stream: bool) -> Reply | None:
    """The reply in a body, streamed or whole; None where it is an error or cannot be read."""
    if status != 200:
        return None
    try:
        if stream:
            return codec.read_stream(sse.decode([body]))
        return codec.read_reply(json.loads(body))
    except Exception:  # as above
        return None


def has_end(body: bytes) -> bool:
    """Whether a stream is of a format that says its own end; Gemini's, for one, does not."""
    first = next(sse.decode([body]), None)
    return first is None or any(mark in first.data for mark in _FORMATS_WITH_END)


def says_end(body: bytes) -> bool:
    """Whether a stream's last event is the one after which its format has no other."""
    last = deque(sse.decode([body[-_LAST_EVENT:]]), maxlen=1)
    return bool(last) and (last[0].data == _DONE or last[0].name in _LAST_NAMES)


def may_end(chunk: bytes) -> bool:
    """Whether it is worth asking `says_end` after a chunk."""
    return any(word.encode() in chunk for word in (_DONE, *_LAST_NAMES))
