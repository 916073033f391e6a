"""OpenAI's Batch API: a file of requests in, a file of answers out, some polls later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from course_utils.offline import ids
from course_utils.offline.call import Answer
from course_utils.offline.endpoints import files
from course_utils.offline.endpoints.batch_lines import STEP_S, Shelf, ask
from course_utils.offline.endpoints.resources import (
    json_answer,
    jsonl,
    kept,
    page,
    param,
    query,
)
from course_utils.offline.routes import Visit
from course_utils.wire.fields import take

KIND = "openai batch"
ENDPOINTS = (
    "/v1/responses",
    "/v1/chat/completions",
    "/v1/embeddings",
    "/v1/completions",
    "/v1/moderations",
)
_WINDOW = "24h"
_WINDOW_S = 86_400
_PAGE = 20
# Each of a batch's states lasts for one look at it.
_IN_PROGRESS_S, _FINALIZING_S, _COMPLETED_S = STEP_S, 2 * STEP_S, 3 * STEP_S

Line = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as it was asked for, and what came of it. Times in seconds since 1970 (UTC).

    `lines` are the requests of its file, or `errors` what is wrong with the file. `results` are
    the answers, as rows of the output and error files, once they have been made.
    """

    id: str
    endpoint: str
    input_file_id: str
    created_at: int
    lines: tuple[Line, ...] = ()
    errors: tuple[Line, ...] = ()
    metadata: Mapping[str, str] | None = None
    cancelled_at: int | None = None
    results: tuple[Line, ...] | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None


def create_batch(visit: Visit) -> Answer:
    """Take a batch; what is wrong inside its file shows only when it has been validated."""
    body = visit.json()
    endpoint = take(body, "endpoint", "string")
    window = take(body, "completion_window", "string")
    file_id = take(body, "input_file_id", "string")
    if not visit.standin.lenient:
        if endpoint not in ENDPOINTS:
            known = ", ".join(f"'{each}'" for each in ENDPOINTS)
            raise visit.refused("bad_endpoint", value=endpoint, known=known)
        if window != _WINDOW:
            raise visit.refused("bad_window", value=window)
    lines, errors = _read(files.find(visit, file_id).content, endpoint)
    batch = Batch(
        id="batch_" + ids.hexadecimal("batch" + visit.seed, 32),
        endpoint=endpoint,
        input_file_id=file_id,
        created_at=visit.standin.clock.now,
        lines=lines,
        errors=() if visit.standin.lenient else errors,
        metadata=take(body, "metadata", "object", default=None),
    )
    return _SHELF.show(visit, batch)


def retrieve_batch(visit: Visit) -> Answer:
    """A batch as it stands; looking lets time pass."""
    return _SHELF.look(visit, _find(visit))


def list_batches(visit: Visit) -> Answer:
    """All batches, newest first; looking lets time pass."""
    return json_answer(visit, {"object": "list"} | page(_SHELF.rows(visit), query(visit), _PAGE))


def cancel_batch(visit: Visit) -> Answer:
    """Stop a batch; what has been answered by then stays in its output file."""
    batch = _find(visit)
    now = visit.standin.clock.now
    status = _status(batch, now)
    if status in ("completed", "failed", "cancelled") and not visit.standin.lenient:
        raise visit.refused("cannot_cancel", status=status)
    return _SHELF.show(visit, replace(batch, cancelled_at=batch.cancelled_at or now))


def _find(visit: Visit) -> Batch:
    batch_id = param(visit, "id")
    now = visit.standin.clock.now
    invent = partial(Batch, batch_id, ENDPOINTS[1], "file-unknown", now)
    return kept(visit, KIND, Batch, batch_id, "no_batch", invent)


def _read(content: bytes, endpoint: str) -> tuple[tuple[Line, ...], tuple[Line, ...]]:
    """The requests in a batch file, and what is wrong with it."""
    lines: list[Line] = []
    errors: list[Line] = []
    seen: set[str] = set()
    for number, text in enumerate(content.splitlines(), 1):
        if text.strip():
            line, problem = _read_line(text, endpoint, seen)
            if problem:
                errors.append(_problem(*problem, line=number))
            else:
                lines.append(line)
    if not lines and not errors:
        told = "The input file is empty. Put at least one request into it."
        errors.append(_problem("empty_file", told, None))
    return tuple(lines), tuple(errors)


def _read_line(
    text: bytes, endpoint: str, seen: set[str]
) -> tuple[Line, tuple[str, str, str | None] | None]:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        line = None
    if not isinstance(line, dict):
        return {}, ("invalid_json_line", "This line is not parseable as valid JSON.", None)
    for name in ("custom_id", "method", "url", "body"):
        if name not in line:
            told = f"Missing required parameter: '{name}'."
            return line, ("missing_required_parameter", told, name)
    if str(line["custom_id"]) in seen:
        told = f"The custom_id '{line['custom_id']}' is used by another line of this file."
        return line, ("duplicate_custom_id", told, "custom_id")
    seen.add(str(line["custom_id"]))
    if line["url"] != endpoint:
        told = f"The URL '{line['url']}' does not match the batch's endpoint '{endpoint}'."
        return line, ("url_mismatch", told, "url")
    return line, None


def _problem(code: str, message: str, param: str | None, line: int | None = None) -> Line:
    return {"code": code, "message": message, "param": param, "line": line}


def _status(batch: Batch, now: int) -> str:
    age = now - batch.created_at
    if batch.cancelled_at is not None:
        return "cancelled" if now >= batch.cancelled_at + STEP_S else "cancelling"
    if age < _IN_PROGRESS_S:
        return "validating"
    if batch.errors:
        return "failed"
    if age < _FINALIZING_S:
        return "in_progress"
    return "finalizing" if age < _COMPLETED_S else "completed"


def _answered(batch: Batch, now: int) -> int:
    """How many lines have been answered: half of them while it is in progress, then all."""
    age = (now if batch.cancelled_at is None else batch.cancelled_at) - batch.created_at
    if age < _IN_PROGRESS_S or batch.errors:
        return 0
    return len(batch.lines) if age >= _FINALIZING_S else len(batch.lines) // 2


def _work(visit: Visit, batch: Batch) -> Batch:
    """The batch with its answers made and its files written, where it has come so far."""
    now = visit.standin.clock.now
    if batch.results is not None or _status(batch, now) not in ("completed", "cancelled"):
        return batch
    done = batch.lines[: _answered(batch, now)]
    results = tuple(_answer(visit, batch, line, i) for i, line in enumerate(done))
    good = [row for row in results if row["response"]["status_code"] == 200]
    bad = [row for row in results if row["response"]["status_code"] != 200]
    return replace(
        batch,
        results=results,
        output_file_id=_file(visit, batch, "output", good),
        error_file_id=_file(visit, batch, "error", bad),
    )


def _answer(visit: Visit, batch: Batch, line: Line, index: int) -> Line:
    """One row of the output or error file: what the endpoint itself answers to the line."""
    path = visit.door.prefix + batch.endpoint.removeprefix("/v1")
    status, body = ask(visit, path, line["body"])
    seed = f"{batch.id}{index}"
    return {
        "id": "batch_req_" + ids.hexadecimal(seed, 32),
        "custom_id": line["custom_id"],
        "response": {
            "status_code": status,
            "request_id": ids.hexadecimal("request" + seed, 32),
            "body": body,
        },
        "error": None,
    }


def _file(visit: Visit, batch: Batch, kind: str, rows: list[Line]) -> str | None:
    if not rows:
        return None
    return files.keep(visit, f"{batch.id}_{kind}.jsonl", "batch_output", jsonl(rows)).id


def _describe(visit: Visit, batch: Batch) -> dict[str, Any]:
    """A batch as the API shows it, its fields in the order of real traffic of 2026."""
    now = visit.standin.clock.now
    status = _status(batch, now)
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "model": _model(batch) if status not in ("validating", "failed") else None,
        "errors": {"object": "list", "data": batch.errors} if status == "failed" else None,
        "input_file_id": batch.input_file_id,
        "completion_window": _WINDOW,
        "status": status,
        "output_file_id": batch.output_file_id,
        "error_file_id": batch.error_file_id,
        **_times(batch, status, now),
        "request_counts": _counts(batch, status, now),
        "usage": _usage(batch),
        "metadata": batch.metadata,
    }


def _times(batch: Batch, status: str, now: int) -> dict[str, int | None]:
    """The moments at which the states began; None for those that have not come."""
    end = now if batch.cancelled_at is None else batch.cancelled_at
    begun = {
        "in_progress_at": None if batch.errors else batch.created_at + _IN_PROGRESS_S,
        "expires_at": batch.created_at + _WINDOW_S,
        "finalizing_at": None if batch.errors else batch.created_at + _FINALIZING_S,
        "completed_at": None if batch.errors else batch.created_at + _COMPLETED_S,
    }
    reached = {
        name: at if at is not None and (at <= end or name == "expires_at") else None
        for name, at in begun.items()
    }
    cancelled = batch.cancelled_at
    return {
        "created_at": batch.created_at,
        **reached,
        "failed_at": batch.created_at + _IN_PROGRESS_S if status == "failed" else None,
        "expired_at": None,
        "cancelling_at": cancelled,
        "cancelled_at": cancelled + STEP_S if cancelled and status == "cancelled" else None,
    }


def _model(batch: Batch) -> str | None:
    body = batch.lines[0].get("body") if batch.lines else None
    name = body.get("model") if isinstance(body, dict) else None
    return name if isinstance(name, str) else None


def _counts(batch: Batch, status: str, now: int) -> dict[str, int]:
    if status in ("validating", "failed"):
        return {"total": 0, "completed": 0, "failed": 0}
    if batch.results is None:
        return {"total": len(batch.lines), "completed": _answered(batch, now), "failed": 0}
    good = sum(row["response"]["status_code"] == 200 for row in batch.results)
    return {"total": len(batch.lines), "completed": good, "failed": len(batch.results) - good}


def _usage(batch: Batch) -> dict[str, Any]:
    """The tokens of all answers, in the words of the responses endpoint."""
    used = [row["response"]["body"].get("usage") or {} for row in batch.results or ()]
    given = sum(_sum(use, "input_tokens", "prompt_tokens") for use in used)
    made = sum(_sum(use, "output_tokens", "completion_tokens") for use in used)
    cached = sum(_detail(use, "cached_tokens", "input", "prompt") for use in used)
    thought = sum(_detail(use, "reasoning_tokens", "output", "completion") for use in used)
    return {
        "input_tokens": given,
        "output_tokens": made,
        "total_tokens": given + made,
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens_details": {"reasoning_tokens": thought},
    }


def _sum(use: Mapping[str, Any], *names: str) -> int:
    return sum(use.get(name, 0) for name in names)


def _detail(use: Mapping[str, Any], detail: str, *kinds: str) -> int:
    return sum((use.get(f"{kind}_tokens_details") or {}).get(detail, 0) for kind in kinds)


_SHELF = Shelf(KIND, _work, _describe)
