"""Every exercise notebook, as a student meets it; the tests come from the notebooks themselves."""

from __future__ import annotations

import ast
import re
import shutil
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from course_utils.classroom.build import CHECKS, build, solutions
from course_utils.classroom.execute import cleaned, run
from course_utils.classroom.notebook import Notebook, read, source, write
from course_utils.classroom.registry import exercises_of
from course_utils.classroom.score import marks_of, outputs, score
from course_utils.classroom.source import checked_exercise
from course_utils.classroom.verdict import KNOWN_MIME

ROOT = Path(__file__).resolve().parent.parent
SOLUTIONS = solutions(ROOT)


@pytest.fixture(scope="module", params=SOLUTIONS, ids=lambda path: path.stem)
def solution(request: pytest.FixtureRequest) -> Path:
    """Each solution notebook."""
    path: Path = request.param
    return path


@pytest.fixture(scope="module")
def executed(solution: Path) -> Notebook:
    """The solution, run in a fresh kernel; its errors stay in its cells."""
    return run(read(solution), solution.parent, allow_errors=True)


@pytest.fixture(scope="module")
def student(solution: Path) -> Notebook:
    """The notebook that students open."""
    return read(ROOT / "exercises" / solution.name)


def known(executed: Notebook, kind: str) -> dict[str, list[dict[str, Any]]]:
    """The known answers of one kind, by exercise."""
    found = defaultdict(list)
    for answer in outputs(executed, KNOWN_MIME):
        if answer["kind"] == kind:
            found[answer["exercise"]].append(answer)
    return found


def ids(solution: Path) -> list[str]:
    """The exercises of a notebook."""
    return [one.id for one in exercises_of(solution.name[:4])]


def code_lines(text: str) -> list[str]:
    """The lines that are code: no blank lines, no comments."""
    stripped = (line.strip() for line in text.splitlines())
    return [line for line in stripped if line and not line.startswith("#")]


def test_generated_files_are_up_to_date(tmp_path: Path) -> None:
    """What is committed is what `course build` writes from the solutions."""
    shutil.copytree(ROOT / "solutions", tmp_path / "solutions")
    made = build(tmp_path)
    assert made
    for path in made:
        assert path.read_bytes() == (ROOT / path.relative_to(tmp_path)).read_bytes()


def test_nothing_generated_is_left_over() -> None:
    """Each exercise and each module of checks has its solution."""
    names = {path.name for path in SOLUTIONS}
    assert {path.name for path in (ROOT / "exercises").glob("*.ipynb")} == names
    assert {p.stem for p in (ROOT / CHECKS).glob("ex*.py")} == {name[:4] for name in names}


def test_untouched_exercise_scores_nothing(solution: Path) -> None:
    """A student who changes nothing gets 0 %, and each check says what to do."""
    result = score(ROOT / "exercises" / solution.name)
    assert result.percent == 0
    assert all(mark.message for mark in result.marks)


def test_solution_scores_everything(solution: Path, executed: Notebook) -> None:
    """The solution gets 100 %."""
    result = marks_of(executed, solution.name[:4])
    assert result.marks
    assert result.percent == 100


def test_solution_runs_without_an_error(executed: Notebook) -> None:
    """No cell of the solution raises: each mistake fails and each alternative passes."""
    kinds = [
        output["output_type"] for cell in executed["cells"] for output in cell.get("outputs", ())
    ]
    assert "error" not in kinds


def test_committed_outputs_are_what_a_run_gives(
    solution: Path, executed: Notebook, tmp_path: Path
) -> None:
    """Running the solution again writes the very same bytes."""
    write(tmp_path / solution.name, cleaned(executed))
    assert (tmp_path / solution.name).read_bytes() == solution.read_bytes()


def test_each_exercise_has_three_mistakes_with_messages_of_their_own(
    solution: Path, executed: Notebook
) -> None:
    """At least three known mistakes an exercise, and no two get the same message."""
    mistakes = known(executed, "mistake")
    for exercise_id in ids(solution):
        messages = [mistake["message"] for mistake in mistakes[exercise_id]]
        assert len(messages) >= 3
        assert len(set(messages)) == len(messages)


def test_each_exercise_has_another_right_answer(solution: Path, executed: Notebook) -> None:
    """At least one differently written answer an exercise passes its check."""
    alternatives = known(executed, "alternative")
    assert all(any(a["passed"] for a in alternatives[one]) for one in ids(solution))


def test_each_exercise_has_three_hints(solution: Path, student: Notebook) -> None:
    """Three hints that open one by one stand before each check."""
    since_last: list[str] = []
    for cell in student["cells"]:
        since_last.append(source(cell))
        if checked_exercise(cell):
            text = "\n".join(since_last)
            assert re.findall(r"<details><summary>Hint (\d)", text) == ["1", "2", "3"]
            since_last.clear()


def test_number_of_exercises(solution: Path) -> None:
    """A notebook holds four to seven exercises."""
    assert 4 <= len(ids(solution)) <= 7


def test_shown_target_is_what_the_solution_prints(executed: Notebook) -> None:
    """An output that a task shows in advance is printed by the solution, to the letter."""
    printed = {
        output["text"].strip()
        for cell in executed["cells"]
        for output in cell.get("outputs", ())
        if output["output_type"] == "stream"
    }
    prose = "\n".join(source(c) for c in executed["cells"] if c["cell_type"] == "markdown")
    for target in re.findall(r"```text\n(.*?)\n```", prose, re.DOTALL):
        assert target in printed


def test_code_cells_are_short(student: Notebook) -> None:
    """What students read is at most 20 lines a cell, and 5 in the middle."""
    sizes = [len(code_lines(source(c))) for c in student["cells"] if c["cell_type"] == "code"]
    assert max(sizes) <= 20
    assert statistics.median(sizes) <= 5


def test_stubs_are_python(student: Notebook) -> None:
    """Every cell that students get can be run as it is."""
    for cell in student["cells"]:
        if cell["cell_type"] == "code":
            ast.parse(source(cell))


def test_prose_stands_before_code(student: Notebook) -> None:
    """One of the two cells before each code cell is prose."""
    kinds = [cell["cell_type"] for cell in student["cells"]]
    for place, kind in enumerate(kinds):
        assert kind == "markdown" or "markdown" in kinds[max(0, place - 2) : place]


def test_no_solution_reaches_students(student: Notebook) -> None:
    """No mark of a solution, a check function or a known answer is left."""
    text = "\n".join(source(cell) for cell in student["cells"])
    assert not re.search(r"### (BEGIN|STUB|END)|%%mistake|%%alternative|@exercise", text)
