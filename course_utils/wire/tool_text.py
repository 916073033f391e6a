"""Tools as an OpenAI model reads them: its prompt holds them as TypeScript, and bills that text.

The form was found by comparing prompts with their bills; it is exact on recorded traffic of 2024
to 2026. https://github.com/hmarr/openai-chat-tokens (MIT) describes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from course_utils.wire.request import Tool

_PLAIN = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean"}
# A schema that is nested deeper than this is of no use to a model, and could exhaust the stack.
_DEEPEST = 20


def tool_text(tools: Sequence[Tool]) -> str:
    """All tools as one namespace of functions."""
    lines = ["namespace functions {", ""]
    for tool in tools:
        if tool.description:
            lines.append(f"// {tool.description}")
        lines += [f"type {tool.name} = ({_parameter(tool.parameters)}) => any;", ""]
    return "\n".join([*lines, "} // namespace functions"])


def _parameter(schema: Mapping[str, Any]) -> str:
    lines = list(_lines(schema, 0))
    if not lines:
        return ""
    if any(line.startswith("//") for line in lines) or len(lines) > 1:
        return "_: {\n" + "\n".join(lines) + "\n}"
    return "_: { " + lines[0].removesuffix(",") + " }"


def _properties(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    properties = schema.get("properties")
    return properties if isinstance(properties, dict) else {}


def _lines(schema: Mapping[str, Any], depth: int) -> Iterator[str]:
    indent = "  " * depth
    required = schema.get("required")
    for name, value in _properties(schema).items():
        if not isinstance(value, dict):
            continue
        if value.get("description") and depth < 2:
            yield f"{indent}// {value['description']}"
        optional = "" if isinstance(required, list) and name in required else "?"
        yield f"{indent}{name}{optional}: {_type(value, depth)},"


def _type(schema: Mapping[str, Any], depth: int) -> str:
    if depth > _DEEPEST:
        return "any"
    if isinstance(schema.get("enum"), list):
        return " | ".join(json.dumps(value, ensure_ascii=False) for value in schema["enum"])
    if isinstance(schema.get("anyOf"), list):
        return " | ".join(_type(s, depth + 1) for s in schema["anyOf"] if isinstance(s, dict))
    match schema.get("type"):
        case "array":
            items = schema.get("items")
            return (_type(items, depth + 1) if isinstance(items, dict) else "any") + "[]"
        case "object" if _properties(schema):
            return "{\n" + "\n".join(_lines(schema, depth + 1)) + "\n" + "  " * depth + "}"
        case str() as name:
            return _PLAIN.get(name, name if name in ("object", "null") else "any")
        case list() as names:
            return " | ".join(_PLAIN.get(str(name), str(name)) for name in names)
    return "any"
