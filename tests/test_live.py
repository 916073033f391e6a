"""Live mode, against a second server that stands where the provider would."""

import os
import time
from collections.abc import Callable, Iterator

import anthropic
import openai
import pytest
from second_server import OWN_KEY, Provider

from course_utils import door, faults, limits, offline
from course_utils.offline.doors import COURSE_KEY
from course_utils.offline.server import Server
from course_utils.wire.catalogue import default_model

HELLO = [{"role": "user", "content": "What is 1 + 1?"}]
PAUSE_S = 0.2


@pytest.fixture
def provider(lead_to: Callable[[str, str], None]) -> Iterator[Provider]:
    """The second server, with the student's keys and addresses leading to it."""
    provider = Provider(PAUSE_S)
    server = Server(provider)
    server.start()
    lead_to(server.url, OWN_KEY)
    yield provider
    offline.stop()
    server.stop()


def test_calls_pass_through_with_the_own_key(provider: Provider) -> None:
    """The provider sees the student's key, and the student gets the provider's answer."""
    offline.start("live")
    reply = openai.OpenAI().chat.completions.create(
        model=default_model("openai").id, messages=HELLO
    )
    assert reply.choices[0].message.content == "1 + 1 = 2"
    assert provider.calls[0].headers["authorization"] == f"Bearer {OWN_KEY}"


def test_the_log_knows_a_live_call_and_no_key(provider: Provider) -> None:
    """A live call is in the log with its usage, and the key is nowhere in the entry."""
    session = offline.start("live")
    anthropic.Anthropic().messages.create(
        model=default_model("anthropic").id, max_tokens=50, messages=HELLO
    )
    (entry,) = session.server.log
    assert (entry.tier, entry.status) == ("live", 200)
    assert entry.reply is not None
    assert entry.reply.usage.completion_tokens > 0
    assert OWN_KEY not in repr(entry)
    assert COURSE_KEY not in repr(entry)


def test_a_live_stream_is_not_held_back(provider: Provider) -> None:
    """The first chunk arrives while the provider still pauses, and the log adds the stream up."""
    session = offline.start("live")
    stream = openai.OpenAI().chat.completions.create(
        model=default_model("openai").id, messages=HELLO, stream=True
    )
    next(iter(stream))
    first = time.perf_counter()
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert time.perf_counter() - first > PAUSE_S / 2
    assert text == "1 + 1 = 2"
    (entry,) = session.server.log
    assert entry.reply is not None
    assert entry.reply.text == text


def test_a_providers_refusal_passes_through(provider: Provider) -> None:
    """An error of the provider reaches the SDK unchanged."""
    offline.start("live")
    with pytest.raises(openai.NotFoundError) as caught:
        openai.OpenAI().chat.completions.create(model="gpt-99", messages=HELLO)
    assert caught.value.code == "model_not_found"


def test_offline_sends_no_own_key(provider: Provider) -> None:
    """Offline, the SDKs carry the course's key; live and back, the client stays the same."""
    offline.start()
    assert os.environ["OPENAI_API_KEY"] == COURSE_KEY
    client = openai.OpenAI()
    offline.start("live")
    client.chat.completions.create(model=default_model("openai").id, messages=HELLO)
    offline.start("offline")
    client.chat.completions.create(model=default_model("openai").id, messages=HELLO)
    assert len(provider.calls) == 1


def test_stop_gives_the_environment_back(provider: Provider) -> None:
    """After stop() the student's own keys and addresses are in the environment again."""
    before = os.environ["OPENAI_BASE_URL"]
    offline.start()
    offline.stop()
    assert os.environ["OPENAI_API_KEY"] == OWN_KEY
    assert os.environ["OPENAI_BASE_URL"] == before


def test_a_server_without_a_key_is_called(provider: Provider) -> None:
    """A local server is reached where it listens, and no key is asked for."""
    offline.start("live")
    client = openai.OpenAI(**door("local"), max_retries=0)
    client.chat.completions.create(model=default_model("local").id, messages=HELLO)
    assert [call.path for call in provider.calls] == ["/local/v1/chat/completions"]


def test_failures_are_rehearsed_without_the_provider(provider: Provider) -> None:
    """In live mode, calls that are to fail stay here, and so do those that succeed among them."""
    offline.start("live")
    client = openai.OpenAI(max_retries=0)
    model = default_model("openai").id
    with faults("429", times=1):
        with pytest.raises(openai.RateLimitError):
            client.chat.completions.create(model=model, messages=HELLO)
        client.chat.completions.create(model=model, messages=HELLO)
    assert not provider.calls
    client.chat.completions.create(model=model, messages=HELLO)
    assert len(provider.calls) == 1


def test_limits_are_rehearsed_without_the_provider(provider: Provider) -> None:
    """In live mode, a limit of the course's own is enforced here."""
    offline.start("live")
    client = openai.OpenAI(max_retries=0)
    model = default_model("openai").id
    with limits(rpm=1):
        client.chat.completions.create(model=model, messages=HELLO)
        with pytest.raises(openai.RateLimitError):
            client.chat.completions.create(model=model, messages=HELLO)
    assert not provider.calls


def test_a_missing_key_is_a_sentence(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider without a key is refused once, with the variable to set."""
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    session = offline.start("live")
    with pytest.raises(anthropic.AuthenticationError, match="ANTHROPIC_API_KEY"):
        anthropic.Anthropic().messages.create(
            model=default_model("anthropic").id, max_tokens=50, messages=HELLO
        )
    assert session.server.log.last_number == 1


def test_no_network_is_a_sentence(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that cannot be reached is one error that says so, and is not retried."""
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    session = offline.start("live")
    with pytest.raises(openai.InternalServerError, match="OpenAI cannot be reached"):
        openai.OpenAI().chat.completions.create(model=default_model("openai").id, messages=HELLO)
    assert session.server.log.last_number == 1
