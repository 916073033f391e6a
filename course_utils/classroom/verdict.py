"""The verdict on one answer, and how it looks: words and a symbol, never colour alone."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

CHECK_MIME = "application/vnd.course.check+json"
KNOWN_MIME = "application/vnd.course.known+json"

# Okabe and Ito's green and vermilion, which colour-blind readers can tell apart; the text keeps
# the page's own colour, so that it reads in light and dark themes.
_PASSED, _NOT_YET = "#009E73", "#D55E00"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found.

    Attributes:
        exercise: the id.
        passed: whether the answer is right.
        points: what a right answer is worth.
        message: what to try next, or where a right answer leads.
        hint: where help stands; empty when it is not needed.
        printed: the first lines that the student's code printed meanwhile.
    """

    exercise: str
    passed: bool
    points: int
    message: str
    hint: str = ""
    printed: tuple[str, ...] = ()

    @property
    def earned(self) -> int:
        """The points for this answer."""
        return self.points if self.passed else 0

    @property
    def headline(self) -> str:
        """The first line: the id, a symbol, words and points."""
        mark = "✓ passed" if self.passed else "✗ not yet"
        unit = "point" if self.points == 1 else "points"
        return f"{self.exercise} {mark} ({self.earned} of {self.points} {unit})"

    def __str__(self) -> str:
        printed = [f"  | {line}" for line in self.printed]
        said = ["Your code printed:", *printed] if printed else []
        return "\n".join(filter(None, [self.headline, self.message, *said, self.hint]))

    def as_json(self) -> dict[str, Any]:
        """The verdict for programs."""
        return {
            "exercise": self.exercise,
            "passed": self.passed,
            "points": self.earned,
            "of": self.points,
            "message": self.message,
        }

    def as_html(self) -> str:
        """The verdict for a browser; every word of a student is escaped."""
        colour = _PASSED if self.passed else _NOT_YET
        body = [f"<strong>{html.escape(self.headline)}</strong>"]
        body += [html.escape(text).replace("\n", "<br>") for text in (self.message,) if text]
        if self.printed:
            lines = html.escape("\n".join(self.printed))
            body.append(f"Your code printed:<pre>{lines}</pre>")
        body += [f"<em>{html.escape(self.hint)}</em>"] if self.hint else []
        style = f"border-left: 4px solid {colour}; padding: 0.2em 0.8em"
        return f'<div role="status" style="{style}">{"<br>".join(body)}</div>'

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return {
            "text/plain": str(self),
            "text/html": self.as_html(),
            CHECK_MIME: self.as_json(),
        }


@dataclass(frozen=True, slots=True)
class KnownAnswer:
    """A known answer, wrong or right, with the verdict that a student would get for it.

    Attributes:
        kind: mistake or alternative.
        belief: what the student who wrote it thinks or does, in one line.
        verdict: what the check says to it.
    """

    kind: str
    belief: str
    verdict: Verdict

    def as_json(self) -> dict[str, Any]:
        """The known answer for programs; not a verdict, so it gives no points."""
        verdict = self.verdict.as_json()
        return {"kind": self.kind, "belief": self.belief, **verdict}

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return {
            "text/plain": str(self.verdict),
            "text/html": self.verdict.as_html(),
            KNOWN_MIME: self.as_json(),
        }
