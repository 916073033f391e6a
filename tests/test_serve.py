"""`course serve`: the stand-in as a process of its own."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from course_utils.wire.catalogue import default_model

ROOT = Path(__file__).resolve().parent.parent
HELLO = [{"role": "user", "content": "What is 1 + 1?"}]
CASSETTE = """
interactions:
- request:
    method: POST
    uri: https://api.openai.com/v1/chat/completions
    body: '{"model": "anything", "messages": []}'
  response:
    status: {code: 200, message: OK}
    headers: {Content-Type: [application/json]}
    body: {string: '{"from": "the cassette"}'}
"""
Serve = Callable[..., tuple[subprocess.Popen[str], dict[str, str]]]


def run(*args: object) -> subprocess.Popen[str]:
    """`course serve` with arguments, as a child process."""
    command = [sys.executable, "-m", "course_utils.cli", "serve", *map(str, args)]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def refused(*args: object) -> str:
    """What a `course serve` that does not start says instead."""
    process = run(*args)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert len(err.splitlines()) == 1
    return err


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts `course serve` and reads its first line; all are ended with the test."""
    started = []

    def start(*args: object) -> tuple[subprocess.Popen[str], dict[str, str]]:
        process = run(*args)
        started.append(process)
        assert process.stdout is not None
        return process, json.loads(process.stdout.readline())

    yield start
    for process in started:
        process.kill()
        process.communicate()


def post(url: str, key: str, **body: Any) -> httpx2.Response:
    """One POST to OpenAI's door."""
    headers = {"authorization": f"Bearer {key}"}
    return httpx2.post(f"{url}/chat/completions", headers=headers, json=body)


def test_the_first_line_leads_any_client_to_every_door(serve: Serve) -> None:
    """The SDKs work with the addresses and the key that the first line of output names."""
    _, where = serve()
    assert set(where) == {"openai", "anthropic", "gemini", "local", "key"}
    for name, provider in (("openai", "openai"), ("local", "local")):
        client = openai.OpenAI(base_url=where[name], api_key=where["key"])
        reply = client.chat.completions.create(model=default_model(provider).id, messages=HELLO)
        assert reply.choices[0].message.content
    message = anthropic.Anthropic(
        base_url=where["anthropic"], api_key=where["key"]
    ).messages.create(model=default_model("anthropic").id, messages=HELLO, max_tokens=20)
    assert message.content
    model = default_model("google").id
    reply = httpx2.post(
        f"{where['gemini']}/v1beta/models/{model}:generateContent",
        headers={"x-goog-api-key": where["key"]},
        json={"contents": [{"parts": [{"text": "What is 1 + 1?"}]}]},
    )
    assert reply.json()["candidates"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_it_is_told_to(serve: Serve, number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM end it at once, without an error, and its port is free again."""
    process, where = serve()
    process.send_signal(number)
    assert process.communicate(timeout=10) == ("", "")
    assert process.returncode == 0
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(where["openai"])


def test_a_taken_port_is_a_sentence() -> None:
    """A port that another program holds is refused in one sentence, and so is no port at all."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert refused("--port", port).startswith(f"Port {port} is taken")
    assert refused("--port", 70000).startswith("There is no port 70000")


def test_a_cassette_is_served_as_it_is(serve: Serve, tmp_path: Path) -> None:
    """--recordings takes a VCR cassette; strict refuses what is not in it."""
    (tmp_path / "vcr.yaml").write_text(CASSETTE)
    _, where = serve("--strict", "--recordings", tmp_path)
    got = post(where["openai"], "any key", model="anything", messages=[])
    assert got.json() == {"from": "the cassette"}
    assert got.headers["x-course-tier"] == "recorded"
    other = post(where["openai"], where["key"], model=default_model("openai").id, messages=HELLO)
    assert other.status_code == 501


def test_a_recording_that_is_missing_is_a_sentence(tmp_path: Path) -> None:
    """A file that is not there, or is no recording, is refused before anything is served."""
    assert "missing.yaml cannot be used" in refused("--recordings", tmp_path / "missing.yaml")
    (tmp_path / "notes.yaml").write_text("just: notes")
    assert "notes.yaml cannot be used" in refused("--recordings", tmp_path / "notes.yaml")


def test_a_broken_cassette_in_a_folder_is_told(serve: Serve, tmp_path: Path) -> None:
    """The others are served, and standard error names the one that could not be used."""
    (tmp_path / "good.yaml").write_text(CASSETTE)
    (tmp_path / "torn.yaml").write_text("interactions: [{")
    process, where = serve("--recordings", tmp_path)
    assert post(where["openai"], "k", model="anything", messages=[]).status_code == 200
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=10)
    assert err.startswith("The recording torn.yaml cannot be used")


def test_lenient_takes_any_model_and_key(serve: Serve) -> None:
    """For conformance runs an unknown key and an unknown model are answered."""
    _, where = serve("--lenient")
    assert post(where["openai"], "My API Key", model="no-such", messages=HELLO).status_code == 200
    _, where = serve()
    assert post(where["openai"], "My API Key", model="no-such", messages=HELLO).status_code == 401
