"""The request log as a list, and as a table for pandas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from course_utils.show.call import LoggedCall
from course_utils.show.meter import live_usd

if TYPE_CHECKING:
    from pandas import DataFrame

# The columns of the frame, in their order.
COLUMNS = (
    "number",
    "provider",
    "model",
    "path",
    "stream",
    "status",
    "tier",
    "recording",
    "finish_reason",
    "prompt_tokens",
    "completion_tokens",
    "exact",
    "live_usd",
    "latency_s",
)


class CallLog(list[LoggedCall]):
    """The calls so far, oldest first: a list to go through, with the same calls as a DataFrame."""

    def frame(self) -> DataFrame:
        """One row a call, indexed by its number; what a call has not got is missing (NA).

        `live_usd` is what it would have cost live, `latency_s` the seconds until its answer
        began, `exact` whether its tokens were counted and not estimated.
        """
        import pandas as pd

        rows = pd.DataFrame([_row(call) for call in self], columns=list(COLUMNS))
        return rows.convert_dtypes().set_index("number")

    def _repr_html_(self) -> str:
        """What a notebook shows of it."""
        html: str = self.frame().to_html()
        return html


def _row(call: LoggedCall) -> Mapping[str, object]:
    reply, request = call.reply, call.request
    return {
        "number": call.number,
        "provider": call.provider,
        "model": request.model if request else None,
        "path": call.path,
        "stream": request.stream if request else None,
        "status": call.status,
        "tier": call.tier,
        "recording": call.recording,
        "finish_reason": reply.finish_reason if reply else None,
        "prompt_tokens": reply.usage.prompt_tokens if reply else None,
        "completion_tokens": reply.usage.completion_tokens if reply else None,
        "exact": reply.usage.exact if reply else None,
        "live_usd": live_usd(call),
        "latency_s": call.latency_s,
    }
