"""Writing a Request as a body of Gemini's generateContent; the model stands in the path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from course_utils.wire.attachments import for_gemini
from course_utils.wire.messages_asking import as_object
from course_utils.wire.request import Message, Request, Tool, ToolCall

_ROLES = {"assistant": "model"}
_MODES = {"required": "ANY", "auto": "AUTO", "none": "NONE"}
# Fields beside `generationConfig`; what else a request brings along belongs inside it.
_OUTER = frozenset(["safetySettings", "cachedContent", "labels", "serviceTier", "store"])


def body(request: Request) -> dict[str, Any]:
    """The body. What Gemini has no field for (one tool call at a time) is not written."""
    system = {"parts": [{"text": request.system}]} if request.system else None
    declared = [{"functionDeclarations": [_tool(tool) for tool in request.tools]}]
    asked = {
        "contents": list(_contents(request.messages)),
        "systemInstruction": system,
        "tools": declared if request.tools else None,
        "toolConfig": _tool_config(request.tool_choice) if request.tools else None,
        "generationConfig": _config(request) or None,
        **{name: value for name, value in request.rest.items() if name in _OUTER},
    }
    return {name: value for name, value in asked.items() if value is not None}


def _contents(messages: tuple[Message, ...]) -> Iterator[dict[str, Any]]:
    """The conversation: the results of one round of tools stand together in one content."""
    names: dict[str, str] = {}
    results: list[dict[str, Any]] = []
    for message in messages:
        names |= {call.id: call.name for call in message.tool_calls}
        if message.role == "tool":
            results.append(_result(message, names))
            continue
        if results:
            yield {"role": "user", "parts": results}
            results = []
        if message.role != "system" and (parts := list(_parts(message))):
            yield {"role": _ROLES.get(message.role, message.role), "parts": parts}
    if results:
        yield {"role": "user", "parts": results}


def _result(message: Message, names: dict[str, str]) -> dict[str, Any]:
    """A tool's result; Gemini wants the name of the function with it."""
    call_id = message.tool_call_id or ""
    name = names.get(call_id, call_id)
    outcome = {"error" if message.is_error else "output": message.text}
    response = {"id": call_id, "name": name, "response": outcome}
    return {"functionResponse": response}


def _parts(message: Message) -> Iterator[dict[str, Any]]:
    signatures = {
        part.get("call_id"): part.get("signature")
        for part in message.thoughts
        if part.get("type") == "thought_signature"
    }
    if message.text:
        yield {"text": message.text} | _signed(signatures.get(None))
    yield from map(for_gemini, message.attachments)
    for call in message.tool_calls:
        yield _call(call) | _signed(signatures.get(call.id))


def _call(call: ToolCall) -> dict[str, Any]:
    return {"functionCall": {"id": call.id, "name": call.name, "args": as_object(call)}}


def _signed(signature: Any) -> dict[str, Any]:
    return {"thoughtSignature": signature} if signature else {}


def _tool(tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    schema = {"parametersJsonSchema": dict(tool.parameters)} if tool.parameters else {}
    return {"name": tool.name, **described, **schema}


def _tool_config(chosen: str | None) -> dict[str, Any] | None:
    if chosen is None:
        return None
    if chosen in _MODES:
        return {"functionCallingConfig": {"mode": _MODES[chosen]}}
    return {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": [chosen]}}


def _config(request: Request) -> dict[str, Any]:
    formed = request.json_mode or request.json_schema is not None
    asked = {
        "maxOutputTokens": request.max_tokens,
        "temperature": request.temperature,
        "topP": request.top_p,
        "stopSequences": list(request.stop) or None,
        "candidateCount": request.n if request.n != 1 else None,
        "seed": request.seed,
        "thinkingConfig": _thinking(request) or None,
        "responseMimeType": "application/json" if formed else None,
        "responseJsonSchema": request.json_schema and dict(request.json_schema),
        **{name: value for name, value in request.rest.items() if name not in _OUTER},
    }
    return {name: value for name, value in asked.items() if value is not None}


def _thinking(request: Request) -> dict[str, Any]:
    effort = request.reasoning_effort
    config: dict[str, Any] = {}
    if effort == "none":
        config = {"thinkingBudget": 0}
    elif effort is not None:
        config = {"thinkingLevel": effort.upper()}
    shown = {"includeThoughts": True} if request.thinking == "summarized" else {}
    return config | shown
