"""Many calls at once: how many a second, and whether a limit on them holds.

The server runs in a process of its own and answers each call after 50 ms with the same completion.
Calls are counted for each second of this process's CPU time, which a busy machine does not change;
with 200 in flight nobody can pass 4,000 a second.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import openai
from aiolimiter import AsyncLimiter
from rows import Row

from course_utils.llm.batch import arun_batch
from course_utils.llm.client import LLMClient
from course_utils.llm.limiter import RateLimiter
from course_utils.wire.catalogue import default_model

CALLS, IN_FLIGHT, DELAY_S = 2_000, 200, 0.05
ROUNDS = 3
KEY = "none"
# For the window: what is allowed in it, and how many ask at once.
ALLOWED, WINDOW_S, ASKED = 200, 2.0, 500
_SERVER = r"""
import asyncio, json, sys

DELAY_S, MODEL = float(sys.argv[1]), sys.argv[2]
BODY = json.dumps({
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1794484800, "model": MODEL,
    "choices": [{"index": 0, "finish_reason": "stop", "logprobs": None, "message": {
        "role": "assistant", "content": "An answer of about the usual length. " * 8,
        "refusal": None, "annotations": []}}],
    "usage": {"prompt_tokens": 12, "completion_tokens": 64, "total_tokens": 76},
    "service_tier": "default", "system_fingerprint": None,
}, indent=2).encode()
LIMITS = "".join(
    f"x-ratelimit-limit-{kind}: 100000000\r\nx-ratelimit-remaining-{kind}: 99999999\r\n"
    f"x-ratelimit-reset-{kind}: 1ms\r\n" for kind in ("requests", "tokens")).encode()
ANSWER = (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_1\r\n" + LIMITS
          + b"content-length: %d\r\n\r\n" % len(BODY) + BODY)


class Delaying(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.received = transport, b""

    def data_received(self, data):
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end:
            return
        fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:])
        if len(body) >= int(fields.get(b"content-length", 0)):
            self.received = b""
            asyncio.get_running_loop().call_later(DELAY_S, self.transport.write, ANSWER)


async def main():
    server = await asyncio.get_running_loop().create_server(
        Delaying, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
"""

Way = Callable[[list[str]], Awaitable[object]]


def rows() -> Iterator[Row]:
    """The rates, and the worst sliding window."""
    with server() as url:
        cpu, clock = rates(url)
    store = cpu.pop("ours with a store"), clock.pop("ours with a store")
    what = "2,000 calls of 50 ms, 200 in flight"
    yield Row(f"{what}, per CPU second", "calls", cpu.pop("ours"), cpu, "≥ 1000")
    yield Row(f"{what}, every answer kept in a file", "calls", store[0], {}, "≥ 1000")
    yield Row(f"{what}, by the clock", "calls/s", clock.pop("ours"), clock, "≥ 1000")
    ours = asyncio.run(worst_window(RateLimiter(ALLOWED, window_s=WINDOW_S).aacquire))
    theirs = asyncio.run(worst_window(AsyncLimiter(ALLOWED, WINDOW_S).acquire))
    yield Row("worst sliding window", "of the limit", ours, {"aiolimiter": theirs}, "≤ 1.00")


@contextmanager
def server() -> Iterator[str]:
    """The base URL of the delaying server."""
    command = [sys.executable, "-c", _SERVER, str(DELAY_S), default_model("openai").id]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
        process.terminate()


def rates(url: str) -> tuple[dict[str, float], dict[str, float]]:
    """Calls a second of each way, by CPU time and by the clock: medians of rounds that take turns.

    The two slow peers take part in the first round only.
    """
    fast = {"ours": ours(url), "ours with a store": ours_stored(url), "aiohttp": plain(url)}
    slow = {"AsyncOpenAI": sdk(url), "LiteLLM": litellm(url)}
    cpu: dict[str, list[float]] = {name: [] for name in fast | slow}
    clock: dict[str, list[float]] = {name: [] for name in fast | slow}
    for way in (fast | slow).values():
        asyncio.run(_awaited(way, prompts(20)))  # the first calls import and connect
    for number in range(ROUNDS):
        for name, way in (fast | (slow if number == 0 else {})).items():
            began, cpu_began = time.perf_counter(), time.process_time()
            asyncio.run(_awaited(way, prompts(CALLS)))
            cpu[name].append(CALLS / (time.process_time() - cpu_began))
            clock[name].append(CALLS / (time.perf_counter() - began))
    return _medians(cpu), _medians(clock)


def prompts(count: int) -> list[str]:
    """So many different prompts."""
    return [f"Say in a few sentences what is special about the number {n}." for n in range(count)]


def ours(url: str) -> Way:
    """run_batch, with limits to be kept that are never reached."""
    client = LLMClient("openai", base_url=url, api_key=KEY)
    return lambda asked: _checked(asked, client, None)


def ours_stored(url: str) -> Way:
    """The same with a store, a new one each time."""
    client = LLMClient("openai", base_url=url, api_key=KEY)

    async def run(asked: list[str]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            await _checked(asked, client, Path(folder, "answers.sqlite"))

    return run


async def _checked(asked: list[str], client: LLMClient, store: Path | None) -> None:
    limits = {"rpm": 10**8, "tpm": 10**10}
    report = await arun_batch(
        asked, client=client, concurrency=IN_FLIGHT, store=store, max_tokens=100, **limits
    )
    assert not report.failed
    assert len(report.items) == len(asked)


def plain(url: str) -> Way:
    """The least that aiohttp takes: post, read the body, parse it."""

    async def run(asked: list[str]) -> None:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def one(prompt: str) -> None:
                async with session.post(url + "/chat/completions", json=body(prompt)) as answer:
                    await answer.json()

            await _at_most(one, asked)

    return run


def sdk(url: str) -> Way:
    """OpenAI's asynchronous client as it comes."""

    async def run(asked: list[str]) -> None:
        async with openai.AsyncOpenAI(base_url=url, api_key=KEY) as client:
            await _at_most(lambda p: client.chat.completions.create(**body(p)), asked)

    return run


def litellm(url: str) -> Way:
    """LiteLLM's asynchronous call, which is what its router makes."""
    import litellm as peer

    peer.suppress_debug_info = True

    async def one(prompt: str) -> None:
        asked = body(prompt)
        asked["model"] = "openai/" + asked["model"]
        await peer.acompletion(**asked, base_url=url, api_key=KEY)

    return lambda asked: _at_most(one, asked)


def body(prompt: str) -> dict[str, Any]:
    """What every way asks."""
    said = [{"role": "user", "content": prompt}]
    return {"model": default_model("openai").id, "messages": said, "max_completion_tokens": 100}


async def _at_most(one: Callable[[str], Awaitable[object]], asked: list[str]) -> None:
    """All of them, so many at once."""
    gate = asyncio.Semaphore(IN_FLIGHT)

    async def gated(prompt: str) -> None:
        async with gate:
            await one(prompt)

    await asyncio.gather(*map(gated, asked))


async def _awaited(way: Way, asked: list[str]) -> None:
    await way(asked)


def _medians(found: dict[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(rates) for name, rates in found.items()}


async def worst_window(acquire: Callable[[], Awaitable[object]]) -> float:
    """The most that goes through in any window, as a multiple of what is allowed."""
    inside: deque[float] = deque()
    most = 0
    for _ in range(ASKED):
        await acquire()
        now = time.monotonic()
        inside.append(now)
        while inside[0] <= now - WINDOW_S:
            inside.popleft()
        most = max(most, len(inside))
    return most / ALLOWED
