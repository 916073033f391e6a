"""A conversation whose oldest part is retold in a few sentences, so that less is forgotten.

What professionals use: the compaction that the providers' own APIs offer, and LangChain's
`SummarizationMiddleware`. Each summary costs a call, and what it leaves out is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from course_utils.llm.chat import Chat, Messages
from course_utils.llm.errors import BudgetExceededError, RefusedError, SettingError, TruncatedError
from course_utils.llm.messages import as_message
from course_utils.llm.models import as_model
from course_utils.llm.tokens import SYSTEM_ROLES, as_list, count_message_tokens, roles_of
from course_utils.llm.tools import ToolSource
from course_utils.llm.trimming import check_limit, places_kept
from course_utils.wire.catalogue import Model
from course_utils.wire.request import ToolCall

Summariser = Chat | Callable[[list[Any]], str]
"""A client to ask, or a function from the oldest messages to a text."""

_SUMMARY = "Summary of our conversation so far: "
_INSTRUCTION = (
    "Summarise this conversation in a few sentences. Keep names, numbers, decisions and open "
    "questions; leave out greetings.\n\n"
)


def summarise_oldest(
    messages: Messages,
    max_tokens: int,
    model: str | Model,
    summarise: Summariser,
    *,
    summary_tokens: int = 300,
    tools: Sequence[ToolSource] = (),
) -> list[Any]:
    """Replace the oldest messages by one that retells them, where all would be too long.

    The summary is a message of the user's before the newest messages, so that the next summary
    retells it too. What stays is what `trim_to_fit` keeps, with `summary_tokens` less of room.

    Args:
        summarise: a client, which is asked for a summary of at most `summary_tokens` tokens, or a
            function from the oldest messages to a text.

    Raises:
        BudgetExceededError: the summary or what must stay is too long.
        AnswerError: the client gave no text.
        MessagesError, SettingError, UnknownModelError: as `trim_to_fit`.
    """
    listed, found = as_list(messages), as_model(model)
    check_limit("max_tokens", max_tokens)
    check_limit("summary_tokens", summary_tokens)
    if summary_tokens >= max_tokens:
        raise SettingError(
            f"summary_tokens is {summary_tokens}, and all may have {max_tokens}: give fewer, so "
            f"that there is room for the newest messages too."
        )
    if int(count_message_tokens(listed, found, tools)) <= max_tokens:
        return list(listed)
    kept = places_kept(listed, max_tokens - summary_tokens, found, tools)
    stayed = set(kept)
    oldest = [message for i, message in enumerate(listed) if i not in stayed]
    shorter = [listed[i] for i in kept]
    first = next((i for i, role in enumerate(roles_of(shorter)) if role not in SYSTEM_ROLES), 0)
    retold = _SUMMARY + _retold(oldest, summarise, summary_tokens)
    shorter.insert(first, {"role": "user", "content": retold})
    if (tokens := int(count_message_tokens(shorter, found, tools))) > max_tokens:
        raise BudgetExceededError(
            f"With its summary the conversation has {tokens:,} tokens, and {max_tokens:,} are "
            f"allowed: give summary_tokens the length that your summaries really have."
        )
    return shorter


def _retold(oldest: list[Any], summarise: Summariser, summary_tokens: int) -> str:
    if callable(summarise):
        return summarise(oldest)
    read = [as_message(message, i) for i, message in enumerate(oldest)]
    lines = [f"{m.role}: {m.text}" + "".join(_told(call) for call in m.tool_calls) for m in read]
    result = summarise.chat(_INSTRUCTION + "\n".join(lines), max_tokens=summary_tokens)
    if result.refusal or not result.content:
        kind = RefusedError if result.refusal else TruncatedError
        raise kind(
            f"The model gave no summary (it stopped for {result.finish_reason!r}), so nothing was "
            f"replaced: allow more summary_tokens, because some models think before they write, or "
            f"ask another model.",
            result,
        )
    return result.content


def _told(call: ToolCall) -> str:
    return f" [asked for {call.name}({call.arguments})]"
