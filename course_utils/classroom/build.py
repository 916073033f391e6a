"""From each solution notebook: the notebook that students open, and the module of its checks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from course_utils.classroom.notebook import (
    KERNELSPEC,
    LANGUAGE_INFO,
    Cell,
    Notebook,
    lines,
    read,
    source,
    write,
    write_text,
)
from course_utils.classroom.source import (
    checked_exercise,
    is_answer,
    is_authors,
    is_check_code,
    points,
    stub,
)
from course_utils.errors import ExerciseError

CHECKS = Path("course_utils", "classroom", "checks")

_NAME = re.compile(r"(ex\d\d)_\w+\.ipynb")


def solutions(root: Path) -> list[Path]:
    """The solution notebooks of the course in ``root``, in order."""
    return sorted(p for p in (root / "solutions").glob("*.ipynb") if _NAME.fullmatch(p.name))


def build(root: Path) -> list[Path]:
    """Write what follows from the solutions, and return the files that have changed.

    Raises:
        ExerciseError: a solution notebook cannot be used; the message says which and why.
    """
    # All are made before the first is written: a broken solution leaves every file as it is.
    made = [(solution, *_made(solution)) for solution in solutions(root)]
    changed: list[Path] = []
    for solution, exercise, checks in made:
        exercise_path = root / "exercises" / solution.name
        checks_path = root / CHECKS / f"{_notebook_id(solution)}.py"
        changed += [exercise_path] if write(exercise_path, exercise) else []
        changed += [checks_path] if write_text(checks_path, checks) else []
    return changed


def rebuild(root: Path, *, execute: bool) -> Iterator[str]:
    """Build, run the committed notebooks if asked, and name each file that changes.

    Raises:
        ExerciseError: a solution cannot be used, or a cell of a notebook fails.
    """
    for path in build(root):
        yield f"written: {path.relative_to(root).as_posix()}"
    if execute:
        from course_utils.classroom import execute as running

        for path in running.notebooks(root):
            done = "executed" if running.execute(path) else "unchanged"
            yield f"{done}: {path.relative_to(root).as_posix()}"


def _made(solution: Path) -> tuple[Notebook, str]:
    notebook = read(solution)
    return exercise_notebook(notebook, solution), checks_module(notebook, solution)


def exercise_notebook(notebook: Notebook, path: Path) -> Notebook:
    """What students open: stubs for solutions, no outputs, locked checks, nothing of the authors.

    The metadata follow nbgrader's schema, so its own tools take the file.
    """
    worth = points(notebook, path)
    seen = [checked_exercise(cell) for cell in notebook["cells"]]
    if sorted(filter(None, seen)) != sorted(worth):
        raise ExerciseError(
            f'{path.name} must have one cell check("…") for each @exercise: it has checks of '
            f"{sorted(worth)} and cells for {sorted(filter(None, seen))}."
        )
    return {
        "cells": list(_student_cells(notebook["cells"], worth, path)),
        "metadata": {
            "course": notebook["metadata"]["course"],
            "kernelspec": KERNELSPEC,
            "language_info": LANGUAGE_INFO,
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _student_cells(cells: list[Cell], worth: dict[str, int], path: Path) -> Iterator[Cell]:
    ids: set[str] = set()
    for cell in (cell for cell in cells if not is_authors(cell)):
        if not cell.get("id") or cell["id"] in ids:
            raise ExerciseError(f"{path.name} has a cell with no id of its own: {cell.get('id')}.")
        ids.add(cell["id"])
        try:
            yield _student_cell(cell, worth)
        except ExerciseError as error:
            raise ExerciseError(f"The cell {cell['id']} of {path.name}: {error}") from error


def _student_cell(cell: Cell, worth: dict[str, int]) -> Cell:
    kept = {"cell_type": cell["cell_type"], "id": cell["id"], "metadata": dict(cell["metadata"])}
    text = source(cell)
    if cell["cell_type"] != "code":
        return {**kept, "source": lines(text)}
    exercise_id = checked_exercise(cell)
    if exercise_id:
        kept["metadata"] |= {"editable": False, "deletable": False}
        kept["metadata"]["nbgrader"] = _nbgrader(
            exercise_id.replace(".", "-"), grade=True, points=worth[exercise_id]
        )
    elif is_answer(cell):
        kept["metadata"]["nbgrader"] = _nbgrader(cell["id"], solution=True)
        text = stub(text)
    return {**kept, "execution_count": None, "outputs": [], "source": lines(text)}


def _nbgrader(
    grade_id: str, *, grade: bool = False, solution: bool = False, points: int | None = None
) -> dict[str, object]:
    """nbgrader's metadata of a cell: a locked check with points, or a place for an answer."""
    return {
        "cell_type": "code",
        "grade": grade,
        "grade_id": grade_id,
        "locked": not solution,
        "schema_version": 3,
        "solution": solution,
        "task": False,
        **({} if points is None else {"points": points}),
    }


def checks_module(notebook: Notebook, path: Path) -> str:
    """The check functions of a solution notebook as a module of Python."""
    title = notebook["metadata"]["course"]["title"]
    code = [source(cell).strip() for cell in notebook["cells"] if is_check_code(cell)]
    head = [
        f'"""The checks of {_notebook_id(path)}, {title}.',
        "",
        f"Generated from solutions/{path.name}: change its cells tagged course-checks, then run",
        "`course build`.",
        '"""',
        "",
        "# A check's arguments are what a student wrote, of any type.",
        "# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls",
        "",
    ]
    return "\n".join(head) + "\n" + "\n\n\n".join(code) + "\n"


def _notebook_id(path: Path) -> str:
    named = _NAME.fullmatch(path.name)
    if named is None:
        raise ExerciseError(f"{path.name} is no solution: name it like ex01_token_budget.ipynb.")
    return named[1]
