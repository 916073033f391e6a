"""Lesson 02 in the browser, from the first cell to the last."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
LESSON = "notebooks/02_chat_completions.ipynb"


@pytest.mark.skipif(not (ROOT / LESSON).exists(), reason=f"{LESSON} is not written yet")
def test_lesson_runs_to_its_end(student: Any) -> None:
    """Every cell runs, nothing is red, nothing is asked beyond this machine."""
    before = hashlib.sha256((ROOT / LESSON).read_bytes()).hexdigest()
    student.open_notebook(LESSON)
    student.run_all()
    outputs = student.outputs()
    student.screenshot("lesson_02")
    assert outputs
    assert [o for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr"] == []
    assert (student.outside, student.errors) == ([], [])
    assert hashlib.sha256((ROOT / LESSON).read_bytes()).hexdigest() == before
