"""Sums: found in a question, in signs or in words, and worked out."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable

from course_utils.offline.simulator.words import NUMBER_WORDS

_IN_WORDS = (
    (r"\b(?:multiplied by|times)\b", "*"),
    (r"\bplus\b", "+"),
    (r"\bminus\b", "-"),
    (r"\bdivided by\b", "/"),
)
_ASKED = r"\b(?:what(?:'s|\u2019s| is)|calculate|compute|how much|solve|evaluate|add|work out)\b"


def find_sum(question: str) -> tuple[str, float] | None:
    """The sum that a question asks for, as it is written, and its value."""
    root = re.search(r"\bsquare root of (\d+(?:\.\d+)?)", question, re.I)
    if root:
        return f"\u221a{root.group(1)}", float(root.group(1)) ** 0.5
    square = re.search(r"\bsquare of (\d+(?:\.\d+)?)", question, re.I)
    if square:
        return f"{square.group(1)}\u00b2", float(square.group(1)) ** 2
    found = re.search(r"(?<![\w-])-?[\d(][\d\s.+*/()x\u00d7-]{0,200}[\d)]", _in_signs(question))
    if not found or not re.search(r"\d\s*[+*/x\u00d7]|\s-\s*|\d-\d", found.group()):
        return None
    # A dash alone may stand in a date, a range or a telephone number.
    if not re.search(r"[+*/x\u00d7]|\s-\s", found.group()) and not re.search(
        _ASKED, question, re.I
    ):
        return None
    expression = re.sub("[x\u00d7]", "*", found.group()).strip()
    value = _evaluate(expression)
    return None if value is None else (expression, value)


def shown(value: float) -> str:
    """A number as people write it: whole numbers in full, others with up to 10 digits."""
    return f"{value:.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:.10g}"


def _in_signs(question: str) -> str:
    """A question whose sums in words are written with digits and signs."""
    changed = question
    for words, sign in _IN_WORDS:
        changed = re.sub(words, sign, changed, flags=re.I)
    if changed == question:
        return question
    numbers = "|".join(NUMBER_WORDS)
    return re.sub(
        rf"\b({numbers})\b", lambda m: str(NUMBER_WORDS[m.group().lower()]), changed, flags=re.I
    )


_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def _evaluate(expression: str) -> float | None:
    """The value of a sum of plain numbers; None for all else."""
    if len(expression) > 200:
        return None
    try:
        value = _value(ast.parse(expression, mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, OverflowError, MemoryError):
        return None
    return value if abs(value) < 1e300 else None


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left), _value(right))
    raise ValueError("not a sum of numbers")
