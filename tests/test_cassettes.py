"""Verbatim exchanges: real recorded traffic, replayed as it was, is the judge."""

import base64
import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest
import yaml

from course_utils.offline.doors import COURSE_KEY
from course_utils.offline.replay.cassettes import Cassettes
from course_utils.offline.replay.exchange import places
from course_utils.offline.server import Server
from course_utils.offline.standin import StandIn
from course_utils.wire.catalogue import default_model

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "exchanges"
needs_data = pytest.mark.skipif(
    not (DATA / "MANIFEST.json").exists(), reason="no recorded traffic on this machine"
)
DOOR_OF_HOST = {
    "api.openai.com/v1": "/openai/v1",
    "api.anthropic.com": "/anthropic",
    "generativelanguage.googleapis.com": "/google",
}
CLIENT = httpx2.Client()
NOT_COMPARED = {"connection", "transfer-encoding", "content-encoding", "content-length"}
NOT_COMPARED |= {"proxy-connection", "x-course-tier"}


class JudgesLoader(yaml.CSafeLoader):
    """Plain YAML, and Ruby's tag for bytes."""


JudgesLoader.add_constructor("!binary", lambda load, node: base64.b64decode(node.value))


def interactions(path: Path) -> list[dict[str, Any]]:
    """The raw interactions of a cassette, read without any code of the course."""
    if path.suffix in (".txt", ".bin"):
        return []
    text = path.read_text(encoding="utf-8")
    content = json.loads(text) if path.suffix == ".json" else yaml.load(text, JudgesLoader)
    if isinstance(content, list):
        return content
    return content.get("interactions") or content.get("http_interactions") or [content]


def body_of(side: dict[str, Any]) -> bytes:
    """The bytes of a body as they were on the wire, decompressed."""
    if "parsed_body" in side:
        return json.dumps(side["parsed_body"]).encode()
    body = side.get("body", side.get("content"))
    if isinstance(body, dict) and "string" in body:
        body = body["string"]
    if isinstance(body, (dict, list)):
        body = json.dumps(body)
    raw = body.encode() if isinstance(body, str) else body or b""
    return gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw


def address(url: str) -> str:
    """Where the stand-in has what a provider's URL names."""
    rest = url.split("://", 1)[1]
    for host, door in DOOR_OF_HOST.items():
        if rest.startswith(host + "/"):
            return door + rest.removeprefix(host)
    path = rest[rest.index("/") :]
    return "/local/v1" + re.sub(r"^(/\w+)*/v1(?=/)", "", path)


def status_of(told: dict[str, Any]) -> int:
    """The status, which some recorders keep with its phrase."""
    status = told.get("status") or told["status_code"]
    return status["code"] if isinstance(status, dict) else status


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server whose answers each test puts in."""
    server = Server(StandIn())
    server.start()
    yield server
    server.stop()


def send(server: Server, asked: dict[str, Any]) -> httpx2.Response:
    """A recorded request, sent to the stand-in."""
    url = asked.get("uri") or asked["url"]
    return CLIENT.request(
        asked["method"].upper(),
        server.url + address(url),
        content=body_of(asked),
        headers={"content-type": "application/json"},
    )


def difference(told: dict[str, Any], got: httpx2.Response) -> str:
    """In what a replayed answer is not the recorded one; "" where it is."""
    names = {name.lower() for name in told["headers"]} - NOT_COMPARED
    if got.status_code != status_of(told):
        return f"status {got.status_code}, not {status_of(told)}"
    if names != set(got.headers) - NOT_COMPARED:
        return f"header names {names ^ (set(got.headers) - NOT_COMPARED)}"
    return "" if got.content == body_of(told) else "body"


@needs_data
def test_every_exchange_replays_as_it_was(server: Server) -> None:
    """Status, header names and body bytes, with them the order of events, of every cassette."""
    rows = json.loads((DATA / "MANIFEST.json").read_text())["interactions"]
    failures, done, bodies_only = [], 0, 0
    for local in dict.fromkeys(row["local"] for row in rows):
        wanted = {row["index"] for row in rows if row["local"] == local}
        found = interactions(DATA / local)
        bodies_only += not found
        server.answers = StandIn(paths=(DATA / local,))
        for index, row in enumerate(found):
            problem = difference(row["response"], send(server, row["request"]))
            if index in wanted and problem:
                failures.append(f"{local}#{index}: {problem}")
            done += index in wanted
    print(f"replayed: {done - len(failures)} of {done}, and {bodies_only} bodies without request")
    assert not failures
    assert done + bodies_only == len(rows)


TYPES: dict[str, tuple[Any, Any]] = {
    "/openai/v1/chat/completions": (
        openai.types.chat.ChatCompletion,
        openai.types.chat.ChatCompletionChunk,
    ),
    "/openai/v1/responses": (
        openai.types.responses.Response,
        openai.types.responses.ResponseStreamEvent,
    ),
    "/openai/v1/embeddings": (openai.types.CreateEmbeddingResponse, None),
    "/anthropic/v1/messages": (anthropic.types.Message, anthropic.types.RawMessageStreamEvent),
}


def events_of(body: bytes) -> list[dict[str, Any]]:
    """The JSON of each event of a recorded stream, without those that the SDKs pass over."""
    data = re.findall(r"^data: ?(\{.*)$", body.decode(), re.M)
    return [event for event in map(json.loads, data) if event.get("type") != "ping"]


def parsed(client: Any, path: str, asked: dict[str, Any]) -> object:
    """What an SDK makes of the stand-in's answer: an object, those of a stream, or an error."""
    whole, piece = TYPES[path]
    stream = openai.Stream if isinstance(client, openai.OpenAI) else anthropic.Stream
    url = str(client.base_url.copy_with(path=path))
    try:
        if not asked.get("stream"):
            return client.post(url, cast_to=whole, body=asked).to_dict(mode="json")
        events = client.post(url, cast_to=piece, body=asked, stream=True, stream_cls=stream[piece])
        return [event.to_dict(mode="json") for event in events]
    except (openai.APIStatusError, anthropic.APIStatusError) as error:
        return error.response.json()


@needs_data
def test_the_sdks_parse_what_was_recorded(server: Server) -> None:
    """Through the official SDKs, each answer of OpenAI and Anthropic has every recorded value."""
    clients = {
        "openai": openai.OpenAI(base_url=server.url, api_key=COURSE_KEY, max_retries=0),
        "anthropic": anthropic.Anthropic(base_url=server.url, api_key="none", max_retries=0),
    }
    failures, done = [], 0
    for path in sorted(DATA.rglob("*.*")):
        if path.suffix not in (".yaml", ".yml", ".json") or path.name == "MANIFEST.json":
            continue
        server.answers = StandIn(paths=(path,))
        for row in interactions(path):
            there = address(row["request"].get("uri") or row["request"]["url"]).split("?")[0]
            if there not in TYPES:
                continue
            asked, told = json.loads(body_of(row["request"])), body_of(row["response"])
            streamed = asked.get("stream") and status_of(row["response"]) == 200
            want = events_of(told) if streamed else json.loads(told)
            done += 1
            if parsed(clients[there.split("/")[1]], there, asked) != want:
                failures.append(path.name)
    print(f"parsed to equal objects: {done - len(failures)} of {done}")
    assert not failures


@needs_data
@pytest.mark.parametrize("path", sorted([*DATA.rglob("*.bin"), *DATA.rglob("*.txt")]), ids=str)
def test_a_body_without_its_request_answers_for_its_model(server: Server, path: Path) -> None:
    """A file that holds nothing but a stream is what its model answers, byte for byte."""
    server.answers = StandIn(paths=(path,))
    (exchange,) = server.answers.cassettes
    got = httpx2.post(
        server.url + exchange.paths[0], json={"model": exchange.model, "stream": True}
    )
    assert got.content == path.read_bytes()
    assert events_of(got.content)


CASSETTE = """
interactions:
- request: &same
    method: POST
    uri: https://api.example.org/openai/v1/chat/completions?key=k
    body: '{"model": "m", "stop": null, "temperature": 1.0, "messages": [{"content": "%s"}]}'
  response:
    status: {code: 200, message: OK}
    headers: {Content-Type: [application/json], Set-Cookie: [a=b], X-Two: [a, b]}
    body: {string: '{"n": 1}'}
- request: *same
  response: {status: {code: 529, message: Busy}, headers: {}, body: {string: '{"n": 2}'}}
"""


def ask(server: Server, text: str) -> httpx2.Response:
    """The cassette's question, with its fields in another order and without the null."""
    body = {"messages": [{"content": text}], "temperature": 1, "model": "m"}
    return httpx2.post(f"{server.url}/local/v1/chat/completions", json=body)


@pytest.fixture
def cassette(server: Server, tmp_path: Path) -> Path:
    """A cassette with two answers to one question, served."""
    path = tmp_path / "two.yaml"
    path.write_text(CASSETTE % "Hi")
    server.answers = StandIn(paths=(tmp_path,))
    return path


def test_several_answers_play_in_order(server: Server, cassette: Path) -> None:
    """The answers to one request come in their order, and the last one again and again."""
    got = [ask(server, "Hi") for _ in range(4)]
    assert [response.json()["n"] for response in got] == [1, 2, 2, 2]
    assert [response.status_code for response in got] == [200, 529, 529, 529]
    assert got[0].headers["x-two"] == "a, b"
    assert got[0].headers["set-cookie"] == "a=b"
    assert list(server.log)[-4].response_headers["Set-Cookie"] == "***"


def test_the_log_names_the_exchange(server: Server, cassette: Path) -> None:
    """A replayed call is recorded, and says from which place of which file."""
    ask(server, "Hi")
    entry = list(server.log)[-1]
    assert (entry.tier, entry.recording, entry.status) == ("recorded", "two#0", 200)


def test_another_question_is_not_replayed(server: Server, cassette: Path) -> None:
    """A request that differs in a word does not get the recorded answer."""
    assert ask(server, "Ho").json().get("n") is None


def test_a_redacted_text_fits_any(server: Server, cassette: Path) -> None:
    """What a recorder took out of a request fits whatever a client sends there."""
    cassette.write_text(CASSETTE % "<MASSIVE_TEXT>")
    server.answers = StandIn(paths=(cassette,))
    assert ask(server, "very " * 9999).json()["n"] == 1


def test_a_broken_cassette_is_a_sentence(tmp_path: Path) -> None:
    """A file in a folder that cannot be used is named, and does not hide the others."""
    (tmp_path / "good.yaml").write_text(CASSETTE % "Hi")
    (tmp_path / "torn.yaml").write_text("interactions: [{request: {")
    cassettes = Cassettes.load(tmp_path)
    assert len(cassettes) == 2
    (problem,) = cassettes.problems
    assert problem.startswith("The recording torn.yaml cannot be used: ")


TEXT = '{"n": "é"}'
PACKED = base64.b64encode(gzip.compress(TEXT.encode())).decode()
PLAIN = base64.b64encode(TEXT.encode()).decode()
ASKED = {"method": "post", "uri": "https://api.openai.com/v1/chat/completions", "body": "{}"}
FORMATS: dict[str, tuple[str, str]] = {
    "vcrpy": ("interactions", "{status: {code: 201}, headers: {A: [b]}, body: {string: %s}}"),
    "vcrpy gzip": (
        "interactions",
        "{status: {code: 201}, headers: {A: [b], Content-Encoding: [gzip]}, "
        f"body: {{string: !!binary {PACKED}}}}}",
    ),
    "ruby base64": (
        "http_interactions",
        f"{{status: {{code: 201}}, headers: {{A: [b]}}, body: {{base64_string: {PLAIN}}}}}",
    ),
    "ruby binary": (
        "http_interactions",
        f"{{status: {{code: 201}}, headers: {{A: [b]}}, body: {{string: !binary {PLAIN}}}}}",
    ),
    "httpx": ("interactions", "{status_code: 201, headers: {A: b}, content: %s}"),
    "go": ("interactions", "{status: 201 Created, code: 201, headers: {A: [b]}, body: %s}"),
    "parsed": ("interactions", "{status: {code: 201}, headers: {A: [b]}, parsed_body: {n: é}}"),
}


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_is_read_as_it_is(server: Server, tmp_path: Path, name: str) -> None:
    """Whatever recorder wrote a cassette, its status, headers and text are served."""
    key, told = FORMATS[name]
    text = f"{key}:\n- request: {json.dumps(ASKED)}\n  response: {told}\n"
    (tmp_path / "it.yml").write_text(text.replace("%s", f"'{TEXT}'"), encoding="utf-8")
    server.answers = StandIn(paths=(tmp_path,))
    got = CLIENT.post(server.url + "/openai/v1/chat/completions", json={})
    assert (got.status_code, got.headers["a"], got.json()) == (201, "b", {"n": "é"})
    assert "content-encoding" not in got.headers


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://api.openai.com/v1/models/x", "/openai/v1/models/x"),
        ("https://api.anthropic.com/v1/messages?beta=true", "/anthropic/v1/messages"),
        ("https://generativelanguage.googleapis.com/v1beta/models", "/google/v1beta/models"),
        ("https://api.groq.com/openai/v1/chat/completions", "/local/v1/chat/completions"),
        ("https://api.deepseek.com/chat/completions", "/local/v1/chat/completions"),
        ("http://localhost:8787/anthropic/v1/messages", "/anthropic/v1/messages"),
        (
            "http://localhost:8787/models/gemini:generateContent",
            "/google/models/gemini:generateContent",
        ),
    ],
)
def test_every_host_has_its_door(url: str, path: str) -> None:
    """A recorded address leads to the door that speaks its format."""
    assert places(url)[0] == path


def test_shipped_recordings_have_no_problem() -> None:
    """Every verbatim file that the course ships can be used."""
    assert StandIn().cassettes.problems == []


def test_the_simulator_answers_where_no_cassette_does(server: Server, cassette: Path) -> None:
    """Beside cassettes, a question that nobody recorded is answered as ever."""
    url = f"{server.url}/openai/v1"
    reply = openai.OpenAI(base_url=url, api_key=COURSE_KEY).chat.completions.create(
        model=default_model("openai").id, messages=[{"role": "user", "content": "2 + 2?"}]
    )
    assert reply.choices[0].message.content


@needs_data
def test_every_exchange_replays_beside_all_others(server: Server) -> None:
    """All cassettes served at once, and each asked in its order: twins do not mix their answers."""
    rows = json.loads((DATA / "MANIFEST.json").read_text())["interactions"]
    wanted = {(row["local"], row["index"]) for row in rows}
    files = sorted({local for local, _ in wanted})
    server.answers = StandIn(paths=(DATA,))
    failures = []
    for local in files:
        for index, row in enumerate(interactions(DATA / local)):
            problem = difference(row["response"], send(server, row["request"]))
            if (local, index) in wanted and problem:
                failures.append(f"{local}#{index}: {problem}")
    assert not failures
