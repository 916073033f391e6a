"""Who says what in a conversation with tools, in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from course_utils.show.table import Table

if TYPE_CHECKING:
    from course_utils.wire.request import Message

_LONGEST = 200
_WAYS = {
    "system": "rules → model",
    "user": "user → model",
    "assistant": "model → user",
    "tool": "your code → model",
}
_WISH = "model → your code"


def tool_sequence(messages: str | Sequence[Any]) -> Table:
    """The messages of a conversation as a table: who speaks to whom, and what is said.

    `messages` are dicts in OpenAI's shape, what the openai SDK returned, or `Message`s. A row's
    number is that of its message, so that calls which a model makes at once share one.

    Raises MessagesError for what is no message.
    """
    from course_utils.llm.messages import as_messages

    called: dict[str, str] = {}
    rows: list[tuple[str, str, str]] = []
    for number, message in enumerate(as_messages(messages), start=1):
        rows += [(str(number), way, _shortened(what)) for way, what in _said(message, called)]
    return Table("Who says what, in order", ("message", "from → to", "what"), rows)


def _said(message: Message, called: dict[str, str]) -> Iterator[tuple[str, str]]:
    """What one message says, and to whom; `called` has the tools' names by the ids of the calls."""
    if message.role == "tool":
        name = called.get(message.tool_call_id or "", "a call that is not here")
        yield _WAYS["tool"], f"{name} says: {message.text}"
        return
    if message.text or not message.tool_calls:
        yield _WAYS[message.role], message.text
    for call in message.tool_calls:
        called[call.id] = call.name
        yield _WISH, f"please run {call.name} with {call.arguments}"


def _shortened(text: str) -> str:
    """One line of a text, with an ellipsis where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
