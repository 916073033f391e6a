"""A student's first hour: an edited prompt, an exercise done wrongly, and then rightly."""

from pathlib import Path
from typing import Any

import nbformat

ROOT = Path(__file__).resolve().parents[2]
EXERCISE = "exercises/ex01_token_budget.ipynb"
SOLUTION = ROOT / "solutions" / "ex01_token_budget.ipynb"
WORDS = """def message_tokens(message, encoding):
    return 3 + len(message["role"].split()) + len(message["content"].split())
"""

SMALLEST = """response = client.chat.completions.create(
model=model.id, messages=[{"role": "user", "content": "What is 17 * 3?"}])
print(response.choices[0].message.content)"""


def right_answer(cell_id: str) -> str:
    """What the solution notebook writes into a cell."""
    cells = {cell.id: cell.source for cell in nbformat.read(SOLUTION, 4).cells}
    return "\n".join(line for line in cells[cell_id].splitlines() if "#" not in line)


def test_an_edited_prompt_gets_a_labelled_answer(student: Any) -> None:
    """A question that nobody has recorded is answered, and the line below says by whom."""
    student.open_notebook("notebooks/02_chat_completions.ipynb")
    student.run_all()
    student.write("smallest", SMALLEST)
    shown = student.run("smallest")
    assert "17 * 3 = 51" in shown
    assert "simulated" in shown
    student.screenshot("edited_prompt")


def test_an_exercise_answers_back(student: Any) -> None:
    """A wrong answer is told why, and the right one passes."""
    student.open_notebook(EXERCISE)
    student.run("setup")
    assert "Run the cell" in student.run("ex01-1-check")
    student.write("ex01-1-answer-2", right_answer("ex01-1-answer-2"))
    student.run("ex01-1-answer-2")
    student.write("ex01-1-answer", WORDS)
    student.run("ex01-1-answer")
    wrong = student.run("ex01-1-check")
    assert "not yet" in wrong
    assert "You count words." in wrong
    student.screenshot("exercise_wrong")
    student.write("ex01-1-answer", right_answer("ex01-1-answer"))
    student.run("ex01-1-answer")
    assert "passed (2 of 2 points)" in student.run("ex01-1-check")
    student.screenshot("exercise_right")
    assert (student.outside, student.errors) == ([], [])
