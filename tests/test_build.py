"""`course build`: from one solution notebook to what students open and to its checks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from course_utils.classroom.build import CHECKS, build
from course_utils.classroom.execute import cleaned, execute
from course_utils.classroom.notebook import Notebook, read, source, write
from course_utils.classroom.source import stub
from course_utils.errors import ExerciseError

NAME = "ex80_small.ipynb"
ANSWER = """def half(n):
    # 1. Divide.
    ### BEGIN SOLUTION
    return n / 2
    ### STUB
    # return ...  # the half
    ### END SOLUTION"""
CHECKED = """from course_utils.classroom import exercise, require


@exercise("ex80.1", points=3)
def check_half(half):
    require(half(4) == 2, "Divide by 2.")"""


def cell(kind: str, cell_id: str, text: str, *tags: str) -> dict[str, Any]:
    """A cell as a file holds it."""
    more = {"execution_count": 7, "outputs": []} if kind == "code" else {}
    metadata = {"tags": list(tags)} if tags else {}
    return {"cell_type": kind, "id": cell_id, "metadata": metadata, "source": text, **more}


def small_solution() -> Notebook:
    """A solution notebook with one exercise."""
    cells = [
        cell("markdown", "title", "# Small"),
        cell("markdown", "authors", "For authors.", "course-checks"),
        cell("code", "checks", CHECKED, "course-checks"),
        cell("code", "answer", ANSWER),
        cell("code", "check", 'check("ex80.1")'),
        cell("code", "m1", "%%mistake ex80.1 it is zero\nhalf = lambda n: 0"),
    ]
    course = {"id": "ex80", "title": "Small"}
    return {"cells": cells, "metadata": {"course": course}, "nbformat": 4, "nbformat_minor": 5}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A course that holds the small solution."""
    write(tmp_path / "solutions" / NAME, small_solution())
    return tmp_path


def built(root: Path) -> dict[str, dict[str, Any]]:
    """The cells that students get, by id."""
    build(root)
    return {cell["id"]: cell for cell in read(root / "exercises" / NAME)["cells"]}


def test_solution_region_becomes_its_stub(root: Path) -> None:
    """The lines below ### STUB replace the solution, without their comment sign."""
    text = source(built(root)["answer"])
    assert text == "def half(n):\n    # 1. Divide.\n    return ...  # the half"


def test_region_without_a_stub_becomes_an_ellipsis() -> None:
    """A region that says nothing else leaves `...` at its own depth."""
    region = "if x:\n    ### BEGIN SOLUTION\n    y = 1\n    ### END SOLUTION\nz = 2"
    assert stub(region) == "if x:\n    ...\nz = 2"


@pytest.mark.parametrize(
    "text", ["### BEGIN SOLUTION\nx", "### END SOLUTION", "### END SOLUTION\n"]
)
def test_region_without_its_other_end_is_refused(text: str) -> None:
    """A mark that stands alone is an error, so no solution slips through."""
    with pytest.raises(ExerciseError):
        stub(text)


def test_authors_cells_vanish(root: Path) -> None:
    """Checks, notes to authors and known mistakes stay in the solution."""
    assert list(built(root)) == ["title", "answer", "check"]


def test_check_cell_is_locked_and_has_points(root: Path) -> None:
    """A check cell carries nbgrader's metadata and cannot be edited or deleted."""
    assert built(root)["check"]["metadata"] == {
        "deletable": False,
        "editable": False,
        "nbgrader": {
            "cell_type": "code",
            "grade": True,
            "grade_id": "ex80-1",
            "locked": True,
            "points": 3,
            "schema_version": 3,
            "solution": False,
            "task": False,
        },
    }


def test_answer_cell_is_open_to_the_student(root: Path) -> None:
    """An answer cell is marked as a solution and stays editable."""
    metadata = built(root)["answer"]["metadata"]
    assert (metadata["nbgrader"]["solution"], metadata["nbgrader"]["locked"]) == (True, False)
    assert "editable" not in metadata


def test_outputs_and_counts_are_cleared(root: Path) -> None:
    """Students start with a notebook that has not run."""
    answer = built(root)["answer"]
    assert (answer["execution_count"], answer["outputs"]) == (None, [])


def test_built_notebook_is_valid(root: Path) -> None:
    """nbformat accepts what the build writes."""
    built(root)
    nbformat.validate(nbformat.read(root / "exercises" / NAME, as_version=4))


def test_checks_module_says_where_it_comes_from(root: Path) -> None:
    """The generated module names its source and the way to make it anew, and is Python."""
    build(root)
    text = (root / CHECKS / "ex80.py").read_text(encoding="utf-8")
    assert "Generated from solutions/ex80_small.ipynb" in text
    assert "`course build`" in text
    compile(text, "ex80.py", "exec")


def test_second_build_writes_nothing(root: Path) -> None:
    """A build with nothing new leaves every file and its time as they are."""
    first = build(root)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in first}
    assert build(root) == []
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in first} == before


def test_files_end_their_lines_alike_on_all_systems(root: Path) -> None:
    """Generated files have LF line ends and a newline at the end."""
    for path in build(root):
        assert b"\r" not in path.read_bytes()
        assert path.read_bytes().endswith(b"\n")


def test_broken_solution_writes_nothing(root: Path) -> None:
    """One notebook that was saved half-way stops the build before anything is written."""
    whole = (root / "solutions" / NAME).read_text(encoding="utf-8")
    (root / "solutions" / "ex81_cut.ipynb").write_text(whole[:200], encoding="utf-8")
    with pytest.raises(ExerciseError, match=r"ex81_cut\.ipynb cannot be read"):
        build(root)
    assert not (root / "exercises").exists()


def test_exercise_without_its_check_cell_is_refused(root: Path) -> None:
    """A check function with no cell that calls it would be worth nothing."""
    notebook = small_solution()
    del notebook["cells"][4]
    write(root / "solutions" / NAME, notebook)
    with pytest.raises(ExerciseError, match="must have one cell check"):
        build(root)


def test_two_cells_with_one_id_are_refused(root: Path) -> None:
    """Cell ids tell answers apart, so each has its own."""
    notebook = small_solution()
    notebook["cells"][3]["id"] = "title"
    write(root / "solutions" / NAME, notebook)
    with pytest.raises(ExerciseError, match="no id of its own: title"):
        build(root)


def test_saved_outputs_name_no_folder_and_no_widget() -> None:
    """Library frames and widget ids differ from machine to machine and are left out."""
    code = cell("code", "a", "1/0")
    trace = ["Cell In[1], line 1", "\x1b[32mFile \x1b[0m/home/me/lib.py:3", "ZeroDivisionError: x"]
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "f3"}, "text/plain": "slider"}
    code["outputs"] = [
        {"output_type": "error", "ename": "E", "evalue": "", "traceback": trace},
        {"output_type": "display_data", "metadata": {}, "data": view},
    ]
    error, shown = cleaned({"cells": [code], "metadata": {}})["cells"][0]["outputs"]
    assert error["traceback"] == ["Cell In[1], line 1", "ZeroDivisionError: x"]
    assert shown["data"] == {"text/plain": ["slider"]}


def test_execution_is_saved_the_same_twice(tmp_path: Path) -> None:
    """A run saves outputs and counts from 1, and a second run changes nothing."""
    path = tmp_path / "run.ipynb"
    write(path, {**small_solution(), "cells": [cell("code", "a", "print('x')\n1 + 1")]})
    assert execute(path)
    assert read(path)["cells"][0]["execution_count"] == 1
    assert not execute(path)


def test_failing_notebook_is_not_saved(tmp_path: Path) -> None:
    """A cell that raises stops the run with the notebook's name, and the file stays as it was."""
    path = tmp_path / "fails.ipynb"
    write(path, {**small_solution(), "cells": [cell("code", "a", "1 / 0")]})
    before = path.read_bytes()
    with pytest.raises(ExerciseError, match=r"fails\.ipynb was not saved"):
        execute(path)
    assert path.read_bytes() == before


def test_build_command_names_what_is_wrong_with_no_traceback(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`course build` says in one sentence which solution it cannot read."""
    from course_utils import cli

    (root / "solutions" / NAME).write_text(json.dumps({"cells": 3}), encoding="utf-8")
    monkeypatch.setattr(cli, "ROOT", root)
    assert cli.main(["build"]) == 1
    assert capsys.readouterr().err.startswith(f"The notebook {NAME} cannot be read")
