"""Costs: of a call, of an application, of ten prompts; the price maps of others agree."""

import dataclasses
import random
import re
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from price_maps import genai_prices_folder, litellm_row, litellm_rows

from course_utils import offline
from course_utils.errors import UnknownModelError
from course_utils.llm import (
    SCENARIOS,
    LLMClient,
    Machine,
    Scenario,
    break_even,
    compare_costs,
    cost_of,
    cost_usd,
    count_message_tokens,
    estimate_cost,
    scenario_costs,
)
from course_utils.llm.comparison import course_models
from course_utils.llm.errors import MessagesError, SettingError
from course_utils.wire.catalogue import Band, Model, Price, default_model, models
from course_utils.wire.reply import Usage

MILLION = 1_000_000
# Prices of our own, so that each figure can be told from the others.
PRICE = Price(1.0, 10.0, 0.1, 1.25, 0.5, 4.0, (Band(1_000, 2.0, 15.0), Band(5_000, 5.0, 50.0)))
MODEL = dataclasses.replace(default_model("openai"), price=PRICE)
PROMPTS = [
    "Is this review good or bad? 'Loved it.'",
    "Name the capital of France.",
    "Translate to German: good morning.",
    "Is 91 a prime number?",
    "Explain recursion to a child. " * 4,
    "How does a bill become law, and who can stop it? " * 6,
    "Compare three ways to store passwords. " * 10,
    "Summarise this report. " + "Revenue grew in the north and fell in the south. " * 120,
    "Summarise this contract. " + "The party of the first part shall pay. " * 300,
    "Summarise this book. " + "It was the best of times, it was the worst of times. " * 800,
]


@pytest.fixture
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


@pytest.mark.parametrize(
    ("usage", "batch", "expected"),
    [
        (Usage(100, 50), False, 100 * 1.0 + 50 * 10.0),
        (Usage(1_000, 50), False, 1_000 * 1.0 + 50 * 10.0),
        (Usage(1_001, 50), False, 1_001 * 2.0 + 50 * 15.0),
        (Usage(5_001, 50), False, 5_001 * 5.0 + 50 * 50.0),
        (Usage(100, 50, cached_tokens=60), False, 40 * 1.0 + 60 * 0.1 + 50 * 10.0),
        (Usage(100, 50, 60, 30), False, 10 * 1.0 + 60 * 0.1 + 30 * 1.25 + 50 * 10.0),
        (Usage(2_000, 0, 600, 300), False, 1_100 * 2.0 + 600 * 0.2 + 300 * 2.5),
        (Usage(100, 50), True, 100 * 0.5 + 50 * 4.0),
        (Usage(2_000, 10, 600, 300), True, 1_100 * 1.0 + 600 * 0.1 + 300 * 1.25 + 10 * 6.0),
        (Usage(), False, 0),
    ],
)
def test_a_call_costs_what_its_parts_cost(usage: Usage, batch: bool, expected: float) -> None:
    """Bands, cache read and write, and batch prices, by hand."""
    assert cost_usd(MODEL, usage, batch=batch) == pytest.approx(expected / MILLION)


def test_the_parts_of_a_cost_are_told_apart() -> None:
    """Each part is named, and together they are the whole."""
    cost = cost_of(MODEL, Usage(100, 50, 60, 30))
    parts = (cost.input_usd, cost.cached_usd, cost.cache_write_usd, cost.output_usd)
    expected = (10 / MILLION, 6 / MILLION, 37.5 / MILLION, 500 / MILLION)
    assert parts == pytest.approx(expected)
    assert cost.total_usd == sum(parts)


def test_an_estimate_before_is_the_bill_after() -> None:
    """With the tokens that a call then has, estimate and bill are the same."""
    for seed in range(200):
        chance = random.Random(seed)
        model = chance.choice(models())
        prompt, answer = chance.randint(0, 400_000), chance.randint(0, 5_000)
        cached = chance.randint(0, prompt)
        usage = Usage(prompt, answer, cached)
        estimate = estimate_cost(model, prompt, answer, cached_tokens=cached)
        assert estimate == cost_usd(model, usage)


def test_a_model_is_found_by_its_id() -> None:
    """An id costs what the model costs."""
    model = default_model("anthropic")
    assert estimate_cost(model.id, 1_000, 500) == estimate_cost(model, 1_000, 500)


def test_a_real_call_costs_what_was_estimated(session: offline.Session) -> None:
    """The client's result is priced as the estimate with the tokens that came back."""
    client = LLMClient("openai", tier="budget")
    result = client.chat("What is a token?")
    assert client.model is not None
    before = count_message_tokens("What is a token?", client.model)
    assert result.prompt_tokens == before
    estimate = estimate_cost(client.model, int(before), result.completion_tokens)
    assert result.cost_usd == pytest.approx(estimate)


def test_scenarios_cost_calls_times_tokens_times_price() -> None:
    """A day is its calls, a month thirty days; a row a pair of scenario and model."""
    rows = scenario_costs([MODEL, default_model("local")])
    assert len(rows) == 6
    small = rows[0]
    assert small.call_usd == pytest.approx((500 * 1.0 + 200 * 10.0) / MILLION)
    assert small.daily_usd == pytest.approx(100 * small.call_usd)
    assert small.monthly_usd == pytest.approx(30 * small.daily_usd)
    assert [row.daily_usd for row in rows[1::2]] == [0, 0, 0]


def test_the_lessons_scenarios_are_there() -> None:
    """A hundred calls of 500 and 200 tokens, a thousand of 2,000 and 500, and so on."""
    shapes = [(s.calls_per_day, s.prompt_tokens, s.completion_tokens) for s in SCENARIOS]
    assert shapes == [(100, 500, 200), (1_000, 2_000, 500), (10_000, 1_000, 300)]


def test_caching_and_batches_make_a_scenario_cheaper() -> None:
    """Half of the prompt from the cache, or everything in a batch."""
    scenario = [Scenario("one", 1, 1_000, 100)]
    [plain] = scenario_costs([MODEL], scenario)
    [cached] = scenario_costs([MODEL], scenario, cached_share=0.5)
    [batch] = scenario_costs([MODEL], scenario, batch=True)
    costs = [row.daily_usd * MILLION for row in (plain, cached, batch)]
    assert costs == pytest.approx([2_000, 500 + 50 + 1_000, 500 + 400])


def test_ten_prompts_are_compared_over_all_of_the_courses_models() -> None:
    """Each prompt with each model, the totals, and the cheapest overall and per tier."""
    comparison = compare_costs(PROMPTS)
    assert len(comparison.totals) == len(course_models()) == 9
    assert len(comparison.prompts) == 90
    for total in comparison.totals:
        rows = [r for r in comparison.prompts if r.model == total.model]
        assert total.usd == pytest.approx(sum(row.usd for row in rows))
        assert [r.completion_tokens for r in rows] == [round(0.3 * r.prompt_tokens) for r in rows]
    assert comparison.cheapest.usd == min(total.usd for total in comparison.totals)
    best = comparison.cheapest_per_tier
    assert list(best) == ["budget", "standard", "premium"]
    for tier, total in best.items():
        assert total.usd == min(t.usd for t in comparison.totals if t.tier == tier)


def test_a_comparison_says_which_counts_are_exact() -> None:
    """OpenAI's tokens are counted, the others' estimated."""
    exact = {total.provider: total.exact for total in compare_costs(PROMPTS).totals}
    assert exact == {"openai": True, "anthropic": False, "google": False}


def test_tables_become_frames() -> None:
    """A comparison has a column a model and a last line of totals; scenarios a line a pair."""
    comparison = compare_costs(PROMPTS, [MODEL, default_model("anthropic")])
    frame = comparison.frame()
    assert list(frame.index) == [*range(1, 11), "total"]
    assert list(frame.loc["total"]) == pytest.approx([t.usd for t in comparison.totals])
    table = scenario_costs([MODEL]).frame()
    assert list(table["scenario"]) == [scenario.name for scenario in SCENARIOS]
    assert "<table" in comparison._repr_html_()


def test_a_machine_breaks_even_when_it_has_saved_its_price() -> None:
    """Saved a day: what the provider would take, less the power of the busy hours."""
    machine = Machine(
        price_usd=900, watts=500, usd_per_kwh=0.4, read_tokens_per_s=1_000, write_tokens_per_s=100
    )
    scenario = Scenario("one", 1_800, 1_000, 100)  # two seconds a call, an hour a day
    [api] = scenario_costs([MODEL], [scenario])
    even = break_even(machine, scenario, api)
    assert even.busy_hours_per_day == pytest.approx(1)
    assert even.power_usd_per_day == pytest.approx(0.2)
    assert even.api_usd_per_day == pytest.approx(3.6)
    assert even.days == pytest.approx(900 / 3.4)


@pytest.mark.parametrize(("calls", "watts"), [(100_000, 500), (1_800, 50_000)])
def test_a_machine_may_never_break_even(calls: int, watts: float) -> None:
    """Not when it is too slow for a day's calls, nor when its power costs more than the API."""
    machine = Machine(900, watts, 0.4, 1_000, 100)
    scenario = Scenario("one", calls, 1_000, 100)
    [api] = scenario_costs([MODEL], [scenario])
    assert break_even(machine, scenario, api).days is None


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: estimate_cost(MODEL, -1, 0), "cannot have -1 prompt tokens"),
        (lambda: estimate_cost(MODEL, 1, -1), "-1 completion tokens"),
        (lambda: estimate_cost(MODEL, 1, 0, cached_tokens=2), "2 of them cached"),
        (lambda: estimate_cost(default_model("local"), 1, 1, batch=True), "no batch price"),
        (lambda: Scenario("x", -1, 0, 0), "'x' has a negative number"),
        (lambda: scenario_costs([]), "at least one"),
        (lambda: scenario_costs([MODEL], cached_share=1.5), "cached_share is 1.5"),
        (lambda: compare_costs([]), "nothing to compare"),
        (lambda: compare_costs("one text"), "nothing to compare"),
        (lambda: compare_costs(PROMPTS, []), "nothing to compare"),
        (lambda: compare_costs(PROMPTS, output_share=-1), "output_share is -1"),
        (lambda: Machine(-1, 1, 1, 1, 1), "0 or more"),
        (lambda: Machine(1, 1, 1, 0, 1), "at least some"),
    ],
)
def test_numbers_that_cannot_be_are_named(wrong: Any, words: str) -> None:
    """A negative or impossible number is a SettingError with the cure."""
    with pytest.raises(SettingError, match=words):
        wrong()


def test_unknown_models_and_shapes_are_named() -> None:
    """As everywhere: the nearest ids, and the shape of a message."""
    with pytest.raises(UnknownModelError, match="did you mean"):
        estimate_cost(default_model("openai").id + "x", 1, 1)
    with pytest.raises(MessagesError, match=r"messages\[0\]"):
        compare_costs([[5]], [MODEL])  # type: ignore[list-item]


@pytest.mark.registry
def test_prices_are_those_of_litellms_map(registry_env: dict[str, str]) -> None:
    """All models that LiteLLM knows too cost the same there: plain, cached, written, in bands."""
    rows = litellm_rows(registry_env)
    known = [(m, row) for m in models() if (row := litellm_row(rows, m))]
    assert len(known) >= 55
    different = {m.id: wrong for m, row in known if (wrong := differences(m, row))}
    assert not different


def differences(model: Model, row: dict[str, Any]) -> list[str]:
    """The fields in which LiteLLM's price of a model is another."""
    price = model.price
    ours: dict[str, float | None] = {
        "input_cost_per_token": price.input,
        "output_cost_per_token": price.output,
        "cache_read_input_token_cost": price.cached_input,
        "cache_creation_input_token_cost": price.cache_write,
        "input_cost_per_token_batches": price.batch_input,
        "output_cost_per_token_batches": price.batch_output,
    }
    for band in price.bands:
        above = f"above_{band.above_tokens // 1_000}k_tokens"
        ours[f"input_cost_per_token_{above}"] = band.input
        ours[f"output_cost_per_token_{above}"] = band.output
    band_key = re.compile(r"(input|output)_cost_per_token_above_\d+k_tokens")
    bands = {key for key in row if band_key.fullmatch(key)}
    return [key for key in ours.keys() | bands if not same(ours.get(key), row.get(key))]


def same(ours: float | None, theirs: float | None) -> bool:
    """Whether USD per million tokens are USD per token."""
    if ours is None or theirs is None:
        return ours is theirs
    return ours == pytest.approx(theirs * MILLION)


@pytest.mark.registry
def test_bands_and_batches_scale_as_in_litellms_map(registry_env: dict[str, str]) -> None:
    """A long prompt's cache prices, and a long batch's, are what our scaling makes of them."""
    rows, seen = litellm_rows(registry_env), 0
    for model in models():
        row = litellm_row(rows, model) or {}
        for band in model.price.bands:
            above, tokens = f"above_{band.above_tokens // 1_000}k_tokens", band.above_tokens + 1
            for key, usage, batch in (
                (f"cache_read_input_token_cost_{above}", Usage(tokens, 0, tokens), False),
                (f"cache_creation_input_token_cost_{above}", Usage(tokens, 0, 0, tokens), False),
                (f"input_cost_per_token_{above}_batches", Usage(tokens), True),
            ):
                if key in row:
                    seen += 1
                    ours = cost_usd(model, usage, batch=batch)
                    assert ours == pytest.approx(row[key] * tokens), (model.id, key)
    assert seen >= 20


@pytest.mark.registry
def test_costs_are_those_of_genai_prices(
    registry_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the three large providers all costs agree, with a part of the prompt cached."""
    monkeypatch.syspath_prepend(genai_prices_folder(registry_env))
    import genai_prices

    usage = genai_prices.Usage(input_tokens=1_000, output_tokens=500, cache_read_tokens=400)
    known = [model for name in ("openai", "anthropic", "google") for model in models(name)]
    for model in known:
        theirs = genai_prices.calc_price(usage, model.id, provider_id=model.provider).total_price
        assert cost_usd(model, Usage(1_000, 500, 400)) == pytest.approx(float(theirs)), model.id
    assert len(known) > 40


def test_the_sdks_usage_is_priced_as_ours(session: offline.Session) -> None:
    """Whoever uses the bare SDK prices its usage with the same function."""
    model = default_model("openai", "budget")
    messages: Any = [{"role": "user", "content": "Hello"}]
    usage = openai.OpenAI().chat.completions.create(model=model.id, messages=messages).usage
    assert usage is not None
    price = model.price
    expected = usage.prompt_tokens * price.input + usage.completion_tokens * price.output
    cost = estimate_cost(model.id, usage.prompt_tokens, usage.completion_tokens)
    assert cost == pytest.approx(expected / MILLION)
