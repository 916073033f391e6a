"""Running notebooks in fresh kernels, and saving lessons and solutions with their outputs."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from course_utils.classroom.notebook import KERNELSPEC, LANGUAGE_INFO, Notebook, read, write
from course_utils.errors import ExerciseError

CELL_TIMEOUT_S = 60
_WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_ROOT = Path(__file__).resolve().parents[2]


def run(notebook: Notebook, folder: Path, *, allow_errors: bool) -> Notebook:
    """Run all cells in a fresh kernel that works in ``folder``, and return them with outputs.

    With ``allow_errors``, a cell that raises or takes over a minute does not end the run.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell raised, and ``allow_errors`` is off.
        nbclient.exceptions.CellTimeoutError: the same for over a minute.
    """
    import nbformat
    from nbclient import NotebookClient

    # Joins the lines of each cell, which from_dict does not.
    node = nbformat.reads(json.dumps(notebook), as_version=4)  # type: ignore[no-untyped-call]
    client = NotebookClient(
        node,
        timeout=CELL_TIMEOUT_S,
        kernel_name="python3",
        allow_errors=allow_errors,
        interrupt_on_timeout=allow_errors,
        coalesce_streams=True,
        record_timing=False,
        store_widget_state=False,
        resources={"metadata": {"path": str(folder)}},
    )
    done: Notebook = client.execute(env=_environment())
    return done


def execute(path: Path) -> bool:
    """Run a notebook and save it with its outputs; return whether the file has changed.

    Raises:
        ExerciseError: a cell failed; the file stays as it was.
    """
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    try:
        done = run(read(path), path.parent, allow_errors=False)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        raise ExerciseError(
            f"{path.name} was not saved, because a cell fails: mend it and run this again.\n{error}"
        ) from error
    return write(path, cleaned(done))


def cleaned(notebook: Notebook) -> Notebook:
    """The notebook as it is committed: its outputs, and nothing that differs between machines."""
    metadata = {"kernelspec": KERNELSPEC, "language_info": LANGUAGE_INFO}
    for cell in notebook["cells"]:
        cell["metadata"].pop("execution", None)
        for output in cell.get("outputs", ()):
            _clean_output(output)
    cells = [_with_lines(cell) for cell in notebook["cells"]]
    rest = {key: value for key, value in notebook["metadata"].items() if key != "widgets"}
    return {**notebook, "cells": cells, "metadata": {**rest, **metadata}}


def _clean_output(output: dict[str, Any]) -> None:
    data = output.get("data", {})
    if len(data) > 1:  # a widget's own name is drawn by lot; its text or picture stays
        data.pop(_WIDGET_VIEW, None)
    if "traceback" in output:
        # What stands in a library names a folder of this machine.
        entries = output["traceback"]
        output["traceback"] = [e for e in entries if not _COLOURS.sub("", e).startswith("File ")]


def _with_lines(cell: dict[str, Any]) -> dict[str, Any]:
    """A cell whose texts are lists of lines, as JupyterLab saves them."""
    outputs = cell.get("outputs")
    lined = {**cell, "source": cell["source"].splitlines(keepends=True)}
    return lined if outputs is None else {**lined, "outputs": [_output(o) for o in outputs]}


def _output(output: dict[str, Any]) -> dict[str, Any]:
    if "text" in output:
        return {**output, "text": output["text"].splitlines(keepends=True)}
    if "data" in output:
        data = {mime: _lined(mime, value) for mime, value in output["data"].items()}
        return {**output, "data": data}
    return output


def _lined(mime: str, value: Any) -> Any:
    is_text = isinstance(value, str) and (mime.startswith("text/") or mime.endswith("+xml"))
    return value.splitlines(keepends=True) if is_text else value


def notebooks(root: Path) -> list[Path]:
    """The notebooks whose outputs are committed: the lessons, then the solutions."""
    return [
        p for folder in ("notebooks", "solutions") for p in sorted((root / folder).glob("*.ipynb"))
    ]


def _environment() -> dict[str, str]:
    """The environment in which a kernel imports this very course."""
    others = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([str(_ROOT), others] if others else [str(_ROOT)])
    return {**os.environ, "PYTHONPATH": path}
