"""What lesson 11 says of models, tools and libraries, as of 2026-11-24, is so.

The status of OpenTelemetry's conventions is from https://opentelemetry.io/docs/specs/semconv/gen-ai/
and https://www.dash0.com/knowledge/opentelemetry-genai-semantic-conventions-explained (September
2026): no installed package states it.
"""

import inspect
from collections.abc import Iterator
from datetime import date

import pytest

from course_utils import offline
from course_utils.llm import BudgetGuard, Fallback, LLMClient, RetryingChat, VirtualClock
from course_utils.llm.errors import StreamCutError
from course_utils.llm.result import Finished
from course_utils.notebook import faults, log
from course_utils.wire.catalogue import default_model

AS_OF = date(2026, 11, 24)
QUESTION = "What is a token, in one sentence?"


@pytest.fixture(autouse=True)
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


def test_the_models_of_the_lesson_have_time_left() -> None:
    """None that the lesson calls is within 60 days of its end."""
    for provider in ("openai", "anthropic", "google"):
        shutdown = default_model(provider, "budget").shutdown
        assert shutdown is None or (shutdown - AS_OF).days > 60


def test_each_part_has_the_same_method() -> None:
    """Client, guard, retry and fallback all stream messages, so each stands around any other."""
    for part in (LLMClient, BudgetGuard, RetryingChat, Fallback):
        assert list(inspect.signature(part.stream).parameters)[:2] == ["self", "messages"]


def test_before_the_first_word_another_provider_answers() -> None:
    """With one provider down, the user sees the other's answer and no error."""
    pair = Fallback([careful("openai"), careful("anthropic")])
    with faults("503", provider="openai"):
        *_, last = pair.stream(QUESTION, max_tokens=300)
    assert isinstance(last, Finished)
    assert last.result.provider == "anthropic"
    assert [call.provider for call in log()] == ["openai"] * 3 + ["anthropic"]


def test_after_the_first_word_nobody_steps_in() -> None:
    """A cut stream is neither retried nor given to another provider."""
    pair = Fallback([careful("openai"), careful("anthropic")])
    with faults("cut_stream"), pytest.raises(StreamCutError) as caught:
        list(pair.stream(QUESTION, max_tokens=300))
    assert caught.value.text
    assert len(log()) == 1


def test_an_answer_that_is_begun_again_is_paid_twice() -> None:
    """The guard counts a cut stream as the most that it could cost."""
    guard = BudgetGuard(LLMClient("openai", tier="budget"), limit_usd=0.05)
    with faults("cut_stream"), pytest.raises(StreamCutError):
        list(guard.stream(QUESTION, max_tokens=300))
    cut = guard.spending.spent_usd
    list(guard.stream(QUESTION, max_tokens=300))
    assert 0 < guard.spending.spent_usd - cut <= cut


def careful(provider: str) -> RetryingChat:
    """A client that tries three times, on a clock that does not wait."""
    client = LLMClient(provider, tier="budget")
    return RetryingChat(client, clock=VirtualClock(), max_retries=2)
