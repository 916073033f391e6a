"""Anthropic's messages format.

Shapes, event order, delta sizes and padding follow real traffic of 2025 and 2026; the reference is
https://docs.anthropic.com/en/api/messages.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate, compress
from typing import Any

from course_utils.wire import messages_asking, messages_writing, sse
from course_utils.wire.fields import MalformedRequestError, json_name, rest_of, take, take_objects
from course_utils.wire.messages_writing import TO_STOP_REASON
from course_utils.wire.messages_writing import compact as _compact
from course_utils.wire.reply import Choice, Refusal, Reply, Thinking, Usage
from course_utils.wire.request import CachePlan, Message, Request, Tool, ToolCall

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
_TO_FINISH_REASON = {v: k for k, v in TO_STOP_REASON.items()} | {"stop_sequence": "stop"}
_NAMED_BLOCKS = ("text", "tool_use", "tool_result", "thinking", "redacted_thinking")
_TOOL_CHOICES = {"any": "required", "auto": "auto", "none": "none"}
_CACHE_MARK = "cache_control"


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
        choice = take(body, "tool_choice", "object", default={})
        output = take(body, "output_config", "object", default={})
        form = take(output, "format", "object", "output_config.", {})
        return Request(
            model=take(body, "model", "string"),
            messages=(*system, *messages),
            max_tokens=take(body, "max_tokens", "integer"),
            temperature=take(body, "temperature", "number", default=None),
            top_p=take(body, "top_p", "number", default=None),
            stop=_read_stop(take(body, "stop_sequences", "array", default=())),
            stream=take(body, "stream", "boolean", default=False),
            stream_usage=True,
            tools=tuple(_read_tool(t, path) for path, t in take_objects(body, "tools", default=())),
            tool_choice=_read_tool_choice(choice),
            parallel_tool_calls=not take(
                choice, "disable_parallel_tool_use", "boolean", "tool_choice.", False
            ),
            json_schema=take(form, "schema", "object", "output_config.format.", None),
            reasoning_effort=take(output, "effort", "string", "output_config.", None),
            thinking=_read_thinking(take(body, "thinking", "object", default={})),
            cache_plan=_read_cache_plan(body),
            rest=rest_of(body, _KNOWN),
        )

    def write_request(self, request: Request) -> dict[str, Any]:
        """The JSON body that asks for it; what Anthropic has no field for is left out."""
        return messages_asking.body(request)

    def write_reply(self, reply: Reply, request: Request) -> bytes:
        """The JSON body of a reply that is not streamed."""
        return _compact(messages_writing.message(reply, request)).encode()

    def write_stream(self, reply: Reply, request: Request) -> Iterator[bytes]:
        """The same reply as server-sent events, block by block, with one ping near the start."""
        return messages_writing.events(reply, request)

    def read_reply(self, body: Mapping[str, Any]) -> Reply:
        """The reply in a provider's JSON body; fields that are missing keep their defaults."""
        blocks = body.get("content") or []
        reason = body.get("stop_reason")
        choice = Choice(
            text=_text(blocks),
            finish_reason=_TO_FINISH_REASON.get(reason or "", reason),
            tool_calls=tuple(_read_tool_use(b) for b in blocks if b.get("type") == "tool_use"),
            stop_sequence=body.get("stop_sequence"),
            thinking=next((_shown(b) for b in blocks if b.get("type") == "thinking"), None),
        )
        usage = _read_usage(body.get("usage") or {})
        return Reply(body.get("id", ""), body.get("model", ""), (choice,), usage)

    def read_stream(self, events: Iterable[sse.Event]) -> Reply:
        """The reply that a stream of events adds up to; its finish_reason is None if it was cut."""
        message: dict[str, Any] = {"content": []}
        for event in events:
            body = json.loads(event.data)
            match body["type"]:
                case "message_start":
                    message = body["message"] | {"content": []}
                case "content_block_start":
                    message["content"].append(body["content_block"] | {"partial_json": ""})
                case "content_block_delta":
                    _add_delta(message["content"][-1], body["delta"])
                case "message_delta":
                    message |= body["delta"]
                    message["usage"] = message.get("usage", {}) | body.get("usage", {})
        for block in message["content"]:
            if partial := block.pop("partial_json"):
                block["input"] = json.loads(partial)
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
        system = _text(system, "system")
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
            failed = take(block, "is_error", "boolean", at, False)
            text = _text(block.get("content"))
            yield Message("tool", text, tool_call_id=call_id, is_error=failed)
    message = Message(
        role,
        _text([block for _, block in blocks]),
        tuple(_read_tool_use(b, at) for at, b in blocks if b.get("type") == "tool_use"),
        attachments=tuple(b for _, b in blocks if b.get("type") not in _NAMED_BLOCKS),
    )
    if message != Message(role):
        yield message


def _text(content: object, path: str = "content") -> str:
    """The text of a content field: a string, or a list of blocks."""
    if not isinstance(content, list):
        return str(content or "")
    blocks = (block for block in content if isinstance(block, dict))
    texts = (block for block in blocks if block.get("type") == "text")
    return "".join(take(block, "text", "string", f"{path}.", "") for block in texts)


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


def _read_stop(stops: list[Any]) -> tuple[str, ...]:
    for i, stop in enumerate(stops):
        if not isinstance(stop, str):
            raise MalformedRequestError(f"stop_sequences[{i}]", "string", json_name(stop))
    return tuple(stops)


def _read_tool_choice(choice: Mapping[str, Any]) -> str | None:
    """none, auto, required, or the name of the one tool that must be called."""
    kind = take(choice, "type", "string", "tool_choice.", "")
    return take(choice, "name", "string", "tool_choice.", None) or _TOOL_CHOICES.get(kind)


def _read_thinking(wish: Mapping[str, Any]) -> str | None:
    """What is to be shown of the thinking: summarized, omitted or default; None: no thinking."""
    if wish.get("type") not in ("enabled", "adaptive"):
        return None
    return take(wish, "display", "string", "thinking.", None) or "default"


def _read_cache_plan(body: Mapping[str, Any]) -> CachePlan | None:
    """What the marks in a body ask to cache, in the order in which the provider reads a prompt."""
    blocks = list(_prompt_blocks(body))
    marks = [block.get(_CACHE_MARK) if isinstance(block, dict) else None for _, block in blocks]
    if marks:
        marks[-1] = body.get(_CACHE_MARK) or marks[-1]
    if not any(marks):
        return None
    texts = [head + _as_read(block) for head, block in blocks]
    ends = tuple(accumulate(map(len, texts)))
    lasting = any(isinstance(mark, dict) and mark.get("ttl") == "1h" for mark in marks)
    return CachePlan("".join(texts), ends, tuple(compress(ends, marks)), lasting)


def _prompt_blocks(body: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Tools, system and messages, block by block, each with the words that introduce it."""
    yield from (("", tool) for tool in body.get("tools") or ())
    yield from (("\nsystem: ", block) for block in _as_blocks(body.get("system") or ()))
    for entry in body.get("messages") or ():
        head = f"\n{entry.get('role')}: "
        yield from ((head, block) for block in _as_blocks(entry.get("content")))


def _as_blocks(content: object) -> Iterable[object]:
    return content if isinstance(content, list | tuple) else (content,)


def _as_read(block: object) -> str:
    if not isinstance(block, dict):
        return str(block)
    if block.get("type") == "text":
        return str(block.get("text"))
    return _compact({key: value for key, value in block.items() if key != _CACHE_MARK})


def _shown(block: Mapping[str, Any]) -> Thinking:
    return Thinking(block.get("thinking") or "", block.get("signature") or "")


def _read_usage(body: Mapping[str, Any]) -> Usage:
    cached = body.get("cache_read_input_tokens") or 0
    written = body.get("cache_creation_input_tokens") or 0
    return Usage(
        prompt_tokens=(body.get("input_tokens") or 0) + cached + written,
        completion_tokens=body.get("output_tokens") or 0,
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=(body.get("output_tokens_details") or {}).get("thinking_tokens") or 0,
    )


def _add_delta(block: dict[str, Any], delta: Mapping[str, Any]) -> None:
    for key in ("text", "partial_json", "thinking", "signature"):
        if key in delta:
            block[key] = block.get(key, "") + delta[key]
