"""OpenAI's chat completions format, which Google and local servers speak too.

Shapes, key order, chunk sizes and padding follow real traffic of 2025 and 2026; the reference is
https://platform.openai.com/docs/api-reference/chat.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from course_utils.wire import chat_asking, chat_writing, sse
from course_utils.wire.fields import MalformedRequestError, json_name, rest_of, take, take_objects
from course_utils.wire.reply import Choice, Refusal, Reply, TokenLogprob, Usage
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
        "parallel_tool_calls",
        "response_format",
        "reasoning_effort",
        "logprobs",
        "top_logprobs",
    ]
)
_ROLES = {"developer": "system", "function": "tool"}


@dataclass(frozen=True, slots=True)
class OpenAIChat:
    """The codec, in the dialect of one provider.

    `full` replies carry the nulls, details and tiers that OpenAI sends and others leave out;
    `padded` streams hide the length of each token; `delta_tokens` is the size of a text delta;
    `google_errors` are objects in a list, with a status in words; `max_tokens_param` is the name of
    the limit on the answer in a request; `layered` errors show by their indent how far into the
    provider a call came.
    """

    full: bool = True
    padded: bool = True
    indent: int | None = 2
    fingerprint: str | None = None
    delta_tokens: int = 1
    google_errors: bool = False
    max_tokens_param: str = "max_completion_tokens"
    layered: bool = True

    def read_request(self, body: Mapping[str, Any]) -> Request:
        """The request in a body; MalformedRequestError where it does not fit the format."""
        options = take(body, "stream_options", "object", default={})
        output = take(body, "response_format", "object", default={})
        schema = take(output, "json_schema", "object", "response_format.", default={}).get("schema")
        limit = take(body, "max_tokens", "integer", default=None)
        return Request(
            model=take(body, "model", "string"),
            messages=tuple(read_message(m, path) for path, m in take_objects(body, "messages")),
            max_tokens=take(body, "max_completion_tokens", "integer", default=limit),
            temperature=take(body, "temperature", "number", default=None),
            top_p=take(body, "top_p", "number", default=None),
            stop=_read_stop(body.get("stop")),
            n=take(body, "n", "integer", default=1),
            seed=take(body, "seed", "integer", default=None),
            stream=take(body, "stream", "boolean", default=False),
            stream_usage=bool(options.get("include_usage")),
            stream_padding=options.get("include_obfuscation") is not False,
            tools=_read_tools(body),
            parallel_tool_calls=take(body, "parallel_tool_calls", "boolean", default=True),
            tool_choice=_read_tool_choice(body.get("tool_choice") or body.get("function_call")),
            json_mode=output.get("type") == "json_object",
            json_schema=schema if isinstance(schema, dict) else None,
            reasoning_effort=take(body, "reasoning_effort", "string", default=None),
            logprobs=_read_logprobs_wish(body),
            rest=rest_of(body, _KNOWN),
        )

    def write_request(self, request: Request) -> dict[str, Any]:
        """The JSON body that asks for it."""
        return chat_asking.body(request, self.max_tokens_param)

    def write_reply(self, reply: Reply, request: Request) -> bytes:
        """The JSON body of a reply that is not streamed."""
        body = chat_writing.completion(reply, request, self)
        if self.indent is None:
            return (chat_writing.compact(body) + "\n").encode()
        return (json.dumps(body, indent=self.indent, ensure_ascii=False) + "\n").encode()

    def write_stream(self, reply: Reply, request: Request) -> Iterator[bytes]:
        """The same reply as server-sent events, one chunk a delta, ended by `[DONE]`."""
        return chat_writing.chunks(reply, request, self)

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
            google |= {"details": list(refusal.details)} if refusal.details else {}
            return json.dumps([{"error": google}], indent=2, ensure_ascii=False).encode()
        error = {
            "message": refusal.message,
            "type": refusal.type,
            "param": refusal.param,
            "code": refusal.code,
        }
        # Two layers answer at OpenAI: the outer one, which knows keys and models, indents by 4.
        outer = refusal.status == 401 or refusal.code == "model_not_found"
        if self.full and outer and self.layered:
            return (json.dumps({"error": error}, indent=4, ensure_ascii=False) + "\n").encode()
        if self.indent is None:
            return (chat_writing.compact({"error": error}) + "\n").encode()
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
# Endpoints where one layer answers for all: vectors and responses.
UNLAYERED = OpenAIChat(layered=False)
GOOGLE = OpenAIChat(
    full=False,
    padded=False,
    indent=None,
    delta_tokens=40,
    google_errors=True,
    max_tokens_param="max_tokens",
)
LOCAL = OpenAIChat(
    full=False, padded=False, indent=None, fingerprint="fp_ollama", max_tokens_param="max_tokens"
)


def read_message(body: Mapping[str, Any], path: str) -> Message:
    """One message of a conversation; MalformedRequestError where it does not fit the format."""
    role = take(body, "role", "string", path)
    text, attachments = _read_content(body.get("content"), path)
    name = take(body, "name", "string", path, None)
    calls = [_read_tool_call(call, at) for at, call in take_objects(body, "tool_calls", path, ())]
    if old := take(body, "function_call", "object", path, None):
        # Before there were tools, a call had no id: its result names the function.
        calls.append(_read_function(old, f"{path}function_call.", str(old.get("name"))))
    answered = take(body, "tool_call_id", "string", path, name if role == "function" else None)
    role = _ROLES.get(role, role)
    return Message(role, text, tuple(calls), answered, attachments, name)


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
    call_id = take(body, "id", "string", path, "")
    if body.get("type") == "custom":
        custom = take(body, "custom", "object", path)
        name = take(custom, "name", "string", f"{path}custom.")
        return ToolCall(call_id, name, take(custom, "input", "string", f"{path}custom.", ""))
    return _read_function(take(body, "function", "object", path), f"{path}function.", call_id)


def _read_function(function: Mapping[str, Any], path: str, call_id: str) -> ToolCall:
    return ToolCall(
        id=call_id,
        name=take(function, "name", "string", path),
        arguments=take(function, "arguments", "string", path, "{}"),
    )


def _read_tools(body: Mapping[str, Any]) -> tuple[Tool, ...]:
    tools = [_read_tool(t, path) for path, t in take_objects(body, "tools", default=())]
    old = [_read_named(f, path) for path, f in take_objects(body, "functions", default=())]
    return (*tools, *old)


def _read_tool(body: Mapping[str, Any], path: str) -> Tool:
    kind = "custom" if body.get("type") == "custom" else "function"
    return _read_named(take(body, kind, "object", path), f"{path}{kind}.")


def _read_named(function: Mapping[str, Any], path: str) -> Tool:
    return Tool(
        name=take(function, "name", "string", path),
        description=take(function, "description", "string", path, ""),
        parameters=take(function, "parameters", "object", path, {}),
    )


def _read_tool_choice(choice: object) -> str | None:
    """none, auto, required, or the name of the one tool that must be called."""
    if not isinstance(choice, dict):
        return choice if isinstance(choice, str) else None
    if choice.get("type") == "allowed_tools":
        allowed = take(choice, "allowed_tools", "object", "tool_choice.", {})
        return str(allowed.get("mode") or "auto")
    kind = "custom" if choice.get("type") == "custom" else "function"
    named = take(choice, kind, "object", "tool_choice.", choice)
    return str(take(named, "name", "string", f"tool_choice.{kind}.", "required"))


def _read_logprobs_wish(body: Mapping[str, Any]) -> int | None:
    if not take(body, "logprobs", "boolean", default=False):
        return None
    return int(take(body, "top_logprobs", "integer", default=0))


def _read_stop(stop: object) -> tuple[str, ...]:
    if stop is None or isinstance(stop, str):
        return (stop,) if stop else ()
    if not isinstance(stop, list) or not all(isinstance(s, str) for s in stop):
        raise MalformedRequestError("stop", "string", json_name(stop))
    return tuple(stop)


def _read_choice(body: Mapping[str, Any]) -> Choice:
    message = body.get("message") or {}
    calls = [_read_tool_call(call, "") for call in message.get("tool_calls") or ()]
    if old := message.get("function_call"):
        calls.append(_read_function(old, "", ""))
    reason = body.get("finish_reason")
    logprobs = (body.get("logprobs") or {}).get("content")
    return Choice(
        text=message.get("content") or "",
        finish_reason="tool_calls" if reason == "function_call" else reason,
        tool_calls=tuple(calls),
        refusal=message.get("refusal"),
        logprobs=None if logprobs is None else tuple(map(_read_logprob, logprobs)),
    )


def _read_logprob(body: Mapping[str, Any]) -> TokenLogprob:
    utf8 = bytes(body["bytes"]) if body.get("bytes") else str(body.get("token", "")).encode()
    top = tuple(map(_read_logprob, body.get("top_logprobs") or ()))
    return TokenLogprob(utf8, body.get("logprob", 0.0), top)


def _read_usage(body: Mapping[str, Any]) -> Usage:
    read = body.get("prompt_tokens_details") or {}
    return Usage(
        prompt_tokens=body.get("prompt_tokens") or 0,
        completion_tokens=body.get("completion_tokens") or 0,
        cached_tokens=read.get("cached_tokens") or 0,
        cache_write_tokens=read.get("cache_write_tokens") or 0,
        reasoning_tokens=(body.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0,
    )


def _add_delta(choice: dict[str, Any], part: Mapping[str, Any]) -> None:
    choice["finish_reason"] = part.get("finish_reason") or choice.get("finish_reason")
    message, delta = choice["message"], part.get("delta") or {}
    for key in ("content", "refusal"):
        if delta.get(key) is not None:
            message[key] = (message.get(key) or "") + delta[key]
    if (entries := (part.get("logprobs") or {}).get("content")) is not None:
        choice.setdefault("logprobs", {"content": []})["content"].extend(entries)
    if old := delta.get("function_call"):
        _add_function(message.setdefault("function_call", {"name": "", "arguments": ""}), old)
    calls = message.setdefault("tool_calls", [])
    for piece in delta.get("tool_calls") or ():
        # Some servers send no index: then each piece with an id opens a call of its own.
        index = piece.get("index", len(calls) - (not piece.get("id") and bool(calls)))
        while len(calls) <= index:
            calls.append({"id": "", "function": {"name": "", "arguments": ""}})
        calls[index]["id"] = calls[index]["id"] or piece.get("id") or ""
        _add_function(calls[index]["function"], piece.get("function") or {})


def _add_function(whole: dict[str, str], piece: Mapping[str, Any]) -> None:
    for key in ("name", "arguments"):
        whole[key] += piece.get(key) or ""


def _a(kind: str) -> str:
    return kind if kind == "null" else f"an {kind}" if kind[0] in "aeio" else f"a {kind}"
