"""OpenAI's moderations endpoint, by rules: words that belong to a category flag it.

The words stand in moderation.toml. A real classifier reads the sense; this one reads words, so
it is good for learning how to call the endpoint and what it answers, and for nothing else.
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from course_utils.offline import ids
from course_utils.offline.call import Answer
from course_utils.offline.endpoints.resources import json_answer
from course_utils.offline.routes import Visit
from course_utils.wire.catalogue import moderation_models
from course_utils.wire.fields import MalformedRequestError, json_name, take, take_objects

_FILE = Path(__file__).with_name("moderation.toml")
# In the order in which the API lists them.
CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "sexual",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm/intent",
    "self-harm/instructions",
    "self-harm",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
# The categories that also look at images.
_SEES_IMAGES = frozenset(
    ("sexual", *(name for name in CATEGORIES if name.startswith(("self-harm", "violence"))))
)


def moderate(visit: Visit) -> Answer:
    """One result for each text; text and images of one content array share one result."""
    body = visit.json()
    name = take(body, "model", "string", default=moderation_models()[0])
    if name not in moderation_models() and not visit.standin.lenient:
        raise visit.refused("unknown_model", model=name)
    answer = {
        "id": "modr-" + ids.hexadecimal(visit.seed, 32),
        "model": name,
        "results": [_result(text, types) for text, types in _inputs(body)],
    }
    return json_answer(visit, answer, limited=True)


def _inputs(body: Mapping[str, Any]) -> list[tuple[str, frozenset[str]]]:
    """Each text to judge, with the kinds of input that it came in: text, image."""
    given = body.get("input")
    if isinstance(given, str):
        return [(given, frozenset(["text"]))]
    if not isinstance(given, list):
        got = None if given is None else json_name(given)
        raise MalformedRequestError("input", "string", got)
    if all(isinstance(each, str) for each in given):
        return [(each, frozenset(["text"])) for each in given]
    parts = [part for _, part in take_objects(body, "input")]
    text = "\n".join(str(part.get("text", "")) for part in parts)
    kinds = {"text" if part.get("type") == "text" else "image" for part in parts}
    return [(text, frozenset(kinds))]


def _result(text: str, types: frozenset[str]) -> dict[str, Any]:
    found = {category: _is_found(text, category) for category in CATEGORIES}
    return {
        "flagged": any(found.values()),
        "categories": found,
        "category_scores": {c: _score(text, c, yes) for c, yes in found.items()},
        "category_applied_input_types": {c: _applied(c, types) for c in CATEGORIES},
    }


def _is_found(text: str, category: str) -> bool:
    """A category is found by its own words, and a broad one by those of its narrow kinds too."""
    rows = _patterns()
    narrow = [name for name in rows if name == category or name.startswith(f"{category}/")]
    return any(rows[name].search(text) for name in narrow)


def _score(text: str, category: str, found: bool) -> float:
    """A probability: near 1 where the category is found, tiny where it is not."""
    share = int(ids.hexadecimal(f"{category}{text}", 8), 16) / 16**8
    return round(0.85 + 0.14 * share, 12) if found else round(1e-6 + 4e-4 * share**3, 12)


def _applied(category: str, types: frozenset[str]) -> list[str]:
    seen = types if category in _SEES_IMAGES else types & {"text"}
    return sorted(seen, reverse=True)


@functools.cache
def _patterns() -> dict[str, re.Pattern[str]]:
    with _FILE.open("rb") as file:
        rows = tomllib.load(file)
    return {
        name: re.compile("|".join(rf"\b(?:{each})\b" for each in row["patterns"]), re.IGNORECASE)
        for name, row in rows.items()
    }
