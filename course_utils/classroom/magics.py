"""The author's cell magics: known mistakes and alternatives, proven where they stand.

``%%mistake ex01.1 counts characters`` runs its cell in a copy of the notebook's names, checks it,
and shows the message that a student would get. ``%%alternative`` does so for a right answer.
"""

from __future__ import annotations

import itertools
import linecache
import sys
from typing import Any

from course_utils.classroom.limit import captured_output
from course_utils.classroom.registry import find_exercise
from course_utils.classroom.runner import judge
from course_utils.classroom.verdict import KnownAnswer
from course_utils.errors import ExerciseError

_numbers = itertools.count(1)


def register_magics() -> None:
    """Bring ``%%mistake`` and ``%%alternative`` to the notebook; outside of one, do nothing."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is None:
        return
    for kind in ("mistake", "alternative"):
        shell.register_magic_function(_magic(kind, shell), "cell", kind)


def known_answer(kind: str, line: str, cell: str, names: dict[str, Any]) -> KnownAnswer:
    """Check the answer in ``cell``, which must fail for a mistake and pass for an alternative.

    Args:
        kind: mistake or alternative.
        line: the exercise's id and, after a space, what the student believes.
        cell: the answer's code.
        names: the notebook's names; they are copied and stay as they are.

    Raises:
        ExerciseError: the verdict is the wrong one, or the exercise is unknown.
    """
    exercise_id, _, belief = line.strip().partition(" ")
    copy = dict(names)
    with captured_output():
        exec(_compiled(cell, kind), copy)
    verdict = judge(find_exercise(exercise_id), copy)
    if verdict.passed and kind == "mistake":
        raise ExerciseError(f"The check {exercise_id} lets this mistake pass: {belief}.")
    if not verdict.passed and kind == "alternative":
        raise ExerciseError(f"The check {exercise_id} refuses a right answer ({belief}): {verdict}")
    return KnownAnswer(kind, belief, verdict)


def _magic(kind: str, shell: Any) -> Any:
    def magic(line: str, cell: str) -> KnownAnswer:
        return known_answer(kind, line, cell, shell.user_ns)

    return magic


def _compiled(cell: str, kind: str) -> Any:
    """Compile a cell so that messages can quote its lines."""
    name = f"<{kind} {next(_numbers)}>"
    linecache.cache[name] = (len(cell), None, cell.splitlines(keepends=True), name)
    return compile(cell, name, "exec")
