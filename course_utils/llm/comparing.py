"""A/B: the same prompts to two models, and whether the difference is more than luck.

The prompts are paired: both models get each of them, so an easy prompt is easy for both, and what
is left is the difference between the models. Its mean comes with an interval; where that holds 0,
or where there are too few pairs, the comparison says that it cannot tell, and how many pairs a
difference of this size would take.

What professionals use: promptfoo, Braintrust and LangSmith run such comparisons with a web page;
`scipy.stats.bootstrap` draws the interval; for scores that are yes or no, McNemar's test.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from course_utils.llm.bootstrap import Interval, bootstrap_interval
from course_utils.llm.chat import Chat, Messages
from course_utils.llm.errors import LLMError, SettingError
from course_utils.llm.result import ChatResult
from course_utils.llm.wrapping import name_of

if TYPE_CHECKING:
    from pandas import DataFrame

Scorer = Callable[[Messages, ChatResult], float]
"""The worth of an answer to a prompt; more is better."""
Measure = Literal["cost", "latency", "length"]
# Fewer pairs say too little of how much the differences vary.
FEWEST_PAIRS = 10


@dataclass(frozen=True, slots=True)
class Pair:
    """What both models made of one prompt; None where that one failed.

    ``difference`` is b's score minus a's, None where either failed.
    """

    prompt: Messages
    a: ChatResult | None
    b: ChatResult | None
    a_score: float | None
    b_score: float | None
    error: str | None = None

    @property
    def difference(self) -> float | None:
        """How much better b was."""
        if self.a_score is None or self.b_score is None:
            return None
        return self.b_score - self.a_score


@dataclass(frozen=True, slots=True)
class Side:
    """What one model did with all prompts. Costs in USD, None where its price is not known."""

    name: str
    answers: int
    failures: int
    mean_score: float | None
    cost_usd: float | None
    mean_latency_s: float | None
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class ABResult:
    """Two models on the same prompts.

    Attributes:
        what: what was compared.
        a, b: each side by itself.
        pairs: one for each prompt, in its order.
        interval: of the mean of b's score minus a's; None for fewer than two whole pairs.
        lower_is_better: true for cost, latency and length.
        needed_pairs: about how many it would take to be sure of a difference of this size.
    """

    what: str
    a: Side
    b: Side
    pairs: tuple[Pair, ...]
    interval: Interval | None
    lower_is_better: bool
    needed_pairs: int | None

    @property
    def differences(self) -> list[float]:
        """B's score minus a's, of the pairs in which both answered."""
        return [pair.difference for pair in self.pairs if pair.difference is not None]

    @property
    def better(self) -> Literal["a", "b"] | None:
        """Which one is better, as sure as the interval is; None where it cannot be told."""
        if self.interval is None or len(self.differences) < FEWEST_PAIRS or 0 in self.interval:
            return None
        return "b" if (self.interval.mean > 0) != self.lower_is_better else "a"

    @property
    def verdict(self) -> str:
        """The outcome in a sentence or two."""
        n = len(self.differences)
        lost = len(self.pairs) - n
        note = f" {lost} of {len(self.pairs)} prompts are left out: a call failed." if lost else ""
        if self.interval is None or n < FEWEST_PAIRS:
            return (
                f"Too few samples to tell: {n} whole pairs, and at least {FEWEST_PAIRS} are "
                f"needed. Add prompts.{note}"
            )
        it = self.interval
        found = (
            f"{self.what}: {self.b.name} minus {self.a.name} is {it.mean:+.4g} on average "
            f"({it.level:.0%} interval {it.low:+.4g} to {it.high:+.4g}, {n} pairs)."
        )
        if not any(self.differences):
            return f"No difference: {self.what} is the same in all {n} pairs.{note}"
        if self.better is None:
            more = f", about {self.needed_pairs:,} in all" if self.needed_pairs else ""
            return (
                f"Too few samples to tell. {found} The interval holds 0: add prompts{more}.{note}"
            )
        winner = self.b if self.better == "b" else self.a
        return f"{winner.name} is better. {found}{note}"

    def frame(self) -> DataFrame:
        """One row a prompt: score, cost (USD), latency (s) and tokens of both, and the error."""
        import pandas as pd

        rows = pd.DataFrame([_row(pair) for pair in self.pairs])
        return rows.convert_dtypes()

    def sides(self) -> DataFrame:
        """One row a model: its score, cost (USD), latency (s), tokens and failures."""
        import pandas as pd

        names = Side.__slots__
        rows = [{name: getattr(side, name) for name in names} for side in (self.a, self.b)]
        return pd.DataFrame(rows).set_index("name")


def compare_models(
    prompts: Sequence[Messages],
    a: Chat,
    b: Chat,
    score: Scorer | Measure,
    *,
    level: float = 0.95,
    draw_seed: int = 0,
    **options: Any,
) -> ABResult:
    """Ask both models each prompt, and compare them pair by pair.

    Which one goes first is drawn, so that neither always finds the provider busier.
    A call that fails takes its pair out of the comparison, and is counted.

    Args:
        prompts: questions or conversations.
        a, b: the two clients.
        score: the worth of an answer (more is better), or "cost" (USD), "latency" (seconds) or
            "length" (tokens of the answer), of which less is better.
        level: of the interval.
        draw_seed: of the order and of the interval; the same one draws the same.
        options: for both clients, such as max_tokens.

    Raises SettingError for no prompts, an unknown measure, a score that is no number, or costs
    that are not known.
    """
    if not prompts:
        raise SettingError("There are no prompts to compare on: give at least 10 for a verdict.")
    what, scorer = _scorer(score)
    order = random.Random(draw_seed)
    pairs = tuple(_pair(p, (a, b), scorer, order.random() < 0.5, options) for p in prompts)
    differences = [pair.difference for pair in pairs if pair.difference is not None]
    interval = None
    if len(differences) >= 2:
        interval = bootstrap_interval(differences, level=level, seed=draw_seed)
    return ABResult(
        what,
        _side(name_of(a), [(pair.a, pair.a_score) for pair in pairs]),
        _side(name_of(b), [(pair.b, pair.b_score) for pair in pairs]),
        pairs,
        interval,
        isinstance(score, str),
        _needed(interval, len(differences)),
    )


def _scorer(score: Scorer | Measure) -> tuple[str, Scorer]:
    if not isinstance(score, str):
        name = getattr(score, "__name__", "")
        return name if name.isidentifier() else "score", score
    measures: dict[str, tuple[str, Scorer]] = {
        "cost": ("cost in USD", _cost),
        "latency": ("latency in s", lambda _, result: result.latency_s),
        "length": ("length in tokens", lambda _, result: result.completion_tokens),
    }
    if score not in measures:
        raise SettingError(
            f"There is no measure {score!r}: choose {', '.join(measures)}, or give a function "
            f"score(prompt, result) that returns a number."
        )
    return measures[score]


def _cost(_: Messages, result: ChatResult) -> float:
    if result.cost_usd is None:
        raise SettingError(
            f"The catalogue has no price for {result.model}: compare by latency or length, or "
            f"give a model with a price."
        )
    return result.cost_usd


def _pair(
    prompt: Messages, clients: tuple[Chat, Chat], scorer: Scorer, b_first: bool, options: Any
) -> Pair:
    results: list[ChatResult | None] = [None, None]
    errors = []
    for side in (1, 0) if b_first else (0, 1):
        try:
            results[side] = clients[side].chat(prompt, **options)
        except LLMError as error:
            errors.append(f"{name_of(clients[side])}: {type(error).__name__}: {error}")
    a_score, b_score = (None if r is None else _number(scorer(prompt, r)) for r in results)
    return Pair(prompt, results[0], results[1], a_score, b_score, "\n".join(errors) or None)


def _number(score: Any) -> float:
    try:
        number = float(score)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise SettingError(f"The scorer returned {score!r}: let it return a finite number.")
    return number


def _side(name: str, answers: Sequence[tuple[ChatResult | None, float | None]]) -> Side:
    results = [result for result, _ in answers if result is not None]
    costs = [result.cost_usd for result in results]
    known = [cost for cost in costs if cost is not None]
    return Side(
        name,
        len(results),
        len(answers) - len(results),
        _mean([score for _, score in answers if score is not None]),
        sum(known) if len(known) == len(costs) else None,
        _mean([result.latency_s for result in results]),
        sum(result.completion_tokens for result in results),
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _needed(interval: Interval | None, pairs: int) -> int | None:
    """The pairs at which an interval around this mean would just leave 0 out: its width falls with
    the root of their number."""
    if interval is None or interval.mean == 0:
        return None
    half = (interval.high - interval.low) / 2
    return max(FEWEST_PAIRS, math.ceil(pairs * (half / interval.mean) ** 2))


def _row(pair: Pair) -> dict[str, Any]:
    row: dict[str, Any] = {"prompt": str(pair.prompt), "difference": pair.difference}
    for side, result, score in (("a", pair.a, pair.a_score), ("b", pair.b, pair.b_score)):
        row |= {
            f"{side}_score": score,
            f"{side}_cost_usd": result and result.cost_usd,
            f"{side}_latency_s": result and result.latency_s,
            f"{side}_tokens": result and result.completion_tokens,
        }
    return row | {"error": pair.error}
