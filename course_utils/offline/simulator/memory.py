"""What the conversation itself says: only what the request carries is known."""

from __future__ import annotations

import re
from collections.abc import Sequence

from course_utils.offline.simulator.words import shortened
from course_utils.wire.request import Request

_ABOUT = re.compile(
    r"\b(?:what(?:'s|\u2019s| is| was)|do you (?:know|remember)|remember|who is) my "
    r"((?:fav(?:ou?rite) )?\w+)",
    re.I,
)
_DOING = re.compile(
    r"\b(?:what|where|which \w+|who) (?:do|did|am) I (\w+)(?: (?:for|at|in|with|from))?\b",
    re.I,
)
_INTRODUCED = r"\b(?:I am|I'm|call me) ([A-Z][\w-]+)"


def told_of(question: str, request: Request, variant: int) -> str | None:
    """What the user said of themselves earlier: only what the request carries is known."""
    asked = _ABOUT.search(question)
    if not asked:
        return None
    thing = asked.group(1).lower()
    told = [rf"(?i:\bmy {re.escape(thing)} is ([\w-]+))"]
    told += [_INTRODUCED] if thing == "name" else []
    return _remembered(request, told, f"Your {thing} is", f"your {thing}")


def told_to_do(question: str, request: Request, variant: int) -> str | None:
    """What the user said that they do: `what do I like?`, `where do I live?`."""
    asked = _DOING.search(question)
    if not asked or asked.group(1).lower() in ("ask", "say", "tell"):
        return None
    verb = asked.group(1).lower()
    told = rf"(?i:\bI(?: really| also)? (?:{re.escape(verb)}(?:s|d|ed)?)\b ([^.!?\n]+))"
    return _remembered(request, [told], f"You {verb}", f"what you {verb}")


def _remembered(request: Request, told: Sequence[str], found: str, unknown: str) -> str:
    """What the newest message that fits one of the patterns says, or that none does."""
    for text in _said_before(request):
        matches = (re.search(pattern, text) for pattern in told)
        if match := next(filter(None, matches), None):
            return f"{found} {match.group(1).strip()}: it says so earlier in these messages."
    return f"I cannot know {unknown}: none of the messages in this request says it."


def asked_before(question: str, request: Request, variant: int) -> str | None:
    """What was asked before."""
    asked = re.search(
        r"\bwhat (?:did I|was my|were my|have I)\b.*?"
        r"\b(first|last|previous|just|earlier|before|ask)",
        question,
        re.I,
    )
    if not asked:
        return None
    before = [m.text for m in request.messages if m.role == "user" and m.text][:-1]
    if not before:
        return "This is the first message in this request: it carries nothing earlier."
    said = before[0] if asked.group(1).lower() == "first" else before[-1]
    return f"You asked: \u201c{shortened(said, 30)}\u201d"


def _said_before(request: Request) -> list[str]:
    return [m.text for m in reversed(request.messages[:-1]) if m.role == "user"]
