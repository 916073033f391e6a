"""The completions endpoint from before the chat format: a text goes in, its continuation comes out.

OpenAI serves no current model through it any more, so there it refuses; local servers still do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from course_utils.offline import ids, refusals
from course_utils.offline.call import Answer
from course_utils.offline.doors import OPENAI
from course_utils.offline.endpoints.completion import reply_to
from course_utils.offline.endpoints.resources import json_answer
from course_utils.offline.headers import TIER_HEADER, response_headers
from course_utils.offline.routes import Visit
from course_utils.wire import tokens
from course_utils.wire.fields import MalformedRequestError, json_name, take
from course_utils.wire.reply import Choice, Reply
from course_utils.wire.request import Message, Request

# What the API documents as default: short enough to surprise everybody.
_DEFAULT_MAX_TOKENS = 16
# More prompts at once nobody has asked for; the limit is ours.
_MOST_PROMPTS = 128


def complete_text(visit: Visit) -> Answer:
    """The continuation of each prompt, as JSON or as events."""
    body = visit.json()
    requests = [_read(body, prompt) for prompt in _prompts(body)]
    if visit.door is OPENAI and not visit.standin.lenient:
        refusals.find_model(requests[0], visit.door, visit.standin.today())
        raise visit.refused("chat_model")
    if len(requests) > _MOST_PROMPTS:
        facts = {"param": "prompt", "value": len(requests), "limit": _MOST_PROMPTS}
        raise visit.refused("too_high", **facts)
    replies = [reply_to(visit, request, refusals.check_text) for request in requests]
    echo = [request.last_user_text if body.get("echo") else "" for request in requests]
    choices = [
        (before + choice.text, choice)
        for before, reply in zip(echo, replies, strict=True)
        for choice in reply.choices
    ]
    head = _head(visit, replies[0])
    if not requests[0].stream:
        written = [_choice(i, text, choice) for i, (text, choice) in enumerate(choices)]
        return json_answer(visit, head | {"choices": written, "usage": _usage(replies)})
    headers = response_headers(visit.door.provider, visit.seed, streamed=True)
    usage = _usage(replies) if requests[0].stream_usage else None
    return Answer(200, headers | {TIER_HEADER: visit.entry.tier}, _stream(head, choices, usage))


def _prompts(body: Mapping[str, Any]) -> list[str]:
    given = body.get("prompt")
    if isinstance(given, str):
        return [given]
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        raise MalformedRequestError("prompt", "string", None if given is None else json_name(given))
    return given or [""]


def _read(body: Mapping[str, Any], prompt: str) -> Request:
    options = take(body, "stream_options", "object", default={})
    return Request(
        model=take(body, "model", "string"),
        messages=(Message("user", prompt),),
        max_tokens=take(body, "max_tokens", "integer", default=_DEFAULT_MAX_TOKENS),
        temperature=take(body, "temperature", "number", default=None),
        top_p=take(body, "top_p", "number", default=None),
        stop=_stops(body),
        n=take(body, "n", "integer", default=1),
        seed=take(body, "seed", "integer", default=None),
        stream=take(body, "stream", "boolean", default=False),
        stream_usage=bool(options.get("include_usage")),
    )


def _stops(body: Mapping[str, Any]) -> tuple[str, ...]:
    given = body.get("stop")
    given = [given] if isinstance(given, str) else take(body, "stop", "array", default=[])
    for each in given:
        if not isinstance(each, str):
            raise MalformedRequestError("stop", "string", json_name(each))
    return tuple(given)


def _head(visit: Visit, reply: Reply) -> dict[str, Any]:
    return {
        "id": "cmpl-" + ids.alnum("text" + visit.seed, 29),
        "object": "text_completion",
        "created": reply.created,
        "model": reply.model,
    }


def _choice(index: int, text: str, choice: Choice | None) -> dict[str, Any]:
    finish = choice.finish_reason if choice else None
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish}


def _usage(replies: list[Reply]) -> dict[str, int]:
    given = sum(reply.usage.prompt_tokens for reply in replies)
    made = sum(reply.usage.completion_tokens for reply in replies)
    return {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}


def _stream(
    head: dict[str, Any], choices: list[tuple[str, Choice]], usage: dict[str, int] | None
) -> Iterator[bytes]:
    for index, (text, choice) in enumerate(choices):
        for piece in tokens.pieces(text, 1):
            yield _event(head, [_choice(index, piece, None)])
        yield _event(head, [_choice(index, "", choice)])
    if usage:
        yield _event(head | {"usage": usage}, [])
    yield b"data: [DONE]\n\n"


def _event(head: dict[str, Any], choices: list[dict[str, Any]]) -> bytes:
    body = json.dumps(head | {"choices": choices}, separators=(",", ":"), ensure_ascii=False)
    return b"data: " + body.encode() + b"\n\n"
