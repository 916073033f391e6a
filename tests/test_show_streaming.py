"""What people see of a stream: its timeline, and its text while it grows."""

from collections.abc import Iterator
from itertools import count

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import RichOutput, capture_output

from course_utils.show.live_text import is_watched, live_text
from course_utils.show.timeline import sentence, timeline

PIECES = ["**One** ", "two ", "three"]
EVENTS = [(0.4, "One "), (0.45, "two "), (0.5, "three")]


@pytest.fixture(autouse=True)
def shell() -> Iterator[InteractiveShell]:
    """An IPython shell, so that what is displayed is published and can be captured."""
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


def shown(outputs: list[RichOutput]) -> list[tuple[str, bool]]:
    """The Markdown of each output, and whether it takes the place of the one before."""
    return [(output.data["text/markdown"], bool(output.update)) for output in outputs]


def test_unwatched_text_is_shown_once() -> None:
    """A checker of notebooks sees the whole text in one output, and no update."""
    with capture_output() as captured:
        text = live_text(iter(PIECES), live=False)
    assert text == "".join(PIECES)
    assert shown(captured.outputs) == [(text, False)]


def test_watched_text_grows_in_one_output() -> None:
    """A person sees one output, which is brought up to date until it is whole."""
    ticks = count(step=1.0)
    with capture_output() as captured:
        live_text(iter(PIECES), live=True, clock=lambda: next(ticks))
    assert shown(captured.outputs) == [
        ("**One** ", False),
        ("**One** two ", True),
        ("**One** two three", True),
        ("**One** two three", True),
    ]


def test_watched_text_is_not_drawn_for_every_piece() -> None:
    """Pieces that come within a moment are drawn together; the end is always drawn."""
    with capture_output() as captured:
        live_text((str(n % 10) for n in range(1000)), live=True, clock=lambda: 0.0)
    assert [len(text) for text, _ in shown(captured.outputs)] == [1, 1000]


@pytest.mark.parametrize("live", [True, False])
def test_text_of_a_broken_stream_stays(live: bool) -> None:
    """What had come is shown, and the error goes on to the caller."""

    def broken() -> Iterator[str]:
        yield "half"
        raise ConnectionError("gone")

    with capture_output() as captured, pytest.raises(ConnectionError, match="gone"):
        live_text(broken(), live=live)
    assert shown(captured.outputs)[-1][0] == "half"


def test_no_text_shows_nothing() -> None:
    """A stream without text leaves no empty output."""
    with capture_output() as captured:
        assert live_text([], live=False) == live_text([], live=True) == ""
    assert captured.outputs == []


@pytest.mark.parametrize("name", ["JPY_SESSION_NAME", "VSCODE_PID"])
def test_who_is_watching(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A kernel that Jupyter's server or VS Code started is watched, one of a checker is not."""
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.delenv("VSCODE_PID", raising=False)
    assert not is_watched()
    monkeypatch.setenv(name, "lesson.ipynb")
    assert is_watched()


def test_timeline_is_a_picture_and_a_sentence() -> None:
    """The picture has the times, the sentence under it has none and is the same each time."""
    with capture_output() as captured:
        timeline(EVENTS)
    picture, told = captured.outputs
    assert picture.data["image/png"]
    assert told.data["text/plain"] == f"Figure: {sentence(EVENTS)}"
    assert sentence(EVENTS) == sentence([(2 * seconds, text) for seconds, text in EVENTS])
    assert "3 pieces" in sentence(EVENTS)
    assert "the longest wait is before the first." in sentence(EVENTS)


def test_sentence_finds_the_longest_wait() -> None:
    """A stream that stalls in its middle is described as one."""
    assert "before piece 3" in sentence([(0.1, "a"), (0.2, "b"), (0.9, "c")])


@pytest.mark.parametrize("events", [[], [(0.0, "")], [(0.3, "one")]])
def test_small_timelines_are_drawn(events: list[tuple[float, str]]) -> None:
    """A stream of one piece, or of none, is drawn too."""
    with capture_output() as captured:
        timeline(events)
    assert len(captured.outputs) == 2
