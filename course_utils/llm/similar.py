"""Near-duplicates of a question: how like two texts are, and what must not differ at all.

Two questions are near-duplicates where

1. everything else is equal: system prompt, earlier messages, model, tools and options;
2. the words that carry meaning are the same, in the same order. That is every word, number and
   symbol but a short list of small words, so a "not", another digit, another name or two names
   that have changed places always make another question;
3. the words that they share, small ones included, are at least `threshold` of all their words
   (Jaccard's index of the two sets).

It finds other punctuation, case, short forms and politeness. It does not find paraphrases or
misspellings, on purpose: a wrong hit is a wrong answer that nobody notices.

What professionals use: GPTCache, RedisVL's SemanticCache and LiteLLM's semantic caches compare
embeddings. Those do find paraphrases, and they also place "it works" near "it does not work": try
such pairs before you trust a threshold.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from course_utils.llm.errors import SettingError
from course_utils.llm.fingerprint import fingerprint

if TYPE_CHECKING:
    from course_utils.wire.request import Request

# A number with what belongs to it (3.14, 1,000, -5, v2, 10:30), a word, or one symbol. Punctuation
# of sentences is none of these, and so counts for nothing.
_TOKEN = re.compile(
    r"-?\w*\d(?:[\w%]|[.,:/-]\d)*|\w+(?:'\w+)*|[^\s\w.,;:!?'\"()\[\]{}\u2026\u2018-\u201d-]"
)
_APOSTROPHE = "\u2019"
_SHORT_FORMS = {
    "can't": "can not",
    "won't": "will not",
    "n't": " not",
    "'s": " is",
    "'re": " are",
    "'m": " am",
    "'d": " would",
    "'ll": " will",
}
# Articles, politeness, and the helping words of a request. "Will", "should" and "was" are not
# among them: they say when, and whether.
_SMALL = frozenset(("the", "a", "an", "please", "kindly", "hi", "hello", "hey", "dear", "thanks",
                    "thank", "you", "can", "could", "would", "i", "me", "do", "does"))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Match:
    """A question that was answered before: its key, its text, and how like it is (0 to 1)."""

    key: str
    text: str
    likeness: float


@dataclass(frozen=True, slots=True)
class Features:
    """What of a text is compared: `meaning` must be equal, likeness is counted by `words`."""

    meaning: tuple[str, ...]
    words: frozenset[str]


def features(text: str) -> Features:
    """What of a text is compared, after evening out case, spaces and short forms."""
    words = _TOKEN.findall(_even(text))
    return Features(
        meaning=tuple(word for word in words if word not in _SMALL),
        words=frozenset(words),
    )


def likeness(one: Features, other: Features) -> float:
    """The share of words in common, from 0 to 1; 0 where the meaning words differ."""
    if one.meaning != other.meaning:
        return 0.0
    return len(one.words & other.words) / max(1, len(one.words | other.words))


class SimilarIndex:
    """Questions that were answered, by their text.

    Args:
        threshold: how like a question must be, above 0 and at most 1. The shorter the text, the
            more a "could you please" weighs: at 0.5, three words may have one before them.
        max_entries: how many questions are remembered; the oldest goes first.

    Raises SettingError for a threshold that makes no sense.
    """

    def __init__(self, threshold: float = 0.5, *, max_entries: int = 1_000) -> None:
        if not 0 < threshold <= 1:
            raise SettingError(
                f"A likeness is between 0 and 1, so no threshold can be {threshold}: 0.5 is a "
                f"good start, 1 accepts only other punctuation, case and short forms."
            )
        self.threshold = threshold
        self._max_entries = max_entries
        self._lock = threading.Lock()
        self._order: OrderedDict[str, str] = OrderedDict()
        # Questions that can match at all share a box: same surroundings, same meaning words.
        self._boxes: dict[str, dict[str, tuple[str, Features]]] = {}

    def add(self, request: Request, asked: str, key: str) -> None:
        """Remember an answered question, whose answer is stored under ``key``."""
        text = request.last_user_text
        found = features(text)
        box = _box(request, asked, found)
        with self._lock:
            self._order[key] = box
            self._boxes.setdefault(box, {})[key] = text, found
            if len(self._order) > self._max_entries:
                old, old_box = self._order.popitem(last=False)
                self._boxes[old_box].pop(old, None)
                if not self._boxes[old_box]:
                    del self._boxes[old_box]

    def find(self, request: Request, asked: str) -> Match | None:
        """The most similar question of those that are similar enough."""
        wanted = features(request.last_user_text)
        with self._lock:
            box = dict(self._boxes.get(_box(request, asked, wanted), {}))
        matches = (Match(key, text, likeness(wanted, f)) for key, (text, f) in box.items())
        best = max(matches, key=lambda match: match.likeness, default=None)
        return best if best and best.likeness >= self.threshold else None


def _box(request: Request, asked: str, found: Features) -> str:
    """The fingerprint of all but the last question, with the meaning words of that."""
    newest = max((i for i, m in enumerate(request.messages) if m.role == "user"), default=-1)
    blank = tuple(
        replace(message, text="") if i == newest else message
        for i, message in enumerate(request.messages)
    )
    return " ".join([fingerprint(replace(request, messages=blank), asked), *found.meaning])


def _even(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).replace(_APOSTROPHE, "'").casefold()
    for short, long in _SHORT_FORMS.items():
        text = text.replace(short, long)
    return text
