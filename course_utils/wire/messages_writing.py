"""Writing Anthropic's messages format: bodies, events, usage, and the padding of events."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from itertools import cycle, islice
from typing import Any

from course_utils.wire import catalogue, sse, tokens
from course_utils.wire.reply import Choice, Reply, Thinking
from course_utils.wire.request import Request

TO_STOP_REASON = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
_FINAL_USAGE = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
    "output_tokens_details",
)
# Tokens a text delta: real streams send several at a time, few at first and more later.
_DELTA_TOKENS = (1, 4, 2, 9, 3, 2, 11)
_THINKING_TOKENS = (2, 6, 5)


def message(reply: Reply, request: Request) -> dict[str, Any]:
    """The body of a reply that is not streamed."""
    choice = reply.choices[0]
    return {
        "model": reply.model,
        "id": reply.id,
        "type": "message",
        "role": "assistant",
        "content": list(_blocks(choice)),
        **_stop(choice),
        "usage": _write_usage(reply, request),
    }


def events(reply: Reply, request: Request) -> Iterator[bytes]:
    """The same reply as server-sent events, block by block, with one ping near the start."""
    whole = message(reply, request)
    stop = _stop(reply.choices[0])
    opened = whole | {"content": [], **dict.fromkeys(stop)}
    opened["usage"] = whole["usage"] | {"output_tokens": 1}
    opened["usage"].pop("output_tokens_details", None)
    yield _event({"type": "message_start", "message": opened})
    for index, block in enumerate(whole["content"]):
        yield from _write_block(index, block)
    usage = {key: whole["usage"][key] for key in _FINAL_USAGE if key in whole["usage"]}
    yield _event({"type": "message_delta", "delta": stop, "usage": usage})
    yield _event({"type": "message_stop"})


def _stop(choice: Choice) -> dict[str, Any]:
    reason = TO_STOP_REASON.get(choice.finish_reason or "")
    if choice.stop_sequence is not None:
        reason = "stop_sequence"
    if choice.refusal:
        reason = "refusal"
    refused = {"type": "refusal", "category": None, "explanation": None}
    return {
        "stop_reason": reason,
        "stop_sequence": choice.stop_sequence,
        "stop_details": refused if reason == "refusal" else None,
    }


def _blocks(choice: Choice) -> Iterator[dict[str, Any]]:
    if choice.thinking is not None:
        yield _write_thinking(choice.thinking)
    if choice.text or choice.refusal or not choice.tool_calls:
        yield {"type": "text", "text": choice.refusal or choice.text}
    for call in choice.tool_calls:
        yield {
            "type": "tool_use",
            "id": call.id,
            "name": call.name,
            "input": json.loads(call.arguments or "{}"),
            "caller": {"type": "direct"},
        }


def _write_thinking(thinking: Thinking) -> dict[str, Any]:
    return {"type": "thinking", "thinking": thinking.text, "signature": thinking.signature}


def _write_usage(reply: Reply, request: Request) -> dict[str, Any]:
    usage = reply.usage
    lasting = request.cache_plan is not None and request.cache_plan.lasting
    written = (0, usage.cache_write_tokens) if lasting else (usage.cache_write_tokens, 0)
    details = {"output_tokens_details": {"thinking_tokens": usage.reasoning_tokens}}
    family = catalogue.family(reply.model)
    return {
        "input_tokens": usage.prompt_tokens - usage.cached_tokens - usage.cache_write_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cached_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": written[0],
            "ephemeral_1h_input_tokens": written[1],
        },
        "output_tokens": usage.completion_tokens,
        **(details if family.counts_thinking else {}),
        "service_tier": "standard",
        "inference_geo": "global" if family.names_place else "not_available",
    }


def _write_block(index: int, block: dict[str, Any]) -> Iterator[bytes]:
    empty: dict[str, dict[str, Any]] = {
        "text": {"text": ""},
        "tool_use": {"input": {}},
        "thinking": {"thinking": "", "signature": ""},
    }
    opened = block | empty[block["type"]]
    yield _event({"type": "content_block_start", "index": index, "content_block": opened})
    if index == 0:
        yield sse.encode('{"type": "ping"}', "ping")
    for delta in _deltas(block):
        yield _event({"type": "content_block_delta", "index": index, "delta": delta})
    yield _event({"type": "content_block_stop", "index": index})


def _deltas(block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    match block["type"]:
        case "text":
            for piece in _grouped(tokens.pieces(block["text"], 1), _DELTA_TOKENS):
                yield {"type": "text_delta", "text": piece}
        case "thinking":
            for piece in _grouped(tokens.pieces(block["thinking"], 1), _THINKING_TOKENS):
                yield {"type": "thinking_delta", "thinking": piece}
            yield {"type": "signature_delta", "signature": block["signature"]}
        case _:
            yield {"type": "input_json_delta", "partial_json": ""}
            text = json.dumps(block["input"], ensure_ascii=False) if block["input"] else ""
            for piece in tokens.pieces(text, 2):
                yield {"type": "input_json_delta", "partial_json": piece}


def _grouped(pieces: Iterable[str], sizes: tuple[int, ...]) -> Iterator[str]:
    """The same text in fewer, uneven pieces."""
    rest = iter(pieces)
    for size in cycle(sizes):
        piece = "".join(islice(rest, size))
        if not piece:
            return
        yield piece


def _event(body: dict[str, Any]) -> bytes:
    text = compact(body)
    # Spaces before the last brace hide the length of what was said.
    spaces = hashlib.sha256(text.encode()).digest()[0] % 16
    return sse.encode(text[:-1] + " " * spaces + "}", body["type"])


def compact(body: object) -> str:
    """JSON without any space between its parts."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)
