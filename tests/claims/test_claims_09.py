"""What lesson 09 says of prices, as of 2026-11-24, is what the catalogue and the SDKs say."""

import inspect
import typing

import pytest
from anthropic.resources.messages import batches as anthropic_batches
from anthropic.types.cache_control_ephemeral_param import CacheControlEphemeralParam
from anthropic.types.output_tokens_details import OutputTokensDetails
from anthropic.types.usage import Usage as AnthropicUsage
from google.genai import batches as google_batches
from google.genai.types import GenerateContentResponseUsageMetadata
from openai.types import batch_create_params
from openai.types.chat import completion_create_params
from openai.types.chat.chat_completion_content_part_text_param import (
    ChatCompletionContentPartTextParam,
)
from openai.types.completion_usage import CompletionTokensDetails, PromptTokensDetails

from course_utils.llm import SCENARIOS, estimate_cost
from course_utils.llm.guard import BudgetGuard
from course_utils.wire.catalogue import Model, Tier, default_model, find_model, models

TIERS: tuple[Tier, ...] = ("budget", "standard", "premium")
MAKERS = ("openai", "anthropic", "google")


def makers_models() -> list[Model]:
    """The nine models that the lesson prices."""
    return [default_model(name, tier) for name in MAKERS for tier in TIERS]


def test_output_costs_more_than_input() -> None:
    """For every model of the lesson a token out costs more than a token in."""
    assert all(model.price.output > model.price.input for model in makers_models())


def test_one_token_too_many_multiplies_the_bill_by_five() -> None:
    """Anthropic's budget model has one border; above it, it is five times dearer."""
    model = default_model("anthropic", "budget")
    [band] = model.price.bands
    assert band.above_tokens == 100_000
    below, above = (estimate_cost(model, band.above_tokens + more, 500) for more in (0, 1))
    assert above / below == pytest.approx(5, rel=1e-3)


def test_gpt_6_doubles_its_input_price_over_272_thousand_tokens() -> None:
    """OpenAI's three models of the lesson: above the border input costs double."""
    for tier in TIERS:
        price = default_model("openai", tier).price
        [band] = price.bands
        assert band.above_tokens == 272_000
        assert band.input == pytest.approx(2 * price.input)
        assert band.output == pytest.approx(1.5 * price.output)


def test_a_batch_costs_half_at_the_three_makers() -> None:
    """Input and output of all nine models cost half in a batch."""
    for model in makers_models():
        assert model.price.batch_input == pytest.approx(model.price.input / 2)
        assert model.price.batch_output == pytest.approx(model.price.output / 2)


def test_the_sdks_promise_a_batch_within_24_hours() -> None:
    """OpenAI takes no other window, Anthropic's docstring says 24 hours, Google has the API."""
    window = typing.get_type_hints(batch_create_params.BatchCreateParams)["completion_window"]
    assert typing.get_args(window) == ("24h",)
    assert "up to 24 hours" in inspect.getsource(anthropic_batches.Batches.create)
    assert hasattr(google_batches.Batches, "create")


def test_reading_a_cached_prompt_costs_a_tenth_or_less() -> None:
    """Cached input costs at most a tenth of plain input at the three makers."""
    for model in makers_models():
        assert model.price.cached_input is not None
        assert model.price.cached_input <= model.price.input / 10 + 1e-9


def test_writing_to_the_cache_costs_a_quarter_more() -> None:
    """At OpenAI and Anthropic; one reading pays for it."""
    for model in makers_models():
        if model.provider == "google":
            assert model.price.cache_write is None
            continue
        price = model.price
        assert price.cache_write == pytest.approx(1.25 * price.input)
        assert price.cache_write is not None
        assert price.cached_input is not None
        assert price.cache_write + price.cached_input < 2 * price.input


def test_thoughts_are_billed_as_output() -> None:
    """Each SDK counts them: as a part of the output, or in the sum with it."""
    assert "reasoning_tokens" in CompletionTokensDetails.model_fields
    assert "thinking_tokens" in OutputTokensDetails.model_fields
    assert "thoughts_token_count" in GenerateContentResponseUsageMetadata.model_fields
    limit = inspect.getsource(completion_create_params)
    assert "including visible output tokens and\n    [reasoning tokens]" in limit


def test_the_caches_keep_a_prompt_for_minutes() -> None:
    """Anthropic five by default, OpenAI thirty."""
    assert "Defaults to `5m`" in inspect.getsource(CacheControlEphemeralParam)
    assert "`ttl` defaults to\n    `30m`" in inspect.getsource(completion_create_params)


def test_openai_takes_a_mark_for_a_fixed_beginning_since_gpt_5_6() -> None:
    """`prompt_cache_breakpoint` on a text; by default one implicit mark is chosen."""
    assert "prompt_cache_breakpoint" in typing.get_type_hints(ChatCompletionContentPartTextParam)
    told = inspect.getsource(completion_create_params)
    assert "Supported for `gpt-5.6` and later models" in told
    assert "one implicit cache breakpoint" in told


def test_the_usages_have_the_names_of_the_lesson() -> None:
    """Read, written and plain tokens as the two SDKs call them."""
    assert {"cached_tokens", "cache_write_tokens"} <= PromptTokensDetails.model_fields.keys()
    names = {"input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"}
    assert names <= AnthropicUsage.model_fields.keys()


def test_a_tier_down_is_twenty_times_cheaper() -> None:
    """Standard against budget at OpenAI and at Anthropic."""
    for name in ("openai", "anthropic"):
        dear, cheap = (default_model(name, tier).price for tier in ("standard", "budget"))
        assert dear.input / cheap.input == pytest.approx(20)
        assert dear.output / cheap.output == pytest.approx(20)


def test_deepseek_has_two_prices_a_day() -> None:
    """The catalogue notes the hours in which DeepSeek's models cost half."""
    assert all("peak prices" in model.note for model in models("deepseek"))


def test_the_scenarios_are_those_of_the_lesson() -> None:
    """Three sizes: calls a day, tokens in, tokens out."""
    sizes = [(s.calls_per_day, s.prompt_tokens, s.completion_tokens) for s in SCENARIOS]
    assert sizes == [(100, 500, 200), (1_000, 2_000, 500), (10_000, 1_000, 300)]


def test_the_tiers_lie_one_above_the_other() -> None:
    """In each scenario every budget model is cheaper than every standard one, and so on."""
    for s in SCENARIOS:
        usd = [
            [
                estimate_cost(default_model(name, tier), s.prompt_tokens, s.completion_tokens)
                for name in MAKERS
            ]
            for tier in TIERS
        ]
        assert max(usd[0]) < min(usd[1])
        assert max(usd[1]) <= min(usd[2])


def test_the_chatbot_costs_pocket_money_and_the_batch_job_a_salary() -> None:
    """A month of the smallest scenario with any of the nine, of the largest with the dearest."""
    small, _, large = SCENARIOS
    monthly = [
        [
            30 * s.calls_per_day * estimate_cost(model, s.prompt_tokens, s.completion_tokens)
            for model in makers_models()
        ]
        for s in (small, large)
    ]
    assert max(monthly[0]) <= 50
    assert max(monthly[1]) >= 4_000


def test_openai_counts_are_exact_and_the_others_estimates() -> None:
    """Only OpenAI's models of the nine have an encoding in the catalogue."""
    for model in makers_models():
        assert (find_model(model.id).encoding is not None) == (model.provider == "openai")


def test_a_guard_takes_a_spending_that_others_share() -> None:
    """`BudgetGuard(spending=…)` is the shared purse."""
    assert "spending" in inspect.signature(BudgetGuard).parameters
