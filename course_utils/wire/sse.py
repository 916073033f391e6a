"""Server-sent events: the text format in which providers stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its data, and its name where the provider gives one."""

    data: str
    name: str = ""


def encode(data: str, name: str = "") -> bytes:
    """One event as bytes, with the blank line that ends it."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {data}\n\n".encode()


def decode(chunks: Iterable[bytes]) -> Iterator[Event]:
    """Events from bytes that may be cut anywhere; LF, CRLF and comments are understood.

    An event that is cut off before its blank line is dropped, as the specification says:
    https://html.spec.whatwg.org/multipage/server-sent-events.html
    """
    name = ""
    data: list[str] = []
    for line in _lines(chunks):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield Event("\n".join(data), name)
            name, data = "", []
        elif field == "data":
            data.append(value)
        elif field == "event":
            name = value


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Whole lines, decoded; an unfinished last line is dropped."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r").decode("utf-8", "replace")
