"""Anthropic's messages format.

Shapes, event order, delta sizes and padding follow real traffic of 2025 and 2026; the reference is
https://docs.anthropic.com/en/api/messages (seen 2026-11-22).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import cycle, islice
from typing import Any

from course_utils.wire import sse, tokens
from course_utils.wire.fields import MalformedRequestError, json_name, rest_of, take, take_objects
from course_utils.wire.reply import Choice, Refusal, Reply, Usage
from course_utils.wire.request import Message, Request, Tool, ToolCall

_KNOWN = frozenset(
    [
        "model",
        "messages",
        "system",
        "max_tokens",
        "temperature",
        "top_p",
        "stop_sequences",
        "stream",
        "tools",
        "tool_choice",
        "output_config",
    ]
)
_TO_STOP_REASON = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
_TO_FINISH_REASON = {v: k for k, v in _TO_STOP_REASON.items()} | {"stop_sequence": "stop"}
_NAMED_BLOCKS = ("text", "tool_use", "tool_result")
_TOOL_CHOICES = {"any": "required", "auto": "auto", "none": "none"}
_FINAL_USAGE = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
)
# Tokens a text delta: real streams send several at a time, few at first and more later.
_DELTA_TOKENS = (1, 3, 2, 6, 4)


class AnthropicMessages:
    """The codec: it has no dialects."""

    def read_request(self, body: Mapping[str, Any]) -> Request:
        """The request in a body; MalformedRequestError where it does not fit the format."""
        system = _read_system(body.get("system"))
        messages = [
            message
            for path, entry in take_objects(body, "messages")
            for message in _read_messages(entry, path)
        ]
        output = take(body, "output_config", "object", default={}).get("format") or {}
        return Request(
            model=take(body, "model", "string"),
            messages=(*system, *messages),
            max_tokens=take(body, "max_tokens", "integer"),
            temperature=take(body, "temperature", "number", default=None),
            top_p=take(body, "top_p", "number", default=None),
            stop=tuple(take(body, "stop_sequences", "array", default=())),
            stream=take(body, "stream", "boolean", default=False),
            stream_usage=True,
            tools=tuple(_read_tool(t, path) for path, t in take_objects(body, "tools", default=())),
            tool_choice=_read_tool_choice(take(body, "tool_choice", "object", default={})),
            json_schema=output.get("schema"),
            rest=rest_of(body, _KNOWN),
        )

    def write_reply(self, reply: Reply, request: Request) -> bytes:
        """The JSON body of a reply that is not streamed."""
        message = _write_message(reply)
        return _compact(message).encode()

    def write_stream(self, reply: Reply, request: Request) -> Iterator[bytes]:
        """The same reply as server-sent events, block by block, with one ping near the start."""
        message = _write_message(reply)
        blocks = message["content"]
        opened = message | {"content": [], "stop_reason": None, "stop_sequence": None}
        opened["usage"] = message["usage"] | {"output_tokens": 1}
        yield _event({"type": "message_start", "message": opened})
        for index, block in enumerate(blocks):
            yield from _write_block(index, block)
        stop = {"stop_reason": message["stop_reason"], "stop_sequence": message["stop_sequence"]}
        usage = {key: message["usage"][key] for key in _FINAL_USAGE}
        yield _event({"type": "message_delta", "delta": stop, "usage": usage})
        yield _event({"type": "message_stop"})

    def read_reply(self, body: Mapping[str, Any]) -> Reply:
        """The reply in a provider's JSON body; fields that are missing keep their defaults."""
        blocks = body.get("content") or []
        reason = body.get("stop_reason")
        choice = Choice(
            text=_text(blocks),
            finish_reason=_TO_FINISH_REASON.get(reason or "", reason),
            tool_calls=tuple(_read_tool_use(b) for b in blocks if b.get("type") == "tool_use"),
            stop_sequence=body.get("stop_sequence"),
        )
        usage = _read_usage(body.get("usage") or {})
        return Reply(body.get("id", ""), body.get("model", ""), (choice,), usage)

    def read_stream(self, events: Iterable[sse.Event]) -> Reply:
        """The reply that a stream of events adds up to; its finish_reason is None if it was cut."""
        message: dict[str, Any] = {"content": []}
        for event in events:
            body = json.loads(event.data)
            if body["type"] == "message_start":
                message = body["message"] | {"content": []}
            elif body["type"] == "content_block_start":
                message["content"].append(body["content_block"] | {"partial_json": ""})
            elif body["type"] == "content_block_delta":
                _add_delta(message["content"][-1], body["delta"])
            elif body["type"] == "message_delta":
                message |= body["delta"]
                message["usage"] = message.get("usage", {}) | body.get("usage", {})
        for block in message["content"]:
            block["input"] = json.loads(block.pop("partial_json") or "{}")
        return self.read_reply(message)

    def write_error(self, refusal: Refusal, request_id: str) -> bytes:
        """The JSON body of an error."""
        error = {"type": refusal.type, "message": refusal.message}
        return _compact({"type": "error", "error": error, "request_id": request_id}).encode()

    def malformed(self, error: MalformedRequestError) -> Refusal:
        """Anthropic's words for a body that does not fit the format."""
        words = {"array": "list", "object": "dictionary", "decimal": "number"}
        path = error.param.replace("[", ".").replace("]", "")
        if error.got is None:
            text = f"{path}: Field required"
        else:
            text = f"{path}: Input should be a valid {words.get(error.expected, error.expected)}"
        return Refusal(400, "invalid_request_error", text)


def _read_system(system: object) -> list[Message]:
    if isinstance(system, list):
        system = "".join(block.get("text", "") for block in system if isinstance(block, dict))
    if system is not None and not isinstance(system, str):
        raise MalformedRequestError("system", "string", json_name(system))
    return [Message("system", system)] if system else []


def _read_messages(body: Mapping[str, Any], path: str) -> Iterator[Message]:
    """One entry as one message, after a message of its own for each tool result in it."""
    role, content = take(body, "role", "string", path), body.get("content")
    if isinstance(content, str):
        yield Message(role, content)
        return
    blocks = take_objects(body, "content", path)
    for at, block in blocks:
        if block.get("type") == "tool_result":
            call_id = take(block, "tool_use_id", "string", at)
            yield Message("tool", _text(block.get("content")), tool_call_id=call_id)
    message = Message(
        role,
        _text([block for _, block in blocks]),
        tuple(_read_tool_use(b, at) for at, b in blocks if b.get("type") == "tool_use"),
        attachments=tuple(b for _, b in blocks if b.get("type") not in _NAMED_BLOCKS),
    )
    if message != Message(role):
        yield message


def _text(content: object) -> str:
    """The text of a content field: a string, or a list of blocks."""
    if not isinstance(content, list):
        return str(content or "")
    blocks = (block for block in content if isinstance(block, dict))
    return "".join(block.get("text", "") for block in blocks if block.get("type") == "text")


def _read_tool_use(block: Mapping[str, Any], path: str = "") -> ToolCall:
    arguments = take(block, "input", "object", path, {})
    return ToolCall(
        take(block, "id", "string", path), take(block, "name", "string", path), _compact(arguments)
    )


def _read_tool(body: Mapping[str, Any], path: str) -> Tool:
    return Tool(
        name=take(body, "name", "string", path),
        description=take(body, "description", "string", path, ""),
        parameters=take(body, "input_schema", "object", path, {}),
    )


def _read_tool_choice(choice: Mapping[str, Any]) -> str | None:
    """none, auto, required, or the name of the one tool that must be called."""
    return choice.get("name") or _TOOL_CHOICES.get(choice.get("type", ""))


def _write_message(reply: Reply) -> dict[str, Any]:
    choice = reply.choices[0]
    return {
        "model": reply.model,
        "id": reply.id,
        "type": "message",
        "role": "assistant",
        "content": list(_blocks(choice)),
        "stop_reason": _stop_reason(choice),
        "stop_sequence": choice.stop_sequence,
        "usage": _write_usage(reply.usage),
    }


def _blocks(choice: Choice) -> Iterator[dict[str, Any]]:
    if choice.text or choice.refusal or not choice.tool_calls:
        yield {"type": "text", "text": choice.refusal or choice.text}
    for call in choice.tool_calls:
        arguments = json.loads(call.arguments)
        yield {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments}


def _stop_reason(choice: Choice) -> str | None:
    if choice.stop_sequence is not None:
        return "stop_sequence"
    return _TO_STOP_REASON.get(choice.finish_reason or "")


def _write_usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt_tokens - usage.cached_tokens - usage.cache_write_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cached_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_tokens,
            "ephemeral_1h_input_tokens": 0,
        },
        "output_tokens": usage.completion_tokens,
        "service_tier": "standard",
        "inference_geo": "not_available",
    }


def _write_block(index: int, block: dict[str, Any]) -> Iterator[bytes]:
    start: dict[str, Any] = {"text": ""} if block["type"] == "text" else {"input": {}}
    yield _event({"type": "content_block_start", "index": index, "content_block": block | start})
    if index == 0:
        yield sse.encode('{"type": "ping"}', "ping")
    for delta in _deltas(block):
        yield _event({"type": "content_block_delta", "index": index, "delta": delta})
    yield _event({"type": "content_block_stop", "index": index})


def _deltas(block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if block["type"] == "text":
        for piece in _grouped(tokens.pieces(block["text"], 1)):
            yield {"type": "text_delta", "text": piece}
        return
    yield {"type": "input_json_delta", "partial_json": ""}
    for piece in tokens.pieces(json.dumps(block["input"], ensure_ascii=False), 2):
        yield {"type": "input_json_delta", "partial_json": piece}


def _grouped(pieces: Iterable[str]) -> Iterator[str]:
    """The same text in fewer, uneven pieces."""
    rest = iter(pieces)
    for size in cycle(_DELTA_TOKENS):
        piece = "".join(islice(rest, size))
        if not piece:
            return
        yield piece


def _event(body: dict[str, Any]) -> bytes:
    text = _compact(body)
    # Spaces before the last brace hide the length of what was said.
    spaces = hashlib.sha256(text.encode()).digest()[0] % 16
    return sse.encode(text[:-1] + " " * spaces + "}", body["type"])


def _compact(body: object) -> str:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)


def _read_usage(body: Mapping[str, Any]) -> Usage:
    cached = body.get("cache_read_input_tokens") or 0
    written = body.get("cache_creation_input_tokens") or 0
    return Usage(
        prompt_tokens=(body.get("input_tokens") or 0) + cached + written,
        completion_tokens=body.get("output_tokens") or 0,
        cached_tokens=cached,
        cache_write_tokens=written,
    )


def _add_delta(block: dict[str, Any], delta: Mapping[str, Any]) -> None:
    for key in ("text", "partial_json"):
        block[key] = block.get(key, "") + delta.get(key, "")
