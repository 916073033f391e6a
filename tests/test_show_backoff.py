"""The plots of waits and of herds show what the toolkit's own rules do."""

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from course_utils.errors import CourseError
from course_utils.llm import RetryRules
from course_utils.show.backoff import arrivals, backoff_plot, busiest, herd_plot, waits

EXACT = RetryRules(jitter_s=(0, 0), told_jitter_s=(0, 0))


@pytest.fixture(autouse=True)
def shell() -> Iterator[InteractiveShell]:
    """An IPython shell, so that what is displayed is published and can be captured."""
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


def test_waits_double() -> None:
    """Without jitter, one client waits 1, 2, 4 and 8 seconds."""
    assert waits(EXACT, 4, Random(0)) == [1, 2, 4, 8]


def test_a_herd_without_jitter_comes_at_once() -> None:
    """All clients arrive in the same three moments."""
    times = arrivals(EXACT, clients=100)
    assert len(times) == 300
    assert set(times) == {1, 3, 7}
    assert busiest(times, 0.05) == 100


def test_jitter_spreads_a_herd() -> None:
    """With half a second of jitter, no slot of 50 ms takes more than a sixth of the crowd."""
    assert busiest(arrivals(RetryRules(), clients=1000), 0.05) < 1000 / 6


def test_nobody_comes_before_the_told_moment() -> None:
    """What a server asks for is never undercut, and is scattered by jitter."""
    times = arrivals(RetryRules(), clients=1000, retries=1, told_s=5)
    assert min(times) >= 5
    assert max(times) <= 6
    assert busiest(times, 0.05) < 100


def test_the_same_seed_gives_the_same_crowd() -> None:
    """A lesson's plot is the same each time."""
    assert arrivals(RetryRules(), seed=3) == arrivals(RetryRules(), seed=3)


def test_nobody_is_never_busy() -> None:
    """A crowd of none has an empty busiest slot."""
    assert busiest([], 0.05) == 0


@pytest.mark.parametrize(
    ("plot", "words"),
    [
        (backoff_plot, "exact: 1.0, 2.0, 4.0, 8.0, 16.0"),
        (herd_plot, "exact, the busiest slot takes 1,000 of them, and the last comes after 7.0 s"),
    ],
)
def test_each_plot_has_its_sentence(plot: Any, words: str) -> None:
    """Under the picture stands what is in it, numbers included."""
    with capture_output() as captured:
        plot({"exact": EXACT, "with jitter": RetryRules()})
    picture, told = captured.outputs
    assert "image/png" in picture.data
    assert words in told.data["text/plain"]


@pytest.mark.parametrize("plot", [backoff_plot, herd_plot])
def test_nothing_to_plot_is_an_error(plot: Any) -> None:
    """No rules and no retries are refused with a sentence."""
    with pytest.raises(CourseError, match="at least one"):
        plot({})
    with pytest.raises(CourseError, match="retries is 0"):
        plot({"exact": EXACT}, retries=0)
