"""A value that fits a JSON schema, made from what a text says where it says it."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from course_utils.offline.simulator import scalars
from course_utils.offline.simulator.facts import Facts
from course_utils.offline.simulator.flat import flat
from course_utils.offline.simulator.patterns import from_pattern
from course_utils.offline.simulator.scalars import Filled
from course_utils.offline.simulator.valid import is_valid, items_of, schemas_of

_DEEP = 5
_DEEPEST = 40
_MOST_STEPS = 3000
_COMBINED = ("anyOf", "oneOf", "allOf", "not", "if")
_GUESS = (
    ("object", ("properties", "required", "additionalProperties", "minProperties")),
    ("array", ("items", "prefixItems", "minItems", "contains", "uniqueItems")),
    ("number", ("minimum", "maximum", "multipleOf", "exclusiveMinimum", "exclusiveMaximum")),
)


@dataclass(frozen=True, slots=True)
class Field:
    """Where a value stands: its name, what is said of it, how deep, and whether it must be there.

    `salt` tells apart the values of one list, and the answers to one question.
    """

    name: str = ""
    description: str = ""
    depth: int = 0
    needed: bool = True
    salt: int = 0


class _StuckError(Exception):
    """No value can be made here."""


# What a schema that is none can lead to: wrong types in it, endless numbers, broken patterns.
_HOPELESS = (
    _StuckError,
    RecursionError,
    TypeError,
    ValueError,
    AttributeError,
    LookupError,
    ArithmeticError,
    re.error,
)


def fill(schema: Any, facts: Facts, salt: int = 0, told_only: bool = False) -> Any:
    """A value for `schema`. With `told_only`, optional fields appear only where the text has them.

    It fits the schema wherever the schema's keywords are known to these rules; a schema that
    nothing fits gets the nearest try.
    """
    field = Field(salt=salt)
    tries = (
        _Filler(schema, facts, lean=False, told_only=told_only),
        _Filler(schema, facts, lean=True, told_only=True),
        _Filler(schema, Facts(""), lean=True, told_only=True),
    )
    last: Any = {}
    for filler in tries:
        filler.facts.taken = frozenset()
        try:
            last = filler.fill(schema, field).value
            if is_valid(last, schema, schema):
                return last
        except _HOPELESS:
            continue
    return last


class _Filler:
    """One try. A lean one takes the least that is allowed everywhere."""

    def __init__(self, root: Any, facts: Facts, lean: bool, told_only: bool) -> None:
        self.root, self.facts, self.lean, self.told_only = root, facts, lean, told_only
        self.steps = 0
        self.in_rows = False

    def fill(self, schema: Any, field: Field) -> Filled:
        """A value for a schema; of its alternatives, the one that the text fills best."""
        self.steps += 1
        if self.steps > _MOST_STEPS or field.depth > _DEEPEST:
            raise _StuckError
        options = flat(schema, self.root)
        checked = isinstance(schema, Mapping) and (
            len(options) > 1 or any(key in schema for key in _COMBINED)
        )
        if self.lean or field.depth > _DEEP:
            options = sorted(options, key=_weight)
        best = self._best(schema, options, field, checked)
        if best is None:
            raise _StuckError
        self.facts.taken = best[1]
        return best[0]

    def _best(
        self, schema: Any, options: list[dict[str, Any]], field: Field, checked: bool
    ) -> tuple[Filled, frozenset[int | str]] | None:
        best, taken, null = None, self.facts.taken, None
        for option in options:
            self.facts.taken = taken
            try:
                filled = self._plain(option, field)
            except _StuckError:
                continue
            if checked and not is_valid(filled.value, schema, self.root):
                continue
            if filled.value is None and not (self.lean or field.depth > _DEEP):
                null = null or (filled, taken)
            elif best is None or filled.told > best[0].told:
                best = (filled, self.facts.taken)
            if best and (self.lean or field.depth > _DEEP):
                return best
        return null if null and (best is None or not best[0].told) else best

    def _plain(self, schema: dict[str, Any], field: Field) -> Filled:
        field = replace(field, description=schema.get("description") or field.description)
        if "const" in schema:
            told = self.facts.chosen([schema["const"]])
            return Filled(copy.deepcopy(schema["const"]), len(told))
        if "enum" in schema:
            if not schema["enum"]:
                raise _StuckError
            return scalars.enum(schema, self.facts, field.name, field.salt)
        match _type(schema):
            case "object":
                return self._object(schema, field)
            case "array":
                return self._array(schema, field)
            case "null":
                return Filled(None, 0)
            case kind:
                return scalars.scalar(kind, schema, self.facts, field)

    def _object(self, schema: dict[str, Any], field: Field) -> Filled:
        properties = schema.get("properties") or {}
        required = dict.fromkeys(schema.get("required") or ())
        most = schema.get("maxProperties", len(properties) + len(required) + 1)
        made: dict[str, Any] = {}
        told = 0
        for name in [*properties, *(name for name in required if name not in properties)]:
            needed = name in required
            if not needed and (len(made) + len(required.keys() - made.keys()) >= most):
                continue
            filled = self._property(name, schema, replace(field, needed=needed))
            if filled is not None:
                made[name], told = filled.value, told + filled.told
                required |= dict.fromkeys((schema.get("dependentRequired") or {}).get(name, ()))
        for name in required.keys() - made.keys():
            filled = self._property(name, schema, replace(field, needed=True))
            made[name] = filled.value if filled else None
        self._add_names(made, schema, field)
        return Filled(made, told)

    def _property(self, name: str, schema: dict[str, Any], field: Field) -> Filled | None:
        """The value of one property; None where it is optional and better left out."""
        parts = schemas_of(name, schema)
        if any(part is False for part in parts):
            if field.needed:
                raise _StuckError
            return None
        if not field.needed and (self.lean or field.depth >= _DEEP):
            return None
        below = Field(name, "", field.depth + 1, field.needed, field.salt)
        taken = self.facts.taken
        try:
            filled = self.fill(parts[0] if len(parts) == 1 else {"allOf": parts}, below)
        except _StuckError:
            if field.needed:
                raise
            return None
        if not field.needed and self.told_only and not filled.told:
            self.facts.taken = taken
            return None
        return filled

    def _add_names(self, made: dict[str, Any], schema: dict[str, Any], field: Field) -> None:
        """Optional and free properties, until there are as many as the schema asks for."""
        least = schema.get("minProperties", 0)
        for name in schema.get("properties") or {}:
            if len(made) < least and name not in made:
                made[name] = self.fill(schema["properties"][name], replace(field, name=name)).value
        for i in range(min(2 * least, _MOST_STEPS)):
            if len(made) >= least:
                break
            name = self._free_name(schema, i)
            if name not in made:
                filled = self._property(name, schema, replace(field, needed=True))
                made[name] = filled.value if filled else None

    def _free_name(self, schema: dict[str, Any], i: int) -> str:
        patterns = schema.get("patternProperties") or {}
        if schema.get("additionalProperties") is False and patterns:
            return from_pattern(next(iter(patterns)), i)
        if isinstance(schema.get("propertyNames"), dict):
            return str(self.fill(schema["propertyNames"], Field("key", salt=i)).value)
        return f"key_{i + 1}"

    def _array(self, schema: dict[str, Any], field: Field) -> Filled:
        first, rest = items_of(schema)
        least, most = schema.get("minItems", 0), schema.get("maxItems", 50)
        if "contains" in schema:
            least = max(least, schema.get("minContains", 1))
        below = Field(field.name, field.description, field.depth + 1, True, field.salt)
        made = [self.fill(part, below).value for part in first[:most]]
        told = 0
        if not self.lean and field.depth <= _DEEP and rest is not False:
            values = self._items(rest, field)
            fitting = [value for value in values if is_valid(value, rest, self.root)]
            made += _distinct(fitting, made)[: max(0, most - len(made))]
            told = len(fitting)
        wanted = least if told or self.lean or field.depth > _DEEP else max(least, min(most, 1))
        if self.told_only or field.depth > 2:
            wanted = least
        source = schema.get("contains", rest) if len(made) < wanted else rest
        self._extend(made, wanted, source, schema, below)
        return Filled(made, told)

    def _extend(
        self, made: list[Any], wanted: int, part: Any, schema: dict[str, Any], field: Field
    ) -> None:
        if len(made) < wanted and (part is False or wanted > _MOST_STEPS):
            raise _StuckError
        if "contains" in schema:
            part = {"allOf": [part, schema.get("items", True)]}
        for salt in range(wanted + 60):
            if len(made) >= wanted:
                return
            value = self.fill(part, replace(field, salt=field.salt + salt)).value
            if not schema.get("uniqueItems") or _distinct([value], made):
                made.append(value)
        raise _StuckError

    def _items(self, part: Any, field: Field) -> list[Any]:
        """What the text says for a list whose entries follow `part`."""
        options = flat(part, self.root)
        if not options:
            return []
        item = options[0]
        match _type(item):
            case _ if item.get("enum"):
                return self.facts.chosen(item["enum"])
            case "object":
                return self._objects(part, field)
            case "string":
                return self._texts(field, item)
            case "integer":
                return [int(value) for value in self.facts.all_numbers() if value == int(value)]
            case "number":
                return [scalars.plain(value) for value in self.facts.all_numbers()]
        return []

    def _texts(self, field: Field, item: Mapping[str, Any]) -> list[str]:
        return self.facts.several(field.name, field.description or item.get("description", ""))

    def _objects(self, part: Any, field: Field) -> list[Any]:
        """One object for each piece of the text that fills some of it."""
        if self.in_rows:
            return []
        whole, self.in_rows = self.facts, True
        below = Field(field.name, "", field.depth + 1, True, field.salt)
        try:
            rows = [self._rows(part, pieces[:20], below) for pieces in whole.segmentations()]
            return max(rows, key=len, default=[])
        except _StuckError:
            return []
        finally:
            self.facts, self.in_rows = whole, False

    def _rows(self, part: Any, pieces: list[str], field: Field) -> list[Any]:
        made = []
        for piece in pieces:
            self.facts = Facts(piece)
            filled = self.fill(part, field)
            if filled.told:
                made.append((filled.told, filled.value))
        most = max((told for told, _ in made), default=0)
        return [value for told, value in made if 2 * told > most]


def _distinct(values: list[Any], made: list[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if not any(type(one) is type(value) and one == value for one in [*made, *found]):
            found.append(value)
    return found


def _weight(schema: Mapping[str, Any]) -> int:
    order = {"null": 0, "array": 2, "object": 3}
    return order.get(_type(schema), 1) + len(schema.get("required") or ())


def _type(schema: Mapping[str, Any]) -> str:
    named = schema.get("type")
    if isinstance(named, str):
        return named
    return next((name for name, keys in _GUESS if any(key in schema for key in keys)), "string")
