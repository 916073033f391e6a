"""Recorded traffic of the providers judges the codecs, the headers and the token counts."""

import dataclasses
import json
import re
from collections.abc import Iterable, Iterator
from statistics import median
from typing import Any

import httpx2
import pytest
from traffic import Exchange, exchanges, needs_exchanges

from course_utils import offline
from course_utils.offline.doors import COURSE_KEY
from course_utils.offline.server import Server
from course_utils.offline.standin import StandIn
from course_utils.offline.usage import usage_of
from course_utils.wire import openai_chat, sse
from course_utils.wire.anthropic_messages import AnthropicMessages
from course_utils.wire.catalogue import Model, default_model
from course_utils.wire.codec import Codec
from course_utils.wire.prompt_tokens import prompt_tokens
from course_utils.wire.reply import Reply
from course_utils.wire.request import Request

CODECS: dict[str, Codec] = {"openai": openai_chat.OPENAI, "anthropic": AnthropicMessages()}
CHATS = exchanges("/chat/completions")
OPENAI = [x for x in CHATS if x.row["provider"] == "openai" and b'"id":"gen-' not in x.response]
ANTHROPIC = exchanges("/v1/messages", "anthropic")
# What a codec drops on purpose: the answers of server tools, moderation, and citations.
ELSEWHERE = re.compile(rb'server_tool_use|"moderation"|citations_delta|"type":"fallback"')

pytestmark = needs_exchanges


def name(exchange: Exchange) -> str:
    """A short name for a test's parameter."""
    return f"{exchange.row['local'].rsplit('/', 1)[-1]}-{exchange.row['index']}"


def codec_of(exchange: Exchange) -> Codec:
    """The codec of an exchange; all but Anthropic speak OpenAI's format."""
    return CODECS["anthropic" if exchange.row["provider"] == "anthropic" else "openai"]


def is_stream(exchange: Exchange) -> bool:
    """Whether the response came as events."""
    return "stream" in exchange.features


def events_of(exchange: Exchange) -> list[sse.Event]:
    """The events of a streamed response."""
    return list(sse.decode([exchange.response]))


def read(exchange: Exchange) -> Reply:
    """The reply of an exchange, as our codec reads it."""
    codec = codec_of(exchange)
    if is_stream(exchange):
        return codec.read_stream(events_of(exchange))
    return codec.read_reply(exchange.response_json())


def year(exchange: Exchange) -> str:
    """The year and month of an exchange, 2026-00 where its recorder cut the date."""
    date = re.search(r"\d\d (\w{3}) (\d{4})", exchange.headers.get("date", ""))
    months = "JanFebMarAprMayJunJulAugSepOctNovDec"
    return f"{date[2]}-{months.index(date[1]) // 3 + 1:02}" if date else "2026-00"


# Reading


@pytest.mark.parametrize("exchange", [*CHATS, *ANTHROPIC], ids=name)
def test_every_exchange_is_read(exchange: Exchange) -> None:
    """A real request and its reply are read without an error, the answer and its usage whole."""
    if exchange.request:
        assert codec_of(exchange).read_request(exchange.request_json()).messages
    reply = read(exchange)
    assert reply.text or reply.choices[0].tool_calls or reply.choices[0].refusal
    assert reply.model


@pytest.mark.parametrize("exchange", [x for x in OPENAI if is_stream(x)], ids=name)
def test_a_chat_stream_adds_up_as_in_the_sdk(exchange: Exchange) -> None:
    """What we make of a stream is what the SDK's accumulator makes of it."""
    from openai.lib.streaming.chat import ChatCompletionStreamState
    from openai.types.chat import ChatCompletionChunk

    state = ChatCompletionStreamState()
    whole: Any = None
    for event in events_of(exchange):
        if event.data != "[DONE]":
            state.handle_chunk(ChatCompletionChunk.model_validate_json(event.data))
            whole = state.current_completion_snapshot
    expected = openai_chat.OPENAI.read_reply(json.loads(whole.model_dump_json()))
    ours = read(exchange)
    assert ours.choices == expected.choices
    if expected.usage.total_tokens:
        assert ours.usage == expected.usage


# The SDK's own accumulator warns of a block type that is newer than its types.
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize("exchange", [x for x in ANTHROPIC if is_stream(x)], ids=name)
def test_a_message_stream_adds_up_as_in_the_sdk(exchange: Exchange) -> None:
    """What we make of a stream is what the SDK's accumulator makes of it."""
    from anthropic.lib.streaming._messages import accumulate_event

    snapshot: Any = None
    pieces: dict[int, bytes] = {}
    for event in events_of(exchange):
        if event.name != "ping":
            parsed: Any = json.loads(event.data)
            snapshot = accumulate_event(event=parsed, current_snapshot=snapshot, json_bufs=pieces)
    assert read(exchange) == AnthropicMessages().read_reply(json.loads(snapshot.model_dump_json()))


# Writing


def written(exchange: Exchange) -> bytes:
    """The exchange's reply, written by our codec as an answer to the exchange's request."""
    codec, reply = codec_of(exchange), read(exchange)
    request = Request("", (), stream=True)
    if exchange.request:
        request = codec.read_request(exchange.request_json())
    if b"obfuscation" not in exchange.response:
        request = dataclasses.replace(request, stream_padding=False)
    reply = dataclasses.replace(reply, reasoned=bool(re.match(r"o\d|gpt-5", reply.model)))
    write = codec.write_stream if is_stream(exchange) else codec.write_reply
    return b"".join([*write(reply, request)]) if is_stream(exchange) else write(reply, request)  # type: ignore[arg-type]


def shape(value: Any) -> Any:
    """The keys, in order, and JSON types of a value; its text and numbers are gone."""
    if isinstance(value, dict):
        return [(key, shape(inner)) for key, inner in value.items()]
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return type(value).__name__


def shapes(events: Iterable[sse.Event]) -> list[Any]:
    """The shapes of events in their order; a run of one shape, such as text deltas, is one."""
    found: list[Any] = []
    for event in events:
        parsed = event.data if event.data == "[DONE]" else json.loads(event.data)
        one = (event.name, shape(parsed))
        if not found or found[-1] != one:
            found.append(one)
    return found


def new_enough(exchange: Exchange) -> bool:
    """Whether the provider sends today what it sent then, and the codec is to write all of it."""
    since = "2026-04" if exchange.row["provider"] == "anthropic" else "2025-05"
    if ELSEWHERE.search(exchange.response) or exchange.row["model"] == "gpt-4o-search-preview":
        return False
    if "date" in exchange.headers:
        return year(exchange) >= since
    mark = b"stop_details" if exchange.row["provider"] == "anthropic" else b"service_tier"
    return mark in exchange.response


NEW = [x for x in [*OPENAI, *ANTHROPIC] if new_enough(x)]


def sorted_shape(value: Any) -> Any:
    """The shape of a value whose recorder sorted the keys."""
    return shape(json.loads(json.dumps(value, sort_keys=True)))


@pytest.mark.parametrize("exchange", [x for x in NEW if not is_stream(x)], ids=name)
def test_a_reply_has_the_shape_of_the_real_one(exchange: Exchange) -> None:
    """The same keys in the same order, the same types, and nulls where there are nulls."""
    ours, real = json.loads(written(exchange)), exchange.response_json()
    compare = sorted_shape if exchange.parsed else shape
    assert compare(ours) == compare(real)


@pytest.mark.parametrize(
    "exchange", [x for x in NEW if x in OPENAI and not is_stream(x) and not x.parsed], ids=name
)
def test_a_chat_reply_is_the_real_one_byte_for_byte(exchange: Exchange) -> None:
    """Indent, line end and escapes are OpenAI's; only the fingerprint is our own."""

    def plain(text: bytes) -> bytes:
        return re.sub(rb'"system_fingerprint": "fp_\w+"', b"", text)

    assert plain(written(exchange)) == plain(exchange.response)


@pytest.mark.parametrize("exchange", [x for x in NEW if is_stream(x)], ids=name)
def test_a_stream_has_the_events_of_the_real_one(exchange: Exchange) -> None:
    """The same events in the same order, each with the keys and types of the real one."""
    assert shapes(sse.decode([written(exchange)])) == shapes(events_of(exchange))


@pytest.mark.parametrize("exchange", [x for x in OPENAI if b"obfuscation" in x.response], ids=name)
def test_chat_chunks_are_cut_and_padded_as_the_real_ones(exchange: Exchange) -> None:
    """As many chunks as the provider sent, each as long as the provider's."""
    if "fp_" in exchange.response.decode():  # ours has as many letters
        assert re.search(rb'"fp_\w{10}"', exchange.response)
    ours = [len(event.data) for event in sse.decode([written(exchange)])]
    assert ours == [len(event.data) for event in events_of(exchange)]


def test_choices_take_turns_as_the_real_ones() -> None:
    """Each choice opens with two chunks, then they take turns, and end one after the other."""
    real = next(x for x in OPENAI if "n>1" in x.features and is_stream(x))

    def turns(events: Iterable[sse.Event]) -> tuple[list[int], list[int]]:
        chunks = [json.loads(event.data) for event in events if event.data != "[DONE]"]
        parts = [part for chunk in chunks for part in chunk["choices"]]
        ended = [part["index"] for part in parts if part["finish_reason"]]
        return [part["index"] for part in parts[:8]], ended

    assert turns(sse.decode([written(real)])) == turns(events_of(real))


def deltas(events: Iterable[sse.Event], key: str) -> list[int]:
    """The lengths of all deltas of one kind in Anthropic's events."""
    found = [json.loads(event.data).get("delta", {}).get(key) for event in events]
    return [len(text) for text in found if text]


@pytest.mark.parametrize(("key", "real"), [("text", (11, 43, 197)), ("partial_json", (5, 13, 13))])
def test_message_deltas_are_as_long_as_the_real_ones(key: str, real: tuple[int, ...]) -> None:
    """The median length lies within a factor of two of real traffic's, and no delta is longer.

    The judge is the larger collection (140 streams) that WIRE facts were counted on.
    """
    streams = [x for x in ANTHROPIC if is_stream(x) and x.request]
    ours = [n for x in streams for n in deltas(sse.decode([written(x)]), key)]
    middle, _, longest = real
    assert middle / 2 <= median(ours) <= middle * 2
    assert max(ours) <= longest


def test_message_events_end_in_up_to_15_spaces() -> None:
    """Every event but the ping hides its length behind 0 to 15 spaces, as in real traffic."""
    streams = [x for x in ANTHROPIC if is_stream(x) and not x.row["maybe_authored"]]
    for stream in (b"".join([written(x)]) for x in streams):
        lines = [line for line in stream.decode().splitlines() if line.startswith("data: ")]
        spaces = {len(line) - 1 - len(line[:-1].rstrip()) for line in lines}
        assert spaces <= set(range(16))
        assert lines.count('data: {"type": "ping"}') == 1


# Counting


def model_of(exchange: Exchange) -> Model:
    """The model of an exchange: its tokenizer, and whether it reasons."""
    asked = exchange.row["model"]
    old = re.match(r"gpt-3\.5|gpt-4($|-)", asked)
    return dataclasses.replace(
        default_model("openai"),
        id=asked,
        encoding="cl100k_base" if old else "o200k_base",
        reasoning=bool(re.match(r"o\d|gpt-5", asked)),
    )


def test_prompt_tokens_are_the_providers(capsys: pytest.CaptureFixture[str]) -> None:
    """On at least 91 % of the real prompts we count what the provider billed."""
    counts = []
    for exchange in OPENAI:
        billed = read(exchange).usage.prompt_tokens
        if exchange.request and billed:
            request = openai_chat.OPENAI.read_request(exchange.request_json())
            counts.append((prompt_tokens(request, model_of(exchange)), billed, name(exchange)))
    exact = sum(ours == billed for ours, billed, _ in counts) / len(counts)
    with capsys.disabled():
        print(f"\nprompt tokens equal to the provider's: {exact:.1%} of {len(counts)} prompts")
    assert exact >= 0.91, [count for count in counts if count[0] != count[1]]


def test_completion_tokens_are_the_providers() -> None:
    """On most real answers we count the tokens that the provider billed."""
    counts = []
    for exchange in OPENAI:
        reply, model = read(exchange), model_of(exchange) if exchange.row["model"] else None
        if model and not model.reasoning and reply.usage.completion_tokens:
            ours = usage_of(Request("", ()), reply.choices, model).completion_tokens
            counts.append(abs(ours - reply.usage.completion_tokens))
    assert sum(count == 0 for count in counts) / len(counts) >= 0.6
    assert sum(count <= 1 for count in counts) / len(counts) >= 0.8


# The server


@pytest.fixture(scope="module")
def lenient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server without recordings that takes every key and model."""
    server = Server(StandIn(lenient=True, paths=(tmp_path_factory.mktemp("none"),)))
    server.start()
    yield server
    server.stop()


def answered(server: Server, exchange: Exchange) -> Exchange:
    """The exchange with our server's response in the place of the provider's."""
    doors = {"openai": "/openai/v1/chat/completions", "anthropic": "/anthropic/v1/messages"}
    url = server.url + doors[exchange.row["provider"]]
    headers = {"content-type": "application/json"}
    response = httpx2.post(url, content=exchange.request, headers=headers)
    assert response.status_code == 200, response.text
    body = response.content
    if b"obfuscation" not in exchange.response:
        body = re.sub(rb',"obfuscation":"\w*"', b"", body)
    return dataclasses.replace(exchange, response=body, headers=response.headers, parsed=False)


def kinds(reply: Reply) -> Any:
    """What a reply is made of, choice by choice: thinking, text, so many calls."""
    return [(c.thinking is None, c.text == "", len(c.tool_calls)) for c in reply.choices]


@pytest.mark.parametrize("exchange", [x for x in NEW if x.request], ids=name)
def test_the_server_answers_a_real_request_in_the_real_form(
    lenient: Server, exchange: Exchange
) -> None:
    """Where ours and the provider's model do the same (talk, call a tool), the bodies agree in
    keys, order, types and events, and for OpenAI the bill for the prompt agrees too."""
    ours = answered(lenient, exchange)
    mine, theirs = read(ours), read(exchange)
    if exchange.row["provider"] == "openai" and theirs.usage.prompt_tokens:
        assert mine.usage.prompt_tokens == theirs.usage.prompt_tokens
    if kinds(mine) != kinds(theirs):
        return  # which tool is called, and with what, is the simulator's part
    if is_stream(exchange):
        assert shapes(events_of(ours)) == shapes(events_of(exchange))
    elif not theirs.choices[0].tool_calls:
        compare = sorted_shape if exchange.parsed else shape
        assert compare(ours.response_json()) == compare(exchange.response_json())


# Headers and errors

TRANSPORT = {"content-encoding", "content-length", "transfer-encoding", "connection", "set-cookie"}
# Sent by some of the provider's machines and not by others.
SOMETIMES = {"x-envoy-upstream-service-time", "server-timing", "via", "retry-after"}


@pytest.fixture(scope="module")
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


def ask(session: offline.Session, provider: str, **body: Any) -> httpx2.Response:
    """One call over plain HTTP."""
    body = {"messages": [{"role": "user", "content": "Hello"}]} | body
    if provider == "anthropic":
        path, key = "/v1/messages", {"x-api-key": body.pop("key", COURSE_KEY)}
        body = {"max_tokens": 50} | body
    else:
        path = "/chat/completions"
        key = {"authorization": f"Bearer {body.pop('key', COURSE_KEY)}"}
    body = {"model": default_model(provider).id} | body
    return httpx2.post(session.base_url(provider) + path, headers=key, json=body)


def names(headers: Iterable[str]) -> set[str]:
    """The names of headers that the provider's own servers send always."""
    ours = {"x-course-tier"}
    return {h.lower() for h in headers} - TRANSPORT - SOMETIMES - ours


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.parametrize("streamed", [False, True])
def test_header_names_are_the_real_ones(
    session: offline.Session, provider: str, streamed: bool
) -> None:
    """A good answer has the names that recorded answers of 2026 have most often, and no others."""
    recorded = [
        names(x.headers)
        for x in (OPENAI if provider == "openai" else ANTHROPIC)
        if year(x) > "2026-00" and is_stream(x) == (provider == "openai" or streamed)
    ]
    seen = set().union(*recorded)
    most = {name for name in seen if sum(name in one for one in recorded) * 2 >= len(recorded)}
    ours = names(ask(session, provider, stream=streamed).headers)
    assert most <= ours, most - ours
    assert ours <= seen, ours - seen


@pytest.mark.parametrize(
    ("provider", "status", "changes"),
    [
        ("openai", 404, {"model": "non-existent-model"}),
        ("anthropic", 404, {"model": "there-is-no-such-model"}),
        ("anthropic", 401, {"key": "wrong"}),
    ],
)
def test_errors_are_the_real_ones(
    session: offline.Session, provider: str, status: int, changes: dict[str, Any]
) -> None:
    """An error has the recorded body, to the byte but for Anthropic's newer request id."""
    endpoint = "/chat/completions" if provider == "openai" else "/v1/messages"
    asked = changes.get("model")
    real = next(
        x for x in exchanges(endpoint, provider, status) if not asked or x.row["model"] == asked
    )
    response = ask(session, provider, **changes)
    assert response.status_code == status
    ours = re.sub(rb',"request_id":"req_01\w{22}"', b"", response.content)
    assert ours == real.response
    lasting = names(real.headers) - {"x-cloud-trace-context", "anthropic-workspace-id"}
    assert lasting <= names(response.headers), lasting - names(response.headers)
    assert not any("ratelimit" in header for header in response.headers)
