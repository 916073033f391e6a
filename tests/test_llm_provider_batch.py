"""The providers' own Batch APIs behind run_batch: the same answers, at half the price."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from course_utils import faults, offline
from course_utils.llm import errors
from course_utils.llm.batch import run_batch
from course_utils.llm.batch_job import Job
from course_utils.llm.client import LLMClient
from course_utils.llm.clock import VirtualClock
from course_utils.llm.provider_batch import collect_batch, submit_batch
from course_utils.llm.stores import MemoryStore

PROVIDERS = ["openai", "anthropic"]
PROMPTS = [f"Say the number {number}" for number in range(7)]


@pytest.fixture(autouse=True)
def session() -> Iterator[offline.Session]:
    """The stand-in, running, with no batch in it."""
    yield offline.start()
    offline.stop()


def submitted(session: offline.Session) -> int:
    """How many batches have been handed in."""
    calls = session.server.log.since(0)
    return sum(call.method == "POST" and call.path.endswith("/batches") for call in calls)


class Impatient(VirtualClock):
    """A clock on which the first wait is interrupted, as by Ctrl-C or a kill."""

    def sleep(self, seconds: float) -> None:
        """Interrupt instead of waiting."""
        raise KeyboardInterrupt


@pytest.mark.parametrize("provider", PROVIDERS)
def test_answers_are_those_of_single_calls_at_half_the_price(provider: str) -> None:
    """The Batch API gives what calls one by one give, in the requests' order, for half the cost."""
    client, clock = LLMClient(provider), VirtualClock()
    single = run_batch(PROMPTS, client=client, max_tokens=80)
    batch = run_batch(PROMPTS, client=client, max_tokens=80, batch_api=True, clock=clock)
    assert not batch.failed
    texts = [[result.content for result in report.results if result] for report in (single, batch)]
    assert texts[0] == texts[1]
    usages = [[result.usage for result in report.results if result] for report in (single, batch)]
    assert usages[0] == usages[1]
    assert batch.cost_usd == pytest.approx(single.cost_usd / 2)
    assert all(result.finish_reason == "stop" for result in batch.results if result)
    assert clock.slept == sorted(clock.slept) != []


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_is_submitted_is_what_the_sdk_would_send(
    provider: str, session: offline.Session
) -> None:
    """Each line is answered as its own call is: model, limit and system message arrive."""
    said = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    run_batch([said], provider=provider, max_tokens=33, batch_api=True, clock=VirtualClock())
    lines = [call for call in session.server.log.since(0) if call.is_batch]
    assert len(lines) == 1
    request = lines[0].request
    assert request is not None
    assert (request.system, request.last_user_text, request.max_tokens) == (
        "Be brief.",
        "Hello",
        33,
    )


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_bad_line_touches_no_other(provider: str) -> None:
    """A line that is refused is an item with its typed error, among good answers."""
    client = LLMClient(provider)
    orphan = [{"role": "tool", "tool_call_id": "call_1", "content": "1"}]
    requests: list[Any] = [PROMPTS[0], orphan, PROMPTS[1], 42, PROMPTS[0]]
    report = run_batch(requests, client=client, batch_api=True, clock=VirtualClock())
    assert {place: type(error) for place, error in report.failed.items()} == {
        1: errors.BadRequestError,
        3: errors.MessagesError,
    }
    error = report.failed[1]
    assert isinstance(error, errors.BadRequestError)
    assert error.provider == provider
    assert "Mend the request" in str(error)
    assert report.results[0] is report.results[4] is not None


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_batch_is_collected_by_its_id(provider: str, session: offline.Session) -> None:
    """Another program, which knows the id and the requests, collects what this one submitted."""
    client = LLMClient(provider)
    batch_id = submit_batch(PROMPTS, client=client, max_tokens=60)
    report = collect_batch(batch_id, PROMPTS, client=client, max_tokens=60, clock=VirtualClock())
    assert submitted(session) == 1
    assert not report.failed
    assert [r.content for r in report.results if r] == [
        client.chat(prompt, max_tokens=60).content for prompt in PROMPTS
    ]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_interrupted_wait_goes_on(
    provider: str, session: offline.Session, tmp_path: Path
) -> None:
    """With a store, a second run waits for the batch of the first and submits nothing."""
    settings: Any = {"provider": provider, "store": tmp_path / "a.sqlite", "batch_api": True}
    with pytest.raises(KeyboardInterrupt):
        run_batch(PROMPTS, clock=Impatient(), **settings)
    report = run_batch(PROMPTS, clock=VirtualClock(), **settings)
    assert not report.failed
    assert submitted(session) == 1
    again = run_batch([*PROMPTS, "One more"], clock=VirtualClock(), **settings)
    assert [item.attempts for item in again.items] == [0] * 7 + [1]
    assert submitted(session) == 2


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_cancelled_batch_leaves_typed_errors(provider: str) -> None:
    """What a cancelled batch did not come to is an error for each request, and says what to do."""
    client = LLMClient(provider)
    batch_id = submit_batch(PROMPTS, client=client)
    if provider == "openai":
        openai.OpenAI().batches.cancel(batch_id)
    else:
        anthropic.Anthropic().messages.batches.cancel(batch_id)
    report = collect_batch(batch_id, PROMPTS, client=client, clock=VirtualClock())
    assert len(report.failed) > 0
    assert {type(error) for error in report.failed.values()} == {errors.CallTimeoutError}
    assert all(batch_id in str(error) for error in report.failed.values())
    assert len(report.failed) + sum(result is not None for result in report.results) == 7


def test_a_batch_that_fails_as_a_whole_says_why() -> None:
    """Where OpenAI finds a line of the file wrong, every item names that line."""
    sdk = openai.OpenAI()
    client = LLMClient("openai")
    line = {"custom_id": "a", "method": "POST", "url": "/v1/embeddings", "body": {}}
    file = sdk.files.create(file=("b.jsonl", json.dumps(line).encode()), purpose="batch")
    batch = sdk.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    report = collect_batch(batch.id, PROMPTS[:2], client=client, clock=VirtualClock())
    assert {type(error) for error in report.failed.values()} == {errors.BadRequestError}
    assert "Line 1" in str(report.failed[0])


@pytest.mark.parametrize("fault", ["500", "429", "503"])
def test_looking_again_survives_failures(fault: str) -> None:
    """A failed look at a batch is tried again and loses nothing."""
    client, clock = LLMClient("openai"), VirtualClock()
    batch_id = submit_batch(PROMPTS, client=client)
    with faults(fault, times=2):
        report = collect_batch(batch_id, PROMPTS, client=client, clock=clock)
    assert not report.failed
    assert 1 <= clock.slept[0] <= 1.5


@pytest.mark.parametrize(("fault", "tries"), [("dropped", 1), ("500", 1), ("429", 4)])
def test_a_batch_is_not_submitted_twice_by_mistake(
    fault: str, tries: int, session: offline.Session
) -> None:
    """Handing in is repeated only where the provider refused it: else it could cost twice."""
    client = LLMClient("anthropic")
    with faults(fault), pytest.raises(errors.ProviderError):
        run_batch(PROMPTS, client=client, batch_api=True, clock=VirtualClock())
    assert submitted(session) == tries


def test_equal_requests_make_one_line(session: offline.Session) -> None:
    """Twenty equal requests are one line of the batch."""
    report = run_batch(["Hello"] * 20, batch_api=True, clock=VirtualClock())
    lines = Counter(call.is_batch for call in session.server.log.since(0))
    assert lines[True] == 1
    assert len([result for result in report.results if result]) == 20


@pytest.mark.parametrize("provider", ["google", "local"])
def test_a_provider_without_batches_is_named(provider: str) -> None:
    """Where there is no Batch API the error names those that have one."""
    with pytest.raises(errors.SettingError, match="openai or anthropic"):
        run_batch(PROMPTS, provider=provider, batch_api=True)


def test_nothing_to_submit_is_named() -> None:
    """A batch of nothing that can be sent is refused before it costs anything."""
    with pytest.raises(errors.SettingError, match="no request to submit"):
        submit_batch([42], client=LLMClient("openai"))  # type: ignore[list-item]


def test_an_unknown_id_is_a_typed_error() -> None:
    """A mistyped batch id is the provider's 404, told as the toolkit's error."""
    with pytest.raises(errors.ProviderError) as caught:
        collect_batch("batch_nowhere", PROMPTS, client=LLMClient("openai"), clock=VirtualClock())
    assert caught.value.status == 404


def test_jobs_differ_by_their_options() -> None:
    """The note on a submitted batch is found by the same requests and options only."""
    target, store = LLMClient("openai")._target, MemoryStore()
    Job(PROMPTS, target, store, {"max_tokens": 5}).submitted = "batch_1"
    found = [Job(PROMPTS, target, store, {"max_tokens": n}).submitted for n in (5, 6)]
    assert found == ["batch_1", None]
