"""Files of verbatim exchanges, as they are: the course's own, VCR's cassettes, SDK snapshots.

Read are YAML and JSON of vcrpy, of Ruby's VCR and of go-vcr, with bodies as text, `!binary`,
`base64_string`, `parsed_body` or `content`; lists of `request` and `response`; HTTP archives; and
files that hold nothing but the body of an answer. `record.py` writes the course's own format:

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
import codecs
import functools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from course_utils.errors import RecordingError
from course_utils.offline.doors import ANTHROPIC, GOOGLE, OPENAI
from course_utils.offline.replay.exchange import (
    Exchange,
    canonical,
    door_named,
    places,
    query_of,
    telling_headers,
)
from course_utils.offline.replay.side import body_of, decoded, headers_of, status_of
from course_utils.wire import sse

_SUFFIXES = (".yaml", ".yml", ".json", ".har", ".txt", ".bin")
_BARE_BODIES = (".txt", ".bin")
_VERBATIM = re.compile(
    r"""^(source:\s*live\b|["']?(http_)?interactions["']?\s*:|-\s+(request|response):)""", re.M
)
# The endpoint that a body without its request has come from, by what only its format says.
_ENDPOINTS = (
    (re.compile(r'"type": ?"message(_start)?"'), ANTHROPIC.prefix + "/v1/messages"),
    (re.compile(r'"object": ?"chat\.completion'), OPENAI.prefix + "/chat/completions"),
    (re.compile(r'"object": ?"response"'), OPENAI.prefix + "/responses"),
    (re.compile(r'"object": ?"text_completion"'), OPENAI.prefix + "/completions"),
    (re.compile(r'"modelVersion": ?"'), GOOGLE.prefix + "/v1beta/models/"),
)


def verbatim_files(path: Path) -> list[Path]:
    """The files of verbatim exchanges in a folder and below it, or the one file that is named."""
    if not path.is_dir():
        return [path] if is_verbatim(path) else []
    files = sorted(path.rglob("*"))
    return [file for file in files if file.suffix in _SUFFIXES and is_verbatim(file)]


def is_verbatim(path: Path) -> bool:
    """Whether a file holds verbatim exchanges, by its beginning. False if it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return False
    if path.suffix in _BARE_BODIES:
        return text.startswith(("event:", "data:", "{")) and _endpoint(text) is not None
    if text.lstrip()[:1] in ("{", "[") and '"request"' in text and '"response"' in text:
        return True
    return path.suffix != ".json" and _VERBATIM.search(text) is not None


def read_file(path: Path) -> list[Exchange]:
    """All exchanges of a file. Raises RecordingError."""
    try:
        return list(_read(path))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        problem = " ".join(str(error).split()) or type(error).__name__
        raise RecordingError(path, f"it is no record of exchanges ({problem})") from error


def _read(path: Path) -> Iterator[Exchange]:
    raw = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    if path.suffix in _BARE_BODIES:
        yield _without_request(f"{path.name}#0", raw)
        return
    content = _content(raw)
    own = isinstance(content, dict) and content.get("source") == "live"
    for index, row in enumerate(_rows(content)):
        name = f"{path.stem}#{index}"
        if own:
            yield _own_exchange(name, row)
        elif row.get("response") is not None:  # a call that failed has no answer to play
            yield _exchange(name, row)


def _content(raw: bytes) -> Any:
    """A file's values. Some recorders write JSON into files that are named YAML, and vice versa."""
    if raw.lstrip()[:1] in (b"{", b"["):
        try:
            return json.loads(raw)
        except ValueError:
            pass  # YAML may begin like JSON
    return _yaml(raw)


def _rows(content: Any) -> list[Mapping[str, Any]]:
    if isinstance(content, list):
        return content
    if "log" in content:  # an HTTP archive of a browser or a proxy
        content = content["log"]
    for key in ("exchanges", "interactions", "http_interactions", "entries"):
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
    headers, body = decoded(headers_of(told), body_of(told))
    sent = decoded(headers_of(asked), body_of(asked))[1]
    return Exchange(
        name=name,
        method=str(asked.get("method", "POST")).upper(),
        paths=places(url),
        query=query_of(urlsplit(url).query),
        request=canonical(sent),
        status=status_of(told),
        headers=headers,
        body=body,
        asked_with=telling_headers(headers_of(asked)),
        asked=sent,
    )


def _own_exchange(name: str, row: Mapping[str, Any]) -> Exchange:
    """An exchange that record mode has written."""
    asked, told = row["request"], row["response"]
    door = door_named(asked["provider"])
    if door is None:
        raise ValueError(f"there is no provider {asked['provider']!r}")
    headers, body = decoded(headers_of(told), body_of(told))
    return Exchange(
        name=name,
        method=asked["method"],
        paths=(door.prefix + asked["path"],),
        query=query_of(asked.get("query") or ""),
        request=canonical(body_of(asked)),
        status=told["status"],
        headers=headers,
        body=body,
        own=True,
    )


def _without_request(name: str, body: bytes) -> Exchange:
    """The body of an answer, of which nothing else is known."""
    text = body.decode()
    path = _endpoint(text)
    model = re.search(r'"model(?:Version)?": ?"([^"]+)"', text)
    if path is None or model is None:
        raise ValueError("the body is of no known format")
    stream = next(sse.decode([body]), None) is not None
    kind = "text/event-stream; charset=utf-8" if stream else "application/json"
    headers = {"content-type": kind}
    if path.endswith("/"):  # Google's paths say the model and the stream, and its bodies do not
        path += f"{model[1]}:{'streamGenerateContent' if stream else 'generateContent'}"
        return Exchange(name, "POST", (path,), frozenset(), None, 200, headers, body)
    return Exchange(name, "POST", (path,), frozenset(), None, 200, headers, body, model[1], stream)


def _endpoint(text: str) -> str | None:
    return next((path for mark, path in _ENDPOINTS if mark.search(text)), None)
