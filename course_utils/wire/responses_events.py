"""The server-sent events of OpenAI's Responses format.

Order, names, numbering and padding follow real streams of 2025 and 2026: after its type, an event's
keys stand in alphabetical order; a delta and its obfuscation together are a multiple of 16 letters.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from course_utils.wire import sse, tokens
from course_utils.wire.reply import Reply
from course_utils.wire.request import Request
from course_utils.wire.responses_body import status_of, write_response

_Event = dict[str, Any]
_BLOCK = 16


def write_events(reply: Reply, request: Request) -> Iterator[bytes]:
    """A reply as events, numbered from 0; the last is completed or incomplete, with no [DONE]."""
    for number, event in enumerate(_events(reply, request)):
        if request.stream_padding and "delta" in event:
            event["obfuscation"] = _padding(event["delta"], f"{reply.id}{number}")
        yield _encode(event | {"sequence_number": number})


def _events(reply: Reply, request: Request) -> Iterator[_Event]:
    started = write_response(reply, request, "in_progress")
    yield {"type": "response.created", "response": started}
    yield {"type": "response.in_progress", "response": started}
    finished = write_response(reply, request)
    # Only bodies that are not streamed say who pays.
    del finished["billing"]
    for index, item in enumerate(finished["output"]):
        where = {"output_index": index}
        yield {"type": "response.output_item.added", "item": _opened(item)} | where
        yield from _inside(item, where | {"item_id": item["id"]})
        yield {"type": "response.output_item.done", "item": item} | where
    yield {"type": f"response.{status_of(reply)}", "response": finished}


def _opened(item: _Event) -> _Event:
    """An item before it has any content."""
    match item["type"]:
        case "message":
            return item | {"status": "in_progress", "content": []}
        case "function_call":
            return item | {"status": "in_progress", "arguments": ""}
        case _:
            return item | {"summary": []}


def _inside(item: _Event, where: _Event) -> Iterator[_Event]:
    """The events between an item's first and last."""
    match item["type"]:
        case "message":
            for index, part in enumerate(item["content"]):
                yield from _part(part, where | {"content_index": index})
        case "function_call":
            kind, arguments = "response.function_call_arguments", item["arguments"]
            for piece in tokens.pieces(arguments, 1):
                yield {"type": f"{kind}.delta", "delta": piece} | where
            yield {"type": f"{kind}.done", "arguments": arguments} | where
        case _:
            for index, part in enumerate(item["summary"]):
                yield from _summary(part, where | {"summary_index": index})


def _part(part: _Event, where: _Event) -> Iterator[_Event]:
    name = "text" if part["type"] == "output_text" else "refusal"
    kind, logprobs = f"response.{part['type']}", part.get("logprobs")
    # A part in an event of its own never shows its logprobs; its item and its deltas do.
    bare = part if logprobs is None else part | {"logprobs": []}
    yield {"type": "response.content_part.added", "part": bare | {name: ""}} | where
    for delta in _deltas(part[name], logprobs):
        yield {"type": f"{kind}.delta"} | delta | where
    shown = {} if logprobs is None else {"logprobs": logprobs}
    yield {"type": f"{kind}.done", name: part[name]} | shown | where
    yield {"type": "response.content_part.done", "part": bare} | where


def _deltas(text: str, logprobs: list[_Event] | None) -> Iterator[_Event]:
    """The pieces of a text, each with the logprobs of its own tokens."""
    rest = iter(logprobs or ())
    for piece in tokens.pieces(text, 1):
        if logprobs is None:
            yield {"delta": piece}
            continue
        own: list[_Event] = []
        while sum(len(token["bytes"]) for token in own) < len(piece.encode()):
            if (token := next(rest, None)) is None:
                break
            own.append(token)
        yield {"delta": piece, "logprobs": own}


def _summary(part: _Event, where: _Event) -> Iterator[_Event]:
    kind = "response.reasoning_summary"
    yield {"type": f"{kind}_part.added", "part": part | {"text": ""}} | where
    for piece in tokens.pieces(part["text"], 1):
        yield {"type": f"{kind}_text.delta", "delta": piece} | where
    yield {"type": f"{kind}_text.done", "text": part["text"]} | where
    yield {"type": f"{kind}_part.done", "part": part} | where


def _padding(delta: str, seed: str) -> str:
    """Letters that fill a delta up to a whole block, so that its length stays hidden."""
    return hashlib.sha256(seed.encode()).hexdigest()[: -len(delta) % _BLOCK]


def _encode(event: _Event) -> bytes:
    ordered = {"type": event["type"]} | {key: event[key] for key in sorted(event)}
    data = json.dumps(ordered, separators=(",", ":"), ensure_ascii=False)
    return sse.encode(data, event["type"])
