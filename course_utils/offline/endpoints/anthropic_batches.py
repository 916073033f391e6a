"""Anthropic's Message Batches API: requests in one body, answers as lines, some polls later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from course_utils.offline import ids
from course_utils.offline.call import Answer
from course_utils.offline.clock import rfc3339
from course_utils.offline.endpoints.batch_lines import STEP_S, Shelf, ask
from course_utils.offline.endpoints.resources import (
    bytes_answer,
    json_answer,
    jsonl,
    kept,
    page,
    param,
    query,
)
from course_utils.offline.routes import Visit
from course_utils.wire.fields import take, take_objects

KIND = "anthropic batch"
_PAGE = 20
_LIFE_S = 86_400
# A batch ends at the second look at it.
_WORK_S = 2 * STEP_S

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch: its requests (`custom_id`, `params`) and, once it has ended, a result for each.

    Times are in seconds since 1970 (UTC).
    """

    id: str
    created_at: int
    requests: tuple[Row, ...] = ()
    cancelled_at: int | None = None
    results: tuple[Row, ...] | None = None

    @property
    def ends_at(self) -> int:
        """When all requests have been answered, or given up."""
        if self.cancelled_at is None:
            return self.created_at + _WORK_S
        return min(self.created_at + _WORK_S, self.cancelled_at + STEP_S)


def create_batch(visit: Visit) -> Answer:
    """Take a batch; whether its requests are good shows only in their results."""
    requests = take_objects(visit.json(), "requests")
    if not requests:
        raise visit.refused("no_requests")
    seen: set[str] = set()
    for path, request in requests:
        name = take(request, "custom_id", "string", path)
        take(request, "params", "object", path)
        if name in seen and not visit.standin.lenient:
            raise visit.refused("same_custom_id", id=name)
        seen.add(name)
    batch_id = "msgbatch_01" + ids.alnum("batch" + visit.seed, 22)
    rows = tuple(request for _, request in requests)
    return _SHELF.show(visit, Batch(batch_id, visit.standin.clock.now, rows))


def retrieve_batch(visit: Visit) -> Answer:
    """A batch as it stands; looking lets time pass."""
    return _SHELF.look(visit, _find(visit))


def list_batches(visit: Visit) -> Answer:
    """All batches, newest first; looking lets time pass."""
    return json_answer(visit, page(_SHELF.rows(visit), query(visit), _PAGE))


def cancel_batch(visit: Visit) -> Answer:
    """Stop a batch; requests that have not been answered yet are given up."""
    batch = _find(visit)
    if _has_ended(visit, batch) and not visit.standin.lenient:
        raise visit.refused("batch_has_ended", id=batch.id)
    now = visit.standin.clock.now
    return _SHELF.show(visit, replace(batch, cancelled_at=batch.cancelled_at or now))


def delete_batch(visit: Visit) -> Answer:
    """Forget a batch that has ended."""
    batch = _find(visit)
    if not (_has_ended(visit, batch) or visit.standin.lenient):
        raise visit.refused("batch_not_ended", id=batch.id)
    visit.standin.store.delete(KIND, batch.id)
    return json_answer(visit, {"id": batch.id, "type": "message_batch_deleted"})


def read_results(visit: Visit) -> Answer:
    """One line for each request of a batch that has ended."""
    batch = _SHELF.worked(visit, _find(visit))
    if batch.results is None and not visit.standin.lenient:
        raise visit.refused("no_results", id=batch.id)
    content = jsonl(batch.results or (), separators=(",", ":"))
    return bytes_answer(visit, content, {"Content-Type": "application/x-jsonl"})


def _find(visit: Visit) -> Batch:
    batch_id = param(visit, "id")
    ended = visit.standin.clock.now - _WORK_S
    invent = partial(Batch, batch_id, ended, results=())
    return kept(visit, KIND, Batch, batch_id, "no_batch", invent)


def _has_ended(visit: Visit, batch: Batch) -> bool:
    return visit.standin.clock.now >= batch.ends_at


def _work(visit: Visit, batch: Batch) -> Batch:
    """The batch with its results made, where it has ended."""
    if batch.results is not None or not _has_ended(visit, batch):
        return batch
    # What is cancelled before its end has been begun by half, if it was begun at all.
    begun = batch.cancelled_at is None or batch.cancelled_at - batch.created_at >= STEP_S
    whole = batch.cancelled_at is None
    done = len(batch.requests) // (1 if whole else 2) if begun else 0
    results = tuple(
        {"custom_id": row["custom_id"], "result": _result(visit, row["params"])}
        for row in batch.requests[:done]
    )
    given_up = tuple(
        {"custom_id": row["custom_id"], "result": {"type": "canceled"}}
        for row in batch.requests[done:]
    )
    return replace(batch, results=results + given_up)


def _result(visit: Visit, params: Row) -> Row:
    """What the messages endpoint itself answers to one request."""
    status, body = ask(visit, f"{visit.door.prefix}/v1/messages", params)
    if status == 200:
        return {"type": "succeeded", "message": body}
    return {"type": "errored", "error": body}


def _describe(visit: Visit, batch: Batch) -> dict[str, Any]:
    """A batch as the API shows it, its fields in the order of real traffic of 2026."""
    ended = batch.results is not None
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": _status(batch),
        "request_counts": _counts(batch),
        "ended_at": rfc3339(batch.ends_at) if ended else None,
        "created_at": rfc3339(batch.created_at),
        "expires_at": rfc3339(batch.created_at + _LIFE_S),
        "archived_at": None,
        "cancel_initiated_at": _moment(batch.cancelled_at),
        "results_url": _results_url(visit, batch) if ended else None,
    }


def _status(batch: Batch) -> str:
    if batch.results is not None:
        return "ended"
    return "in_progress" if batch.cancelled_at is None else "canceling"


def _counts(batch: Batch) -> dict[str, int]:
    counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
    if batch.results is None:
        return counts | {"processing": len(batch.requests)}
    for row in batch.results:
        counts[row["result"]["type"]] += 1
    return counts


def _moment(seconds: int | None) -> str | None:
    return None if seconds is None else rfc3339(seconds)


def _results_url(visit: Visit, batch: Batch) -> str:
    """Where the results are: at the address by which the client has reached this server."""
    host = visit.call.headers.get("host", "localhost")
    return f"http://{host}{visit.door.prefix}/v1/messages/batches/{batch.id}/results"


_SHELF = Shelf(KIND, _work, _describe)
