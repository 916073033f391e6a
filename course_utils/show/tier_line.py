"""The quiet line under a cell that says who answered its calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from course_utils.show.call import LoggedCall


class TierLine:
    """Prints the line after each cell that made calls; `calls_since` reads the log."""

    def __init__(self, calls_since: Callable[[int], Sequence[LoggedCall]]) -> None:
        self._calls_since = calls_since
        self._last = 0

    def install(self, shell: Any) -> None:
        """Follow the cells of an IPython shell."""
        shell.events.register("post_run_cell", self.after_cell)

    def after_cell(self, result: object = None) -> None:
        """Show the line for the calls since the last cell, if there were any."""
        calls = self._calls_since(self._last)
        if not calls:
            return
        self._last = calls[-1].number
        from IPython.display import display

        text = line(calls)
        html = f'<div style="font-size:85%;opacity:0.75">{escape(text)}</div>'
        display({"text/plain": text, "text/html": html}, raw=True)


def line(calls: Sequence[LoggedCall]) -> str:
    """As in `▸ recorded · 14 tokens in, 7 out`; several calls are counted by tier."""
    from course_utils.show.meter import tiers

    who = calls[0].tier if len(calls) == 1 else f"{len(calls)} calls: {tiers(calls)}"
    usages = [call.reply.usage for call in calls if call.reply]
    if not usages:
        return f"▸ {who} · status {calls[-1].status}"
    about = "" if all(usage.exact for usage in usages) else "≈ "
    tokens_in = sum(usage.prompt_tokens for usage in usages)
    tokens_out = sum(usage.completion_tokens for usage in usages)
    return f"▸ {who} · {about}{tokens_in} tokens in, {about}{tokens_out} out"
