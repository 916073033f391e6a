"""What lesson 02 says of the providers, as of November 2026."""

import inspect
import re
from collections.abc import Iterator

import anthropic
import openai
import pytest
from openai.resources.chat.completions import Completions
from openai.types.chat import chat_completion

from course_utils import offline
from course_utils.wire.catalogue import default_model, models

HELLO = [{"role": "user", "content": "What is 1 + 1?"}]


@pytest.fixture(autouse=True)
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


def test_openais_newer_models_refuse_the_old_name_of_the_limit() -> None:
    """The o-series and each model since gpt-5 take `max_completion_tokens`, older ones both."""
    newer = re.compile(r"o\d|gpt-([5-9]|\d\d)")
    for model in models("openai"):
        takes_new_name_only = model.max_tokens_param == "max_completion_tokens"
        assert takes_new_name_only == bool(newer.match(model.id)), model.id


def test_the_sdk_calls_the_old_name_deprecated() -> None:
    """OpenAI's SDK says of `max_tokens` that it is not for the o-series."""
    text = " ".join((inspect.getdoc(Completions.create) or "").split())
    source = " ".join(inspect.getsource(Completions).split())
    assert "max_completion_tokens" in text + source
    assert "not compatible with" in text + source


def test_temperature_ends_at_two() -> None:
    """The SDK's own words, and a 400 beyond it."""
    source = " ".join(inspect.getsource(Completions).split())
    assert "between 0 and 2" in source
    with pytest.raises(openai.BadRequestError):
        openai.OpenAI().chat.completions.create(
            model=default_model("openai").id,
            messages=HELLO,  # type: ignore[arg-type]
            temperature=2.1,
            reasoning_effort="none",
        )


def test_budget_model_takes_a_temperature_without_reasoning_only() -> None:
    """The lesson's model refuses a temperature unless the reasoning is off."""
    assert default_model("openai", "budget").sampling == "reasoning_none"


def test_anthropic_demands_max_tokens() -> None:
    """The SDK's method has no default for it."""
    parameters = inspect.signature(anthropic.Anthropic().messages.create).parameters
    assert parameters["max_tokens"].default is inspect.Parameter.empty
    assert "temperature" not in parameters


def test_finish_reasons_are_the_sdks() -> None:
    """`stop` and `length` are among the reasons that the SDK's type names."""
    annotation = chat_completion.Choice.model_fields["finish_reason"].annotation
    assert {"stop", "length"} <= set(getattr(annotation, "__args__", ()))
