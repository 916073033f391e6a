"""Rate limits that are real, on a clock that the test moves."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any

import anthropic
import openai
import pytest

from course_utils import limits, notebook, offline
from course_utils.offline.limits import Budget, SlidingLog, go_duration
from course_utils.offline.standin import StandIn
from course_utils.wire.catalogue import default_model

QUESTION = [{"role": "user", "content": "What is an API, in one sentence?"}]
NOON = 1_800_000_000.0


class Clock:
    """A clock that stands still until it is moved."""

    now = NOON

    def __call__(self) -> float:
        """The time in seconds since 1970."""
        return self.now


@pytest.fixture
def clock() -> Iterator[Clock]:
    """The clock of the limits of a stand-in that runs."""
    session = offline.start()
    assert isinstance(session.server.answers, StandIn)
    clock = session.server.answers.limits.clock = Clock()
    yield clock
    offline.stop()


def ask(provider: str, **changes: Any) -> Any:
    """The raw answer to one call; its headers are what these tests look at."""
    arguments = {"model": default_model(provider).id, "messages": QUESTION} | changes
    if provider == "anthropic":
        client = anthropic.Anthropic(max_retries=0)
        return client.messages.with_raw_response.create(**({"max_tokens": 100} | arguments))
    client = openai.OpenAI(**notebook.door(provider), max_retries=0)
    return client.chat.completions.with_raw_response.create(**arguments)


def test_requests_a_minute(clock: Clock) -> None:
    """The call above the budget is refused, and passes as soon as the oldest is a minute old."""
    with limits(rpm=3):
        for second in range(3):
            clock.now = NOON + second
            ask("openai")
        clock.now = NOON + 59.5
        with pytest.raises(openai.RateLimitError, match=r"RPM.: Limit 3, Used 3") as caught:
            ask("openai")
        headers = caught.value.response.headers
        assert (headers["retry-after"], headers["retry-after-ms"]) == ("1", "500")
        assert "try again in 500ms" in caught.value.message
        assert (caught.value.code, caught.value.type) == ("rate_limit_exceeded", "requests")
        clock.now = NOON + 60
        ask("openai")
        with pytest.raises(openai.RateLimitError):
            ask("openai")


def test_tokens_a_minute(clock: Clock) -> None:
    """OpenAI counts the prompt and the max_tokens that are asked for, used or not."""
    prompt = ask("openai").parse().usage.prompt_tokens
    with limits(tpm=2 * prompt + 150):
        first = ask("openai", max_completion_tokens=100)
        assert first.headers["x-ratelimit-remaining-tokens"] == str(prompt + 50)
        with pytest.raises(openai.RateLimitError, match=r"on tokens per min") as caught:
            ask("openai", max_completion_tokens=100)
        assert caught.value.type == "tokens"
        assert ask("openai", max_completion_tokens=50)


def test_a_call_that_never_fits(clock: Clock) -> None:
    """A request above the whole budget is told so, and not to come back."""
    with (
        limits(tpm=50),
        pytest.raises(openai.RateLimitError, match="Request too large") as caught,
    ):
        ask("openai", max_completion_tokens=100)
    assert "retry-after" not in caught.value.response.headers


def test_openai_headers_count_down(clock: Clock) -> None:
    """Limit, remaining and reset stand on each 200, with the reset as a Go duration."""
    with limits(rpm=5, tpm=10_000):
        ask("openai")
        clock.now += 7.25
        headers = ask("openai").headers
        assert headers["x-ratelimit-limit-requests"] == "5"
        assert headers["x-ratelimit-remaining-requests"] == "3"
        assert headers["x-ratelimit-reset-requests"] == "1m0s"
        assert int(headers["x-ratelimit-remaining-tokens"]) < 10_000
        clock.now += 60.5
        assert ask("openai").headers["x-ratelimit-remaining-requests"] == "4"


def test_anthropic_headers_count_down(clock: Clock) -> None:
    """Anthropic's reset is a moment in UTC, in whole seconds; it counts the prompt only."""
    with limits(rpm=2, tpm=10_000):
        answer = ask("anthropic")
        left = 10_000 - answer.parse().usage.input_tokens
        moment = datetime.fromtimestamp(NOON + 60, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        assert answer.headers["anthropic-ratelimit-requests-remaining"] == "1"
        assert answer.headers["anthropic-ratelimit-requests-reset"] == moment
        assert answer.headers["anthropic-ratelimit-input-tokens-remaining"] == str(left)
        ask("anthropic")
        clock.now += 20
        with pytest.raises(anthropic.RateLimitError, match="2 requests per minute") as caught:
            ask("anthropic")
        headers = caught.value.response.headers
        assert (headers["retry-after"], headers["x-should-retry"]) == ("40", "true")
        assert headers["anthropic-ratelimit-requests-remaining"] == "0"


def test_google_says_it_in_the_body(clock: Clock) -> None:
    """Google sends no header, but RetryInfo and the quota that is used up."""
    with limits(rpm=1, provider="google"):
        ask("google")
        with pytest.raises(openai.RateLimitError) as caught:
            ask("google")
        assert "retry-after" not in caught.value.response.headers
        error = caught.value.response.json()[0]["error"]
        assert error["status"] == "RESOURCE_EXHAUSTED"
        assert {"retryDelay": "60s"}.items() <= error["details"][-1].items()


def test_each_model_has_its_own_budget(clock: Clock) -> None:
    """A model that has used its budget up takes nothing from another."""
    with limits(rpm=1):
        ask("openai")
        ask("openai", model=default_model("openai", "budget").id)
        ask("anthropic")
        with pytest.raises(openai.RateLimitError):
            ask("openai")
    ask("openai")


def test_there_are_no_limits_unasked(clock: Clock) -> None:
    """Without limits nothing is refused, and nothing counts down."""
    left = {ask("openai").headers["x-ratelimit-remaining-requests"] for _ in range(20)}
    assert len(left) == 1


def test_refused_calls_are_in_the_log_as_refused(clock: Clock) -> None:
    """The log holds the 429, and no reply that the client never got."""
    with limits(rpm=1):
        ask("openai")
        with pytest.raises(openai.RateLimitError):
            ask("openai")
    last = notebook.log()[-1]
    assert (last.status, last.tier, last.reply) == (429, "refused", None)
    assert json.loads(last.response_body)["error"]["code"] == "rate_limit_exceeded"


def test_no_minute_ever_holds_more() -> None:
    """Whatever comes when, no window of 60 s exceeds the budget, and each wait is just enough."""
    random, log, now = Random(3), SlidingLog(), 0.0
    admitted: list[tuple[float, int]] = []
    for _ in range(2000):
        now += random.expovariate(1.0)
        tokens = random.randrange(1, 100)
        log.forget(now)
        wait_s = log.wait_s(now, 20, 900, tokens)
        last = [spent for at, spent in admitted if at + 60 > now]
        assert (wait_s > 0) == (len(last) >= 20 or sum(last) + tokens > 900)
        if wait_s > 0 and random.random() < 0.5:
            now, wait_s = now + wait_s + 1e-6, 0.0
            log.forget(now)
            assert log.wait_s(now, 20, 900, tokens) == 0.0
        if wait_s == 0.0:
            log.add(now, tokens)
            admitted.append((now, tokens))
    for begin, _ in admitted:
        window = [spent for at, spent in admitted if begin <= at < begin + 60]
        assert len(window) <= 20
        assert sum(window) <= 900


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0, "0s"), (0.002, "2ms"), (0.12, "120ms"), (7.66, "7.66s"), (60, "1m0s"), (86.4, "1m26.4s")],
)
def test_go_durations(seconds: float, written: str) -> None:
    """Durations are written as real headers write them."""
    assert go_duration(seconds) == written


def test_a_budget_covers_what_it_names() -> None:
    """A budget without names is for all models, one with a name for that only."""
    assert Budget(rpm=1).covers("openai", "x")
    assert not Budget(rpm=1, provider="google").covers("openai", "x")
    assert not Budget(rpm=1, model="y").covers("openai", "x")
