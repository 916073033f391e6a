"""Answers in text: a rule looks for the shape that a question asks for and fills it.

The question's own words fill it. Prose claims nothing and says that it is simulated.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from course_utils.offline.simulator import arithmetic, memory
from course_utils.offline.simulator.facts import Facts, keywords
from course_utils.offline.simulator.labels import classified
from course_utils.offline.simulator.source import matter
from course_utils.offline.simulator.words import (
    COUNT,
    joined,
    number,
    sentences,
    shortened,
)
from course_utils.wire.request import Request

# A rule's answer to a question, the variant-th of several; None where the rule does not apply.
Rule = Callable[[str, Request, int], str | None]


def answer(request: Request, variant: int) -> str:
    """The text of the first rule that fits the newest question."""
    question = request.last_user_text.strip()
    return next((text for rule in _RULES if (text := rule(question, request, variant))), "")


def _echo(question: str, request: Request, variant: int) -> str | None:
    """Words that are to be said as they stand."""
    asked = re.match(
        r"\W*(?:please\s+)?(?:(?:reply|respond|answer|output|say|write|repeat)(?: after me| back)?"
        r"(?:\s+with)?\s+(?:exactly|only|just)(?:\s+with)?(?: the words?)?\s*:?|say:?|repeat:?)"
        r"\s+(.+)",
        question,
        re.I | re.S,
    )
    if not asked or re.match(
        r"\d+ |yes or no|the (?:number|letter)|(?:one|a) \w+$", asked.group(1)
    ):
        return None
    said = re.match(r"[\"'\u201c](.+?)[\"'\u201d]", asked.group(1))
    return said.group(1) if said else asked.group(1).strip().rstrip(".")


def _counting(question: str, request: Request, variant: int) -> str | None:
    asked = re.match(
        rf"\W*(?:please )?count (?:from {COUNT} )?(?:up )?to {COUNT}\b", question, re.I
    )
    if not asked:
        return None
    first, last = number(asked.group(1) or "1"), number(asked.group(2))
    step = 1 if last >= first else -1
    return ", ".join(str(i) for i in range(first, last + step, step))


def _arithmetic(question: str, request: Request, variant: int) -> str | None:
    found = arithmetic.find_sum(question)
    if not found:
        return None
    value = arithmetic.shown(found[1])
    if re.search(
        r"\b(?:just|only) (?:with )?(?:the|a) (?:number|result|answer|value)",
        _asked(question, request),
        re.I,
    ):
        return value
    return f"{found[0]} = {value}"


def _asked(question: str, request: Request) -> str:
    return f"{request.system}\n{question}"


def _translation(question: str, request: Request, variant: int) -> str | None:
    asked = re.search(r"translate\b(.*?)\b(?:in)?to (\w+)\W*(.*)", question, re.I | re.S)
    if asked:
        before, language, after = (part.strip(" :'\"\n") for part in asked.groups())
        return f"[{language.capitalize()}] {after or before}"
    ordered = re.search(r"\btranslat\w+\b.*?\b(?:in)?to (\w+)", request.system, re.I | re.S)
    return f"[{ordered.group(1).capitalize()}] {question}" if ordered else None


def _summary(question: str, request: Request, variant: int) -> str | None:
    asked = re.match(
        r"\W*(?:please )?(?:summari[sz]e|sum up|tl;?dr)\b[^:\n]*[:\n](.+)", question, re.I | re.S
    )
    ordered = re.search(r"\bsummari[sz]e\b|\bsummar(?:y|ies) of\b", request.system, re.I)
    source = asked.group(1) if asked else question if ordered and len(question) > 80 else ""
    found = sentences(source)
    if not found:
        return None
    bullets = re.search(
        rf"\b{COUNT}(?: \w+)? (?:bullets?|points)\b", _asked(question, request), re.I
    )
    if bullets:
        return "\n".join(f"- {one}" for one in found[: number(bullets.group(1))])
    count = re.search(rf"\b{COUNT} sentences?\b", _asked(question[:200], request), re.I)
    return " ".join(found[: number(count.group(1)) if count else 1])


def _keywords(question: str, request: Request, variant: int) -> str | None:
    asked = re.search(r"\b(?:extract|find|list|get)\b[^.:\n]*\b(keywords|names|people|persons|"
                      r"places|cities|locations|companies|organi[sz]ations|dates|emails|numbers|urls)\b",
                      question, re.I)  # fmt: skip
    text = matter(question)
    if not asked or text == question:
        return None
    thing = asked.group(1).lower()
    facts = Facts(text)
    found = keywords(text)[:5] if thing == "keywords" else facts.several(thing)
    if thing == "numbers":
        found = [arithmetic.shown(value) for value in facts.all_numbers()]
    return joined(found) if found else f"The text names no {thing} that these rules can find."


def _code(question: str, request: Request, variant: int) -> str | None:
    if not re.search(r"\b(function|code|script|program|snippet)\b", question, re.I):
        return None
    if not re.search(r"\b(write|create|implement|show|give|code)\b", question, re.I):
        return None
    goal = re.sub(r".*?\b(?:function|code|script|program|snippet)\b\s*", "", question, flags=re.I)
    goal = re.sub(r"^(that|to|which|for)\b\s*", "", goal, flags=re.I).rstrip(" .!?") or "run"
    name = "_".join(re.findall(r"[a-z]+", goal.lower())[:4]) or "run"
    name += f"_{variant + 1}" if variant else ""
    if re.search(r"\bjavascript|typescript\b", _asked(question, request), re.I):
        body = f"function {name}(value) {{\n  // To do: {goal}.\n  return value;\n}}"
        return f"```javascript\n{body}\n```"
    if re.search(r"\bsql\b", _asked(question, request), re.I):
        return f"```sql\n-- To do: {goal}.\nSELECT 1;\n```"
    return f'```python\ndef {name}(value):\n    """To do: {goal}."""\n    return value\n```'


def _list(question: str, request: Request, variant: int) -> str | None:
    verbs = r"(?:list|name|give(?: me)?|suggest|write|generate|propose|tell me|brainstorm)"
    asked = re.search(rf"\b{verbs}\s+(?:exactly\s+|only\s+)?{COUNT}\s+(.+)", question, re.I)
    if asked and re.match(
        r"(?:\w+ ){0,2}(?:sentences?|words?|paragraphs?|lines?)\b", asked.group(2), re.I
    ):
        asked = None
    listed = asked or re.search(r"\blist\b\s+()(.+)", question, re.I)
    listed = listed or re.match(rf"\W*{COUNT}\s+(\w+s (?:for|of|about)\b.+)", question, re.I)
    if not listed:
        return None
    count = number(listed.group(1)) if listed.group(1) else 3
    thing = re.split(r"\n|\.\s|, (?:one|each|as|sep)", listed.group(2))[0].rstrip(" .?!")
    if re.search(r"\bcomma[- ]separated\b", _asked(question, request), re.I):
        return ", ".join(_entries(thing, count, variant))
    entries = _entries(thing, count, variant)
    if re.search(r"\bbullet", _asked(question, request), re.I):
        return "\n".join(f"- {entry}" for entry in entries)
    return "\n".join(f"{i}. {entry}" for i, entry in enumerate(entries, start=1))


def _entries(thing: str, count: int, variant: int) -> list[str]:
    one = thing.removesuffix("s").capitalize()
    return [f"{one} {variant * count + i}" for i in range(1, count + 1)]


def _choice(question: str, request: Request, variant: int) -> str | None:
    """A letter where a question offers lettered answers."""
    letters = re.findall(r"(?:^|\n)\s*\(?([A-F])[).:]\s+\S", question)
    if len(letters) < 2:
        return None
    return str(letters[variant % len(letters)])


def _count_question(question: str, request: Request, variant: int) -> str | None:
    if not re.match(r"how (?:many|much)\b", question, re.I):
        return None
    counted = re.match(
        r"how many (?:times .*?|(?:letters?\s+)?[\"']?(\w)[\"']?(?:'s|s)?) .*?\b(?:in|word)\b "
        r"(?:the word )?[\"'\u201c]?(\w+)[\"'\u201d]?\W*$",
        question,
        re.I,
    )
    if counted and counted.group(1):
        letter, word = counted.group(1), counted.group(2)
        count = word.lower().count(letter.lower())
        return f"{count}: the letter {letter} in \u201c{word}\u201d, counted by a simulator."
    numbers = re.findall(r"\d+", question)
    return f"{numbers[-1] if numbers else len(question.split())}, counted by a simulator."


_AUXILIARY = r"(?:is|are|was|were|do|does|did|can|could|will|should|has|have)\b"


def _yes_no(question: str, request: Request, variant: int) -> str | None:
    asked = _asked(question, request)
    if re.search(r"\byes or no\b|\b(?:true or false)\b", asked, re.I):
        words_of = ("True", "False") if re.search("true or false", asked, re.I) else ("Yes", "No")
        return words_of[variant % 2]
    if re.match(r"(?:can|could|will|would) you\b", question, re.I):
        return None
    return ("Yes.", "No.")[variant % 2] if re.match(_AUXILIARY, question, re.I) else None


def _greeting(question: str, request: Request, variant: int) -> str | None:
    if not re.fullmatch(
        r"(?:hi|hello|hey|good (?:morning|day|evening))(?: there| world)?\W*", question, re.I
    ):
        return None
    greetings = ("Hello.", "Hi there.", "Good day.", "Welcome.")
    return f"{greetings[variant % 4]} This is the course's simulator. What would you like to ask?"


_OPENINGS = (
    "Here a model would answer",
    "A model would now reply to",
    "At this place a model would take up",
    "This is where a model would respond to",
)


def _prose(question: str, request: Request, variant: int) -> str | None:
    """The last resort: sentences that take up the question and claim nothing about it."""
    asked = shortened(question) or "an input without text"
    told = [
        f"{_OPENINGS[variant % 4]}: \u201c{asked}\u201d",
        "This text comes from the course's simulator, which knows no facts.",
        "Set a key and go live to hear what a real model says.",
        "The form of this answer follows from the words of the request.",
        "Nothing in it says anything about the matter.",
    ]
    if re.search(r"\b(?:one|single|1)[ -]word\b", _asked(question, request), re.I):
        return "Simulated."
    wanted = re.search(
        rf"\b(?:in\s+)?{COUNT}(?:[ -]\w+)?[ -]sentences?\b", _asked(question, request), re.I
    )
    if not wanted:
        return " ".join(told[:2])
    filling = [f"Sentence {i} stands here for its length." for i in range(6, 100)]
    return " ".join([*told, *filling][: number(wanted.group(1))])


_RULES: tuple[Rule, ...] = (
    memory.told_of,
    memory.told_to_do,
    memory.asked_before,
    _echo,
    _counting,
    classified,
    _translation,
    _summary,
    _keywords,
    _arithmetic,
    _code,
    _list,
    _choice,
    _count_question,
    _yes_no,
    _greeting,
    _prose,
)
