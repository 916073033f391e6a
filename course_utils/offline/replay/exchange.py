"""Verbatim exchanges: one request and the very bytes that answered it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from course_utils.offline.doors import ANTHROPIC, DOORS, GOOGLE, LOCAL, OPENAI, Door

# What stands in a recording where a text was taken out; it fits any text. The first is this
# course's own, the second that of other projects' cassettes.
REDACTED = "<REDACTED>"
_WILDCARDS = re.compile("|".join(map(re.escape, (REDACTED, "<MASSIVE_TEXT>"))))
_DOOR_OF_HOST = {
    "api.openai.com": OPENAI,
    "api.anthropic.com": ANTHROPIC,
    "generativelanguage.googleapis.com": GOOGLE,
}
# Query fields that carry a key or a switch of the client, and do not change what is asked.
_IDLE_QUERY = frozenset(["key", "api_key", "beta"])
# Most of the nesting that a body may have and still be compared field by field.
_DEEPEST = 200


@dataclass(frozen=True, slots=True)
class Exchange:
    """One recorded request and its answer. `name` is `file#index`.

    `paths` are the addresses on the stand-in at which it answers. `request` is the canonical
    body, or None where only the answer was kept: then `model` and `stream` say what it answers.
    `body` is decompressed. `own` tells the course's recordings from other projects' cassettes.
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

    @property
    def events(self) -> list[bytes]:
        """The body cut after each event of a stream; joined, they are the body."""
        return re.findall(rb"(?s).+?(?:\r\n\r\n|\n\n|\r\r|\Z)(?:\r?\n)*", self.body)

    @property
    def is_stream(self) -> bool:
        """Whether the answer is a stream of server-sent events."""
        kind = next((v for k, v in self.headers.items() if k.lower() == "content-type"), "")
        return "event-stream" in kind

    def fits(self, request: object) -> bool:
        """Whether it answers a canonical body that is not its own, by wildcards or by model."""
        if self.request is not None:
            return _fits(self.request, request)
        if not isinstance(request, dict) or bool(request.get("stream")) != self.stream:
            return False
        return self.model.startswith(str(request.get("model")))


def places(url: str) -> tuple[str, ...]:
    """The addresses on the stand-in that stand for a provider's own.

    OpenAI, Anthropic and Google have a door each. What any other host was asked (Groq, DeepSeek,
    Mistral, OpenRouter, Ollama, a gateway) is found behind the local door, with and without what
    leads up to `/v1`, because a client's base URL decides how much of it is sent; and behind the
    door of its wire format, where the path says it: Anthropic's messages, Google's models.
    """
    parts = urlsplit(url)
    door = _DOOR_OF_HOST.get(parts.hostname or "")
    if door is not None:
        return (_behind(door, parts.path),)
    _, version, rest = parts.path.rpartition("/v1/")
    found = [LOCAL.prefix + parts.path]
    if version:
        found.insert(0, f"{LOCAL.prefix}/{rest}")
    if version and rest.startswith("messages"):
        found.insert(0, f"{ANTHROPIC.prefix}/v1/{rest}")
    if re.search(r"/models/[^/]+:\w+$", parts.path):
        found.insert(0, GOOGLE.prefix + parts.path)
    return tuple(dict.fromkeys(found))


def _behind(door: Door, path: str) -> str:
    """A provider's path behind its door, whose prefix may hold the path's beginning already."""
    root, version = door.prefix.removesuffix("/v1"), door.prefix.endswith("/v1")
    return door.prefix + path.removeprefix("/v1") if version else root + path


def query_of(text: str) -> frozenset[tuple[str, str]]:
    """The fields of a query that decide what is asked: without keys and clients' switches."""
    fields = parse_qsl(text, keep_blank_values=True)
    return frozenset((k, v) for k, v in fields if k.lower() not in _IDLE_QUERY)


def canonical(body: bytes) -> object:
    """A body freed of what clients vary: white space, order, nulls, boundaries, 1.0 for 1."""
    try:
        return _tidy(json.loads(body), _DEEPEST)
    except (ValueError, RecursionError):
        pass
    if body.startswith(b"--"):
        boundary = body.split(b"\r\n", 1)[0]
        return body.replace(boundary, b"--").strip()
    return body.strip()


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
