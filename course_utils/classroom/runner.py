"""Running a check on a notebook's names: whatever the answer does, a verdict comes back."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

from course_utils.classroom.limit import TimeUp, captured_output, limited
from course_utils.classroom.registry import Exercise, NotYet, author_files, find_exercise
from course_utils.classroom.trouble import explain, explain_time_up
from course_utils.classroom.verdict import Verdict

HINT = "Stuck? The three hints above your answer go from a nudge to nearly all."


def check(exercise_id: str) -> Verdict:
    """Check your answer to an exercise, such as ``check("ex01.1")``.

    It looks at what your code does, never at how it is written, and says what to try next. A wrong
    answer, an exception or an endless loop in it raises nothing here.

    Raises:
        ExerciseError: there is no such exercise.
    """
    verdict = judge(find_exercise(exercise_id), _student_names())
    if not verdict.passed and os.environ.get("NBGRADER_EXECUTION"):
        # nbgrader gives full points to every cell that raises nothing.
        raise NotYet(str(verdict))
    return verdict


def judge(exercise: Exercise, names: Mapping[str, Any]) -> Verdict:
    """Run the check of ``exercise`` on the student's ``names``, within its limit of time."""
    with captured_output() as printed:
        problem = _missing(exercise, names) or _problem(exercise, names)
    return Verdict(
        exercise=exercise.id,
        passed=not problem,
        points=exercise.points,
        message=problem or exercise.then,
        hint=HINT if problem else "",
        printed=printed.lines,
    )


def _problem(exercise: Exercise, names: Mapping[str, Any]) -> str:
    """What is wrong with the answer, or ""."""
    given = {name: names[name] for name in exercise.names}
    authors = author_files() | {exercise.file}
    try:
        limited(partial(exercise.check, **given), exercise.limit_s)
    except NotYet as verdict:
        return str(verdict)
    except TimeUp as error:
        return explain_time_up(error, exercise.limit_s, names, authors)
    except (Exception, SystemExit) as error:
        return explain(error, names, authors)
    return ""


def _missing(exercise: Exercise, names: Mapping[str, Any]) -> str:
    """The sentence about a name that the check needs and the notebook lacks, or ""."""
    for name in exercise.names:
        if name not in names:
            close = difflib.get_close_matches(name, [n for n in names if n[:1] != "_"], n=1)
            renamed = f" There is a `{close[0]}`: was it renamed?" if close else ""
            return f"Run the cell that defines `{name}` first.{renamed}"
        if names[name] is ...:
            return f"`{name}` is still `...`: put your own expression in its place."
    return ""


def _student_names() -> Mapping[str, Any]:
    """The names of the notebook, or of the program that calls check() outside of one."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    names: Mapping[str, Any] = shell.user_ns if shell else vars(sys.modules["__main__"])
    return names
