"""What the endpoints that hold things have in common: JSON answers, lists in pages, lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote

from course_utils.offline.call import SIMULATED, Answer
from course_utils.offline.doors import ANTHROPIC, OPENAI
from course_utils.offline.headers import TIER_HEADER, response_headers
from course_utils.offline.routes import Visit

Body = Mapping[str, Any]
Kept = TypeVar("Kept")
_FIRST_ENDPOINTS = ("/files", "/models", "/embeddings", "/completions")


def json_answer(visit: Visit, body: Body, *, limited: bool = False) -> Answer:
    """A resource as JSON, in the provider's spacing; `limited` calls count for the rate limits."""
    end = "\n" if _is_of_first_endpoints(visit) else ""
    text = json.dumps(body, ensure_ascii=False, **_spacing(visit)) + end
    return bytes_answer(visit, text.encode(), {}, limited=limited)


def _is_of_first_endpoints(visit: Visit) -> bool:
    """Whether it is one of OpenAI's oldest endpoints: any page may read them."""
    return visit.door is OPENAI and visit.route.path.startswith(_FIRST_ENDPOINTS)


def _spacing(visit: Visit) -> dict[str, Any]:
    return {"indent": 2} if visit.door is OPENAI else {"separators": (",", ":")}


def bytes_answer(
    visit: Visit, content: bytes, headers: Mapping[str, str], *, limited: bool = False
) -> Answer:
    """Bytes as they are, under the provider's headers and those given."""
    visit.entry.tier = SIMULATED
    common = response_headers(visit.door.provider, visit.seed)
    if not limited:
        common = {name: value for name, value in common.items() if "ratelimit" not in name}
    if _is_of_first_endpoints(visit):
        common["access-control-allow-origin"] = "*"
    if visit.door is ANTHROPIC and "/batches" in visit.route.path:
        del common["traceresponse"]
        common["server-timing"] = "x-originResponse;dur=290"
    return Answer(200, common | dict(headers) | {TIER_HEADER: SIMULATED}, (content,))


def kept(
    visit: Visit, kind: str, of: type[Kept], id: str, refusal: str, invent: Callable[[], Kept]
) -> Kept:
    """What the store keeps under an id; a lenient server invents what it lacks.

    Raises the provider's `refusal` where there is none.
    """
    found = visit.standin.store.get(kind, id)
    if isinstance(found, of):
        return found
    if visit.standin.lenient:
        return invent()
    raise visit.refused(refusal, id=id)


def param(visit: Visit, name: str) -> str:
    """A named segment of the path, as it was before it was quoted."""
    return unquote(visit.params[name])


def query(visit: Visit) -> dict[str, str]:
    """The query's fields; of a field that is given twice, the last."""
    return {name: values[-1] for name, values in parse_qs(visit.call.query).items()}


def page(items: Sequence[Body], asked: Mapping[str, str], default_limit: int) -> dict[str, Any]:
    """The part of a list that a query asks for: `limit` items after or before an id.

    Returns the fields data, has_more, first_id and last_id. An unknown cursor starts anew.
    """
    limit = _limit(asked.get("limit"), default_limit)
    ids = [item["id"] for item in items]
    after, before = asked.get("after") or asked.get("after_id"), asked.get("before_id")
    if before in ids:
        end = ids.index(before)
        start, more = max(0, end - limit), end > limit
    else:
        start = ids.index(after) + 1 if after in ids else 0
        end, more = start + limit, len(ids) > start + limit
    data = list(items[start:end])
    return {
        "data": data,
        "has_more": more,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }


def _limit(asked: str | None, default: int) -> int:
    return max(1, int(asked[:9])) if asked and asked.isdecimal() else default


def jsonl(rows: Sequence[Body], separators: tuple[str, str] = (", ", ": ")) -> bytes:
    """One JSON object a line."""
    return b"".join(
        json.dumps(row, ensure_ascii=False, separators=separators).encode() + b"\n" for row in rows
    )
