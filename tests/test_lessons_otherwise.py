"""The lessons, run as nobody wrote them down: live, with edited prompts, each cell twice."""

import ast
import copy
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from second_server import OWN_KEY, Provider

from course_utils import offline
from course_utils.classroom.execute import run
from course_utils.classroom.notebook import Notebook, read
from course_utils.offline.server import Server

ROOT = Path(__file__).parent.parent
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# Of a text of so many words it is likely that a model is to read it.
PROMPT_WORDS = 4


@pytest.fixture
def provider(lead_to: Callable[[str, str], None]) -> Iterator[Provider]:
    """The second server, with the student's keys and addresses leading to it."""
    provider = Provider()
    server = Server(provider)
    server.start()
    lead_to(server.url, OWN_KEY)
    yield provider
    server.stop()


@pytest.fixture(params=LESSONS, ids=lambda path: path.stem)
def lesson(request: pytest.FixtureRequest) -> Path:
    """Each lesson in turn."""
    return Path(request.param)


def executed(notebook: Notebook) -> Notebook:
    """The notebook, run in a fresh kernel beside the lessons; a cell that raises ends it."""
    return run(notebook, ROOT / "notebooks", allow_errors=False)


def code_cells(notebook: Notebook) -> list[dict[str, Any]]:
    """Its code cells."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def shown(notebook: Notebook) -> str:
    """All that its cells show as text."""
    outputs = [output for cell in code_cells(notebook) for output in cell["outputs"]]
    return "\n".join(str(o.get("text", "")) + str(o.get("data", "")) for o in outputs)


def test_lesson_runs_live(
    lesson: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With COURSE_MODE=live and keys, the same notebook asks the provider, unedited."""
    monkeypatch.setenv(offline.MODE_VARIABLE, offline.LIVE)
    done = executed(read(lesson))
    assert provider.calls
    assert "live ·" in shown(done)


def test_any_prompt_may_be_edited(lesson: Path) -> None:
    """With a word more in each prompt, every cell still runs, and the answers say "simulated"."""
    notebook = copy.deepcopy(read(lesson))
    edited = 0
    for cell in code_cells(notebook):
        cell["source"], count = with_edited_prompts("".join(cell["source"]))
        edited += count
    assert edited, "no prompt was found in this lesson"
    text = shown(executed(notebook))
    assert "simulated ·" in text


def test_every_cell_may_be_run_twice(lesson: Path) -> None:
    """Each cell is run, and run again at once: none raises."""
    notebook = copy.deepcopy(read(lesson))
    cells = []
    for cell in notebook["cells"]:
        cells.append(cell)
        if cell["cell_type"] == "code":
            cells.append({**copy.deepcopy(cell), "id": cell["id"][:60] + "-2"})
    executed({**notebook, "cells": cells})


def test_the_first_cell_says_what_to_do_after_a_restart(lesson: Path) -> None:
    """A student whose kernel was restarted, or who skipped a cell, is told what to run."""
    assert re.search(r"\*Run → [^*]+\*", "".join(read(lesson)["cells"][0]["source"]))


def with_edited_prompts(source: str) -> tuple[str, int]:
    """The source with a word more in each text that a model will read, and how many there were."""
    tree = ast.parse(source)
    finder = _Prompts()
    finder.visit(tree)
    for text in finder.found:
        text.value += " Thanks."
    return (ast.unparse(tree) if finder.found else source), len(finder.found)


class _Prompts(ast.NodeVisitor):
    """Finds sentences, but for those that are printed, drawn, raised, or documentation."""

    NOT_FOR_A_MODEL = frozenset({"print", "figure", "set", "set_title", "annotate", "text"})

    def __init__(self) -> None:
        self.found: list[ast.Constant] = []

    def visit_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, str) and len(value.split()) >= PROMPT_WORDS and value[0].isupper():
            self.found.append(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name not in self.NOT_FOR_A_MODEL and not name.endswith("Error"):
            self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):
            self.generic_visit(node)
