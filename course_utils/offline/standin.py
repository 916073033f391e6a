"""The stand-in for the providers: every call gets an answer, from here and not from afar."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from http import HTTPStatus
from pathlib import Path

from course_utils.errors import CourseError
from course_utils.offline import refusals
from course_utils.offline.call import Answer, Call, LoggedCall
from course_utils.offline.clock import Clock
from course_utils.offline.doors import Door
from course_utils.offline.faults import LINE_FAULTS
from course_utils.offline.headers import COURSE_ERROR
from course_utils.offline.limits import Limits, TurnedAwayError, check_size
from course_utils.offline.plans import Faults
from course_utils.offline.prompt_cache import PromptCache
from course_utils.offline.refusals import RefusedError
from course_utils.offline.replay.cassettes import Cassettes, authored_files
from course_utils.offline.replay.recordings import SHIPPED, Recordings
from course_utils.offline.routes import Route, Visit
from course_utils.offline.store import Store
from course_utils.wire.fields import MalformedRequestError
from course_utils.wire.reply import Refusal

# The endpoints and all behind them are imported by the first call and not by start(), which is to
# be done at once: hence the imports inside functions.

# Bytes of a body from which on a call is answered beside the others, in a thread of its own.
_LONG_BODY = 2**18
# Of so many different calls the stand-in knows how often each was sent.
_MOST_SEEN = 1_000


@dataclass
class StandIn:
    """Answers calls offline, from the recordings in `folder`, which are read at the first call.

    `strict` refuses what has no recording; `today` decides which models are shut down. `lenient`
    answers every well-formed request as if its key, model and ids were known. `paths` are files
    and folders of recordings to use instead of `folder`; verbatim exchanges among them answer
    first, byte for byte.
    """

    folder: Path = SHIPPED
    strict: bool = False
    today: Callable[[], date] = date.today
    lenient: bool = False
    store: Store = field(default_factory=Store)
    clock: Clock = field(default_factory=Clock)
    paths: tuple[Path, ...] = ()
    faults: Faults = field(default_factory=Faults)
    limits: Limits = field(default_factory=Limits)
    prompt_cache: PromptCache = field(default_factory=PromptCache)
    _seen: OrderedDict[str, int] = field(default_factory=OrderedDict)

    @classmethod
    def with_recordings(cls, *paths: str | os.PathLike[str], strict: bool = False) -> StandIn:
        """Answers from the course's own recordings and from others, which are read at once.

        Raises RecordingError where one cannot be used.
        """
        standin = cls(strict=strict, paths=(*map(Path, paths), SHIPPED))
        _ = standin.cassettes, standin.recordings
        return standin

    @cached_property
    def recordings(self) -> Recordings:
        """All recordings; RecordingError where one cannot be used."""
        from course_utils.offline.replay.adapting import recordings_of

        recordings = Recordings.load(*authored_files(*(self.paths or (self.folder,))))
        recordings.add(recordings_of(self.cassettes))
        return recordings

    @cached_property
    def cassettes(self) -> Cassettes:
        """All verbatim exchanges; RecordingError where a file cannot be used."""
        return Cassettes.load(*(self.paths or (self.folder,)))

    async def answer(self, call: Call, door: Door, entry: LoggedCall) -> Answer:
        """The answer to a call; what it found out goes into the log's `entry`."""
        fault = self.faults.aim(call, door)
        route, _ = _route_of(call, door)
        try:
            check_size(call, door)
            if fault is not None:
                fault.refuse(door, call, entry, route.codec)
            answer = self.limits.spend(door, entry, await self._respond(call, door, entry))
        except TurnedAwayError as turned:
            answer = turned.complete(route.refuse(turned.refusal, entry, self._seed(call)))
        if fault is None:
            return answer
        entry.fault = fault.name
        return await fault.spoil(answer, entry, route.codec)

    async def _respond(self, call: Call, door: Door, entry: LoggedCall) -> Answer:
        """The same, without limits and faults.

        To read a long text and to count its tokens takes seconds, in which others want answers.
        """
        if len(call.body) < _LONG_BODY:
            return self.respond(call, door, entry)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, self.respond, call, door, entry)

    def respond(self, call: Call, door: Door, entry: LoggedCall) -> Answer:
        """The answer to a call that neither limits nor faults befall."""
        seed = self._seed(call)
        replayed = self._replayed(call, door, entry)
        if replayed is not None:
            return replayed
        route, params = _route_of(call, door)
        try:
            if not (self.lenient or route.is_open):
                refusals.check_key(call, door)
            answer = route.handle(Visit(call, route, params, entry, seed, self))
        except TurnedAwayError as turned:
            return turned.complete(route.refuse(turned.refusal, entry, seed))
        except RefusedError as refused:
            return route.refuse(refused.refusal, entry, seed)
        except MalformedRequestError as error:
            return route.refuse(route.codec.malformed(error), entry, seed)
        except CourseError as error:
            return route.refuse(Refusal(500, COURSE_ERROR, str(error)), entry, seed)
        except Exception as error:  # a fault of ours, which must not take the caller down
            logging.getLogger(__name__).exception("No answer to %s", call.path)
            told = f"The course's stand-in failed, by its own fault: {type(error).__name__}."
            return route.refuse(Refusal(500, COURSE_ERROR, told), entry, seed)
        entry.status = answer.status
        return answer

    def respond_to_line(self, call: Call, door: Door, entry: LoggedCall) -> Answer:
        """The answer to a line of a batch.

        Rate limits do not count it, and of the faults only those befall it that a batch can show.
        """
        fault = self.faults.aim(call, door, LINE_FAULTS)
        if fault is None:
            return self.respond(call, door, entry)
        entry.fault = fault.name
        route, _ = _route_of(call, door)
        try:
            fault.refuse(door, call, entry, route.codec)
        except TurnedAwayError as turned:
            return turned.complete(route.refuse(turned.refusal, entry, self._seed(call)))
        return fault.reword(self.respond(call, door, entry), entry, route.codec)

    def _replayed(self, call: Call, door: Door, entry: LoggedCall) -> Answer | None:
        """The verbatim answer to a call. A foreign cassette was made with a key that is gone."""
        exchange = self.cassettes.find(call)
        if exchange is None:
            return None
        route, _ = _route_of(call, door)
        if exchange.own and exchange.status != HTTPStatus.UNAUTHORIZED and not self.lenient:
            try:
                refusals.check_key(call, door)
            except RefusedError as refused:
                return route.refuse(refused.refusal, entry, self._seed(call))
        return self.cassettes.replay(exchange, call, route.codec, entry)

    def _seed(self, call: Call) -> str:
        """What ids are made from: the call, and how often it has been sent before."""
        digest = hashlib.sha256(call.path.encode() + call.body).hexdigest()
        count = self._seen.pop(digest, 0) + 1
        self._seen[digest] = count
        if len(self._seen) > _MOST_SEEN:
            self._seen.popitem(last=False)
        return f"{digest}{count}"


def _route_of(call: Call, door: Door) -> tuple[Route, Mapping[str, str]]:
    from course_utils.offline.endpoints import route_of

    return route_of(call.method, call.path, door)
