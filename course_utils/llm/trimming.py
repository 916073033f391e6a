"""Making a conversation shorter, so that it fits.

`trim_to_fit` drops the oldest messages, `sliding_window` keeps the newest turns. (The third way is
`summary.summarise_oldest`, which has the oldest part retold.) Neither parts a tool call from its
results: a provider refuses a conversation in which one stands without the other. Instructions
(system messages) always stay.

What professionals use: LangChain's `trim_messages` (https://docs.langchain.com). Give it
`start_on="human"`: without it, it parts calls from their results (tests/benchmarks/trimming.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from course_utils.llm.chat import Messages
from course_utils.llm.errors import BudgetExceededError, MessagesError, SettingError
from course_utils.llm.messages import as_message
from course_utils.llm.models import as_model
from course_utils.llm.tokens import (
    SYSTEM_ROLES,
    as_list,
    counter_for,
    frame,
    roles_of,
)
from course_utils.llm.tools import ToolSource
from course_utils.wire.catalogue import Model

_RESULT_ROLES = ("tool", "function")
# Gemini refuses a conversation that begins with a tool call, Claude one that begins with the
# assistant (both seen 2026-11-24): https://github.com/google-gemini/gemini-cli/issues/11814 and
# https://github.com/lobehub/lobehub/issues/1601
_FROM_USER = ("anthropic", "google")
_SHOWN_CHARACTERS = 40


def trim_to_fit(
    messages: Messages, max_tokens: int, model: str | Model, *, tools: Sequence[ToolSource] = ()
) -> list[Any]:
    """Drop the oldest messages until the prompt has at most `max_tokens` tokens.

    What stays: all system messages, the newest question, the newest message (with the call that it
    answers), and of the rest as many of the newest as fit; for Claude and Gemini as many as let
    it begin with the user, as they want it. Each message is counted at most once, and those that
    are dropped are not counted at all.

    Args:
        messages: dicts, `Message`s or both; they come back as they are, in a new list.
        max_tokens: for the whole prompt, `tools` included; leave room for the answer.
        model: whose tokens they are; for a model with an `Estimate`, leave a margin too.

    Raises:
        BudgetExceededError: what must stay does not fit; the message names the largest part.
        MessagesError: a message has the wrong shape, or a tool result has no call.
        SettingError: `max_tokens` is below 1.
        UnknownModelError: the catalogue has no such model.
    """
    listed = as_list(messages)
    return [listed[i] for i in places_kept(listed, max_tokens, as_model(model), tools)]


def places_kept(
    messages: Sequence[Any], max_tokens: int, model: Model, tools: Sequence[ToolSource] = ()
) -> list[int]:
    """The places of the messages that `trim_to_fit` keeps."""
    check_limit("max_tokens", max_tokens)
    count = counter_for(model).count
    roles = roles_of(messages)
    room = max_tokens - frame(model, roles, tools)
    return places_that_fit(messages, roles, lambda i: count(messages[i], i), room, model)


def places_that_fit(
    messages: Sequence[Any],
    roles: Sequence[str],
    count: Callable[[int], int],
    room: int,
    model: Model,
) -> list[int]:
    """The places of the messages that stay when `room` tokens are there for all of them.

    `count(i)` is how many tokens the message at place `i` has. Raises as `trim_to_fit`.
    """
    must = _must_stay(roles)
    left = room - sum(map(count, must))
    if left < 0:
        raise _too_large(messages, must, count, room)
    oldest = len(messages)
    for place in range(len(messages) - 1, -1, -1):
        if place not in must:
            left -= count(place)
        if roles[place] in _RESULT_ROLES and place:
            continue  # it comes and goes with the call before it
        if left < 0:
            break
        if oldest - place > 1 or roles[place] in _RESULT_ROLES:
            _check_pairs(messages, roles, place, oldest)
        oldest = place
    if oldest and model.provider in _FROM_USER and "user" in roles[oldest:]:
        oldest = roles.index("user", oldest)
    return [*sorted(i for i in must if i < oldest), *range(oldest, len(messages))]


def sliding_window(messages: Messages, turns: int) -> list[Any]:
    """Keep the system messages and the newest `turns` turns, whatever their length.

    A turn is a user's message and all that follows it, up to the user's next one.

    Raises:
        SettingError: fewer than one turn.
        MessagesError: a message has the wrong shape.
    """
    check_limit("turns", turns)
    listed = as_list(messages)
    roles = roles_of(listed)
    starts = [i for i, role in enumerate(roles) if role == "user"][-turns:]
    start = starts[0] if len(starts) == turns else 0
    return [m for i, m in enumerate(listed) if i >= start or roles[i] in SYSTEM_ROLES]


def _must_stay(roles: Sequence[str]) -> set[int]:
    """The places of the system messages, of the newest question and of the newest message."""
    must = {i for i, role in enumerate(roles) if role in SYSTEM_ROLES}
    if "user" in roles:
        must.add(len(roles) - 1 - roles[::-1].index("user"))
    newest = len(roles) - 1
    while newest > 0 and roles[newest] in _RESULT_ROLES:
        newest -= 1
    must.update(range(max(newest, 0), len(roles)))
    return must


def _check_pairs(messages: Sequence[Any], roles: Sequence[str], start: int, end: int) -> None:
    """Each result between `start` and `end` answers a call of the message at `start`."""
    begins = roles[start] not in _RESULT_ROLES
    calls = _call_ids(messages[start]) if begins else set()
    for i in range(start + begins, end):
        answered = _answered_id(messages[i])
        if answered not in calls:
            raise MessagesError(
                f"Message {i} is the result of the tool call {answered!r}, and the assistant's "
                f"message before it makes no such call: a provider refuses that. Keep the message "
                f"with the call, or drop the result too."
            )


def _call_ids(message: Any) -> set[str]:
    try:
        return {call["id"] for call in message["tool_calls"]}
    except (KeyError, TypeError):
        return {call.id for call in as_message(message).tool_calls}


def _answered_id(message: Any) -> str | None:
    try:
        answered: str = message["tool_call_id"]
        return answered
    except (KeyError, TypeError):
        return as_message(message).tool_call_id


def _too_large(
    messages: Sequence[Any], must: set[int], count: Callable[[int], int], room: int
) -> BudgetExceededError:
    if not must:
        return BudgetExceededError("The tools alone are longer than what is allowed: allow more.")
    largest = max(must, key=count)
    message = as_message(messages[largest], largest)
    text = message.text[:_SHOWN_CHARACTERS]
    return BudgetExceededError(
        f"The system messages and the newest turn have {sum(map(count, must)):,} tokens, and "
        f"beside tools and frames there is room for {max(room, 0):,}. The largest is message "
        f"{largest} ({message.role}, {count(largest):,} tokens, {text!r}…): shorten it, or allow "
        f"more tokens."
    )


def check_limit(name: str, value: int) -> None:
    """Raise SettingError for a number of tokens or turns below 1."""
    if value < 1:
        raise SettingError(f"{name} is {value}, and nothing fits into that: give at least 1.")
