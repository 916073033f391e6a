"""A JSON schema without combinations: the plain schemas that a value may follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from course_utils.offline.simulator.valid import resolve, same

_MOST = 24
_DEEPEST = 16
_LOWEST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains")
_HIGHEST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_COMBINATIONS = ("$ref", "allOf", "anyOf", "oneOf", "if", "then", "else", "not")


def flat(schema: Any, root: Any, depth: int = 0) -> list[dict[str, Any]]:
    """The alternatives of a schema: references followed, allOf merged, anyOf and oneOf spread.

    Each names at most one type. None are left where the schema allows nothing.
    """
    if schema is False or depth > _DEEPEST:
        return []
    if not isinstance(schema, Mapping):
        return [{}]
    found = [{key: part for key, part in schema.items() if key not in _COMBINATIONS}]
    if "$ref" in schema:
        found = _merged(found, flat(resolve(schema["$ref"], root), root, depth + 1))
    for part in schema.get("allOf") or ():
        found = _merged(found, flat(part, root, depth + 1))
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            spread = [one for part in schema[key] for one in flat(part, root, depth + 1)]
            found = _merged(found, spread)
    if "if" in schema:
        found = [*_merged(found, _then(schema, root, depth)), *_else(found, schema, root, depth)]
    return [single for one in found for single in _by_type(one)][:_MOST]


def _then(schema: Mapping[str, Any], root: Any, depth: int) -> list[dict[str, Any]]:
    then = flat(schema.get("then", True), root, depth + 1)
    return _merged(flat(schema["if"], root, depth + 1), then)


def _else(
    found: list[dict[str, Any]], schema: Mapping[str, Any], root: Any, depth: int
) -> list[dict[str, Any]]:
    return _merged(found, flat(schema.get("else", True), root, depth + 1))


def _merged(ones: list[dict[str, Any]], others: list[dict[str, Any]]) -> list[dict[str, Any]]:
    pairs = (_both(one, other) for one in ones for other in others)
    return [pair for pair in pairs if pair is not None][:_MOST]


def _both(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any] | None:
    """The plain schema of what fits both; None where nothing can."""
    both = dict(one)
    for key, value in other.items():
        if key not in both:
            both[key] = value
        elif key in _LOWEST:
            both[key] = max(both[key], value)
        elif key in _HIGHEST:
            both[key] = min(both[key], value)
        elif key == "type":
            both[key] = _common_types(both[key], value)
            if not both[key]:
                return None
        elif key == "enum":
            both[key] = [v for v in both[key] if any(same(v, w) for w in value)]
        elif key == "required":
            both[key] = list(dict.fromkeys([*both[key], *value]))
        elif key in ("properties", "patternProperties"):
            both[key] = _common_properties(both[key], value)
        elif key in ("items", "additionalProperties", "propertyNames") and both[key] != value:
            both[key] = _all_of(both[key], value)
        elif key == "const" and not same(both[key], value):
            return None
    return both


def _common_types(one: Any, other: Any) -> list[str]:
    first = [one] if isinstance(one, str) else list(one)
    second = [other] if isinstance(other, str) else list(other)
    if "number" in first and "integer" in second:
        first.append("integer")
    if "number" in second and "integer" in first:
        second.append("integer")
    common = [name for name in first if name in second]
    return [name for name in common if name != "number" or "integer" not in common]


def _common_properties(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _all_of(one[name], other[name])
        if name in one and name in other
        else one.get(name, other.get(name))
        for name in [*one, *(name for name in other if name not in one)]
    }


def _all_of(one: Any, other: Any) -> Any:
    if one is False or other is False:
        return False
    return one if one == other else {"allOf": [one, other]}


def _by_type(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """One schema for each type that a list of types names, null last."""
    types = schema.get("type")
    if not isinstance(types, list):
        return [schema]
    ordered = sorted(types, key=lambda name: name == "null")
    return [schema | {"type": name} for name in ordered]
