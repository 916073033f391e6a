"""What OpenAI's strict mode refuses in a JSON schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NESTED = ("properties", "$defs", "definitions")


def strict_problem(schema: Mapping[str, Any], context: tuple[str, ...] = ()) -> str | None:
    """What is wrong with a schema, in OpenAI's words; None where it may be used strictly.

    In strict mode every object names all of its properties as required and allows no others:
    https://platform.openai.com/docs/guides/structured-outputs.
    """
    where = f"In context={context}, "
    if schema.get("type") == "object":
        if schema.get("additionalProperties") is not False:
            return where + "'additionalProperties' is required to be supplied and to be false."
        required = schema.get("required") or []
        missing = next((k for k in schema.get("properties") or {} if k not in required), None)
        if missing is not None:
            return where + (
                "'required' is required to be supplied and to be an array including every key "
                f"in properties. Missing '{missing}'."
            )
    for path, inner in _inside(schema):
        problem = strict_problem(inner, (*context, *path))
        if problem:
            return problem
    return None


def _inside(schema: Mapping[str, Any]) -> list[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """The schemas within a schema, each with its path."""
    found: list[tuple[tuple[str, ...], Any]] = []
    for name in _NESTED:
        inner = schema.get(name)
        if isinstance(inner, dict):
            found += [((name, key), value) for key, value in inner.items()]
    found.append((("items",), schema.get("items")))
    options = schema.get("anyOf")
    if isinstance(options, list):
        found += [(("anyOf", str(i)), option) for i, option in enumerate(options)]
    return [(path, inner) for path, inner in found if isinstance(inner, dict)]
