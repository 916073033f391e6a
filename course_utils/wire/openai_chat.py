"""OpenAI's chat completions format, which Google and local servers speak too.

Shapes, key order, chunk sizes and padding follow real traffic of 2025 and 2026; the reference is
https://platform.openai.com/docs/api-reference/chat (seen 2026-11-22).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from course_utils.wire import sse, tokens
from course_utils.wire.fields import MalformedRequestError, json_name, rest_of, take, take_objects
from course_utils.wire.reply import Choice, Refusal, Reply, Usage
from course_utils.wire.request import Message, Request, Tool, ToolCall

_KNOWN = frozenset(
    [
        "model",
        "messages",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "stop",
        "n",
        "seed",
        "stream",
        "stream_options",
        "tools",
        "tool_choice",
        "response_format",
        "reasoning_effort",
    ]
)
_ROLES = {"developer": "system", "function": "tool"}


@dataclass(frozen=True, slots=True)
class OpenAIChat:
    """The codec, in the dialect of one provider.

    `full` replies carry the nulls, details and tiers that OpenAI sends and others leave out;
    `padded` streams hide the length of each token; `delta_tokens` is the size of a text delta;
    `google_errors` are objects in a list, with a status in words.
    """

    full: bool = True
    padded: bool = True
    indent: int | None = 2
    fingerprint: str | None = None
    delta_tokens: int = 1
    google_errors: bool = False

    def read_request(self, body: Mapping[str, Any]) -> Request:
        """The request in a body; MalformedRequestError where it does not fit the format."""
        options = take(body, "stream_options", "object", default={})
        output = take(body, "response_format", "object", default={})
        schema = take(output, "json_schema", "object", "response_format.", default={}).get("schema")
        limit = take(body, "max_tokens", "integer", default=None)
        return Request(
            model=take(body, "model", "string"),
            messages=tuple(_read_message(m, path) for path, m in take_objects(body, "messages")),
            max_tokens=take(body, "max_completion_tokens", "integer", default=limit),
            temperature=take(body, "temperature", "number", default=None),
            top_p=take(body, "top_p", "number", default=None),
            stop=_read_stop(body.get("stop")),
            n=take(body, "n", "integer", default=1),
            seed=take(body, "seed", "integer", default=None),
            stream=take(body, "stream", "boolean", default=False),
            stream_usage=bool(options.get("include_usage")),
            tools=tuple(_read_tool(t, path) for path, t in take_objects(body, "tools", default=())),
            tool_choice=_read_tool_choice(body.get("tool_choice")),
            json_mode=output.get("type") == "json_object",
            json_schema=schema if isinstance(schema, dict) else None,
            reasoning_effort=take(body, "reasoning_effort", "string", default=None),
            rest=rest_of(body, _KNOWN),
        )

    def write_reply(self, reply: Reply, request: Request) -> bytes:
        """The JSON body of a reply that is not streamed."""
        choices = [_write_choice(i, choice, self) for i, choice in enumerate(reply.choices)]
        usage = _write_usage(reply.usage, self)
        head = _head(reply, "chat.completion")
        body = head | {"choices": choices, "usage": usage} | self._backend()
        end = "\n" if self.indent else ""
        return (json.dumps(body, indent=self.indent, ensure_ascii=False) + end).encode()

    def write_stream(self, reply: Reply, request: Request) -> Iterator[bytes]:
        """The same reply as server-sent events, one chunk a delta, ended by `[DONE]`."""
        head = _head(reply, "chat.completion.chunk") | self._backend()
        usage = {"usage": None} if request.stream_usage and self.full else {}
        for index, choice in enumerate(reply.choices):
            for delta in _deltas(choice, self):
                yield _chunk(head, [_write_delta(index, delta, None, self)], usage, self)
            last = _write_delta(index, {}, choice.finish_reason, self)
            yield _chunk(head, [last], usage, self)
        if request.stream_usage:
            yield _chunk(head, [], {"usage": _write_usage(reply.usage, self)}, self)
        yield sse.encode("[DONE]")

    def _backend(self) -> dict[str, Any]:
        """The fields that say which backend answered."""
        tier = {"service_tier": "default"} if self.full else {}
        fingerprint = {"system_fingerprint": self.fingerprint}
        return tier | (fingerprint if self.full or self.fingerprint else {})

    def read_reply(self, body: Mapping[str, Any]) -> Reply:
        """The reply in a provider's JSON body; fields that are missing keep their defaults."""
        return Reply(
            id=body.get("id", ""),
            model=body.get("model", ""),
            choices=tuple(_read_choice(choice) for choice in body.get("choices") or ()),
            usage=_read_usage(body.get("usage") or {}),
            created=body.get("created", 0),
        )

    def read_stream(self, events: Iterable[sse.Event]) -> Reply:
        """The reply that a stream of events adds up to; its finish_reason is None if it was cut."""
        whole: dict[str, Any] = {}
        choices: dict[int, dict[str, Any]] = {}
        for event in events:
            if event.data == "[DONE]":
                break
            chunk = json.loads(event.data)
            whole |= {key: value for key, value in chunk.items() if value}
            for part in chunk.get("choices") or ():
                _add_delta(choices.setdefault(part.get("index", 0), {"message": {}}), part)
        return self.read_reply(whole | {"choices": [choices[i] for i in sorted(choices)]})

    def write_error(self, refusal: Refusal, request_id: str) -> bytes:
        """The JSON body of an error; OpenAI's and local servers' name no request in it."""
        if self.google_errors:
            google = {"code": refusal.status, "message": refusal.message, "status": refusal.type}
            return json.dumps([{"error": google}], indent=2, ensure_ascii=False).encode()
        error = {
            "message": refusal.message,
            "type": refusal.type,
            "param": refusal.param,
            "code": refusal.code,
        }
        return json.dumps({"error": error}, indent=2, ensure_ascii=False).encode()

    def malformed(self, error: MalformedRequestError) -> Refusal:
        """OpenAI's words for a body that does not fit the format."""
        kind = "INVALID_ARGUMENT" if self.google_errors else "invalid_request_error"
        if error.param == "model" and error.got is None:
            return Refusal(400, kind, "you must provide a model parameter")
        if error.got is None:
            text = f"Missing required parameter: '{error.param}'."
            code = "missing_required_parameter"
        else:
            text = (
                f"Invalid type for '{error.param}': expected {_a(error.expected)}, "
                f"but got {_a(error.got)} instead."
            )
            code = "invalid_type"
        return Refusal(400, kind, text, code, error.param)


OPENAI = OpenAIChat()
GOOGLE = OpenAIChat(full=False, padded=False, indent=None, delta_tokens=40, google_errors=True)
LOCAL = OpenAIChat(full=False, padded=False, indent=None, fingerprint="fp_ollama")


def _read_message(body: Mapping[str, Any], path: str) -> Message:
    role = take(body, "role", "string", path)
    text, attachments = _read_content(body.get("content"), path)
    return Message(
        role=_ROLES.get(role, role),
        text=text,
        tool_calls=tuple(
            _read_tool_call(call, at) for at, call in take_objects(body, "tool_calls", path, ())
        ),
        tool_call_id=take(body, "tool_call_id", "string", path, None),
        attachments=attachments,
    )


def _read_content(content: object, path: str) -> tuple[str, tuple[Mapping[str, Any], ...]]:
    """The text of a message's content, a string or a list of parts, and its other parts."""
    if content is None or isinstance(content, str):
        return content or "", ()
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise MalformedRequestError(f"{path}content", "string", json_name(content))
    texts = [part["text"] for part in content if isinstance(part.get("text"), str)]
    others = tuple(part for part in content if not isinstance(part.get("text"), str))
    return "".join(texts), others


def _read_tool_call(body: Mapping[str, Any], path: str) -> ToolCall:
    function = take(body, "function", "object", path)
    return ToolCall(
        id=take(body, "id", "string", path, ""),
        name=take(function, "name", "string", f"{path}function."),
        arguments=take(function, "arguments", "string", f"{path}function.", "{}"),
    )


def _read_tool(body: Mapping[str, Any], path: str) -> Tool:
    function = take(body, "function", "object", path)
    return Tool(
        name=take(function, "name", "string", f"{path}function."),
        description=take(function, "description", "string", f"{path}function.", ""),
        parameters=take(function, "parameters", "object", f"{path}function.", {}),
    )


def _read_tool_choice(choice: object) -> str | None:
    """none, auto, required, or the name of the one tool that must be called."""
    if isinstance(choice, dict):
        function = take(choice, "function", "object", "tool_choice.", {})
        return take(function, "name", "string", "tool_choice.function.", "required")  # type: ignore[no-any-return]
    return choice if isinstance(choice, str) else None


def _read_stop(stop: object) -> tuple[str, ...]:
    if stop is None or isinstance(stop, str):
        return (stop,) if stop else ()
    if not isinstance(stop, list) or not all(isinstance(s, str) for s in stop):
        raise MalformedRequestError("stop", "string", json_name(stop))
    return tuple(stop)


def _head(reply: Reply, kind: str) -> dict[str, Any]:
    return {"id": reply.id, "object": kind, "created": reply.created, "model": reply.model}


def _write_choice(index: int, choice: Choice, dialect: OpenAIChat) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": choice.text or None}
    if choice.tool_calls:
        message["tool_calls"] = [_write_tool_call(call) for call in choice.tool_calls]
    elif not choice.refusal:
        message["content"] = choice.text
    if dialect.full:
        message |= {"refusal": choice.refusal, "annotations": []}
    logprobs = {"logprobs": None} if dialect.full else {}
    return {
        "index": index,
        "message": message,
        **logprobs,
        "finish_reason": choice.finish_reason,
    }


def _write_tool_call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _write_usage(usage: Usage, dialect: OpenAIChat) -> dict[str, Any]:
    body: dict[str, Any] = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }
    if dialect.full:
        body["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens, "audio_tokens": 0}
        body["completion_tokens_details"] = {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        }
    return body


def _deltas(choice: Choice, dialect: OpenAIChat) -> Iterator[dict[str, Any]]:
    """What each chunk adds: first the role, then a piece of text or of a tool call each."""
    first: dict[str, Any] = {"role": "assistant", "content": "" if choice.text else None}
    refusal = {"refusal": None} if dialect.full else {}
    if not choice.tool_calls:
        yield first | {"content": None if choice.refusal else ""} | refusal
        first = {}
    for piece in tokens.pieces(choice.text, dialect.delta_tokens):
        yield first | {"content": piece}
        first = {}
    if choice.refusal:
        yield {"refusal": choice.refusal}
    for index, call in enumerate(choice.tool_calls):
        opened = {"index": index} | _write_tool_call(ToolCall(call.id, call.name, ""))
        yield first | {"tool_calls": [opened]} | (refusal if first else {})
        first = {}
        for piece in tokens.pieces(call.arguments, 1):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _write_delta(
    index: int, delta: dict[str, Any], finish_reason: str | None, dialect: OpenAIChat
) -> dict[str, Any]:
    logprobs = {"logprobs": None} if dialect.full else {}
    return {"index": index, "delta": delta, **logprobs, "finish_reason": finish_reason}


def _chunk(
    head: dict[str, Any], choices: list[Any], usage: dict[str, Any], dialect: OpenAIChat
) -> bytes:
    body = head | {"choices": choices} | usage
    if dialect.padded:
        body["obfuscation"] = ""
        bare = len(_compact(body))
        # Every chunk's length is 1 above a multiple of 16, so that it does not betray the token.
        body["obfuscation"] = _letters(f"{head['id']}{choices}", 1 + -bare % 16)
    return sse.encode(_compact(body))


def _compact(body: object) -> str:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)


def _letters(seed: str, n: int) -> str:
    return hashlib.sha256(seed.encode()).hexdigest()[:n]


def _read_choice(body: Mapping[str, Any]) -> Choice:
    message = body.get("message") or {}
    calls = message.get("tool_calls") or ()
    return Choice(
        text=message.get("content") or "",
        finish_reason=body.get("finish_reason"),
        tool_calls=tuple(_read_tool_call(call, "") for call in calls),
        refusal=message.get("refusal"),
    )


def _read_usage(body: Mapping[str, Any]) -> Usage:
    return Usage(
        prompt_tokens=body.get("prompt_tokens") or 0,
        completion_tokens=body.get("completion_tokens") or 0,
        cached_tokens=(body.get("prompt_tokens_details") or {}).get("cached_tokens") or 0,
        reasoning_tokens=(body.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0,
    )


def _add_delta(choice: dict[str, Any], part: Mapping[str, Any]) -> None:
    choice["finish_reason"] = part.get("finish_reason") or choice.get("finish_reason")
    message, delta = choice["message"], part.get("delta") or {}
    for key in ("content", "refusal"):
        if delta.get(key):
            message[key] = message.get(key, "") + delta[key]
    calls = message.setdefault("tool_calls", [])
    for piece in delta.get("tool_calls") or ():
        function = piece.get("function") or {}
        if piece.get("id"):
            calls.append({"id": piece["id"], "function": {"name": "", "arguments": ""}})
        for key in ("name", "arguments"):
            calls[-1]["function"][key] += function.get(key) or ""


def _a(kind: str) -> str:
    return kind if kind == "null" else f"an {kind}" if kind[0] in "aeio" else f"a {kind}"
