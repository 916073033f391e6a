"""The stand-in's server: starting, stopping, modes, and clients that behave badly."""

import json
import socket
import urllib.request
from collections.abc import Iterator

import openai
import pytest

from course_utils import notebook, offline
from course_utils.errors import (
    NoSuchCallError,
    NotStartedError,
    PortTakenError,
    UnknownModeError,
    UnknownProviderError,
)
from course_utils.offline.call import Call, Log
from course_utils.wire.catalogue import default_model

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


def ask() -> None:
    """One call to OpenAI's door."""
    openai.OpenAI(max_retries=0).chat.completions.create(
        model=default_model("openai").id, messages=HELLO
    )


def test_start_twice_is_one_server(session: offline.Session) -> None:
    """A setup cell that is run twice keeps the server, its address and its log."""
    ask()
    port = session.server.port
    again = offline.start()
    assert again.server.port == port
    assert again.server.log.last_number == 1


def test_taken_port_is_a_sentence() -> None:
    """A port that another program holds is refused, with what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"Port {port} is taken .* free one"):
            offline.start(port=port)
    with pytest.raises(NotStartedError):
        offline.session()


def test_unknown_mode_is_a_sentence() -> None:
    """A mode that does not exist is refused with those that do."""
    with pytest.raises(UnknownModeError, match="'offline', 'strict', 'live' or 'record'"):
        offline.start("ofline")


def test_views_before_start_are_a_sentence() -> None:
    """Before start() the views say which cell to run."""
    for view in (notebook.log, notebook.meter, notebook.show_wire, lambda: notebook.door("local")):
        with pytest.raises(NotStartedError, match="run the setup cell"):
            view()


def test_views_before_a_call_are_a_sentence(session: offline.Session) -> None:
    """Without calls the wire view says what is missing; the meter is empty, and no error."""
    with pytest.raises(NoSuchCallError, match="run the cells above"):
        notebook.show_wire()
    with pytest.raises(NoSuchCallError, match="to 'openai'"):
        notebook.show_wire("openai", "anthropic")
    assert notebook.meter().rows[-1][1] == "0"


def test_unknown_door_is_a_sentence(session: offline.Session) -> None:
    """A provider without a door is refused with those that have one."""
    with pytest.raises(UnknownProviderError, match="'google'"):
        notebook.door("gogle")


def test_mode_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """COURSE_MODE decides where start() says nothing."""
    monkeypatch.setenv("COURSE_MODE", "strict")
    assert offline.start().mode == "strict"
    offline.stop()


def test_a_client_that_hangs_up_does_no_harm(session: offline.Session) -> None:
    """Half a request, noise, and a closed connection leave the server answering."""
    for noise in (b"", b"GET", b"\x00\xff" * 500, b"POST /openai/v1/chat/completions HTTP/1.1\r\n"):
        with socket.create_connection(("127.0.0.1", session.server.port)) as client:
            client.sendall(noise)
    with socket.create_connection(("127.0.0.1", session.server.port)) as client:
        body = json.dumps({"model": default_model("openai").id, "messages": HELLO, "stream": True})
        client.sendall(
            b"POST /local/v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
            + f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
    ask()


def test_the_log_forgets_the_oldest() -> None:
    """The log keeps so many calls and goes on counting."""
    log = Log(length=3)
    for _ in range(10):
        log.open(Call("POST", "/x", "", {}, b""), "openai")
    assert [entry.number for entry in log] == [8, 9, 10]


def test_the_log_holds_no_key(session: offline.Session) -> None:
    """Keys in any header that carries them are stars in the log."""
    for header in ("Authorization", "X-Api-Key", "X-Goog-Api-Key", "Cookie"):
        request = urllib.request.Request(
            f"{session.server.url}/openai/v1/chat/completions",
            data=b"{}", headers={header: "planted-secret"},
        )  # fmt: skip
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(request)
    assert "planted-secret" not in repr(list(session.server.log))
