"""What travelled: one exchange as HTTP text, and the calls of several providers side by side."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from course_utils.show.call import LoggedCall
from course_utils.show.table import Table

_SHOWN_HEADERS = (
    "authorization",
    "x-api-key",
    "anthropic-version",
    "content-type",
    "x-course-tier",
)
_LONGEST_VALUE = 60
_ABSENT = "·"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer as HTTP text, without the headers that a lesson has no use for."""

    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return f'<pre style="white-space:pre-wrap">{escape(self.text)}</pre>'


def exchange(call: LoggedCall) -> Exchange:
    """One call as HTTP text; keys were never in the log, and show as stars."""
    request = [f"{call.method} {call.path} HTTP/1.1", *_headers(call.request_headers)]
    response = [f"HTTP/1.1 {call.status}", *_headers(call.response_headers)]
    parts = [
        request,
        ["", _pretty(call.request_body), ""],
        response,
        ["", _pretty(call.response_body)],
    ]
    return Exchange("\n".join(line for part in parts for line in part))


def _headers(headers: Mapping[str, str]) -> Iterator[str]:
    for name, value in headers.items():
        if name.lower() in _SHOWN_HEADERS:
            yield f"{name.lower()}: {value}"


def _pretty(body: bytes) -> str:
    """JSON with indents; anything else, a stream for one, as it is."""
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body.decode("utf-8", "replace").strip()


def side_by_side(calls: Sequence[LoggedCall]) -> Table:
    """The fields of several requests and replies, a column a provider, differences marked."""
    rows = [["POST", *(call.path.removeprefix(f"/{call.provider}") for call in calls)]]
    for title, bodies in (
        ("request", [call.request_body for call in calls]),
        ("reply", [call.response_body for call in calls]),
    ):
        fields = [dict(_fields(json.loads(body), title)) for body in bodies]
        rows += [[path, *(f.get(path, _ABSENT) for f in fields)] for path in _in_order(fields)]
    names = [call.provider for call in calls]
    marked = [[*row, _difference(row[1:], names)] for row in rows]
    caption = f"The wire, side by side: {', '.join(names)} ({_ABSENT} means: not there)"
    return Table(caption, ("field", *names, "difference"), marked)


def _difference(values: Sequence[str], names: Sequence[str]) -> str:
    """Which providers alone have a field, or that its values differ, or nothing."""
    having = [name for name, value in zip(names, values, strict=True) if value != _ABSENT]
    if len(having) < len(names):
        return f"only {', '.join(having)}"
    return "value" if len(set(values)) > 1 else ""


def _fields(value: object, path: str) -> Iterator[tuple[str, str]]:
    """Each leaf of a JSON value with its path, as in `request.messages[0].role`."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _fields(inner, f"{path}.{key}")
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from _fields(inner, f"{path}[{index}]")
    else:
        text = json.dumps(value, ensure_ascii=False)
        yield path, text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def _in_order(fields: Iterable[Mapping[str, str]]) -> list[str]:
    """All paths, those of the first provider first."""
    return list(dict.fromkeys(path for one in fields for path in one))
