"""Values that are known by their form: numbers, dates, addresses, codes, quotations."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from course_utils.offline.simulator import lexicon
from course_utils.offline.simulator.words import NUMBER_WORDS, stem

_FORMS = {
    "email": r"\b[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64})+",
    "url": r"https?://[^\s\"'<>)\]]*[^\s\"'<>)\].,;!?]",
    "phone": r"(?<![\w-])\+?\d[\d ()-]{6,}\d",
    "time": r"\b(?:[01]?\d|2[0-3]):[0-5]\d\b",
    "id": r"\b(?=[\w-]{0,40}\d)(?=[\w-]{0,40}[A-Za-z])[A-Za-z0-9]+(?:[-_][A-Za-z0-9]+)*\b"
    r"|#\d+|\b\d{4,}\b",
    "currency": r"\b(?:USD|EUR|GBP|JPY|CHF|CAD|AUD|CNY|INR|SEK|NOK|DKK)\b",
}
_FORMS_OF: dict[str, set[str]] = {}
for _form, _said in lexicon.table("forms").items():
    for _word in _said:
        _FORMS_OF.setdefault(stem(_word), set()).add(_form)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = rf"({'|'.join(_MONTHS)})[a-z]*\.?"
_NUMBER = re.compile(
    r"(?<![\w.])(?<!\w[-/])[-\u2212]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?![\d-]*-\d)|\b(?:"
    + "|".join(word for word in NUMBER_WORDS if word != "one")
    + r")\b",
    re.I,
)
_QUOTATION = re.compile(
    r"[\"\u201c]([^\"\u201c\u201d\n]+)[\"\u201d]|`([^`\n]+)`|(?<!\w)'([^'\n]+)'(?!\w)"
)


@dataclass(frozen=True, slots=True)
class Number:
    """A number in a text, and the stems of what stands around it."""

    value: float
    start: int
    near: frozenset[str]


@functools.lru_cache(256)
def numbers(text: str) -> tuple[Number, ...]:
    """The numbers of a text, in digits and in words."""
    found = []
    for match in _NUMBER.finditer(text):
        digits = match.group().lower().replace(",", "").replace("\u2212", "-")
        value = float(NUMBER_WORDS.get(digits, digits))
        before = re.findall(
            r"[$\u20ac\u00a3]|\w+", text[max(0, match.start() - 30) : match.start()]
        )
        after = re.findall(r"[%\u00b0\u20ac]|[^\W\d_]+", text[match.end() : match.end() + 30])
        near = frozenset(stem(word) for word in before[-2:] + after[:2])
        if abs(value) < 1e300:
            found.append(Number(value, match.start(), near))
    return tuple(found)


def dates(text: str) -> list[str]:
    """The dates of a text, as YYYY-MM-DD; where it has none, its days by name."""
    found = re.findall(r"\b\d{4}-\d\d-\d\d\b", text)
    day, year = r"(\d{1,2})(?:st|nd|rd|th)?", r"(\d{4})"
    for of_day, month, of_year in re.findall(rf"\b{day}\s+{_MONTH},?\s+{year}", text, re.I):
        found.append(_date(of_year, month, of_day))
    for month, of_day, of_year in re.findall(rf"\b{_MONTH}\s+{day},?\s+{year}", text, re.I):
        found.append(_date(of_year, month, of_day))
    by_name = r"\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b|\b(?:today|tomorrow|tonight)\b"
    return found or re.findall(by_name, text, re.I)


def _date(year: str, month: str, day: str) -> str:
    return f"{year}-{_MONTHS.index(month.lower()) + 1:02}-{int(day):02}"


@functools.lru_cache(256)
def quotations(text: str) -> tuple[str, ...]:
    """What stands in quotation marks or back quotes."""
    found = _QUOTATION.findall(text)
    return tuple(next(part for part in parts if part) for parts in found)


def formed(text: str, name_stems: frozenset[str]) -> list[str]:
    """The texts of the forms that a field's name speaks of."""
    wanted = {form for part in name_stems for form in _FORMS_OF.get(part, ())}
    codes = re.findall(_FORMS["currency"], text) if "currency" in wanted else []
    if name_stems & {"to", "target"}:
        codes.reverse()
    others = [re.findall(_FORMS[form], text) for form in sorted(wanted - {"currency"})]
    return codes or [one for found in others for one in found]
