"""How the stand-in speaks HTTP/1.1: what the SDKs never send, other clients do."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator

import pytest

from course_utils.offline.call import Answer, Call, LoggedCall
from course_utils.offline.doors import Door
from course_utils.offline.server import Server

PATH = "/openai/v1/echo"
HEAD = f"POST {PATH} HTTP/1.1\r\nHost: x\r\n"
PATIENCE_S = 10.0
# More than the system takes in one go when nobody reads.
LONG = [bytes([65 + i % 26]) * 2**16 for i in range(200)]


class Echo:
    """Answers with the body that it got, whole or as a stream; headers and all else as asked.

    `taken` is how many parts of a long stream have been asked for.
    """

    taken = 0

    async def answer(self, call: Call, door: Door, entry: LoggedCall) -> Answer:
        """What the query names: a stream, a long one, a header that breaks out; else the echo."""
        match call.query:
            case "stream":
                return Answer(200, {}, iter([call.body[:1], call.body[1:]]))
            case "long":
                return Answer(200, {}, self._long())
            case "header":
                return Answer(200, {"x-odd": "a\r\nx-planted: b"}, (b"",))
            case "headers":
                return Answer(200, {}, (json.dumps(dict(call.headers)).encode(),))
            case "empty":
                return Answer(204, {}, iter([]))
        return Answer(200, {}, (call.body,))

    def _long(self) -> Iterator[bytes]:
        for part in LONG:
            self.taken += 1
            yield part


@pytest.fixture
def echo() -> Echo:
    """Who answers."""
    return Echo()


@pytest.fixture
def port(echo: Echo) -> Iterator[int]:
    """The port of a server that echoes."""
    server = Server(echo)
    server.start()
    yield server.port
    server.stop()


def exchange(port: int, *parts: bytes) -> bytes:
    """All that a server answers to bytes that are sent in parts; it must be what hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            client.sendall(part)
        answer = b""
        while received := client.recv(2**16):
            answer += received
        return answer


def bodies(answer: bytes) -> list[bytes]:
    """The bodies of several responses of known lengths."""
    found = []
    while answer:
        head, _, rest = answer.partition(b"\r\n\r\n")
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = int(fields[b"Content-Length"])
        found.append(rest[:length])
        answer = rest[length:]
    return found


def post(body: bytes, more: str = "Connection: close\r\n") -> bytes:
    """A request with a body of known length."""
    return f"{HEAD}Content-Length: {len(body)}\r\n{more}\r\n".encode() + body


def test_bytes_that_come_one_by_one_are_one_request(port: int) -> None:
    """It does not matter how a network cuts what a client sends."""
    whole = post(b"in small pieces")
    assert bodies(exchange(port, *(whole[i : i + 1] for i in range(len(whole))))) == [
        b"in small pieces"
    ]


def test_requests_that_are_sent_together_are_answered_in_their_order(port: int) -> None:
    """A client need not wait for one answer before it sends the next request."""
    sent = [str(number).encode() for number in range(20)]
    requests = [post(body, more="") for body in sent[:-1]]
    assert bodies(exchange(port, b"".join(requests) + post(sent[-1]))) == sent


@pytest.mark.parametrize("cut", [1, 40, 90, 100, 120])
def test_a_body_may_come_in_chunks(port: int, cut: int) -> None:
    """Chunks are put together; what they are called, and what comes after them, is dropped."""
    chunks = b'5;name="x"\r\nhello\r\nB\r\n wide world\r\n0\r\nx-sum: 1\r\n\r\n'
    head = f"{HEAD}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n".encode()
    whole = head + chunks
    assert bodies(exchange(port, whole[:cut], whole[cut:])) == [b"hello wide world"]


def test_a_client_that_waits_is_told_to_go_on(port: int) -> None:
    """Who sends `Expect: 100-continue`, as curl does before a large body, gets its go-ahead."""
    whole = post(b"x" * 10, more="Expect: 100-continue\r\nConnection: close\r\n")
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as client:
        client.sendall(whole[:-10])
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(whole[-10:])
        assert client.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Content-Length: 3\r\nContent-Length: 4\r\n", 400),
        ("Content-Length: +3\r\n", 400),
        ("Content-Length: 999999999999\r\n", 413),
        ("Transfer-Encoding: gzip, chunked\r\n", 400),
        ("X-Folded: a\r\n b\r\n", 400),
        ("X Spaced: a\r\n", 400),
        ("X-Spaced : a\r\n", 400),
        (f"X-Large: {'a' * 2**17}\r\n", 431),
    ],
)
def test_a_head_that_could_be_read_in_two_ways_is_refused(
    port: int, headers: str, status: int
) -> None:
    """What two readers might understand differently gets its 4xx, and the connection ends."""
    answer = exchange(port, f"{HEAD}{headers}\r\nabc".encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())


def test_a_header_that_comes_twice_is_a_list(port: int) -> None:
    """Names are in lower case, spaces around values are gone, and two values are one list."""
    request = f"GET {PATH}?headers HTTP/1.1\r\nX-One:  a \r\nx-one: b\r\nConnection: close\r\n\r\n"
    (body,) = bodies(exchange(port, request.encode()))
    assert json.loads(body) == {"x-one": "a, b", "connection": "close"}


def test_a_connection_is_used_again_after_a_stream(port: int) -> None:
    """A stream tells its own end, and the next request goes over the same connection."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    for body in (b"first", b"second"):
        client.request("POST", f"{PATH}?stream", body)
        used = client.sock
        assert client.getresponse().read() == body
        assert client.sock is used is not None
    client.close()


def test_an_old_client_reads_a_stream_up_to_its_end(port: int) -> None:
    """HTTP/1.0 knows no chunks: the end of the connection is the end of the stream."""
    request = post(b"hello", more="Connection: keep-alive\r\n")
    answer = exchange(port, request.replace(b" HTTP/1.1", b"?stream HTTP/1.0"))
    assert answer.endswith(b"\r\n\r\nhello")
    assert b"Transfer-Encoding" not in answer


def test_an_old_client_keeps_its_connection_where_it_asks_for_that(port: int) -> None:
    """HTTP/1.0 hangs up after each answer unless the client wants to go on."""
    kept = post(b"a", more="Connection: keep-alive\r\n").replace(b"HTTP/1.1", b"HTTP/1.0")
    last = post(b"b", more="").replace(b"HTTP/1.1", b"HTTP/1.0")
    assert bodies(exchange(port, kept, last)) == [b"a", b"b"]


@pytest.mark.parametrize("query", ["", "?stream"])
def test_head_gets_the_headers_alone(port: int, query: str) -> None:
    """HEAD is answered as any other method, without the body."""
    request = post(b"hello").replace(b"POST", b"HEAD").replace(b" HTTP", query.encode() + b" HTTP")
    answer = exchange(port, request)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n")
    assert answer.count(b"\r\n\r\n") == 1


def test_a_response_without_content_ends_with_its_head(port: int) -> None:
    """Status 204 has no body, not even an empty chunk."""
    request = f"DELETE {PATH}?empty HTTP/1.1\r\nConnection: close\r\n\r\n".encode()
    answer = exchange(port, request)
    assert answer == b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"


def test_a_slow_reader_gets_all_of_a_long_stream(port: int, echo: Echo) -> None:
    """A stream waits for a client that does not read, neither lost nor kept in memory."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    client.request("POST", f"{PATH}?long", b"")
    response = client.getresponse()
    # Another client is served while the first does not read.
    assert bodies(exchange(port, post(b"meanwhile"))) == [b"meanwhile"]
    assert 0 < echo.taken < len(LONG)
    assert response.read() == b"".join(LONG)
    client.close()


def test_a_header_cannot_bring_in_another(port: int, caplog: pytest.LogCaptureFixture) -> None:
    """A line break in a header's value is a fault of ours: nothing of the answer goes out."""
    request = f"POST {PATH}?header HTTP/1.1\r\nContent-Length: 0\r\n\r\n".encode()
    with pytest.raises(ConnectionResetError):
        exchange(port, request)
    assert "line break" in caplog.text


def test_open_connections_end_with_the_server() -> None:
    """A client that waits is told when the server stops, and the port is free again."""
    server = Server(Echo())
    server.start()
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as client:
        client.sendall(post(b"half a body")[:-3])
        assert bodies(exchange(server.port, post(b"meanwhile"))) == [b"meanwhile"]
        server.stop()
        assert client.recv(100) == b""
    again = Server(Echo())
    again.start(server.port)
    again.stop()
