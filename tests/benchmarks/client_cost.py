"""What a client costs over the SDK that it works with: one call, and a stream of 200 chunks.

Every way uses the real OpenAI SDK, or its own road to the same address, and gets the same bytes
from a socket in a process of its own, so that only the caller's CPU time is counted. The figure is
the ratio to the raw SDK doing the same call in the same round.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import openai
from rows import Row

from course_utils.llm import LLMClient
from course_utils.wire.catalogue import default_model

MODEL = default_model("openai").id
QUESTION = [{"role": "user", "content": "What is an API, in one sentence?"}]
KEY = "none"
CHUNKS = 200
CALL_TARGET, STREAM_TARGET = "≤ 1.05", "≤ 1.1"
CALL_ROUNDS, STREAM_ROUNDS, ALTERNATIONS = 400, 60, 3


def rows() -> Iterator[Row]:
    """One row for a call, and one for a stream."""
    server = multiprocessing.get_context("spawn")
    here, there = server.Pipe()
    process = server.Process(target=serve, args=(there,), daemon=True)
    process.start()
    url = f"http://127.0.0.1:{here.recv()}/v1"
    # The peers read it where they take no base URL.
    os.environ |= {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": KEY}
    yield measured("one call over the raw SDK", calls(url), CALL_ROUNDS, CALL_TARGET)
    yield measured("200-chunk stream over the raw SDK", streams(url), STREAM_ROUNDS, STREAM_TARGET)
    process.terminate()


def measured(what: str, ways: dict[str, Callable[[], object]], rounds: int, target: str) -> Row:
    """The row for some ways, of which the first is the raw SDK."""
    times = cpu_ratios(ways, rounds)
    return Row(what, "times the raw SDK's CPU", times.pop("ours"), times, target)


def cpu_ratios(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Each way's CPU time over the raw SDK's.

    The median over rounds of the ratio within a round; in each round a way runs right after the
    raw SDK, several times in turn, so that a busy machine slows both.
    """
    raw = ways.pop("raw")
    ratios: dict[str, list[float]] = {name: [] for name in ways}
    for name, way in ways.items():
        for _ in range(20):
            raw(), way()
        for _ in range(rounds // ALTERNATIONS):
            mine = theirs = 0.0
            for _ in range(ALTERNATIONS):
                theirs += cpu(raw)
                mine += cpu(way)
            ratios[name].append(mine / theirs)
    return {name: statistics.median(found) for name, found in ratios.items()}


def cpu(way: Callable[[], object]) -> float:
    """The CPU seconds of one call, of all threads."""
    began = time.process_time()
    way()
    return time.process_time() - began


def calls(url: str) -> dict[str, Callable[[], object]]:
    """One call that is not streamed."""
    raw = openai.OpenAI(base_url=url, api_key=KEY, max_retries=0)
    mine = LLMClient("openai", MODEL, base_url=url, api_key=KEY)
    their = clients(url)
    return {
        "raw": lambda: raw.chat.completions.create(model=MODEL, messages=QUESTION),
        "ours": lambda: mine.chat(QUESTION),
        **{name: lambda ask=ask: ask(False) for name, ask in their.items()},
    }


def streams(url: str) -> dict[str, Callable[[], object]]:
    """One stream, read to its end."""
    raw = openai.OpenAI(base_url=url, api_key=KEY, max_retries=0)
    mine = LLMClient("openai", MODEL, base_url=url, api_key=KEY)
    their = clients(url)
    usage = {"include_usage": True}
    return {
        "raw": lambda: exhaust(
            raw.chat.completions.create(
                model=MODEL, messages=QUESTION, stream=True, stream_options=usage
            )
        ),
        "ours": lambda: exhaust(mine.stream(QUESTION)),
        **{name: lambda ask=ask: exhaust(ask(True)) for name, ask in their.items()},
    }


def clients(url: str) -> dict[str, Callable[[bool], Any]]:
    """The peers: each asks the same question of the same model."""
    import aisuite
    import any_llm
    import litellm
    from langchain_openai import ChatOpenAI

    suite = aisuite.Client({"openai": {"base_url": url, "api_key": KEY, "max_retries": 0}})
    chain = ChatOpenAI(
        model=MODEL, base_url=url, api_key=KEY, max_retries=0, stream_usage=True,
        use_responses_api=False,
    )  # fmt: skip
    spoken = [("user", QUESTION[0]["content"])]

    def ask_any(stream: bool) -> Any:
        return any_llm.completion(
            model=MODEL, provider="openai", messages=QUESTION, api_base=url, api_key=KEY,
            stream=stream,
        )  # fmt: skip

    def ask_litellm(stream: bool) -> Any:
        return litellm.completion(
            model=f"openai/{MODEL}", messages=QUESTION, api_base=url, api_key=KEY, stream=stream,
            max_retries=0,
        )  # fmt: skip

    return {
        "aisuite": lambda stream: suite.chat.completions.create(
            model=f"openai:{MODEL}", messages=QUESTION, **({"stream": True} if stream else {})
        ),
        "LangChain": lambda stream: chain.stream(spoken) if stream else chain.invoke(spoken),
        "LiteLLM": ask_litellm,
        "any-llm": ask_any,
    }


def exhaust(stream: Any) -> int:
    """How many events a stream has."""
    return sum(1 for _ in stream)


def serve(pipe: Any) -> None:
    """Send the port, then answer each request on it with bytes that were made before."""
    call, stream = answer(), chunks()
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    pipe.send(listener.getsockname()[1])
    import threading

    while True:
        connection, _ = listener.accept()
        threading.Thread(target=talk, args=(connection, call, stream), daemon=True).start()


def talk(connection: socket.socket, call: bytes, stream: bytes) -> None:
    """Answer one connection's requests until it closes."""
    received = b""
    with connection:
        while part := connection.recv(2**16):
            received += part
            head, end, body = received.partition(b"\r\n\r\n")
            length = next(
                (int(line.split(b":")[1]) for line in head.lower().split(b"\r\n")
                 if line.startswith(b"content-length:")), 0,
            )  # fmt: skip
            if end and len(body) >= length:
                streamed = b'"stream":true' in body.replace(b" ", b"")
                connection.sendall(stream if streamed else call)
                received = b""


def answer() -> bytes:
    """A whole completion, as OpenAI's servers send it."""
    usage = {"prompt_tokens": 16, "completion_tokens": 26, "total_tokens": 42}
    message = {"role": "assistant", "content": "An API is a set of rules.", "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    body = head("chat.completion") | {"choices": [choice], "usage": usage}
    data = json.dumps(body).encode()
    return response("application/json", data)


def chunks() -> bytes:
    """The same as 200 chunks, with the usage in the last."""
    usage = {"prompt_tokens": 16, "completion_tokens": CHUNKS, "total_tokens": 16 + CHUNKS}
    choice = {"index": 0, "logprobs": None, "finish_reason": None}
    first = choice | {"delta": {"role": "assistant", "content": "", "refusal": None}}
    # LiteLLM takes a stream that repeats itself for a failure of the model.
    texts = [choice | {"delta": {"content": f" word{i}"}} for i in range(CHUNKS - 3)]
    done = choice | {"delta": {}, "finish_reason": "stop"}
    bodies = [
        head("chat.completion.chunk") | {"choices": [c], "usage": None}
        for c in [first, *texts, done]
    ]
    bodies.append(head("chat.completion.chunk") | {"choices": [], "usage": usage})
    lines = [f"data: {json.dumps(body)}\n\n" for body in bodies]
    return response("text/event-stream", "".join([*lines, "data: [DONE]\n\n"]).encode())


def head(kind: str) -> dict[str, Any]:
    """The fields that each body begins with."""
    return {"id": "chatcmpl-1", "object": kind, "created": 1794484800, "model": MODEL}


def response(kind: str, data: bytes) -> bytes:
    """An HTTP response with these bytes."""
    lines = ("HTTP/1.1 200 OK", f"content-type: {kind}", f"content-length: {len(data)}",
             "x-request-id: req_1", "", "")  # fmt: skip
    return "\r\n".join(lines).encode() + data
