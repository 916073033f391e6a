"""The exercises that a kernel knows, and the words in which their checks are written.

A check is a function whose parameters are the names that it takes from the student's notebook.
It tells a student what to try by `require` or `expect`, and returns when the answer is right.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass

from course_utils.errors import ExerciseError

LIMIT_S = 10.0

_CHECKS = "course_utils.classroom.checks"
_ID = re.compile(r"(ex\d\d)\.\d+")
_known: dict[str, Exercise] = {}


class NotYet(Exception):  # noqa: N818 - a verdict on an answer, not an error
    """The answer is not right yet; the text is what the student reads."""


@dataclass(frozen=True, slots=True)
class Exercise:
    """One exercise: its id, what it is worth, and how to see whether it is done.

    Attributes:
        id: such as ``ex01.1``.
        points: for a right answer.
        check: takes the student's objects by name and raises NotYet while they are not right.
        then: one sentence that leads on, shown when the answer is right.
        limit_s: seconds after which a check is stopped.
    """

    id: str
    points: int
    check: Callable[..., object]
    then: str = ""
    limit_s: float = LIMIT_S

    @property
    def names(self) -> tuple[str, ...]:
        """The names that the check takes from the student's notebook."""
        return tuple(inspect.signature(self.check).parameters)

    @property
    def file(self) -> str:
        """The file of the check; for a cell of a notebook, the name that the kernel gives it."""
        return inspect.getfile(self.check)


def exercise(
    exercise_id: str, points: int, then: str = "", limit_s: float = LIMIT_S
) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Register the function below as the check of an exercise.

    In a notebook this also brings the author's ``%%mistake`` and ``%%alternative``.
    """

    def register(check: Callable[..., object]) -> Callable[..., object]:
        one = Exercise(exercise_id, points, check, then, limit_s)
        if check.__module__.startswith(_CHECKS):
            # A check that its author has run in this notebook is newer than the built one.
            _known.setdefault(exercise_id, one)
        else:
            _known[exercise_id] = one
            _bring_magics()
        return check

    return register


def find_exercise(exercise_id: str) -> Exercise:
    """Return an exercise by its id; the first question about a notebook imports its checks.

    Raises:
        ExerciseError: there is no such exercise; the message names those of the notebook.
    """
    if exercise_id not in _known and (form := _ID.fullmatch(exercise_id)):
        _import_checks(form[1])
    if exercise_id not in _known:
        raise ExerciseError(_unknown(exercise_id))
    return _known[exercise_id]


def exercises_of(notebook_id: str) -> tuple[Exercise, ...]:
    """Return the exercises of a notebook such as ``ex01``, in their order."""
    _import_checks(notebook_id)
    found = [one for one in _known.values() if one.id.startswith(f"{notebook_id}.")]
    return tuple(sorted(found, key=lambda one: int(one.id.rpartition(".")[2])))


def author_files() -> frozenset[str]:
    """Return the files of all known checks."""
    return frozenset(one.file for one in _known.values())


def require(condition: object, message: str) -> None:
    """Go on when ``condition`` holds; otherwise ``message`` tells the student what to try."""
    if not condition:
        raise NotYet(message)


def expect(what: str, got: object, want: object, *known: tuple[object, str]) -> None:
    """Go on when ``got`` equals ``want``; otherwise say which known mistake gives ``got``.

    Args:
        what: the student's words for the value, such as ``tokens_used()``.
        got: what the student's code gave.
        want: the right value, computed by the check.
        known: pairs of a wrong value and the message for it; the first that fits is told.
    """
    if got is ...:
        raise NotYet(f"{what} still gives `...`: put your own expression in its place.")
    if type(got) is type(want) and got == want:
        return
    for wrong, message in known:
        require(got != wrong, message)
    if got is None:
        raise NotYet(f"{what} gives None: does your function end in `return`?")
    kind = "" if isinstance(got, type(want)) else f", of type {type(got).__name__}"
    raise NotYet(f"{what} gives {_short(got)}{kind}; here {_short(want)} is right.")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _import_checks(notebook_id: str) -> None:
    module = f"{_CHECKS}.{notebook_id}"
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise


def _unknown(exercise_id: str) -> str:
    known = ", ".join(_known)
    advice = f"choose one of {known}" if known else "its notebook gives the id above the answer"
    return f"There is no exercise {exercise_id!r}: {advice}."


def _bring_magics() -> None:
    from course_utils.classroom.magics import register_magics

    register_magics()
