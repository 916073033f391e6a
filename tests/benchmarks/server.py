"""What a call through the stand-in costs: CPU time, side by side with an in-process mock.

    python tests/benchmarks/server.py [--rounds 400] [--calls 10000]

Prints a table and asserts nothing. Both ways use the real OpenAI SDK and get the same bytes back;
they take turns in one run, so that a busy machine slows both. CPU time is the whole process's, so
the server's thread is in it. The third column is the least that HTTP over a socket can cost: a
thread that reads no more than the length of a request and sends the same bytes back.

Below it stand how much memory many different calls leave behind, how many events of concurrent
streams are lost or reach the wrong reader, and how long the server takes to start.
"""

from __future__ import annotations

import argparse
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import openai
import psutil

from course_utils import offline
from course_utils.offline.doors import COURSE_KEY
from course_utils.wire.catalogue import default_model

CALL_TARGET, STREAM_TARGET, START_TARGET_MS = 1.4, 1.15, 50
RECORDED = "What is an API, in one sentence?"
# Nine list entries of the simulator's make about 100 chunks.
LONG = "Name nine uses of a long and slow river in the dry north of the old country"
STREAMS, STREAM_ROUNDS = 64, 5
# The log and what remembers short texts are full after so many calls.
WARM_UP = 1_000
_START = """
import time
import course_utils
from course_utils import offline
import ipykernel.kernelapp  # a kernel has all this imported before its first cell runs
began = time.perf_counter()
offline.start()
print(1000 * (time.perf_counter() - began))
"""


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--calls", type=int, default=10_000)
    options = parser.parse_args()
    rounds: int = options.rounds
    session = offline.start()
    print(f"{'what':<28}{'server':>10}{'mock':>10}{'bare':>10}{'ratio':>8}{'target':>8}")
    call = compare(session, ask, RECORDED, stream=False, rounds=rounds)
    show("a recorded call, CPU ms", *call, CALL_TARGET)
    stream = compare(session, read_stream, LONG, stream=True, rounds=rounds // 4)
    show(f"a stream, {count_chunks(session)} chunks, CPU ms", *stream, STREAM_TARGET)
    # Before the many threads, which leave free what calls could then keep unseen.
    show_count(f"MB grown, call {WARM_UP:,} to {options.calls:,}", grown_mb(options.calls), 0)
    show_count(f"events astray, {STREAMS} streams at once", count_astray(), 0)
    offline.stop()
    show_count("server start, ms", start_ms(), START_TARGET_MS)


def show(what: str, server_s: float, mock_s: float, bare_s: float, target: float) -> None:
    """One row of the table."""
    times = "".join(f"{1000 * seconds:>10.3f}" for seconds in (server_s, mock_s, bare_s))
    print(f"{what:<28}{times}{server_s / mock_s:>8.2f}{target:>8}")


def show_count(what: str, found: float, target: float) -> None:
    """One row of the table that has nothing to be compared with."""
    print(f"{what:<38}{found:>28.1f}{target:>8}")


def ask(client: openai.OpenAI, question: str) -> None:
    """One call that is not streamed."""
    client.chat.completions.create(**arguments(question))


def read_stream(client: openai.OpenAI, question: str) -> None:
    """One stream, read to its end."""
    for _ in client.chat.completions.create(**arguments(question), stream=True):
        pass


def arguments(question: str) -> dict[str, Any]:
    """What both ways are asked."""
    return {
        "model": default_model("openai").id,
        "messages": [{"role": "user", "content": question}],
    }


def compare(
    session: offline.Session,
    use: Callable[[openai.OpenAI, str], None],
    question: str,
    *,
    stream: bool,
    rounds: int,
) -> tuple[float, ...]:
    """The median CPU seconds of one use: of the server, of the mock, and of a bare socket."""
    answer = fetch(session, question, stream=stream)
    bare = openai.OpenAI(max_retries=0, base_url=f"http://127.0.0.1:{serve_bare(answer)}/v1")
    clients = (openai.OpenAI(max_retries=0), mock_client(answer), bare)
    for client in clients * 10:
        use(client, question)
    times: tuple[list[float], ...] = ([], [], [])
    for _ in range(rounds):
        for client, seconds in zip(clients, times, strict=True):
            began = time.process_time()
            use(client, question)
            seconds.append(time.process_time() - began)
    return tuple(map(statistics.median, times))


def fetch(session: offline.Session, question: str, *, stream: bool) -> httpx2.Response:
    """The server's own answer, for the mock to give back."""
    return httpx2.post(
        session.base_url("openai") + "/chat/completions",
        headers={"authorization": f"Bearer {COURSE_KEY}"},
        json=arguments(question) | {"stream": stream},
    )


def mock_client(answer: httpx2.Response) -> openai.OpenAI:
    """A client whose transport answers in this process, chunk by chunk where it streams."""
    events = [event + b"\n\n" for event in answer.content.split(b"\n\n") if event]
    streamed = "event-stream" in answer.headers["content-type"]
    headers = {k: v for k, v in answer.headers.items() if k != "transfer-encoding"}

    def respond(request: httpx2.Request) -> httpx2.Response:
        if not streamed:
            return httpx2.Response(200, headers=headers, content=answer.content)
        return httpx2.Response(200, headers=headers, content=iterate(events))

    transport = httpx2.MockTransport(respond)
    return openai.OpenAI(max_retries=0, http_client=httpx2.Client(transport=transport))


def serve_bare(answer: httpx2.Response) -> int:
    """The port of a thread that sends this answer to every request, one connection at a time."""
    head = "".join(f"{k}: {v}\r\n" for k, v in answer.headers.items() if "-encoding" not in k)
    length = "" if "content-length" in answer.headers else f"content-length: {len(answer.content)}"
    data = f"HTTP/1.1 200 OK\r\n{head}{length}".rstrip().encode() + b"\r\n\r\n" + answer.content
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        while True:  # the SDK opens a new connection after each stream
            connection, _ = listener.accept()
            received = b""
            while part := connection.recv(2**16):
                received += part
                request_head, end, body = received.partition(b"\r\n\r\n")
                found = re.search(rb"content-length: (\d+)", request_head, re.IGNORECASE)
                if end and found and len(body) == int(found[1]):
                    connection.sendall(data)
                    received = b""

    threading.Thread(target=run, daemon=True).start()
    return int(listener.getsockname()[1])


def iterate(events: list[bytes]) -> Iterator[bytes]:
    """The events one by one, as they would come from a socket."""
    yield from events


def count_chunks(session: offline.Session) -> int:
    """How many events the streamed answer has."""
    return fetch(session, LONG, stream=True).content.count(b"\n\n")


def count_astray() -> int:
    """How many chunks of concurrent streams are missing, or in another stream than their own."""
    client = openai.OpenAI(max_retries=0)
    questions = [f"{LONG}, number {number}" for number in range(STREAMS)]
    alone = [read_chunks(client, question) for question in questions]
    astray = 0
    with ThreadPoolExecutor(STREAMS) as pool:
        for _ in range(STREAM_ROUNDS):
            together = pool.map(lambda question: read_chunks(client, question), questions)
            astray += sum(map(count_differences, alone, together))
    return astray


def read_chunks(client: openai.OpenAI, question: str) -> list[tuple[str, str | None]]:
    """The id and the text of each chunk of a stream."""
    chunks = client.chat.completions.create(**arguments(question), stream=True)
    return [(chunk.id, chunk.choices[0].delta.content) for chunk in chunks]


def count_differences(
    one: list[tuple[str, str | None]], other: list[tuple[str, str | None]]
) -> int:
    """How many chunks of one are not in the other in their place, or are not of one stream.

    The texts are equal at each asking, the ids are not: of those there is one in each stream.
    """
    texts = sum(a[1] != b[1] for a, b in zip(one, other, strict=False))
    return texts + abs(len(one) - len(other)) + len({id for id, _ in other}) - 1


def grown_mb(calls: int) -> float:
    """By how much the process has grown since its first thousand calls, all of them different."""
    client = openai.OpenAI(max_retries=0)
    process, warm = psutil.Process(), 0
    for number in range(calls):
        if number == WARM_UP:
            warm = process.memory_info().rss
        ask(client, f"{RECORDED} Answer number {number}.")
    return float(process.memory_info().rss - warm) / 2**20


def start_ms() -> float:
    """Median milliseconds of start() in fresh processes."""
    command = [sys.executable, "-c", _START]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(5)]
    return statistics.median(float(run.stdout) for run in runs)


if __name__ == "__main__":
    main()
