"""Answers where there is no recording: built by rules from the request itself.

No model is at work here. Rules look for what the question asks for (a tool, JSON under a schema, a
list, a label) and fill it with the question's own words, so that an edited prompt still gives a
sensible answer. Whoever calls this labels the answer as simulated.
"""

from __future__ import annotations

from course_utils.wire.reply import Choice
from course_utils.wire.request import Request

__all__ = ["simulate"]


def simulate(request: Request, index: int = 0) -> Choice:
    """One answer to a request; the same request and `index` always get the same answer.

    `index` is the choice's number where `n` are wanted: they differ in wording where the question
    leaves room, but not at temperature 0.
    """
    # Its many patterns take a while to compile, and a recorded answer needs none of them.
    from course_utils.offline.simulator.pipeline import choice_for

    return choice_for(request, index)
