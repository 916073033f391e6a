"""Verbatim exchanges: one request and the very bytes that answered it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from course_utils.offline.doors import ANTHROPIC, DOORS, GOOGLE, LOCAL, OPENAI, Door
from course_utils.offline.replay.side import unpacked

# What stands in a recording where a text was taken out; it fits any text. The first is this
# course's own, the second that of other projects' cassettes.
REDACTED = "<REDACTED>"
_WILDCARDS = re.compile("|".join(map(re.escape, (REDACTED, "<MASSIVE_TEXT>"))))
_DOOR_OF_HOST = {
    "api.openai.com": OPENAI,
    "api.anthropic.com": ANTHROPIC,
    "generativelanguage.googleapis.com": GOOGLE,
}
# What Azure, which serves OpenAI's models under names of its customers' own, leads a path up with.
_DEPLOYMENT = re.compile(r"/openai/(?:deployments/[^/]+|v1)/(.+)")
# Headers that send a client on to another address: that of a provider is out of reach here.
_LEADING_ON = frozenset(["location", "x-goog-upload-url"])
# Query fields that carry a key or a switch of the client, and do not change what is asked.
_IDLE_QUERY = frozenset(["key", "api_key", "beta"])
# Headers of a request that say nothing about who asks and what: of the connection, and keys.
_IDLE_HEADERS = frozenset(
    [
        "accept-encoding",
        "api-key",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "host",
        "transfer-encoding",
        "x-api-key",
        "x-goog-api-key",
    ]
)
# Most of the nesting that a body may have and still be compared field by field.
_DEEPEST = 200


@dataclass(frozen=True, slots=True)
class Exchange:
    """One recorded request and its answer. `name` is `file#index`.

    `paths` are the addresses on the stand-in at which it answers. `request` is the canonical
    body, or None where only the answer was kept: then `model` and `stream` say what it answers.
    `body` is decompressed. `own` tells the course's recordings from other projects' cassettes.
    `asked_with` are the request's headers and `asked` its body as it was sent: they tell requests
    apart that ask the same.
    """

    name: str
    method: str
    paths: tuple[str, ...]
    query: frozenset[tuple[str, str]]
    request: object
    status: int
    headers: Mapping[str, str]
    body: bytes
    model: str = ""
    stream: bool = False
    own: bool = False
    asked_with: Mapping[str, str] = field(default_factory=dict, repr=False)
    asked: bytes = field(default=b"", repr=False)

    @property
    def events(self) -> list[bytes]:
        """The body cut after each event of a stream; joined, they are the body."""
        return re.findall(rb"(?s).+?(?:\r\n\r\n|\n\n|\r\r|\Z)(?:\r?\n)*", self.body)

    @property
    def is_stream(self) -> bool:
        """Whether the answer is a stream of server-sent events."""
        kind = next((v for k, v in self.headers.items() if k.lower() == "content-type"), None)
        if kind is None:  # a recorder may have left it out
            return self.body.startswith((b"data:", b"event:"))
        return "event-stream" in kind.lower()

    def likeness(self, headers: Mapping[str, str], body: bytes) -> tuple[int, bool]:
        """How much whoever asks now is like whoever asked when it was recorded.

        That is the number of equal headers (the client's name and version, a beta, a trace), then
        whether the bodies are equal byte for byte. `headers` have lower-case names.
        """
        same = sum(headers.get(name) == value for name, value in self.asked_with.items())
        return same, self.asked == body

    def is_sent_again(self, headers: Mapping[str, str]) -> bool:
        """Whether each header that was recorded is sent again as it was."""
        return self.asked_with.items() <= headers.items()

    def fits(self, request: object) -> bool:
        """Whether it answers a canonical body that is not its own, by wildcards or by model."""
        if self.request is not None:
            return _fits(self.request, request)
        if not isinstance(request, dict) or bool(request.get("stream")) != self.stream:
            return False
        # Where the address says the model, there is none to compare.
        return not self.model or self.model.startswith(str(request.get("model")))


def places(url: str) -> tuple[str, ...]:
    """The addresses on the stand-in that stand for a provider's own.

    OpenAI, Anthropic and Google have a door each. What any other host was asked (Groq, DeepSeek,
    Mistral, OpenRouter, Ollama, a gateway) is found behind the local door, with and without what
    leads up to `/v1`, because a client's base URL decides how much of it is sent; and behind the
    door of its wire format, where the path says it: Anthropic's messages, Google's models.
    """
    parts = urlsplit(url)
    host, path = parts.hostname or "", re.sub("/{2,}", "/", parts.path)
    door = next((d for name, d in _DOOR_OF_HOST.items() if f".{host}".endswith(f".{name}")), None)
    if door is not None:
        return (_behind(door, path),)
    _, version, rest = path.rpartition("/v1/")
    found = [LOCAL.prefix + path]
    if deployed := _DEPLOYMENT.fullmatch(path):
        found.insert(0, f"{OPENAI.prefix}/{deployed[1]}")
    if version:
        found.insert(0, f"{LOCAL.prefix}/{rest}")
    if version and rest.startswith("messages"):
        found.insert(0, f"{ANTHROPIC.prefix}/v1/{rest}")
    if named := re.search(r"/models/[^/]+:\w+$", path):
        found.insert(0, GOOGLE.prefix + path)
        found.append(f"{GOOGLE.prefix}/v1beta{named[0]}")
    return tuple(dict.fromkeys(found))


def _behind(door: Door, path: str) -> str:
    """A provider's path behind its door, whose prefix may hold the path's beginning already."""
    root, version = door.prefix.removesuffix("/v1"), door.prefix.endswith("/v1")
    return door.prefix + path.removeprefix("/v1") if version else root + path


def at_home(headers: Mapping[str, str], host: str) -> dict[str, str]:
    """The headers of an answer, where what leads to a provider leads to the stand-in at `host`."""
    return {
        name: _led_home(value, host) if name.lower() in _LEADING_ON else value
        for name, value in headers.items()
    }


def _led_home(url: str, host: str) -> str:
    parts = urlsplit(url)
    if not parts.netloc:
        return url
    query = f"?{parts.query}" if parts.query else ""
    return f"http://{host}{places(url)[0]}{query}"


def query_of(text: str) -> frozenset[tuple[str, str]]:
    """The fields of a query that decide what is asked: without keys and clients' switches."""
    fields = parse_qsl(text, keep_blank_values=True)
    return frozenset((k, v) for k, v in fields if k.lower() not in _IDLE_QUERY)


def telling_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of a request that tell it from others, in lower case: no keys, no lengths."""
    lower = ((name.lower(), value) for name, value in headers.items())
    return {name: value for name, value in lower if name not in _IDLE_HEADERS}


def plain_path(path: str) -> str:
    """A path freed of what clients vary: which characters are escaped, and doubled slashes."""
    return re.sub(r"/{2,}", "/", unquote(path))


def canonical(body: bytes) -> object:
    """A body freed of what clients vary: white space, order, nulls, boundaries, 1.0 for 1.

    No body at all is the same as an empty object.
    """
    body = unpacked(body) or b""
    try:
        content = json.loads(body or b"{}")
        return {} if content is None else _tidy(content, _DEEPEST)
    except (ValueError, RecursionError):
        pass
    return _form(body) if body.lstrip().startswith(b"--") else body.strip()


def _form(body: bytes) -> object:
    """The parts of a multipart form: each field's name, the file's name and the content."""
    body = body.strip().replace(b"\r\n", b"\n")
    boundary = body.split(b"\n", 1)[0].rstrip()
    parts = body.removesuffix(b"--").split(boundary)
    return sorted(_part(part) for part in parts if part.strip(b"\n -"))


def _part(part: bytes) -> list[str]:
    """The names in a part's head, and its content. The type of a file is each client's guess."""
    head, _, content = part.strip(b"\n").partition(b"\n\n")
    names = re.findall(rb'\b((?:file)?name)="?([^";\n]*)', head, re.IGNORECASE)
    told = [f"{key.decode().lower()}={name.decode('latin-1')}" for key, name in sorted(names)]
    return [*told, content.decode("latin-1")]


def _tidy(value: Any, depth: int) -> object:
    if not depth:
        raise RecursionError
    if isinstance(value, dict):
        return {k: _tidy(v, depth - 1) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_tidy(item, depth - 1) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _fits(recorded: object, sent: object) -> bool:
    """Whether two bodies are equal, where a redacted text fits any text."""
    match recorded, sent:
        case dict(), dict():
            return recorded.keys() == sent.keys() and all(
                _fits(recorded[name], sent[name]) for name in recorded
            )
        case list(), list():
            return len(recorded) == len(sent) and all(map(_fits, recorded, sent))
        case str(), str():
            return recorded == sent or _text_fits(recorded, sent)
        case _:
            return recorded == sent


def _text_fits(recorded: str, sent: str) -> bool:
    """Whether the parts of a text around its wildcards stand in another, in their order."""
    first, *others = _WILDCARDS.split(recorded)
    if not others or not sent.startswith(first) or not sent.endswith(others[-1]):
        return False
    at = len(first)
    for part in others[:-1]:
        found = sent.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return at <= len(sent) - len(others[-1])


def door_named(provider: str) -> Door | None:
    """The door of a provider in a recording of the course's own."""
    return next((door for door in DOORS if door.provider == provider), None)
