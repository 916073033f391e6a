"""The stand-in's HTTP server: Tornado, on loopback, in a thread of its own."""

from __future__ import annotations

import asyncio
import http
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterable
from typing import Protocol

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders, HTTPServerRequest, ResponseStartLine
from tornado.iostream import StreamClosedError
from tornado.netutil import bind_sockets

from course_utils.errors import PortTakenError
from course_utils.offline.call import Answer, Call, Log, LoggedCall
from course_utils.offline.doors import Door, door_of
from course_utils.offline.headers import DO_NOT_RETRY

HOST = "127.0.0.1"
_LARGEST_BODY = 200 * 2**20
_TEXT = {"Content-Type": "text/plain; charset=utf-8"}
_NO_DOOR = b"No provider's door is here. Doors: /openai/v1, /anthropic, /google, /local/v1.\n"
_OUR_FAULT = b"The course's stand-in failed to answer. This is a fault of the course.\n"
# How much of a streamed body the log keeps.
_LARGEST_LOGGED = 2**20


class Answers(Protocol):
    """Whoever answers calls: from recordings, or from the real provider."""

    async def answer(self, call: Call, door: Door, entry: LoggedCall) -> Answer:
        """The answer to one call; what it found out goes into the log's entry."""


class Server:
    """Listens from start() to stop(). `answers` may be replaced while it runs."""

    def __init__(self, answers: Answers, log: Log | None = None) -> None:
        self.answers = answers
        self.log = log or Log()
        self.port = 0
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
        http_server = HTTPServer(self._accept, max_body_size=_LARGEST_BODY)
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

    def _accept(self, request: HTTPServerRequest) -> None:
        # The loop holds tasks weakly: without this set, one could vanish half-way.
        task = asyncio.ensure_future(self._serve(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, request: HTTPServerRequest) -> None:
        headers = {name.lower(): value for name, value in request.headers.get_all()}
        call = Call(request.method or "", request.path, request.query, headers, request.body)
        door = door_of(call.path)
        if door is None:
            await _send(request, Answer(404, _TEXT, (_NO_DOOR,)), None)
            return
        began = time.perf_counter()
        entry = self.log.open(call, door.provider)
        try:
            answer = await self.answers.answer(call, door, entry)
        except Exception:  # a client must not wait for ever because of a fault of ours
            logging.getLogger(__name__).exception("No answer to %s %s", call.method, call.path)
            answer = Answer(500, _TEXT | DO_NOT_RETRY, (_OUR_FAULT,))
            entry.status = 500
        entry.response_headers = answer.headers
        entry.latency_s = time.perf_counter() - began
        await _send(request, answer, entry)


async def _send(request: HTTPServerRequest, answer: Answer, entry: LoggedCall | None) -> None:
    """Write an answer; a client that has gone away is no error."""
    headers = HTTPHeaders(answer.headers)
    reason = http.HTTPStatus(answer.status).phrase
    start = ResponseStartLine("HTTP/1.1", answer.status, reason)
    connection = request.connection
    assert connection is not None
    try:
        if isinstance(answer.chunks, tuple):
            (body,) = answer.chunks
            _remember(entry, body)
            headers["Content-Length"] = str(len(body))
            await connection.write_headers(start, headers, body)
        else:
            await connection.write_headers(start, headers)
            async for chunk in _each(answer.chunks):
                _remember(entry, chunk)
                await connection.write(chunk)
        connection.finish()
    except StreamClosedError:
        pass


def _remember(entry: LoggedCall | None, chunk: bytes) -> None:
    if entry is not None and len(entry.response_body) < _LARGEST_LOGGED:
        entry.response_body += chunk


async def _each(chunks: Iterable[bytes] | AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if isinstance(chunks, AsyncIterator):
        async for chunk in chunks:
            yield chunk
        return
    for chunk in chunks:
        yield chunk
