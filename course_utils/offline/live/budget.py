"""The budget guard: a call that could pass the limit is refused before it is made."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from course_utils.errors import UnknownModelError
from course_utils.offline.call import Call, LoggedCall
from course_utils.offline.usage import usage_of
from course_utils.wire.catalogue import Model, find_model
from course_utils.wire.prompt_tokens import most_usages
from course_utils.wire.reply import Usage
from course_utils.wire.request import Request

# Calls that no provider charges for, besides all that only read: the ends of their paths.
_FREE = ("/files", "/moderations", "/count_tokens", "/input_tokens", "/cancel", ":countTokens")


@dataclass(slots=True)
class BudgetGuard:
    """At most `limit_usd` may be spent. `cost_usd` prices a usage; whoever starts brings it.

    `spent_usd` is what answered calls have cost, `open_usd` what those under way may cost at most.
    """

    limit_usd: float
    cost_usd: Callable[[Model, Usage], float]
    spent_usd: float = 0.0
    open_usd: float = field(default=0.0, init=False)

    def reserve(self, call: Call, request: Request | None, provider: str) -> float:
        """Set aside what a call may cost at most, in USD. Raises OverBudgetError."""
        most = self._most_usd(call, request, provider)
        left = self.limit_usd - self.spent_usd - self.open_usd
        if most is None:
            raise OverBudgetError(
                f"The course knows no price for this call and cannot keep it within your budget "
                f"of {self.limit_usd:.2f} USD: choose a model of the catalogue, or start without "
                f"a budget."
            )
        if most > left:
            raise OverBudgetError(
                f"This call could cost up to {most:.4f} USD and only {max(left, 0):.4f} of your "
                f"budget of {self.limit_usd:.2f} USD is left, so it was not sent: ask for fewer "
                f"max tokens, or start with a larger budget_usd."
            )
        self.open_usd += most
        return most

    def settle(self, reserved_usd: float, entry: LoggedCall, *, whole: bool) -> None:
        """Replace what was set aside by what the call has cost: all of it, if it was cut."""
        self.open_usd -= reserved_usd
        self.spent_usd += self._cost(entry, reserved_usd) if whole else reserved_usd

    def _most_usd(self, call: Call, request: Request | None, provider: str) -> float | None:
        if call.method != "POST" or call.path.endswith(_FREE):
            return 0.0
        try:
            model = find_model(request.model if request else _model_named(call.body), provider)
        except UnknownModelError:
            return None
        if request is None:  # an embedding: no token is shorter than a byte
            is_embedding = "embed" in call.path.rpartition("/")[2]
            return self.cost_usd(model, Usage(len(call.body))) if is_embedding else None
        return max(self.cost_usd(model, usage) for usage in most_usages(request, model))

    def _cost(self, entry: LoggedCall, reserved_usd: float) -> float:
        """What an answered call has cost; an error costs nothing."""
        if entry.status != 200 or not reserved_usd:
            return 0.0
        if entry.request is None or entry.reply is None:
            return reserved_usd
        model = find_model(entry.request.model, entry.provider)
        usage = entry.reply.usage
        if not usage.total_tokens:  # a stream that was not asked for its usage
            usage = usage_of(entry.request, entry.reply.choices, model)
        return self.cost_usd(model, usage)


def _model_named(body: bytes) -> str:
    try:
        return str(json.loads(body)["model"])
    except (ValueError, KeyError, TypeError):
        return ""


class OverBudgetError(Exception):
    """A call that could pass the limit; the message is the sentence for the student."""
