"""Many calls at once: every request gets its own answer or its own error, and is asked once."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from course_utils import faults, limits, offline
from course_utils.llm import errors, plain_http
from course_utils.llm.batch import arun_batch, run_batch
from course_utils.llm.client import LLMClient
from course_utils.llm.clock import VirtualClock
from course_utils.offline.standin import StandIn
from course_utils.wire.catalogue import default_model

PROVIDERS = ["openai", "anthropic", "google", "local"]
PROMPTS = [f"Say the number {number}" for number in range(12)]


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


@pytest.fixture
def calls(session: offline.Session) -> Any:
    """The calls of one test, as the stand-in logged them: `calls.now()`."""
    log = session.server.log
    begin = log.last_number

    class Calls:
        def now(self) -> list[Any]:
            return log.since(begin)

    return Calls()


@pytest.fixture
def clock(session: offline.Session) -> Iterator[VirtualClock]:
    """A clock by which the stand-in's limits count too."""
    clock, standin = VirtualClock(), session.server.answers
    assert isinstance(standin, StandIn)
    standin.limits.clock = clock.time
    yield clock
    standin.limits.clock = time.time


def prompts_of(calls: Any) -> Counter[str]:
    """How often each prompt was sent."""
    return Counter(call.request.last_user_text for call in calls.now() if call.request)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_answers_are_those_of_the_client(provider: str) -> None:
    """Each request gets what LLMClient.chat gets for it over the SDK, in the requests' order."""
    client = LLMClient(provider)
    report = run_batch(PROMPTS, client=client, max_tokens=90, seed=5)
    alone = [client.chat(prompt, max_tokens=90, seed=5) for prompt in PROMPTS]

    def bare(result: Any) -> Any:
        return replace(result, latency_s=0.0, request_id=None)

    assert not report.failed
    assert list(map(bare, report.results)) == list(map(bare, alone))
    assert report.cost_usd == pytest.approx(sum(result.cost_usd or 0 for result in alone))
    assert {item.attempts for item in report.items} == {1}


def test_equal_requests_are_asked_once(calls: Any) -> None:
    """Of twenty equal questions one is sent; all twenty items hold its answer, paid for once."""
    report = run_batch(["What is an API?"] * 20 + ["And a model?"] * 5, max_tokens=60)
    assert prompts_of(calls) == {"What is an API?": 1, "And a model?": 1}
    assert len(set(map(id, report.results[:20]))) == 1
    distinct = report.results[0], report.results[24]
    assert report.cost_usd == pytest.approx(sum(result.cost_usd for result in distinct))


def test_a_bad_request_touches_no_other(calls: Any) -> None:
    """What cannot be sent or is refused is an item with its typed error, among good answers."""
    request = LLMClient("openai").request("Hello")
    bad: list[Any] = [
        42,
        [],
        [{"role": "robot", "content": "x"}],
        [{"role": "tool", "tool_call_id": "call_1", "content": "1"}],
        replace(request, model=default_model("anthropic").id),
        replace(request, rest={"metadata": {"a": object()}}),
        replace(request, rest={"response_format": "nonsense"}),
    ]
    mixed = [each for pair in zip(PROMPTS, bad, strict=False) for each in pair]
    report = run_batch(mixed)
    kinds = {type(error) for error in report.failed.values()}
    assert sorted(report.failed) == [1, 3, 5, 7, 9, 11, 13]
    assert kinds == {errors.MessagesError, errors.BadRequestError}
    assert all(result is not None for result in report.results[::2])
    assert report.items[1].attempts == 0
    assert report.items[7].attempts == 1
    assert "7 of 14 answered" in repr(report)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("fault", ["429", "500", "503", "dropped", "truncated_json", "html"])
def test_what_passes_is_tried_again(provider: str, fault: str) -> None:
    """A third of the calls fail in a way that passes: in the end every one is answered."""
    clock = VirtualClock()
    with faults(fault, rate=0.35, seed=3, provider=provider):
        report = run_batch(PROMPTS, provider=provider, clock=clock, max_retries=9)
    assert not report.failed
    retries = sum(item.attempts - 1 for item in report.items)
    assert 0 < retries == len(clock.slept)
    assert min(clock.slept) >= 1


def test_what_lasts_is_not_tried_again(calls: Any) -> None:
    """With the money used up each request is sent once, and its item says so."""
    with faults("quota"):
        report = run_batch(PROMPTS)
    assert {type(error) for error in report.failed.values()} == {errors.QuotaError}
    assert set(prompts_of(calls).values()) == {1}
    error = report.failed[0]
    assert isinstance(error, errors.QuotaError)
    assert (error.provider, error.status, error.code) == ("openai", 429, "insufficient_quota")
    assert "account's plan" in str(error)


def test_a_silent_server_is_a_typed_error() -> None:
    """Who does not answer in time fails with CallTimeoutError, and the others are answered."""
    client = LLMClient("openai", timeout_s=0.3)
    with faults([None, "timeout", None], wait_s=3):
        report = run_batch(PROMPTS[:3], client=client, concurrency=1, max_retries=0)
    assert [type(item.error).__name__ for item in report.items] == [
        "NoneType",
        "CallTimeoutError",
        "NoneType",
    ]


@pytest.mark.parametrize(("rpm", "tpm", "minutes"), [(50, 90_000, 5), (900, 3_000, 11)])
def test_limits_are_kept_by_the_server_s_own_count(
    rpm: int,
    tpm: int,
    minutes: int,
    clock: VirtualClock,
    calls: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 300 calls against enforced limits none is turned away, on a clock that both share."""
    ask = plain_http.ask

    async def ask_in_no_time(*arguments: Any) -> Any:
        with clock.hold():
            return await ask(*arguments)

    monkeypatch.setattr(plain_http, "ask", ask_in_no_time)
    prompts = [f"Say the number {number} in words" for number in range(300)]
    with limits(rpm=rpm, tpm=tpm):
        report = run_batch(prompts, rpm=rpm, tpm=tpm, max_tokens=100, clock=clock, concurrency=40)
    assert not report.failed
    assert Counter(call.status for call in calls.now()) == {200: 300}
    # Nor is time wasted: 50 calls a minute, or 26 of about 113 tokens each.
    assert minutes * 60 <= clock.now() <= (minutes + 1) * 61


def test_unknown_limits_are_learned(clock: VirtualClock, calls: Any) -> None:
    """Without limits of its own a batch adapts to those in the server's headers."""
    with limits(rpm=20):
        report = run_batch([f"Count to {n}" for n in range(70)], clock=clock)
    statuses = Counter(call.status for call in calls.now())
    assert not report.failed
    assert statuses[429] <= 20


def test_a_store_answers_what_was_answered(calls: Any, tmp_path: Path) -> None:
    """A second run with the same file sends only what is new, and pays only for that."""
    store = tmp_path / "answers.sqlite"
    first = run_batch(PROMPTS[:8], store=store, max_tokens=50)
    second = run_batch(PROMPTS, store=store, max_tokens=50)
    assert prompts_of(calls) == dict.fromkeys(PROMPTS, 1)
    assert [item.attempts for item in second.items] == [0] * 8 + [1] * 4
    assert second.results[3].content == first.results[3].content  # type: ignore[union-attr]
    assert second.cost_usd == pytest.approx(sum(r.cost_usd for r in second.results[8:]))  # type: ignore[union-attr,misc]
    run_batch(PROMPTS, store=store, max_tokens=51)
    assert set(prompts_of(calls).values()) == {2}


def test_errors_are_not_stored(tmp_path: Path) -> None:
    """What failed in one run is asked again in the next."""
    with faults("500"):
        failed = run_batch(PROMPTS[:3], store=tmp_path / "a.sqlite", max_retries=0)
    again = run_batch(PROMPTS[:3], store=tmp_path / "a.sqlite")
    assert (len(failed.failed), len(again.failed)) == (3, 0)


_FORTY_CALLS = """
import sys
from course_utils.llm.batch import run_batch
from course_utils.llm.client import LLMClient
client = LLMClient("openai", base_url=sys.argv[1], api_key=sys.argv[2])
run_batch([f"Say the number {n}" for n in range(40)], client=client, store=sys.argv[3],
          concurrency=4)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a signal of POSIX systems")
def test_a_killed_run_is_resumed(session: offline.Session, calls: Any, tmp_path: Path) -> None:
    """After kill -9 in the middle, the next run asks for no answer that had come."""
    store = tmp_path / "answers.sqlite"
    key = os.environ["OPENAI_API_KEY"]
    with faults("slow", wait_s=0.1):
        child = subprocess.Popen(
            [sys.executable, "-c", _FORTY_CALLS, session.base_url("openai"), key, str(store)]
        )
        while _stored(store) < 12:
            assert child.poll() is None
            time.sleep(0.01)  # another process works: there is nothing else to wait on
        child.send_signal(signal.SIGKILL)
        child.wait()
    stored = _stored(store)
    prompts = [f"Say the number {number}" for number in range(40)]
    report = run_batch(prompts, store=store)
    known = [p for p, item in zip(prompts, report.items, strict=True) if item.attempts == 0]
    asked = prompts_of(calls)
    assert not report.failed
    assert 12 <= len(known) == stored < 40
    assert {asked[prompt] for prompt in known} == {1}
    # Only what was in flight when the process died, and had no answer yet, was asked twice.
    assert sum(count > 1 for count in asked.values()) <= 4


def _stored(path: Path) -> int:
    """How many answers are in a store."""
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
            return int(connection.execute("SELECT count(*) FROM answers").fetchone()[0])
    except sqlite3.OperationalError:  # not there yet
        return 0


def test_a_schema_holds_for_every_answer(tmp_path: Path) -> None:
    """Each answer is parsed, from the store too; one that does not fit is its own error."""

    class City(BaseModel):
        name: str
        inhabitants: int

    asked = [f"Invent city number {number}" for number in range(4)]
    for _ in range(2):
        report = run_batch(asked, schema=City, store=tmp_path / "a.sqlite")
        assert all(isinstance(result.parsed, City) for result in report.results if result)
    with faults(["refusal", None]):
        report = run_batch(asked[:2], schema=City, concurrency=1)
    assert isinstance(report.failed[0], errors.AnswerError)
    assert report.cost_usd > (report.results[1].cost_usd or 0)  # type: ignore[union-attr]


def test_a_batch_runs_inside_a_notebook_s_loop() -> None:
    """run_batch works where an event loop runs already, and arun_batch leaves that loop free."""
    ticks = []

    async def tick() -> None:
        while True:
            ticks.append(1)
            await asyncio.sleep(0.001)

    async def cell() -> tuple[Any, Any]:
        blocking = run_batch(PROMPTS[:3])
        ticking = asyncio.create_task(tick())
        with faults("slow", wait_s=0.1):
            free = await arun_batch(PROMPTS[:3], max_tokens=77)
        ticking.cancel()
        return blocking, free

    blocking, free = asyncio.run(cell())
    assert not blocking.failed
    assert not free.failed
    assert len(ticks) > 5


def test_progress_is_told_and_no_bar_is_drawn_unwatched(capfd: pytest.CaptureFixture[str]) -> None:
    """A function hears of every answer; with no terminal nothing is printed, which nbval needs."""
    heard: list[tuple[int, int]] = []
    run_batch(PROMPTS, progress=lambda done, count: heard.append((done, count)))
    assert heard == [(done, 12) for done in range(1, 13)]
    run_batch(PROMPTS, progress=True)
    run_batch(PROMPTS, progress=False)
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal needs a POSIX system")
def test_a_terminal_sees_a_bar(session: offline.Session, tmp_path: Path) -> None:
    """Where a person looks at a terminal, a bar counts the calls to the last one."""
    import fcntl
    import pty
    import struct
    import termios

    leader, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    arguments = [session.base_url("openai"), os.environ["OPENAI_API_KEY"], str(tmp_path / "a")]
    subprocess.run([sys.executable, "-c", _FORTY_CALLS, *arguments], stderr=terminal, check=True)
    shown = os.read(leader, 100_000).decode()
    os.close(leader)
    os.close(terminal)
    assert "0/40" in shown
    assert "40/40" in shown


def test_nothing_to_do_is_no_error() -> None:
    """An empty batch has an empty report."""
    report = run_batch([])
    assert (report.items, report.cost_usd, report.failed) == ((), 0, {})


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"concurrency": 0}, errors.SettingError, "at least 1 call"),
        ({"max_retries": -1}, errors.SettingError, "max_retries is -1"),
        ({"rpm": 0}, errors.SettingError, "rpm is 0"),
        ({"tpm": -1}, errors.SettingError, "tpm is -1"),
        ({"requests": "Hello"}, errors.MessagesError, "give a list"),
        ({"requests": {"role": "user", "content": "x"}}, errors.MessagesError, "give a list"),
    ],
)
def test_impossible_settings_are_refused(
    settings: dict[str, Any], kind: type[Exception], words: str, calls: Any
) -> None:
    """A number or list that makes no sense is named before anything is sent."""
    with pytest.raises(kind, match=words):
        run_batch(**({"requests": PROMPTS} | settings))
    assert not calls.now()


def test_a_prompt_above_the_minute_s_tokens_is_its_own_error() -> None:
    """A request that no minute can hold fails alone and says what to do."""
    report = run_batch(["Hello", "word " * 3_000], tpm=2_000, max_tokens=50, clock=VirtualClock())
    assert report.results[0] is not None
    assert "never fits" in str(report.failed[1])


def test_a_file_that_is_no_store_is_named(tmp_path: Path) -> None:
    """A damaged store stops the batch before anything is sent or overwritten."""
    path = tmp_path / "notes.txt"
    path.write_text(json.dumps({"my": "notes"}) * 100)
    with pytest.raises(errors.CacheError, match=r"notes\.txt"):
        run_batch(PROMPTS, store=path)
    assert path.read_text().startswith('{"my"')
