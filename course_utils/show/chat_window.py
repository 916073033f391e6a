"""A chat window in the notebook: messages, an input line, Send, Stop, and what it all cost.

In Jupyter the window is made of widgets. Where nobody is watching (a checker, a page on GitHub) the
conversation is shown as it stands, as text. What professionals use: Gradio's `ChatInterface`,
Streamlit's `st.chat_message`, and Chainlit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Protocol

from course_utils.show.live_text import is_watched

if TYPE_CHECKING:
    from course_utils.llm.result import ChatEvent, ChatResult

# The browser tells of Enter before it tells the text, and no text where that is known already.
_LATE_S = 0.3
_YOU, _ASSISTANT = "you", "assistant"
_LOG = (
    "box-sizing:border-box;max-height:340px;overflow-y:auto;padding:8px;border:1px solid #808080;"
    "border-radius:4px;line-height:1.45"
)


class Streams(Protocol):
    """What a window needs: an LLMClient, a wrapper around one, or an assistant of yours."""

    def stream(self, messages: Sequence[Mapping[str, Any]]) -> Iterator[ChatEvent]:
        """The answer to a conversation, as the events of `course_utils.llm`."""


@dataclass(slots=True)
class Line:
    """What one side has said, and a note on how it ended, such as "stopped"."""

    who: str
    text: str = ""
    note: str = ""


class ChatWindow:
    """A conversation with `assistant`, and the window that shows it.

    Attributes:
        messages: what is sent with the next question: questions and whole answers.
        lines: what the window shows.
        usd: what the answers have cost so far, by the catalogue's prices.
    """

    def __init__(self, assistant: Streams, *, live: bool | None = None) -> None:
        self.assistant = assistant
        self.messages: list[dict[str, str]] = []
        self.lines: list[Line] = []
        self.answers = self.tokens_in = self.tokens_out = 0
        self.usd = 0.0
        self._live = is_watched() if live is None else live
        self._stop, self._busy = threading.Event(), threading.Lock()
        self._views: list[Callable[[], None]] = []

    @property
    def busy(self) -> bool:
        """Whether an answer is on its way."""
        return self._busy.locked()

    @property
    def meter(self) -> str:
        """Answers of the model, tokens and money so far, as a sentence."""
        return (
            f"{self.answers} model answers · {self.tokens_in:,} tokens in, "
            f"{self.tokens_out:,} out · ${self.usd:.6f} live"
        )

    def send(self, text: str) -> None:
        """Say something, and wait for the whole answer. Nothing happens while one is under way."""
        if not text.strip() or not self._busy.acquire(blocking=False):
            return
        try:
            self._stop.clear()
            self._turn(text.strip())
        finally:
            self._busy.release()
            self._draw()

    def stop(self) -> None:
        """End the answer that is under way; what has come of it stays."""
        self._stop.set()

    def widget(self) -> Any:
        """The window as a widget; each call makes another view of the same conversation."""
        return _view(self, self._views.append)

    def __repr__(self) -> str:
        said = [f"{line.who}: {_with_note(line)}" for line in self.lines]
        return "\n".join(["Chat window", *(said or ["(nothing said yet)"]), self.meter])

    def _repr_html_(self) -> str:
        return f"{_log_html(self.lines)}<div><small>{escape(self.meter)}</small></div>"

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if self._live:
            display(self.widget())
        else:
            bundle = {"text/plain": repr(self), "text/html": self._repr_html_()}
            display(bundle, raw=True)

    def _turn(self, text: str) -> None:
        self.messages.append({"role": "user", "content": text})
        line = Line(_ASSISTANT)
        self.lines += [Line(_YOU, text), line]
        self._draw()
        try:
            said = self._follow(line)
        except Exception as error:  # in a thread nobody else would show it
            line.note = f"no whole answer: {type(error).__name__}: {error}"
            said = ""
        if said:
            self.messages.append({"role": "assistant", "content": said})
        else:
            self.messages.pop()  # a question without an answer would confuse the next turn

    def _follow(self, line: Line) -> str:
        """Show the events of an answer as they come; what of it belongs to the conversation."""
        from course_utils.llm.result import Finished, TextDelta

        said = ""
        events = self.assistant.stream([dict(message) for message in self.messages])
        with closing(events):  # type: ignore[type-var]  # the iterators in use are generators
            for event in events:
                if self._stop.is_set():
                    line.note = "stopped"
                    return line.text
                if isinstance(event, TextDelta):
                    line.text += event.text
                    self._draw()
                elif isinstance(event, Finished):
                    said = event.result.content
                    self._count(event.result)
        return said or line.text

    def _count(self, result: ChatResult) -> None:
        self.answers += 1
        self.tokens_in += result.prompt_tokens
        self.tokens_out += result.completion_tokens
        self.usd += result.cost_usd or 0.0

    def _draw(self) -> None:
        for view in self._views:
            view()


def chat_window(assistant: Streams, *, live: bool | None = None) -> ChatWindow:
    """Open a chat window on anything with `stream(messages)`.

    Enter or the Send button sends, Stop ends an answer. `live` says whether to show widgets; by
    default, where somebody is watching. `window.send("…")` says something from a cell.
    """
    return ChatWindow(assistant, live=live)


def _with_note(line: Line) -> str:
    return " ".join(part for part in (line.text, f"[{line.note}]" if line.note else "") if part)


def _log_html(lines: Sequence[Line]) -> str:
    """The conversation; a reader's software reads out what is added."""
    rows = "".join(
        f'<div style="white-space:pre-wrap"><b>{line.who}:</b> {escape(_with_note(line))}</div>'
        for line in lines
    )
    empty = "<div>Nothing said yet. Write below, and press Enter.</div>"
    return (
        f'<div role="log" aria-live="polite" aria-label="Conversation" tabindex="0" '
        f'style="{_LOG}">{rows or empty}</div>'
    )


def _view(window: ChatWindow, on_change: Callable[[Callable[[], None]], None]) -> Any:
    """The widgets. Answers come in a thread, so that the kernel hears the Stop button."""
    import ipywidgets as w

    wide = w.Layout(width="100%")
    log, meter = w.HTML(layout=wide), w.Label(layout=wide)
    placeholder = "Ask something, then press Enter"
    field = w.Text(placeholder=placeholder, continuous_update=False, layout=wide)
    field.description_allow_html, field.tooltip = False, "Your message"
    send = w.Button(description="Send", button_style="primary", tooltip="Send the message (Enter)")
    stop = w.Button(description="Stop", tooltip="End the answer", disabled=True)

    def draw() -> None:
        log.value, meter.value = _log_html(window.lines), window.meter
        send.disabled, stop.disabled = window.busy, not window.busy

    entered = threading.Event()

    def submit(*_: object) -> None:
        entered.clear()
        text = field.value
        if text.strip() and not window.busy:
            field.value = ""
            threading.Thread(target=window.send, args=(text,), name="send", daemon=True).start()

    def heard(_: object, content: Mapping[str, Any], __: object) -> None:
        if content.get("event") == "submit":  # what the field sends when Enter is pressed
            entered.set()
            late = threading.Timer(_LATE_S, changed)
            late.name, late.daemon = "send late", True
            late.start()

    def changed(*_: object) -> None:
        if entered.is_set():
            submit()

    field.on_msg(heard)
    field.observe(changed, "value")
    send.on_click(submit)
    stop.on_click(lambda _: window.stop())
    on_change(draw)
    draw()
    return w.VBox([log, w.HBox([field, send, stop], layout=wide), meter])
