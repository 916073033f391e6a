"""JSON text, checked: does what a model wrote fit what was asked for, and where does it not?

A Python type is checked by pydantic (https://docs.pydantic.dev), which makes an object of that type
of the JSON; a JSON schema by jsonschema (https://python-jsonschema.readthedocs.io), which leaves
plain dicts and lists. Both are what professionals use for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

# More would only repeat themselves, and each is sent to the model again.
_MOST_PROBLEMS = 5
_LONGEST_VALUE = 60


class MisfitError(ValueError):
    """A text is no JSON, or does not fit; the message names each place and what belongs there."""


def fit_type(text: str, kind: Any) -> Any:
    """The object of type ``kind`` that a JSON text stands for.

    ``kind`` is whatever pydantic understands (a model, a dataclass, ``list[int]``), or a
    `TypeAdapter` of it. Raises MisfitError.
    """
    import pydantic

    adapter = kind if isinstance(kind, pydantic.TypeAdapter) else pydantic.TypeAdapter(kind)
    try:
        return adapter.validate_json(text)
    except pydantic.ValidationError as error:
        rows = error.errors(include_url=False)
        if rows[0]["type"] == "json_invalid":
            raise _no_json(text) from error
        raise MisfitError(_listed(_problem(row) for row in rows)) from error


def fit_schema(text: str, schema: Mapping[str, Any]) -> Any:
    """The value that a JSON text stands for, checked by a JSON schema. Raises MisfitError."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _no_json(text) from error
    found = sorted(_validator(schema).iter_errors(value), key=_place)
    if found:
        raise MisfitError(_listed(f"{_path(e.absolute_path)}: {e.message}" for e in found))
    return value


def check_schema(schema: Mapping[str, Any]) -> None:
    """Raise ValueError where a JSON schema is none itself; the message names the place."""
    import jsonschema

    try:
        type(_validator(schema)).check_schema(schema)
    except jsonschema.SchemaError as error:
        raise ValueError(f"{_path(error.absolute_path)}: {error.message}") from error


def _validator(schema: Mapping[str, Any]) -> Any:
    """jsonschema costs 1.3 s at its first import where Jupyter has installed all its formats."""
    import jsonschema
    import referencing

    kind = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
    # An empty registry: a reference out of the schema is an error, never a download.
    return kind(schema, registry=referencing.Registry())


def _place(error: Any) -> str:
    return str(error.json_path)


def _no_json(text: str) -> MisfitError:
    """Python's own reader says best where a text stops being JSON."""
    try:
        json.loads(text)
    except ValueError as error:
        return MisfitError(f"it is no JSON: {error}, in {shortened(text)}")
    except RecursionError:
        return MisfitError("it is nested too deeply to be read")
    return MisfitError(f"it is no JSON that pydantic reads: {shortened(text)}")


def _problem(row: Mapping[str, Any]) -> str:
    """One of pydantic's problems: where it is, what belongs there, and what stands there."""
    words = {"missing": "is missing", "extra_forbidden": "is not asked for"}.get(row["type"])
    if words:
        return f"{_path(row['loc'])} {words}"
    value = json.dumps(row["input"], default=repr, ensure_ascii=False)
    return f"{_path(row['loc'])}: {row['msg']}, not {shortened(value)}"


def _path(place: Iterable[str | int]) -> str:
    """``persons[0].name``; the whole is ``$``, as in JSONPath."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in place]
    return "".join(parts).removeprefix(".") or "$"


def _listed(problems: Iterable[str]) -> str:
    every = list(problems)
    more = len(every) - _MOST_PROBLEMS
    return "; ".join(every[:_MOST_PROBLEMS]) + (f"; and {more} more" if more > 0 else "")


def shortened(text: str) -> str:
    """The beginning of a text that is too long for a message."""
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "…"
