"""What a program asks Gemini: the body of generateContent, read into a Request.

Google's servers read more than their reference says: `max_output_tokens` for `maxOutputTokens`,
and one object where an array is expected. Both are in wide use, so both are understood here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from course_utils.wire.fields import MalformedRequestError, json_name, rest_of, take, take_objects
from course_utils.wire.request import Message, Request, Tool, ToolCall

_KNOWN = frozenset(
    ["model", "contents", "systemInstruction", "generationConfig", "tools", "toolConfig"]
)
_KNOWN_CONFIG = frozenset(
    [
        "maxOutputTokens",
        "temperature",
        "topP",
        "stopSequences",
        "candidateCount",
        "seed",
        "responseSchema",
        "responseJsonSchema",
    ]
)
_ROLES = {"model": "assistant"}
_TOOL_CHOICES = {"ANY": "required", "NONE": "none", "AUTO": "auto", "VALIDATED": "auto"}
# What holds names of the user's own choice: no field in it is renamed.
_OPAQUE = frozenset(
    [
        "args",
        "response",
        "parameters",
        "parametersJsonSchema",
        "responseSchema",
        "responseJsonSchema",
        "labels",
    ]
)


def read_request(body: Mapping[str, Any], model: str, *, streamed: bool) -> Request:
    """The request in a body; MalformedRequestError where it does not fit the format."""
    body = in_camel_case(body)
    config = take(body, "generationConfig", "object", default={})
    at = "generationConfig."
    thinking = take(config, "thinkingConfig", "object", at, {})
    schema = _schema(config, at, "responseJsonSchema", "responseSchema")
    return Request(
        model=model.removeprefix("models/"),
        messages=(*_read_system(body), *_read_contents(body)),
        max_tokens=take(config, "maxOutputTokens", "integer", at, None),
        temperature=take(config, "temperature", "number", at, None),
        top_p=take(config, "topP", "number", at, None),
        stop=_strings(config, "stopSequences", at),
        n=take(config, "candidateCount", "integer", at, 1),
        seed=take(config, "seed", "integer", at, None),
        stream=streamed,
        stream_usage=True,
        tools=tuple(_read_tools(body)),
        tool_choice=_read_tool_choice(body),
        json_mode=not schema and config.get("responseMimeType") == "application/json",
        json_schema=schema or None,
        reasoning_effort=_read_thinking(thinking),
        thinking="summarized" if thinking.get("includeThoughts") else None,
        rest=rest_of(body, _KNOWN) | rest_of(config, _KNOWN_CONFIG),
    )


def in_camel_case(body: Any) -> Any:
    """The body with its fields as `maxOutputTokens`: Google takes `max_output_tokens` too."""
    if isinstance(body, list):
        return [in_camel_case(value) for value in body]
    if not isinstance(body, dict):
        return body
    names = {key: re.sub(r"_([a-z])", lambda m: m[1].upper(), key) for key in body}
    return {
        names[key]: value if names[key] in _OPAQUE else in_camel_case(value)
        for key, value in body.items()
    }


# What holds a schema's values and no schemas.
_VALUES = frozenset(["enum", "required", "propertyOrdering", "default", "example", "const"])


def json_schema(schema: Any) -> Any:
    """Gemini's dialect of a schema (`OBJECT`, `nullable`) as plain JSON schema."""
    if isinstance(schema, list):
        return [json_schema(value) for value in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: _inner(key, value) for key, value in schema.items()}
    if isinstance(plain.get("type"), str):
        plain["type"] = plain["type"].lower()
        if plain.pop("nullable", False):
            plain["type"] = [plain["type"], "null"]
    return plain


def _inner(key: str, value: Any) -> Any:
    """The value of a schema's keyword; names of the user's own choice are no keywords."""
    if key in ("properties", "$defs", "defs") and isinstance(value, dict):
        return {name: json_schema(schema) for name, schema in value.items()}
    return value if key in _VALUES else json_schema(value)


def _schema(body: Mapping[str, Any], path: str, *names: str) -> dict[str, Any]:
    """The schema under the first of several names; empty where there is none."""
    name = next((name for name in names if body.get(name)), names[0])
    schema: dict[str, Any] = json_schema(take(body, name, "object", path, {}))
    return schema


def _strings(body: Mapping[str, Any], name: str, path: str) -> tuple[str, ...]:
    values = take(body, name, "array", path, ())
    for i, value in enumerate(values):
        if not isinstance(value, str):
            raise MalformedRequestError(f"{path}{name}[{i}]", "string", json_name(value))
    return tuple(values)


def _objects(body: Mapping[str, Any], name: str, path: str = "", default: Any = ...) -> Any:
    """The objects in an array; Google takes one alone for an array of one."""
    if isinstance(body.get(name), dict):
        body = {name: [body[name]]}
    return take_objects(body, name, path, default)


def _read_system(body: Mapping[str, Any]) -> Iterator[Message]:
    if body.get("systemInstruction") is not None:
        content = take(body, "systemInstruction", "object")
        parts = _objects(content, "parts", "systemInstruction.", ())
        text = "".join(take(part, "text", "string", at, "") for at, part in parts)
        if text:
            yield Message("system", text)


def _read_contents(body: Mapping[str, Any]) -> Iterator[Message]:
    open_calls: list[ToolCall] = []
    for path, content in _objects(body, "contents"):
        yield from _read_content(content, path, open_calls)


def _read_content(
    content: Mapping[str, Any], path: str, open_calls: list[ToolCall]
) -> Iterator[Message]:
    """One content as one message, after a message of its own for each tool result in it."""
    role = take(content, "role", "string", path, "user")
    texts, calls, others = [], [], []
    parts = _objects(content, "parts", path, ())
    if not parts:
        raise MalformedRequestError(f"{path}parts", "array", None)
    for at, part in parts:
        if "functionResponse" in part:
            yield _read_response(take(part, "functionResponse", "object", at), at, open_calls)
        elif "functionCall" in part:
            calls.append(_read_call(take(part, "functionCall", "object", at), at, open_calls))
        elif "text" in part:
            texts.append("" if part.get("thought") else take(part, "text", "string", at, ""))
        else:
            others.append(part)
    message = Message(_ROLES.get(role, role), "".join(texts), tuple(calls), None, tuple(others))
    if texts or calls or others:  # what holds results only has been told
        yield message


def _read_call(body: Mapping[str, Any], path: str, open_calls: list[ToolCall]) -> ToolCall:
    """A call of an earlier turn; where it has no id, its place in the conversation gives one."""
    at = f"{path}functionCall."
    name = take(body, "name", "string", at)
    arguments = json.dumps(take(body, "args", "object", at, {}))
    call = ToolCall(take(body, "id", "string", at, "") or f"{name}@{at}", name, arguments)
    open_calls.append(call)
    return call


def _read_response(body: Mapping[str, Any], path: str, open_calls: list[ToolCall]) -> Message:
    """A tool's result, given to the call of its id or else to the first open call of its name."""
    at = f"{path}functionResponse."
    name, own = take(body, "name", "string", at), take(body, "id", "string", at, "")
    response = take(body, "response", "object", at, {})
    same_id = [call for call in open_calls if call.id == own]
    same_name = [call for call in open_calls if call.name == name]
    found = next(iter(same_id or same_name), None)
    if found:
        open_calls.remove(found)
    return Message("tool", _result_text(response), tool_call_id=found.id if found else own or name)


def _result_text(response: Mapping[str, Any]) -> str:
    """What a tool returned: the SDK wraps values that are no object as `result`."""
    if len(response) == 1:
        key, value = next(iter(response.items()))
        if key in ("result", "output") and isinstance(value, str):
            return value
    return json.dumps(response, ensure_ascii=False)


def _read_tools(body: Mapping[str, Any]) -> Iterator[Tool]:
    """The declared functions; tools that Google itself runs have no place in a Request."""
    for path, tool in _objects(body, "tools", default=()):
        for at, declared in _objects(tool, "functionDeclarations", path, ()):
            yield Tool(
                name=take(declared, "name", "string", at),
                description=take(declared, "description", "string", at, ""),
                parameters=_schema(declared, at, "parametersJsonSchema", "parameters"),
            )


def _read_tool_choice(body: Mapping[str, Any]) -> str | None:
    """none, auto, required, or the name of the one tool that must be called."""
    config = take(body, "toolConfig", "object", default={})
    calling = take(config, "functionCallingConfig", "object", "toolConfig.", {})
    at = "toolConfig.functionCallingConfig."
    choice = _TOOL_CHOICES.get(take(calling, "mode", "string", at, ""))
    allowed = _strings(calling, "allowedFunctionNames", at)
    return allowed[0] if choice == "required" and len(allowed) == 1 else choice


def _read_thinking(config: Mapping[str, Any]) -> str | None:
    level = config.get("thinkingLevel")
    if config.get("thinkingBudget") == 0:
        return "none"
    return level.lower() if isinstance(level, str) else None
