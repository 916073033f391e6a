"""Files of verbatim exchanges, as they are: the course's own, VCR's cassettes, SDK snapshots.

Read are YAML and JSON of vcrpy, of Ruby's VCR and of go-vcr, with bodies as text, `!binary`,
`base64_string`, `parsed_body` or `content`; lists of `request` and `response`; and files that hold
nothing but the body of an answer. The course's own format is written by `record.py`:

    source: live
    recorded: 2026-11-23
    exchanges:
      - date: 2026-11-23
        sdk: OpenAI/Python 3.54.0
        model: ...
        request: {provider: openai, method: POST, path: /chat/completions, headers: ..., body: ...}
        response: {status: 200, headers: ..., body: ... or events: [...]}
"""

from __future__ import annotations

import base64
import functools
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from course_utils.errors import RecordingError
from course_utils.offline.doors import ANTHROPIC, OPENAI
from course_utils.offline.replay.exchange import Exchange, canonical, door_named, places, query_of
from course_utils.wire import sse

_SUFFIXES = (".yaml", ".yml", ".json", ".txt", ".bin")
_VERBATIM = re.compile(r"^(source:\s*live\b|(http_)?interactions:|- request:)", re.M)
# The endpoint that a body without its request has come from, by what only its format says.
_ENDPOINTS = (
    (re.compile(r'"type": ?"message(_start)?"'), ANTHROPIC.prefix + "/v1/messages"),
    (re.compile(r'"object": ?"chat\.completion'), OPENAI.prefix + "/chat/completions"),
    (re.compile(r'"object": ?"response"'), OPENAI.prefix + "/responses"),
)
# Headers of one connection, those that the server sets to fit what it sends, and cookies.
_NOT_REPLAYED = frozenset(
    [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "content-encoding",
        "content-length",
        "set-cookie",
    ]
)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def verbatim_files(path: Path) -> list[Path]:
    """The files of verbatim exchanges in a folder and below it, or the one file that is named."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [file for file in files if file.suffix in _SUFFIXES and is_verbatim(file)]


def is_verbatim(path: Path) -> bool:
    """Whether a file holds verbatim exchanges, by its beginning. False if it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    if path.suffix in (".yaml", ".yml"):
        return _VERBATIM.search(text) is not None
    if path.suffix == ".json":
        return '"request"' in text and '"response"' in text
    return text.startswith(("event:", "data:", "{")) and _endpoint(text) is not None


def read_file(path: Path) -> list[Exchange]:
    """All exchanges of a file. Raises RecordingError."""
    try:
        return list(_read(path))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        problem = " ".join(str(error).split()) or type(error).__name__
        raise RecordingError(path, f"it is no record of exchanges ({problem})") from error


def _read(path: Path) -> Iterator[Exchange]:
    raw = path.read_bytes()
    if path.suffix in (".txt", ".bin"):
        yield _without_request(f"{path.name}#0", raw)
        return
    content = json.loads(raw) if path.suffix == ".json" else _yaml(raw)
    own = isinstance(content, dict) and content.get("source") == "live"
    for index, row in enumerate(_rows(content)):
        name = f"{path.stem}#{index}"
        yield _own_exchange(name, row) if own else _exchange(name, row)


def _rows(content: Any) -> list[Mapping[str, Any]]:
    if isinstance(content, list):
        return content
    for key in ("exchanges", "interactions", "http_interactions"):
        if key in content:
            return list(content[key] or ())
    return [content]


@functools.cache
def _loader() -> Any:
    """A YAML loader that makes plain data of foreign tags, and bytes of Ruby's `!binary`."""
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loader: Any = type("CassetteLoader", (base,), {})
    loader.add_constructor("!binary", lambda load, node: base64.b64decode(node.value))
    for prefix in ("!", "tag:yaml.org,2002:python/"):
        loader.add_multi_constructor(prefix, _plain)
    return loader


def _plain(loader: Any, tag: str, node: Any) -> object:
    """The scalar, list or mapping under a tag that means something to another program only."""
    kind: str = node.id
    made: object = getattr(loader, f"construct_{kind}")(node)
    return made


def _yaml(raw: bytes) -> Any:
    import yaml

    try:
        return yaml.load(raw, Loader=_loader())
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _exchange(name: str, row: Mapping[str, Any]) -> Exchange:
    """An interaction of another project's cassette."""
    asked, told = row["request"], row["response"]
    url = str(asked.get("uri") or asked["url"])
    headers, body = _decoded(_headers(told), _body(told))
    return Exchange(
        name=name,
        method=str(asked.get("method", "POST")).upper(),
        paths=places(url),
        query=query_of(urlsplit(url).query),
        request=canonical(_decoded(_headers(asked), _body(asked))[1]),
        status=_status(told),
        headers=headers,
        body=body,
    )


def _status(told: Mapping[str, Any]) -> int:
    """The status: a number, `{code: 200}`, or as Go has it, `200 OK`."""
    status = told.get("status", told.get("status_code", told.get("code")))
    return int(status["code"] if isinstance(status, dict) else str(status).split()[0])


def _own_exchange(name: str, row: Mapping[str, Any]) -> Exchange:
    """An exchange that record mode has written."""
    asked, told = row["request"], row["response"]
    door = door_named(asked["provider"])
    if door is None:
        raise ValueError(f"there is no provider {asked['provider']!r}")
    headers, body = _decoded(_headers(told), _body(told))
    return Exchange(
        name=name,
        method=asked["method"],
        paths=(door.prefix + asked["path"],),
        query=query_of(asked.get("query") or ""),
        request=canonical(_body(asked)),
        status=told["status"],
        headers=headers,
        body=body,
        own=True,
    )


def _without_request(name: str, body: bytes) -> Exchange:
    """The body of an answer, of which nothing else is known."""
    text = body.decode()
    path = _endpoint(text)
    model = re.search(r'"model": ?"([^"]+)"', text)
    if path is None or model is None:
        raise ValueError("the body is of no known format")
    stream = next(sse.decode([body]), None) is not None
    kind = "text/event-stream; charset=utf-8" if stream else "application/json"
    headers = {"content-type": kind}
    return Exchange(name, "POST", (path,), frozenset(), None, 200, headers, body, model[1], stream)


def _endpoint(text: str) -> str | None:
    return next((path for mark, path in _ENDPOINTS if mark.search(text)), None)


def _headers(side: Mapping[str, Any]) -> dict[str, str]:
    """The headers of a request or response; several values of one name are joined."""
    return {
        str(name): ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        for name, value in (side.get("headers") or {}).items()
    }


def _body(side: Mapping[str, Any]) -> bytes:
    """The bytes of a body, in whichever of the formats they were kept."""
    if "events" in side:
        return b"".join(map(_bytes, side["events"]))
    if side.get("parsed_body") is not None:
        return json.dumps(side["parsed_body"]).encode()
    body = side.get("body", side.get("content"))
    if isinstance(body, dict) and "base64_string" in body:
        return base64.b64decode(body["base64_string"])
    if isinstance(body, dict) and "string" in body:
        body = body["string"]
    return _bytes(body)


def _bytes(value: object) -> bytes:
    match value:
        case None:
            return b""
        case bytes():
            return value
        case str():
            return value.encode("utf-8", "surrogatepass")
        case _:
            return json.dumps(value).encode()


def _decoded(headers: Mapping[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
    """The headers to replay and the body, decompressed as far as Python itself can do it.

    A body that it cannot decompress stays as it is, and so does the header that says so.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    encoding = lower.get("content-encoding", "")
    dropped = set(_NOT_REPLAYED)
    if body[:2] == b"\x1f\x8b":
        body = zlib.decompressobj(31).decompress(body)
    elif encoding == "deflate" and not _is_text(body):
        body = zlib.decompress(body)
    elif encoding in ("br", "zstd") and not _is_text(body):
        dropped.discard("content-encoding")
    kept = {
        name: re.sub(r"[\x00-\x08\x0a-\x1f\x7f]+", " ", value).strip()
        for name, value in headers.items()
        if name.lower() not in dropped and _HEADER_NAME.fullmatch(name)
    }
    return kept, body


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
