"""The circuit breaker against the state machine that it is documented to be."""

import random
import threading
from collections.abc import Iterator

import pytest

from course_utils import faults, offline
from course_utils.llm.async_client import AsyncLLMClient
from course_utils.llm.breaker import AsyncBreakerChat, BreakerChat, CircuitBreaker
from course_utils.llm.client import LLMClient
from course_utils.llm.clock import VirtualClock
from course_utils.llm.errors import (
    AllModelsFailedError,
    AuthenticationError,
    BadRequestError,
    CallTimeoutError,
    CircuitOpenError,
    ConnectionLostError,
    MessagesError,
    OverloadedError,
    QuotaError,
    RateLimitError,
    ServerError,
    SettingError,
    StreamCutError,
)

ITS_OWN = [ServerError, OverloadedError, ConnectionLostError, CallTimeoutError, StreamCutError]
YOURS = [BadRequestError, AuthenticationError, RateLimitError, QuotaError]


@pytest.fixture(autouse=True)
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


def fail(breaker: CircuitBreaker, error: Exception) -> None:
    """One call that ends in an error."""
    with pytest.raises(type(error)), breaker.guard():
        raise error


def succeed(breaker: CircuitBreaker) -> None:
    """One call that goes well."""
    with breaker.guard():
        pass


def opened(clock: VirtualClock, failures: int = 3) -> CircuitBreaker:
    """A breaker that has just opened."""
    breaker = CircuitBreaker("acme", max_failures=failures, reset_s=60, clock=clock)
    for _ in range(failures):
        fail(breaker, ServerError("down"))
    assert breaker.state == "open"
    return breaker


@pytest.mark.parametrize("kind", ITS_OWN)
def test_opens_after_failures_in_a_row(kind: type[Exception]) -> None:
    """The third failure of the provider's own opens the circuit, and no call gets through."""
    breaker = CircuitBreaker("acme", max_failures=3, clock=VirtualClock())
    for _ in range(3):
        assert breaker.state == "closed"
        fail(breaker, kind("down"))
    with pytest.raises(CircuitOpenError, match="acme has failed too often") as caught:
        breaker.guard().__enter__()
    assert caught.value.retry_in_s == 60


@pytest.mark.parametrize("kind", YOURS)
def test_your_own_errors_show_that_the_provider_answers(kind: type[Exception]) -> None:
    """A 400, 401 or 429 does not count, and ends a row of failures."""
    breaker = CircuitBreaker("acme", max_failures=2, clock=VirtualClock())
    for _ in range(10):
        fail(breaker, ServerError("down"))
        fail(breaker, kind("yours"))
    assert (breaker.state, breaker.failures) == ("closed", 0)


def test_an_error_that_never_reached_the_provider_decides_nothing() -> None:
    """Messages of the wrong shape neither count nor end a row, and leave a probe's place free."""
    clock = VirtualClock()
    breaker = CircuitBreaker("acme", max_failures=2, reset_s=60, clock=clock)
    fail(breaker, ServerError("down"))
    fail(breaker, MessagesError("no messages"))
    fail(breaker, ServerError("down"))
    assert breaker.state == "open"
    clock.advance(60)
    fail(breaker, MessagesError("no messages"))
    assert breaker.state == "half_open"
    succeed(breaker)
    assert breaker.state == "closed"


@pytest.mark.parametrize(
    ("errors", "state"),
    [
        ([ServerError("x"), CallTimeoutError("x")], "open"),
        ([ServerError("x"), RateLimitError("x")], "closed"),
        ([ServerError("x"), CircuitOpenError("x", 1.0)], "open"),
        ([CircuitOpenError("x", 1.0)], "closed"),
    ],
)
def test_a_fallback_is_down_when_all_of_it_is(errors: list[Exception], state: str) -> None:
    """Around a fallback, a failure is one in which no model answered at all."""
    breaker = CircuitBreaker("all", max_failures=1, clock=VirtualClock())
    fail(breaker, AllModelsFailedError("x", errors))
    assert breaker.state == state


def test_half_open_after_the_wait() -> None:
    """One success closes the circuit; one failure opens it for another whole wait."""
    clock = VirtualClock()
    breaker = opened(clock)
    clock.advance(59.9)
    assert breaker.state == "open"
    clock.advance(0.1)
    assert breaker.state == "half_open"
    fail(breaker, ServerError("still down"))
    clock.advance(59.9)
    with pytest.raises(CircuitOpenError):
        succeed(breaker)
    clock.advance(0.1)
    succeed(breaker)
    assert (breaker.state, breaker.failures) == ("closed", 0)


def test_one_probe_at_a_time() -> None:
    """Of 32 threads that ask a half-open circuit at once, one gets through."""
    clock = VirtualClock()
    breaker = opened(clock)
    clock.advance(60)
    let_through, turned_away = [], []
    start, asked = threading.Barrier(32), threading.Barrier(32)

    def ask() -> None:
        start.wait()
        try:
            with breaker.guard():
                let_through.append(1)
                asked.wait(10)
        except CircuitOpenError:
            turned_away.append(1)
            asked.wait(10)

    threads = [threading.Thread(target=ask) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (len(let_through), len(turned_away)) == (1, 31)
    assert breaker.state == "closed"


def test_a_probe_that_never_comes_back_makes_room() -> None:
    """After another wait the next call may try, and the lost one decides nothing any more."""
    clock = VirtualClock()
    breaker = opened(clock)
    clock.advance(60)
    lost = breaker.guard()
    lost.__enter__()
    with pytest.raises(CircuitOpenError):
        succeed(breaker)
    clock.advance(60)
    with breaker.guard():
        lost.__exit__(None, None, None)
        assert breaker.state == "half_open"
    assert breaker.state == "closed"


def test_a_call_from_before_decides_nothing() -> None:
    """A call that began while the circuit was closed neither closes nor prolongs the open one."""
    clock = VirtualClock()
    breaker = CircuitBreaker("acme", max_failures=1, reset_s=60, clock=clock)
    early, late = breaker.guard(), breaker.guard()
    early.__enter__()
    late.__enter__()
    fail(breaker, ServerError("down"))
    clock.advance(30)
    early.__exit__(None, None, None)
    assert breaker.state == "open"
    error = ServerError("down")
    late.__exit__(ServerError, error, None)
    clock.advance(30)
    assert breaker.state == "half_open"


class Documented:
    """pybreaker's rules, as its README tells them: a second telling, to compare with."""

    def __init__(self, fail_max: int, reset_timeout: float) -> None:
        self.fail_max, self.reset_timeout = fail_max, reset_timeout
        self.row, self.opened = 0, None

    def call(self, now: float, outcome: str) -> bool:
        """Whether the call gets through."""
        if self.opened is not None and now < self.opened + self.reset_timeout:
            return False
        if outcome == "system error":
            self.row += 1
            if self.opened is not None or self.row >= self.fail_max:
                self.opened = now
        else:  # a success, or an excluded exception
            self.row, self.opened = 0, None
        return True


def test_agrees_with_the_documented_rules_on_random_histories() -> None:
    """In 300 random histories of calls, one after the other, ours does what pybreaker tells."""
    rng = random.Random(4)
    outcomes = {"success": None, "system error": ServerError("x"), "excluded": RateLimitError("x")}
    for _ in range(300):
        clock = VirtualClock()
        most, wait = rng.randint(1, 4), rng.choice([1, 5, 60])
        ours = CircuitBreaker("acme", max_failures=most, reset_s=wait, clock=clock)
        theirs = Documented(most, wait)
        for _ in range(60):
            clock.advance(rng.choice([0, 0.5, 1, 5, 60]))
            outcome = rng.choice(["success", "system error", "system error", "excluded"])
            through = theirs.call(clock.now(), outcome)
            try:
                with ours.guard():
                    if error := outcomes[outcome]:
                        raise error
                let = True
            except CircuitOpenError:
                let = False
            except (ServerError, RateLimitError):
                let = True
            assert (let, ours.state == "closed") == (through, theirs.opened is None)


@pytest.mark.parametrize("settings", [{"max_failures": 0}, {"reset_s": 0}, {"reset_s": -1}])
def test_senseless_settings_are_refused(settings: dict[str, float]) -> None:
    """A limit of zero or less is refused, with what to give."""
    with pytest.raises(SettingError, match="give max_failures of at least 1"):
        CircuitBreaker("acme", **settings)


def test_a_provider_that_is_down_is_not_asked(session: offline.Session) -> None:
    """After two 503s the server sees no more calls, until the wait is over."""
    clock = VirtualClock()
    client = LLMClient("openai")
    chat = BreakerChat(client, CircuitBreaker("openai", max_failures=2, reset_s=30, clock=clock))
    with faults("503"):
        for _ in range(2):
            with pytest.raises(OverloadedError):
                chat.chat("Hello")
        seen = len(session.server.log.since(0))
        for _ in range(5):
            with pytest.raises(CircuitOpenError):
                chat.chat("Hello")
        assert len(session.server.log.since(0)) == seen
    clock.advance(30)
    assert chat.chat("Hello").content
    assert chat.breaker.state == "closed"


def test_a_cut_stream_counts(session: offline.Session) -> None:
    """A stream that is cut is a failure, and one that ends well is none."""
    chat = BreakerChat(LLMClient("anthropic"), CircuitBreaker("x", max_failures=1))
    list(chat.stream("Hello"))
    assert chat.breaker.state == "closed"
    with faults("cut_stream"), pytest.raises(StreamCutError):
        list(chat.stream("Tell me about the sea."))
    assert chat.breaker.state == "open"


async def both_ways(chat: AsyncBreakerChat) -> None:
    """Two failures, one of each kind of call."""
    with faults("500"):
        with pytest.raises(ServerError):
            await chat.chat("Hello")
        with pytest.raises(ServerError):
            [event async for event in chat.stream("Hello")]
    with pytest.raises(CircuitOpenError):
        await chat.chat("Hello")


def test_async_calls_count_too() -> None:
    """A call and a stream of the async client open the circuit together."""
    import asyncio

    client = AsyncLLMClient("openai")
    asyncio.run(both_ways(AsyncBreakerChat(client, CircuitBreaker("x", max_failures=2))))
