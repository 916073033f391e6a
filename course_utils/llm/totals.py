"""Sums over several answers: the tokens and the cost of all the calls that one question took."""

from __future__ import annotations

from collections.abc import Sequence

from course_utils.llm.result import ChatResult
from course_utils.wire.reply import Usage


def total_usage(results: Sequence[ChatResult]) -> Usage:
    """The tokens of all answers; exact only where each of them is."""
    usages = [result.usage for result in results]
    return Usage(
        prompt_tokens=sum(usage.prompt_tokens for usage in usages),
        completion_tokens=sum(usage.completion_tokens for usage in usages),
        cached_tokens=sum(usage.cached_tokens for usage in usages),
        cache_write_tokens=sum(usage.cache_write_tokens for usage in usages),
        reasoning_tokens=sum(usage.reasoning_tokens for usage in usages),
        exact=all(usage.exact for usage in usages),
    )


def total_cost_usd(results: Sequence[ChatResult]) -> float | None:
    """The cost of all answers; None where the cost of one of them is not known."""
    costs = [result.cost_usd for result in results]
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None
