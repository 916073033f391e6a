"""Small tables that read the same in a notebook, on GitHub and in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_STYLE = "text-align:left;vertical-align:top;white-space:pre-wrap;overflow-wrap:break-word"


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a caption; Jupyter shows it as HTML, everything else as text."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __repr__(self) -> str:
        widths = [max(map(len, column)) for column in zip(self.head, *self.rows, strict=True)]
        lines = [_line(row, widths) for row in (self.head, ["-" * w for w in widths], *self.rows)]
        return "\n".join([self.caption, "", *lines])

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col" style="{_STYLE}">{escape(c)}</th>' for c in self.head)
        body = "".join(f"<tr>{_html_row(row)}</tr>" for row in self.rows)
        caption = f'<caption style="text-align:left">{escape(self.caption)}</caption>'
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()


def _html_row(row: Sequence[str]) -> str:
    name, *cells = (escape(cell) for cell in row)
    return f'<th scope="row" style="{_STYLE}">{name}</th>' + "".join(
        f'<td style="{_STYLE}">{cell}</td>' for cell in cells
    )
