"""The simulator's word lists: `lexicon.toml` beside this file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

_TABLES: dict[str, Any] = tomllib.loads(Path(__file__).with_name("lexicon.toml").read_text("utf-8"))


def listed(name: str) -> frozenset[str]:
    """One list, as a set of words."""
    return frozenset(_TABLES[name].split())


def lines(name: str) -> list[str]:
    """One list of groups, a group a line."""
    return [line for line in _TABLES[name].splitlines() if line]


def table(name: str) -> dict[str, list[str]]:
    """Lists under names of their own."""
    return {key: words.split() for key, words in _TABLES[name].items()}
