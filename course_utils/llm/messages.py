"""Messages as people write them, read into the wire's `Message`s.

What professionals use: the SDKs' own typed dicts, which a type checker knows and nothing checks
when the program runs, and LangChain's message classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from course_utils.llm.chat import Messages
from course_utils.llm.errors import MessagesError
from course_utils.wire.fields import MalformedRequestError
from course_utils.wire.openai_chat import read_message
from course_utils.wire.request import Message

ROLES = ("system", "user", "assistant", "tool")
_EXAMPLE = '{"role": "user", "content": "Hello"}'


def as_messages(given: Messages) -> tuple[Message, ...]:
    """Read a question, or a conversation of dicts in OpenAI's shape and `Message`s.

    Raises MessagesError, which says which message is wrong, why, and what it must be.
    """
    if isinstance(given, str):
        given = [Message("user", given)]
    if isinstance(given, Mapping | Message) or not hasattr(given, "__iter__"):
        raise MessagesError(
            f"messages is a {type(given).__name__}: give a text, or a list of messages such as "
            f"[{_EXAMPLE}]."
        )
    messages = tuple(as_message(entry, place) for place, entry in enumerate(given))
    if not messages:
        raise MessagesError(f"messages is empty: give at least one, such as {_EXAMPLE}.")
    return messages


def as_message(entry: Any, place: int = 0) -> Message:
    """Read one message, which stands at `place`. Raises MessagesError."""
    if hasattr(entry, "model_dump"):  # an answer of the openai SDK, put back into the list
        entry = entry.model_dump(exclude_none=True)
    if isinstance(entry, Mapping):
        role, text = entry.get("role"), entry.get("content")
        # Nearly all messages are no more than a role and a text, with no other field to read.
        if len(entry) == 2 and role in ROLES and isinstance(text, str):
            entry = Message(str(role), text)
        else:
            entry = _read(entry, place)
    if not isinstance(entry, Message):
        cure = "append result.message" if hasattr(entry, "message") else f"give {_EXAMPLE}"
        raise MessagesError(f"messages[{place}] is a {type(entry).__name__}: {cure}.")
    if entry.role not in ROLES:
        raise MessagesError(
            f"messages[{place}] has the role {entry.role!r}: choose one of {', '.join(ROLES)}."
        )
    if entry.role == "tool" and not entry.tool_call_id:
        raise MessagesError(
            f"messages[{place}] is a tool's result and does not say of which call: give it the "
            f"tool_call_id of the call that it answers."
        )
    return entry


def _read(entry: Mapping[str, Any], place: int) -> Message:
    try:
        return read_message(entry, f"messages[{place}].")
    except MalformedRequestError as error:
        got = f"is {error.got}" if error.got else "is missing"
        raise MessagesError(
            f"{error.param} {got}, and {error.expected} is expected: write the message as "
            f"{_EXAMPLE}."
        ) from error
