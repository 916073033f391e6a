"""Strings, numbers, booleans and choices that fit a schema, from a text or as plain fillers.

A filler says that it is simulated, or is a value that nobody takes for a fact.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from course_utils.offline.simulator.facts import Facts
from course_utils.offline.simulator.patterns import from_pattern
from course_utils.offline.simulator.valid import FORMATS, is_valid
from course_utils.offline.simulator.words import label, shortened

if TYPE_CHECKING:
    from course_utils.offline.simulator.schema import Field


@dataclass(frozen=True, slots=True)
class Filled:
    """A value, and how many parts of it the text told."""

    value: Any
    told: int


def scalar(kind: str, schema: Mapping[str, Any], facts: Facts, field: Field) -> Filled:
    """A string, number, integer or boolean for a plain schema."""
    match kind:
        case "boolean":
            told = facts.boolean(field.name)
            default = schema.get("default") if isinstance(schema.get("default"), bool) else None
            value = told if told is not None else bool(default) ^ bool(field.salt % 2)
            return Filled(value, int(told is not None))
        case "integer" | "number":
            return _number(kind, schema, facts, field)
    return _string(schema, facts, field)


def enum(schema: Mapping[str, Any], facts: Facts, name: str, salt: int) -> Filled:
    """One of the given values: the first that the text names, else a valid one."""
    rest = {key: value for key, value in schema.items() if key != "enum"}
    valid = [value for value in schema["enum"] if is_valid(value, rest, rest)] or schema["enum"]
    named = facts.chosen(valid) or facts.mood(valid)
    if named:
        return Filled(named[salt % len(named)] if salt < len(named) else named[0], 1)
    if "default" in schema and schema["default"] in valid:
        return Filled(schema["default"], 0)
    return Filled(valid[salt % len(valid)], 0)


def plain(value: float) -> int | float:
    """A whole number without its decimal point."""
    return int(value) if value == int(value) else value


def _number(kind: str, schema: Mapping[str, Any], facts: Facts, field: Field) -> Filled:
    told = facts.number(field.name, field.description, field.needed and field.salt == 0)
    if told is not None and (kind == "number" or told == int(told)):
        value = plain(told)
        if is_valid(value, schema, schema):
            return Filled(value, 1)
    default = schema.get("default")
    if isinstance(default, int | float) and is_valid(default, schema, schema) and not field.salt:
        return Filled(default, 0)
    return Filled(_within(kind, schema, field.salt), 0)


def _within(kind: str, schema: Mapping[str, Any], salt: int) -> int | float:
    """A number inside the bounds, near zero, on a multiple where one is asked for."""
    low = _bound(schema, "minimum", "exclusiveMinimum")
    high = _bound(schema, "maximum", "exclusiveMaximum")
    step = schema.get("multipleOf") or 1
    typed = {**schema, "type": kind}
    for at in _multiples(low, high, step, salt):
        value = at * step
        value = int(value) if kind == "integer" and value == int(value) else value
        if is_valid(value, typed, typed):
            return value
    if low is None or high is None:
        return plain(low or high or 0)
    between = low + (high - low) * (1 + salt % 97) / 98
    return between if kind == "number" else math.ceil(between)


def _multiples(low: float | None, high: float | None, step: float, salt: int) -> Iterator[int]:
    """Which multiples of a step to try, the nearest to zero first, moved on by the salt."""
    first = 0 if low is None else max(0, math.ceil(low / step))
    last = None if high is None else math.floor(high / step)
    if last is not None and last <= first and (low is None or low < 0):
        lowest = last - 99 if low is None else math.ceil(low / step)
        span = max(1, min(100, last - lowest + 1))
        yield from (last - (salt + i) % span for i in range(span))
        return
    span = 100 if last is None else max(0, min(100, last - first + 1))
    moved = salt if last is None else salt % max(1, last - first + 1)
    yield from (
        first + (moved + i if last is None else (moved + i) % (last - first + 1))
        for i in range(span)
    )


def _bound(schema: Mapping[str, Any], *keys: str) -> float | None:
    given = [schema.get(key) for key in keys]
    limits = [v for v in given if isinstance(v, int | float) and not isinstance(v, bool)]
    if not limits:
        return None
    return max(limits) if "min" in keys[0] else min(limits)


def _string(schema: Mapping[str, Any], facts: Facts, field: Field) -> Filled:
    form, pattern = schema.get("format"), schema.get("pattern")
    if field.salt < 50:
        found = facts.strings(_meaning(field.name, form), field.description)
        fitting = [text for text in found if is_valid(text, schema, schema)]
        if fitting:
            text = fitting[field.salt % len(fitting)]
            facts.take(text)
            return Filled(text, 1)
    default = schema.get("default")
    if isinstance(default, str) and is_valid(default, schema, schema) and not field.salt:
        return Filled(default, 0)
    if isinstance(pattern, str):
        text = from_pattern(pattern, field.salt, lambda text: is_valid(text, schema, schema))
        if is_valid(text, schema, schema):
            return Filled(text, 0)
    if form in FORMATS or form in _FORMATTED:
        return Filled(_fitted(_formatted(str(form), field), schema), 0)
    return Filled(_fitted(_filler(field), schema), 0)


def _meaning(name: str, form: object) -> str:
    """A name that says what the format says: a `date` may be called `when`."""
    known = {"date": "date", "date-time": "date", "email": "email", "uri": "url", "url": "url"}
    return f"{name}_{known[form]}" if isinstance(form, str) and form in known else name


def _filler(field: Field) -> str:
    """Words that say that they stand for the field."""
    said = shortened(label(field.name), 6) if field.name else "text"
    return f"simulated {said}" + (f" {field.salt + 1}" if field.salt else "")


def _fitted(text: str, schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minLength", 0), schema.get("maxLength")
    while len(text) < min(low, _LONGEST):
        text += " and more"[: low - len(text)] if low - len(text) < 9 else " and more"
    return text if high is None else text[-high:] if len(text) > high > 0 else text[:high]


# Longer texts than this are nobody's wish.
_LONGEST = 20_000
_FORMATTED = {
    "date": "2000-01-{day:02}",
    "date-time": "2000-01-{day:02}T12:00:00Z",
    "time": "12:{minute:02}:00Z",
    "duration": "P{day}D",
    "email": "person{number}@example.com",
    "idn-email": "person{number}@example.com",
    "hostname": "host{number}.example.com",
    "idn-hostname": "host{number}.example.com",
    "ipv4": "192.0.2.{number}",
    "ipv6": "2001:db8::{number}",
    "uri": "https://example.com/{number}",
    "url": "https://example.com/{number}",
    "iri": "https://example.com/{number}",
    "uri-reference": "/{number}",
    "iri-reference": "/{number}",
    "uri-template": "https://example.com/{number}",
    "json-pointer": "/{number}",
    "relative-json-pointer": "{number}/a",
    "regex": "a{number}",
}


def _formatted(form: str, field: Field) -> str:
    """A value of a format, out of the ranges that are reserved for examples."""
    if form == "uuid":
        digits = hashlib.sha256(f"{field.name}{field.salt}".encode()).hexdigest()
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:32]}"
    at = field.salt % 28
    return _FORMATTED[form].format(day=at + 1, minute=field.salt % 60, number=field.salt % 250 + 1)
