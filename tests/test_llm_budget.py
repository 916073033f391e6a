"""A guard refuses the call that could pass the limit, before it is made, and accounts after."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from course_utils import faults, offline
from course_utils.llm import (
    AsyncBudgetGuard,
    AsyncLLMClient,
    BudgetGuard,
    ChatResult,
    LLMClient,
    Spending,
    cost_usd,
)
from course_utils.llm.errors import (
    BudgetExceededError,
    ConnectionLostError,
    MessagesError,
    RateLimitError,
    SettingError,
)
from course_utils.llm.result import Finished
from course_utils.wire.catalogue import default_model
from course_utils.wire.reply import Usage

GPT = default_model("openai", "budget")
PROVIDERS = ("openai", "anthropic", "google")


@pytest.fixture
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


def calls(session: offline.Session) -> int:
    """How many calls reached the stand-in."""
    return len(session.server.log)


def ask_until_refused(*guards: BudgetGuard, max_tokens: int) -> int:
    """How many calls were answered before the guard refused one."""
    for answered in range(1_000):
        try:
            guards[answered % len(guards)].chat("Hello", max_tokens=max_tokens)
        except BudgetExceededError:
            return answered
    raise AssertionError("the guard refused nothing")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_answer_is_accounted(session: offline.Session, provider: str) -> None:
    """After a call, what it has cost is spent, and no more."""
    guard = BudgetGuard(LLMClient(provider), limit_usd=1.0)
    result = guard.chat("Hello", max_tokens=300)
    assert guard.spending.spent_usd == pytest.approx(result.cost_usd)
    assert guard.spending.spent_tokens == result.usage.total_tokens
    assert guard.spending.left_usd == pytest.approx(1.0 - guard.spending.spent_usd)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_call_that_could_pass_the_limit_is_not_made(
    session: offline.Session, provider: str
) -> None:
    """Call after call is answered, until the next could be too much: that one is never sent."""
    guard = BudgetGuard(LLMClient(provider), limit_tokens=2_000)
    answered = ask_until_refused(guard, max_tokens=500)
    assert answered >= 2
    assert calls(session) == answered
    assert guard.spending.spent_tokens <= 2_000


def test_the_limit_in_usd_holds(session: offline.Session) -> None:
    """Nothing is ever spent beyond the limit, whatever the answers cost."""
    limit_usd = cost_usd(GPT, Usage(100, 1_500))
    guard = BudgetGuard(LLMClient("openai", tier="budget"), limit_usd=limit_usd)
    assert ask_until_refused(guard, max_tokens=200) > 2
    assert 0 < guard.spending.spent_usd <= limit_usd


def test_without_max_tokens_the_longest_answer_counts(session: offline.Session) -> None:
    """An answer could be as long as the model allows, so a small limit refuses the call."""
    guard = BudgetGuard(LLMClient("openai", tier="premium"), limit_usd=1.0)
    with pytest.raises(BudgetExceededError, match="ask for fewer max_tokens"):
        guard.chat("Hello")
    assert guard.chat("Hello", max_tokens=100).content
    assert calls(session) == 1


def test_tools_and_schema_are_part_of_the_most(session: offline.Session) -> None:
    """A prompt with tools or a schema can cost more, so less is allowed to be left."""
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    guard = BudgetGuard(LLMClient("openai"), limit_tokens=60)
    for options in ({"tools": [tool]}, {"schema": schema}):
        with pytest.raises(BudgetExceededError):
            guard.chat("Hello", max_tokens=16, **options)
    assert guard.chat("Hello", max_tokens=16)


def test_a_refused_call_costs_nothing(session: offline.Session) -> None:
    """What the provider refuses is not billed, nor what was never sent."""
    guard = BudgetGuard(LLMClient("openai"), limit_usd=1.0)
    with faults("429", times=1), pytest.raises(RateLimitError):
        guard.chat("Hello", max_tokens=50)
    with pytest.raises(MessagesError):
        guard.chat([{"role": "robot", "content": "x"}], max_tokens=50)
    assert (guard.spending.spent_usd, guard.spending.spent_tokens) == (0, 0)
    assert guard.spending.left_usd == 1.0


def test_a_lost_call_costs_the_most_it_could(session: offline.Session) -> None:
    """A connection that breaks may have been billed, so what was set aside is spent."""
    guard = BudgetGuard(LLMClient("openai"), limit_tokens=10_000)
    with faults("dropped", times=1), pytest.raises(ConnectionLostError):
        guard.chat("Hello", max_tokens=500)
    assert 500 < guard.spending.spent_tokens < 600


def test_a_stream_is_accounted(session: offline.Session) -> None:
    """A stream that is read to its end costs what it says, one that is left early the most."""
    guard = BudgetGuard(LLMClient("openai"), limit_tokens=10_000)
    events = list(guard.stream("Hello", max_tokens=500))
    finished = events[-1]
    assert isinstance(finished, Finished)
    spent = guard.spending.spent_tokens
    assert spent == finished.result.usage.total_tokens
    for _ in guard.stream("Hello", max_tokens=500):
        break
    assert guard.spending.spent_tokens > spent + 500


def test_guards_share_a_limit(session: offline.Session) -> None:
    """Two clients, one purse."""
    spending = Spending(limit_tokens=1_000)
    guards = [BudgetGuard(LLMClient(name), spending=spending) for name in PROVIDERS]
    assert ask_until_refused(*guards, max_tokens=200) >= 2
    assert 0 < spending.spent_tokens <= 1_000


def test_calls_under_way_are_counted(session: offline.Session) -> None:
    """Of many calls at once only so many are sent as all could be paid."""

    async def ask() -> list[Any]:
        guard = AsyncBudgetGuard(AsyncLLMClient("openai"), limit_tokens=2_000)
        asked = [guard.chat("Hello", max_tokens=400) for _ in range(20)]
        return await asyncio.gather(*asked, return_exceptions=True)

    results = asyncio.run(ask())
    assert sum(isinstance(result, ChatResult) for result in results) == 4
    assert sum(isinstance(result, BudgetExceededError) for result in results) == 16
    assert calls(session) == 4


def test_threads_cannot_pass_the_limit() -> None:
    """However many threads ask at once, what is set aside never passes the limit."""
    spending = Spending(limit_usd=1.0)
    barrier, made = threading.Barrier(16), []

    def ask() -> None:
        barrier.wait()
        for _ in range(200):
            try:
                with spending.call(0.013, 10):
                    made.append(1)
            except BudgetExceededError:
                return

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 76
    assert spending.spent_usd == pytest.approx(76 * 0.013)


class Fallback:
    """Something with a chat of its own that does not tell its model."""

    def __init__(self, client: LLMClient) -> None:
        self.client = client

    def chat(self, messages: Any, **options: Any) -> ChatResult:
        """What the client answers."""
        return self.client.chat(messages, **options)


def test_anything_that_chats_can_be_guarded(session: offline.Session) -> None:
    """Where the model is not told, whoever guards names it."""
    chat = Fallback(LLMClient("openai"))
    with pytest.raises(SettingError, match="give model="):
        BudgetGuard(chat, limit_usd=1.0)
    guard = BudgetGuard(chat, limit_tokens=1_000, model=GPT.id)
    assert guard.chat("Hello", max_tokens=100).content
    with pytest.raises(BudgetExceededError):
        guard.chat("Hello", max_tokens=1_000)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({}, "no limit"),
        ({"limit_usd": -1.0}, "limit_usd is -1.0: give 0 or more"),
        ({"limit_usd": float("nan")}, "limit_usd is nan"),
        ({"limit_tokens": -5}, "limit_tokens is -5"),
    ],
)
def test_limits_that_make_no_sense_are_refused(limits: dict[str, Any], words: str) -> None:
    """No limit, and a negative one, are settings to be mended."""
    with pytest.raises(SettingError, match=words):
        Spending(**limits)


def test_a_limit_of_nothing_sends_nothing(session: offline.Session) -> None:
    """Zero is a limit: no call that costs anything is made."""
    guard = BudgetGuard(LLMClient("openai"), limit_usd=0)
    with pytest.raises(BudgetExceededError):
        guard.chat("Hello", max_tokens=1)
    assert calls(session) == 0
