"""What an exception in a student's code means, in words and with the line in their own cell."""

from __future__ import annotations

import linecache
import traceback
from collections.abc import Collection, Iterator, Mapping
from textwrap import shorten
from types import FrameType
from typing import Any


def explain(error: BaseException, namespace: Mapping[str, Any], authors: Collection[str]) -> str:
    """Say which exception came up, and where in the student's cells.

    Args:
        error: what was raised during the check.
        namespace: the student's; code that was defined in it is theirs.
        authors: the files of the checks, whose code may stand in the same namespace.
    """
    own = list(_own_lines(error, namespace, authors))
    where = f" in {own[-1]}" if own else ""
    if "ellipsis" in str(error):
        return f"There is still a `...` to replace{where}: put your own expression there."
    # The standard library also copes with an exception whose own str() fails.
    what = shorten("".join(traceback.format_exception_only(error)), 300, placeholder=" …")
    if own:
        return f"Your code stops with {what}{where}."
    asked = _asked(error, authors)
    return f"The check ran `{asked}` and your code answered with {what}."


def explain_time_up(
    error: BaseException, limit_s: float, namespace: Mapping[str, Any], authors: Collection[str]
) -> str:
    """Say that a check was stopped, and where the student's code was at that moment."""
    own = list(_own_lines(error, namespace, authors))
    where = f" It was in {own[-1]}." if own else ""
    return (
        f"Your code ran for {limit_s:g} seconds and was stopped; the kernel still runs.{where} "
        "Which of your loops never ends, and what would have to change in it?"
    )


def _own_lines(
    error: BaseException, namespace: Mapping[str, Any], authors: Collection[str]
) -> Iterator[str]:
    for frame, number in traceback.walk_tb(error.__traceback__):
        if _is_own(frame, namespace, authors):
            text = linecache.getline(frame.f_code.co_filename, number).strip()
            yield f"line {number} of your cell" + (f", `{text}`" if text else "")


def _is_own(frame: FrameType, namespace: Mapping[str, Any], authors: Collection[str]) -> bool:
    # No comparison of file names: a cell's is a temporary path that changes with every kernel.
    # A subclass in a copied namespace still runs methods from the original, hence __name__.
    theirs = frame.f_globals is namespace or frame.f_globals.get("__name__") == "__main__"
    return theirs and frame.f_code.co_filename not in authors


def _asked(error: BaseException, authors: Collection[str]) -> str:
    lines = [
        linecache.getline(frame.f_code.co_filename, number).strip()
        for frame, number in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename in authors
    ]
    return lines[-1] if lines and lines[-1] else "your code"
