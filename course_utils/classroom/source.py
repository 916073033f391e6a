"""The parts of a solution notebook: what students get, and what stays with the authors."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from course_utils.classroom.notebook import Cell, Notebook, source, tags
from course_utils.errors import ExerciseError

CHECKS_TAG = "course-checks"

_BEGIN, _STUB, _END = "### BEGIN SOLUTION", "### STUB", "### END SOLUTION"
_KNOWN = re.compile(r"%%(mistake|alternative)\s")
_CHECK = re.compile(r'check\("(ex\d\d\.\d+)"\)')


def is_authors(cell: Cell) -> bool:
    """Whether a cell is for authors only and vanishes from what students get."""
    return CHECKS_TAG in tags(cell) or bool(_KNOWN.match(source(cell)))


def is_check_code(cell: Cell) -> bool:
    """Whether a cell holds check functions."""
    return cell["cell_type"] == "code" and CHECKS_TAG in tags(cell)


def is_answer(cell: Cell) -> bool:
    """Whether students write their answer into this cell."""
    return cell["cell_type"] == "code" and _BEGIN in source(cell)


def checked_exercise(cell: Cell) -> str | None:
    """The exercise that a cell checks, if that is what the cell does."""
    found = _CHECK.fullmatch(source(cell).strip())
    return found[1] if found and cell["cell_type"] == "code" else None


def stub(solution: str) -> str:
    """What students get for the source of an answer cell.

    A region from ``### BEGIN SOLUTION`` to ``### END SOLUTION`` becomes ``...``, or the lines that
    stand as comments below ``### STUB`` in it. nbgrader reads the same regions.

    Raises:
        ExerciseError: a region does not end, or ends before it begins.
    """
    kept: list[str] = []
    region: list[str] | None = None
    for line in solution.splitlines():
        mark = line.strip()
        if mark == _BEGIN and region is None:
            region = [line]
        elif mark == _END and region is not None:
            kept += _stub_lines(region)
            region = None
        elif mark in (_BEGIN, _END):
            raise ExerciseError(f"{mark!r} stands where it must not: each BEGIN needs one END.")
        else:
            (kept if region is None else region).append(line)
    if region is not None:
        raise ExerciseError(f"A solution region does not end: put a line {_END!r} after it.")
    return "\n".join(kept)


def _stub_lines(region: list[str]) -> list[str]:
    indent = region[0][: -len(region[0].lstrip())]
    marks = [line.strip() for line in region]
    if _STUB not in marks:
        return [f"{indent}..."]
    return [re.sub(r"# ?", "", line, count=1) for line in region[marks.index(_STUB) + 1 :]]


def points(notebook: Notebook, path: Path) -> dict[str, int]:
    """The points of each exercise, read from its ``@exercise`` line.

    Raises:
        ExerciseError: the check functions are no Python, or say no points.
    """
    found: dict[str, int] = {}
    for cell in filter(is_check_code, notebook["cells"]):
        try:
            for call in _exercise_calls(source(cell)):
                worth = {word.arg: word.value for word in call.keywords}["points"]
                found[ast.literal_eval(call.args[0])] = ast.literal_eval(worth)
        except (SyntaxError, KeyError, IndexError, ValueError) as error:
            raise ExerciseError(
                f"The cell {cell.get('id')} of {path.name} has no readable check: write "
                f'@exercise("ex01.1", points=2) above each check function.'
            ) from error
    return found


def _exercise_calls(code: str) -> list[ast.Call]:
    return [
        call
        for node in ast.parse(code).body
        if isinstance(node, ast.FunctionDef)
        for call in node.decorator_list
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "exercise"
    ]
