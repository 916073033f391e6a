"""The stand-in's HTTP server: Tornado, on loopback, in a thread of its own."""

from __future__ import annotations

import asyncio
import functools
import http
import logging
import socket
import struct
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Protocol

from tornado.http1connection import HTTP1Connection
from tornado.httpserver import HTTPServer
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import StreamClosedError
from tornado.netutil import bind_sockets

from course_utils.errors import PortTakenError
from course_utils.offline.call import CLOSED, RESET, WHOLE, Answer, Call, Log, LoggedCall
from course_utils.offline.doors import Door, door_of
from course_utils.offline.headers import DO_NOT_RETRY

HOST = "127.0.0.1"
_LARGEST_BODY = 200 * 2**20
_TEXT = {"Content-Type": "text/plain; charset=utf-8"}
_NO_DOOR = b"No provider's door is here. Doors: /openai/v1, /anthropic, /google, /local/v1.\n"
_OUR_FAULT = b"The course's stand-in failed to answer. This is a fault of the course.\n"
# How long a client may take to send a request's head, and then its body.
_IDLE_S, _BODY_S = 600.0, 60.0
# How much of a streamed body is written at once.
_WRITE_SIZE = 2**14
# Closed with it, a socket tells the other side of a reset instead of an end (on, 0 seconds).
_NO_LINGER = struct.pack("ii", 1, 0)


class Answers(Protocol):
    """Whoever answers calls: from recordings, or from the real provider."""

    async def answer(self, call: Call, door: Door, entry: LoggedCall) -> Answer:
        """The answer to one call; what it found out goes into the log's entry."""


class Server:
    """Listens from start() to stop(). `answers` may be replaced while it runs.

    A client that takes longer than `idle_s` for a request's head, or `body_s` for its body, is
    hung up on.
    """

    def __init__(
        self,
        answers: Answers,
        log: Log | None = None,
        *,
        idle_s: float = _IDLE_S,
        body_s: float = _BODY_S,
    ) -> None:
        self.answers = answers
        self.log = log or Log()
        self.port = 0
        self._idle_s, self._body_s = idle_s, body_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._tasks: set[asyncio.Future[None]] = set()

    @property
    def url(self) -> str:
        """The server's root address, such as http://127.0.0.1:49152."""
        return f"http://{HOST}:{self.port}"

    def start(self, port: int = 0) -> None:
        """Listen on a port, or on a free one. Raises PortTakenError."""
        try:
            sockets = bind_sockets(port, HOST)
        except OSError as error:
            raise PortTakenError(port) from error
        self.port = sockets[0].getsockname()[1]
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(sockets, ready), name="offline-server", daemon=True
        )
        self._thread.start()
        ready.wait()

    def stop(self) -> None:
        """Close the port and end the thread; open connections are dropped."""
        if self._loop and self._thread:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=5)
            self._loop = self._thread = None

    def _run(self, sockets: list[socket.socket], ready: threading.Event) -> None:
        # Tornado needs a loop that watches sockets; Windows' default loop does not.
        self._loop = loop = asyncio.SelectorEventLoop()
        asyncio.set_event_loop(loop)
        http_server = HTTPServer(
            _Doorkeeper(self),
            max_body_size=_LARGEST_BODY,
            idle_connection_timeout=self._idle_s,
            body_timeout=self._body_s,
        )
        http_server.add_sockets(sockets)
        loop.call_soon(ready.set)
        try:
            loop.run_forever()
        finally:
            http_server.stop()
            for task in self._tasks:
                task.cancel()
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()

    def accept(self, call: Call, connection: HTTP1Connection, version: str) -> asyncio.Future[None]:
        """Begin to answer a call; `version` is the client's, such as HTTP/1.1."""
        # The loop holds tasks weakly: without this set, one could vanish half-way.
        task = asyncio.ensure_future(self._serve(call, _Response(connection, call.method, version)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _serve(self, call: Call, response: _Response) -> None:
        try:
            door = door_of(call.path)
            if door is None:
                await response.send(Answer(404, _TEXT, (_NO_DOOR,)))
            else:
                await self._answer(call, door, response)
        except StreamClosedError:
            pass  # the client has gone away
        except Exception:  # a client must not wait for ever because of a fault of ours
            logging.getLogger(__name__).exception("Half an answer to %s", call.path)
            response.hang_up(RESET)

    async def _answer(self, call: Call, door: Door, response: _Response) -> None:
        began = time.perf_counter()
        entry = self.log.open(call, door.provider)
        try:
            answer = await self.answers.answer(call, door, entry)
        except Exception:
            logging.getLogger(__name__).exception("No answer to %s %s", call.method, call.path)
            answer = Answer(500, _TEXT | DO_NOT_RETRY, (_OUR_FAULT,))
            entry.status = 500
        entry.response_headers = entry.response_headers or answer.headers
        entry.latency_s = time.perf_counter() - began
        response.note = functools.partial(self.log.add, entry)
        await response.send(answer)


class _Doorkeeper(HTTPServerConnectionDelegate):
    """Takes connections for Tornado."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        assert isinstance(request_conn, HTTP1Connection)
        return _Reception(self._server, request_conn)


class _Reception(HTTPMessageDelegate):
    """Takes in one request, and hands it to the server when it is whole."""

    def __init__(self, server: Server, connection: HTTP1Connection) -> None:
        self._server, self._connection = server, connection
        self._start = RequestStartLine("", "", "")
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> None:
        assert isinstance(start_line, RequestStartLine)
        self._start = start_line
        self._headers = {name.lower(): value for name, value in headers.get_all()}

    def data_received(self, chunk: bytes) -> None:
        self._body.append(chunk)

    def finish(self) -> None:
        method, target, version = self._start
        path, _, query = _without_host(target).partition("?")
        call = Call(method, path, query, self._headers, b"".join(self._body))
        task = self._server.accept(call, self._connection, version)
        # A client that hangs up while it waits for its answer gets none made.
        self._connection.set_close_callback(functools.partial(_give_up, task))

    def on_connection_close(self) -> None:
        self._body.clear()


def _give_up(task: asyncio.Future[None]) -> None:
    task.cancel()


def _ignore(chunk: bytes) -> None:
    """What nobody wants to know of."""


def _without_host(target: str) -> str:
    """A proxy is asked for `http://host/path`: what counts is the path."""
    scheme, separator, rest = target.partition("://")
    if not separator or "/" in scheme:
        return target
    return "/" + rest.partition("/")[2]


class _Response:
    """Writes one answer to its connection; `note` is told each part of the body before it goes."""

    def __init__(self, connection: HTTP1Connection, method: str, version: str) -> None:
        self._connection = connection
        self._has_body = method != "HEAD"
        # An HTTP/1.0 client knows no chunks: the end of the connection tells it the end of a body.
        self._knows_chunks = version != "HTTP/1.0"
        self.note: Callable[[bytes], None] = _ignore

    async def send(self, answer: Answer) -> None:
        """Write an answer. Raises StreamClosedError where the client has gone away."""
        ends = answer.ends
        if answer.status:
            start = ResponseStartLine("HTTP/1.1", answer.status, _reason(answer.status))
            headers = HTTPHeaders(answer.headers)
            if isinstance(answer.chunks, tuple):
                await self._write_whole(start, headers, b"".join(answer.chunks))
            else:
                await self._write_stream(start, headers, answer.chunks)
                ends = ends if self._knows_chunks or ends != WHOLE else CLOSED
        if ends == WHOLE:
            self._connection.finish()
        else:
            self.hang_up(ends)

    async def _write_whole(
        self, start: ResponseStartLine, headers: HTTPHeaders, body: bytes
    ) -> None:
        self.note(body)
        if "Content-Length" not in headers:
            headers["Content-Length"] = str(len(body))
        await self._connection.write_headers(start, headers, body if self._has_body else None)

    async def _write_stream(
        self,
        start: ResponseStartLine,
        headers: HTTPHeaders,
        chunks: Iterable[bytes] | AsyncIterator[bytes],
    ) -> None:
        if not self._knows_chunks:
            headers["Connection"] = "close"
        if not self._has_body:
            await self._connection.write_headers(start, headers)
        elif isinstance(chunks, AsyncIterator):
            await self._connection.write_headers(start, headers)
            async for chunk in chunks:
                self.note(chunk)
                await self._connection.write(chunk)
        else:
            batches = _batches(chunks)
            first = next(batches, b"")
            self.note(first)
            await self._connection.write_headers(start, headers, first)
            for batch in batches:
                self.note(batch)
                await self._connection.write(batch)

    def hang_up(self, how: str) -> None:
        """End the connection, with a reset where that is asked for."""
        stream = self._connection.stream
        if how == RESET and not stream.closed():
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._connection.close()


def _batches(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The first chunk as soon as it is made, then as many together as fill one write."""
    batch: list[bytes] = []
    size = _WRITE_SIZE
    for chunk in chunks:
        batch.append(chunk)
        size += len(chunk)
        if size >= _WRITE_SIZE:
            yield b"".join(batch)
            batch, size = [], 0
    if batch:
        yield b"".join(batch)


@functools.cache
def _reason(status: int) -> str:
    """The words after a status; those that no standard knows, such as 529, have none."""
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
