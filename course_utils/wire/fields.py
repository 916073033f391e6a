"""Reading a JSON body field by field, with a precise word on what does not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_JSON_NAMES = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "decimal",
    type(None): "null",
}


class MalformedRequestError(Exception):
    """A request body that does not fit its format. Each codec words it as its provider does.

    `param` is the path of the field; `expected` and `got` are JSON type names, and `got` is None
    where the field is missing; `index` paths are written `messages[0].role`.
    """

    def __init__(self, param: str, expected: str, got: str | None) -> None:
        super().__init__(f"{param}: expected {expected}, got {got or 'nothing'}")
        self.param, self.expected, self.got = param, expected, got


def json_name(value: object) -> str:
    """The JSON type name of a value: object, array, string, boolean, integer, decimal, null."""
    return _JSON_NAMES.get(type(value), "unknown")


def take(body: Mapping[str, Any], name: str, kind: str, path: str = "", default: Any = ...) -> Any:
    """The field `name` of `body`, checked to be of a JSON `kind` ("number" takes both numbers).

    A missing field, or null, is the default; without a default it is a MalformedRequestError.
    """
    value = body.get(name)
    if value is None:
        if default is ...:
            raise MalformedRequestError(path + name, kind, None)
        return default
    got = json_name(value)
    if got != kind and not (kind == "number" and got in ("integer", "decimal")):
        raise MalformedRequestError(path + name, kind, got)
    return value


def take_objects(
    body: Mapping[str, Any], name: str, path: str = "", default: Any = ...
) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """The array of objects `name`, each with its own path, as in `messages[2].`."""
    values = take(body, name, "array", path, default)
    for i, value in enumerate(values):
        if not isinstance(value, dict):
            raise MalformedRequestError(f"{path}{name}[{i}]", "object", json_name(value))
    return [(f"{path}{name}[{i}].", value) for i, value in enumerate(values)]


def rest_of(body: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """The fields of `body` that no value type of ours names."""
    return {key: value for key, value in body.items() if key not in known}
