"""Each provider's error answers: `words.toml` beside this file, with the gaps filled."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from course_utils.wire.reply import Refusal

_FILE = Path(__file__).with_name("words.toml")
_MODEL_FORMAT = "openai"


def refusal(words: str, kind: str, **facts: object) -> Refusal:
    """The refusal of one kind in one provider's words, with its gaps filled from `facts`."""
    row = _row(words, kind)
    return Refusal(
        status=row["status"],
        type=row["type"],
        message=row["message"].format_map(facts),
        code=row.get("code") or None,
        param=row.get("param", "").format_map(facts) or None,
        details=tuple(_filled(row.get("details", ()), facts)),
    )


def _row(words: str, kind: str) -> dict[str, Any]:
    """What is known of one kind: the words' own row over that of the words they are `like`."""
    table = _tables()[words]
    default = {"type": table["type"]} if "type" in table else {}
    own: dict[str, Any] = default | table.get(kind, {})
    return own if words == _MODEL_FORMAT else _row(table.get("like", _MODEL_FORMAT), kind) | own


def _filled(value: Any, facts: Mapping[str, object]) -> Any:
    """The value with the gaps in all texts within it filled."""
    if isinstance(value, str):
        return value.format_map(facts)
    if isinstance(value, Mapping):
        return {name: _filled(inner, facts) for name, inner in value.items()}
    return [_filled(inner, facts) for inner in value]


@functools.cache
def _tables() -> dict[str, Any]:
    with _FILE.open("rb") as file:
        return tomllib.load(file)
