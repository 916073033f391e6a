"""Writing a Request as a body of Anthropic's messages format."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from course_utils.wire.attachments import for_anthropic
from course_utils.wire.request import Message, Request, Tool, ToolCall

_TOOL_CHOICES = {"required": "any", "auto": "auto", "none": "none"}


def body(request: Request) -> dict[str, Any]:
    """The body. What Anthropic has no field for (seed, n, logprobs, JSON mode) is not written."""
    asked = {
        "model": request.model,
        "max_tokens": request.max_tokens,
        "system": request.system or None,
        "messages": list(_entries(request.messages)),
        "temperature": request.temperature,
        "top_p": request.top_p,
        "stop_sequences": list(request.stop) or None,
        "tools": [_tool(tool) for tool in request.tools] or None,
        "tool_choice": _tool_choice(request) if request.tools else None,
        "stream": request.stream or None,
        **_thinking(request),
        **request.rest,
    }
    return {name: value for name, value in asked.items() if value is not None}


def _entries(messages: tuple[Message, ...]) -> Iterator[dict[str, Any]]:
    """The conversation: the results of one round of tools stand together in one user message."""
    results: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "tool":
            results.append(_result(message))
            continue
        if results:
            yield {"role": "user", "content": results}
            results = []
        if message.role != "system" and (content := _content(message)):
            yield {"role": message.role, "content": content}
    if results:
        yield {"role": "user", "content": results}


def _result(message: Message) -> dict[str, Any]:
    return {
        "type": "tool_result",
        "tool_use_id": message.tool_call_id,
        "content": message.text,
        **({"is_error": True} if message.is_error else {}),
    }


def _content(message: Message) -> str | list[dict[str, Any]]:
    # The provider checks that its own thinking comes back first, and unchanged.
    thoughts = [dict(block) for block in message.thoughts if _is_signed(block)]
    if not message.tool_calls and not message.attachments and not thoughts:
        return message.text
    text = [{"type": "text", "text": message.text}] if message.text else []
    others = map(for_anthropic, message.attachments)
    return [*thoughts, *text, *others, *map(_tool_use, message.tool_calls)]


def _is_signed(block: Mapping[str, Any]) -> bool:
    kind = block.get("type")
    return kind == "redacted_thinking" or (kind == "thinking" and bool(block.get("signature")))


def _tool_use(call: ToolCall) -> dict[str, Any]:
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": as_object(call)}


def as_object(call: ToolCall) -> dict[str, Any]:
    """A call's arguments as an object; text that is none is kept under `arguments`.

    Models do send broken JSON. An earlier answer must not make the rest of its conversation
    impossible at the providers that take objects only.
    """
    try:
        arguments = json.loads(call.arguments or "{}")
    except ValueError:
        arguments = None
    return arguments if isinstance(arguments, dict) else {"arguments": call.arguments}


def _tool(tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    schema = dict(tool.parameters) or {"type": "object"}
    return {"name": tool.name, **described, "input_schema": schema}


def _tool_choice(request: Request) -> dict[str, Any] | None:
    single = {} if request.parallel_tool_calls else {"disable_parallel_tool_use": True}
    chosen = request.tool_choice or ("auto" if single else None)
    if chosen is None:
        return None
    if chosen == "none":
        return {"type": "none"}
    if chosen in _TOOL_CHOICES:
        return {"type": _TOOL_CHOICES[chosen], **single}
    return {"type": "tool", "name": chosen, **single}


def _thinking(request: Request) -> dict[str, Any]:
    """The effort, the form of the answer, and what is to be shown of the thinking."""
    effort = request.reasoning_effort
    output: dict[str, Any] = {}
    if effort not in (None, "none"):
        output["effort"] = effort
    if request.json_schema is not None:
        output["format"] = {"type": "json_schema", "schema": dict(request.json_schema)}
    written: dict[str, Any] = {"output_config": output or None}
    if effort == "none":
        written["thinking"] = {"type": "disabled"}
    elif request.thinking is not None:
        display = {} if request.thinking == "default" else {"display": request.thinking}
        written["thinking"] = {"type": "adaptive", **display}
    return written
