"""Writing a Request as a body of OpenAI's Responses format."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from course_utils.wire.chat_asking import answer_format
from course_utils.wire.request import Message, Request, Tool


def body(request: Request) -> dict[str, Any]:
    """The body. What the format has no field for (stop, seed, n) is not written."""
    form = answer_format(request)
    logged = request.logprobs is not None
    asked = {
        "model": request.model,
        "instructions": request.system or None,
        "input": [item for message in request.messages for item in _items(message)],
        "max_output_tokens": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "reasoning": _reasoning(request) or None,
        "text": {"format": form} if form else None,
        "include": ["message.output_text.logprobs"] if logged else None,
        "top_logprobs": request.logprobs,
        "stream": request.stream or None,
        **(_tools(request) if request.tools else {}),
        **request.rest,
    }
    if request.stream and not request.stream_padding:
        asked["stream_options"] = {"include_obfuscation": False}
    return {name: value for name, value in asked.items() if value is not None}


def _items(message: Message) -> Iterator[dict[str, Any]]:
    if message.role == "system":  # these are the instructions
        return
    if message.role == "tool":
        yield {
            "type": "function_call_output",
            "call_id": message.tool_call_id,
            "output": message.text,
        }
        return
    others = message.attachments
    if message.text or others:
        kind = "output_text" if message.role == "assistant" else "input_text"
        text = [{"type": kind, "text": message.text}] if message.text else []
        content = [*text, *others] if others else message.text
        yield {"role": message.role, "content": content}
    for call in message.tool_calls:
        yield {
            "type": "function_call",
            "call_id": call.id,
            "name": call.name,
            "arguments": call.arguments,
        }


def _tools(request: Request) -> dict[str, Any]:
    chosen: Any = request.tool_choice
    if chosen not in (None, "auto", "none", "required"):
        chosen = {"type": "function", "name": chosen}
    return {
        "tools": [_tool(tool) for tool in request.tools],
        "tool_choice": chosen,
        "parallel_tool_calls": None if request.parallel_tool_calls else False,
    }


def _tool(tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    function = {"type": "function", "name": tool.name, **described}
    return {**function, "parameters": dict(tool.parameters), "strict": False}


def _reasoning(request: Request) -> dict[str, Any]:
    effort = {"effort": request.reasoning_effort} if request.reasoning_effort else {}
    return effort | ({"summary": "auto"} if request.thinking == "summarized" else {})
