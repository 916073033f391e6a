"""The stand-in's HTTP server: asyncio, on loopback, in a thread of its own."""

from __future__ import annotations

import asyncio
import functools
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Protocol

from course_utils.errors import PortTakenError
from course_utils.offline.call import CLOSED, RESET, WHOLE, Answer, Call, Log, LoggedCall
from course_utils.offline.connection import ClientGoneError, Connection
from course_utils.offline.doors import Door, door_of
from course_utils.offline.headers import DO_NOT_RETRY
from course_utils.offline.http1 import Head, chunk, response_head

HOST = "127.0.0.1"
_TEXT = {"Content-Type": "text/plain; charset=utf-8"}
_NO_DOOR = b"No provider's door is here. Doors: /openai/v1, /anthropic, /google, /local/v1.\n"
_OUR_FAULT = b"The course's stand-in failed to answer. This is a fault of the course.\n"
# How long a client may take to send a request's head, and then its body.
_IDLE_S, _BODY_S = 600.0, 60.0
# How many clients may wait to be let in.
_BACKLOG = 1024
# How much of a streamed body is written at once: a client that is woken for less costs more.
_WRITE_SIZE = 2**16
# The statuses whose responses end with their head.
_BODILESS = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


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
        self._connections: set[Connection] = set()

    @property
    def url(self) -> str:
        """The server's root address, such as http://127.0.0.1:49152."""
        return f"http://{HOST}:{self.port}"

    def start(self, port: int = 0) -> None:
        """Listen on a port, or on a free one. Raises PortTakenError."""
        try:
            listener = socket.create_server((HOST, port), backlog=_BACKLOG)
        except OSError as error:
            raise PortTakenError(port) from error
        self.port = listener.getsockname()[1]
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(listener, ready), name="offline-server", daemon=True
        )
        self._thread.start()
        ready.wait()

    def stop(self) -> None:
        """Close the port and end the thread; open connections are dropped."""
        if self._loop and self._thread:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=5)
            self._loop = self._thread = None

    def _run(self, listener: socket.socket, ready: threading.Event) -> None:
        # Live calls are made by Tornado, which needs a loop that watches sockets; Windows' default
        # loop does not.
        self._loop = loop = asyncio.SelectorEventLoop()
        asyncio.set_event_loop(loop)
        server = loop.run_until_complete(
            loop.create_server(self._connect, sock=listener, backlog=_BACKLOG)
        )
        loop.call_soon(ready.set)
        try:
            loop.run_forever()
        finally:
            server.close()
            loop.run_until_complete(self._drop_all())
            loop.close()

    def _connect(self) -> Connection:
        return Connection(self._serve, self._connections, self._idle_s, self._body_s)

    async def _drop_all(self) -> None:
        for connection in self._connections:
            connection.abort()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, head: Head, body: bytes, connection: Connection) -> None:
        path, _, query = _without_host(head.target).partition("?")
        call = Call(head.method, path, query, head.headers, body)
        response = _Response(connection, head)
        try:
            door = door_of(call.path)
            if door is None:
                await response.send(Answer(404, _TEXT, (_NO_DOOR,)))
            else:
                await self._answer(call, door, response)
        except ClientGoneError:
            pass
        except Exception:  # a client must not wait for ever because of a fault of ours
            logging.getLogger(__name__).exception("Half an answer to %s", call.path)
            connection.reset()

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
        if entry.lines:
            self.log.add_lines(entry)
        response.note = functools.partial(self.log.add, entry)
        await response.send(answer)


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

    def __init__(self, connection: Connection, head: Head) -> None:
        self._connection, self._head = connection, head
        self._knows_chunks = head.version != "1.0"
        self._keeps_alive = head.keeps_alive
        self.note: Callable[[bytes], None] = _ignore

    async def send(self, answer: Answer) -> None:
        """Write an answer. Raises ClientGoneError where nobody takes it."""
        if answer.status and isinstance(answer.chunks, tuple):
            await self._write_whole(answer, b"".join(answer.chunks))
        elif answer.status:
            # An HTTP/1.0 client knows no chunks: the end of the connection tells it the body's.
            self._keeps_alive = self._keeps_alive and self._knows_chunks
            await self._write_stream(answer, answer.chunks)
        if answer.ends == RESET:
            self._connection.reset()
        elif answer.ends == CLOSED or not self._keeps_alive:
            self._connection.close()

    async def _write_whole(self, answer: Answer, body: bytes) -> None:
        self.note(body)
        start = self._start(answer, {"Content-Length": str(len(body))})
        await self._connection.write(start + body if self._has_body(answer) else start)

    async def _write_stream(
        self, answer: Answer, chunks: Iterable[bytes] | AsyncIterator[bytes]
    ) -> None:
        is_chunked = self._knows_chunks and self._has_body(answer)
        unsent = self._start(answer, {"Transfer-Encoding": "chunked"} if is_chunked else {})
        if isinstance(chunks, AsyncIterator):
            await self._connection.write(unsent)
            unsent = b""
            async for part in chunks:
                await self._connection.write(self._framed(part))
        elif self._has_body(answer):
            for part in _batches(chunks):
                unsent += self._framed(part)
                if len(unsent) >= _WRITE_SIZE:
                    await self._connection.write(unsent)
                    unsent = b""
        if is_chunked and answer.ends == WHOLE:
            unsent += chunk(b"")
        await self._connection.write(unsent)

    def _has_body(self, answer: Answer) -> bool:
        return self._head.method != "HEAD" and answer.status not in _BODILESS

    def _start(self, answer: Answer, framing: dict[str, str]) -> bytes:
        """The response up to its body."""
        if not self._keeps_alive:
            framing["Connection"] = "close"
        elif not self._knows_chunks:
            framing["Connection"] = "Keep-Alive"
        return response_head(answer.status, framing | dict(answer.headers))

    def _framed(self, part: bytes) -> bytes:
        self.note(part)
        return chunk(part) if self._knows_chunks and part else part


def _batches(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks, as many together as fill one write."""
    batch: list[bytes] = []
    size = 0
    for part in chunks:
        batch.append(part)
        size += len(part)
        if size >= _WRITE_SIZE:
            yield b"".join(batch)
            batch, size = [], 0
    yield b"".join(batch)
