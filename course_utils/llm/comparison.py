"""The same prompts priced with several models: per prompt, in total, and who is cheapest.

What professionals use: promptfoo or Langfuse, which price calls that were made; before a call,
a price map such as LiteLLM's and a loop like this one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from course_utils.llm.costs import estimate_cost
from course_utils.llm.errors import SettingError
from course_utils.llm.models import as_model
from course_utils.llm.rows import Rows
from course_utils.llm.tokens import Estimate, count_message_tokens
from course_utils.wire.catalogue import Model, Tier, default_model, provider

if TYPE_CHECKING:
    from pandas import DataFrame

    from course_utils.llm.chat import Messages

# How long an answer is, as a part of its prompt, where nobody knows better.
OUTPUT_SHARE = 0.3
_PROVIDERS = ("openai", "anthropic", "google")


@dataclass(frozen=True, slots=True)
class PromptCost:
    """One prompt with one model. `prompt` counts from 1; `exact` is False for an estimate."""

    prompt: int
    provider: str
    model: str
    tier: Tier
    prompt_tokens: int
    completion_tokens: int
    exact: bool
    usd: float


@dataclass(frozen=True, slots=True)
class ModelTotal:
    """All prompts with one model."""

    provider: str
    model: str
    tier: Tier
    prompt_tokens: int
    completion_tokens: int
    exact: bool
    usd: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """What each prompt costs with each model (`prompts`), and each model in all (`totals`)."""

    prompts: Rows[PromptCost]
    totals: Rows[ModelTotal]

    @property
    def cheapest(self) -> ModelTotal:
        """The model with the lowest total; of equal ones the first that was asked about."""
        return min(self.totals, key=lambda total: total.usd)

    @property
    def cheapest_per_tier(self) -> Mapping[Tier, ModelTotal]:
        """The same for each tier that is there: budget, standard, premium."""
        best: dict[Tier, ModelTotal] = {}
        for total in sorted(self.totals, key=lambda total: total.usd):
            best.setdefault(total.tier, total)
        tiers: tuple[Tier, ...] = ("budget", "standard", "premium")
        return {tier: best[tier] for tier in tiers if tier in best}

    def frame(self) -> DataFrame:
        """A line a prompt and a last one for all of them, a column a model, in USD."""
        rows = self.prompts.frame()
        names = rows["provider"] + " " + rows["model"]
        table = rows.assign(name=names).pivot(index="prompt", columns="name", values="usd")
        table = table[list(dict.fromkeys(names))]
        table.loc["total"] = table.sum()
        return table.rename_axis(columns=None)

    def _repr_html_(self) -> str:
        html: str = self.frame().to_html()
        return html


def compare_costs(
    prompts: Sequence[Messages],
    models: Iterable[str | Model] | None = None,
    *,
    output_share: float = OUTPUT_SHARE,
    batch: bool = False,
) -> Comparison:
    """Price prompts with several models, before any of them is sent.

    Args:
        prompts: texts, or whole conversations.
        models: ids of the catalogue, or models; by default those of the course at OpenAI,
            Anthropic and Google, three tiers each.
        output_share: how long an answer is, as a part of its prompt.

    Raises:
        SettingError: no prompt, no model, or a negative share.
        UnknownModelError: the catalogue has no such model.
        MessagesError: a prompt of the wrong shape.
    """
    found = course_models() if models is None else list(dict.fromkeys(map(as_model, models)))
    if isinstance(prompts, str) or not prompts or not found:
        raise SettingError("There is nothing to compare: give a list of prompts, and a model.")
    if output_share < 0:
        raise SettingError(f"output_share is {output_share}: give 0 or more, such as 0.3.")
    by_model = [
        [_price(i, prompt, model, output_share, batch) for i, prompt in enumerate(prompts, 1)]
        for model in found
    ]
    return Comparison(
        Rows(row for rows in zip(*by_model, strict=True) for row in rows),
        Rows(_total(rows) for rows in by_model),
    )


def course_models() -> list[Model]:
    """The course's models at the three large providers, tier by tier."""
    return [
        default_model(name, tier) for name in _PROVIDERS for tier in provider(name).default_models
    ]


def _price(
    number: int, prompt: Messages, model: Model, output_share: float, batch: bool
) -> PromptCost:
    counted = count_message_tokens(prompt, model)
    prompt_tokens = int(counted)
    completion_tokens = round(prompt_tokens * output_share)
    return PromptCost(
        prompt=number,
        provider=model.provider,
        model=model.id,
        tier=model.tier,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        exact=not isinstance(counted, Estimate),
        usd=estimate_cost(model, prompt_tokens, completion_tokens, batch=batch),
    )


def _total(rows: Sequence[PromptCost]) -> ModelTotal:
    return ModelTotal(
        provider=rows[0].provider,
        model=rows[0].model,
        tier=rows[0].tier,
        prompt_tokens=sum(row.prompt_tokens for row in rows),
        completion_tokens=sum(row.completion_tokens for row in rows),
        exact=all(row.exact for row in rows),
        usd=sum(row.usd for row in rows),
    )
