"""The catalogue of models: its figures, its dates, its quirks, and how a model is found."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from course_utils.errors import (
    CourseError,
    RetiredModelError,
    UnknownModelError,
    UnknownProviderError,
)
from course_utils.wire.catalogue import (
    Band,
    Model,
    RetiredModel,
    Tier,
    default_model,
    embedding_models,
    family,
    find_model,
    models,
    moderation_models,
    provider,
    providers,
    retired_models,
)

PACKAGE = Path(__file__).parents[1] / "course_utils"
PRICES = Path(__file__).parents[2] / "shared" / "data" / "prices.json"
TIERS: tuple[Tier, ...] = ("budget", "standard", "premium")
DEFAULTS = [(p.id, tier) for p in providers() for tier in TIERS]


def prices() -> dict[str, Any]:
    """The collected price table that the catalogue was written from."""
    if not PRICES.exists():
        pytest.skip(f"the price table {PRICES.name} is not beside this repository")
    table: dict[str, Any] = json.loads(PRICES.read_text("utf-8"))
    return table


def all_models() -> list[Model | RetiredModel]:
    """Every id that the catalogue knows, living or retired."""
    return [*models(), *retired_models()]


def figures_of(model: Model) -> dict[str, Any]:
    """A model's figures under the names of the price table."""
    price = model.price
    return {
        "tier": model.tier,
        "input": price.input,
        "output": price.output,
        "cached_input": price.cached_input,
        "cache_write": price.cache_write,
        "batch_input": price.batch_input,
        "batch_output": price.batch_output,
        "context": model.context_tokens,
        "max_output": model.max_output_tokens,
        "reasoning": model.reasoning,
        "deprecation_date": model.shutdown and model.shutdown.isoformat(),
        "as_of": model.as_of.isoformat(),
        "source": model.source,
    }


def bands_in(row: dict[str, Any]) -> tuple[Band, ...]:
    """The bands of a row of the price table."""
    long_prompt: dict[str, float] = row["long_context_bands"] or {}
    borders = sorted({int(n) for n in re.findall(r"above_(\d+)k", " ".join(long_prompt))})
    return tuple(
        Band(
            above_tokens=border * 1000,
            input=long_prompt[f"input_cost_per_token_above_{border}k_tokens"],
            output=long_prompt[f"output_cost_per_token_above_{border}k_tokens"],
        )
        for border in borders
    )


def test_every_row_of_the_price_table_is_in_the_catalogue() -> None:
    """Each of the collected rows has the same figures, bands, dates and source here."""
    rows = prices()["rows"]
    assert len(rows) == len(models()) - len(models("local"))
    for row in rows:
        model = find_model(row["model"], row["provider"])
        figures = figures_of(model)
        assert figures == {name: row[name] for name in figures}, row["model"]
        assert model.price.bands == bands_in(row), row["model"]


def test_known_refusals_of_the_price_table_are_quirks_in_the_catalogue() -> None:
    """Where the table says that a model refuses something, the catalogue says so too."""
    for row in prices()["rows"]:
        model = find_model(row["model"], row["provider"])
        if row["sampling_params"] is not None:
            assert (model.sampling == "yes") is row["sampling_params"], row["model"]
        if row["forced_tool_choice"] is not None:
            assert model.forced_tool_choice is row["forced_tool_choice"], row["model"]


def test_every_model_has_plausible_figures() -> None:
    """No model is dearer batched than not, cached than not, or has an empty window."""
    for model in models():
        price = model.price
        assert model.max_output_tokens > 0
        assert model.context_tokens > 0
        assert 0 <= (price.cached_input or 0) <= price.input
        assert (price.batch_input or 0) <= price.input
        assert (price.batch_output or 0) <= price.output
        assert (model.encoding is None) or model.estimate_factor == 1.0


@pytest.mark.parametrize(("provider_id", "tier"), DEFAULTS)
def test_default_models_stay_for_sixty_days(provider_id: str, tier: Tier) -> None:
    """A lesson's default model exists and will not be shut down within sixty days of today."""
    model = default_model(provider_id, tier)
    assert model.provider == provider_id
    assert not model.is_shut_down(date.today() + timedelta(days=60))


def test_default_models_are_those_of_the_tiers() -> None:
    """The course's choice a tier, so that a change is made knowingly."""
    assert {p.id: tuple(p.default_models[tier] for tier in TIERS) for p in providers()} == {
        "openai": ("gpt-6-luna", "gpt-6.1-sol", "gpt-6-astra"),
        "anthropic": ("claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5"),
        "google": ("gemini-3.5-flash-lite", "gemini-3.8-flash", "gemini-4-argon"),
        "local": ("gpt-oss:20b", "gpt-oss:20b", "gpt-oss:120b"),
    }


def test_every_successor_is_a_model_that_lives_on() -> None:
    """Nobody is sent from one dead model to another."""
    for model in all_models():
        if model.successor:
            successor = find_model(model.successor, model.provider)
            assert not successor.is_shut_down(date.today()), model.id


def sdk_source(module: str) -> str:
    """The source of a module of an installed SDK, read without importing the SDK."""
    package, _, inside = module.partition(".")
    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent.joinpath(*inside.split(".")).with_suffix(".py").read_text()


def openai_sdk_dates() -> dict[str, date]:
    """Shutdown days from the docstring under ``ChatModel``."""
    docstring = sdk_source("openai.types.shared.chat_model").split('"""Deprecated values:')[1]
    items = re.findall(r"^- (.*?)(?=^- |\Z)", docstring, re.MULTILINE | re.DOTALL)
    found = {}
    for item in items:
        day = re.search(r"shutdown\s+date:\s+(\d{4}-\d{2}-\d{2})", item)
        if day:
            names = re.findall(r'"([^"]+)"', item)
            found.update(dict.fromkeys(names, date.fromisoformat(day[1])))
    return found


def anthropic_sdk_dates() -> dict[str, date]:
    """Retirement days from ``DEPRECATED_MODELS``, written like "November 30th, 2026"."""
    source = sdk_source("anthropic.resources.messages.messages")
    table = source.split("DEPRECATED_MODELS = {")[1].split("}")[0]
    return {
        name: datetime.strptime(f"{month} {day} {year}", "%B %d %Y").date()
        for name, month, day, year in re.findall(r'"(.+?)": "(\w+) (\d+)\w\w, (\d{4})"', table)
    }


@pytest.mark.parametrize(
    ("provider_id", "declared", "at_least"),
    [("openai", openai_sdk_dates, 70), ("anthropic", anthropic_sdk_dates, 20)],
)
def test_shutdown_days_agree_with_the_installed_sdk(
    provider_id: str, declared: Any, at_least: int
) -> None:
    """A model that both know is shut down on the same day in both."""
    days = declared()
    assert len(days) >= at_least, "the SDK's list was not understood"
    ours = {name: our_shutdown(name, provider_id) for name in days}
    both = {name: day for name, day in ours.items() if day != "unknown"}
    assert len(both) >= at_least * 0.8
    assert both == {name: days[name] for name in both}


def our_shutdown(name: str, provider_id: str) -> date | str | None:
    """The catalogue's day for an id, a snapshot or a retired model, else "unknown"."""
    try:
        return find_model(name, provider_id).shutdown
    except RetiredModelError as retired:
        return retired.shutdown
    except UnknownModelError:
        return "unknown"


@pytest.mark.parametrize(
    ("snapshot", "base"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("gpt-4-0613", "gpt-4"),
        ("gpt-5.4-nano-2026-03-17", "gpt-5.4-nano"),
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("gemini-2.5-flash-001", "gemini-2.5-flash"),
        ("models/gemini-3.8-flash", "gemini-3.8-flash"),
    ],
)
def test_a_dated_snapshot_is_its_base_model(snapshot: str, base: str) -> None:
    """The provider's frozen versions are found by the name of the model."""
    assert find_model(snapshot) is find_model(base)


@pytest.mark.parametrize("model_id", [model.id for model in models()])
def test_no_model_id_is_taken_for_a_snapshot(model_id: str) -> None:
    """Every id in the file finds the model of exactly that id."""
    assert find_model(model_id).id == model_id


def test_a_host_may_be_named_for_a_shared_id() -> None:
    """An open model has one id at two hosts, and each host its own limits."""
    shared = "openai/gpt-oss-120b"
    assert find_model(shared).provider == "groq"
    assert find_model(shared, "together").provider == "together"


def test_an_unknown_model_names_the_nearest() -> None:
    """A typing error is answered with the id that was meant."""
    with pytest.raises(UnknownModelError) as caught:
        find_model("gpt6-luna")
    assert caught.value.nearest[0] == "gpt-6-luna"
    assert str(caught.value).startswith(
        "There is no model 'gpt6-luna' in the course's catalogue: did you mean 'gpt-6-luna'"
    )


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("GPT-4O", "gpt-4o"),
        ("kimi-k3", "moonshotai/Kimi-K3"),
        ("gpt-oss-20b", "openai/gpt-oss-20b"),
    ],
)
def test_the_nearest_model_is_found_whatever_the_case_or_vendor(asked: str, meant: str) -> None:
    """Case and a vendor's prefix do not hide the right id."""
    with pytest.raises(UnknownModelError) as caught:
        find_model(asked)
    assert meant in caught.value.nearest


def test_nothing_near_still_says_what_to_do() -> None:
    """A name like none of ours gets advice and no absurd guess."""
    with pytest.raises(UnknownModelError, match="check its spelling") as caught:
        find_model("qqqqqqqqqqqqqqqqqqqqqq")
    assert caught.value.nearest == ()


def test_a_model_of_an_old_tutorial_is_retired_not_unknown() -> None:
    """The message gives the day, and the successor where the provider names one."""
    with pytest.raises(RetiredModelError, match="is retired since 2025-10-28") as caught:
        find_model("claude-3-5-sonnet-20241022")
    assert caught.value.shutdown == date(2025, 10, 28)
    with pytest.raises(RetiredModelError, match=r"use 'gpt-5\.6-sol' instead"):
        find_model("gpt-4o-2024-05-13")
    with pytest.raises(RetiredModelError, match=r"2026-06-01: use 'gemini-3\.8-flash' instead"):
        find_model("models/gemini-2.0-flash-001")
    with pytest.raises(RetiredModelError, match="no longer listed"):
        find_model("claude-3-haiku-20240307")


def test_retired_models_of_the_price_table_are_known() -> None:
    """Each id that the table names in full as retired is so here."""
    known = {model.id for model in retired_models()}
    for names in prices()["retired_not_in_map"]:
        if "*" not in names:
            first, *days = names.split("/")
            stem = first.rpartition("-")[0]
            assert {first, *(f"{stem}-{day}" for day in days)} <= known


def test_shutdown_counts_from_the_day_itself() -> None:
    """A model is up the day before its shutdown, and down from that day on."""
    model = find_model("gpt-4o")
    assert not model.is_shut_down(date(2027, 1, 13))
    assert model.is_shut_down(date(2027, 1, 14))
    assert not find_model("gpt-6-luna").is_shut_down(date(2100, 1, 1))


def test_unknown_providers_and_tiers_are_answered_with_the_known_ones() -> None:
    """Each of these is one course error that lists the choice."""
    with pytest.raises(UnknownProviderError, match="'openai', 'anthropic', 'google' or 'local'"):
        provider("azure")
    with pytest.raises(UnknownProviderError, match="'mistral'"):
        models("azure")
    with pytest.raises(CourseError, match="choose 'budget', 'standard' or 'premium'"):
        default_model("openai", "cheap")  # type: ignore[arg-type]


def test_providers_say_where_they_are() -> None:
    """The documented public addresses, and the variable that holds the key."""
    assert {p.id: (p.base_url, p.key_env) for p in providers()} == {
        "openai": ("https://api.openai.com/v1", "OPENAI_API_KEY"),
        "anthropic": ("https://api.anthropic.com", "ANTHROPIC_API_KEY"),
        "google": ("https://generativelanguage.googleapis.com", "GEMINI_API_KEY"),
        "local": ("http://localhost:11434/v1", None),
    }
    assert provider("google").openai_base_url == f"{provider('google').base_url}/v1beta/openai/"


def ids_where(provider_id: str, **wanted: object) -> set[str]:
    """The ids at one provider whose fields have these values."""
    return {
        model.id
        for model in models(provider_id)
        if all(getattr(model, name) == value for name, value in wanted.items())
    }


def test_openai_o_series_and_gpt_5_on_refuse_max_tokens() -> None:
    """They take max_completion_tokens only; older models take max_tokens."""
    refuse = ids_where("openai", max_tokens_param="max_completion_tokens")
    assert refuse == {m.id for m in models("openai") if re.match(r"o\d|gpt-[56]", m.id)}


def test_gpt_6_takes_temperature_only_without_reasoning() -> None:
    """Every gpt-6 model wants reasoning_effort="none" for it."""
    gpt_6 = {m.id for m in models("openai") if m.id.startswith("gpt-6")}
    assert len(gpt_6) == 5
    assert gpt_6 <= ids_where("openai", sampling="reasoning_none")


def test_claude_refuses_sampling_parameters_from_opus_4_7_on() -> None:
    """So do sonnet-5 and haiku-5-5; only the 4.5 and 4.6 models of the catalogue take them."""
    assert ids_where("anthropic", sampling="yes") == {
        "claude-haiku-4-5",
        "claude-sonnet-4-5",
        "claude-sonnet-4-6",
    }


def test_some_claude_models_refuse_a_forced_tool_choice() -> None:
    """sonnet-5-5, opus-5-5 and fable-5-1 answer 400 to it."""
    assert ids_where("anthropic", forced_tool_choice=False) == {
        "claude-sonnet-5-5",
        "claude-opus-5-5",
        "claude-fable-5-1",
    }


def test_claude_refuses_a_prefill_from_4_6_on() -> None:
    """Only the 4.5 models still continue a last assistant message."""
    taken = ids_where("anthropic", assistant_prefill=True)
    assert taken == {"claude-haiku-4-5", "claude-sonnet-4-5"}


def test_newer_small_gemini_models_refuse_sampling_parameters() -> None:
    """3.5-flash-lite and 3.8-flash do; 3.5-flash and the others do not."""
    refuse = ids_where("google", sampling="no")
    assert refuse == {"gemini-3.5-flash-lite", "gemini-3.8-flash"}


def test_gemini_2_5_is_routed_to_its_successor() -> None:
    """From 2026-12-01 requests are answered by another model, not refused."""
    assert ids_where("google", after_shutdown="routed") == {"gemini-2.5-flash", "gemini-2.5-pro"}
    assert find_model("gemini-2.5-pro").successor == "gemini-3.8-flash"
    assert find_model("gemini-2.5-flash").successor == "gemini-3.5-flash-lite"


def test_gpt_4o_and_its_siblings_go_to_gpt_6_luna() -> None:
    """OpenAI names one successor for the four models that end on 2027-01-14."""
    ending = ids_where("openai", shutdown=date(2027, 1, 14), successor="gpt-6-luna")
    assert ending == {"gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini"}


def test_long_prompts_have_their_own_price() -> None:
    """gpt-6 doubles the input over 272k tokens; claude-haiku-5-5 costs five times over 100k."""
    luna, haiku = find_model("gpt-6-luna").price, find_model("claude-haiku-5-5").price
    assert luna.bands == (Band(272_000, luna.input * 2, luna.output * 1.5),)
    assert haiku.bands == (Band(100_000, haiku.input * 5, haiku.output * 5),)


def test_only_gpt_4_and_gpt_3_5_use_the_older_encoding() -> None:
    """Every other OpenAI model, and gpt-oss anywhere, counts with o200k_base."""
    older = ids_where("openai", encoding="cl100k_base")
    assert older == {"gpt-4", "gpt-4-turbo", "gpt-3.5-turbo"}
    others = {m.encoding for m in models() if m.provider == "openai" or "gpt-oss" in m.id}
    assert others == {"o200k_base", "cl100k_base"}


def test_claude_counts_are_estimated_by_the_published_factors() -> None:
    """1.18 up to 4.6 and 1.53 from 4.7, relative to o200k_base."""
    up_to_4_6 = ids_where("anthropic", encoding=None, estimate_factor=1.18)
    assert up_to_4_6 == {"claude-haiku-4-5", "claude-sonnet-4-5", "claude-sonnet-4-6"}
    assert ids_where("anthropic", estimate_factor=1.53) == ids_where("anthropic") - up_to_4_6


def test_importing_the_catalogue_does_not_read_it() -> None:
    """The file is read at the first question, so the import stays cheap."""
    code = (
        "import sys, course_utils.wire.catalogue as c; assert 'tomllib' not in sys.modules; "
        "assert c._catalogue.cache_info().currsize == 0; c.models(); "
        "assert c._catalogue.cache_info().currsize == 1"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("gpt-3.5-turbo-0613", {"encoding": "cl100k_base", "reasoning": False,
                                "fingerprint": False}),
        ("gpt-4-turbo", {"encoding": "cl100k_base", "reasoning": False, "fingerprint": False}),
        ("gpt-4o-2024-08-06", {"encoding": None, "reasoning": False, "fingerprint": True}),
        ("ft:gpt-4o-mini:course::1", {"reasoning": False, "priming_tokens": 3}),
        ("chatgpt-4o-latest", {"reasoning": False}),
        ("o3-mini-2025-01-31", {"reasoning": True, "priming_tokens": 2, "always_reasons": True}),
        ("gpt-5-2025-08-07", {"fingerprint": False, "priming_tokens": 2, "effort": "medium"}),
        ("gpt-5.1", {"effort": "none", "top_p": 1.0, "framing_tokens": 1}),
        ("gpt-5.4-mini", {"effort": "none", "top_p": 0.98, "has_phase": False}),
        ("openai/gpt-5.5", {"effort": "medium", "has_phase": True,
                            "reasoning_context": "current_turn"}),
        ("gpt-5.6-sol", {"reasoning_context": "all_turns", "cache_retention": "24h"}),
        ("gpt-7", {"reasoning": True, "reasoning_context": "all_turns", "framing_tokens": 4}),
        ("My model", {"reasoning": None, "encoding": None, "effort": None, "top_p": 1.0}),
        ("claude-3-5-sonnet-20241022", {"shows_thinking": True, "counts_thinking": False,
                                        "names_place": False}),
        ("claude-opus-4-20250514", {"shows_thinking": True, "names_place": False}),
        ("claude-haiku-4-5-20251001", {"shows_thinking": True, "names_place": False}),
        ("claude-opus-4-6", {"shows_thinking": True, "counts_thinking": False,
                             "names_place": True}),
        ("claude-opus-4-7", {"shows_thinking": False, "counts_thinking": False,
                             "names_place": True}),
        ("claude-opus-4-8", {"shows_thinking": False, "counts_thinking": True}),
        ("claude-sonnet-5", {"shows_thinking": False, "counts_thinking": True,
                             "names_place": True}),
    ],
)  # fmt: skip
def test_a_name_tells_what_its_generation_does(name: str, facts: dict[str, Any]) -> None:
    """A family is found by name, with a date, a vendor or a fine-tuning's mark around it or not."""
    found = family(name)
    assert {field: getattr(found, field) for field in facts} == facts


def test_families_and_models_agree() -> None:
    """Where a model's table and its family speak of the same, they say the same."""
    for model in models("openai"):
        found = family(model.id)
        assert found.reasoning is model.reasoning, model.id
        assert found.encoding in (None, model.encoding), model.id
        assert (found.encoding is None) is (model.encoding == "o200k_base"), model.id


def strings_in(path: Path) -> Iterator[tuple[int, str]]:
    """The strings in a module, each with its line; docstrings are left out."""
    tree = ast.parse(path.read_text("utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    first = [node.body[0] for node in ast.walk(tree) if isinstance(node, documented) and node.body]
    docstrings = {id(node.value) for node in first if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in docstrings:
            yield node.lineno, str(node.value)


def naming_a_model() -> re.Pattern[str]:
    """Fits a text with a model's id in it, or a pattern for a family of models."""
    ids = {model.id for model in all_models()} | set(moderation_models())
    ids |= {name for p in providers() for name in embedding_models(p.id)}
    stems = {re.split(r"-?\d", name.rpartition("/")[2])[0] for name in ids} - {"", "o"}
    whole, begun = ("|".join(map(re.escape, sorted(names))) for names in (ids, stems))
    # After "gpt" comes a version or what stands for one in a regular expression.
    return re.compile(rf"\b(?:{whole})\b|\b(?:{begun})-?[\d(\[\\]|\bo(?:\\d|\[|\d\b)")


def test_no_module_names_a_model() -> None:
    """Ids of models and patterns for families of them stand in the catalogue's files alone."""
    names = naming_a_model()
    assert all(names.search(text) for text in ("gpt-(4|5)(-|$)", "claude-haiku-4", r"o\d", "o3"))
    found = [
        f"{path.relative_to(PACKAGE)}:{line}: {text[:60]!r}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line, text in strings_in(path)
        if names.search(text)
    ]
    assert found == []
