"""The pieces around a client stand around each other: cache, guard, breaker, fallback, retry."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from course_utils import faults, offline
from course_utils.llm import (
    AnswerCache,
    BreakerChat,
    BudgetGuard,
    CachedChat,
    CachedResult,
    CircuitBreaker,
    Fallback,
    LLMClient,
    RetryingChat,
    SQLiteStore,
)
from course_utils.llm.clock import VirtualClock
from course_utils.llm.errors import (
    AllModelsFailedError,
    BudgetExceededError,
    CircuitOpenError,
    OverloadedError,
    QuotaError,
)
from course_utils.llm.fallback import FallbackResult
from course_utils.wire.catalogue import default_model

PROVIDERS = ("openai", "anthropic", "google", "local")
QUESTION = "Tell me about the sea."


@pytest.fixture(autouse=True)
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


@dataclass
class Stack:
    """All of it, in the order in which a call passes through."""

    clock: VirtualClock
    cache: AnswerCache
    guard: BudgetGuard
    breaker: CircuitBreaker
    chat: CachedChat


def stack(
    first: str = "openai", second: str = "anthropic", limit_usd: float = 20.0, store: Any = None
) -> Stack:
    """A cache around a guard around a breaker around a fallback around retries."""
    clock = VirtualClock()
    breaker = CircuitBreaker("all", max_failures=2, reset_s=30, clock=clock)
    fallback = Fallback(
        [RetryingChat(LLMClient(p), max_retries=2, clock=clock) for p in (first, second)]
    )
    dearest = max((default_model(p) for p in (first, second)), key=lambda m: m.price.output)
    guard = BudgetGuard(BreakerChat(fallback, breaker), limit_usd=limit_usd, model=dearest)
    cache = AnswerCache(store)
    return Stack(clock, cache, guard, breaker, CachedChat(guard, cache, name="all"))


def asked(session: offline.Session) -> list[str]:
    """The providers that the server was asked for, in order."""
    return [call.provider for call in session.server.log.since(0)]


@pytest.mark.parametrize("first", PROVIDERS)
def test_a_call_that_fails_once_is_retried_not_passed_on(
    first: str, session: offline.Session
) -> None:
    """One 503 costs a wait on the clock; the first provider answers, and the cache keeps it."""
    it = stack(first)
    with faults("503", times=1):
        result = it.chat.chat(QUESTION, max_tokens=300)
    assert asked(session) == [first, first]
    assert result.provider == first
    assert len(it.clock.slept) == 1
    again = it.chat.chat(QUESTION, max_tokens=300)
    assert isinstance(again, CachedResult)
    assert (again.content, len(asked(session))) == (result.content, 2)


@pytest.mark.parametrize("first", PROVIDERS)
def test_a_provider_that_is_down_is_left_for_the_next(first: str, session: offline.Session) -> None:
    """Three attempts, then the second provider answers; the breaker around both stays closed."""
    second = "anthropic" if first == "openai" else "openai"
    it = stack(first, second)
    with faults("503", provider=first):
        result = it.chat.chat(QUESTION, max_tokens=300)
    assert asked(session) == [first] * 3 + [second]
    assert isinstance(result, FallbackResult)
    assert result.answered_by == f"{second}/{default_model(second).id}"
    assert isinstance(result.attempts[0].error, OverloadedError)
    assert (it.breaker.state, it.breaker.failures) == ("closed", 0)
    assert it.guard.spending.spent_usd == pytest.approx(result.cost_usd)


def test_used_up_quota_is_passed_on_at_once(session: offline.Session) -> None:
    """A 429 that waiting cannot cure is not retried, but another provider answers."""
    it = stack("openai", "google")
    with faults("quota", provider="openai"):
        result = it.chat.chat(QUESTION)
    assert asked(session) == ["openai", "google"]
    assert it.clock.slept == []
    assert isinstance(result, FallbackResult)
    assert isinstance(result.attempts[0].error, QuotaError)


def test_when_all_is_down_the_breaker_spares_the_waits(session: offline.Session) -> None:
    """After two calls in vain the third is refused at once; half a minute later all is well."""
    it = stack()
    with faults("503"):
        for _ in range(2):
            with pytest.raises(AllModelsFailedError):
                it.chat.chat(QUESTION)
        seen = len(asked(session))
        with pytest.raises(CircuitOpenError):
            it.chat.chat(QUESTION)
    assert seen == len(asked(session)) == 12
    it.clock.advance(30)
    assert it.chat.chat(QUESTION).content
    assert it.breaker.state == "closed"


def test_the_guard_stops_new_questions_and_lets_cached_ones_through(
    session: offline.Session,
) -> None:
    """A question that could pass the limit is not sent; one that was answered costs nothing."""
    it = stack(limit_usd=0.02)
    it.chat.chat(QUESTION, max_tokens=300)
    with pytest.raises(BudgetExceededError):
        it.chat.chat("Another question.", max_tokens=100_000)
    assert isinstance(it.chat.chat(QUESTION, max_tokens=300), CachedResult)
    assert asked(session) == ["openai"]


def test_another_process_would_find_the_answers(session: offline.Session, tmp_path: Any) -> None:
    """A second stack on the same file asks nobody, though all providers are down."""
    path = tmp_path / "answers.db"
    first = stack(store=SQLiteStore(path)).chat.chat(QUESTION)
    with faults("503"):
        second = stack(store=SQLiteStore(path)).chat.chat(QUESTION)
    assert (second.content, len(asked(session))) == (first.content, 1)


def test_a_breaker_for_each_provider_inside_the_fallback(session: offline.Session) -> None:
    """The usual order at work: a provider that is down is passed by, without a wait."""
    clock = VirtualClock()
    fallback = Fallback(
        [
            BreakerChat(
                RetryingChat(LLMClient(provider), max_retries=2, clock=clock),
                CircuitBreaker(provider, max_failures=1, clock=clock),
            )
            for provider in PROVIDERS
        ]
    )
    with faults("503", provider="openai"):
        fallback.chat(QUESTION)
        waited = len(clock.slept)
        result = fallback.chat(QUESTION)
    assert len(clock.slept) == waited == 2
    assert asked(session) == ["openai"] * 3 + ["anthropic"] * 2
    assert isinstance(result.attempts[0].error, CircuitOpenError)
