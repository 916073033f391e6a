"""How full a context window is, as a bar and a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from course_utils.errors import CourseError

if TYPE_CHECKING:
    from course_utils.llm.tokens import Estimate

_CELLS = 40
_USED, _RESERVED, _FREE = "█", "▒", "·"
# Dark, middle and light of matplotlib's tableau-colorblind10; stripes tell the second apart.
_STRIPES = "repeating-linear-gradient(45deg,#FFBC79 0 4px,#C85200 4px 6px)"
_GROUNDS = {_USED: "#006BA4", _RESERVED: _STRIPES, _FREE: "#FFFFFF"}


@dataclass(frozen=True, slots=True)
class Gauge:
    """A context window: what the prompt uses, what is kept for the answer, and the limit."""

    used: int
    reserved: int
    limit: int

    @property
    def free(self) -> int:
        """What is left; negative where it does not fit."""
        return self.limit - self.used - self.reserved

    @property
    def sentence(self) -> str:
        """The bar in words."""
        left = f"{self.free:,} free" if self.free >= 0 else f"{-self.free:,} too many"
        return (
            f"{self.used:,} used, {self.reserved:,} reserved for the answer, "
            f"{left}, of {self.limit:,} tokens"
        )

    @property
    def cells(self) -> str:
        """The bar as text. What uses anything at all has a cell."""
        used = _share(self.used, self.limit)
        reserved = min(_share(self.reserved, self.limit), _CELLS - used)
        return _USED * used + _RESERVED * reserved + _FREE * (_CELLS - used - reserved)

    def __repr__(self) -> str:
        return f"[{self.cells}]\n{self.sentence}"

    def _repr_html_(self) -> str:
        parts = "".join(
            f'<div style="width:{100 * self.cells.count(kind) / _CELLS:g}%;background:{ground}">'
            f"</div>"
            for kind, ground in _GROUNDS.items()
        )
        bar = (
            f'<div role="img" aria-label="{escape(self.sentence)}" style="display:flex;height:16px;'
            f'max-width:480px;border:2px solid #595959;border-radius:3px">{parts}</div>'
        )
        words = f"{escape(self.sentence)} (solid: used, striped: reserved)"
        return f'{bar}<div style="font-size:85%">{words}</div>'


def context_gauge(used: int | Estimate, reserved: int, limit: int) -> Gauge:
    """Show how full a context window of `limit` tokens is.

    Args:
        used: the tokens of the prompt; an `Estimate` is taken as its number.
        reserved: what the answer may take.
        limit: the whole window, at least 1.

    Raises CourseError for a limit below 1, or for a number below 0.
    """
    numbers = int(used), int(reserved), int(limit)
    if numbers[2] < 1 or min(numbers) < 0:
        raise CourseError(
            f"A context window of {limit} tokens with {used} used and {reserved} reserved cannot "
            f"be shown: give a limit of at least 1, and no negative number."
        )
    return Gauge(*numbers)


def _share(tokens: int, limit: int) -> int:
    """How many cells that is: at least one where there is anything, and at most all."""
    return min(_CELLS, max(round(_CELLS * tokens / limit), 1 if tokens else 0))
