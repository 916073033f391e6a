"""JSON as the providers' servers read it: stricter than Python's own reader."""

from __future__ import annotations

import json
import re
from typing import Any

# No format of a provider's nests nearly as deep, and what walks a body may count on it.
_MOST_LEVELS = 100
_LARGEST_INTEGER = 2**63
_LONG_NUMBER = re.compile(r"\d{17}|\d[eE]")


def read(body: bytes) -> Any:
    """The JSON value in a body.

    Raises ValueError (UnicodeError is one) where it is not UTF-8, no JSON, has NaN, Infinity,
    numbers beyond 64 bits or half a surrogate pair, or is nested more than a hundred levels deep.
    """
    text = body.decode("utf-8")
    try:
        value = (_CAREFUL if _LONG_NUMBER.search(text) else _QUICK).decode(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if text.count("[") + text.count("{") > _MOST_LEVELS:
        _check_depth(value)
    if "\\u" in text:
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _check_depth(value: object) -> None:
    level = [value]
    for _ in range(_MOST_LEVELS):
        level = [inner for outer in level for inner in _values(outer)]
        if not level:
            return
    raise ValueError("nested too deeply")


def _values(value: object) -> list[object]:
    """The arrays and objects in an array or object."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [item for item in inner if isinstance(item, dict | list)]


def _constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def _integer(digits: str) -> int:
    if len(digits) > 20 or abs(int(digits)) >= _LARGEST_INTEGER:
        raise ValueError("a number is too large")
    return int(digits)


def _decimal(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError("a number is too large")
    return number


_QUICK = json.JSONDecoder(parse_constant=_constant)
_CAREFUL = json.JSONDecoder(parse_constant=_constant, parse_int=_integer, parse_float=_decimal)
