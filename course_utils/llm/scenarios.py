"""What an application costs a day and a month, before it is built.

The right model makes the largest difference, so each scenario is priced with several. What
professionals use: the providers' own calculators, and a sheet; the arithmetic is no more than this.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from course_utils.llm.costs import estimate_cost
from course_utils.llm.errors import SettingError
from course_utils.llm.models import as_model
from course_utils.llm.rows import Rows
from course_utils.wire.catalogue import Model, Tier

DAYS_PER_MONTH = 30


@dataclass(frozen=True, slots=True)
class Scenario:
    """How much an application asks: calls a day, and the tokens of an average one."""

    name: str
    calls_per_day: int
    prompt_tokens: int
    completion_tokens: int

    def __post_init__(self) -> None:
        if min(self.calls_per_day, self.prompt_tokens, self.completion_tokens) < 0:
            raise SettingError(
                f"The scenario {self.name!r} has a negative number: calls and tokens are 0 or more."
            )


# Three sizes that one meets: a small chatbot, answers from documents, work through the night.
SCENARIOS = (
    Scenario("small chatbot", 100, 500, 200),
    Scenario("answers from documents", 1_000, 2_000, 500),
    Scenario("batch processing", 10_000, 1_000, 300),
)


@dataclass(frozen=True, slots=True)
class ScenarioCost:
    """A scenario with one model; all amounts in USD."""

    scenario: str
    provider: str
    model: str
    tier: Tier
    call_usd: float
    daily_usd: float
    monthly_usd: float


def scenario_costs(
    models: Iterable[str | Model],
    scenarios: Iterable[Scenario] = SCENARIOS,
    *,
    cached_share: float = 0.0,
    batch: bool = False,
) -> Rows[ScenarioCost]:
    """Price each scenario with each model: a row a pair, scenario by scenario.

    Args:
        models: ids of the catalogue, or models.
        cached_share: which part of each prompt the provider has in its cache, from 0 to 1.
        batch: through the providers' Batch APIs.

    Raises:
        SettingError: no model at all, a share that is none, or a model without a batch price.
        UnknownModelError: the catalogue has no such model.
    """
    found = [as_model(model) for model in models]
    if not found:
        raise SettingError("There is no model to price: give at least one.")
    if not 0 <= cached_share <= 1:
        raise SettingError(f"cached_share is {cached_share}: give a share from 0 to 1.")
    return Rows(
        _cost(scenario, model, cached_share, batch) for scenario in scenarios for model in found
    )


def _cost(scenario: Scenario, model: Model, cached_share: float, batch: bool) -> ScenarioCost:
    call_usd = estimate_cost(
        model,
        scenario.prompt_tokens,
        scenario.completion_tokens,
        cached_tokens=round(scenario.prompt_tokens * cached_share),
        batch=batch,
    )
    daily_usd = call_usd * scenario.calls_per_day
    return ScenarioCost(
        scenario=scenario.name,
        provider=model.provider,
        model=model.id,
        tier=model.tier,
        call_usd=call_usd,
        daily_usd=daily_usd,
        monthly_usd=daily_usd * DAYS_PER_MONTH,
    )
