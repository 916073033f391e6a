"""One side of a recorded exchange: its status, headers and bytes, as any recorder keeps them."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Mapping
from typing import Any

# Headers of one connection, and those that the server sets to fit what it sends.
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
    ]
)
# A name with anything else in it, such as HTTP/2's `:status`, is none on HTTP/1.1.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_GZIP = b"\x1f\x8b"
# How zlib tells gzip, zlib and the bare stream that some servers call deflate.
_GZIPPED, _ZLIB, _BARE = 31, 15, -15


def status_of(told: Mapping[str, Any]) -> int:
    """The status: a number, `{code: 200}`, or as Go has it, `200 OK`. Raises ValueError."""
    for name in ("status", "status_code", "code"):
        status = told.get(name)
        number = status.get("code") if isinstance(status, dict) else status
        if found := re.match(r"\d+", str(number)):
            return int(found[0])
    raise ValueError("an answer has no status")


def headers_of(side: Mapping[str, Any]) -> dict[str, str]:
    """The headers of a request or response; several values of one name are joined.

    Of several cookies the first stands for all: joined, they would be none.
    """
    given = side.get("headers") or {}
    pairs = given.items() if isinstance(given, dict) else map(_pair, given)
    headers: dict[str, list[str]] = {}
    for name, value in pairs:
        values = value if isinstance(value, list | tuple) else [value]
        headers.setdefault(_text(name), []).extend(map(_text, values))
    for name in headers:
        if name.lower() == "set-cookie":
            headers[name] = headers[name][:1]
    return {name: ", ".join(values) for name, values in headers.items()}


def _pair(entry: Any) -> tuple[Any, Any]:
    """A header that is kept as `{name: ..., value: ...}` or as a pair."""
    return (entry["name"], entry.get("value")) if isinstance(entry, dict) else tuple(entry)


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return "" if value is None else str(value)


def body_of(side: Mapping[str, Any]) -> bytes:
    """The bytes of a body, in whichever of the formats they were kept."""
    if "events" in side:
        return b"".join(map(_bytes, side["events"]))
    if side.get("parsed_body") is not None:
        return json.dumps(side["parsed_body"]).encode()
    body = side.get("body", side.get("content", side.get("postData")))
    if isinstance(body, dict):
        return _unwrapped(body)
    return _bytes(body)


def _unwrapped(body: Mapping[str, Any]) -> bytes:
    """The bytes of a body that is kept with a word on its encoding; else it is plain JSON."""
    if "base64_string" in body:
        return base64.b64decode(body["base64_string"] or "")
    if "string" in body:
        return _bytes(body["string"])
    if "mimeType" in body:  # HTTP archives say so beside the text
        text = body.get("text") or ""
        return base64.b64decode(text) if body.get("encoding") == "base64" else _bytes(text)
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


def decoded(headers: Mapping[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
    """The headers to replay and the body, decompressed as far as Python itself can do it.

    A body that it cannot decompress stays as it is, and so does the header that says so.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    codings = [part.strip().lower() for part in lower.get("content-encoding", "").split(",")]
    dropped = set(_NOT_REPLAYED)
    for coding in reversed(codings):
        plain = unpacked(body, coding)
        if plain is None:
            dropped.discard("content-encoding")
            break
        body = plain
    kept = {
        name: _on_one_line(value)
        for name, value in headers.items()
        if name.lower() not in dropped and _HEADER_NAME.fullmatch(name)
    }
    return kept, body


def unpacked(body: bytes, coding: str = "") -> bytes | None:
    """A body without its compression; None where Python has no means to undo it.

    Recorders often undo it and keep the header: what is text already is left alone.
    """
    if body.startswith(_GZIP):
        return _inflated(body, _GZIPPED) or body
    if coding in ("br", "zstd", "compress", "x-compress"):
        return body if _is_text(body) else None
    if coding == "deflate" and not _is_text(body):
        return _inflated(body, _ZLIB) or _inflated(body, _BARE) or body
    return body


def _inflated(body: bytes, form: int) -> bytes:
    """All members of a compressed body, a cut one up to its cut; empty where it is none."""
    done = b""
    while body:
        inflater = zlib.decompressobj(form)
        try:
            done += inflater.decompress(body)
        except zlib.error:
            break
        body = inflater.unused_data
    return done


def _on_one_line(value: str) -> str:
    """A header's value as HTTP/1.1 can carry it."""
    line = re.sub(r"[\x00-\x08\x0a-\x1f\x7f]+", " ", value).strip()
    return line if line.isascii() else line.encode("utf-8", "replace").decode("latin-1")


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
