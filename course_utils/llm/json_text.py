"""The JSON in an answer: models like to wrap it in a code fence, or to talk around it."""

from __future__ import annotations

import json
import re

_FENCE = re.compile(r"```(?:json)?[ \t]*\n(.*?)\n?[ \t]*```", re.DOTALL | re.IGNORECASE)
_OPENING = re.compile(r"[{\[]")
_DECODER = json.JSONDecoder()


def find_json(text: str) -> tuple[str, str | None]:
    """The JSON in a text, and what had to be taken off it (None where the text is all JSON).

    JSON between sentences is looked for as an object or array only, since any word with a digit
    would do for a number. Where there are several, the longest counts. A text without any comes
    back as it is, so that the reader's error shows it.
    """
    bare = text.strip()
    if _is_json(bare):
        return bare, None
    for fenced in _FENCE.findall(bare):
        if _is_json(fenced):
            return fenced, "The JSON stood in a code fence, which was taken off."
    found = max(_values(bare), key=len, default="")
    if found:
        return found, "The JSON stood between other words, which were left out."
    return bare, None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _values(text: str) -> list[str]:
    """Every whole object and array that does not stand inside another, whole or broken."""
    found: list[str] = []
    at = broken = 0
    while match := _OPENING.search(text, at):
        skipped = text[broken : match.start()]
        if not all(skipped.count(left) == skipped.count(right) for left, right in ("{}", "[]")):
            break
        try:
            _, at = _DECODER.raw_decode(text, match.start())
            found.append(text[match.start() : at])
            broken = at
        except (ValueError, RecursionError):
            at = match.end()
    return found
