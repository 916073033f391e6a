"""The meter: calls, tokens, who answered, and what the same calls would have cost live."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from course_utils.errors import UnknownModelError
from course_utils.llm.costs import cost_usd
from course_utils.show.call import LoggedCall
from course_utils.show.table import Table
from course_utils.wire.catalogue import find_model


def meter(calls: Iterable[LoggedCall]) -> Table:
    """A row a model, and one for all, of the calls so far; estimated figures carry an ≈."""
    calls = list(calls)
    models = dict.fromkeys(call.request.model for call in calls if call.request)
    rows = [
        _row(name, [c for c in calls if c.request and c.request.model == name]) for name in models
    ]
    return Table(
        "The meter: what this notebook has used so far",
        ("model", "calls", "answered by", "tokens in", "tokens out", "live, USD"),
        [*rows, _row("all", calls)],
    )


def _row(name: str, calls: Sequence[LoggedCall]) -> list[str]:
    usages = [call.reply.usage for call in calls if call.reply]
    about = "" if all(usage.exact for usage in usages) else "≈ "
    return [
        name,
        str(len(calls)),
        tiers(calls),
        f"{about}{sum(usage.prompt_tokens for usage in usages):,}",
        f"{about}{sum(usage.completion_tokens for usage in usages):,}",
        f"{about}{sum(map(live_usd, calls)):.6f}",
    ]


def tiers(calls: Iterable[LoggedCall]) -> str:
    """Who answered, as in `2 recorded, 1 simulated`."""
    counted = Counter(call.tier for call in calls)
    return ", ".join(f"{count} {tier}" for tier, count in counted.items())


def live_usd(call: LoggedCall) -> float:
    """What a call would have cost live; 0 where it was refused or its model has no price.

    A line of a batch costs what the provider's Batch API asks for it.
    """
    if call.request is None or call.reply is None:
        return 0.0
    try:
        model = find_model(call.request.model, call.provider)
    except UnknownModelError:
        return 0.0
    if call.is_batch:
        model = replace(model, price=model.price.in_batch())
    return cost_usd(model, call.reply.usage)
