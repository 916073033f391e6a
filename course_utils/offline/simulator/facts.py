"""What a text says: the values in it that a field of a given name may take."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from course_utils.offline.simulator import arithmetic, forms, lexicon
from course_utils.offline.simulator.entities import LOCATION, ORGANIZATION, OTHER, entities
from course_utils.offline.simulator.words import (
    STOP_WORDS,
    parts_of_list,
    sentences,
    stem,
    stems,
    words,
)

_FIELD_KINDS = {stem(w): kind for kind, said in lexicon.table("kinds").items() for w in said}
_UNITS = {
    stem(name): frozenset(stem(w) if w.isalpha() else w for w in said)
    for name, said in lexicon.table("units").items()
}
_GOOD, _BAD = lexicon.listed("good"), lexicon.listed("bad")
_QUERY_FIELDS = stems("query question prompt search keyword request input sentence topic")
_TEXT_FIELDS = stems("text content document passage original summary headline quote message body")
_SUM_FIELDS = stems("result answer sum product expression calculation solution math formula total")
_TITLE_FIELDS = stems("title name subject book movie song")
_TOPIC_FIELDS = stems("style genre language key topic subject")
_DATE_FIELDS = stems("date day deadline birthday")
_ENDS = (
    r"(?=\s+(?:in|for|at|to|of|and|or|on|with|using|please|today|tomorrow|now|is|are|from|by)\b"
    r"|[,.;:?!\n()]|$)"
)
_PHRASE = re.compile(
    rf"\b(?:in|for|at|to|of|about|near)\s+(?:the\s+)?([\w'-]+(?:\s+[\w'-]+){{0,3}}?){_ENDS}", re.I
)


class Facts:
    """The values of one text. It remembers which numbers and quotations were taken already.

    `question` is the part of it that asks; a loose one finds something for every field.
    """

    def __init__(self, text: str, question: str | None = None, loose: bool = False) -> None:
        self.text = text
        self.question = text if question is None else question
        self.loose = loose
        self.taken: frozenset[int | str] = frozenset()

    def strings(self, name: str, description: str = "") -> list[str]:
        """Texts for a field, the best first; none where the text has nothing for it."""
        if not self.text:
            return []
        found = [*self._labelled(name), *self._by_meaning(name, description)]
        if self.loose:
            found += self._phrases()
        return [one for one in dict.fromkeys(found) if one and one not in self.taken]

    def take(self, text: str) -> None:
        """Keep a quotation from being used for another field."""
        if text in forms.quotations(self.text):
            self.taken |= {text}

    def number(self, name: str, description: str, needed: bool) -> float | None:
        """The number for a field: by the words near it, else, where it is needed, the next."""
        own = stems(name)
        if own & _SUM_FIELDS and (total := arithmetic.find_sum(self.question)):
            return total[1]
        wanted = _with_units(own | stems(description))
        own = _with_units(own)
        free = [n for n in forms.numbers(self.text) if n.start not in self.taken]
        scored = [(2 * len(n.near & own) + len(n.near & wanted), -n.start, n) for n in free]
        best = max(scored, default=None, key=lambda one: one[:2])
        if best is None or (best[0] == 0 and not needed):
            return None
        self.taken |= {best[2].start}
        return best[2].value

    def all_numbers(self) -> list[float]:
        """Every number of the text, in order."""
        return [n.value for n in forms.numbers(self.text)]

    def boolean(self, name: str) -> bool | None:
        """Whether the text speaks of a field, and does not deny it; None where it is silent."""
        own = [word.lower() for word in words(name)]
        said = words(self.text)
        lower = [word.lower().replace("\u2019", "'") for word in said]
        if own == ["on"] or "enabled" in own:
            return None if not {"on", "off"} & set(lower) else "off" not in lower
        wanted = stems(name) - stems("enable include allow flag")
        for at, word in enumerate(said):
            if stem(word) in wanted:
                before = lower[max(0, at - 3) : at]
                return not any(w in ("not", "no", "without", "never") or "n't" in w for w in before)
        return None

    def chosen(self, options: Sequence[object]) -> list[object]:
        """The options of an enumeration that the text names, in its order."""
        said = [stem(word) for word in words(self.text)]
        found = []
        for at, option in enumerate(options):
            if option is None or isinstance(option, bool):
                continue
            parts = [stem(word) for word in words(str(option))]
            where = _position(parts, said)
            if where is not None:
                found.append((where, -len(parts), at, option))
        return [option for *_, option in sorted(found, key=lambda one: one[:3])]

    def mood(self, options: Sequence[object]) -> list[str]:
        """The option among positive, negative and neutral that the text's words speak for."""
        said = {word.lower() for word in words(self.text)}
        score = len(said & _GOOD) - len(said & _BAD)
        wanted = "positive" if score > 0 else "negative" if score < 0 else "neutral"
        return [one for one in options if isinstance(one, str) and one.lower() == wanted][:1]

    def several(self, name: str, description: str = "") -> list[str]:
        """All texts for a list under a name, with nothing that is only a second best."""
        listed = lists_in(self.text, name)
        if listed:
            return listed
        own = stems(name)
        kind = _kind_of(own) or _kind_of(stems(description))
        if kind:
            found = [one.text for one in entities(self.text) if one.kind == kind]
            unsure = [one.text for one in entities(self.text) if one.kind == OTHER]
            found = found or (unsure if kind == LOCATION else [])
        else:
            found = [*self._formed(name), *forms.quotations(self.text)]
        if own & stems("tags keywords topics terms"):
            found = found or keywords(self.text)[:5]
        if own & _QUERY_FIELDS:
            found = found or [_searched(self.question)]
        if own & stems("entities names mentions"):
            found = found or [one.text for one in entities(self.text)]
        return [one for one in dict.fromkeys(found) if one]

    def segmentations(self) -> list[list[str]]:
        """The text in pieces that may each describe one of several things: coarse, then fine."""
        fine = re.split(r"[,;:]\s+|\s+and\s+|(?<=[.!?])\s+|\n+", self.text)
        return [sentences(self.text), [part for part in fine if part.strip()]]

    def _labelled(self, name: str) -> Iterator[str]:
        """Values that follow the field's own name: `title: …`, `name is …`, `called …`."""
        match = re.search(
            rf"\b{_spoken(name)}\b[\"'`]?\s*(?:(?::|=|\bis\b|\bare\b|\bwas\b)\s*)"
            r"(?:[\"'\u201c]([^\"'\u201d\n]+)[\"'\u201d]"
            r"|([^\n,;?!]+?)(?=\s+and\s|\.\s|\.?$|[\n,;?!]))",
            self.text,
            re.I,
        )
        if match:
            yield (match.group(1) or match.group(2)).strip()
        if stems(name) & stems("name title label"):
            yield from re.findall(
                r"\b(?:named|called|titled|[Mm]y name is)\s+[\"'\u201c]?"
                r"([A-Z][\w-]*(?:\s+[A-Z][\w-]*)*)",
                self.text,
            )

    def _by_meaning(self, name: str, description: str) -> Iterator[str]:
        own = stems(name)
        yield from self._formed(name)
        if own & _QUERY_FIELDS:
            yield from forms.quotations(self.text)
            yield _searched(self.question)
        if own & _SUM_FIELDS and (total := arithmetic.find_sum(self.question)):
            whole = own & stems("expression formula math calculation")
            yield total[0] if whole else arithmetic.shown(total[1])
        if own & _TEXT_FIELDS:
            yield from forms.quotations(self.text)
            yield from [] if self.loose else sentences(self.text)[:1]
        kind = _kind_of(own) or _kind_of(stems(description))
        yield from self._entities(name, kind)
        if kind is None and (own & _TITLE_FIELDS or not own):
            yield from forms.quotations(self.text)
        if kind == LOCATION or (kind is None and own & _TOPIC_FIELDS):
            yield from self._phrases()

    def _formed(self, name: str) -> Iterator[str]:
        """Values whose form the field's name speaks of."""
        raw = frozenset(stem(word) for word in words(name))
        if raw & (_DATE_FIELDS | {"when"}):
            yield from forms.dates(self.text)
        if raw & stems("language"):
            yield from re.findall(r"\b(?:in|to|into)\s+([A-Z][a-z]+)\b", self.text)[:1]
        if raw & stems("latitude lat longitude lon lng"):
            places = re.findall(r"-?\d{1,3}\.\d+", self.text)
            yield from places[:1] if raw & stems("latitude lat") else places[1:2]
        yield from forms.formed(self.text, raw)

    def _entities(self, name: str, kind: str | None) -> Iterator[str]:
        found = entities(self.text)
        first = (words(name) or [""])[0].lower()
        for fields, before in (("from origin source departure", "from"), ("to destination", "to")):
            if first in fields.split():
                yield from (one.text for one in found if one.before == before)
        if kind is None:
            return
        yield from (one.text for one in found if one.kind == kind)
        if kind == LOCATION:
            yield from (one.text for one in found if one.kind in (OTHER, ORGANIZATION))
        elif "name" in name.lower() or kind == ORGANIZATION:
            yield from (one.text for one in found if one.kind == OTHER)

    def _phrases(self) -> Iterator[str]:
        """What follows in, for, at, to or of, in lower case too."""
        for match in _PHRASE.finditer(self.text):
            if match.group(1).lower() not in STOP_WORDS:
                yield match.group(1)


def lists_in(text: str, name: str) -> list[str]:
    """The entries of a list that a text gives under a name: `tags: a, b and c`."""
    found = re.search(rf"\b{_spoken(name)}\b\s*(?::|=|\bare\b|\bis\b)\s*([^\n.?!]+)", text, re.I)
    return parts_of_list(found.group(1)) if found else []


def keywords(text: str) -> list[str]:
    """The words of a text that say something, in order."""
    said = (w.lower() for w in words(text) if w.isalpha() and len(w) > 3)
    return list(dict.fromkeys(word for word in said if word not in STOP_WORDS))


def _spoken(name: str) -> str:
    """A pattern for a field's name as people write it."""
    return r"[\s_-]+".join(re.escape(word) for word in words(name)) or re.escape(name)


def _with_units(field: frozenset[str]) -> frozenset[str]:
    return field.union(*(_UNITS.get(part, frozenset()) for part in field))


def _kind_of(field: frozenset[str]) -> str | None:
    return next((_FIELD_KINDS[part] for part in sorted(field) if part in _FIELD_KINDS), None)


def _searched(question: str) -> str:
    """What a search is for: the question without its request to search."""
    asked = re.sub(
        r"^\W*(?:please\s+|can you\s+|could you\s+)*(?:search|look up|look|find|google)\s*"
        r"(?:the web|online|the docs|the documentation|for me)?\s*(?:for|about|on|up)?\s+",
        "",
        question.strip(),
        flags=re.I,
    )
    return sentences(asked)[0].rstrip(" .?!") if asked.strip() else ""


def _position(parts: list[str], said: list[str]) -> int | None:
    """Where a row of stems stands in a text's stems."""
    rows = range(len(said) - len(parts) + 1) if parts else ()
    return next((at for at in rows if said[at : at + len(parts)] == parts), None)
