"""The parts of course_utils point at each other one way only, as the design draws them."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "course_utils"
# A part may import those on its right: cli → classroom → show → llm → wire ← offline.
ALLOWED = {
    "wire": set(),
    "offline": {"wire"},
    "llm": {"wire"},
    "show": {"llm", "wire"},
    "classroom": {"show", "llm", "wire"},
}


def imported_parts(path: Path) -> set[str]:
    """The parts of course_utils that a module imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "course_utils":
            names = [f"course_utils.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        found |= {name.split(".")[1] for name in names if name.startswith("course_utils.")}
    return found & set(ALLOWED)


@pytest.mark.parametrize("part", ALLOWED)
def test_a_part_imports_only_what_lies_below_it(part: str) -> None:
    """No module of a part imports a part above it or beside it."""
    wrong = {
        f"{path.relative_to(PACKAGE)} imports {other}"
        for path in (PACKAGE / part).rglob("*.py")
        for other in imported_parts(path) - ALLOWED[part] - {part}
    }
    assert not wrong


def test_sdks_are_not_imported_by_the_package() -> None:
    """No module imports a provider's SDK, pandas or matplotlib when it is itself imported.

    The exercises' checks may: they are loaded one by one, by a notebook that uses these anyway.
    """
    heavy = {"openai", "anthropic", "google", "pandas", "matplotlib", "tiktoken", "numpy"}
    wrong = set()
    for path in set(PACKAGE.rglob("*.py")) - set((PACKAGE / "classroom/checks").glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import):
                names = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names = {(node.module or "").split(".")[0]}
            else:
                continue
            wrong |= {f"{path.relative_to(PACKAGE)}: {name}" for name in names & heavy}
    assert not wrong
