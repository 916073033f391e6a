"""What generations of models do on the wire, told by the names of the models."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Family:
    """What a generation of models does. models.toml explains the fields."""

    fingerprint: bool
    priming_tokens: int
    shows_thinking: bool
    counts_thinking: bool
    names_place: bool
    always_reasons: bool
    top_p: float
    reasoning_context: str
    cache_retention: str
    has_phase: bool
    framing_tokens: int
    reasoning: bool | None = None
    encoding: str | None = None
    effort: str | None = None


@dataclass(frozen=True, slots=True)
class Families:
    """All families, each with the pattern of its names; of several that fit, the first counts."""

    known: tuple[tuple[re.Pattern[str], Family], ...]
    other: Family

    @classmethod
    def read(cls, rows: Iterable[Mapping[str, Any]], common: Mapping[str, Any]) -> Families:
        """The families of a file; what a row does not name is as in `common`."""
        known = ((re.compile(row["names"]), {**common, **row}) for row in rows)
        return cls(tuple((names, _family(facts)) for names, facts in known), Family(**common))

    def find(self, model_id: str) -> Family:
        """The family of a model, by its name alone; one for all those that no pattern fits."""
        plain = model_id.rpartition("/")[2].removeprefix("ft:")
        return next((found for names, found in self.known if names.match(plain)), self.other)


def _family(facts: Mapping[str, Any]) -> Family:
    return Family(**{name: value for name, value in facts.items() if name != "names"})
