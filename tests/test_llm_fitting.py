"""What a model refuses is left out with a warning, and nothing else is touched."""

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import openai
import pytest

from course_utils import log, offline
from course_utils.llm import LLMClient
from course_utils.llm.errors import ModelNotFoundError
from course_utils.llm.quirks import DEFAULT_MAX_TOKENS, fit
from course_utils.wire import catalogue
from course_utils.wire.catalogue import Model
from course_utils.wire.request import Message, Request, Tool

PROVIDERS = ("openai", "anthropic", "google", "local")
QUESTION = (Message("user", "Which day comes after Monday? Answer as JSON."),)
TOOLS = (Tool("now", "The time.", {"type": "object", "properties": {}}),)


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


def client(model: Model) -> LLMClient:
    """A client for a model that reaches the stand-in."""
    base_url = offline.session().base_url("local") if model.provider == "local" else None
    return LLMClient(model.provider, model.id, base_url=base_url)


def living(provider: str) -> list[Model]:
    """The models of a provider that have no end yet."""
    return [m for m in catalogue.models(provider) if m.shutdown is None]


def model(provider: str, **facts: Any) -> Model:
    """The first living model of a provider of which these facts hold."""
    return next(m for m in living(provider) if all(getattr(m, k) == v for k, v in facts.items()))


def request(chosen: Model, **changes: Any) -> Request:
    """A plain request to a model, with some changes."""
    return replace(Request(chosen.id, QUESTION), **changes)


def draw(chance: random.Random, chosen: Model) -> Request:
    """A request with anything that a caller may ask for."""

    def maybe(value: Any) -> Any:
        return value if chance.random() < 0.4 else None

    tools = maybe(TOOLS) or ()
    messages = QUESTION if chance.random() < 0.8 else (*QUESTION, Message("assistant", "{"))
    return request(
        chosen,
        messages=messages,
        max_tokens=maybe(chance.choice([5, 50, 10**7])),
        temperature=maybe(chance.choice([0, 0.3, 1])),
        top_p=maybe(0.9),
        seed=maybe(7),
        stop=maybe(("END",)) or (),
        tools=tools,
        tool_choice=maybe(chance.choice(["auto", "required", "now", "none"])) if tools else None,
        parallel_tool_calls=chance.random() < 0.7,
        json_mode=chance.random() < 0.3,
        reasoning_effort=maybe(chance.choice(["none", "minimal", "low", "high"])),
    )


@pytest.mark.parametrize("provider", PROVIDERS)
def test_no_model_refuses_what_was_fitted(provider: str) -> None:
    """Whatever is asked of whichever model of the catalogue, the answer is never a 400."""
    chance = random.Random(1)
    for chosen in living(provider):
        asked = client(chosen)
        for _ in range(6):
            result = asked.send(draw(chance, chosen))
            assert result.finish_reason in ("stop", "length", "tool_calls")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_fitting_is_done_once(provider: str) -> None:
    """A request that was fitted fits: fitting it again changes and warns of nothing."""
    chance = random.Random(2)
    for chosen in living(provider):
        for _ in range(20):
            fitted, _ = fit(draw(chance, chosen), provider, chosen)
            assert fit(fitted, provider, chosen) == (fitted, ())


@pytest.mark.parametrize("provider", PROVIDERS)
def test_each_change_has_its_warning(provider: str) -> None:
    """What is not as it was asked is told, and where nothing is told nothing was changed."""
    chance = random.Random(3)
    for chosen in living(provider):
        for _ in range(20):
            asked = draw(chance, chosen)
            fitted, warnings = fit(asked, provider, chosen)
            # The limit that Anthropic demands is added, and nothing left out for it.
            plain = fitted if asked.max_tokens else replace(fitted, max_tokens=None)
            assert (plain == asked) == (not warnings)


def test_sampling_is_left_out_where_it_is_refused() -> None:
    """The warning names what was left out, the model, and when it would take it."""
    never = model("anthropic", sampling="no")
    fitted, [warning] = fit(request(never, temperature=0.3, top_p=0.5), "anthropic", never)
    assert (fitted.temperature, fitted.top_p) == (None, None)
    assert warning == f"temperature and top_p left out: {never.id} takes no sampling parameters."
    thinking = model("openai", sampling="reasoning_none")
    asked = request(thinking, temperature=0.3)
    fitted, [warning] = fit(asked, "openai", thinking)
    assert fitted.temperature is None
    assert "only with reasoning_effort='none'" in warning
    quiet = replace(asked, reasoning_effort="none")
    assert fit(quiet, "openai", thinking) == (quiet, ())


def test_sampling_reaches_the_models_that_take_it() -> None:
    """A temperature goes to Claude in the body, because its SDK has no argument for it."""
    chosen = model("anthropic", sampling="yes")
    assert client(chosen).chat("Hello", temperature=0.3).warnings == ()
    assert log()[-1].request.temperature == 0.3


def test_names_of_the_limit_are_mapped() -> None:
    """max_tokens goes out under the name that the provider's models take."""
    for provider in PROVIDERS:
        result = client(catalogue.default_model(provider)).chat("Hello", max_tokens=3)
        assert result.finish_reason == "length"
        assert log()[-1].request.max_tokens == 3


def test_anthropic_gets_a_limit_that_it_demands() -> None:
    """Without one a call to Anthropic would be a 400; other providers get none."""
    for provider in PROVIDERS:
        assert client(catalogue.default_model(provider)).chat("Hello").warnings == ()
        limit = DEFAULT_MAX_TOKENS if provider == "anthropic" else None
        assert log()[-1].request.max_tokens == limit


def test_a_forced_tool_is_left_to_the_model() -> None:
    """A model that refuses to be forced may still call the tool."""
    chosen = model("anthropic", forced_tool_choice=False)
    result = client(chosen).chat("Which time is it?", tools=TOOLS, tool_choice="now")
    assert [f"{chosen.id} decides for itself" in warning for warning in result.warnings] == [True]
    willing = model("anthropic", forced_tool_choice=True)
    assert client(willing).chat("Hello", tools=TOOLS, tool_choice="now").tool_calls


def test_a_prefill_is_left_out_where_it_is_refused() -> None:
    """The beginning of an answer is dropped with a warning, and the question stands."""
    chosen = model("anthropic", assistant_prefill=False)
    result = client(chosen).chat([*QUESTION, Message("assistant", "{")])
    assert "does not go on with the beginning" in result.warnings[0]
    assert log()[-1].request.messages == QUESTION


def test_an_effort_is_left_out_where_nothing_is_thought() -> None:
    """A model that does not reason takes no reasoning_effort; Claude has no "minimal"."""
    plain = next(m for p in PROVIDERS for m in catalogue.models(p) if not m.reasoning)
    fitted, [warning] = fit(request(plain, reasoning_effort="low"), plain.provider, plain)
    assert fitted.reasoning_effort is None
    assert "does not think" in warning
    claude = model("anthropic", reasoning=True)
    fitted, [warning] = fit(request(claude, reasoning_effort="minimal"), "anthropic", claude)
    assert fitted.reasoning_effort == "low"


def test_a_limit_above_the_models_own_is_lowered() -> None:
    """Anthropic refuses a limit that the model cannot reach."""
    chosen = catalogue.default_model("anthropic")
    result = client(chosen).chat("Hello", max_tokens=10**7)
    assert str(chosen.max_output_tokens) in result.warnings[0]


def test_an_unknown_model_is_sent_all_that_its_format_can_say() -> None:
    """Where the catalogue knows nothing, nothing is guessed: the server decides."""
    asked = LLMClient("openai", "my-own-model", base_url=offline.session().base_url("openai"))
    wish = asked.request("Hello", temperature=0.3, max_tokens=5, seed=1)
    assert asked.fit(wish) == (wish, ())
    with pytest.raises(ModelNotFoundError):
        asked.send(wish)


def test_the_sdk_alone_is_refused() -> None:
    """Where theirs fails: the same wish through the raw SDK is a 400."""
    chosen = model("openai", sampling="reasoning_none")
    with pytest.raises(openai.BadRequestError, match="temperature"):
        openai.OpenAI().chat.completions.create(
            model=chosen.id, messages=[{"role": "user", "content": "Hello"}], temperature=0.3
        )
    assert client(chosen).chat("Hello", temperature=0.3).content
