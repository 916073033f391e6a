"""The official SDKs, over real HTTP, are the judges of the stand-in's wire."""

import asyncio
from collections.abc import Iterator

import anthropic
import openai
import pytest

from course_utils import offline
from course_utils.offline.doors import COURSE_KEY, DOORS
from course_utils.wire.catalogue import default_model

OPENAI_DOORS = [door.provider for door in DOORS if door.provider != "anthropic"]
QUESTION = [{"role": "user", "content": "What is an API, in one sentence?"}]


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


def strict_openai(session: offline.Session, provider: str = "openai") -> openai.OpenAI:
    """A client that refuses a body that its types do not fit."""
    return openai.OpenAI(
        base_url=session.base_url(provider),
        api_key=COURSE_KEY,
        max_retries=0,
        _strict_response_validation=True,
    )


def strict_anthropic() -> anthropic.Anthropic:
    """A client that refuses a body that its types do not fit."""
    return anthropic.Anthropic(max_retries=0, _strict_response_validation=True)


@pytest.mark.parametrize("provider", OPENAI_DOORS)
def test_chat_completion_fits_the_types(session: offline.Session, provider: str) -> None:
    """A completion of every OpenAI-speaking door parses under strict validation."""
    reply = strict_openai(session, provider).chat.completions.create(
        model=default_model(provider).id, messages=QUESTION
    )
    assert reply.choices[0].message.content
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


@pytest.mark.parametrize("provider", OPENAI_DOORS)
def test_stream_adds_up_to_the_completion(session: offline.Session, provider: str) -> None:
    """The deltas of a stream, joined, are the text of the completion that is not streamed."""
    client, model = strict_openai(session, provider), default_model(provider).id
    whole = client.chat.completions.create(model=model, messages=QUESTION)
    chunks = list(
        client.chat.completions.create(
            model=model, messages=QUESTION, stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage
    assert chunks[-2].choices[0].finish_reason == "stop"


def test_usage_is_not_streamed_unasked(session: offline.Session) -> None:
    """Without include_usage no chunk carries a usage, as at OpenAI."""
    chunks = strict_openai(session).chat.completions.create(
        model=default_model("openai").id, messages=QUESTION, stream=True
    )
    assert all(chunk.usage is None for chunk in chunks)


def test_chunks_hide_their_length(session: offline.Session) -> None:
    """Each chunk of OpenAI's stream is padded to 1 above a multiple of 16 characters."""
    import httpx2

    response = httpx2.post(
        session.base_url("openai") + "/chat/completions",
        headers={"authorization": f"Bearer {COURSE_KEY}"},
        json={"model": default_model("openai").id, "messages": QUESTION, "stream": True},
    )
    lines = [line[6:] for line in response.text.splitlines() if line.startswith("data: {")]
    assert len(lines) > 3
    assert {len(line) % 16 for line in lines} == {1}


def test_message_fits_the_types() -> None:
    """A message of Anthropic's door parses under strict validation."""
    message = strict_anthropic().messages.create(
        model=default_model("anthropic").id, max_tokens=100, messages=QUESTION, system="Be brief."
    )
    assert message.content[0].text
    assert message.stop_reason == "end_turn"


def test_anthropic_stream_adds_up_to_the_message() -> None:
    """The SDK's own accumulator makes the same message from the events."""
    client, model = strict_anthropic(), default_model("anthropic").id
    whole = client.messages.create(model=model, max_tokens=100, messages=QUESTION)
    with client.messages.stream(model=model, max_tokens=100, messages=QUESTION) as stream:
        events = [event.type for event in stream]
        final = stream.get_final_message()
    assert final.content[0].text == whole.content[0].text
    assert final.usage.output_tokens == whole.usage.output_tokens
    assert events[0] == "message_start"
    assert events[-1] == "message_stop"


def test_async_clients_work(session: offline.Session) -> None:
    """The SDKs' asynchronous clients get the same answers."""

    async def ask() -> tuple[str, str]:
        model = default_model("openai").id
        reply = await openai.AsyncOpenAI().chat.completions.create(model=model, messages=QUESTION)
        model = default_model("anthropic").id
        message = await anthropic.AsyncAnthropic().messages.create(
            model=model, max_tokens=100, messages=QUESTION
        )
        return reply.choices[0].message.content, message.content[0].text

    assert all(asyncio.run(ask()))


def test_streams_side_by_side_do_not_mix(session: offline.Session) -> None:
    """64 streams at once each get all of their own events, in order, and nothing else."""

    async def stream(client: openai.AsyncOpenAI, number: int) -> str:
        chunks = await client.chat.completions.create(
            model=default_model("openai").id,
            messages=[{"role": "user", "content": f"Name nine streams of number-{number}"}],
            stream=True,
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])

    async def ask() -> list[str]:
        client = openai.AsyncOpenAI()
        return await asyncio.gather(*(stream(client, number) for number in range(64)))

    for number, text in enumerate(asyncio.run(ask())):
        lines = text.splitlines()
        assert len(lines) == 9
        assert all(f"number-{number} " in line for line in lines)


def test_the_same_request_gets_the_same_answer(session: offline.Session) -> None:
    """A simulated answer is a function of its request."""
    client = strict_openai(session)
    ask = [{"role": "user", "content": "Something that nobody has recorded?"}]
    texts = {
        client.chat.completions.create(model=default_model("openai").id, messages=ask)
        .choices[0]
        .message.content
        for _ in range(3)
    }
    assert len(texts) == 1


@pytest.mark.parametrize("limit", [1, 5, 12])
def test_max_tokens_are_kept(session: offline.Session, limit: int) -> None:
    """An answer never has more tokens than were allowed, and says that it was cut."""
    reply = strict_openai(session).chat.completions.create(
        model=default_model("openai").id, messages=QUESTION, max_completion_tokens=limit
    )
    assert reply.usage.completion_tokens == limit
    assert reply.choices[0].finish_reason == "length"


def test_stop_ends_the_answer_before_it(session: offline.Session) -> None:
    """Neither provider's answer contains the stop sequence; Anthropic's says which one it was."""
    reply = strict_openai(session).chat.completions.create(
        model=default_model("openai").id, messages=QUESTION, stop=["rules"]
    )
    assert reply.choices[0].message.content == "An API is a set of "
    message = strict_anthropic().messages.create(
        model=default_model("anthropic").id,
        max_tokens=100,
        messages=QUESTION,
        stop_sequences=["rules"],
    )
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "rules")


def test_n_gives_as_many_choices(session: offline.Session) -> None:
    """n choices come back, each with its index and all billed."""
    client, model = strict_openai(session), default_model("openai").id
    one = client.chat.completions.create(model=model, messages=QUESTION)
    three = client.chat.completions.create(model=model, messages=QUESTION, n=3)
    assert [choice.index for choice in three.choices] == [0, 1, 2]
    assert three.usage.completion_tokens == 3 * one.usage.completion_tokens
