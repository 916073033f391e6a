"""Fallback and cache: what goes to another model though that cannot help, and what a look-up costs.

python tests/benchmarks/toolkit.py fallbacks
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rows import Row, cpu_s

from course_utils import faults, offline
from course_utils.llm.cache import AnswerCache, CachedChat
from course_utils.llm.client import LLMClient
from course_utils.llm.fallback import Fallback
from course_utils.llm.fingerprint import fingerprint
from course_utils.llm.stores import MemoryStore, SQLiteStore
from course_utils.wire.catalogue import default_model

QUESTION = "Tell me about the sea."
MESSAGES = [{"role": "user", "content": QUESTION}]


def rows() -> Iterator[Row]:
    """Each failure that is yours to mend, then the two look-ups."""
    session = offline.start()
    theirs = _litellm(session)
    ours = Fallback([LLMClient("openai"), LLMClient("local")])
    for fault, what in (
        ("401", "a wrong key"),
        ("403", "a key that may not"),
        ("context_length", "a prompt too long for both"),
        ("503", "an outage (which a fallback cures)"),
    ):
        yield Row(
            f"calls to the next model after {what}",
            "calls",
            _passed_on(session, fault, lambda: ours.chat(QUESTION)),
            {"litellm Router": _passed_on(session, fault, theirs)},
            "1" if fault == "503" else "0",
        )
    yield from _look_ups()
    offline.stop()


def _litellm(session: offline.Session) -> Callable[[], object]:
    from litellm import Router

    def deployment(name: str, provider: str) -> dict[str, Any]:
        key = os.environ["OPENAI_API_KEY"]
        model = f"openai/{default_model(provider).id}"
        params = {"model": model, "api_base": session.base_url(provider), "api_key": key}
        return {"model_name": name, "litellm_params": params}

    models = [deployment("first", "openai"), deployment("second", "local")]

    def ask() -> object:
        # A new one each time: its cooldown would spare the first model the second time.
        router = Router(model_list=models, fallbacks=[{"first": ["second"]}], num_retries=0)
        return router.completion("first", MESSAGES)

    return ask


def _passed_on(session: offline.Session, fault: str, ask: Callable[[], object]) -> float:
    """How many calls reached the second provider."""
    before = session.server.log.last_number
    # Too long for both: the second model's context is the smaller one.
    with faults(fault, provider="openai"):
        try:
            ask()
        except Exception as error:
            print(f"  {fault}: {type(error).__name__}")
    return sum(call.provider == "local" for call in session.server.log.since(before))


def _look_ups() -> Iterator[Row]:
    client = LLMClient("openai")
    request = client.request(QUESTION, max_tokens=200)
    result = client.chat(QUESTION, max_tokens=200)
    with tempfile.TemporaryDirectory() as folder:
        file = SQLiteStore(Path(folder, "cache.db"))
        memory = MemoryStore()
        hits = CachedChat(client, AnswerCache(MemoryStore()))
        hits.chat(QUESTION, max_tokens=200)
        for store in (file, memory):
            store.put("key", result)
        ways: dict[str, Callable[[], object]] = {
            "fingerprint of a request": lambda: fingerprint(request, "openai/m"),
            "look-up in memory": lambda: memory.get("key"),
            "look-up in SQLite, answer read": lambda: file.get("key"),
            "whole hit, chat() to result": lambda: hits.chat(QUESTION, max_tokens=200),
        }
        times = cpu_s({name: _repeated(way) for name, way in ways.items()}, rounds=30)
        file.close()
    targets = {"fingerprint of a request": "about 10", "look-up in SQLite, answer read": "about 14"}
    for name, took in times.items():
        yield Row(name, "µs", took * 1e6 / 1_000, {}, targets.get(name, "none"))


def _repeated(way: Callable[[], object]) -> Callable[[], object]:
    def thousand() -> None:
        for _ in range(1_000):
            way()

    return thousand
