"""What the wrappers around a client share: whom they stand around, and results that say more.

A wrapper keeps what it stands around as `inner`, so that its model can be found from outside.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from course_utils.llm.chat import Messages
from course_utils.llm.errors import MessagesError
from course_utils.llm.messages import as_messages
from course_utils.llm.result import ChatEvent, ChatResult
from course_utils.wire.catalogue import Model
from course_utils.wire.request import Request

R = TypeVar("R", bound=ChatResult)

_BASE_FIELDS = tuple(field.name for field in fields(ChatResult))


def identity_of(chat: object) -> str | None:
    """ "provider/model" of a client or of what a wrapper stands around, or its `name`."""
    provider, model_id = _innermost(chat, "provider"), _innermost(chat, "model_id")
    if provider and model_id:
        return f"{provider}/{model_id}"
    name = _innermost(chat, "name")
    return name if isinstance(name, str) else None


def name_of(chat: object) -> str:
    """What to call a client in a message: its identity, else its class."""
    return identity_of(chat) or type(chat).__name__


def model_of(chat: object) -> Model | None:
    """The catalogue's model behind a client or a wrapper, None where it is not known."""
    model = _innermost(chat, "model")
    return model if isinstance(model, Model) else None


def stream_of(chat: object, messages: Messages, options: Mapping[str, Any]) -> Iterator[ChatEvent]:
    """The events of a streamed answer; MessagesError where the client has no stream()."""
    events: Iterator[ChatEvent] = _streaming(chat).stream(messages, **options)
    return events


def astream_of(
    chat: object, messages: Messages, options: Mapping[str, Any]
) -> AsyncIterator[ChatEvent]:
    """The same of an async client."""
    events: AsyncIterator[ChatEvent] = _streaming(chat).stream(messages, **options)
    return events


def request_of(chat: object, name: str, messages: Messages, options: Mapping[str, Any]) -> Request:
    """The request that a call would send.

    Where there is no one client to write it (a fallback has several), the options stand in it
    as they are.
    """
    if write := _innermost(chat, "request"):
        request: Request = write(messages, **options)
        return request
    return Request(
        name, as_messages(messages), temperature=options.get("temperature"), rest=options
    )


def saying_more(kind: type[R], result: ChatResult, **more: Any) -> R:
    """The same answer as a kind of result that has more fields."""
    return kind(**{name: getattr(result, name) for name in _BASE_FIELDS} | more)


def _streaming(chat: Any) -> Any:
    if not hasattr(chat, "stream"):
        raise MessagesError(f"{name_of(chat)} cannot stream: use chat(), or a client that can.")
    return chat


def _innermost(chat: object, attribute: str) -> Any:
    """The attribute of the first in the chain of wrappers that has it."""
    while chat is not None:
        if (value := getattr(chat, attribute, None)) is not None:
            return value
        chat = getattr(chat, "inner", None)
    return None
