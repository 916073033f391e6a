"""Each provider's error answers: `words.toml` beside this file, with the gaps filled."""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path
from typing import Any

from course_utils.wire.reply import Refusal

_FILE = Path(__file__).with_name("words.toml")
_MODEL_FORMAT = "openai"


def refusal(words: str, kind: str, **facts: object) -> Refusal:
    """The refusal of one kind in one provider's words, with its gaps filled from `facts`."""
    table = _tables()[words]
    row = _tables()[_MODEL_FORMAT].get(kind, {}) | {"type": table["type"]} | table.get(kind, {})
    return Refusal(
        status=row["status"],
        type=row["type"],
        message=row["message"].format_map(facts),
        code=row.get("code"),
        param=row["param"].format_map(facts) if "param" in row else None,
    )


@functools.cache
def _tables() -> dict[str, Any]:
    with _FILE.open("rb") as file:
        return tomllib.load(file)
