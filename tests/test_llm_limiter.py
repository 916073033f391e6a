"""The limiter: no window ever holds more than the limit, nobody starves, the server is heard."""

import asyncio
import itertools
import threading
import time
from collections import deque
from random import Random
from typing import Any

import openai
import pytest
from aiolimiter import AsyncLimiter

from course_utils import limits, offline
from course_utils.llm.clock import VirtualClock
from course_utils.llm.errors import SettingError
from course_utils.llm.limiter import Permit, RateLimiter
from course_utils.llm.waiting import Level, read_limits
from course_utils.offline.limits import go_duration
from course_utils.offline.standin import StandIn
from course_utils.wire.catalogue import default_model

NOON = 1_794_484_800.0


def worst_window(events: list[tuple[float, int]], window_s: float) -> tuple[int, int]:
    """The most calls, and the most tokens, in any window of that length."""
    inside: deque[tuple[float, int]] = deque()
    calls = tokens = held = 0
    for at, used in sorted(events):
        inside.append((at, used))
        held += used
        while inside[0][0] <= at - window_s:
            held -= inside.popleft()[1]
        calls, tokens = max(calls, len(inside)), max(tokens, held)
    return calls, tokens


@pytest.mark.parametrize("seed", range(6))
def test_no_window_holds_more_than_the_limit(seed: int) -> None:
    """Whatever tasks come when, and whatever they really use, no minute passes either limit."""
    draw, clock, events = Random(seed), VirtualClock(), []
    rpm, tpm = draw.randint(3, 40), draw.randint(1_000, 5_000)
    limiter = RateLimiter(rpm, tpm, margin_s=0, clock=clock)

    async def call() -> None:
        await clock.asleep(draw.uniform(0, 300))
        reserved = draw.randint(1, 900)
        permit = await limiter.aacquire(reserved)
        used = draw.randint(0, reserved)
        events.append((permit.at, used))
        await clock.asleep(draw.uniform(0, 20))
        permit.settle(used)

    async def everybody() -> None:
        await asyncio.gather(*(call() for _ in range(300)))

    asyncio.run(everybody())
    calls, tokens = worst_window(events, 60)
    assert len(events) == 300
    assert calls <= rpm
    assert tokens <= tpm


def test_the_limit_is_used_up() -> None:
    """With work enough, the limiter lets through what is allowed, but for its one per cent."""
    clock = VirtualClock()
    limiter = RateLimiter(rpm=100, clock=clock)

    async def everybody() -> None:
        await asyncio.gather(*(limiter.aacquire() for _ in range(1_000)))

    asyncio.run(everybody())
    assert clock.now() == pytest.approx(9 * 60 * 1.01, abs=0.01)


def test_tokens_that_were_not_used_are_given_back() -> None:
    """A call that used less than it reserved lets the next one go earlier, and one more later."""
    clock = VirtualClock()
    limiter = RateLimiter(tpm=1_000, margin_s=0, clock=clock)
    first = limiter.acquire(900)
    first.settle(100)
    assert limiter.used == (1, 100)
    limiter.acquire(900)
    assert clock.now() == 0
    second = limiter.acquire(50)
    assert clock.now() == pytest.approx(60, abs=0.01)
    second.settle(2_000)
    limiter.acquire(1)
    assert clock.now() == pytest.approx(120, abs=0.01)


def test_a_waiting_call_notices_tokens_that_come_back() -> None:
    """Who waits a minute for tokens goes sooner when a running call turns out small."""
    clock = VirtualClock()
    limiter = RateLimiter(tpm=1_000, clock=clock)

    async def small(permit: Permit) -> None:
        await clock.asleep(5)
        permit.settle(10)

    async def both() -> float:
        running = asyncio.create_task(small(await limiter.aacquire(1_000)))
        permit = await limiter.aacquire(500)
        await running
        return permit.at

    assert 5 <= asyncio.run(both()) < 25


@pytest.mark.parametrize("seed", range(3))
def test_first_come_first_served(seed: int) -> None:
    """A large call is not overtaken by small ones that would fit before it."""
    draw, clock, order = Random(seed), VirtualClock(), []
    limiter = RateLimiter(rpm=30, tpm=1_000, clock=clock)

    async def call(number: int) -> None:
        await limiter.aacquire(draw.choice([1, 10, 990]))
        order.append(number)

    async def everybody() -> None:
        await asyncio.gather(*map(call, range(60)))

    asyncio.run(everybody())
    assert order == list(range(60))


def test_a_cancelled_call_leaves_the_queue() -> None:
    """Whoever gives up while waiting, first or in the middle, holds nobody up."""
    clock = VirtualClock()
    limiter = RateLimiter(rpm=1, margin_s=0, clock=clock)

    async def run() -> list[float]:
        tasks = [asyncio.create_task(limiter.aacquire()) for _ in range(5)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        tasks[3].cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        return [each.at for each in done if isinstance(each, Permit)]

    assert asyncio.run(run()) == pytest.approx([0, 60, 120], abs=0.01)


def test_threads_keep_to_the_limit_together() -> None:
    """Eight threads share one limiter on the real clock, and pass no window of 0.2 s."""
    limiter, events = RateLimiter(rpm=10, window_s=0.2), []

    def work() -> None:
        for _ in range(6):
            permit = limiter.acquire()
            events.append((permit.at, 1))

    threads = [threading.Thread(target=work) for _ in range(8)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(events) == 48
    assert worst_window(events, 0.2)[0] <= 10
    assert time.monotonic() - began >= 4 * 0.2


def test_a_bucket_lets_nearly_twice_the_limit_through() -> None:
    """aiolimiter, which starts full and refills, passes its limit in the first window."""
    theirs: list[tuple[float, int]] = []
    ours: list[tuple[float, int]] = []

    async def run(acquire: Any, events: list[tuple[float, int]]) -> None:
        for _ in range(75):
            await acquire()
            events.append((time.monotonic(), 1))

    bucket, limiter = AsyncLimiter(40, 0.4), RateLimiter(40, window_s=0.4, margin_s=0.02)
    asyncio.run(run(bucket.acquire, theirs))
    asyncio.run(run(limiter.aacquire, ours))
    assert worst_window(theirs, 0.4)[0] > 1.5 * 40
    assert worst_window(ours, 0.4)[0] <= 40


def test_one_limiter_serves_one_event_loop_after_another() -> None:
    """A notebook that runs a batch twice goes on under the same limit."""
    clock = VirtualClock()
    limiter = RateLimiter(rpm=2, margin_s=0, clock=clock)

    async def three() -> None:
        await asyncio.gather(*(limiter.aacquire() for _ in range(3)))

    asyncio.run(three())
    asyncio.run(three())
    assert clock.now() == pytest.approx(120, abs=0.01)


def test_a_call_that_never_fits_is_refused() -> None:
    """More tokens than a whole minute has are an error that says what to do, not a wait."""
    limiter = RateLimiter(tpm=100, clock=VirtualClock())
    with pytest.raises(SettingError, match="101 tokens never fits a limit of 100"):
        limiter.acquire(101)
    with pytest.raises(SettingError, match="max_tokens"):
        asyncio.run(limiter.aacquire(101))
    limiter.acquire(100)


@pytest.mark.parametrize("settings", [{"rpm": 0}, {"tpm": -5}, {"rpm": 1, "window_s": 0}])
def test_impossible_limits_are_refused(settings: dict[str, int]) -> None:
    """A limit of nothing would never let a call go: it is named at once."""
    with pytest.raises(SettingError, match="must be above 0"):
        RateLimiter(**settings)


def test_go_durations_are_read() -> None:
    """Every duration that OpenAI's headers write is read back, to the millisecond."""
    for seconds in (0, 0.002, 0.12, 7.66, 59.999, 86.4, 3_600):
        headers = {
            "x-ratelimit-limit-requests": "5",
            "x-ratelimit-remaining-requests": "4",
            "x-ratelimit-reset-requests": go_duration(seconds),
        }
        level = read_limits(headers, NOON).requests
        assert level is not None
        assert level.reset_s == pytest.approx(seconds, abs=0.001)
    headers["x-ratelimit-reset-requests"] = "1h2m3s"
    assert read_limits(headers, NOON).requests == Level(5, 4, 3_723)


def test_anthropic_s_moments_are_read() -> None:
    """Anthropic names the moment at which a limit is whole again."""
    headers = {
        "anthropic-ratelimit-tokens-limit": "80000",
        "anthropic-ratelimit-tokens-remaining": "79000",
        "anthropic-ratelimit-tokens-reset": "2026-11-12T12:00:45Z",
    }
    assert read_limits(headers, NOON).tokens == Level(80_000, 79_000, 45)


@pytest.mark.parametrize("junk", ["", "soon", "12:00", "-1"])
def test_junk_in_headers_is_ignored(junk: str) -> None:
    """What cannot be read is as if it were not there."""
    headers = dict.fromkeys(
        [f"x-ratelimit-{what}-tokens" for what in ("limit", "remaining", "reset")], junk
    )
    assert read_limits(headers, NOON).tokens is None
    RateLimiter(clock=VirtualClock()).learn(headers)


def openai_headers(limit: int, remaining: int, reset: str) -> dict[str, str]:
    """What an answer says about requests."""
    values = {"limit": str(limit), "remaining": str(remaining), "reset": reset}
    return {f"x-ratelimit-{what}-requests": value for what, value in values.items()}


def test_the_server_s_lower_limit_holds() -> None:
    """Whoever set 100 a minute keeps to 2 when the server says 2, and to 100 when it says 500."""
    clock = VirtualClock()
    limiter = RateLimiter(rpm=100, margin_s=0, clock=clock)
    limiter.acquire().settle(0, openai_headers(2, 1, "60s"))
    limiter.acquire()
    limiter.acquire()
    assert clock.now() == pytest.approx(60, abs=0.01)
    limiter.learn(openai_headers(500, 499, "1ms"))
    for _ in range(99):
        limiter.acquire()
    assert clock.now() == pytest.approx(60, abs=0.01)


def test_calls_of_other_programs_count() -> None:
    """Where the server has counted 8 calls and we sent 1, only the rest is left for now."""
    clock = VirtualClock()
    limiter = RateLimiter(rpm=10, margin_s=0, clock=clock)
    limiter.acquire().settle(0, openai_headers(10, 2, "30s"))
    limiter.acquire()
    limiter.acquire()
    assert clock.now() == 0
    limiter.acquire()
    assert clock.now() == pytest.approx(30, abs=0.01)


def test_retry_after_stops_everybody() -> None:
    """A refusal with Retry-After lets nothing leave until then; one on a success says nothing."""
    clock = VirtualClock()
    limiter = RateLimiter(clock=clock)
    limiter.acquire().settle(0, {"retry-after": "10"}, status=200)
    limiter.acquire()
    assert clock.now() == 0
    limiter.acquire().settle(0, {"retry-after": "10"}, status=429)
    limiter.acquire()
    assert clock.now() == pytest.approx(10, abs=0.01)


def test_the_stand_in_s_real_limits_are_never_passed() -> None:
    """400 calls by OpenAI's SDK against enforced limits: not one is turned away."""
    session = offline.start()
    assert isinstance(session.server.answers, StandIn)
    clock = VirtualClock()
    session.server.answers.limits.clock = clock.time
    sdk, model = openai.OpenAI(max_retries=0), default_model("openai").id
    limiter, numbers = RateLimiter(rpm=60, tpm=9_000, clock=clock), itertools.count()
    try:
        with limits(rpm=60, tpm=9_000):
            for number in itertools.islice(numbers, 400):
                permit = limiter.acquire(130 + number % 100)
                said: Any = [{"role": "user", "content": f"Say the number {number}"}]
                limit = 30 + number % 100
                answer = sdk.chat.completions.with_raw_response.create(
                    model=model, messages=said, max_completion_tokens=limit
                )
                prompt = answer.parse().usage.prompt_tokens  # type: ignore[union-attr]
                permit.settle(prompt + limit, answer.headers)
    finally:
        offline.stop()
    assert clock.now() >= 6 * 60
