"""OpenAI's Responses endpoints: create, stream, retrieve, cancel, delete, list the input, count.

A response is kept unless `store` is false, so that the next one can go on from its id.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from course_utils.offline import ids
from course_utils.offline.call import ADAPTED, RECORDED, Answer
from course_utils.offline.endpoints.completion import model_of, reply_to
from course_utils.offline.endpoints.resources import page, param, query
from course_utils.offline.endpoints.response_items import listed
from course_utils.offline.endpoints.response_refusals import (
    check_input,
    check_names,
    check_request,
    check_values,
)
from course_utils.offline.endpoints.responses_headers import responses_headers
from course_utils.offline.headers import TIER_HEADER
from course_utils.offline.routes import Visit
from course_utils.wire.catalogue import default_model
from course_utils.wire.openai_responses import OpenAIResponses
from course_utils.wire.prompt_tokens import prompt_tokens
from course_utils.wire.reply import Reply
from course_utils.wire.request import Request
from course_utils.wire.responses_body import framing_tokens, output_items

CODEC = OpenAIResponses()
_KIND = "response"
_PAGE = 20


@dataclass(slots=True)
class _Response:
    """A response as it is kept. `items` is the conversation that it answered, oldest first.

    `status` is queued or cancelled while there is no output to show, else None.
    """

    request: Request
    reply: Reply
    items: tuple[Mapping[str, Any], ...]
    tier: str
    status: str | None = None

    @property
    def conversation(self) -> tuple[Mapping[str, Any], ...]:
        """What the next response goes on from."""
        return (*self.items, *output_items(self.reply, self.request))


def create(visit: Visit) -> Answer:
    """Answer a request, as JSON or as events."""
    response = _create(visit, _body(visit))
    if response.request.rest.get("store") is not False:
        visit.standin.store.put(_KIND, response.reply.id, response)
    if response.request.stream:
        return _events(visit, response)
    if response.request.rest.get("background"):
        response.status = "queued"
    return _json(visit, CODEC.write_reply(response.reply, response.request, response.status))


def retrieve(visit: Visit) -> Answer:
    """A kept response; with `stream=true` its events, those after `starting_after`."""
    response, asked = _find(visit), query(visit)
    if response.status == "queued":
        response.status = None
    if asked.get("stream") == "true":
        after = asked.get("starting_after", "")
        return _events(visit, response, int(after) + 1 if after.isdecimal() else 0)
    return _json(visit, CODEC.write_reply(response.reply, response.request, response.status))


def cancel(visit: Visit) -> Answer:
    """End a response in the background; one that has ended already is returned as it is."""
    response = _find(visit)
    if not response.request.rest.get("background") and not visit.standin.lenient:
        raise visit.refused("not_in_background")
    if response.status == "queued":
        response.status = "cancelled"
    return _json(visit, CODEC.write_reply(response.reply, response.request, response.status))


def delete(visit: Visit) -> Answer:
    """Forget a response."""
    response = _find(visit)
    visit.standin.store.delete(_KIND, response.reply.id)
    gone = {"id": param(visit, "id"), "object": "response.deleted", "deleted": True}
    return _json(visit, _indented(gone))


def input_items(visit: Visit) -> Answer:
    """The items that a response answered, the newest first unless `order` is asc."""
    asked = query(visit)
    items = _find(visit).items
    shown = items if asked.get("order") == "asc" else items[::-1]
    found = page(shown, asked, _PAGE)
    order = ("data", "first_id", "last_id", "has_more")
    return _json(visit, _indented({"object": "list"} | {key: found[key] for key in order}))


def input_tokens(visit: Visit) -> Answer:
    """How many tokens a request would read: the same number as its usage would say."""
    request, _ = _read(visit, {"model": default_model("openai").id, **_body(visit)})
    visit.entry.request = request
    model = model_of(visit, request, visit.json(), check_request)
    counted = {"object": "response.input_tokens", "input_tokens": prompt_tokens(request, model)}
    return _json(visit, _indented(counted))


def _body(visit: Visit) -> Mapping[str, Any]:
    """The request's body; a lenient server adds what is missing."""
    asked = visit.json()
    missing = {"model": default_model("openai").id, "input": ""} if visit.standin.lenient else {}
    return {**missing, **asked}


def _create(visit: Visit, body: Mapping[str, Any]) -> _Response:
    request, items = _read(visit, body)
    reply = reply_to(visit, request, check_request)
    if visit.entry.tier == RECORDED:
        # Recordings are written for chat completions: here they are rendered in another format.
        visit.entry.tier = ADAPTED
    reply = replace(reply, id=_response_id(visit.seed, reply.created), usage=_usage(reply, request))
    visit.entry.reply = reply
    return _Response(request, reply, items, visit.entry.tier)


def _read(visit: Visit, body: Mapping[str, Any]) -> tuple[Request, tuple[Mapping[str, Any], ...]]:
    """The request with all that went before it, and its conversation as items."""
    if not visit.standin.lenient:
        check_names(visit, body)
    request = CODEC.read_request(body)
    if not visit.standin.lenient:
        check_values(visit, body)
        check_input(visit, body)
    before = conversation_before(visit, body)
    items = (*before, *listed(body.get("input"), visit.seed))
    return (CODEC.read_request({**body, "input": list(items)}) if before else request), items


def conversation_before(visit: Visit, body: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """The conversation that a request goes on from; its instructions do not go with it."""
    wanted = body.get("previous_response_id")
    if wanted is None:
        return ()
    previous = visit.standin.store.get(_KIND, str(wanted))
    if previous is not None:
        return tuple(previous.conversation)
    if visit.standin.lenient:
        return ()
    raise visit.refused("no_previous", id=wanted)


def _usage(reply: Reply, request: Request) -> Any:
    """The reply's usage, with the marks around a finished message."""
    usage = reply.usage
    if reply.finish_reason != "stop":
        return usage
    written = usage.completion_tokens + framing_tokens(reply.model)
    most = request.max_tokens
    return replace(usage, completion_tokens=min(written, most) if most else written)


def _response_id(seed: str, created: int) -> str:
    """An id as OpenAI makes them: 50 hexadecimal digits, with the time in the middle."""
    digits = ids.hexadecimal("response" + seed, 39)
    return f"resp_0{digits[:15]}00{created:08x}{digits[15:]}"


def _find(visit: Visit) -> _Response:
    """The response in the path; refused where it is unknown, made up by a lenient server."""
    wanted = param(visit, "id")
    response = visit.standin.store.get(_KIND, wanted)
    if response is None and visit.standin.lenient:
        asked = {"model": default_model("openai").id, "input": "Hello"}
        call = replace(visit.call, body=json.dumps(asked).encode())
        response = _create(replace(visit, call=call), asked)
        response.reply = replace(response.reply, id=wanted)
    if response is None:
        raise visit.refused("no_response", id=wanted)
    assert isinstance(response, _Response)
    visit.entry.tier = response.tier
    return response


def _events(visit: Visit, response: _Response, start: int = 0) -> Answer:
    events = CODEC.write_stream(response.reply, response.request)
    return _answer(visit, islice(events, start, None), streamed=True)


def _json(visit: Visit, body: bytes) -> Answer:
    return _answer(visit, (body,), streamed=False)


def _answer(visit: Visit, chunks: Iterable[bytes], *, streamed: bool) -> Answer:
    limited = visit.route.handle is create
    headers = responses_headers(visit.seed, streamed=streamed, limited=limited)
    return Answer(200, headers | {TIER_HEADER: visit.entry.tier}, chunks)


def _indented(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, indent=2, ensure_ascii=False).encode()
