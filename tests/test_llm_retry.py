"""Trying again: the waits, what is worth a retry, the report; beside tenacity and stamina."""

import asyncio
import random
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import httpx2
import openai
import pytest
import stamina
import tenacity
from google import genai
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from course_utils import faults, notebook, offline
from course_utils.llm import errors
from course_utils.llm.clock import VirtualClock
from course_utils.llm.flaky import FlakyAPI, summarise
from course_utils.llm.retry import (
    Retry,
    RetryReport,
    RetryRules,
    acall_with_retry,
    call_with_retry,
    report_of,
)
from course_utils.llm.transient import is_retryable, told_wait_s
from course_utils.llm.waiting import retry_after_s
from course_utils.wire.catalogue import default_model

QUESTION = "What is an API, in one sentence?"
NOON = 1_794_484_800.0


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


def failing(*outcomes: Exception | str) -> Callable[[], str]:
    """A function that raises or returns one outcome after the other."""
    left = iter(outcomes)

    def call() -> str:
        outcome = next(left)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return call


def limited(retry_after: float | None = None) -> errors.RateLimitError:
    """A rate limit that asks to wait for so long."""
    return errors.RateLimitError("slow down", retry_after_s=retry_after)


def ask(provider: str) -> Callable[[], object]:
    """One call by the provider's own SDK, which tries once."""
    model = default_model(provider).id
    said: Any = [{"role": "user", "content": QUESTION}]
    if provider == "anthropic":
        claude = anthropic.Anthropic(max_retries=0, timeout=0.3)
        return lambda: claude.messages.create(model=model, max_tokens=50, messages=said)
    if provider == "google":
        client = genai.Client(http_options={"timeout": 300, "retry_options": {"attempts": 1}})
        return lambda: client.models.generate_content(model=model, contents=QUESTION)
    sdk = openai.OpenAI(**notebook.door(provider), max_retries=0, timeout=0.3)
    return lambda: sdk.chat.completions.create(model=model, messages=said)


def error_of(provider: str, fault: str, **how: Any) -> Exception:
    """What a provider's SDK raises for a failure on demand."""
    with faults(fault, provider=provider, **how), pytest.raises(Exception) as caught:  # noqa: PT011
        ask(provider)()
    return caught.value


def test_waits_double_and_carry_jitter() -> None:
    """Waits are 1, 2 and 4 s, each with 0 to 0.5 s on top, and the report says all of it."""
    clock = VirtualClock()
    call = failing(limited(), TimeoutError("late"), limited(), "answer")
    done = call_with_retry(call, clock=clock, random=random.Random(1).uniform)
    report = done.report
    assert done.value == "answer"
    assert (report.outcome, report.attempts, report.succeeded) == ("success", 4, True)
    extra = [wait - plain for wait, plain in zip(report.waits, (1, 2, 4), strict=True)]
    assert all(0 <= jitter <= 0.5 for jitter in extra)
    assert len(set(extra)) == 3
    assert list(report.waits) == clock.slept
    assert report.total_s == pytest.approx(sum(report.waits))
    kinds = [error.type for error in report.errors]
    assert kinds == ["RateLimitError", "TimeoutError", "RateLimitError"]
    assert report.errors[1].message == "late"
    assert report.errors[1].at_s == pytest.approx(report.waits[0])


def test_the_last_error_is_raised_with_the_report() -> None:
    """When retries run out, the function's own last error comes up and carries the report."""
    last = limited()
    with pytest.raises(errors.RateLimitError) as caught:
        call_with_retry(failing(limited(), limited(), last), 2, clock=VirtualClock())
    report = report_of(caught.value)
    assert caught.value is last
    assert report is not None
    assert (report.outcome, report.attempts, len(report.waits)) == ("out of retries", 3, 2)
    assert "3 attempts" in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "error",
    [
        errors.QuotaError("no money left"),
        errors.BadRequestError("wrong"),
        errors.AuthenticationError("who?"),
        errors.MissingKeyError("no key"),
        ValueError("own mistake"),
        FileNotFoundError("own mistake"),
        KeyError("own mistake"),
    ],
)
def test_what_waiting_cannot_cure_is_not_tried_again(error: Exception) -> None:
    """Quota, malformed requests, keys and the program's own mistakes come up at once."""
    clock = VirtualClock()
    with pytest.raises(type(error)) as caught:
        call_with_retry(failing(error, "never reached"), clock=clock)
    report = report_of(caught.value)
    assert report is not None
    assert (report.outcome, report.attempts, clock.slept) == ("not retryable", 1, [])


PASSING = ("408", "429", "500", "503", "529", "timeout", "dropped")
LASTING = ("400", "401", "403", "404", "quota")


@pytest.mark.parametrize("provider", ["openai", "anthropic", "google", "local"])
def test_sdk_errors_are_judged_without_their_sdk(provider: str) -> None:
    """Of all failures, each SDK's own exceptions are told apart into passing and lasting ones."""
    judged = {fault: is_retryable(error_of(provider, fault)) for fault in PASSING + LASTING}
    # Google's quota has no word of its own; only one for a whole day is known to last.
    expected = {fault: fault in PASSING for fault in PASSING + LASTING}
    if provider in ("google", "local"):
        judged.pop("quota"), expected.pop("quota")
    assert judged == expected


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_agrees_with_the_sdk_but_for_money(provider: str) -> None:
    """The SDKs' own rule says the same of every status, and retries a used-up quota too."""
    sdk: Any = openai.OpenAI() if provider == "openai" else anthropic.Anthropic()
    for fault in PASSING[:5] + LASTING[:4]:
        error: Any = error_of(provider, fault)
        assert is_retryable(error) == sdk._should_retry(error.response), fault
    quota: Any = error_of("openai", "quota")
    assert openai.OpenAI()._should_retry(quota.response)
    assert not is_retryable(quota)


def test_the_sdk_asks_three_times_of_an_empty_account(session: offline.Session) -> None:
    """OpenAI's SDK sends a call with a used-up quota three times; ours sends it once."""
    log = session.server.log
    sdk, model = openai.OpenAI(), default_model("openai").id
    said: Any = [{"role": "user", "content": QUESTION}]
    before = log.last_number
    with faults("quota", retry_after=0.01, retry_after_as="ms"):
        with pytest.raises(openai.RateLimitError):
            sdk.chat.completions.create(model=model, messages=said)
        between = log.last_number
        with pytest.raises(openai.RateLimitError) as caught:
            call_with_retry(ask("openai"), clock=VirtualClock())
        after = log.last_number
    assert (between - before, after - between) == (3, 1)
    assert report_of(caught.value).attempts == 1  # type: ignore[union-attr]


def test_http_libraries_errors_are_judged_too() -> None:
    """Lost connections of httpx2 and aiohttp pass; an address that cannot be is a mistake."""
    request = httpx2.Request("GET", "http://127.0.0.1")
    known: dict[Exception, bool] = {
        httpx2.ReadError("cut", request=request): True,
        httpx2.ConnectTimeout("late", request=request): True,
        httpx2.RemoteProtocolError("cut", request=request): True,
        httpx2.UnsupportedProtocol("gopher", request=request): False,
        aiohttp.ServerDisconnectedError(): True,
        aiohttp.ClientPayloadError("cut"): True,
        aiohttp.InvalidURL("no url"): False,
        ConnectionResetError("cut"): True,
        TimeoutError("late"): True,
        PermissionError("own mistake"): False,
    }
    url = URL("http://127.0.0.1")
    info = aiohttp.RequestInfo(url, "GET", CIMultiDictProxy(CIMultiDict()), url)
    for status in (400, 404, 429, 503):
        known[aiohttp.ClientResponseError(info, (), status=status)] = status in (429, 503)
        answer = httpx2.Response(status, request=request)
        known[httpx2.HTTPStatusError("status", request=request, response=answer)] = status > 404
    assert {repr(error): is_retryable(error) for error in known} == {
        repr(error): expected for error, expected in known.items()
    }


@pytest.mark.parametrize("form", ["seconds", "ms", "date"])
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_retry_after_is_never_undercut(provider: str, form: str) -> None:
    """In each form a server's Retry-After is waited for in full, and jitter comes on top."""
    waits, call = set(), ask(provider)
    for seed in range(10):
        clock = VirtualClock(epoch=time.time())
        with faults("429", times=1, retry_after=7, retry_after_as=form):
            call_with_retry(call, clock=clock, random=random.Random(seed).uniform)
        waits.update(clock.slept)
    # A date is written as the next whole second, and the call itself takes a moment.
    assert 7 <= min(waits) < max(waits) <= 8 + (3 if form == "date" else 0)
    assert len(waits) == 10


@pytest.mark.parametrize("told_s", [0.001, 0.9, 1.0, 2.5, 59.9])
def test_no_draw_undercuts_what_was_told(told_s: float) -> None:
    """Whatever is drawn, each retry waits at least as told, and at least its own backoff."""
    rules = RetryRules()
    for retry in range(1, 8):
        for draw in (random.uniform, lambda low, _: low):
            wait_s = rules.wait_s(retry, told_s, draw)
            assert wait_s >= max(told_s, rules.backoff_s(retry))


def test_google_names_its_delay_in_the_body() -> None:
    """Google's RetryInfo is obeyed as a header would be."""
    assert told_wait_s(error_of("google", "429", retry_after=9), NOON) == pytest.approx(9)


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "Thu, 12 Nov 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Thu, 12 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "1e400"}, float("inf")),
        ({}, None),
    ],
)
def test_retry_after_is_read(headers: dict[str, str], wait_s: float | None) -> None:
    """Seconds, milliseconds and dates are understood; nonsense is as if nothing were said."""
    assert retry_after_s(headers, NOON) == wait_s


def test_a_server_that_asks_for_too_much_is_not_waited_for() -> None:
    """A Retry-After above max_wait_s ends the story at once, and no shorter wait is invented."""
    clock = VirtualClock()
    with pytest.raises(errors.RateLimitError) as caught:
        call_with_retry(failing(limited(300), "never"), max_wait_s=60, clock=clock)
    report = report_of(caught.value)
    assert report is not None
    assert (report.outcome, clock.slept) == ("told to wait long", [])


def test_a_wait_that_would_end_after_the_deadline_is_not_begun() -> None:
    """The deadline counts the coming wait: the story ends before it, not after."""
    clock = VirtualClock()
    with pytest.raises(errors.RateLimitError) as caught:
        call_with_retry(failing(*[limited()] * 9), 9, deadline_s=5, jitter_s=(0, 0), clock=clock)
    report = report_of(caught.value)
    assert report is not None
    assert (report.outcome, clock.slept, report.total_s) == ("out of time", [1, 2], 3)


def test_backoff_is_capped() -> None:
    """Waits grow up to max_wait_s, however many retries there are."""
    rules = RetryRules(max_retries=5000)
    assert [rules.backoff_s(retry) for retry in (1, 2, 6, 7, 5000)] == [1, 2, 32, 60, 60]


def test_the_hook_hears_of_each_wait_before_it() -> None:
    """on_retry gets the attempt, the error and the wait while no time has passed for it yet."""
    clock, heard = VirtualClock(), []

    def listen(retry: Retry) -> None:
        heard.append((retry.attempt, type(retry.error), retry.wait_s, clock.now()))

    call_with_retry(
        failing(limited(), TimeoutError(), "done"), jitter_s=(0, 0), clock=clock, on_retry=listen
    )
    assert heard == [(1, errors.RateLimitError, 1, 0), (2, TimeoutError, 2, 1)]


def test_async_calls_wait_side_by_side() -> None:
    """A hundred tasks that each wait 3 s are done after 3 s, with a report each."""
    clock = VirtualClock()

    async def one() -> RetryReport:
        call = failing(limited(), limited(), "answer")

        async def fn() -> str:
            return call()

        done = await acall_with_retry(fn, clock=clock, jitter_s=(0, 0))
        return done.report

    async def everybody() -> list[RetryReport]:
        return await asyncio.gather(*(one() for _ in range(100)))

    reports = asyncio.run(everybody())
    assert {(r.attempts, r.total_s, r.waits) for r in reports} == {(3, 3.0, (1.0, 2.0))}


@pytest.mark.parametrize("stop", [KeyboardInterrupt, asyncio.CancelledError])
def test_stopping_is_no_failure(stop: type[BaseException]) -> None:
    """An interrupt or a cancelled task ends the call at once."""
    calls = []

    def call() -> None:
        calls.append(1)
        raise stop

    with pytest.raises(stop):
        call_with_retry(call, retryable=lambda _: True, clock=VirtualClock())
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_retries": -1}, "max_retries is -1"),
        ({"base_s": -0.1}, "base_s is -0.1"),
        ({"deadline_s": float("nan")}, "deadline_s is nan"),
        ({"jitter_s": (0.5, 0)}, r"jitter_s is \(0.5, 0\)"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], words: str) -> None:
    """A number that makes no sense is named before anything is called."""
    calls: list[int] = []
    with pytest.raises(errors.SettingError, match=words):
        call_with_retry(lambda: calls.append(1), **settings)
    assert not calls


def test_tenacity_makes_the_same_waits() -> None:
    """tenacity, told to add wait_exponential and wait_random, waits exactly as long as we do."""
    theirs: list[float] = []
    random.seed(7)
    with pytest.raises(tenacity.RetryError):
        tenacity.Retrying(
            wait=tenacity.wait_exponential(multiplier=1, max=60) + tenacity.wait_random(0, 0.5),
            stop=tenacity.stop_after_attempt(9),
            sleep=theirs.append,
        )(failing(*[limited()] * 9))
    random.seed(7)
    clock = VirtualClock()
    with pytest.raises(errors.RateLimitError):
        call_with_retry(failing(*[limited()] * 9), 8, clock=clock)
    assert clock.slept == pytest.approx(theirs)


def test_stamina_makes_the_same_waits_below_its_maximum(monkeypatch: pytest.MonkeyPatch) -> None:
    """stamina waits as we do, until jitter passes its maximum: there it cuts the jitter off."""
    theirs: list[float] = []
    monkeypatch.setattr(time, "sleep", theirs.append)
    random.seed(7)
    caller = stamina.RetryingCaller(
        attempts=9, timeout=None, wait_initial=1, wait_jitter=0.5, wait_max=60
    )
    with pytest.raises(errors.RateLimitError):
        caller(errors.RateLimitError, failing(*[limited()] * 9))
    random.seed(7)
    clock = VirtualClock()
    with pytest.raises(errors.RateLimitError):
        call_with_retry(failing(*[limited()] * 9), 8, clock=clock)
    assert clock.slept[:6] == pytest.approx(theirs[:6])
    assert theirs[6:] == [60, 60]
    assert all(60 < wait < 60.5 for wait in clock.slept[6:])


def test_the_recipe_that_everybody_copies_has_no_jitter_at_first() -> None:
    """tenacity's wait_random_exponential(min=1) waits exactly 1 s first; ours never does so."""
    recipe = tenacity.wait_random_exponential(min=1, max=60)
    state: Any = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
    assert {recipe(state) for _ in range(100)} == {1}
    rules = RetryRules()
    assert len({rules.wait_s(1, None, random.uniform) for _ in range(100)}) == 100


def test_flaky_api_fails_as_often_as_it_says() -> None:
    """Over many calls 40 % are rate limits and 20 % time-outs, the same ones for the same seed."""

    def story(seed: int) -> list[str]:
        api, seen = FlakyAPI(seed=seed, clock=VirtualClock()), []
        for _ in range(5000):
            try:
                api.call()
                seen.append("answer")
            except (errors.RateLimitError, TimeoutError) as error:
                seen.append(type(error).__name__)
        return seen

    seen = story(3)
    assert seen == story(3) != story(4)
    shares = [seen.count(name) / 5000 for name in ("RateLimitError", "TimeoutError", "answer")]
    assert shares == pytest.approx([0.4, 0.2, 0.4], abs=0.02)


def test_fifty_flaky_calls_are_summed_up() -> None:
    """Success rate, attempts, latency and errors of 50 calls follow from their reports."""
    clock = VirtualClock()
    api, reports = FlakyAPI(seed=1, clock=clock), []
    for _ in range(50):
        try:
            report = call_with_retry(api.call, clock=clock).report
        except (errors.RateLimitError, TimeoutError) as error:
            found = report_of(error)
            assert found is not None
            report = found
        reports.append(report)
    summary = summarise(reports)
    good = [report for report in reports if report.succeeded]
    assert (summary.calls, summary.success_rate) == (50, len(good) / 50)
    assert 0.7 < summary.success_rate < 1
    assert summary.attempts_per_success == pytest.approx(
        sum(report.attempts for report in good) / len(good)
    )
    assert summary.latency_s == pytest.approx(clock.now() / 50)
    assert sum(summary.errors.values()) == api.calls - len(good)
    assert "success rate" in str(summary)


def test_flaky_shares_must_be_probabilities() -> None:
    """Shares that add up to more than everything are refused, as is a summary of nothing."""
    with pytest.raises(errors.SettingError, match="at most 1"):
        FlakyAPI(0.8, 0.3)
    with pytest.raises(errors.SettingError, match="at least one call"):
        summarise([])


def test_no_sdk_is_loaded_for_judging() -> None:
    """The modules on retrying name no SDK in an import."""
    folder = Path(errors.__file__).parent
    for name in ("retry", "transient", "waiting", "clock", "limiter", "flaky"):
        text = (folder / f"{name}.py").read_text(encoding="utf-8")
        assert not [
            line
            for line in text.splitlines()
            if line.strip().startswith(("import openai", "import anthropic", "from google"))
        ]
