"""A text that a simple regular expression matches."""

from __future__ import annotations

import re
import string
from collections.abc import Callable

_CLASSES = {
    "d": string.digits,
    "w": string.ascii_lowercase + string.ascii_uppercase + string.digits + "_",
    "s": " ",
    "D": string.ascii_lowercase,
    "W": "-",
    "S": string.ascii_lowercase + string.digits,
}
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}
_ANY = string.ascii_lowercase + string.ascii_uppercase + string.digits + " -_.,:;/@#"
# What one part of an expression writes, given how often an open repetition goes around.
_Writer = Callable[[int], str]


class _UnknownPatternError(Exception):
    """The expression has a part that these rules do not know."""


def from_pattern(pattern: str, salt: int = 0, fits: Callable[[str], bool] | None = None) -> str:
    """A text in which `pattern` is found and that `fits`; the first try where there is none.

    `salt` chooses among texts that match. A pattern beyond these rules gives an empty text.
    """
    try:
        write = _Parser(pattern, salt).alternatives()
    except (_UnknownPatternError, IndexError, ValueError, RecursionError):
        return ""
    tries = (write(times) for times in (*range(12), 16, 24, 32, 64, 100, 200))
    fitting = (text for text in tries if _matches(pattern, text) and (fits is None or fits(text)))
    return next(fitting, None) or write(0)


def _matches(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error:
        return False


class _Parser:
    """Reads an expression from left to right into writers."""

    def __init__(self, pattern: str, salt: int) -> None:
        self._rest, self._salt = list(reversed(pattern)), salt

    def alternatives(self) -> _Writer:
        """The branches up to the end of a group; the salt chooses one."""
        branches = [self._sequence()]
        while self._rest and self._rest[-1] == "|":
            self._rest.pop()
            branches.append(self._sequence())
        return branches[self._salt % len(branches)]

    def _sequence(self) -> _Writer:
        parts: list[_Writer] = []
        while self._rest and self._rest[-1] not in "|)":
            parts.append(self._repeated(self._atom()))
        return lambda times: "".join(part(times) for part in parts)

    def _atom(self) -> _Writer:
        match sign := self._rest.pop():
            case "^" | "$":
                return lambda times: ""
            case ".":
                return self._one_of(_ANY)
            case "(":
                return self._group()
            case "[":
                return self._one_of(self._class())
            case "\\":
                return self._escape(self._rest.pop())
            case _:
                return lambda times: sign

    def _group(self) -> _Writer:
        written = True
        if self._rest[-1] == "?":
            self._rest.pop()
            kind = self._rest.pop()
            if kind in "P<":
                kind = self._rest.pop() if kind == "P" else kind
                if kind != "<" or self._rest[-1] in "=!":
                    raise _UnknownPatternError
                while self._rest.pop() != ">":
                    pass
            elif kind in "=!":
                written = False
            elif kind != ":":
                raise _UnknownPatternError
        inner = self.alternatives()
        self._rest.pop()
        return inner if written else lambda times: ""

    def _escape(self, sign: str) -> _Writer:
        if sign in "bBAzZ":
            return lambda times: ""
        if sign in "pP" or (sign.isdigit() and sign != "0"):
            raise _UnknownPatternError
        return self._one_of(self._escaped(sign))

    def _escaped(self, sign: str) -> str:
        if sign in "xu":
            digits = "".join(self._rest.pop() for _ in range(2 if sign == "x" else 4))
            return chr(int(digits, 16))
        return _CLASSES.get(sign) or _CONTROLS.get(sign, sign)

    def _class(self) -> str:
        inverted = self._rest[-1] == "^"
        if inverted:
            self._rest.pop()
        members = ""
        while self._rest[-1] != "]" or not members:
            sign = self._rest.pop()
            first = self._escaped(self._rest.pop()) if sign == "\\" else sign
            if self._rest[-1] == "-" and self._rest[-2] != "]" and len(first) == 1:
                self._rest.pop()
                last = self._rest.pop()
                last = self._escaped(self._rest.pop()) if last == "\\" else last
                first = "".join(chr(c) for c in range(ord(first), min(ord(last), 0x2FF) + 1))
            members += first
        self._rest.pop()
        return "".join(c for c in _ANY if c not in members) if inverted else members

    def _one_of(self, members: str) -> _Writer:
        if not members:
            raise _UnknownPatternError
        return lambda times: members[(self._salt + max(0, times - 1)) % len(members)]

    def _repeated(self, part: _Writer) -> _Writer:
        if not self._rest or self._rest[-1] not in "*+?{":
            return part
        low, high = self._bounds()
        if self._rest and self._rest[-1] in "?+":
            self._rest.pop()
        return lambda times: "".join(
            part(i) for i in range(low + (min(times, high - low) if high > low else 0))
        )

    def _bounds(self) -> tuple[int, int]:
        sign = self._rest.pop()
        if sign != "{":
            return {"*": (0, 300), "+": (1, 300), "?": (0, 1)}[sign]
        inside = ""
        while (sign := self._rest.pop()) != "}":
            inside += sign
        low, comma, high = inside.partition(",")
        least = min(int(low or 0), 2000)
        return least, int(high) if high else (300 if comma else least)
