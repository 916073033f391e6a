"""OpenAI's Responses format.

Shapes and words follow real traffic of 2025 and 2026; the reference is
https://platform.openai.com/docs/api-reference/responses. The response object is
written in `responses_body`, its events in `responses_events`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from course_utils.wire import openai_chat, responses_asking, sse
from course_utils.wire.fields import MalformedRequestError, json_name, rest_of, take, take_objects
from course_utils.wire.reply import Choice, Refusal, Reply, Usage
from course_utils.wire.request import Message, Request, Tool, ToolCall
from course_utils.wire.responses_body import write_response
from course_utils.wire.responses_events import write_events
from course_utils.wire.responses_fields import check_fields

# All else is kept as it came, because the response repeats it.
_READ = frozenset(["model", "input", "stream"])
_ROLES = {"developer": "system"}
_FINISH_REASONS = {"max_output_tokens": "length", "content_filter": "content_filter"}
_TEXT_OR_PARTS = "one of an array of objects or string"


class OpenAIResponses:
    """The codec: it has no dialects."""

    def read_request(self, body: Mapping[str, Any]) -> Request:
        """The request in a body; MalformedRequestError where it does not fit the format.

        `rest` keeps every field but the model and the input, for the response to repeat.
        """
        check_fields(body)
        text = take(body, "text", "object", default={})
        output = take(text, "format", "object", "text.", default={})
        schema = take(output, "schema", "object", "text.format.", default=None)
        instructions = take(body, "instructions", "string", default="")
        system = (Message("system", instructions),) if instructions else ()
        tools = take_objects(body, "tools", default=())
        return Request(
            model=take(body, "model", "string"),
            messages=(*system, *_read_input(body.get("input"))),
            max_tokens=take(body, "max_output_tokens", "integer", default=None),
            temperature=take(body, "temperature", "number", default=None),
            top_p=take(body, "top_p", "number", default=None),
            stream=take(body, "stream", "boolean", default=False),
            stream_usage=True,
            stream_padding=_read_padding(body),
            tools=tuple(_read_tool(t, path) for path, t in tools if t.get("type") == "function"),
            tool_choice=_read_tool_choice(body.get("tool_choice")),
            parallel_tool_calls=take(body, "parallel_tool_calls", "boolean", default=True),
            json_mode=output.get("type") == "json_object",
            json_schema=schema,
            reasoning_effort=_read_effort(body),
            logprobs=_read_logprobs(body),
            rest=rest_of(body, _READ),
        )

    def write_request(self, request: Request) -> dict[str, Any]:
        """The JSON body that asks for it; what the format has no field for is left out."""
        return responses_asking.body(request)

    def write_reply(self, reply: Reply, request: Request, status: str | None = None) -> bytes:
        """The JSON body of a response; `status` where it is not that of a finished one."""
        return _indented(write_response(reply, request, status))

    def write_stream(self, reply: Reply, request: Request) -> Iterator[bytes]:
        """The same reply as server-sent events."""
        return write_events(reply, request)

    def read_reply(self, body: Mapping[str, Any]) -> Reply:
        """The reply in a response object; fields that are missing keep their defaults."""
        items = body.get("output") or ()
        calls = tuple(_read_call(item) for item in items if item.get("type") == "function_call")
        parts = [part for item in items for part in item.get("content") or ()]
        choice = Choice(
            text="".join(p.get("text", "") for p in parts if p.get("type") == "output_text"),
            finish_reason=_finish_reason(body, bool(calls)),
            tool_calls=calls,
            refusal="".join(p.get("refusal", "") for p in parts) or None,
        )
        usage = _read_usage(body.get("usage") or {})
        created = int(body.get("created_at") or 0)
        return Reply(body.get("id", ""), body.get("model", ""), (choice,), usage, created)

    def read_stream(self, events: Iterable[sse.Event]) -> Reply:
        """The reply that a stream of events adds up to; its finish_reason is None if it was cut."""
        response: dict[str, Any] = {}
        items: dict[int, dict[str, Any]] = {}
        for event in events:
            body = json.loads(event.data)
            response = body.get("response") or response
            if "item" in body:
                items[body["output_index"]] = body["item"]
            elif "output_index" in body:
                _add(items.setdefault(body["output_index"], {}), body)
        output = response.get("output") or [items[i] for i in sorted(items)]
        return self.read_reply(response | {"output": output})

    def write_error(self, refusal: Refusal, request_id: str) -> bytes:
        """The JSON body of an error, the same as in OpenAI's other formats."""
        return openai_chat.UNLAYERED.write_error(refusal, request_id)

    def malformed(self, error: MalformedRequestError) -> Refusal:
        """OpenAI's words for a body that does not fit the format."""
        refusal = openai_chat.OPENAI.malformed(error)
        if error.got is None:
            text = f"Missing required parameter: '{error.param}'."
            code = "missing_required_parameter"
            return replace(refusal, message=text, code=code, param=error.param)
        # "one of" takes no article.
        return replace(refusal, message=refusal.message.replace("an one of", "one of"))


def _read_effort(body: Mapping[str, Any]) -> str | None:
    reasoning = take(body, "reasoning", "object", default={})
    effort: str | None = take(reasoning, "effort", "string", "reasoning.", default=None)
    return effort


def _read_logprobs(body: Mapping[str, Any]) -> int | None:
    """How many alternatives are wanted for each token; None where no logprobs are asked for."""
    wanted = "message.output_text.logprobs" in take(body, "include", "array", default=())
    most: int = take(body, "top_logprobs", "integer", default=0)
    return most if wanted else None


def _read_padding(body: Mapping[str, Any]) -> bool:
    options = take(body, "stream_options", "object", default={})
    return options.get("include_obfuscation") is not False


def _read_input(value: object) -> tuple[Message, ...]:
    """The messages in an input: text, or a list of items. Items that say nothing are left out."""
    if value is None or isinstance(value, str):
        return (Message("user", value),) if value is not None else ()
    if not isinstance(value, list):
        raise MalformedRequestError("input", _TEXT_OR_PARTS, json_name(value))
    messages: list[Message] = []
    for path, item in take_objects({"input": value}, "input"):
        _read_item(item, path, messages)
    return tuple(messages)


def _read_item(item: Mapping[str, Any], path: str, messages: list[Message]) -> None:
    """Add what an item says; a call belongs to the assistant's message before it."""
    match take(item, "type", "string", path, "message"):
        case "message":
            role = take(item, "role", "string", path)
            text, attachments = _read_content(item, "content", path)
            messages.append(Message(_ROLES.get(role, role), text, attachments=attachments))
        case "function_call":
            last = messages.pop() if messages and messages[-1].role == "assistant" else None
            last = last or Message("assistant")
            calls = (*last.tool_calls, _read_call(item, path))
            messages.append(replace(last, tool_calls=calls))
        case "function_call_output":
            text, attachments = _read_content(item, "output", path)
            call_id = take(item, "call_id", "string", path)
            messages.append(Message("tool", text, (), call_id, attachments))
        case "item_reference":
            take(item, "id", "string", path)


def _read_content(
    item: Mapping[str, Any], name: str, path: str
) -> tuple[str, tuple[Mapping[str, Any], ...]]:
    """The text of a content field, a string or a list of parts, and its other parts."""
    content = item.get(name)
    if isinstance(content, str):
        return content, ()
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        got = None if content is None else json_name(content)
        raise MalformedRequestError(path + name, _TEXT_OR_PARTS, got)
    texts = [part["text"] for part in content if isinstance(part.get("text"), str)]
    others = tuple(part for part in content if not isinstance(part.get("text"), str))
    return "".join(texts), others


def _read_call(item: Mapping[str, Any], path: str = "") -> ToolCall:
    return ToolCall(
        id=take(item, "call_id", "string", path),
        name=take(item, "name", "string", path),
        arguments=take(item, "arguments", "string", path),
    )


def _read_tool(tool: Mapping[str, Any], path: str) -> Tool:
    return Tool(
        name=take(tool, "name", "string", path),
        description=take(tool, "description", "string", path, ""),
        parameters=take(tool, "parameters", "object", path, {}),
    )


def _read_tool_choice(choice: object) -> str | None:
    """none, auto, required, or the name of the one tool that must be called."""
    if isinstance(choice, dict):
        name = choice.get("name") or choice.get("mode")
        return name if isinstance(name, str) else None
    return choice if isinstance(choice, str) else None


def _finish_reason(body: Mapping[str, Any], has_calls: bool) -> str | None:
    match body.get("status"):
        case "completed":
            return "tool_calls" if has_calls else "stop"
        case "incomplete":
            reason = (body.get("incomplete_details") or {}).get("reason")
            return _FINISH_REASONS.get(reason or "", "length")
    return None


def _read_usage(body: Mapping[str, Any]) -> Usage:
    read = body.get("input_tokens_details") or {}
    written = body.get("output_tokens_details") or {}
    return Usage(
        prompt_tokens=body.get("input_tokens") or 0,
        completion_tokens=body.get("output_tokens") or 0,
        cached_tokens=read.get("cached_tokens") or 0,
        cache_write_tokens=read.get("cache_write_tokens") or 0,
        reasoning_tokens=written.get("reasoning_tokens") or 0,
    )


def _add(item: dict[str, Any], event: Mapping[str, Any]) -> None:
    """Put what an event brings into the item that it belongs to."""
    match event["type"]:
        case "response.content_part.added":
            item.setdefault("content", []).append(dict(event["part"]))
        case "response.output_text.delta":
            item["content"][-1]["text"] += event["delta"]
        case "response.refusal.delta":
            item["content"][-1]["refusal"] += event["delta"]
        case "response.function_call_arguments.delta":
            item["arguments"] += event["delta"]


def _indented(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, indent=2, ensure_ascii=False).encode()
