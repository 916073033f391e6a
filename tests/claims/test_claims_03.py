"""What lesson 03 says of the providers, as of November 2026."""

import inspect
from collections.abc import Iterator

import anthropic
import openai
import pytest
from openai.resources.responses import Responses

from course_utils import offline
from course_utils.wire.catalogue import default_model, models


@pytest.fixture(autouse=True)
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


def test_the_responses_api_can_keep_the_history() -> None:
    """Its method takes a `previous_response_id`."""
    assert "previous_response_id" in inspect.signature(Responses.create).parameters


def test_kept_history_is_paid_for_again() -> None:
    """The second turn sends one short text, and is billed for both turns."""
    client, model = openai.OpenAI(), default_model("openai", "budget").id
    first = client.responses.create(model=model, input="Name three rivers in the north.")
    second = client.responses.create(model=model, input="And?", previous_response_id=first.id)
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.input_tokens > first.usage.input_tokens


def test_cached_beginnings_cost_a_fraction() -> None:
    """Each of the three makers has a model whose cached input costs at most half."""
    for provider in ("openai", "anthropic", "google"):
        prices = [m.price for m in models(provider)]
        assert any(p.cached_input is not None and p.cached_input <= p.input / 2 for p in prices)


def test_a_call_remembers_nothing() -> None:
    """Neither SDK's chat method takes the id of a conversation."""
    for create in (
        openai.OpenAI().chat.completions.create,
        anthropic.Anthropic().messages.create,
    ):
        names = inspect.signature(create).parameters
        assert not {"conversation", "conversation_id", "previous_response_id"} & set(names)
