"""An answer that is shown, formatted as Markdown, while it is still being written."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

# What Jupyter's server and VS Code set for a kernel that a person looks at. A notebook that is
# run by a checker has neither; it compares outputs, and would see only the first state.
_WATCHED = ("JPY_SESSION_NAME", "VSCODE_PID")
# A frontend draws the whole text anew each time: more often than this, nobody can tell.
_EVERY_S = 0.05


class _Handle(Protocol):
    """What IPython's display() gives for an output that can change."""

    def update(self, obj: object) -> None: ...


def is_watched() -> bool:
    """Whether a person sees this kernel's outputs while they come."""
    return any(os.environ.get(name) for name in _WATCHED)


def live_text(
    pieces: Iterable[str],
    *,
    live: bool | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> str:
    """Show a text as Markdown while its `pieces` come, and give it back when they are all there.

    Where nobody is watching (`live` is False), it is shown once, at its end. Whatever the pieces
    raise goes on to the caller, after what had come is shown.
    """
    view = _View(is_watched() if live is None else live, clock)
    text = ""
    try:
        for piece in pieces:
            text += piece
            view.grow(text)
    finally:
        view.finish(text)
    return text


class _View:
    """One output of a cell, which changes while a text grows."""

    def __init__(self, live: bool, clock: Callable[[], float]) -> None:
        self._live, self._clock = live, clock
        self._handle: _Handle | None = None
        self._drawn_at = float("-inf")

    def grow(self, text: str) -> None:
        """Show more of the text, unless it was drawn a moment ago."""
        if self._live and self._clock() - self._drawn_at >= _EVERY_S:
            self._show(text)
            self._drawn_at = self._clock()

    def finish(self, text: str) -> None:
        """Show the text as it is in the end; a stream without text shows nothing."""
        if text:
            self._show(text)

    def _show(self, text: str) -> None:
        from IPython.display import Markdown, display

        if self._handle is not None:
            self._handle.update(Markdown(text))
        elif self._live:
            self._handle = display(Markdown(text), display_id=True)
        else:
            display(Markdown(text))
