"""The stand-in for the providers: every call gets an answer, from here and not from afar."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path

from course_utils.errors import CourseError
from course_utils.offline import ids, refusals, words
from course_utils.offline.call import REFUSED, Answer, Call, LoggedCall
from course_utils.offline.doors import Door
from course_utils.offline.endpoints import ROUTES, codec_of
from course_utils.offline.headers import (
    COURSE_ERROR,
    DO_NOT_RETRY,
    TIER_HEADER,
    response_headers,
)
from course_utils.offline.recordings import SHIPPED, Recordings
from course_utils.offline.refusals import RefusedError
from course_utils.offline.routes import Visit
from course_utils.wire.codec import Codec
from course_utils.wire.fields import MalformedRequestError
from course_utils.wire.reply import Refusal


@dataclass
class StandIn:
    """Answers calls offline, from the recordings in `folder`, which are read at the first call.

    `strict` refuses what has no recording; `today` decides which models are shut down.
    """

    folder: Path = SHIPPED
    strict: bool = False
    today: Callable[[], date] = date.today
    _seen: Counter[str] = field(default_factory=Counter)

    @cached_property
    def recordings(self) -> Recordings:
        """All recordings; RecordingError where one cannot be used."""
        return Recordings.load(self.folder)

    async def answer(self, call: Call, door: Door, entry: LoggedCall) -> Answer:
        """The answer to a call; what it found out goes into the log's `entry`."""
        seed = self._seed(call)
        found = ROUTES.find(call.method, call.path)
        if found is None:
            error = words.refusal(door.words, "no_endpoint", method=call.method, path=call.path)
            codec = codec_of(call.method, call.path, door)
            return _refuse(error, codec, door, entry, seed)
        route, params = found
        try:
            refusals.check_key(call, door)
            answer = route.handle(Visit(call, route, params, entry, seed, self))
        except RefusedError as refused:
            return _refuse(refused.refusal, route.codec, door, entry, seed)
        except MalformedRequestError as error:
            return _refuse(route.codec.malformed(error), route.codec, door, entry, seed)
        except CourseError as error:
            problem = Refusal(500, COURSE_ERROR, str(error))
            return _refuse(problem, route.codec, door, entry, seed)
        entry.status = answer.status
        return answer

    def _seed(self, call: Call) -> str:
        """What ids are made from: the call, and how often it has been sent before."""
        digest = hashlib.sha256(call.path.encode() + call.body).hexdigest()
        self._seen[digest] += 1
        return f"{digest}{self._seen[digest]}"


def _refuse(refusal: Refusal, codec: Codec, door: Door, entry: LoggedCall, seed: str) -> Answer:
    entry.tier, entry.status, entry.refusal = REFUSED, refusal.status, refusal
    headers = response_headers(door.provider, seed, refused=True) | {TIER_HEADER: REFUSED}
    if refusal.type == COURSE_ERROR:
        headers |= DO_NOT_RETRY
    body = codec.write_error(refusal, ids.request_id(door.provider, seed))
    return Answer(refusal.status, headers, (body,))
