"""What it takes to say what one call costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rows import Row, cpu_s

from course_utils.llm.costs import estimate_cost
from course_utils.wire.catalogue import default_model

MODEL = default_model("openai").id
PROMPT_TOKENS, COMPLETION_TOKENS = 1_200, 300
TIMES = 300


def rows() -> Iterator[Row]:
    """The cost of one call from its token counts, in microseconds of CPU time."""
    ways = {
        "ours": _ours,
        "litellm.cost_per_token": _litellm_tokens(),
        "litellm.completion_cost": _litellm_completion(),
        "genai-prices": _genai_prices(),
    }
    told = {name: round(way(), 9) for name, way in ways.items()}
    if len(set(told.values())) > 1:
        raise AssertionError(f"they do not agree on the price: {told}")
    took = {name: s * 1e6 / TIMES for name, s in cpu_s(_repeated(ways), rounds=9).items()}
    ours = took.pop("ours")
    yield Row("cost of one call, estimate", "µs", ours, took, "≤ 5")


def _repeated(ways: dict[str, Callable[[], float]]) -> dict[str, Callable[[], object]]:
    def repeat(way: Callable[[], float]) -> Callable[[], object]:
        return lambda: [way() for _ in range(TIMES)]

    return {name: repeat(way) for name, way in ways.items()}


def _ours() -> float:
    return estimate_cost(MODEL, PROMPT_TOKENS, COMPLETION_TOKENS)


def _litellm_tokens() -> Callable[[], float]:
    import litellm

    def cost() -> float:
        parts = litellm.cost_per_token(
            model=MODEL, prompt_tokens=PROMPT_TOKENS, completion_tokens=COMPLETION_TOKENS
        )
        return float(sum(parts))

    return cost


def _litellm_completion() -> Callable[[], float]:
    """LiteLLM prices an answer; the usage is in it, as after a call."""
    import litellm

    usage = litellm.Usage(
        prompt_tokens=PROMPT_TOKENS,
        completion_tokens=COMPLETION_TOKENS,
        total_tokens=PROMPT_TOKENS + COMPLETION_TOKENS,
    )
    answer = litellm.ModelResponse(model=MODEL, usage=usage)
    return lambda: float(litellm.completion_cost(answer, model=MODEL))


def _genai_prices() -> Callable[[], float]:
    from genai_prices import Usage, calc_price

    usage = Usage(input_tokens=PROMPT_TOKENS, output_tokens=COMPLETION_TOKENS)
    return lambda: float(calc_price(usage, MODEL, provider_id="openai").total_price)
