"""The lessons keep to the numbers and rules that all of them share."""

import ast
import re
import statistics
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nbformat
import pytest

from course_utils.wire.catalogue import models, retired_models

ROOT = Path(__file__).parent.parent
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NOTEBOOKS = [*LESSONS, *sorted((ROOT / "solutions").glob("*.ipynb"))]
# What a student reads: an exercise has lost the cells that are there for the maker.
READ = [*LESSONS, *sorted((ROOT / "exercises").glob("*.ipynb"))]
SETUP_LINES = 12


@dataclass(frozen=True)
class Notebook:
    """A notebook and what the rules ask of it."""

    path: Path

    @cached_property
    def cells(self) -> list[nbformat.NotebookNode]:
        """All cells."""
        return list(nbformat.read(self.path, 4).cells)

    @cached_property
    def metadata(self) -> nbformat.NotebookNode:
        """The notebook's own metadata."""
        return nbformat.read(self.path, 4).metadata

    @cached_property
    def code(self) -> list[nbformat.NotebookNode]:
        """The code cells."""
        return [cell for cell in self.cells if cell.cell_type == "code"]

    @cached_property
    def lines(self) -> list[int]:
        """Code lines that are not blank, a number a cell, smallest first."""
        return sorted(sum(bool(x.strip()) for x in c.source.splitlines()) for c in self.code)

    @cached_property
    def words(self) -> int:
        """Words of prose."""
        texts = [cell.source for cell in self.cells if cell.cell_type == "markdown"]
        return sum(len(text.split()) for text in texts)

    @cached_property
    def outputs(self) -> list[nbformat.NotebookNode]:
        """All outputs."""
        return [output for cell in self.code for output in cell.outputs]


@pytest.fixture(params=LESSONS, ids=lambda path: path.stem)
def lesson(request: pytest.FixtureRequest) -> Notebook:
    """Each lesson in turn."""
    return Notebook(request.param)


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request: pytest.FixtureRequest) -> Notebook:
    """Each lesson and each solution in turn."""
    return Notebook(request.param)


def test_lessons_are_there() -> None:
    """The rules below have something to look at."""
    assert [path.stem[:2] for path in LESSONS] == [f"{number:02}" for number in range(12)]


def test_sizes(lesson: Notebook, capsys: pytest.CaptureFixture[str]) -> None:
    """Cells are short, a lesson is read in one sitting, prose and code are in balance."""
    median = statistics.median(lesson.lines)
    p90 = statistics.quantiles(lesson.lines, n=10)[-1]
    ratio = lesson.words / sum(lesson.lines)
    with capsys.disabled():
        print(
            f"\n{lesson.path.stem}: lines a cell median {median:g}, p90 {p90:g}, "
            f"max {lesson.lines[-1]}; {lesson.words} words, {ratio:.1f} a code line"
        )
    assert median <= 5
    assert p90 <= 12
    assert lesson.lines[-1] <= 20
    assert 1200 <= lesson.words <= 2200
    assert 8 <= ratio <= 20


@pytest.mark.parametrize("path", READ, ids=lambda path: path.stem)
def test_every_code_cell_is_introduced(path: Path) -> None:
    """One of the two cells before a code cell is prose."""
    notebook = Notebook(path)
    for position, cell in enumerate(notebook.cells):
        before = notebook.cells[max(0, position - 2) : position]
        if cell.cell_type == "code":
            assert any(c.cell_type == "markdown" for c in before), cell.source


def test_nothing_is_imported_twice(lesson: Notebook) -> None:
    """A name is imported once, in the setup cell or where it is first used."""
    names = [
        alias.asname or alias.name
        for cell in lesson.code
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    ]
    assert len(names) == len(set(names))


def test_cells_were_run_in_order(notebook: Notebook) -> None:
    """Execution counts go 1, 2, 3, … without a gap."""
    counts = [cell.execution_count for cell in notebook.code]
    assert counts == list(range(1, len(counts) + 1))


def test_outputs_are_there(notebook: Notebook) -> None:
    """A cell that shows something has its output: nbval compares nothing where none is saved."""
    for cell in notebook.code:
        shown = ast.unparse(ast.parse(_plain(cell.source)).body[-1]) if cell.source else ""
        if re.match(r"(start|check|show_wire|meter|figure|self_check)\(", shown) or re.search(
            r"^print\(", cell.source, re.M
        ):
            assert cell.outputs, cell.source


def test_no_output_is_excused(notebook: Notebook) -> None:
    """No cell is skipped or left uncompared."""
    for cell in notebook.code:
        assert not re.search(r"NBVAL_\w+", cell.source)
        assert not [tag for tag in cell.metadata.get("tags", ()) if tag.startswith("nbval")]


def test_no_output_is_an_error_or_names_a_machine(notebook: Notebook) -> None:
    """No traceback, no warning, no absolute path stands in an output."""
    for output in notebook.outputs:
        assert output.output_type != "error"
        assert output.get("name") != "stderr"
        text = output.get("text", "") + str(output.get("data", {}).get("text/plain", ""))
        assert not re.search(r"(/home/|/Users/|/root/|/tmp/|site-packages|[A-Z]:\\)", text)


def test_no_model_or_price_is_written_into_a_cell(notebook: Notebook) -> None:
    """Ids come from the catalogue."""
    ids = {row.id for row in (*models(), *retired_models())}
    pattern = re.compile(r"gpt-\d|claude-[a-z0-9]|gemini-\d")
    for cell in notebook.code:
        written = {node.value for node in ast.walk(ast.parse(_plain(cell.source)))
                   if isinstance(node, ast.Constant) and isinstance(node.value, str)}  # fmt: skip
        assert not written & ids
        assert not pattern.search(cell.source)


def _plain(source: str) -> str:
    """A cell without its magic line."""
    return "\n".join(line for line in source.splitlines() if not line.startswith("%"))


def test_simulated_answers_are_announced(lesson: Notebook) -> None:
    """Only a cell after prose that speaks of simulated answers gets one."""
    for position, cell in enumerate(lesson.cells):
        text = " ".join(str(output.get("data", "")) for output in cell.get("outputs", ()))
        if "simulated ·" in text:
            assert "nobody has recorded" in lesson.cells[position - 1].source


def test_every_picture_has_a_text_alternative(lesson: Notebook) -> None:
    """After each picture stands a sentence that says what is in it."""
    for cell in lesson.code:
        kinds = [set(output.get("data", {})) for output in cell.outputs]
        for position, kind in enumerate(kinds):
            if "image/png" in kind:
                told = cell.outputs[position + 1].data["text/plain"]
                assert told.startswith("Figure: ")
                assert len(told.split()) >= 10


def test_lesson_has_its_skeleton(lesson: Notebook) -> None:
    """Title, promise, objectives, minutes; recap, meter, what professionals use, the way on."""
    prose = [cell.source for cell in lesson.cells if cell.cell_type == "markdown"]
    assert prose[0].startswith("# ")
    assert "**You will be able to**" in prose[0]
    assert "**Time**" in prose[0]
    headings = re.findall(r"^## (.+)$", "\n".join(prose), re.M)
    assert headings[-3:] == ["What professionals use", "Recap", "Now you"]
    assert lesson.code[-1].source == "meter()"
    assert len([c for c in lesson.code if re.search(r"^start\(", c.source, re.M)]) >= 1
    assert sum(map(bool, lesson.code[0].source.splitlines())) <= SETUP_LINES


def test_metadata_agrees_with_the_text(lesson: Notebook) -> None:
    """Number, title, minutes and objectives in the metadata are those of the first cell."""
    course = lesson.metadata["course"]
    title = lesson.cells[0].source
    assert lesson.path.stem.startswith(course["lesson"])
    assert f"# {course['title']}\n" in title
    assert f"about {course['minutes']} minutes" in title
    assert all(objective in title for objective in course["objectives"])


def test_links_lead_somewhere(notebook: Notebook) -> None:
    """Each relative link names a file in the repository."""
    for cell in notebook.cells:
        for target in re.findall(r"\]\((?!https?:|#)([^)]+)\)", cell.source):
            if cell.cell_type == "markdown":
                assert (notebook.path.parent / target).exists(), target


def test_prose_keeps_its_tone(notebook: Notebook) -> None:
    """No exclamation marks, and no word that belittles a reader's trouble."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text = re.sub(r"`[^`]*`|!\[", "", cell.source)
            assert not re.search(r"!|\b(simply|obviously|easy|easily|trivial)\b", text, re.I), text
