"""Words: split, stemmed and counted by plain rules, the same for questions, tools and fields."""

from __future__ import annotations

import functools
import re

from course_utils.offline.simulator import lexicon

NUMBER_WORDS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6,
    "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12,
}  # fmt: skip
COUNT = rf"(\d{{1,2}}|{'|'.join(NUMBER_WORDS)})"
# Words that say nothing about what a question is about.
STOP_WORDS = lexicon.listed("stop")
_SUFFIXES = (
    "ications", "ication", "ations", "ation", "ators", "ator", "ating", "ated", "ates", "ate",
    "ings", "ing", "ions", "ion", "ied", "ies", "ers", "er", "ed", "es", "y", "s", "e",
)  # fmt: skip


@functools.lru_cache(4096)
def stem(word: str) -> str:
    """The part of a word that its forms share, by suffix rules: `cities` and `city` are `cit`."""
    word = word.lower().removesuffix("'s").removesuffix("\u2019s")
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            word = word.removesuffix(suffix)
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


def words(text: str) -> list[str]:
    """The words of a text or of an identifier: `getCurrentWeather`, `order_id` have several."""
    return re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+(?:['\u2019]\w+)?|\d+", text)


@functools.lru_cache(1024)
def stems(text: str) -> frozenset[str]:
    """The stems of all words that say something."""
    said = (word for word in words(text) if word.lower() not in STOP_WORDS and len(word) > 1)
    return frozenset(stem(word) for word in said)


def number(word: str) -> int:
    """A count in digits or letters."""
    return int(word) if word.isdigit() else NUMBER_WORDS[word.lower()]


def sentences(text: str) -> list[str]:
    """The sentences and lines of a text."""
    parts = re.split(r"(?<=[.!?])[\"'\u201d)]*\s+|\n+", text.strip())
    return [part.strip() for part in parts if part.strip()]


def parts_of_list(text: str) -> list[str]:
    """The entries of a list in prose: `a, b and c` has three."""
    parts = re.split(r"\s*[,;\n]\s*(?:and\s+|or\s+)?|\s+(?:and|or|&)\s+", text.strip())
    return [part.strip(" '\"`.*-") for part in parts if part.strip(" '\"`.*-")]


def joined(entries: list[str]) -> str:
    """A list in prose."""
    return entries[0] if len(entries) == 1 else f"{', '.join(entries[:-1])} and {entries[-1]}"


def label(name: str) -> str:
    """An identifier as words: `is_urgent` reads `is urgent`."""
    return " ".join(word.lower() for word in words(name)) or "value"


def shortened(text: str, most_words: int = 12) -> str:
    """The first words of a text, with a mark where some are left out."""
    parts = text.split()
    return " ".join(parts[:most_words]) + (" \u2026" if len(parts) > most_words else "")
