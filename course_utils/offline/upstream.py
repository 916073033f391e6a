"""Live mode: calls pass through to the provider with the user's own key, unbuffered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from tornado.httpclient import HTTPRequest, HTTPResponse
from tornado.httputil import HTTPHeaders
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from course_utils.offline.call import LIVE, Answer, Call, LoggedCall, without_secrets
from course_utils.offline.doors import COURSE_KEY, Door
from course_utils.offline.endpoints import codec_of
from course_utils.offline.headers import COURSE_ERROR, DO_NOT_RETRY, TIER_HEADER
from course_utils.wire import catalogue, sse
from course_utils.wire.codec import Codec
from course_utils.wire.fields import MalformedRequestError
from course_utils.wire.reply import Refusal, Reply

# Headers that belong to one connection, and not to the message that travels over it.
_HOP_HEADERS = frozenset(
    ["host", "connection", "content-length", "transfer-encoding", "accept-encoding"]
)
_TIMEOUT_S = 600.0
_MOST_CALLS_AT_ONCE = 100
# At these the SDKs stop reading, and a program may look at the log at once.
_STREAM_ENDS = (b"data: [DONE]", b"event: message_stop")


@dataclass(frozen=True, slots=True)
class Upstream:
    """Answers calls by asking the real provider.

    `own` holds the user's environment as it was before the course: keys, and base URLs where
    calls go through an address of the user's own.
    """

    own: Mapping[str, str]

    async def answer(self, call: Call, door: Door, entry: LoggedCall) -> Answer:
        """The provider's answer, passed on as it comes; `entry` is completed at its end."""
        entry.tier = LIVE
        codec = codec_of(call.method, call.path, door)
        _read_request(call, codec, entry)
        provider = catalogue.provider(door.provider)
        key = self.own.get(provider.key_env or "", "")
        if door.needs_key and not key:
            return _problem(
                codec,
                entry,
                401,
                f"No key for {provider.name} is set. Put yours into the environment "
                f"variable {provider.key_env}, restart JupyterLab, or stay offline: start().",
            )
        url = self._base_url(provider) + call.path.removeprefix(door.prefix)
        url += f"?{call.query}" if call.query else ""
        passage = _Passage(url, call, key)
        try:
            status, headers = await passage.open()
        except OSError as error:
            return _problem(
                codec,
                entry,
                503,
                f"{provider.name} cannot be reached at {url} ({error}). Check the "
                f"network, or go back to the recordings with start('offline').",
            )
        entry.status = status
        return Answer(status, headers | {TIER_HEADER: LIVE}, _log_at_end(passage, codec, entry))

    def _base_url(self, provider: catalogue.Provider) -> str:
        base = self.own.get(provider.base_url_env or "")
        return (base or provider.base_url).rstrip("/")


def _read_request(call: Call, codec: Codec, entry: LoggedCall) -> None:
    """The request for the log; what cannot be read is the provider's to refuse."""
    try:
        entry.request = codec.read_request(json.loads(call.body))
    except (ValueError, AttributeError, MalformedRequestError):
        entry.request = None


def _problem(codec: Codec, entry: LoggedCall, status: int, message: str) -> Answer:
    """An answer of our own, in the provider's shape, that no SDK tries again."""
    entry.status, entry.refusal = status, Refusal(status, COURSE_ERROR, message)
    headers = {"Content-Type": "application/json", TIER_HEADER: LIVE} | DO_NOT_RETRY
    return Answer(status, headers, (codec.write_error(entry.refusal, "req_none"),))


class _Passage:
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
        kept = {k: v for k, v in self._head.get_all() if k.lower() not in _HOP_HEADERS}
        return self._status, {k: v for k, v in kept.items() if k.lower() != "content-encoding"}

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
        fetch.cancelled() or fetch.exception()
        self._body.put_nowait(None)


async def _log_at_end(passage: _Passage, codec: Codec, entry: LoggedCall) -> AsyncIterator[bytes]:
    """The body, passed on; before its end is told to the client, the log knows what it said."""
    parts = []
    async for chunk in passage.chunks():
        parts.append(chunk)
        if any(end in chunk for end in _STREAM_ENDS):
            entry.reply = _read_reply(b"".join(parts), codec, entry)
        yield chunk
    entry.response_headers = without_secrets(entry.response_headers)
    entry.reply = _read_reply(b"".join(parts), codec, entry)


def _read_reply(body: bytes, codec: Codec, entry: LoggedCall) -> Reply | None:
    try:
        if entry.request is not None and entry.request.stream:
            return codec.read_stream(sse.decode([body]))
        return codec.read_reply(json.loads(body)) if entry.status == 200 else None
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, MalformedRequestError):
        return None
