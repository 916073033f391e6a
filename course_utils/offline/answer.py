"""From a request to an answer: refusal, recording, adaptation or simulation, in this order."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from course_utils.errors import CourseError
from course_utils.offline import ids, refusals, words
from course_utils.offline.call import (
    ADAPTED,
    RECORDED,
    REFUSED,
    SIMULATED,
    Answer,
    Call,
    LoggedCall,
)
from course_utils.offline.doors import Door
from course_utils.offline.headers import (
    COURSE_ERROR,
    DO_NOT_RETRY,
    TIER_HEADER,
    response_headers,
)
from course_utils.offline.recordings import SHIPPED, Recording, Recordings, is_same
from course_utils.offline.refusals import RefusedError
from course_utils.offline.simulator import simulate
from course_utils.offline.usage import usage_of
from course_utils.wire import tokens
from course_utils.wire.catalogue import Model
from course_utils.wire.fields import MalformedRequestError
from course_utils.wire.reply import Choice, Refusal, Reply
from course_utils.wire.request import Request, ToolCall


@dataclass
class Answerer:
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
        try:
            reply = self._reply(call, door, entry, seed)
        except RefusedError as refused:
            return _refuse(refused.refusal, door, entry, seed)
        except MalformedRequestError as error:
            return _refuse(door.codec.malformed(error), door, entry, seed)
        except CourseError as error:
            return _refuse(Refusal(500, COURSE_ERROR, str(error)), door, entry, seed)
        assert entry.request is not None
        entry.reply, entry.status = reply, 200
        headers = response_headers(door.provider, seed, streamed=entry.request.stream)
        headers[TIER_HEADER] = entry.tier
        return Answer(200, headers, _body(reply, entry.request, door))

    def _reply(self, call: Call, door: Door, entry: LoggedCall, seed: str) -> Reply:
        refusals.check_key(call, door)
        body = _parse(call, door)
        entry.request = request = door.codec.read_request(body)
        model = refusals.find_model(request, door, self.today())
        refusals.check_request(request, body, model, door)
        recording = self.recordings.find(request, door.provider)
        if recording is None and self.strict:
            raise RefusedError(_no_recording(request, self.recordings.nearest(request)))
        if recording is None:
            entry.tier = SIMULATED
            choices, created = _simulated(request), 0
        else:
            entry.tier = RECORDED if is_same(recording, request, door.provider) else ADAPTED
            entry.recording = recording.name
            choices, created = recording.first(request.n), recording.created
        return _finish(choices, created, request, model, door.provider, seed)

    def _seed(self, call: Call) -> str:
        """What ids are made from: the request, and how often it has been sent before."""
        digest = hashlib.sha256(call.path.encode() + call.body).hexdigest()
        self._seen[digest] += 1
        return f"{digest}{self._seen[digest]}"


def _parse(call: Call, door: Door) -> Mapping[str, Any]:
    try:
        body = json.loads(call.body)
    except (ValueError, RecursionError) as error:
        raise RefusedError(words.refusal(door.words, "not_json", problem=error)) from error
    if not isinstance(body, dict):
        problem = "an object is expected"
        raise RefusedError(words.refusal(door.words, "not_json", problem=problem))
    return body


def _finish(
    choices: tuple[Choice, ...],
    created: int,
    request: Request,
    model: Model,
    provider: str,
    seed: str,
) -> Reply:
    """A reply as the provider would send it: cut to the limits, with its ids and usage."""
    cut = tuple(
        _with_ids(_cut(choice, request, model), provider, f"{seed}{i}")
        for i, choice in enumerate(choices)
    )
    return Reply(
        id=ids.reply_id(provider, seed),
        model=request.model,
        choices=cut,
        usage=usage_of(request, cut, model),
        created=created or _noon(model.as_of),
    )


def _noon(day: date) -> int:
    return (day - date(1970, 1, 1)).days * 86_400 + 43_200


def _cut(choice: Choice, request: Request, model: Model) -> Choice:
    """The choice ended by a stop sequence or by max tokens, whichever comes first."""
    found = [(choice.text.find(stop), stop) for stop in request.stop if stop in choice.text]
    if found:
        at, stop = min(found)
        choice = replace(choice, text=choice.text[:at], finish_reason="stop", stop_sequence=stop)
    if request.max_tokens is None or choice.tool_calls:
        return choice
    limit = int(request.max_tokens / (model.estimate_factor or 1))
    pieces = tokens.pieces(choice.text, 1, model.encoding or tokens.REFERENCE)
    short = "".join(islice(pieces, limit))
    if short == choice.text:
        return choice
    return replace(choice, text=short, finish_reason="length", stop_sequence=None)


def _with_ids(choice: Choice, provider: str, seed: str) -> Choice:
    """Tool calls that were written without an id get one of the provider's form."""
    calls = tuple(
        ToolCall(c.id or ids.tool_call_id(provider, f"{seed}{i}"), c.name, c.arguments)
        for i, c in enumerate(choice.tool_calls)
    )
    return replace(choice, tool_calls=calls)


def _simulated(request: Request) -> tuple[Choice, ...]:
    return (simulate(request),) * request.n


def _body(reply: Reply, request: Request, door: Door) -> Iterable[bytes]:
    if request.stream:
        return door.codec.write_stream(reply, request)
    return (door.codec.write_reply(reply, request),)


def _refuse(refusal: Refusal, door: Door, entry: LoggedCall, seed: str) -> Answer:
    entry.tier, entry.status, entry.refusal = REFUSED, refusal.status, refusal
    headers = response_headers(door.provider, seed, refused=True) | {TIER_HEADER: REFUSED}
    if refusal.type == COURSE_ERROR:
        headers |= DO_NOT_RETRY
    body = door.codec.write_error(refusal, ids.request_id(door.provider, seed))
    return Answer(refusal.status, headers, (body,))


def _no_recording(request: Request, nearest: Recording | None) -> Refusal:
    """Strict mode's own refusal: no provider sends it."""
    told = "There are no recordings at all."
    if nearest is not None:
        told = (
            f"The nearest is {nearest.name}, which asks: {nearest.request.last_user_text!r}. "
            f"This request asks: {request.last_user_text!r}."
        )
    message = f"Strict mode: this request has no recording. {told} Record it, or use start()."
    return Refusal(501, COURSE_ERROR, message, "no_recording")
