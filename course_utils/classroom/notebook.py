"""Notebook files: read with care, written so that equal notebooks are equal bytes."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from course_utils.errors import ExerciseError

Cell = dict[str, Any]
Notebook = dict[str, Any]

# What a kernel says about itself, less its version, which differs from machine to machine.
LANGUAGE_INFO = {
    "codemirror_mode": {"name": "ipython", "version": 3},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
}
KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def read(path: Path) -> Notebook:
    """Read a notebook.

    Raises:
        ExerciseError: it is missing, or no whole notebook, as after a save that was cut off.
    """
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ExerciseError(f"There is no notebook {path}: check its name and folder.") from None
    except (OSError, ValueError) as error:
        raise ExerciseError(_unreadable(path, str(error))) from error
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        raise ExerciseError(_unreadable(path, "it holds no cells"))
    return notebook


def write(path: Path, notebook: Notebook) -> bool:
    """Write a notebook and return True; do nothing and return False where it is there already."""
    text = json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True)
    return write_text(path, text + "\n")


def write_text(path: Path, text: str) -> bool:
    """Write a file whole or not at all; keep it, and its time, where nothing has changed."""
    data = text.encode("utf-8")
    if path.is_file() and path.read_bytes() == data:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, part = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.chmod(part, path.stat().st_mode if path.exists() else 0o644)
        os.replace(part, path)
    except OSError:
        os.unlink(part)
        raise
    return True


def source(cell: Cell) -> str:
    """The text of a cell, which a file may hold as one string or as a list of lines."""
    text = cell["source"]
    return text if isinstance(text, str) else "".join(text)


def lines(text: str) -> list[str]:
    """The text as a file holds it: a list of lines, so that a change is one line in a diff."""
    return text.splitlines(keepends=True)


def tags(cell: Cell) -> list[str]:
    """The tags of a cell."""
    found: list[str] = cell["metadata"].get("tags", [])
    return found


def _unreadable(path: Path, problem: str) -> str:
    return (
        f"The notebook {path.name} cannot be read: {problem}. Bring back an older copy, for "
        f"example with 'git checkout -- {path.name}' in its folder."
    )
