"""What a call costs, in USD."""

from __future__ import annotations

from course_utils.wire.catalogue import Model, Price
from course_utils.wire.reply import Usage

_PER_MILLION = 1_000_000


def cost_usd(model: Model, usage: Usage) -> float:
    """The price of one call: bands for long prompts, cached input and cache writes included.

    Where the catalogue has no price for cached input or cache writes, they cost as plain input.
    """
    price = model.price
    input_usd, output_usd = _rates(price, usage.prompt_tokens)
    # A band scales the two cache prices as it scales plain input.
    band = input_usd / price.input if price.input else 1.0
    cached_usd = _or(price.cached_input, price.input) * band
    write_usd = _or(price.cache_write, price.input) * band
    plain = usage.prompt_tokens - usage.cached_tokens - usage.cache_write_tokens
    total = (
        plain * input_usd
        + usage.cached_tokens * cached_usd
        + usage.cache_write_tokens * write_usd
        + usage.completion_tokens * output_usd
    )
    return total / _PER_MILLION


def _rates(price: Price, prompt_tokens: int) -> tuple[float, float]:
    """Input and output price of the highest band that the prompt is above."""
    rates = price.input, price.output
    for band in price.bands:
        if prompt_tokens > band.above_tokens:
            rates = band.input, band.output
    return rates


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
