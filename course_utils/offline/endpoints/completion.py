"""A call to a model, from its request to its reply: refused, recorded, adapted or simulated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import date
from itertools import islice
from typing import Any

from course_utils.offline import ids, refusals
from course_utils.offline.call import ADAPTED, RECORDED, SIMULATED, Answer
from course_utils.offline.doors import Door
from course_utils.offline.headers import COURSE_ERROR, TIER_HEADER, response_headers
from course_utils.offline.logprobs import logprobs_of
from course_utils.offline.refusals import RefusedError
from course_utils.offline.replay.recordings import Recording, is_same
from course_utils.offline.routes import Visit
from course_utils.offline.simulator import simulate
from course_utils.offline.thinking import think
from course_utils.offline.unknown_models import model_for
from course_utils.offline.usage import usage_of
from course_utils.wire import catalogue, tokens
from course_utils.wire.catalogue import Model
from course_utils.wire.reply import Choice, Refusal, Reply
from course_utils.wire.request import Request, ToolCall

Check = Callable[[Request, Mapping[str, Any], Model, Door], None]


def complete(visit: Visit) -> Answer:
    """The answer to a call of a model's endpoint, in the format of its route."""
    request = visit.route.codec.read_request(visit.json())
    reply = reply_to(visit, request)
    headers = response_headers(visit.door.provider, visit.seed, streamed=request.stream)
    return Answer(200, headers | {TIER_HEADER: visit.entry.tier}, _body(visit, request, reply))


def reply_to(visit: Visit, request: Request, check: Check = refusals.check_request) -> Reply:
    """The reply to a request, noted in the log. Raises RefusedError where a provider refuses."""
    visit.entry.request = request
    model = model_of(visit, request, visit.json(), check)
    choices, created = _choices(visit, request)
    visit.entry.reply = _finish(choices, created, request, model, visit)
    return visit.entry.reply


def model_of(
    visit: Visit,
    request: Request,
    body: Mapping[str, Any],
    check: Check = refusals.check_request,
) -> Model:
    """The model that is asked. Raises RefusedError where it would refuse the request.

    A lenient stand-in refuses nothing but to answer without end, and lets another model answer for
    an unknown one.
    """
    if visit.standin.lenient:
        refusals.check_count(request, visit.door)
        return model_for(request.model, visit.door.provider)
    model = refusals.find_model(request, visit.door, visit.standin.today())
    check(request, body, model, visit.door)
    return model


def _choices(visit: Visit, request: Request) -> tuple[tuple[Choice, ...], int]:
    """What is answered, before any cut, and when it was written (0: nobody wrote it)."""
    provider = visit.door.provider
    recording = visit.standin.recordings.find(request, provider)
    if recording is not None:
        same = is_same(recording, request, provider)
        visit.entry.tier = RECORDED if same else ADAPTED
        visit.entry.recording = recording.name
        return recording.first(request.n), recording.created
    if visit.standin.strict:
        raise RefusedError(_no_recording(request, visit.standin.recordings.nearest(request)))
    visit.entry.tier = SIMULATED
    return tuple(simulate(request, index) for index in range(request.n)), 0


def _finish(
    choices: tuple[Choice, ...],
    created: int,
    request: Request,
    model: Model,
    visit: Visit,
) -> Reply:
    """A reply as the provider would send it: cut to the limits, with its ids and usage."""
    cut = tuple(
        _with_ids(_told(choice, request, model), visit.door.provider, f"{visit.seed}{i}")
        for i, choice in enumerate(choices)
    )
    usage = usage_of(request, cut, model)
    return Reply(
        id=ids.reply_id(visit.door.provider, visit.seed),
        model=catalogue.answering_name(request.model),
        choices=cut,
        usage=visit.standin.prompt_cache.bill(usage, request, model),
        created=created or _noon(model.as_of),
        reasoned=model.reasoning and request.reasoning_effort != "none",
    )


def _noon(day: date) -> int:
    return (day - date(1970, 1, 1)).days * 86_400 + 43_200


def _told(choice: Choice, request: Request, model: Model) -> Choice:
    """The choice cut to the limits, with what the request wants to be told besides it."""
    choice = _cut(replace(choice, thinking=think(request, choice)), request, model)
    if request.logprobs is None or choice.tool_calls:
        return choice
    encoding = model.encoding or tokens.REFERENCE
    return replace(choice, logprobs=logprobs_of(choice.text, request.logprobs, encoding))


def _cut(choice: Choice, request: Request, model: Model) -> Choice:
    """The choice ended by a stop sequence or by max tokens, whichever comes first."""
    found = [(choice.text.find(stop), stop) for stop in request.stop if stop in choice.text]
    if found:
        at, stop = min(found)
        choice = replace(choice, text=choice.text[:at], finish_reason="stop", stop_sequence=stop)
    if request.max_tokens is None or choice.tool_calls:
        return choice
    thought = tokens.count(choice.thinking.text, model).tokens if choice.thinking else 0
    limit = max(0, int((request.max_tokens - thought) / (model.estimate_factor or 1)))
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


def _body(visit: Visit, request: Request, reply: Reply) -> Iterable[bytes]:
    codec = visit.route.codec
    if request.stream:
        return codec.write_stream(reply, request)
    return (codec.write_reply(reply, request),)


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
