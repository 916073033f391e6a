"""What a call costs, in USD: an estimate before it, the bill after it.

A price is not tokens times a number any more: a long prompt has a dearer band, input that the
provider has cached is cheaper, writing to its cache is dearer, and a batch costs less.

What professionals use: LiteLLM's price map (https://github.com/BerriAI/litellm) and genai-prices
(https://github.com/pydantic/genai-prices). Both have hundreds of models and are updated often.
"""

from __future__ import annotations

from dataclasses import dataclass

from course_utils.llm.errors import SettingError
from course_utils.llm.models import as_model
from course_utils.wire.catalogue import Model, Price
from course_utils.wire.reply import Usage

_PER_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Cost:
    """The price of one call in USD, in its parts."""

    input_usd: float
    cached_usd: float
    cache_write_usd: float
    output_usd: float

    @property
    def total_usd(self) -> float:
        """All parts together."""
        return self.input_usd + self.cached_usd + self.cache_write_usd + self.output_usd


def cost_of(model: str | Model, usage: Usage, *, batch: bool = False) -> Cost:
    """The price of one call in its parts: bands for long prompts and both cache prices included.

    Where the catalogue has no price for cached input or cache writes, they cost as plain input.
    Of prices that change with the hour of day, the dearest counts; `model.note` says the hours.

    Raises:
        UnknownModelError: the catalogue has no such model.
        SettingError: `batch` is asked for, and the catalogue has no batch price for the model.
    """
    found = as_model(model)
    price = found.price
    input_usd, output_usd = _rates(price, usage.prompt_tokens)
    if batch:
        input_usd, output_usd = _batch_rates(found, input_usd, output_usd)
    # A band and a batch scale the two cache prices as they scale plain input.
    scale = input_usd / price.input if price.input else 1.0
    plain = usage.prompt_tokens - usage.cached_tokens - usage.cache_write_tokens
    return Cost(
        plain * input_usd / _PER_MILLION,
        usage.cached_tokens * _or(price.cached_input, price.input) * scale / _PER_MILLION,
        usage.cache_write_tokens * _or(price.cache_write, price.input) * scale / _PER_MILLION,
        usage.completion_tokens * output_usd / _PER_MILLION,
    )


def cost_usd(model: str | Model, usage: Usage, *, batch: bool = False) -> float:
    """The price of one call, all parts together. Raises as `cost_of`."""
    return cost_of(model, usage, batch=batch).total_usd


def estimate_cost(
    model: str | Model,
    prompt_tokens: int,
    completion_tokens: int,
    *,
    cached_tokens: int = 0,
    batch: bool = False,
) -> float:
    """What a call will cost if its answer has `completion_tokens`, in USD.

    Raises:
        UnknownModelError: the catalogue has no such model.
        SettingError: a number of tokens that cannot be, or no batch price.
    """
    if not 0 <= cached_tokens <= prompt_tokens or completion_tokens < 0:
        raise SettingError(
            f"A call cannot have {prompt_tokens} prompt tokens ({cached_tokens} of them cached) "
            f"and {completion_tokens} completion tokens: give numbers from 0 on, and at most as "
            f"many cached ones as the prompt has."
        )
    return cost_usd(model, Usage(prompt_tokens, completion_tokens, cached_tokens), batch=batch)


def _rates(price: Price, prompt_tokens: int) -> tuple[float, float]:
    """Input and output price of the highest band that the prompt is above."""
    rates = price.input, price.output
    for band in price.bands:
        if prompt_tokens > band.above_tokens:
            rates = band.input, band.output
    return rates


def _batch_rates(model: Model, input_usd: float, output_usd: float) -> tuple[float, float]:
    """The rates of a band, through the provider's Batch API."""
    price = model.price
    if price.batch_input is None or price.batch_output is None:
        raise SettingError(
            f"The catalogue has no batch price for {model.id} at {model.provider}: leave batch "
            f"out, or choose a model that has one."
        )
    if not price.input or not price.output:
        return price.batch_input, price.batch_output
    return (
        input_usd * price.batch_input / price.input,
        output_usd * price.batch_output / price.output,
    )


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
