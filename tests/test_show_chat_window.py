"""The chat window: its conversation, its widgets, and what it shows where nobody watches."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ipywidgets
import pytest

from course_utils.llm.errors import StreamCutError
from course_utils.llm.result import ChatEvent, ChatResult, Finished, TextDelta
from course_utils.show.chat_window import ChatWindow, chat_window
from course_utils.wire.reply import Usage


class Echo:
    """An assistant that says what it was asked, word by word, and notes what it got."""

    def __init__(self, fails_after: int | None = None) -> None:
        self.asked: list[list[Mapping[str, Any]]] = []
        self.fails_after = fails_after
        self.closed = False

    def stream(self, messages: Sequence[Mapping[str, Any]]) -> Iterator[ChatEvent]:
        """The last message, a word an event."""
        self.asked.append(list(messages))
        words = messages[-1]["content"].split()
        try:
            for number, word in enumerate(words):
                if number == self.fails_after:
                    raise StreamCutError("cut", text=" ".join(words[:number]))
                yield TextDelta(word + " ")
            yield Finished(result(" ".join(words)))
        finally:
            self.closed = True


def result(text: str) -> ChatResult:
    """An answer of ten tokens in and two out."""
    return ChatResult(text, "stop", Usage(10, 2), "m", "openai", cost_usd=0.5)


def parts(window: ChatWindow) -> tuple[Any, Any, Any, Any, Any]:
    """The widgets of a view: log, field, send, stop, meter."""
    log, row, meter = window.widget().children
    return (log, *row.children, meter)


def wait() -> None:
    """Until the threads that answer are done, those that a timer starts too."""
    for name in ("send late", "send"):
        for thread in threading.enumerate():
            if thread.name == name:
                thread.join(5)


def test_a_turn_is_shown_kept_and_counted() -> None:
    """Question and answer are in the window and in the next request, tokens in the meter."""
    echo = Echo()
    window = chat_window(echo)
    window.send("one two")
    window.send("three")
    assert [message["content"] for message in echo.asked[1]] == ["one two", "one two", "three"]
    assert window.meter == "2 model answers · 20 tokens in, 4 out · $1.000000 live"


def test_where_nobody_watches_the_text_is_stable() -> None:
    """The repr has the conversation and no id or address."""
    window = chat_window(Echo(), live=False)
    assert repr(window).splitlines()[1] == "(nothing said yet)"
    window.send("<b>hi</b>")
    assert repr(window) == (
        "Chat window\nyou: <b>hi</b>\nassistant: <b>hi</b> \n"
        "1 model answers · 10 tokens in, 2 out · $0.500000 live"
    )
    assert "&lt;b&gt;hi" in window._repr_html_()
    assert 'role="log"' in window._repr_html_()


def test_an_error_is_shown_and_leaves_the_conversation_clean() -> None:
    """Half an answer stays on the screen, marked, and is not sent with the next question."""
    window = chat_window(Echo(fails_after=1))
    window.send("one two")
    assert window.lines[1].text == "one "
    assert window.lines[1].note == "no whole answer: StreamCutError: cut"
    assert window.messages == []
    assert not window.busy


def test_stop_keeps_what_has_come() -> None:
    """After Stop the stream is closed, and what came is part of the conversation."""
    echo = Echo()
    window = chat_window(echo)
    window._views.append(lambda: window.stop() if window.lines[-1].text else None)
    window.send("one two three")
    assert window.lines[-1].note == "stopped"
    assert window.messages[-1]["content"] == "one "
    assert echo.closed


@pytest.mark.parametrize("how", ["enter first", "text first", "click"])
def test_enter_and_the_button_send(how: str) -> None:
    """Each sends what is in the field once, in whichever order the browser tells of it."""
    window = chat_window(Echo())
    log, field, send, stop, meter = parts(window)
    if how == "enter first":
        field._handle_custom_msg({"event": "submit"}, [])
    field.value = "hello there"
    if how == "text first":
        field._handle_custom_msg({"event": "submit"}, [])
    elif how == "click":
        send.click()
    wait()
    assert window.answers == 1
    assert field.value == ""
    assert "<b>assistant:</b> hello there" in log.value
    assert (send.disabled, stop.disabled) == (False, True)
    assert meter.value == window.meter


def test_nothing_is_sent_for_blank_text() -> None:
    """Spaces are no question."""
    echo = Echo()
    window = chat_window(echo)
    window.send("  ")
    assert echo.asked == []


def test_live_shows_widgets_and_else_text(capsys: pytest.CaptureFixture[str]) -> None:
    """In Jupyter a box of widgets is displayed, elsewhere a bundle of text and HTML."""
    assert isinstance(chat_window(Echo(), live=True).widget(), ipywidgets.VBox)
    chat_window(Echo(), live=False)._ipython_display_()
    assert "Chat window" in capsys.readouterr().out
