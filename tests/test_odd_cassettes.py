"""Cassettes as other recorders write them, and requests that clients vary: each is replayed."""

import base64
import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from course_utils.offline.doors import COURSE_KEY
from course_utils.offline.replay.cassettes import Cassettes
from course_utils.offline.server import Server
from course_utils.offline.standin import StandIn

CHAT = "https://api.openai.com/v1/chat/completions"
TEXT = '{"n": "é"}'
CLIENT = httpx2.Client()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server whose answers each test puts in."""
    server = Server(StandIn())
    server.start()
    yield server
    server.stop()


def row(
    body: Any = TEXT,
    *,
    asked: dict[str, Any] | None = None,
    told: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """One interaction of a cassette as vcrpy writes it, with parts in place of its own."""
    request = {"method": "POST", "uri": CHAT, "body": "{}", "headers": {}}
    response = {"status": {"code": 200}, "headers": {"X-A": ["b"]}, "body": {"string": body}}
    return {"request": request | (asked or {}), "response": response | (told or {})}


def serve(server: Server, folder: Path, *rows: Any, name: str = "it.json") -> None:
    """Serve a cassette that holds these rows."""
    (folder / name).write_text(json.dumps({"interactions": rows}), encoding="utf-8")
    server.answers = StandIn(paths=(folder / name,))


def ask(server: Server, path: str = "/openai/v1/chat/completions", **sent: Any) -> httpx2.Response:
    """The answer to a POST, by default one without a body."""
    return CLIENT.post(server.url + path, **sent)


PACKED: dict[str, tuple[str, bytes]] = {
    "gzip": ("gzip", gzip.compress(TEXT.encode())),
    "gzip in two members": (
        "gzip",
        gzip.compress(TEXT[:4].encode()) + gzip.compress(TEXT[4:].encode()),
    ),
    "name in capitals": ("GZIP", gzip.compress(TEXT.encode())),
    "deflate": ("deflate", zlib.compress(TEXT.encode())),
    "bare deflate": ("deflate", zlib.compress(TEXT.encode())[2:-4]),
    "twice": ("deflate, gzip", gzip.compress(zlib.compress(TEXT.encode()))),
    "undone by the recorder": ("br", TEXT.encode()),
    "identity": ("identity", TEXT.encode()),
}


@pytest.mark.parametrize("how", PACKED)
def test_a_compressed_body_is_served_plain(server: Server, tmp_path: Path, how: str) -> None:
    """Whatever compression the recorder kept, the text comes whole and no header speaks of it."""
    coding, packed = PACKED[how]
    body = {"base64_string": base64.b64encode(packed).decode(), "encoding": "ASCII-8BIT"}
    serve(server, tmp_path, row(told={"headers": {"Content-Encoding": [coding]}, "body": body}))
    got = ask(server)
    assert got.text == TEXT
    assert "content-encoding" not in got.headers


def test_a_compression_that_python_cannot_undo_is_kept(server: Server, tmp_path: Path) -> None:
    """The bytes stay as they were, and the header that says what they are stays with them."""
    packed = b"\x0b\x02\x80\xff\xfe\x03"
    told = {"headers": {"content-encoding": "br"}, "body": {"base64_string": _base64(packed)}}
    serve(server, tmp_path, row(told=told))
    with CLIENT.stream("POST", server.url + "/openai/v1/chat/completions") as got:
        assert b"".join(got.iter_raw()) == packed
        assert got.headers["content-encoding"] == "br"


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def test_binary_bodies_are_served_as_they_are(server: Server, tmp_path: Path) -> None:
    """Bytes that are no text come back one by one as they were recorded."""
    raw = bytes(range(256))
    serve(server, tmp_path, row(told={"body": {"base64_string": _base64(raw)}}))
    assert ask(server).content == raw


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_has_none(server: Server, tmp_path: Path, status: int) -> None:
    """A status that has no body ends the answer, and the connection goes on to be used."""
    serve(server, tmp_path, row("noise", told={"status": status}), row())
    assert (ask(server).status_code, ask(server).text) == (status, TEXT)


STATUSES: list[Any] = [
    {"status": 201},
    {"status": {"code": 201, "message": None}},
    {"status": {"code": "201", "message": ""}},
    {"status": "201 Created", "code": 201},
    {"status": "", "code": 201},
    {"status": None, "status_code": 201},
]


@pytest.mark.parametrize("told", STATUSES, ids=json.dumps)
def test_each_way_to_write_a_status_is_read(server: Server, tmp_path: Path, told: Any) -> None:
    """A number, a number with its phrase, or an object with one."""
    serve(server, tmp_path, row(told=told))
    assert ask(server).status_code == 201


def test_headers_that_no_server_may_send_are_left_out(server: Server, tmp_path: Path) -> None:
    """HTTP/2's own fields, lengths and chunks of another connection, and control characters."""
    headers = {
        ":status": ["200"],
        "Content-Length": ["9999"],
        "Transfer-Encoding": ["chunked"],
        "Set-Cookie": ["a=b; path=/", "c=d"],
        "X-Name": ["Zoë\r\nX-Evil: 1", "two"],
        "X-Empty": [],
        "X-None": None,
        "X-Number": 7,
    }
    serve(server, tmp_path, row(told={"headers": headers}))
    got = ask(server)
    assert got.text == TEXT
    assert {name for name in got.headers if name.startswith("x-")} == {
        "x-name", "x-empty", "x-none", "x-number", "x-course-tier",
    }  # fmt: skip
    assert got.headers["x-number"] == "7"
    assert got.headers["set-cookie"] == "a=b; path=/"


HEADER_FORMS: dict[str, Any] = {
    "text": {"X-A": "b, c"},
    "list": {"X-A": ["b", "c"]},
    "pairs": [["X-A", "b"], ["X-A", "c"]],
    "objects": [{"name": "X-A", "value": "b"}, {"name": "X-A", "value": "c"}],
}


@pytest.mark.parametrize("form", HEADER_FORMS)
def test_each_form_of_headers_is_read(server: Server, tmp_path: Path, form: str) -> None:
    """As a mapping of texts or lists, and as lists of pairs; several values become one."""
    serve(server, tmp_path, row(told={"headers": HEADER_FORMS[form]}))
    assert ask(server).headers["x-a"] == "b, c"


def form(boundary: str, *parts: str, line: str = "\r\n") -> str:
    """A multipart body of these parts."""
    return "".join(f"--{boundary}{line}{part}{line}" for part in parts) + f"--{boundary}--{line}"


PURPOSE = 'Content-Disposition: form-data; name="purpose"\r\n\r\nbatch'
FILE = 'Content-Disposition: form-data; name="file"; filename="a.jsonl"%s\r\n\r\n{"a": 1}\n'


@pytest.mark.parametrize(
    "sent",
    [
        form("b2", PURPOSE, FILE % ""),
        form("b2", FILE % "\r\nContent-Type: text/plain", PURPOSE),
        form("b2", PURPOSE, FILE % "").replace("\r\n", "\n"),
    ],
    ids=["another boundary", "another order and type", "bare line ends"],
)
def test_an_upload_is_known_by_its_parts(server: Server, tmp_path: Path, sent: str) -> None:
    """A form's boundary, the order of its parts and the guessed type of a file vary by client."""
    recorded = form("b1", PURPOSE, FILE % "\r\nContent-Type: application/jsonl")
    asked = {"uri": "https://api.openai.com/v1/files", "body": recorded}
    serve(server, tmp_path, row(asked=asked))
    kind = {"content-type": "multipart/form-data; boundary=b2"}
    assert ask(server, "/openai/v1/files", content=sent, headers=kind).text == TEXT


def test_an_upload_of_something_else_is_not_replayed(server: Server, tmp_path: Path) -> None:
    """Two uploads that differ in a file's content are two requests."""
    asked = {"uri": "https://api.openai.com/v1/files", "body": form("b", PURPOSE, FILE % "")}
    serve(server, tmp_path, row(asked=asked))
    other = form("b", PURPOSE, (FILE % "").replace("1", "2"))
    kind = {"content-type": "multipart/form-data; boundary=b"}
    assert ask(server, "/openai/v1/files", content=other, headers=kind).text != TEXT


@pytest.mark.parametrize("recorded", [None, "", "{}", "null"])
@pytest.mark.parametrize("sent", [b"", b"{}"])
def test_no_body_is_an_empty_one(
    server: Server, tmp_path: Path, recorded: str | None, sent: bytes
) -> None:
    """Clients send nothing or an empty object where there is nothing to say."""
    serve(server, tmp_path, row(asked={"body": recorded}))
    assert ask(server, content=sent).text == TEXT


def test_a_compressed_request_is_understood(server: Server, tmp_path: Path) -> None:
    """A body that is packed in the cassette, or on its way, asks what it asks unpacked."""
    question = b'{"model": "m", "messages": []}'
    packed = {"base64_string": _base64(gzip.compress(question))}
    serve(server, tmp_path, row(asked={"body": packed}))
    assert ask(server, content=question).text == TEXT
    assert ask(server, content=gzip.compress(question, 1)).text == TEXT


@pytest.mark.parametrize(
    ("uri", "sent"),
    [
        ("https://api.openai.com/v1/models/ft%3Aa", "/openai/v1/models/ft:a"),
        ("https://api.openai.com/v1/models/ft:a", "/openai/v1/models/ft%3Aa"),
        ("https://api.openai.com/v1/files?limit=2&after=x", "/openai/v1/files?after=x&limit=2"),
        ("https://api.openai.com//v1/files", "/openai/v1/files"),
        ("https://eu.api.openai.com:443/v1/files", "/openai/v1/files"),
        ("https://me.openai.azure.com/openai/deployments/d/files?api-version=1",
         "/openai/v1/files?api-version=1"),
        ("https://generativelanguage.googleapis.com/v1beta/models?key=<KEY>",
         "/google/v1beta/models?key=other"),
    ],
)  # fmt: skip
def test_an_address_is_found_however_it_is_written(
    server: Server, tmp_path: Path, uri: str, sent: str
) -> None:
    """Escapes, the order of a query, ports, regions, deployments and keys do not hide a request."""
    serve(server, tmp_path, row(asked={"method": "GET", "uri": uri, "body": None}))
    assert CLIENT.get(server.url + sent).text == TEXT


def test_a_query_that_asks_something_else_is_another_request(
    server: Server, tmp_path: Path
) -> None:
    """The second page is not the first."""
    uri = "https://api.openai.com/v1/files?after=x"
    serve(server, tmp_path, row(asked={"method": "GET", "uri": uri, "body": None}))
    assert CLIENT.get(server.url + "/openai/v1/files?after=y").text != TEXT


def test_a_redirect_leads_back_to_the_stand_in(server: Server, tmp_path: Path) -> None:
    """A client that follows a recorded redirect does not leave the machine."""
    there = "https://api.openai.com/v1/files/f/content?sig=1"
    moved = {"status": 302, "headers": {"Location": [there]}}
    serve(
        server,
        tmp_path,
        row("", asked={"method": "GET", "uri": "https://api.openai.com/v1/files/f"}, told=moved),
        row(asked={"method": "GET", "uri": there}),
    )
    got = httpx2.get(server.url + "/openai/v1/files/f", follow_redirects=True)
    assert (got.text, got.url.port) == (TEXT, server.port)


STREAM = 'data: {"choices": []}\r\n\r\n: a comment\n\ndata: [DONE]'


@pytest.mark.parametrize("headers", [{"Content-Type": ["Text/Event-Stream"]}, {}])
def test_a_stream_keeps_its_bytes(server: Server, tmp_path: Path, headers: Any) -> None:
    """Mixed line ends, comments and a missing last blank line go out as they were."""
    serve(server, tmp_path, row(STREAM, told={"headers": headers}))
    got = ask(server)
    assert got.text == STREAM
    assert got.headers["transfer-encoding"] == "chunked"
    assert ("content-type" in got.headers) is bool(headers)


ASKED = f"{{method: post, uri: '{CHAT}', body: '{{}}', headers: {{}}}}"
TOLD = f"{{status: {{code: 200}}, headers: {{}}, body: {{string: '{TEXT}'}}}}"
FILES: dict[str, str] = {
    "json.yaml": json.dumps({"interactions": [row()], "version": 1}),
    "list.yaml": f"- request: {ASKED}\n  response: {TOLD}\n",
    "ruby.yml": f"---\nhttp_interactions:\n- request: {ASKED}\n  response: {TOLD}\n"
    "  recorded_at: Wed, 19 Aug 2026 14:41:14 GMT\nrecorded_with: VCR 6.2.0\n",
    "tagged.yaml": "interactions:\n- request: !!python/object:vcr.request.Request\n"
    f"    {ASKED}\n  response: {TOLD}\n".replace("string: ", "string: !!python/unicode "),
    "marked.json": "\ufeff" + json.dumps([row()]),
    "failed.json": json.dumps({"interactions": [row() | {"response": None}, row()]}),
    "archive.har": json.dumps(
        {"log": {"entries": [{
            "request": {"method": "POST", "url": CHAT, "headers": [{"name": "a", "value": "b"}],
                        "postData": {"mimeType": "application/json", "text": "{}"}},
            "response": {"status": 200, "headers": [{"name": "x-a", "value": "b"}],
                         "content": {"mimeType": "application/json", "encoding": "base64",
                                     "text": _base64(TEXT.encode())}},
        }]}}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_each_kind_of_file_is_read(server: Server, tmp_path: Path, name: str) -> None:
    """JSON under YAML's name, lists, foreign tags, a byte order mark, failed calls, archives."""
    (tmp_path / name).write_text(FILES[name], encoding="utf-8")
    server.answers = StandIn(paths=(tmp_path,))
    assert ask(server).text == TEXT


GEMINI = '{"candidates": [{"content": {"parts": [{"text": "%s"}]}}], "modelVersion": "gemini-x"}'
BODIES = {
    "one.txt": (GEMINI % "a", "/google/v1beta/models/gemini-x:generateContent", {}),
    "two.bin": (
        f"data: {GEMINI % 'b'}\r\n\r\n",
        "/google/v1beta/models/gemini-x:streamGenerateContent?alt=sse",
        {},
    ),
    "three.txt": (
        '{"object": "text_completion", "model": "m", "choices": []}',
        "/openai/v1/completions",
        {"model": "m"},
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_alone_answers_at_its_endpoint(server: Server, tmp_path: Path, name: str) -> None:
    """A file that holds nothing but an answer says by its format where, and by whom."""
    text, path, asked = BODIES[name]
    (tmp_path / name).write_bytes(text.encode())
    server.answers = StandIn(paths=(tmp_path,))
    assert ask(server, path, json=asked | {"contents": []}).content == text.encode()


def test_a_file_that_is_named_may_have_any_name(server: Server, tmp_path: Path) -> None:
    """What is served by name is read by what it holds."""
    (tmp_path / "tape.cassette").write_text(json.dumps([row()]))
    server.answers = StandIn(paths=(tmp_path / "tape.cassette",))
    assert ask(server).text == TEXT


@pytest.mark.parametrize(
    "text",
    [
        "interactions:\n- {request: {method: GET, uri: 'https://a/v1/b'}, response: {}}",
        '{"interactions": [{"request": {}, "response": {"status": 200}}]}',
        '[{"request": "x", "response": "y"}]',
        '[{"request": {"url": "http://a", "body": {"base64_string": "="}}, "response": {}}]',
    ],
)
def test_what_cannot_be_used_is_told_and_not_raised(tmp_path: Path, text: str) -> None:
    """A file in a folder that lacks what it must have becomes a problem, in one line."""
    (tmp_path / "bad.yaml").write_text(text)
    (problem,) = Cassettes.load(tmp_path).problems
    assert problem.startswith("The recording bad.yaml cannot be used: ")
    assert "\n" not in problem


def test_the_file_of_the_same_client_answers(server: Server, tmp_path: Path) -> None:
    """Two cassettes of one request, by a sync and an async client: each gets its own answer."""
    for kind in ("false", "async:asyncio"):
        asked = {"headers": {"x-stainless-async": [kind]}}
        rows = {"interactions": [row(f'{{"id": "{kind} {n}"}}', asked=asked) for n in (1, 2)]}
        (tmp_path / f"{kind[:2]}.json").write_text(json.dumps(rows))
    server.answers = StandIn(paths=(tmp_path,))
    client = openai.OpenAI(base_url=f"{server.url}/openai/v1", api_key=COURSE_KEY)
    got = [client.post("/chat/completions", body={}, cast_to=httpx2.Response).json() for _ in "123"]
    assert [reply["id"] for reply in got] == ["false 1", "false 2", "false 2"]
    other = ask(server, headers={"x-stainless-async": "async:asyncio"}).json()
    assert other["id"] == "async:asyncio 1"


def test_a_request_that_is_sent_again_whole_is_known(server: Server, tmp_path: Path) -> None:
    """Of twins in one file, the one whose every header comes again is meant, trace and all."""
    asked = [{"headers": {"user-agent": "a", "traceparent": trace}} for trace in "123"]
    rows = [row(f'{{"id": {n}}}', asked=sent) for n, sent in enumerate(asked, start=1)]
    serve(server, tmp_path, *rows)
    got = [ask(server, headers=asked[n]["headers"]).json()["id"] for n in (1, 2, 0)]
    assert got == [2, 3, 1]
    assert ask(server, headers={"user-agent": "a"}).json()["id"] == 3


def test_a_file_that_is_being_played_goes_before_others(server: Server, tmp_path: Path) -> None:
    """After a request that only one cassette has, a request that two have is answered by it."""
    for name in ("a", "b"):
        own = row(asked={"body": f'{{"only": "{name}"}}'})
        serve(server, tmp_path, own, row(f'{{"id": "{name}"}}'), name=f"{name}.json")
    server.answers = StandIn(paths=(tmp_path,))
    ask(server, json={"only": "b"})
    assert [ask(server).json()["id"] for _ in range(3)] == ["b", "a", "a"]
