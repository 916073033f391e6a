"""The chat window of lesson 11 in the browser: what is typed is sent, and answered."""

from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
LESSON = "notebooks/11_assistant.ipynb"


@pytest.mark.skipif(not (ROOT / LESSON).exists(), reason=f"{LESSON} is not written yet")
def test_a_student_chats_in_the_window(student: Any) -> None:
    """Every cell runs; what is typed into the window and sent with Enter or Send is answered."""
    student.open_notebook(LESSON)
    student.run_all()
    student.select("window-code")
    log = student.page.get_by_role("log", name="Conversation")
    log.get_by_text("17 * 23 is 391.").wait_for()
    field = student.page.get_by_placeholder("Ask something, then press Enter")
    field.click()
    student.page.keyboard.type("What is 2 + 2?")
    student.page.keyboard.press("Enter")
    log.get_by_text("you: What is 2 + 2?").wait_for()
    student.page.get_by_text("4 model answers").wait_for()
    assert field.input_value() == ""
    field.fill("What is 3 + 3?")
    student.page.get_by_role("button", name="Send", exact=True).click()
    log.get_by_text("you: What is 3 + 3?").wait_for()
    student.page.get_by_text("6 model answers").wait_for()
    assert student.page.get_by_role("button", name="Stop", exact=True).is_disabled()
    student.screenshot("lesson_11_window")
    red = [o for o in student.outputs() if o["output_type"] == "error" or o.get("name") == "stderr"]
    assert red == []
    assert (student.outside, student.errors) == ([], [])
