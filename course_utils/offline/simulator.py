"""Answers where there is no recording: built by rules from the request itself.

No model is at work here. A rule looks for the shape that the question asks for (a number, a list,
code, a label) and fills it with the question's own words, so that an edited prompt still gives a
sensible answer. Whoever calls this labels the answer as simulated.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable

from course_utils.wire.reply import Choice
from course_utils.wire.request import Request

Rule = Callable[[str, Request], str | None]

_NUMBER_WORDS = {
    "a": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5,
    "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
}  # fmt: skip
_COUNT = r"(\d{1,2}|one|two|three|four|five|six|seven|eight|nine|ten)"


def simulate(request: Request) -> Choice:
    """One answer to a request; the same request always gets the same answer."""
    question = request.last_user_text.strip()
    text = next((text for rule in _RULES if (text := rule(question, request))), "")
    return Choice(_styled(text, request))


def _memory(question: str, request: Request) -> str | None:
    """What the user said of themselves earlier: only what the request carries is known."""
    asked = re.search(r"\b(?:what(?:'s| is| was)|do you know|remember) my (\w+)", question, re.I)
    if not asked:
        return None
    thing = asked.group(1).lower()
    for message in reversed(request.messages[:-1]):
        told = re.search(rf"\bmy {re.escape(thing)} is ([\w-]+)", message.text, re.I)
        if told and message.role == "user":
            return f"Your {thing} is {told.group(1)}: it says so earlier in these messages."
    return f"I cannot know your {thing}: none of the messages in this request says it."


def _arithmetic(question: str, request: Request) -> str | None:
    found = re.search(r"-?\d[\d\s.+*/()x-]*\d", question)
    if not found or not re.search(r"[+*/x-]", found.group()[1:]):
        return None
    expression = found.group().replace("x", "*").strip()
    value = _evaluate(expression)
    return None if value is None else f"{expression} = {value:g}"


_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def _evaluate(expression: str) -> float | None:
    """The value of a sum of plain numbers; None for all else."""
    try:
        return _value(ast.parse(expression, mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, OverflowError):
        return None


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left), _value(right))
    raise ValueError("not a sum of numbers")


def _label(question: str, request: Request) -> str | None:
    """One of the labels that the prompt offers: the first that the text itself speaks for."""
    where = f"{request.system}\n{question}"
    offered = re.search(
        r"\b(?:classify|label|categori[sz]e)\b.*?\b(?:as|into|with|labels?:?|one of:?)\s+"
        r"([\w '\"-]+(?:,\s*[\w '\"-]+)*,?\s+(?:or|and)\s+['\"]?[\w-]+)",
        where,
        re.IGNORECASE | re.DOTALL,
    )
    if not offered:
        return None
    labels = [part.strip(" '\".") for part in re.split(r",|\bor\b|\band\b", offered.group(1))]
    rest = question.replace(offered.group(1), "").lower()
    spoken = [label for label in labels if label and label.lower() in rest]
    return next((label for label in (*spoken, _mood(rest, labels), *labels) if label), None)


_GOOD = frozenset(
    ["good", "great", "love", "loved", "excellent", "happy", "wonderful", "best", "nice", "perfect"]
)
_BAD = frozenset(
    ["bad", "terrible", "hate", "hated", "awful", "broken", "worst", "poor", "slow", "angry"]
)


def _mood(text: str, labels: list[str]) -> str | None:
    words = set(re.findall(r"\w+", text))
    score = len(words & _GOOD) - len(words & _BAD)
    wanted = "positive" if score > 0 else "negative" if score < 0 else "neutral"
    return next((label for label in labels if label.lower() == wanted), None)


def _translation(question: str, request: Request) -> str | None:
    asked = re.search(r"translate\b(.*?)\b(?:in)?to (\w+)\W*(.*)", question, re.I | re.DOTALL)
    if not asked:
        return None
    before, language, after = (part.strip(" :'\"\n") for part in asked.groups())
    return f"[{language.capitalize()}] {after or before}"


def _summary(question: str, request: Request) -> str | None:
    asked = re.match(r"\W*(?:summari[sz]e|sum up|tl;?dr)\b[^:\n]*[:\n](.+)", question, re.I | re.S)
    if not asked:
        return None
    return re.split(r"(?<=[.!?])\s+", asked.group(1).strip())[0]


def _code(question: str, request: Request) -> str | None:
    if not re.search(r"\b(function|code|script|program|snippet)\b", question, re.I):
        return None
    if not re.search(r"\b(write|create|implement|show|give|code)\b", question, re.I):
        return None
    goal = re.sub(r".*?\b(?:function|code|script|program|snippet)\b\s*", "", question, flags=re.I)
    goal = re.sub(r"^(that|to|which|for)\b\s*", "", goal, flags=re.I).rstrip(" .!?") or "run"
    name = "_".join(re.findall(r"[a-z]+", goal.lower())[:4]) or "run"
    return f'```python\ndef {name}(value):\n    """To do: {goal}."""\n    return value\n```'


def _list(question: str, request: Request) -> str | None:
    asked = re.search(rf"\b(?:list|name|give(?: me)?|suggest)\s+{_COUNT}\s+(.+)", question, re.I)
    listed = asked or re.search(r"\blist\b\s+()(.+)", question, re.I)
    if not listed:
        return None
    count = _number(listed.group(1)) if listed.group(1) else 3
    thing = listed.group(2).split("\n")[0].rstrip(" .?!").removesuffix("s").capitalize()
    return "\n".join(f"{i}. {thing} {i}" for i in range(1, count + 1))


def _count_question(question: str, request: Request) -> str | None:
    if not re.match(r"how (?:many|much)\b", question, re.I):
        return None
    numbers = re.findall(r"\d+", question)
    return f"{numbers[-1] if numbers else len(question.split())}, counted by a simulator."


_AUXILIARY = r"(?:is|are|was|were|do|does|did|can|could|will|should|has|have)\b"


def _yes_no(question: str, request: Request) -> str | None:
    return "Yes." if re.match(_AUXILIARY, question, re.I) else None


def _prose(question: str, request: Request) -> str | None:
    """The last resort: sentences that take up the question and claim nothing about it."""
    sentences = [
        f"Here a model would answer: “{_shortened(question)}”",
        "This text comes from the course's simulator, which knows no facts.",
        "Set a key and go live to hear what a real model says.",
    ]
    wanted = re.search(
        rf"\b(?:in\s+)?{_COUNT}\s+sentences?\b", f"{request.system} {question}", re.I
    )
    return " ".join(sentences[: _number(wanted.group(1)) if wanted else 2])


_RULES: tuple[Rule, ...] = (
    _memory,
    _arithmetic,
    _label,
    _translation,
    _summary,
    _code,
    _list,
    _count_question,
    _yes_no,
    _prose,
)


def _styled(text: str, request: Request) -> str:
    """The answer in the form that the system prompt asks for, as far as rules can tell."""
    asked = f"{request.system} {request.last_user_text}"
    words = re.search(rf"\b(?:in|with|only|at most)\s+{_COUNT}\s+words?\b", asked, re.I)
    if words:
        text = " ".join(text.split()[: _number(words.group(1))])
    if re.search(r"\b(upper ?case|capital letters|all caps)\b", asked, re.I):
        text = text.upper()
    return text


def _number(word: str) -> int:
    return int(word) if word.isdigit() else _NUMBER_WORDS[word.lower()]


def _shortened(question: str, most_words: int = 12) -> str:
    """The first words of a question, with a mark where some are left out."""
    words = question.split()
    return " ".join(words[:most_words]) + (" …" if len(words) > most_words else "")
