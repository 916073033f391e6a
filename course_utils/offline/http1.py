"""HTTP/1.1 as a server speaks it: requests out of bytes, and the head of a response into bytes.

A general library's header objects cost more than all else that the stand-in does for a call. This
one reads strictly what RFC 9112 allows (https://www.rfc-editor.org/rfc/rfc9112), and leaves out
what no client of an API sends: folded headers, other codings than chunked, upgrades.
"""

from __future__ import annotations

import functools
import http
import re
from collections.abc import Mapping
from dataclasses import dataclass

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_LARGEST_HEAD = 2**16
_LARGEST_BODY = 200 * 2**20
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# A line may end without its carriage return, as the standard lets a server allow.
_START = re.compile(rf"({_TOKEN}) ([^\x00-\x20\x7f]+) HTTP/(1\.[01])\r?")
_FIELD = re.compile(rf"({_TOKEN}):([^\r\0]*)\r?")
_HEAD_END = re.compile(rb"\n\r?\n")
_LENGTH = re.compile(r"[0-9]{1,15}")
_CHUNK_HEAD = re.compile(rb"([0-9a-fA-F]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")
_TRAILER = re.compile(rb"(?:[^\r\n]+\r\n)*\r\n")
_LONGEST_CHUNK_HEAD = 2**12


class BadRequestError(Exception):
    """What came is no request, or too large a one; `status` is the answer to it."""

    def __init__(self, status: int = 400) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True, slots=True)
class Head:
    """A request without its body. Header names are in lower case; `version` is 1.0 or 1.1.

    `length` is that of the body in bytes, or None where it comes in chunks.
    """

    method: str
    target: str
    version: str
    headers: Mapping[str, str]
    length: int | None

    @property
    def keeps_alive(self) -> bool:
        """Whether the client wants to use its connection again."""
        wish = self.headers.get("connection", "").lower()
        return wish != "close" if self.version == "1.1" else wish == "keep-alive"

    @property
    def waits(self) -> bool:
        """Whether the client sends the body only when it is told to go on."""
        return self.headers.get("expect", "").lower() == "100-continue"


class Reader:
    """Takes a connection's bytes as they come, and gives the requests in them, whole.

    `head` is that of a request whose body has not come yet, or None.
    """

    def __init__(self) -> None:
        self.head: Head | None = None
        self._buffer = bytearray()
        self._searched = 0
        self._chunks = bytearray()

    def __len__(self) -> int:
        """How many bytes have come that no request has been made of."""
        return len(self._buffer) + len(self._chunks)

    def feed(self, data: bytes) -> None:
        """Take what has come."""
        self._buffer += data

    def next(self) -> tuple[Head, bytes] | None:
        """The next request's head and body; None until it is whole. Raises BadRequestError."""
        head = self.head = self.head or self._read_head()
        if head is None:
            return None
        body = self._read_chunks() if head.length is None else self._take(head.length)
        if body is None:
            return None
        self.head = None
        return head, body

    def _take(self, length: int) -> bytes | None:
        if len(self._buffer) < length:
            return None
        taken = bytes(self._buffer[:length])
        del self._buffer[:length]
        return taken

    def _read_head(self) -> Head | None:
        end = _HEAD_END.search(self._buffer, self._searched)
        if (end.start() if end else len(self._buffer)) > _LARGEST_HEAD:
            raise BadRequestError(431)
        # The end may have come in part; it has no more than three bytes.
        self._searched = 0 if end else max(0, len(self._buffer) - 2)
        if end is None:
            return None
        text = self._buffer[: end.start()].decode("latin1")
        del self._buffer[: end.end()]
        return _head(text.lstrip("\r\n"))

    def _read_chunks(self) -> bytes | None:
        while found := _CHUNK_HEAD.match(self._buffer):
            start, size = found.end(), int(found[1], 16)
            if size == 0:
                return self._end_chunks(start)
            if len(self._chunks) + size > _LARGEST_BODY:
                raise BadRequestError(413)
            end = start + size
            if len(self._buffer) < end + 2:
                return None
            if self._buffer[end : end + 2] != b"\r\n":
                raise BadRequestError
            self._chunks += self._buffer[start:end]
            del self._buffer[: end + 2]
        if b"\n" in self._buffer or len(self._buffer) > _LONGEST_CHUNK_HEAD:
            raise BadRequestError
        return None

    def _end_chunks(self, start: int) -> bytes | None:
        """The body, where all that may come after its last chunk is there; it is dropped."""
        trailer = _TRAILER.match(self._buffer, start)
        if trailer is None:
            if len(self._buffer) > _LARGEST_HEAD:
                raise BadRequestError(431)
            return None
        del self._buffer[: trailer.end()]
        body, self._chunks = bytes(self._chunks), bytearray()
        return body


def _head(text: str) -> Head:
    start, *lines = text.split("\n")
    found = _START.fullmatch(start)
    if found is None:
        raise BadRequestError
    headers: dict[str, str] = {}
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise BadRequestError
        name, value = field[1].lower(), field[2].strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Head(found[1], found[2], found[3], headers, _length(headers))


def _length(headers: Mapping[str, str]) -> int | None:
    """A body's length. Two of them, or two ways of telling it, hide a request in a request."""
    coding, length = headers.get("transfer-encoding"), headers.get("content-length", "0")
    if coding is not None:
        if coding.lower() != "chunked" or "content-length" in headers:
            raise BadRequestError
        return None
    if _LENGTH.fullmatch(length) is None:
        raise BadRequestError
    if int(length) > _LARGEST_BODY:
        raise BadRequestError(413)
    return int(length)


def response_head(status: int, headers: Mapping[str, str]) -> bytes:
    """A response up to its body. Raises ValueError where a header holds what no header may."""
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    text = f"HTTP/1.1 {status} {_reason(status)}\r\n{''.join(lines)}\r\n"
    if not text.count("\r") == text.count("\n") == len(lines) + 2:
        raise ValueError("a header has a line break in it")
    return text.encode("latin1")


def chunk(data: bytes) -> bytes:
    """A part of a body whose length nobody knows yet; an empty one is its end."""
    return b"%x\r\n%b\r\n" % (len(data), data)


@functools.cache
def _reason(status: int) -> str:
    """The words after a status; those that no standard knows, such as 529, have none."""
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
