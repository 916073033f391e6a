"""Requests that no decent client sends: each is refused or hung up on, and none does any harm.

    python tests/test_hostile.py --count 20000 --seed 1

makes as many as one likes and prints what became of them; the check here makes fewer.
"""

from __future__ import annotations

import argparse
import copy
import json
import re
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import openai
import pytest

from course_utils.offline.doors import COURSE_KEY
from course_utils.offline.server import Server
from course_utils.offline.standin import StandIn
from course_utils.wire import tokens
from course_utils.wire.catalogue import default_model

PATIENCE_S = 30.0
WORKERS = 16
HELLO = [{"role": "user", "content": "Hello"}]
GEMINI = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
TOOL = {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}
CHAT = {
    "messages": HELLO, "max_completion_tokens": 9, "stop": ["x"], "n": 1, "seed": 3,
    "stream": False, "stream_options": None, "tools": [{"type": "function", "function": TOOL}],
    "tool_choice": "auto", "response_format": {"type": "text"}, "logprobs": True,
    "reasoning_effort": "none", "temperature": 0.5, "top_p": 1, "user": "me", "metadata": {},
}  # fmt: skip
MESSAGE = {
    "messages": HELLO, "max_tokens": 9, "system": "Be brief.", "stop_sequences": ["x"],
    "stream": False, "tools": [{"name": "f", "input_schema": {"type": "object"}}],
    "tool_choice": {"type": "auto"}, "metadata": {"user_id": "me"}, "thinking": None,
}  # fmt: skip
# The endpoints that are attacked, and a request that each of them takes.
ENDPOINTS: dict[str, dict[str, Any]] = {
    "/openai/v1/chat/completions": {"model": default_model("openai").id} | CHAT,
    "/local/v1/chat/completions": {"model": default_model("local").id} | CHAT,
    "/google/v1beta/openai/chat/completions": {"model": default_model("google").id} | {
        key: value for key, value in CHAT.items() if key not in ("temperature", "logprobs")
    },
    "/anthropic/v1/messages": {"model": default_model("anthropic").id} | MESSAGE,
    "/anthropic/v1/messages/count_tokens": {
        "model": default_model("anthropic").id, "messages": HELLO,
    },
    "/anthropic/v1/messages/batches": {
        "requests": [{"custom_id": "a", "params": {"model": "m"} | MESSAGE}],
    },
    "/openai/v1/responses": {
        "model": default_model("openai").id, "input": HELLO, "instructions": "Be brief.",
        "tools": [{"type": "function", "strict": False} | TOOL], "max_output_tokens": 99,
        "text": {"format": {"type": "text"}}, "previous_response_id": None, "stream": False,
    },
    "/openai/v1/responses/input_tokens": {
        "model": default_model("openai").id, "input": HELLO, "tools": None,
    },
    "/openai/v1/responses/compact": {"model": default_model("openai").id, "input": HELLO},
    "/local/v1/completions": {
        "model": default_model("local").id, "prompt": "Hello", "echo": True, "max_tokens": 9,
        "stop": None, "n": 2, "logprobs": None, "suffix": "",
    },
    "/openai/v1/embeddings": {
        "model": "text-embedding-3-small", "input": ["a", "b"], "dimensions": 8,
        "encoding_format": "float",
    },
    "/openai/v1/moderations": {"input": ["a"], "model": "omni-moderation-latest"},
    "/openai/v1/batches": {
        "input_file_id": "file-1", "endpoint": "/v1/chat/completions", "completion_window": "24h",
    },
    "/openai/v1/files": {"purpose": "batch", "file": "x"},
    f"/google/v1beta/models/{default_model('google').id}:generateContent": GEMINI | {
        "generationConfig": {"temperature": 1, "maxOutputTokens": 9, "stopSequences": ["x"]},
        "tools": [{"functionDeclarations": [TOOL]}], "systemInstruction": GEMINI["contents"][0],
    },
    f"/google/v1beta/models/{default_model('google').id}:streamGenerateContent": GEMINI | {
        "generationConfig": {"responseSchema": {"type": "STRING"}, "thinkingConfig": {}},
        "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}}, "safetySettings": [],
    },
    f"/google/v1beta/models/{default_model('google').id}:countTokens": GEMINI,
    "/google/v1beta/models/gemini-embedding-001:embedContent": {
        "content": GEMINI["contents"][0], "outputDimensionality": 8,
    },
}  # fmt: skip
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 10**9, 10**18, 10**400, -(10**30), 0.5, -0.0, 1e308, "", "x",
    "\0", "\n\r", "é" * 50, "😀", "\ud800", "x" * 5000, "%s{0}{x}", [], {}, [[]], [None], [{}],
    [100256], [[1], [-1]],
    {"": {}}, {"type": "text"}, {"type": "function"}, {"type": "json_schema"}, {"$ref": "#"},
    {"type": "json_schema", "json_schema": {"name": "s", "schema": {"$ref": "#"}}},
    {"type": "object", "properties": {"a": {"$ref": "#/properties/a"}}}, [1] * 1000, ["x"] * 50,
    json.loads("[" * 90 + "]" * 90), json.loads('{"a":' * 90 + "1" + "}" * 90),
)  # fmt: skip
ODD_BODIES: tuple[bytes, ...] = (
    b"", b" ", b"null", b"[]", b"1", b'"x"', b"{", b"{}}", b"{'model': 1}", b"\xff\xfe\xfd",
    b'\xef\xbb\xbf{"model": "x"}', '{"model": "x"}'.encode("utf-16"), b'{"model": "\xff"}',
    b'{"model": NaN}', b'{"model": "x", "temperature": Infinity, "messages": []}',
    b'{"model": "x", "top_p": -Infinity}', b'{"model": 1e999}', b'{"n": ' + b"9" * 5000 + b"}",
    b'{"model": "a", "model": 2}', b'{"model": "\\ud800"}', b'{"model": "x",}', b"\x00" * 100,
    b"[" * 100_000, b'{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000,
    b'{"messages": ' + b"[" * 900 + b"]" * 900 + b"}", b'{"model": "\\u0000", "messages": [1]}',
)  # fmt: skip
KEY_HEADERS = f"Authorization: Bearer {COURSE_KEY}\r\nContent-Type: application/json\r\n".encode()


@dataclass(frozen=True)
class Attack:
    """What is sent. With `may_pass` it could by chance be a request that is in order."""

    kind: str
    data: bytes
    may_pass: bool = False
    then: str = "read"  # or "half_close", "hang_up"


def post(
    path: str, body: bytes, version: str = "1.1", more: bytes = b"Connection: close\r\n"
) -> bytes:
    """A POST request as bytes."""
    head = f"POST {path} HTTP/{version}\r\nHost: x\r\nContent-Length: {len(body)}\r\n".encode()
    return head + KEY_HEADERS + more + b"\r\n" + body


def any_path(random: Random) -> str:
    """One of the endpoints."""
    return random.choice(list(ENDPOINTS))


def noise(random: Random) -> Attack:
    """Bytes without any sense, now and then with a decent beginning or end."""
    data = random.randbytes(random.randrange(1, 2000))
    prefix = random.choice(
        [b"", b"GET / HTTP/1.1\r\n", b"POST /openai/v1/ ", b"PRI * HTTP/2.0\r\n"]
    )
    return Attack("random bytes", prefix + data + b"\r\n\r\n", then="half_close")


def wrong_types(random: Random) -> Attack:
    """A request of which some fields hold what they must not."""
    path = any_path(random)
    body = copy.deepcopy(ENDPOINTS[path])
    if random.random() < 0.3:
        body["stream"] = True
    for _ in range(random.randrange(1, 4)):
        spoil(body, random)
    return Attack("wrong types", post(path, json.dumps(body).encode()), may_pass=True)


def spoil(value: Any, random: Random) -> None:
    """Put something odd somewhere into a JSON value, or take something out of it."""
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return
        key = random.choice(keys)
        inner = value[key]
        if isinstance(inner, dict | list) and inner and random.random() < 0.7:
            value = inner
            continue
        if random.random() < 0.1:
            del value[key]
        else:
            value[key] = copy.deepcopy(random.choice(ODD_VALUES))
        return


def odd_body(random: Random) -> Attack:
    """A body that is no JSON object, or hardly one."""
    body = random.choice(ODD_BODIES)
    return Attack("odd bodies", post(any_path(random), body), may_pass=b'"model": "a"' in body)


def deep_text(random: Random) -> Attack:
    """A message whose field is nested as deep as a parser goes, or one level more."""
    depth = random.choice([200, 500, 900, 990, 1000, 2000, 100_000])
    path = any_path(random)
    body = json.dumps(ENDPOINTS[path])[:-1].encode()
    field = random.choice([b"metadata", b"tools", b"messages", b"response_format", b"input"])
    opened, closed = random.choice([(b"[", b"]"), (b'{"a":', b"}")])
    deep = opened * depth + b"1" + closed * depth
    data = post(path, body + b', "' + field + b'": ' + deep + b"}")
    return Attack("deep nesting", data, may_pass=True)


def odd_http(random: Random) -> Attack:
    """Methods, targets, versions, lengths and headers that are not as they should be."""
    path, body = any_path(random), b'{"model": 1}'
    plain = post(path, body)
    targets = [b" http://x/", b" https://[::1]:9/", b" //", b" ", b" *"]
    tails = [b"\0", b"%00", b"/../..", b"/" + b"a" * 9000, b"?" + b"q" * 9000, b"#x", b"\xff"]
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".encode() + KEY_HEADERS
    data = random.choice([
        plain.replace(b"POST", random.choice([b"BREW", b"HEAD", b"OPTIONS", b"CONNECT", b"p\0st"])),
        plain.replace(b" /", random.choice(targets)),
        plain.replace(path.encode(), path.encode() + random.choice(tails)),
        post(path, body, random.choice(["1.0", "0.9", "2.0", "9.9", "x"])),
        post(path, body, "1.0", b"Connection: keep-alive\r\n") ,
        head + b"Content-Length: " + random.choice([b"-1", b"x", b"1e3", b"9" * 30, b"5, 6"])
        + b"\r\n\r\n" + body,
        head + b"Content-Length: 2\r\nContent-Length: 12\r\n\r\n" + body,
        head + b"Content-Length: 12\r\nTransfer-Encoding: chunked\r\n\r\n" + body,
        head + b"Transfer-Encoding: " + random.choice([b"gzip", b"chunked, chunked", b"\0"])
        + b"\r\n\r\n" + body,
        head + b"Transfer-Encoding: chunked\r\n\r\n" + random.choice(
            [b"zz\r\n{}\r\n0\r\n\r\n", b"-5\r\n", b"ffffffffffffffff\r\n{}", b"2\r\n{}xx0\r\n\r\n",
             b"2;" + b"a" * 9000 + b"\r\n{}\r\n0\r\n\r\n", b"0\r\n\r\n", b"\r\n\r\n"]
        ),
        head + b"X-Big: " + b"a" * random.choice([8_000, 70_000, 2_000_000]) + b"\r\n\r\n",
        head + b"".join(b"X-%d: 1\r\n" % i for i in range(random.choice([200, 20_000]))) + b"\r\n",
        head + random.choice([b": x\r\n", b"no colon\r\n", b"A\0: 1\r\n", b" folded\r\n", b"\r"])
        + b"Content-Length: 0\r\n\r\n",
        head.replace(b"\r\n", b"\n") + b"Content-Length: 12\n\n" + body,
        head + b"Expect: 100-continue\r\nContent-Length: 12\r\n\r\n" + body,
        plain.replace(COURSE_KEY.encode(), random.choice([b"", b"\xff\xfe", b"k" * 9000, b"\t"])),
    ])  # fmt: skip
    # What HEAD asks for may well be there: a list of files, for one.
    may_pass = data.startswith(b"HEAD")
    return Attack(
        "odd HTTP", data, may_pass, then="half_close" if random.random() < 0.9 else "read"
    )


def bad_manners(random: Random) -> Attack:
    """Requests that stop half-way, and clients that leave or never come to an end."""
    path = any_path(random)
    whole = post(path, json.dumps(ENDPOINTS[path] | {"stream": True}).encode())
    then = random.choice(["half_close", "hang_up", "half_close", "hang_up", "read"])
    return Attack("stopped half-way", whole[: random.randrange(1, len(whole))], then=then)


def pipelined(random: Random) -> Attack:
    """Many requests in one go, without a wait for any answer."""
    path = any_path(random)
    one = post(path, json.dumps({"model": random.choice(ODD_VALUES)}).encode(), more=b"")
    return Attack("pipelined", one * 20 + post(path, b"{"))


def large(random: Random) -> Attack:
    """A body of 100 MB: text, an array or white space."""
    path = any_path(random)
    filling = random.choice(
        [b'"' + b"ab " * (100 * 2**20 // 3) + b'"', b" " * (100 * 2**20) + b"{}"]
    )
    return Attack("100 MB", post(path, b'{"model": ' + filling + b"}"))


KINDS: tuple[tuple[Callable[[Random], Attack], float], ...] = (
    (noise, 15), (wrong_types, 40), (odd_body, 15), (deep_text, 3), (odd_http, 18),
    (bad_manners, 8), (pipelined, 2), (large, 0.05),
)  # fmt: skip


def attacks(count: int, seed: int) -> Iterator[Attack]:
    """So many hostile requests; the same for the same seed."""
    random = Random(seed)
    makers, weights = zip(*KINDS, strict=True)
    for make in random.choices(makers, weights, k=count):
        yield make(random)


def become(attack: Attack, port: int) -> str:
    """What became of an attack: its statuses, or closed. Raises TimeoutError where it hangs."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as client:
        answer = b""
        try:
            client.sendall(attack.data)
            if attack.then == "hang_up":
                return "left"
            if attack.then == "half_close":
                client.shutdown(socket.SHUT_WR)
            while part := client.recv(2**16):
                answer += part
        except TimeoutError:
            raise
        except OSError:
            pass  # hung up on, at whatever moment
    return judge(attack, answer)


def judge(attack: Attack, answer: bytes) -> str:
    """Say what an answer is; AssertionError where it may not be."""
    heads = re.findall(rb"^HTTP/1\.1 (\d{3})(?! \(Continue\))", answer, re.MULTILINE)
    statuses = sorted({int(status) for status in heads} - {100})
    shown = f"{attack.data[:300]!r} {attack.data[-1500:]!r} got {answer[:600]!r}"
    assert all(status < 500 for status in statuses), shown
    if not attack.may_pass:
        assert all(status >= 400 for status in statuses), shown
    body = answer.rpartition(b"\r\n\r\n")[2]
    if statuses and statuses[0] >= 400 and b"application/json" in answer and body:
        error = json.loads(body)
        assert (error[0] if isinstance(error, list) else error)["error"], shown
    return "/".join(map(str, statuses)) or "closed"


def attack_all(server: Server, count: int, seed: int) -> Counter[tuple[str, str]]:
    """Make the attacks, several at once; what became of how many."""
    outcomes: Counter[tuple[str, str]] = Counter()

    def run(attack: Attack) -> tuple[str, str]:
        return attack.kind, become(attack, server.port)

    with ThreadPoolExecutor(WORKERS) as pool:
        pending = []
        for attack in attacks(count, seed):
            pending.append(pool.submit(run, attack))
            if len(pending) > 4 * WORKERS:
                outcomes[pending.pop(0).result()] += 1
        for future in pending:
            outcomes[future.result()] += 1
    return outcomes


def running() -> Server:
    """A stand-in that waits for slow clients for no more than half a second."""
    server = Server(StandIn(), idle_s=0.5, body_s=0.5)
    server.start()
    return server


def is_well(server: Server) -> bool:
    """Whether a decent request still gets its answer."""
    body = json.dumps({"model": default_model("openai").id, "messages": HELLO}).encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as client:
        client.sendall(post("/openai/v1/chat/completions", body))
        return client.recv(100).startswith(b"HTTP/1.1 200 OK")


@pytest.fixture
def server() -> Iterator[Server]:
    """A stand-in to attack."""
    server = running()
    yield server
    server.stop()


def test_hostile_requests_are_refused_or_hung_up_on(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Each gets a 4xx in the provider's shape or a closed connection, and the server lives on."""
    outcomes = attack_all(server, 2000, seed=1)
    assert outcomes.total() == 2000
    assert is_well(server)
    assert [r for r in caplog.records if r.name.startswith("course_utils")] == []


def test_slow_senders_are_hung_up_on(server: Server) -> None:
    """Who starts a head or a body and does not go on is cut off, and holds nobody else up."""
    whole = post("/openai/v1/chat/completions", b'{"model": 1}')
    for part in (whole[:10], whole[:-3]):
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as client:
            client.sendall(part)
            assert is_well(server)
            assert client.recv(100) == b""


def huge(server: Server, text: str) -> Any:
    """What OpenAI's SDK makes of the answer to a prompt."""
    client = openai_of(server)
    try:
        return client.chat.completions.create(
            model=default_model("openai").id, messages=[{"role": "user", "content": text}]
        )
    except openai.APIStatusError as error:
        return error


def openai_of(server: Server) -> openai.OpenAI:
    """OpenAI's client at the server's door, with patience."""
    base_url = f"{server.url}/openai/v1"
    return openai.OpenAI(
        base_url=base_url, api_key=COURSE_KEY, max_retries=0, timeout=2 * PATIENCE_S
    )


def test_a_huge_prompt_holds_nobody_up(server: Server) -> None:
    """While the tokens of one call are counted, another is answered."""
    client = openai_of(server)

    def ask() -> None:
        client.chat.completions.create(model=default_model("openai").id, messages=HELLO)

    with ThreadPoolExecutor(1) as pool:
        refused = pool.submit(huge, server, "many words " * 1_000_000)
        while not (arrived := [c for c in server.log if len(c.request_body) > 2**20]):
            ask()
        ask()
        assert arrived[0].status == 0  # which would be 400 if it had been answered
        error = refused.result()
    assert (error.status_code, error.code) == (400, "context_length_exceeded")
    assert "2000008 tokens" in error.message
    assert arrived[0].status == 400


@pytest.mark.parametrize("character", [" ", "\t", "\u3000", "a", "字", "\ud800"])
def test_a_text_without_end_is_answered(server: Server, character: str) -> None:
    """A million times the same character is a prompt like any other."""
    said = [{"role": "user", "content": "x" + character * 1_000_000}]
    body = {"model": default_model("openai").id, "messages": said}
    data = post("/openai/v1/chat/completions", json.dumps(body).encode())
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as client:
        client.sendall(data)
        assert client.recv(100).startswith((b"HTTP/1.1 200 OK", b"HTTP/1.1 400 Bad"))


@pytest.mark.parametrize("encoding", ["o200k_base", "cl100k_base"])
def test_a_long_text_has_as_many_tokens_as_tiktoken_counts(encoding: str) -> None:
    """Counting part by part, for which prose and code are cut where tokens end, changes nothing."""
    text = "".join(path.read_text("utf-8") for path in sorted(Path(__file__).parent.glob("*.py")))
    assert len(text) > 300_000
    whole = tokens.encoding(encoding).encode_ordinary(text)
    assert tokens.encode(text, encoding) == whole
    assert tokens.count_text(text, encoding) == len(whole)
    assert "".join(tokens.pieces(text, 7, encoding)) == text


def main() -> None:
    """Attack a server as often as asked, and print what became of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    server, began = running(), time.perf_counter()
    outcomes = attack_all(server, options.count, options.seed)
    for (kind, outcome), count in sorted(outcomes.items()):
        print(f"{kind:<20}{outcome:<12}{count:>7}")
    seconds = time.perf_counter() - began
    print(f"{outcomes.total()} requests in {seconds:.0f} s; answers well: {is_well(server)}")
    server.stop()


if __name__ == "__main__":
    main()
