"""One client's connection: its requests in, one after the other, and the bytes of answers out."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, MutableSet

from course_utils.offline.http1 import CONTINUE, BadRequestError, Head, Reader, response_head

# Closed with it, a socket tells the other side of a reset instead of an end (on, 0 seconds).
_NO_LINGER = struct.pack("ii", 1, 0)
# How much a client may send ahead while it waits for an answer.
_MOST_AHEAD = 2**16


class ClientGoneError(Exception):
    """The client has hung up, and takes no more of its answer."""


class Connection(asyncio.Protocol):
    """Gives each request to `serve` when it is whole, and the next when that has been answered.

    A client that takes longer than `idle_s` for a request's head, or `body_s` for its body, is
    hung up on; one that hangs up while it waits for an answer gets none made. `all_open` holds
    the connections that are open, this one too.
    """

    def __init__(
        self,
        serve: Callable[[Head, bytes, Connection], Awaitable[None]],
        all_open: MutableSet[Connection],
        idle_s: float,
        body_s: float,
    ) -> None:
        self._serve, self._open = serve, all_open
        self._idle_s, self._body_s = idle_s, body_s
        self._reader = Reader()
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._unsent: asyncio.Future[None] | None = None
        self._is_refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop, first of all."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        # With this, what is written has been sent, unless the loop calls pause_writing.
        transport.set_write_buffer_limits(high=0)
        self._open.add(self)
        self._wait(self._idle_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop, last of all."""
        self._open.discard(self)
        self._wait(None)
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        """Called by the loop with what the client sends."""
        if self._is_refused:
            return
        self._reader.feed(data)
        if self._task is None:
            self._go_on()
        elif len(self._reader) > _MOST_AHEAD:
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        """Called by the loop when the client reads more slowly than it is written to."""
        self._unsent = self._loop.create_future()

    def resume_writing(self) -> None:
        """Called by the loop when all has been sent."""
        if self._unsent is not None and not self._unsent.done():
            self._unsent.set_result(None)
        self._unsent = None

    async def write(self, data: bytes) -> None:
        """Send bytes, and wait until they are sent. Raises ClientGoneError."""
        if self._transport.is_closing():
            raise ClientGoneError
        self._transport.write(data)
        if self._unsent is not None:
            await self._unsent

    def close(self) -> None:
        """End the connection."""
        self._transport.close()

    def abort(self) -> None:
        """End the connection at once; what has not been sent is lost."""
        self._transport.abort()

    def reset(self) -> None:
        """Tear the connection down: the client's system reports a reset."""
        if not self._transport.is_closing():
            raw: socket.socket = self._transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.abort()

    def _go_on(self) -> None:
        """Begin with the next request, where there is a whole one."""
        try:
            waited_for = self._reader.head
            request = self._reader.next()
        except BadRequestError as error:
            self._refuse(error.status)
            return
        if request is not None:
            self._wait(None)
            self._task = self._loop.create_task(self._answer(*request))
        elif self._reader.head is not waited_for:
            self._wait(self._body_s)
            if self._reader.head and self._reader.head.waits:
                self._transport.write(CONTINUE)

    def _refuse(self, status: int) -> None:
        """Answer what is no request. To hang up on a client that still sends would reset the
        connection, and take the answer from it: the rest is read and dropped."""
        headers = {"Content-Length": "0", "Connection": "close"}
        self._transport.write(response_head(status, headers))
        self._transport.write_eof()
        self._is_refused = True
        self._wait(self._body_s)

    async def _answer(self, head: Head, body: bytes) -> None:
        await self._serve(head, body, self)
        self._task = None
        if not self._transport.is_closing():
            self._transport.resume_reading()
            self._wait(self._idle_s)
            self._go_on()

    def _wait(self, seconds: float | None) -> None:
        """Hang up on the client after so many seconds; None: no longer."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if seconds is not None:
            self._timer = self._loop.call_later(seconds, self.abort)
