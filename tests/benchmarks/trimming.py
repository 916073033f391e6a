"""Trimming a conversation to half of its tokens: how long it takes, and what it breaks."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from conversations import broken_pairs, conversation
from rows import Row, cpu_s

from course_utils.llm.budget import TokenBudget
from course_utils.llm.tokens import count_message_tokens, counter_for
from course_utils.llm.trimming import trim_to_fit
from course_utils.wire import tokens
from course_utils.wire.catalogue import default_model

MODEL = default_model("openai", "budget")
SEEDS = 1_000
# A peer whose time grows with the square of the length is not asked for ten times more than this.
_SLOW_S = 1.0
Trim = Callable[[], Sequence[Any]]
Way = Callable[[list[dict[str, Any]], int], Trim]
"""Takes a conversation and a limit, prepares all that can be prepared, and gives what trims."""


def rows() -> Iterator[Row]:
    """1,000 and 10,000 messages, with counts that are there and without; and broken pairs."""
    peers: dict[str, Way] = {
        "langchain, counted before": _langchain,
        "langchain": _langchain_counting,
        "litellm": _litellm,
    }
    for size in (1_000, 10_000):
        yield from _times(size, peers)
    asked = {"langchain": _langchain, "langchain, no start_on": _any_start, "litellm": _litellm}
    shares = {name: _broken_share(way) for name, way in asked.items()}
    yield Row("random trims that break a tool pair", "%", _broken_share(_ours), shares, "0")


def _times(size: int, peers: Mapping[str, Way]) -> Iterator[Row]:
    talk = conversation(size)
    limit = int(count_message_tokens(talk, MODEL)) // 2
    turn = iter([_budget(talk, limit) for _ in range(16)])
    ours = cpu_s(
        {
            "budget": lambda: next(turn)(),
            "counted": _ours(talk, limit),
            "first": lambda: _forgetful(talk, limit),
        },
        rounds=15,
    )
    took = {name: _peer_ms(way, size) for name, way in peers.items()}
    name, target = f"trim {size:,} messages", f"≤ {size / 2_000:g}"
    yield Row(f"{name}, TokenBudget", "ms", ours["budget"] * 1e3, took, target)
    yield Row(f"{name}, counted before", "ms", ours["counted"] * 1e3, took, target)
    yield Row(f"{name}, never counted", "ms", ours["first"] * 1e3, took, "linear")


def _ours(talk: list[dict[str, Any]], limit: int) -> Trim:
    return lambda: trim_to_fit(talk, limit, MODEL)


def _budget(talk: list[dict[str, Any]], limit: int) -> Trim:
    """A budget has counted each message when it came; it can be trimmed once."""
    budget = TokenBudget(MODEL, max_context=limit)
    for message in talk:
        budget.add(message)

    def trim() -> Sequence[Any]:
        budget.trim_to_fit(reserve=0)
        return budget.messages

    return trim


def _forgetful(talk: list[dict[str, Any]], limit: int) -> Sequence[Any]:
    """Nothing of the conversation has been counted before."""
    counter_for.cache_clear()
    tokens._count_short.cache_clear()
    return trim_to_fit(talk, limit, MODEL)


def _peer_ms(way: Way, size: int) -> float | None:
    """CPU milliseconds of one trim; None where a tenth of the messages take too long already."""
    took_s = 0.0
    for part in (size // 10, size):
        if took_s > _SLOW_S:
            return None
        talk = conversation(part)
        trim = way(talk, int(count_message_tokens(talk, MODEL)) // 2)
        began = time.process_time()
        trim()
        took_s = time.process_time() - began
    return took_s * 1e3


def _broken_share(way: Way) -> float:
    """In per cent, over conversations of up to 40 messages and limits of all sizes."""
    broken = 0
    for seed in range(SEEDS):
        talk = conversation(5 + seed % 36, seed)
        limit = max(60, int(count_message_tokens(talk, MODEL)) * (20 + seed % 75) // 100)
        try:
            broken += broken_pairs(_as_dicts(way(talk, limit)())) > 0
        except Exception as error:  # what cannot be made to fit breaks nothing
            logging.getLogger(__name__).debug("%s refused: %s", way, error)
    return broken / SEEDS * 100


def _as_dicts(messages: Sequence[Any]) -> list[dict[str, Any]]:
    """LangChain's messages in OpenAI's shape; dicts as they are."""
    if all(isinstance(message, dict) for message in messages):
        return list(messages)
    from langchain_core.messages import convert_to_openai_messages

    converted = convert_to_openai_messages(list(messages))
    assert isinstance(converted, list)
    return converted


def _langchain(talk: list[dict[str, Any]], limit: int, start_on: str | None = "human") -> Trim:
    """LangChain, with counts that are there already: its counter only looks them up."""
    from langchain_core.messages import convert_to_messages, trim_messages

    messages = convert_to_messages(talk)
    count = counter_for(MODEL).count
    counts: dict[str | None, int] = {}
    for place, message in enumerate(messages):
        message.id = str(place)
        counts[message.id] = count(talk[place])
    return lambda: trim_messages(
        messages,
        max_tokens=limit,
        token_counter=lambda some: 3 + sum(counts[message.id] for message in some),
        strategy="last",
        start_on=start_on,
        include_system=True,
    )


def _any_start(talk: list[dict[str, Any]], limit: int) -> Trim:
    """LangChain without the argument that its documentation recommends."""
    return _langchain(talk, limit, start_on=None)


def _langchain_counting(talk: list[dict[str, Any]], limit: int) -> Trim:
    """LangChain as its documentation shows it: with a function that counts what it is given."""
    from langchain_core.messages import convert_to_messages, trim_messages

    encoding = tokens.encoding("o200k_base")
    messages = convert_to_messages(talk)

    def counter(some: Sequence[Any]) -> int:
        return 3 + sum(4 + len(encoding.encode_ordinary(str(m.content))) for m in some)

    return lambda: trim_messages(
        messages,
        max_tokens=limit,
        token_counter=counter,
        strategy="last",
        start_on="human",
        include_system=True,
    )


def _litellm(talk: list[dict[str, Any]], limit: int) -> Trim:
    from litellm.utils import trim_messages

    logging.getLogger("LiteLLM").disabled = True  # it logs each trim that fails, and goes on

    def trim() -> Sequence[Any]:
        trimmed: Sequence[Any] = trim_messages(talk, model=MODEL.id, max_tokens=limit)
        return trimmed

    return trim
