"""Writing a Request as a body of OpenAI's chat completions format."""

from __future__ import annotations

import re
from typing import Any

from course_utils.wire.request import Message, Request, Tool

# How tools were written in 2023: a Request holds them as tools.
_OLD = ("functions", "function_call")


def body(request: Request, max_tokens_param: str) -> dict[str, Any]:
    """The body; `max_tokens_param` is the name that the model takes for the limit."""
    asked = {
        "model": request.model,
        "messages": [_message(message) for message in request.messages],
        max_tokens_param: request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "stop": list(request.stop) or None,
        "n": request.n if request.n != 1 else None,
        "seed": request.seed,
        "reasoning_effort": request.reasoning_effort,
        "response_format": _response_format(request),
        **(_tools(request) if request.tools else {}),
        **(_streaming(request) if request.stream else {}),
        **(_logprobs(request.logprobs) if request.logprobs is not None else {}),
        **{name: value for name, value in request.rest.items() if name not in _OLD},
    }
    return {name: value for name, value in asked.items() if value is not None}


def is_strict(schema: Any) -> bool:
    """Whether OpenAI takes a schema as strict: each object closed, each property required."""
    if isinstance(schema, list | tuple):
        return all(map(is_strict, schema))
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" or "properties" in schema:
        names = set(schema.get("properties") or ())
        if schema.get("additionalProperties") is not False:
            return False
        if names != set(schema.get("required") or ()):
            return False
    return all(map(is_strict, schema.values()))


def _message(message: Message) -> dict[str, Any]:
    written: dict[str, Any] = {"role": message.role, "content": _content(message)}
    if message.name:
        written["name"] = message.name
    if message.tool_call_id is not None:
        written["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        # OpenAI's own answers have null for the text of a message that only calls tools.
        written["content"] = written["content"] or None
        written["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
    return written


def _content(message: Message) -> str | list[Any]:
    if not message.attachments:
        return message.text
    text = [{"type": "text", "text": message.text}] if message.text else []
    return [*text, *message.attachments]


def _tools(request: Request) -> dict[str, Any]:
    chosen: Any = request.tool_choice
    if chosen not in (None, "auto", "none", "required"):
        chosen = {"type": "function", "function": {"name": chosen}}
    return {
        "tools": [{"type": "function", "function": _function(tool)} for tool in request.tools],
        "tool_choice": chosen,
        "parallel_tool_calls": None if request.parallel_tool_calls else False,
    }


def _function(tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    return {"name": tool.name, **described, "parameters": dict(tool.parameters)}


def _response_format(request: Request) -> dict[str, Any] | None:
    form = answer_format(request)
    if form is None or request.json_schema is None:
        return form
    return {"type": form.pop("type"), "json_schema": form}


def answer_format(request: Request) -> dict[str, Any] | None:
    """The form that the answer must have, as the Responses format writes it; None for free text."""
    if request.json_schema is None:
        return {"type": "json_object"} if request.json_mode else None
    schema = dict(request.json_schema)
    name = re.sub(r"[^\w-]", "_", str(schema.get("title") or "answer"), flags=re.ASCII)[:64]
    return {"type": "json_schema", "name": name, "strict": is_strict(schema), "schema": schema}


def _streaming(request: Request) -> dict[str, Any]:
    usage = {"include_usage": True} if request.stream_usage else {}
    padding = {} if request.stream_padding else {"include_obfuscation": False}
    return {"stream": True, "stream_options": (usage | padding) or None}


def _logprobs(alternatives: int) -> dict[str, Any]:
    return {"logprobs": True, "top_logprobs": alternatives or None}
