"""Random conversations for the benchmarks, with instructions, tools and parallel calls."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

_SENTENCE = (
    "the price of a long prompt grows with every turn because a model reads all of it again and "
    "tokens are what you pay for so drop the oldest messages first but never a tool result alone"
)
_WORDS = _SENTENCE.split()


def conversation(messages: int, seed: int = 0) -> list[dict[str, Any]]:
    """At least so many messages in OpenAI's shape; no two texts are alike."""
    chance = random.Random(seed)
    talk: list[dict[str, Any]] = [{"role": "system", "content": "Be brief."}]
    while len(talk) < messages:
        talk.append({"role": "user", "content": _text(chance, 40)})
        if chance.random() < 0.3:
            talk += _round(chance, len(talk))
        talk.append({"role": "assistant", "content": _text(chance, 60)})
    return talk


def broken_pairs(messages: Sequence[dict[str, Any]]) -> int:
    """How many calls have no result after them, and results no call before them."""
    open_calls: set[str] = set()
    broken = 0
    for message in messages:
        if message["role"] == "tool":
            broken += message["tool_call_id"] not in open_calls
            open_calls.discard(message["tool_call_id"])
            continue
        broken += len(open_calls)
        open_calls = {call["id"] for call in message.get("tool_calls") or ()}
    return broken + len(open_calls)


def _round(chance: random.Random, place: int) -> list[dict[str, Any]]:
    """One to three calls at once, and their results."""
    ids = [f"call_{place}_{i}" for i in range(chance.randint(1, 3))]
    calls = [
        {"id": i, "type": "function", "function": {"name": "find", "arguments": '{"page": 3}'}}
        for i in ids
    ]
    asked = {"role": "assistant", "content": None, "tool_calls": calls}
    results = [{"role": "tool", "tool_call_id": i, "content": _text(chance, 12)} for i in ids]
    return [asked, *results]


def _text(chance: random.Random, most: int) -> str:
    words = chance.choices(_WORDS, k=chance.randint(3, most))
    return f"{chance.randrange(10**6)} {' '.join(words)}"
