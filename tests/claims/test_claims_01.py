"""What lesson 01 says of the market, as of 2026-11-24, is what the catalogue and the SDKs say."""

import statistics
from datetime import date

import pytest
from anthropic.resources.messages.messages import DEPRECATED_MODELS

from course_utils.errors import RetiredModelError
from course_utils.wire.catalogue import default_model, find_model, models, providers, retired_models

AS_OF = date(2026, 11, 24)


def test_output_costs_about_five_times_as_much_as_input() -> None:
    """The median over all models that cost something lies near five."""
    ratios = [m.price.output / m.price.input for m in models() if m.price.input]
    assert 4 <= statistics.median(ratios) <= 6


def test_tiers_differ_by_a_factor_of_100_at_one_provider() -> None:
    """From the budget to the premium model, input costs a hundred times as much at OpenAI."""
    cheap, dear = (default_model("openai", tier).price.input for tier in ("budget", "premium"))
    assert dear / cheap == pytest.approx(100)


def test_about_a_million_tokens_of_context_is_common() -> None:
    """The default models of the three makers take from 0.9 to 1.1 million; local ones less."""
    contexts = {
        p.id: {find_model(m).context_tokens for m in p.default_models.values()} for p in providers()
    }
    local = contexts.pop("local")
    assert all(900_000 <= size <= 1_100_000 for sizes in contexts.values() for size in sizes)
    assert max(local) < 200_000


def test_models_of_2024_are_gone() -> None:
    """Each dated model of 2024 that the course knows as retired was gone by the day named."""
    of_2024 = [m for m in retired_models() if "2024" in m.id and m.shutdown]
    assert len(of_2024) >= 5
    assert all(m.shutdown <= AS_OF for m in of_2024 if m.shutdown)


def test_the_sdk_lists_the_model_that_the_lesson_calls() -> None:
    """The lesson's search finds a model of October 2024, and the catalogue calls it retired."""
    found = [name for name in DEPRECATED_MODELS if "3-5-haiku-2024" in name]
    assert len(found) == 1
    with pytest.raises(RetiredModelError):
        find_model(found[0])


def test_google_routes_two_models_from_december_on() -> None:
    """From 2026-12-01 two models are answered by others in place of a refusal."""
    routed = [m for m in models("google") if m.after_shutdown == "routed"]
    assert [m.shutdown for m in routed] == [date(2026, 12, 1)] * 2
