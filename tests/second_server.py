"""A second server that stands where the provider would, for what runs in live mode."""

import asyncio
from collections.abc import AsyncIterator, Iterator

from course_utils.offline.call import Answer, Call, LoggedCall
from course_utils.offline.doors import COURSE_KEY, Door
from course_utils.offline.standin import StandIn

OWN_KEY = "the-students-own-key"


class Provider:
    """A provider that knows one key, remembers what it was sent, and may pause in a stream."""

    def __init__(self, pause_s: float = 0.0) -> None:
        self.calls: list[Call] = []
        self._pause_s = pause_s
        self._standin = StandIn()

    async def answer(self, call: Call, door: Door, entry: LoggedCall) -> Answer:
        """What the stand-in itself would answer, to the holder of the right key."""
        self.calls.append(call)
        opened = {k: v.replace(OWN_KEY, COURSE_KEY) for k, v in call.headers.items()}
        query = call.query.replace(OWN_KEY, COURSE_KEY)
        call = Call(call.method, call.path, query, opened, call.body)
        answer = await self._standin.answer(call, door, entry)
        chunks = answer.chunks
        if self._pause_s and not isinstance(chunks, tuple):
            chunks = self._slowly(chunks)
        return Answer(answer.status, answer.headers, chunks)

    async def _slowly(self, chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
        for number, chunk in enumerate(chunks):
            if number == 2:
                await asyncio.sleep(self._pause_s)
            yield chunk
