"""One call on its way through to a provider."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from tornado.httpclient import HTTPRequest, HTTPResponse
from tornado.httputil import HTTPHeaders
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from course_utils.offline.call import Call
from course_utils.offline.doors import COURSE_KEY

# Headers that belong to one connection, and not to the message that travels over it.
_HOP_HEADERS = frozenset(
    ["host", "connection", "content-length", "transfer-encoding", "accept-encoding"]
)
_TIMEOUT_S = 600.0
_MOST_CALLS_AT_ONCE = 100
# At these the SDKs stop reading, and a program may look at the log at once.
_STREAM_ENDS = (b"data: [DONE]", b"event: message_stop")


class Passage:
    """One call on its way through: the provider's head first, then its body as it arrives."""

    def __init__(self, url: str, call: Call, key: str) -> None:
        # The SDKs carry the course's key in the header of their choice: the real one goes there.
        kept = {
            name: value.replace(COURSE_KEY, key)
            for name, value in call.headers.items()
            if name not in _HOP_HEADERS
        }
        self._head = HTTPHeaders()
        self._status = 0
        # Whether the provider's answer broke off before its end.
        self.is_cut = False
        self._opened = asyncio.Event()
        self._body: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._request = HTTPRequest(
            url,
            method=call.method,
            headers=HTTPHeaders(kept),
            body=call.body or None,
            allow_nonstandard_methods=True,
            request_timeout=_TIMEOUT_S,
            header_callback=self._take_head,
            streaming_callback=self._take_body,
        )

    async def open(self) -> tuple[int, dict[str, str]]:
        """Send the call; the status and headers of the answer. Raises OSError."""
        client = SimpleAsyncHTTPClient(max_clients=_MOST_CALLS_AT_ONCE)
        fetch = asyncio.ensure_future(client.fetch(self._request, raise_error=False))
        fetch.add_done_callback(self._end)
        opened = asyncio.ensure_future(self._opened.wait())
        await asyncio.wait((fetch, opened), return_when=asyncio.FIRST_COMPLETED)
        opened.cancel()
        if not self._opened.is_set():
            raise OSError(str(fetch.exception() or fetch.result().error))
        dropped = _HOP_HEADERS | {"content-encoding"}
        return self._status, {k: v for k, v in self.head if k.lower() not in dropped}

    @property
    def head(self) -> list[tuple[str, str]]:
        """All headers of the answer, as the provider sent them."""
        return list(self._head.get_all())

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body's bytes, as they arrive."""
        while (chunk := await self._body.get()) is not None:
            yield chunk

    def _take_head(self, line: str) -> None:
        if line.startswith("HTTP/"):
            self._status = int(line.split()[1])
            self._head = HTTPHeaders()
        elif line.strip():
            self._head.parse_line(line)
        else:
            self._opened.set()

    def _take_body(self, chunk: bytes) -> None:
        self._body.put_nowait(chunk)

    def _end(self, fetch: asyncio.Future[HTTPResponse]) -> None:
        self.is_cut = fetch.cancelled() or fetch.exception() is not None
        self._body.put_nowait(None)
