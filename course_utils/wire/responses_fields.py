"""The fields of a Responses request that the response repeats, checked to be of their types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from course_utils.wire.fields import MalformedRequestError, json_name, take, take_objects

_KINDS = {
    "background": "boolean",
    "include": "array",
    "instructions": "string",
    "max_tool_calls": "integer",
    "metadata": "object",
    "parallel_tool_calls": "boolean",
    "previous_response_id": "string",
    "prompt": "object",
    "prompt_cache_key": "string",
    "prompt_cache_retention": "string",
    "reasoning": "object",
    "safety_identifier": "string",
    "service_tier": "string",
    "store": "boolean",
    "stream_options": "object",
    "text": "object",
    "tools": "array",
    "top_logprobs": "integer",
    "truncation": "string",
    "user": "string",
}
_REASONING = {"effort": "string", "summary": "string"}


def check_fields(body: Mapping[str, Any]) -> None:
    """Raise MalformedRequestError for the first field that is not of its type."""
    for name, kind in _KINDS.items():
        take(body, name, kind, default=None)
    if body.get("prompt") is not None:
        take(body["prompt"], "id", "string", "prompt.")
    for name, kind in _REASONING.items():
        take(body.get("reasoning") or {}, name, kind, "reasoning.", None)
    metadata = body.get("metadata") or {}
    for name in metadata:
        take(metadata, name, "string", "metadata.")
    _check_text(body.get("text") or {})
    for path, tool in take_objects(body, "tools", default=()):
        take(tool, "type", "string", path)
        take(tool, "strict", "boolean", path, None)
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        named = take(choice, "type", "string", "tool_choice.") in ("function", "custom")
        take(choice, "name", "string", "tool_choice.", ... if named else None)
        take(choice, "mode", "string", "tool_choice.", None)
    elif choice is not None and not isinstance(choice, str):
        raise MalformedRequestError("tool_choice", "one of an object or string", json_name(choice))


def _check_text(text: Mapping[str, Any]) -> None:
    take(text, "verbosity", "string", "text.", None)
    form = take(text, "format", "object", "text.", None)
    if form is None:
        return
    kind = take(form, "type", "string", "text.format.")
    if kind == "json_schema":
        take(form, "name", "string", "text.format.")
        take(form, "schema", "object", "text.format.")
        take(form, "strict", "boolean", "text.format.", None)
        take(form, "description", "string", "text.format.", None)
