"""Checks of exercises: whatever an answer does, the student gets a sentence that helps."""

from __future__ import annotations

import linecache
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from course_utils import check
from course_utils.classroom.magics import known_answer
from course_utils.classroom.registry import (
    Exercise,
    NotYet,
    exercise,
    exercises_of,
    expect,
    require,
)
from course_utils.classroom.runner import judge
from course_utils.classroom.verdict import CHECK_MIME, Verdict
from course_utils.errors import ExerciseError

STOP_S = 0.2


def check_double(double: Callable[[int], int]) -> None:
    """The check of the exercise that these tests answer."""
    expect("double(3)", double(3), 6, (9, "You square it."))


DOUBLE = Exercise("ex90.1", points=2, check=check_double, then="Next, halve.", limit_s=STOP_S)


def names(code: str) -> dict[str, Any]:
    """The names of a notebook in which a student has run a cell with ``code``."""
    found: dict[str, Any] = {"__name__": "__main__"}
    linecache.cache["<cell>"] = (len(code), None, code.splitlines(keepends=True), "<cell>")
    exec(compile(code, "<cell>", "exec"), found)
    return found


def verdict(code: str) -> Verdict:
    """What the check says to a cell with ``code``."""
    return judge(DOUBLE, names(code))


def test_right_answer_gets_all_points_and_leads_on() -> None:
    """A right answer gets its points and the sentence that leads on."""
    assert verdict("double = lambda n: 2 * n") == Verdict("ex90.1", True, 2, "Next, halve.")


def test_known_mistake_gets_its_own_message() -> None:
    """A wrong value that is known gets the message for that mistake."""
    assert verdict("double = lambda n: n * n").message == "You square it."


def test_unknown_mistake_says_both_values() -> None:
    """A wrong value that nobody foresaw is told beside the right one."""
    assert verdict("double = lambda n: 5").message == "double(3) gives 5; here 6 is right."


def test_equal_value_of_another_type_is_not_right() -> None:
    """6.0 is not the 6 that was asked for, and the message names the type."""
    assert "of type float" in verdict("double = lambda n: 2.0 * n").message


def test_forgotten_return_is_named() -> None:
    """A function that gives None is asked for its return."""
    assert "`return`" in verdict("def double(n):\n    2 * n").message


def test_untouched_stub_is_named() -> None:
    """A `...` that is still there is what the message is about."""
    assert "still gives `...`" in verdict("def double(n):\n    return ...").message


def test_arithmetic_with_a_stub_is_named() -> None:
    """A `...` inside an expression is found by the exception that it causes."""
    message = verdict("def double(n):\n    return n + ...").message
    assert message.startswith("There is still a `...` to replace in line 2 of your cell")


def test_missing_name_asks_for_the_cell() -> None:
    """A name that is not defined yet sends the student to its cell."""
    assert verdict("x = 1").message == "Run the cell that defines `double` first."


def test_renamed_function_is_found() -> None:
    """A name that is nearly right is offered."""
    assert "There is a `doubles`" in verdict("def doubles(n):\n    return 2 * n").message


def test_exception_says_type_message_and_line() -> None:
    """An exception in the answer is told with the student's own line."""
    message = verdict("def double(n):\n    return [][n]").message
    assert message == (
        "Your code stops with IndexError: list index out of range in line 2 of your cell, "
        "`return [][n]`."
    )


def test_wrong_signature_says_what_the_check_ran() -> None:
    """Where no line of the student's is to blame, the check's own line is quoted."""
    message = verdict("def double():\n    return 6").message
    assert 'The check ran `expect("double(3)", double(3)' in message
    assert "takes 0 positional arguments" in message


def test_exit_in_an_answer_is_a_wrong_answer() -> None:
    """exit() in an answer does not end the kernel."""
    assert "SystemExit" in verdict("def double(n):\n    raise SystemExit(1)").message


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no alarm")
def test_endless_loop_is_stopped_and_the_alarm_is_off() -> None:
    """An endless loop ends with the line it was in, and leaves no alarm behind."""
    message = verdict("def double(n):\n    while True: n += 1").message
    assert "was stopped; the kernel still runs. It was in line 2 of your cell" in message
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_endless_loop_in_another_thread_is_stopped() -> None:
    """Where no alarm can be set, a second thread stops the loop."""
    said: list[Verdict] = []
    code = "def double(n):\n    while True: n += 1"
    thread = threading.Thread(target=lambda: said.append(verdict(code)))
    thread.start()
    thread.join(timeout=30)
    assert "was stopped" in said[0].message


def test_loop_that_swallows_every_exception_is_stopped() -> None:
    """A bare except in an endless loop does not save it."""
    code = "def double(n):\n  while True:\n    try:\n      n = sum(range(99))\n    except: pass"
    assert "was stopped" in verdict(code).message


def test_output_beyond_a_few_lines_is_left_out() -> None:
    """Prints are shown up to five lines, however many come."""
    printed = verdict("def double(n):\n    print('a\\n' * 100_000)\n    return 6").printed
    assert printed == ("a", "a", "a", "a", "a", "… and more, which is left out here")


def test_verdict_is_read_by_people_and_programs() -> None:
    """A verdict is text, HTML and JSON at once."""
    bundle = Verdict("ex90.1", True, 1, "Well.")._repr_mimebundle_()
    assert bundle["text/plain"] == "ex90.1 ✓ passed (1 of 1 point)\nWell."
    assert bundle[CHECK_MIME] == {
        "exercise": "ex90.1",
        "passed": True,
        "points": 1,
        "of": 1,
        "message": "Well.",
    }


def test_html_escapes_what_a_student_wrote() -> None:
    """Markup in a message or in printed text stays text."""
    shown = Verdict("ex90.1", False, 1, "<b>", printed=("<script>",)).as_html()
    assert "<b>" not in shown
    assert "<script>" not in shown


def test_unknown_exercise_names_those_there_are() -> None:
    """A mistyped id is answered with the ids of the notebook."""
    with pytest.raises(ExerciseError, match=r"no exercise 'ex01\.99': choose one of .*ex01\.1"):
        check("ex01.99")


def test_built_checks_are_found_by_id() -> None:
    """The exercises of a notebook come from its generated module, in their order."""
    assert [one.id for one in exercises_of("ex01")] == ["ex01.1", "ex01.2", "ex01.3", "ex01.4"]


def test_nbgrader_sees_a_wrong_answer_as_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under nbgrader a wrong answer raises, because silence would give full points there."""
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    with pytest.raises(NotYet, match=r"ex01\.1 ✗ not yet"):
        check("ex01.1")


@pytest.fixture
def known_exercise() -> str:
    """The id of an exercise that an author has defined in a notebook."""
    exercise("ex91.1", points=1)(lambda double: require(double(3) == 6, "Twice, please."))
    return "ex91.1"


def test_known_mistake_is_shown_with_its_message(known_exercise: str) -> None:
    """%%mistake shows what a student would be told, and keeps the belief for the tests."""
    known = known_answer("mistake", f"{known_exercise} it squares", "double = lambda n: n * n", {})
    assert (known.belief, known.verdict.message) == ("it squares", "Twice, please.")


def test_mistake_that_passes_stops_the_author(known_exercise: str) -> None:
    """A known mistake that the check lets pass is an error in the check."""
    with pytest.raises(ExerciseError, match="lets this mistake pass: it doubles"):
        known_answer("mistake", f"{known_exercise} it doubles", "double = lambda n: n + n", {})


def test_alternative_that_fails_stops_the_author(known_exercise: str) -> None:
    """A right answer that the check refuses is an error in the check."""
    with pytest.raises(ExerciseError, match=r"refuses a right answer \(it adds\)"):
        known_answer("alternative", f"{known_exercise} it adds", "double = lambda n: n", {})


def test_known_answer_leaves_the_notebook_alone(known_exercise: str) -> None:
    """A known answer runs in a copy of the names."""
    mine = {"double": "mine"}
    known_answer("mistake", f"{known_exercise} it is zero", "double = lambda n: 0", mine)
    assert mine == {"double": "mine"}


def test_import_loads_no_notebook_machinery() -> None:
    """A kernel that only checks does not pay for nbformat, nbclient or IPython."""
    code = (
        "import sys, course_utils.classroom; "
        "print({'nbformat', 'nbclient', 'IPython', 'tiktoken'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
