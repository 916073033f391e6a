"""The points of a notebook, as its own checks give them in a fresh kernel.

This is for the course's own tests and for a student's own look. It believes what the kernel says:
grading of submissions is not done here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course_utils.classroom.execute import run
from course_utils.classroom.notebook import Notebook, read
from course_utils.classroom.registry import exercises_of
from course_utils.classroom.verdict import CHECK_MIME


@dataclass(frozen=True, slots=True)
class Mark:
    """The points for one exercise, and what its check said; "" where the check did not run."""

    exercise: str
    points: int
    of: int
    message: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """The marks of one notebook."""

    marks: tuple[Mark, ...]

    @property
    def percent(self) -> float:
        """All points together, of 100."""
        possible = sum(mark.of for mark in self.marks)
        return 100 * sum(mark.points for mark in self.marks) / possible if possible else 0.0


def score(path: Path) -> Score:
    """Run the notebook at ``path`` and add up its checks; a deleted check counts nothing.

    Raises:
        ExerciseError: the file is no notebook.
    """
    notebook = read(path)
    notebook_id = notebook["metadata"].get("course", {}).get("id", path.name[:4])
    return marks_of(run(notebook, path.parent, allow_errors=True), notebook_id)


def marks_of(executed: Notebook, notebook_id: str) -> Score:
    """Read the marks from the outputs of a notebook that has run; the last check of each counts."""
    said = {verdict["exercise"]: verdict for verdict in outputs(executed, CHECK_MIME)}
    return Score(
        tuple(
            Mark(one.id, said[one.id]["points"], one.points, said[one.id]["message"])
            if one.id in said
            else Mark(one.id, 0, one.points)
            for one in exercises_of(notebook_id)
        )
    )


def outputs(executed: Notebook, mime: str) -> Iterator[dict[str, Any]]:
    """All outputs of one kind in a notebook that has run, in their order."""
    for cell in executed["cells"]:
        for output in cell.get("outputs", ()):
            if mime in output.get("data", {}):
                yield output["data"][mime]
