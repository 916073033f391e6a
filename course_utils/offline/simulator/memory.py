"""What the conversation itself says: only what the request carries is known."""

from __future__ import annotations

import re

from course_utils.offline.simulator.words import shortened
from course_utils.wire.request import Request


def told_of(question: str, request: Request, variant: int) -> str | None:
    """What the user said of themselves earlier: only what the request carries is known."""
    asked = re.search(
        r"\b(?:what(?:'s|\u2019s| is| was)|do you (?:know|remember)|remember|who is) my "
        r"((?:fav(?:ou?rite) )?\w+)",
        question,
        re.I,
    )
    if not asked:
        return None
    thing = asked.group(1).lower()
    for text in _said_before(request):
        told = re.search(rf"\bmy {re.escape(thing)} is ([\w-]+)", text, re.I)
        named = thing == "name" and re.search(r"\b(?:I am|I'm|call me) ([A-Z][\w-]+)", text)
        if found := told or named:
            return f"Your {thing} is {found.group(1)}: it says so earlier in these messages."
    return f"I cannot know your {thing}: none of the messages in this request says it."


def told_to_do(question: str, request: Request, variant: int) -> str | None:
    """What the user said that they do: `what do I like?`, `where do I live?`."""
    asked = re.search(
        r"\b(?:what|where|which \w+|who) (?:do|did|am) I (\w+)(?: (?:for|at|in|with|from))?\b",
        question,
        re.I,
    )
    if not asked:
        return None
    verb = asked.group(1).lower()
    if verb in ("ask", "say", "tell"):
        return None
    for text in _said_before(request):
        told = re.search(
            rf"\bI(?: really| also)? (?:{re.escape(verb)}(?:s|d|ed)?)\b ([^.!?\n]+)", text, re.I
        )
        if told:
            return f"You {verb} {told.group(1).strip()}: it says so earlier in these messages."
    return f"I cannot know what you {verb}: none of the messages in this request says it."


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
