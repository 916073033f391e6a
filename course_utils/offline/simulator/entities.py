"""Names in a text: runs of capitalised words, sorted by the words around them."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from course_utils.offline.simulator import lexicon
from course_utils.offline.simulator.words import STOP_WORDS

PERSON, ORGANIZATION, LOCATION, OTHER = "person", "organization", "location", "other"

_WORD = r"[A-Z\u00c0-\u00de][\w&\u2019'-]*"
_PARTICLES = r"(?:(?:van|von|de|der|den|da|di|del|la|le|ten|ter)\s+){0,2}"
_HEAD = r"(?:(?:University|Bank|Institute|Museum|Ministry|House|Isle|Gulf|Bay|Lake) of (?:the )?)?"
_RUN = re.compile(rf"\b{_HEAD}{_WORD}(?:[ \t]+{_PARTICLES}{_WORD}|, [A-Z]{{2}}\b)*")
_CALENDAR = lexicon.listed("calendar")
# Words that open a sentence with a capital and are no name.
_OPENERS = (STOP_WORDS - {"new"}) | lexicon.listed("openers")
_TITLES = lexicon.listed("titles")
_PLACES = lexicon.listed("places")
_NO_NAMES = lexicon.listed("no_names")
_CORPORATE = re.compile(
    r"\b(?:Inc|Ltd|LLC|GmbH|Corp|Corporation|Company|Foundation|University|Institute|Bank|Group|"
    r"Labs?|Association|Agency|College|Ministry|Party|Times|Airlines?|Hospital|School|"
    r"University of .*|Bank of .*)\b"
)
_BEFORE_PLACE = lexicon.listed("before_place")
_BEFORE_ORG = lexicon.listed("before_organization")
_BEFORE_PERSON = lexicon.listed("before_person")
# What stands before the first word of a sentence.
_OPEN = re.compile(r"(?:^|[.!?:\n\"'\u201c(])\s*$")
_ACTS = re.compile(
    r"\s+(?:is|was|has|had|will|and|works?|lives?|who|joined|met|said|says|[a-z]+ed|[a-z]{3,}s)\b"
)


@dataclass(frozen=True, slots=True)
class Entity:
    """A name in a text: its kind, and the word before it, which says how it is used."""

    text: str
    kind: str
    before: str
    start: int
    end: int


@functools.lru_cache(256)
def entities(text: str) -> tuple[Entity, ...]:
    """All names of a text, in order."""
    found: list[Entity] = []
    for start, end in _runs(text):
        before, kind = _before(text, start), _kind(text, start, end)
        if found and re.fullmatch(
            r"\s*(?:,|,?\s*(?:and|or|&|vs\.?|versus))\s*", text[found[-1].end : start]
        ):
            before = found[-1].before
            kind = found[-1].kind if kind in (OTHER, PERSON) else kind
        found.append(Entity(text[start:end], kind, before, start, end))
    return tuple(found)


def _runs(text: str) -> Iterator[tuple[int, int]]:
    for match in _RUN.finditer(text):
        start, end = match.span()
        end -= len(re.search(r"(?:['\u2019]s)?$", text[start:end]).group())  # type: ignore[union-attr]
        words = re.findall(r"\S+\s*", text[start:end])
        while words and _is_no_name(words[0], text, start):
            start += len(words.pop(0))
        while words and words[-1].strip(" ,.'").lower() in _CALENDAR | _NO_NAMES:
            end -= len(words.pop())
            end = start + len(text[start:end].rstrip())
        if words and end - start > 1:
            yield start, end


def _is_no_name(word: str, text: str, start: int) -> bool:
    bare = re.split(r"['\u2019]", word.strip(" ,."))[0].lower()
    opens = bool(_OPEN.search(text[max(0, start - 8) : start]))
    return bare in _NO_NAMES or bare in _CALENDAR or bare in _TITLES or (opens and bare in _OPENERS)


def _before(text: str, start: int) -> str:
    before = re.search(r"([\w'\u2019]+)\.?\s+(?:the\s+|a\s+)?$", text[max(0, start - 40) : start])
    return before.group(1).lower() if before else ""


def _kind(text: str, start: int, end: int) -> str:
    name, before = text[start:end], _before(text, start)
    if _CORPORATE.search(name):
        return ORGANIZATION
    if before == "to" and re.search(
        r"\b(?:send|e?mail|write|message|invite)\b", text[max(0, start - 200) : start], re.I
    ):
        return PERSON
    if before in _BEFORE_PLACE or name in _PLACES or re.search(r", [A-Z]{2}$", name):
        return LOCATION
    if before in _BEFORE_ORG or (name.isupper() and len(name) in range(2, 6)):
        return ORGANIZATION
    if before in ("for", "of") and " " not in name:
        return (
            ORGANIZATION
            if re.search(r"\bwork\w*\s+for\s+$", text[max(0, start - 20) : start])
            else LOCATION
        )
    if before in _BEFORE_PERSON:
        return PERSON
    opens = bool(_OPEN.search(text[max(0, start - 8) : start]))
    if opens and (_ACTS.match(text[end:]) or " " in name):
        return PERSON
    return PERSON if " " in name and before not in ("on", "into") else OTHER
