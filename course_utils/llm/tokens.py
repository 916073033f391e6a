"""How many tokens a text or a conversation has, before it is sent.

OpenAI's models are counted: a text exactly, a conversation by OpenAI's published rule and what real
bills add to it for tools. No other provider publishes its tokenizer, so there you get an
`Estimate`, which says what it is wherever it is printed.

What professionals use: tiktoken (https://github.com/openai/tiktoken) for a text. For Claude and
Gemini only the provider counts exactly, over the network: `client.messages.count_tokens(…)` and
`client.models.count_tokens(…)`.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any

from course_utils.llm.chat import Messages
from course_utils.llm.errors import MessagesError
from course_utils.llm.messages import as_message, as_messages
from course_utils.llm.models import as_model
from course_utils.llm.tools import ToolSource, as_tool
from course_utils.wire import tokens
from course_utils.wire.catalogue import Model
from course_utils.wire.prompt_tokens import frame_tokens, message_tokens
from course_utils.wire.request import Message

# Instructions have either of two names.
SYSTEM_ROLES = ("system", "developer")
# The count of a message is remembered up to so many characters, for so many messages.
_SHORT = 1_000
_REMEMBERED = 50_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """About how many tokens: a number that nobody can count exactly without the provider.

    It adds up with numbers and other estimates, and the sum is an estimate too. `int()` gives the
    number to whoever knows what it is.

    Attributes:
        tokens: the number.
        why: why it is no exact count.
    """

    tokens: int
    why: str = ""

    def __int__(self) -> int:
        return self.tokens

    def __add__(self, other: int | Estimate) -> Estimate:
        return Estimate(self.tokens + int(other), self.why)

    __radd__ = __add__

    def __repr__(self) -> str:
        return f"≈ {self.tokens:,} tokens"

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)


def count_tokens(text: str, model: str | Model) -> int | Estimate:
    """Count a text: a number where the model's tokenizer is published, else an `Estimate`.

    Special tokens such as `<|endoftext|>` count as the plain text that they are in a user's words.

    Raises:
        UnknownModelError: the catalogue has no such model.
    """
    found = as_model(model)
    if not isinstance(text, str):
        raise MessagesError(
            f"count_tokens counts a text, and this is a {type(text).__name__}: "
            f"count messages with count_message_tokens(messages, model)."
        )
    counted = tokens.count(text, found)
    return counted.tokens if counted.exact else Estimate(counted.tokens, _no_tokenizer(found))


def count_message_tokens(
    messages: Messages, model: str | Model, tools: Sequence[ToolSource] = ()
) -> int | Estimate:
    """Count a prompt: messages, their frames, tool calls and tool definitions.

    Each message costs 3 tokens besides its role and text, and the beginning of the reply 3 more;
    a name, a call and a tool have frames too. Pictures and sounds are not counted.

    Raises:
        UnknownModelError: the catalogue has no such model.
        MessagesError: a message is not of the shape that chat() takes.
    """
    found, listed = as_model(model), as_list(messages)
    count = counter_for(found).count
    total = frame(found, roles_of(listed), tools) + sum(count(m, i) for i, m in enumerate(listed))
    why = reason_for_estimate(found)
    if not why and any(_has_attachments(m, i) for i, m in enumerate(listed)):
        why = "pictures and sounds are not counted"
    return Estimate(total, why) if why else total


def frame(model: Model, roles: Sequence[str], tools: Sequence[ToolSource] = ()) -> int:
    """What a prompt costs besides its messages: the reply's beginning, and the tools."""
    has_system = any(role in roles for role in SYSTEM_ROLES)
    return frame_tokens(model, tuple(map(as_tool, tools)), has_system=has_system)


class MessageCounter:
    """Counts the messages of one model's prompts.

    It remembers short ones, because a conversation is counted again at each of its turns.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._known: dict[object, dict[object, int]] = {}

    def count(self, message: Mapping[str, Any] | Message, place: int = 0) -> int:
        """The tokens of one message with its frame; `place` is for the error's sentence."""
        try:
            role, said = _key(message)
            return self._known[role][said]
        except (KeyError, TypeError):  # a rare shape, or not seen yet
            return self._learn(message, place)

    def _learn(self, message: Mapping[str, Any] | Message, place: int) -> int:
        read = as_message(message, place)
        counted = message_tokens(read, self._model)
        size = len(read.text) + sum(len(call.arguments) for call in read.tool_calls)
        with contextlib.suppress(KeyError, TypeError):  # what has no key is counted each time
            role, said = _key(message)
            known = self._known.setdefault(role, {})
            if len(known) >= _REMEMBERED:
                known.clear()
            if size <= _SHORT:
                known[said] = counted
        return counted


def _key(message: Any) -> tuple[object, object]:
    """What a message is remembered by: its role, and what else is counted of it.

    Ids of calls are no part of it, because they are not counted. KeyError or TypeError for a
    message of another shape, or one whose content is a list.
    """
    size = len(message) if type(message) is dict else 0
    if size == 2 or (size == 3 and "tool_call_id" in message):
        return message["role"], message["content"]
    if size == 3:
        called = [call["function"] for call in message["tool_calls"]]
        calls = [(function["name"], function["arguments"]) for function in called]
        return message["role"], (message["content"], *calls)
    raise KeyError(size)


@functools.lru_cache(maxsize=64)
def counter_for(model: Model) -> MessageCounter:
    """The counter of a model, with what it remembers."""
    return MessageCounter(model)


def as_list(messages: Messages) -> Sequence[Any]:
    """The messages as they were given, in a sequence; a text alone is one of the user's.

    Raises MessagesError.
    """
    if isinstance(messages, str):
        return [{"role": "user", "content": messages}]
    return messages if isinstance(messages, (list, tuple)) else as_messages(messages)


def roles_of(messages: Sequence[Any]) -> list[str]:
    """The role of each message. Raises MessagesError where one has none."""
    try:
        return [message["role"] for message in messages]
    except (KeyError, TypeError):  # not all are dicts
        return [
            m["role"] if type(m) is dict and "role" in m else as_message(m, place).role
            for place, m in enumerate(messages)
        ]


def reason_for_estimate(model: Model) -> str:
    """Why a count of a prompt for that model is an estimate; empty where it is none."""
    if model.encoding is None:
        return _no_tokenizer(model)
    if model.provider != "openai":
        return f"how {model.provider} frames messages is not published"
    return ""


def _has_attachments(message: Any, place: int) -> bool:
    """Only a content that is no text can hold a picture or a sound."""
    if type(message) is dict and isinstance(message.get("content"), (str, NoneType)):
        return False
    return bool(as_message(message, place).attachments)


def _no_tokenizer(model: Model) -> str:
    return (
        f"the tokenizer of {model.id} is not published: this is the count of {tokens.REFERENCE} "
        f"times {model.estimate_factor}"
    )
