"""What lesson 07 says of errors and retries, as of 2026-11-24, is what SDKs and libraries do."""

import inspect
from collections.abc import Iterator
from datetime import date
from types import SimpleNamespace
from typing import Any

import aiolimiter
import anthropic
import openai
import pytest
import stamina
import tenacity
from google import genai
from google.genai import errors as google_errors

from course_utils import faults, limits, log, offline
from course_utils.llm import VirtualClock, call_with_retry, is_retryable
from course_utils.llm.errors import OverloadedError, QuotaError, RateLimitError, ServerError
from course_utils.wire.catalogue import default_model

AS_OF = date(2026, 11, 24)
QUESTION: Any = [{"role": "user", "content": "What is exponential backoff, in one sentence?"}]


@pytest.fixture(autouse=True)
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


def ask(max_retries: int = 0) -> Any:
    """One call of OpenAI's budget model."""
    return openai.OpenAI(max_retries=max_retries).chat.completions.create(
        model=default_model("openai", "budget").id, messages=QUESTION
    )


def test_the_models_of_the_lesson_have_time_left() -> None:
    """None that the lesson calls is within 60 days of its end."""
    for provider in ("openai", "anthropic", "google"):
        shutdown = default_model(provider, "budget").shutdown
        assert shutdown is None or (shutdown - AS_OF).days > 60


def test_the_tree_has_two_branches() -> None:
    """With a status, or without an answer; a timeout is one of the latter."""
    assert issubclass(openai.APIStatusError, openai.APIError)
    assert issubclass(openai.APITimeoutError, openai.APIConnectionError)
    assert not issubclass(openai.APIConnectionError, openai.APIStatusError)


def test_the_toolkit_keeps_quota_and_overload_apart() -> None:
    """Quota is no rate limit, and overload is a kind of server error."""
    assert not issubclass(QuotaError, RateLimitError)
    assert issubclass(OverloadedError, ServerError)


def test_sdks_retry_408_409_429_and_5xx() -> None:
    """Each SDK names these statuses in its own rule."""
    for sdk in (openai, anthropic):
        rule = inspect.getsource(sdk._base_client.BaseClient._should_retry)
        assert all(status in rule for status in ("408", "409", "429", ">= 500"))


def test_sdks_retry_twice_even_without_money() -> None:
    """`max_retries` is 2 in both, and a used-up quota is asked for three times."""
    assert openai.DEFAULT_MAX_RETRIES == anthropic.DEFAULT_MAX_RETRIES == 2
    with (
        faults("quota", retry_after=0.001, retry_after_as="ms"),
        pytest.raises(openai.RateLimitError) as caught,
    ):
        ask(max_retries=2)
    assert caught.value.code == "insufficient_quota"
    assert len(log()) == 3
    assert not is_retryable(caught.value)


def test_sdks_add_no_jitter_to_what_a_server_asks() -> None:
    """The wait that a header names is taken as it is."""
    client = openai.OpenAI()
    options = openai._models.FinalRequestOptions(method="post", url="/")
    headers: Any = {"retry-after-ms": "1500"}
    waits = {client._calculate_retry_timeout(2, options, headers) for _ in range(50)}
    assert waits == {1.5}


def test_openai_waits_ten_minutes_by_default() -> None:
    """The SDK's timeout is 600 seconds for an answer."""
    assert openai.DEFAULT_TIMEOUT.read == 600


def test_anthropic_has_a_class_for_overload_and_one_for_the_spend_limit() -> None:
    """529 is OverloadedError; the spend limit is a 429 that is not retried."""
    client = anthropic.Anthropic(max_retries=0)
    call: Any = {"max_tokens": 100, "messages": QUESTION}
    call["model"] = default_model("anthropic", "budget").id
    with faults("529"), pytest.raises(anthropic.OverloadedError) as overloaded:
        client.messages.create(**call)
    assert overloaded.value.status_code == 529
    with faults("quota"), pytest.raises(anthropic.RateLimitError) as spent:
        client.messages.create(**call)
    assert "enforced_spend_limit_reached" in str(spent.value)
    assert not is_retryable(spent.value)


def test_google_tells_the_wait_in_the_body() -> None:
    """Its 429 is a ClientError without Retry-After; the toolkit reads `retryDelay`."""
    client, clock = genai.Client(), VirtualClock()
    model = default_model("google", "budget").id
    with faults("429", retry_after=6), pytest.raises(google_errors.ClientError) as caught:
        client.models.generate_content(model=model, contents=QUESTION[0]["content"])
    assert "retryDelay" in str(caught.value.details)
    assert "retry-after" not in caught.value.response.headers
    with faults("429", times=1, retry_after=6):
        done = call_with_retry(
            lambda: client.models.generate_content(model=model, contents="Hello"), clock=clock
        )
    assert 6 <= done.report.waits[0] <= 7


def test_openai_counts_the_limit_of_an_answer_as_tokens() -> None:
    """A larger `max_completion_tokens` leaves less of the minute."""
    client, left = openai.OpenAI(max_retries=0), []
    for limit in (400, 100):
        with limits(tpm=1000):
            raw = client.chat.completions.with_raw_response.create(
                model=default_model("openai", "budget").id,
                messages=QUESTION,
                max_completion_tokens=limit,
            )
        left.append(int(raw.headers["x-ratelimit-remaining-tokens"]))
    assert left[1] - left[0] == 300


def test_the_copied_line_of_tenacity_has_no_jitter_at_first() -> None:
    """With min=1 the first wait is always 1; without min, and with the other class, it differs."""
    first: Any = SimpleNamespace(attempt_number=1)

    def draws(rule: Any) -> set[float]:
        return {rule(first) for _ in range(100)}

    assert draws(tenacity.wait_random_exponential(min=1, max=60)) == {1.0}
    assert len(draws(tenacity.wait_random_exponential(max=60))) > 1
    assert len(draws(tenacity.wait_exponential_jitter())) > 1


def test_stamina_wants_to_know_which_errors_and_has_a_deadline() -> None:
    """`on` has no default; attempts, timeout and jitter do."""
    parameters = inspect.signature(stamina.retry).parameters
    assert parameters["on"].default is inspect.Parameter.empty
    assert parameters["timeout"].default == 45.0
    assert parameters["wait_jitter"].default == 1.0


def test_aiolimiter_limits_what_you_send() -> None:
    """It takes a rate and a period in seconds, a minute by default."""
    limiter = aiolimiter.AsyncLimiter(3)
    assert (limiter.max_rate, limiter.time_period) == (3, 60)
