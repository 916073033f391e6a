"""A JSON schema in the strict form that providers enforce while the model writes.

The rules are OpenAI's (https://platform.openai.com/docs/guides/structured-outputs): an object names
all of its properties as required and allows no others, and a `$ref` stands alone. Its SDK applies
them to pydantic models only (`openai.lib._pydantic`); this does it to any schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TABLES = ("$defs", "definitions", "properties")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")


def strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of ``schema`` in strict form.

    Every property becomes required, since a model that must always write a field cannot forget it.
    An object whose keys are free (``dict[str, int]``) stays as it is, and OpenAI refuses it.

    Raises ValueError for a `$ref` that leads nowhere.
    """
    if "$ref" in schema:
        # pydantic refers to a model that contains itself; OpenAI wants the object in its place.
        schema = {**_target(str(schema["$ref"]), schema), **schema}
        del schema["$ref"]
    return _strict(schema, schema, ())


def _strict(
    schema: Mapping[str, Any], root: Mapping[str, Any], inlined: tuple[str, ...]
) -> dict[str, Any]:
    """``inlined`` are the references that are being replaced: one inside itself stays one."""
    if "$ref" in schema:
        ref = str(schema["$ref"])
        target = _target(ref, root)
        if len(schema) == 1 or ref in inlined:
            return {"$ref": ref}
        words = {key: value for key, value in schema.items() if key != "$ref"}
        return _strict({**target, **words}, root, (*inlined, ref))
    made = {key: _inner(key, value, root, inlined) for key, value in schema.items()}
    if made.get("type") == "object":
        made.setdefault("additionalProperties", False)
    if isinstance(made.get("properties"), dict):
        made["required"] = list(made["properties"])
    if made.get("default", "") is None:
        # Whether a field may be null, its type says.
        del made["default"]
    if len(made.get("allOf", ())) == 1:
        made |= made.pop("allOf")[0]
    return made


def _inner(key: str, value: Any, root: Mapping[str, Any], inlined: tuple[str, ...]) -> Any:
    """The value of one keyword, with the schemas in it made strict."""

    def one(inner: Any) -> Any:
        return _strict(inner, root, inlined) if isinstance(inner, Mapping) else inner

    if key in _TABLES and isinstance(value, Mapping):
        return {name: one(inner) for name, inner in value.items()}
    if key in _LISTS and isinstance(value, list):
        return [one(inner) for inner in value]
    return one(value) if key == "items" else value


def _target(ref: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a reference such as ``#/$defs/Person`` refers to."""
    found: Any = root
    for name in ref.removeprefix("#").split("/")[1:]:
        found = found.get(name) if isinstance(found, Mapping) else None
    if not ref.startswith("#") or not isinstance(found, Mapping):
        raise ValueError(f"$ref {ref!r} leads to no part of the schema")
    return found
