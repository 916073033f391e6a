"""The asynchronous client gives what the other gives, while other work goes on."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from course_utils import faults, log, offline
from course_utils.llm import AsyncLLMClient, LLMClient
from course_utils.llm.connections import async_connection
from course_utils.llm.errors import MissingKeyError, RateLimitError, StreamCutError
from course_utils.llm.result import ChatResult, Finished, TextDelta
from course_utils.wire import catalogue

PROVIDERS = ("openai", "anthropic", "google", "local")
QUESTION = "What is an API, in one sentence?"


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


def settings(provider: str) -> dict[str, Any]:
    """What leads a client to the stand-in."""
    own = {"base_url": offline.session().base_url("local")}
    return own if provider == "local" else {}


def client(provider: str) -> AsyncLLMClient:
    """A client that reaches the stand-in."""
    return AsyncLLMClient(provider, **settings(provider))


def untimed(result: ChatResult) -> ChatResult:
    """A result without what differs from call to call."""
    return replace(result, latency_s=0, first_token_s=None, request_id=None)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_both_clients_give_the_same(provider: str) -> None:
    """Content, tokens, cost and warnings do not depend on how one waits for them."""
    options: dict[str, Any] = {"temperature": 0.2, "max_tokens": 100}
    other = asyncio.run(client(provider).chat(QUESTION, **options))
    mine = LLMClient(provider, **settings(provider)).chat(QUESTION, **options)
    assert untimed(other) == untimed(mine)
    assert other.latency_s > 0


@pytest.mark.parametrize("provider", PROVIDERS)
def test_both_streams_give_the_same(provider: str) -> None:
    """The same pieces come in the same order, and end in the same result."""

    async def read() -> list[Any]:
        return [event async for event in client(provider).stream(QUESTION)]

    events = asyncio.run(read())
    mine = list(LLMClient(provider, **settings(provider)).stream(QUESTION))
    assert events[:-1] == mine[:-1]
    assert isinstance(events[-1], Finished)
    assert untimed(events[-1].result) == untimed(mine[-1].result)
    assert events[-1].result.first_token_s is not None


def test_many_calls_at_once_do_not_mix() -> None:
    """64 streams at once each get the whole of their own answer."""

    async def ask(number: int) -> str:
        question = f"Name nine streams of number-{number}"
        events = [event async for event in client("openai").stream(question)]
        return "".join(event.text for event in events if isinstance(event, TextDelta))

    async def all_of_them() -> list[str]:
        return await asyncio.gather(*map(ask, range(64)))

    for number, text in enumerate(asyncio.run(all_of_them())):
        assert len(text.splitlines()) == 9
        assert all(f"number-{number} " in line for line in text.splitlines())


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_second_event_loop_works_too(provider: str) -> None:
    """A program may call asyncio.run again: connections of the closed loop are not used again."""
    asked = client(provider)
    texts = {asyncio.run(asked.chat(QUESTION)).content for _ in range(3)}
    assert len(texts) == 1


def test_one_loop_shares_its_clients() -> None:
    """Within a loop the SDK's client of an address is built once."""

    async def both() -> bool:
        address = client("openai")._target.address
        return async_connection(address) is async_connection(address)

    assert asyncio.run(both())


@pytest.mark.parametrize("provider", PROVIDERS)
def test_errors_are_the_same_ones(provider: str) -> None:
    """A rate limit is the toolkit's error here too, with the wait that it asks for."""
    with faults("429", retry_after=3), pytest.raises(RateLimitError) as caught:
        asyncio.run(client(provider).chat(QUESTION))
    assert (caught.value.retry_after_s, caught.value.status) == (3, 429)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("fault", ["clean_end", "dropped_in_body", "malformed_json"])
def test_a_cut_stream_keeps_its_text(provider: str, fault: str) -> None:
    """However a stream breaks, its text until then is in the error."""
    if (provider, fault) == ("google", "malformed_json"):
        pytest.skip("its only two chunks: the first is the broken one, so nothing was read")

    async def read() -> None:
        async for event in client(provider).stream(QUESTION):
            assert isinstance(event, TextDelta)
            pieces.append(event.text)

    pieces: list[str] = []
    with faults(fault), pytest.raises(StreamCutError) as caught:
        asyncio.run(read())
    assert caught.value.text == "".join(pieces)
    assert caught.value.text


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_dropped_call_is_made_once(provider: str) -> None:
    """google-genai repeats a dropped asynchronous call in silence unless it is told not to."""
    before = len(log())
    with faults("dropped", times=1), pytest.raises(Exception, match="Check the network"):
        asyncio.run(client(provider).chat(QUESTION))
    assert len(log()) - before == 1


def test_a_cancelled_call_stays_cancelled() -> None:
    """Cancelling is no failure of the provider: asyncio's own error comes through."""

    async def cancel() -> None:
        task = asyncio.create_task(client("openai").chat(QUESTION))
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancel())


def test_it_knows_its_model() -> None:
    """Provider, model and id are those of the other client."""
    asked = client("anthropic")
    model = catalogue.default_model("anthropic")
    assert (asked.provider, asked.model, asked.model_id) == ("anthropic", model, model.id)
    assert repr(asked) == f"AsyncLLMClient('anthropic', {model.id!r})"
    request = asked.request(QUESTION)
    assert request == LLMClient("anthropic").request(QUESTION)
    assert asked.fit(request) == LLMClient("anthropic").fit(request)


def test_a_missing_key_fails_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has to be awaited to learn that there is no key."""
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(MissingKeyError, match="OPENAI_API_KEY"):
        AsyncLLMClient("openai")
