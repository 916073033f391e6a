"""A/B comparison: pairing, the interval and its coverage, and when it says that it cannot tell."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from course_utils import faults, offline
from course_utils.llm.bootstrap import bootstrap_interval
from course_utils.llm.client import LLMClient
from course_utils.llm.comparing import ABResult, compare_models
from course_utils.llm.errors import LLMError, ServerError, SettingError
from course_utils.llm.result import ChatResult
from course_utils.wire.catalogue import default_model
from course_utils.wire.reply import Usage

PROMPTS = [f"Question {number}: name a colour and say why." for number in range(24)]
ANSWER = ChatResult("Yes.", "stop", Usage(5, 2), "m", "p", cost_usd=0.01)


def reference(values: Any, draws: int, seed: int) -> tuple[float, float]:
    """The plain percentile interval, as a textbook draws it, in one step."""
    rng = np.random.default_rng(seed)
    means = np.asarray(values)[rng.integers(0, len(values), size=(draws, len(values)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


# Student's quantiles at 97.5 % by degrees of freedom, from any printed table.
STUDENT = {4: 2.776, 9: 2.262, 19: 2.093, 29: 2.045, 99: 1.984}


@pytest.mark.parametrize("n", [5, 10, 20, 30, 100])
def test_the_interval_is_the_textbook_one_widened_by_students_table(n: int) -> None:
    """The same draws give numpy's percentiles, and the widening is √(n/(n-1)) · t/1.96."""
    values = np.random.default_rng(n).exponential(size=n)
    low, high = reference(values, 5_000, seed=3)
    wider = math.sqrt(n / (n - 1)) * STUDENT[n - 1] / 1.959964
    ours = bootstrap_interval(list(values), seed=3)
    mean = values.mean()
    expected = (mean - (mean - low) * wider, mean, mean + (high - mean) * wider)
    assert (ours.low, ours.mean, ours.high) == pytest.approx(expected, abs=4e-3)


NORMAL, SKEWED, YES_NO = "normal", "skewed", "yes or no"


def drawn(kind: str, n: int, rng: np.random.Generator) -> tuple[list[float], float]:
    """Simulated differences, and their true mean."""
    if kind == NORMAL:
        return list(rng.normal(0.3, 1, n)), 0.3
    if kind == SKEWED:  # like differences in latency
        return list(rng.exponential(1, n) - rng.exponential(0.5, n)), 0.5
    return list(rng.choice([-1.0, 0.0, 1.0], n, p=[0.2, 0.4, 0.4])), 0.2


@pytest.mark.parametrize("n", [10, 20, 50])
@pytest.mark.parametrize("kind", [NORMAL, SKEWED, YES_NO])
def test_the_interval_holds_the_truth_95_times_in_100(kind: str, n: int) -> None:
    """In 1,000 simulated comparisons: 92 to 97.5 %, where chance alone spreads by ±1.4 %.

    Skewed differences in small samples fall short: 91 to 93 % is what is reached there.
    """
    rng = np.random.default_rng(1_000 + n)
    hits = 0
    for trial in range(1_000):
        values, truth = drawn(kind, n, rng)
        hits += truth in bootstrap_interval(values, draws=800, seed=trial)
    least = 0.895 if kind == SKEWED and n < 50 else 0.92
    assert least <= hits / 1_000 <= 0.975


def test_the_plain_interval_is_too_narrow_for_few_samples() -> None:
    """Why ours is widened: of 10 samples, the textbook's holds the truth in 91 % or less."""
    rng = np.random.default_rng(7)
    hits = 0
    for trial in range(1_000):
        low, high = reference(rng.normal(0, 1, 10), 800, trial)
        hits += low <= 0 <= high
    assert hits / 1_000 < 0.92


def test_the_same_seed_gives_the_same_interval() -> None:
    """Another seed gives nearly the same."""
    values = list(np.random.default_rng(0).normal(0, 1, 40))
    one, same, other = (bootstrap_interval(values, seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert one != other
    assert other.low == pytest.approx(one.low, abs=0.05)


@pytest.mark.parametrize(
    ("values", "settings"),
    [([], {}), ([1.0], {}), ([1.0, 2.0], {"level": 1}), ([1.0, 2.0], {"draws": 5})],
)
def test_senseless_intervals_are_refused(values: list[float], settings: dict[str, Any]) -> None:
    """One value has no spread, and a level is between 0 and 1."""
    with pytest.raises(SettingError, match="give at least 2 values"):
        bootstrap_interval(values, **settings)


@dataclass
class Scored:
    """A client whose answers are worth what it is told; the prompt's own difficulty is shared."""

    name: str
    worth: list[float | LLMError]
    asked: list[Any] = field(default_factory=list)

    def chat(self, messages: Any, **options: Any) -> ChatResult:
        """An answer whose text is its worth."""
        self.asked.append(messages)
        worth = self.worth[PROMPTS.index(messages)]
        if isinstance(worth, LLMError):
            raise worth
        return replace(ANSWER, content=str(worth))


def worth(prompt: Any, result: ChatResult) -> float:
    """The score that the answer carries."""
    return float(result.content)


def scored(gain: float, noise: float, n: int = 24, seed: int = 0) -> ABResult:
    """Two models on prompts of very different difficulty, b better by ``gain`` on average."""
    rng = random.Random(seed)
    hard = [rng.uniform(0, 100) for _ in range(n)]
    a = Scored("a/model", [each + rng.gauss(0, noise) for each in hard])
    b = Scored("b/model", [each + gain + rng.gauss(0, noise) for each in hard])
    return compare_models(PROMPTS[:n], a, b, worth)


def test_pairing_finds_what_two_averages_would_not() -> None:
    """A gain of 2 among prompts that differ by 100 is seen, because each is its own reference."""
    found = scored(gain=2, noise=1)
    assert found.better == "b"
    assert found.verdict.startswith("b/model is better. worth: b/model minus a/model is +")
    assert "24 pairs" in found.verdict
    a = [pair.a_score for pair in found.pairs]
    b = [pair.b_score for pair in found.pairs]
    assert found.interval is not None
    assert found.interval.mean == pytest.approx(np.mean(b) - np.mean(a))
    spread = bootstrap_interval(a), bootstrap_interval(b)
    assert spread[0].high > spread[1].low


def test_no_difference_is_called_one_in_1_of_20_at_most() -> None:
    """Of 300 comparisons of equal models, about 5 % find a better one, as the level says."""
    found = sum(scored(gain=0, noise=1, seed=seed).better is not None for seed in range(300))
    assert found / 300 <= 0.09


def test_too_few_samples_is_said() -> None:
    """Under 10 pairs there is no verdict, however large the difference."""
    found = scored(gain=50, noise=1, n=9)
    assert found.better is None
    assert found.verdict.startswith("Too few samples to tell: 9 whole pairs, and at least 10")


def test_a_small_difference_says_how_many_pairs_it_takes() -> None:
    """With as many pairs as it names, such a difference is found in most cases."""
    found = scored(gain=0.3, noise=1, seed=3)
    assert found.better is None
    assert found.needed_pairs is not None
    assert f"about {found.needed_pairs:,} in all" in found.verdict
    assert "The interval holds 0" in found.verdict
    assert found.needed_pairs > 24


def test_equal_answers_are_no_difference() -> None:
    """Where every pair is equal, that is the verdict."""
    found = scored(gain=0, noise=0)
    assert found.verdict == "No difference: worth is the same in all 24 pairs."
    assert found.better is None


def test_failed_calls_take_their_pair_out() -> None:
    """A pair with a failure is left out on both sides, counted, and its error shown."""
    a = Scored("a/model", [1.0 + n % 3 for n in range(24)])
    b = Scored("b/model", [9.0 if n > 1 else ServerError("down") for n in range(24)])
    found = compare_models(PROMPTS, a, b, worth)
    assert (len(found.differences), found.a.failures, found.b.failures) == (22, 0, 2)
    assert "2 of 24 prompts are left out" in found.verdict
    assert found.pairs[0].error == "b/model: ServerError: down"
    assert found.better == "b"
    assert len(a.asked) == len(b.asked) == 24


def test_who_goes_first_is_drawn() -> None:
    """Each model is first about half of the time, and the same seed draws the same."""
    order: list[str] = []

    class Noted(Scored):
        def chat(self, messages: Any, **options: Any) -> ChatResult:
            order.append(self.name)
            return super().chat(messages, **options)

    sides = [Noted(name, [1.0] * 24) for name in ("a/model", "b/model")]
    compare_models(PROMPTS, *sides, worth, draw_seed=5)
    first, order[:] = order[:], []
    compare_models(PROMPTS, *sides, worth, draw_seed=5)
    assert order == first
    assert 6 <= order[::2].count("b/model") <= 18


@pytest.fixture
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


def test_costs_of_real_clients(session: offline.Session) -> None:
    """The budget model is cheaper on the same prompts, and each side's money adds up."""
    a, b = LLMClient("openai", tier="premium"), LLMClient("openai", tier="budget")
    found = compare_models(PROMPTS, a, b, "cost", max_tokens=100)
    assert found.better == "b"
    assert found.verdict.startswith(f"openai/{default_model('openai', 'budget').id} is better.")
    costs = [pair.a.cost_usd for pair in found.pairs if pair.a and pair.a.cost_usd]
    assert found.a.cost_usd == pytest.approx(sum(costs))
    assert compare_models(PROMPTS[:2], a, b, lambda _, result: 1.0, seed=3).what == "score"
    assert found.a.mean_latency_s is not None
    assert found.a.mean_latency_s > 0
    assert session.server.log.last_number == 48 + 4


def test_frames(session: offline.Session) -> None:
    """One row a prompt, and one row a model, with names that say their units."""
    clients = LLMClient("openai"), LLMClient("anthropic")
    with faults("500", provider="anthropic", times=1):
        found = compare_models(PROMPTS[:12], *clients, "length", max_tokens=60)
    rows, sides = found.frame(), found.sides()
    assert list(rows.columns) == [
        "prompt", "difference", "a_score", "a_cost_usd", "a_latency_s", "a_tokens",
        "b_score", "b_cost_usd", "b_latency_s", "b_tokens", "error",
    ]  # fmt: skip
    assert len(rows) == 12
    assert rows["difference"].isna().sum() == rows["error"].notna().sum() == 1
    assert list(sides["answers"]) == [12, 11]


def test_bad_input_is_refused() -> None:
    """No prompts, an unknown measure, a score that is no number, and a price that is not known."""
    a, b = Scored("a/model", [1.0] * 24), Scored("b/model", [2.0] * 24)
    with pytest.raises(SettingError, match="at least 10"):
        compare_models([], a, b, "length")
    with pytest.raises(SettingError, match="choose cost, latency, length"):
        compare_models(PROMPTS, a, b, "taste")  # type: ignore[arg-type]
    for bad in (None, math.nan, "good"):
        with pytest.raises(SettingError, match="return a finite number"):
            compare_models(PROMPTS, a, b, lambda prompt, result, bad=bad: bad)  # type: ignore[misc]

    class Priceless(Scored):
        def chat(self, messages: Any, **options: Any) -> ChatResult:
            return replace(ANSWER, cost_usd=None)

    with pytest.raises(SettingError, match="has no price for m"):
        compare_models(PROMPTS, a, Priceless("b/model", []), "cost")
