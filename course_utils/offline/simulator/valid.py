"""Whether a value fits a JSON schema: the keywords that tools and structured output use.

Keywords as in JSON Schema 2020-12 and, where they differ, draft 7
(https://json-schema.org/draft/2020-12). Unknown keywords are passed over.
"""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

Schema = Mapping[str, Any] | bool

_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
    "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
    "integer": lambda v: (
        not isinstance(v, bool) and (isinstance(v, int) or (isinstance(v, float) and v == int(v)))
    ),
}
_LIMITS: dict[str, Callable[[float, float], bool]] = {
    "minimum": operator.ge,
    "maximum": operator.le,
    "exclusiveMinimum": operator.gt,
    "exclusiveMaximum": operator.lt,
}
FORMATS = {
    "date": r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])",
    "date-time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)",
    "time": r"\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)",
    "duration": r"P(?=.)(?:\d+D)?(?:T(?=.)(?:\d+H)?(?:\d+M)?(?:\d+S)?)?",
    "email": r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    "hostname": r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*",
    "ipv4": r"(?:\d{1,3}\.){3}\d{1,3}",
    "ipv6": r"[0-9a-f:]+:[0-9a-f:]*",
    "uri": r"[a-z][a-z0-9+.-]*:[^\s]+",
    "uuid": r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}",
}
_DEEPEST = 60


def is_valid(value: Any, schema: Any, root: Any, depth: int = 0) -> bool:
    """Whether `value` fits `schema`, whose references point into `root`."""
    if isinstance(schema, bool) or not isinstance(schema, dict):
        return schema is not False
    if depth > _DEEPEST:
        return False
    return (
        _fits_type(value, schema)
        and _fits_scalar(value, schema)
        and _fits_combination(value, schema, root, depth + 1)
        and (not isinstance(value, list) or _fits_array(value, schema, root, depth + 1))
        and (not isinstance(value, dict) or _fits_object(value, schema, root, depth + 1))
    )


def resolve(reference: object, root: Any) -> Any:
    """The schema that a reference such as `#/$defs/Node` points at; True where there is none."""
    if not isinstance(reference, str) or not reference.startswith("#"):
        return True
    found = root
    for part in reference[1:].split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~").replace("%25", "%")
        if isinstance(found, list) and key.isdigit() and int(key) < len(found):
            found = found[int(key)]
        elif isinstance(found, dict) and key in found:
            found = found[key]
        else:
            return True
    return found


def same(one: Any, other: Any) -> bool:
    """Equality as JSON has it: true is not 1, but 1 is 1.0."""
    if isinstance(one, bool) != isinstance(other, bool):
        return False
    if isinstance(one, int | float | str | None):
        return bool(one == other)
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _fits_type(value: Any, schema: Mapping[str, Any]) -> bool:
    named = schema.get("type")
    names = [named] if isinstance(named, str) else named if isinstance(named, list) else []
    checks = [_TYPES[name] for name in names if isinstance(name, str) and name in _TYPES]
    if checks and not any(check(value) for check in checks):
        return False
    if "const" in schema and not same(value, schema["const"]):
        return False
    listed = schema.get("enum")
    return not isinstance(listed, list) or any(same(value, one) for one in listed)


def _fits_scalar(value: Any, schema: Mapping[str, Any]) -> bool:
    if isinstance(value, str):
        return _fits_text(value, schema)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _fits_number(value, schema)
    return True


def _fits_text(value: str, schema: Mapping[str, Any]) -> bool:
    low, high = schema.get("minLength"), schema.get("maxLength")
    if (low is not None and len(value) < low) or (high is not None and len(value) > high):
        return False
    form = FORMATS.get(str(schema.get("format")))
    if form is not None and not re.fullmatch(form, value):
        return False
    pattern = schema.get("pattern")
    try:
        return not isinstance(pattern, str) or re.search(pattern, value) is not None
    except (re.error, RecursionError, OverflowError):
        return True


def _fits_number(value: float, schema: Mapping[str, Any]) -> bool:
    for key, within in _LIMITS.items():
        limit: Any = schema.get(key)
        if _TYPES["number"](limit) and not within(value, limit):
            return False
    step = schema.get("multipleOf")
    if not _TYPES["number"](step) or not step:
        return True
    if isinstance(step, int) and isinstance(value, int):
        return value % step == 0
    quotient = value / step
    return math.isfinite(quotient) and int(quotient) == quotient


def _fits_combination(value: Any, schema: Mapping[str, Any], root: Any, depth: int) -> bool:
    def fits(part: Any) -> bool:
        return is_valid(value, part, root, depth)

    if "$ref" in schema and not fits(resolve(schema["$ref"], root)):
        return False
    if not all(fits(part) for part in schema.get("allOf") or ()):
        return False
    if schema.get("anyOf") and not any(fits(part) for part in schema["anyOf"]):
        return False
    if schema.get("oneOf") and sum(fits(part) for part in schema["oneOf"]) != 1:
        return False
    if "not" in schema and fits(schema["not"]):
        return False
    if "if" in schema:
        return fits(schema.get("then" if fits(schema["if"]) else "else", True))
    return True


def _fits_array(value: list[Any], schema: Mapping[str, Any], root: Any, depth: int) -> bool:
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
        return False
    if schema.get("uniqueItems") and any(
        same(one, other) for i, one in enumerate(value) for other in value[:i]
    ):
        return False
    first, rest = items_of(schema)
    if not all(is_valid(v, s, root, depth) for v, s in zip(value, first, strict=False)):
        return False
    if not all(is_valid(v, rest, root, depth) for v in value[len(first) :]):
        return False
    if "contains" not in schema:
        return True
    count = sum(is_valid(v, schema["contains"], root, depth) for v in value)
    return bool(schema.get("minContains", 1) <= count <= schema.get("maxContains", count))


def items_of(schema: Mapping[str, Any]) -> tuple[list[Any], Any]:
    """The schemas of an array's first items, one each, and that of all others."""
    if isinstance(schema.get("prefixItems"), list):
        return schema["prefixItems"], schema.get("items", True)
    if isinstance(schema.get("items"), list):
        return schema["items"], schema.get("additionalItems", True)
    return [], schema.get("items", True)


def _fits_object(value: dict[str, Any], schema: Mapping[str, Any], root: Any, depth: int) -> bool:
    if not schema.get("minProperties", 0) <= len(value) <= schema.get("maxProperties", len(value)):
        return False
    if not all(name in value for name in schema.get("required") or ()):
        return False
    for name, others in (schema.get("dependentRequired") or {}).items():
        if name in value and not all(other in value for other in others):
            return False
    names = schema.get("propertyNames", True)
    return all(
        is_valid(name, names, root, depth)
        and all(is_valid(one, part, root, depth) for part in schemas_of(name, schema))
        for name, one in value.items()
    )


def schemas_of(name: str, schema: Mapping[str, Any]) -> list[Any]:
    """All schemas that an object's schema holds for the property `name`."""
    properties = schema.get("properties") or {}
    found = [properties[name]] if name in properties else []
    for pattern, part in (schema.get("patternProperties") or {}).items():
        try:
            if re.search(pattern, name):
                found.append(part)
        except re.error:
            continue
    return found or [schema.get("additionalProperties", True)]
