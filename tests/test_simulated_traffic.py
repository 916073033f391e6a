"""What the stand-in answers by itself to requests of recorded traffic, beside what was answered."""

import json
import re
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from test_cassettes import NOT_COMPARED, address
from traffic import Exchange, all_exchanges, needs_exchanges

from course_utils.offline.doors import COURSE_KEY
from course_utils.offline.endpoints import ROUTES
from course_utils.offline.server import Server
from course_utils.offline.standin import StandIn
from course_utils.wire import catalogue, sse

CLIENT = httpx2.Client()
WRONG_KEY = "not-the-key-of-anyone"
PROVIDERS = ("openai", "anthropic", "gemini")
# What the providers' own tools, moderation, prompt templates, citations and gateways add.
ELSEWHERE = re.compile(
    rb'server_tool_use|"moderation":|citations_delta|"gen-\d|safetyRatings|executableCode'
    rb'|cachedContent|"(web|file)_search|"mcp|computer|"prompt":\{|tool_search|fallback'
)
# Keys of earlier years, and those that say how long a model thought, which ours does at request.
GONE = re.compile(
    r"\.(permission|root|parent|generate_summary|finish_details|candidatesTokensDetails"
    r"|thoughtsTokenCount|thoughtSignature|avgLogprobs|prompt_cache_retention|extra_content"
    r"|thought_signature)\b"
)
# Requests whose refusal rests on what the recording does not hold, or on a rule of its day.
OF_ITS_DAY = re.compile(r"MASSIVE_TEXT|o1-mini|web_search_options|text-ada-001|ft:123")

pytestmark = needs_exchanges


def path_of(exchange: Exchange) -> str:
    """The path on the stand-in, without its query; the door's root where it has none."""
    return address(exchange.url).partition("?")[0]


def day(exchange: Exchange) -> date:
    """The day of an exchange; the first of all days where its recorder cut the date."""
    try:
        return datetime.strptime(exchange.headers["date"], "%a, %d %b %Y %H:%M:%S GMT").date()
    except (KeyError, ValueError):
        return date.min


def is_offered(exchange: Exchange) -> bool:
    """Whether the stand-in has this endpoint, and the request is there to be sent."""
    known = exchange.url and exchange.row["provider"] in PROVIDERS
    return bool(known and ROUTES.find(exchange.row["method"], path_of(exchange)))


def is_plain(exchange: Exchange) -> bool:
    """Whether all of the answer comes from the model itself."""
    return not ELSEWHERE.search(exchange.request + exchange.response)


OFFERED = [x for x in all_exchanges() if is_offered(x) and not OF_ITS_DAY.search(str(x.request))]
ANSWERED = [x for x in OFFERED if x.status == 200 and is_plain(x)]
REFUSED = [x for x in OFFERED if x.status >= 400 and not OF_ITS_DAY.search(x.url)]
NEWEST = [x for x in [*ANSWERED, *REFUSED] if day(x) >= date(2026, 8, 1)]
# Before the summer of 2024 many fields were still to come.
CURRENT = [x for x in ANSWERED if day(x) == date.min or day(x) >= date(2024, 6, 1)]
STREAMS = [x for x in ANSWERED if "stream" in x.features and "/responses" not in x.url]


def name(exchange: Exchange) -> str:
    """A short name for a test's parameter."""
    return exchange.name.rpartition("/")[2]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[bool, Server]]:
    """Two stand-ins without any recording; the one under True knows every model and id."""
    empty = tmp_path_factory.mktemp("empty")
    both = {lenient: Server(StandIn(folder=empty, lenient=lenient)) for lenient in (True, False)}
    for server in both.values():
        server.start()
    yield both
    for server in both.values():
        server.stop()


def ask(servers: dict[bool, Server], exchange: Exchange) -> httpx2.Response:
    """The stand-in's own answer to a recorded request; a strict one's to what was refused."""
    key = WRONG_KEY if exchange.status == 401 else COURSE_KEY
    names = ("authorization", "x-api-key", "x-goog-api-key")
    headers = dict(zip(names, (f"Bearer {key}", key, key), strict=True))
    if "/anthropic/" in path_of(exchange):
        del headers["authorization"]
    headers["content-type"] = exchange.request_headers.get("content-type", "application/json")
    return CLIENT.request(
        exchange.row["method"],
        servers[exchange.status < 400].url + address(exchange.url),
        content=exchange.request,
        headers=headers,
    )


def kinds(value: Any, path: str = "") -> dict[str, frozenset[str]]:
    """The paths of a JSON value with the types that stand there; items of a list share theirs."""
    found: dict[str, frozenset[str]] = {}
    items: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        items = [(f"{path}.{key}", inner) for key, inner in value.items()]
    elif isinstance(value, list):
        items = [(f"{path}[]", inner) for inner in value]
    for at, inner in items:
        for deep, types in kinds(inner, at).items():
            found[deep] = found.get(deep, frozenset()) | types
    if path:
        kind = {"int": "number", "float": "number"}.get(type(value).__name__, type(value).__name__)
        found[path] = found.get(path, frozenset()) | {kind}
    return found


def events_of(body: bytes) -> list[tuple[str, Any]]:
    """The events of a stream, each with its name and its value."""
    pairs = [(event.name or "", event.data) for event in sse.decode([body])]
    return [(n, data if data == "[DONE]" else json.loads(data)) for n, data in pairs]


def read(exchange: Exchange, body: bytes) -> Any:
    """A body as one value: a stream as its events by their names."""
    if "stream" not in exchange.features:
        return json.loads(body)
    whole: dict[str, list[Any]] = {}
    for event, value in events_of(body):
        whole.setdefault(event or "chunk", []).append(value)
    return whole


def end_of(text: str) -> set[str]:
    """Why an answer ended, and of which parts it is made."""
    reasons = set(re.findall(r'"(?:finish_reason|stop_reason|finishReason)": ?"(\w+)"', text))
    parts = re.findall(r'"type": ?"(\w+)"', text) + re.findall(r'"(functionCall)"', text)
    return reasons | set(parts)


def of_the_answer(path: str) -> bool:
    """Whether a path lies within what a model chose to say."""
    return bool(
        re.search(
            r"content|choices\[\]\.(delta|message)|\.output\[\]|delta|\.input\b|stop_sequence", path
        )
    )


@pytest.mark.parametrize("exchange", [x for x in OFFERED if x in [*ANSWERED, *REFUSED]], ids=name)
def test_the_status_is_the_real_one(servers: dict[bool, Server], exchange: Exchange) -> None:
    """What was answered is answered, and what was refused is refused with the same status."""
    assert ask(servers, exchange).status_code == exchange.status


def missing_and_new(exchange: Exchange, got: bytes) -> tuple[set[str], set[str]]:
    """The keys that the real body has and ours has not, or with no type in common; the reverse."""
    real, ours = (kinds(read(exchange, body)) for body in (exchange.response, got))
    if end_of(exchange.response.decode()) != end_of(got.decode()):
        real, ours = ({p: k for p, k in side.items() if not of_the_answer(p)}
                      for side in (real, ours))  # fmt: skip
    lacking = {p for p, types in real.items() if not types & ours.get(p, frozenset())}
    return {p for p in lacking if not GONE.search(p)}, set(ours) - set(real)


# Batches are at another stage of their life, and responses have a test of their own.
OTHERS = re.compile(r"/batches|/content$|/responses$")
SHAPED = [x for x in CURRENT if not OTHERS.search(x.row["endpoint"])]


@pytest.mark.parametrize("exchange", SHAPED, ids=name)
def test_no_key_of_a_real_body_is_missing(servers: dict[bool, Server], exchange: Exchange) -> None:
    """A simulated body has every key of the real one, with a type that stands there."""
    missing, new = missing_and_new(exchange, ask(servers, exchange).content)
    assert missing == set()
    if exchange in NEWEST:
        assert new == set()


@pytest.mark.parametrize("exchange", NEWEST, ids=name)
def test_the_headers_are_the_newest_ones(servers: dict[bool, Server], exchange: Exchange) -> None:
    """An answer has the headers that the newest recorded one of its kind has, and no other."""
    ours = set(ask(servers, exchange).headers) - NOT_COMPARED
    # What we invent sets no cookie and asks nobody to wait.
    real = set(exchange.headers) - NOT_COMPARED - {"retry-after", "set-cookie"}
    assert ours == real


@pytest.mark.parametrize("exchange", NEWEST, ids=name)
def test_a_body_is_spaced_as_the_real_one(servers: dict[bool, Server], exchange: Exchange) -> None:
    """Indent and the end of the last line are the provider's."""
    if exchange.parsed or "/content" in exchange.url:
        pytest.skip("the recording does not keep the text, or it is a file's")
    got = ask(servers, exchange).content
    assert got[:2] == exchange.response[:2]
    assert got.endswith(b"\n") == exchange.response.endswith(b"\n")


@pytest.mark.parametrize("exchange", REFUSED, ids=name)
def test_a_refusal_is_the_real_one(servers: dict[bool, Server], exchange: Exchange) -> None:
    """The same words, type, code and parameter; only ids of requests and keys are others."""
    if not exchange.response:
        pytest.skip("the recording keeps no body")

    def plain(body: bytes) -> Any:
        value = json.loads(body)
        value.pop("request_id", None)
        error = value["error"]
        error["message"] = re.sub(r"(provided: )\S+\.", r"\1KEY.", error["message"])
        return value

    assert plain(ask(servers, exchange).content) == plain(exchange.response)


def kind_of(event: str, value: Any) -> str:
    """The name of an event, or where it has none, what its choices say and whether they end."""
    if event or value == "[DONE]":
        return event or "[DONE]"
    parts = [
        ",".join(sorted(part.get("delta") or {})) + str(part.get("finish_reason"))
        for part in value.get("choices") or value.get("candidates") or ()
    ]
    return " ".join(parts) or "usage"


def order(body: bytes) -> list[str]:
    """The kinds of a stream's events; a run of one kind, such as text deltas, is one."""
    found = [kind_of(event, value) for event, value in events_of(body)]
    # A ping comes with the first block of a message, before its first delta or after it.
    kinds = [kind for kind in found if kind != "ping"]
    return [kind for i, kind in enumerate(kinds) if not i or kinds[i - 1] != kind]


@pytest.mark.parametrize("exchange", [x for x in STREAMS if x in CURRENT], ids=name)
def test_events_come_in_the_real_order(servers: dict[bool, Server], exchange: Exchange) -> None:
    """A stream begins and ends as the real one; of the same parts, all of it is in its order."""
    got = ask(servers, exchange).content
    ours, real = order(got), order(exchange.response)
    assert ours[-1] == real[-1]
    block = "content_block_start"
    if end_of(got.decode()) == end_of(exchange.response.decode()):
        assert ours == real or ours.count(block) != real.count(block)


@pytest.mark.parametrize(
    "exchange", [x for x in STREAMS if x.row["provider"] == "anthropic"], ids=name
)
def test_one_ping_comes_near_the_start(servers: dict[bool, Server], exchange: Exchange) -> None:
    """A message has one ping, with its first block, as nearly all recorded ones have."""
    names = [event for event, _ in events_of(ask(servers, exchange).content)]
    assert names.count("ping") == 1
    assert names[2] == "ping"


# What follows from what a server was asked before


def usage(client: openai.OpenAI, model: str, *texts: str) -> Any:
    """The usage of a chat whose user messages are these."""
    messages: Any = [{"role": "user", "content": text} for text in texts]
    reply = client.chat.completions.create(model=model, messages=messages)
    assert reply.usage is not None
    return reply.usage


@pytest.fixture
def client() -> Iterator[openai.OpenAI]:
    """OpenAI's SDK at a stand-in that was asked nothing yet."""
    server = Server(StandIn())
    server.start()
    yield openai.OpenAI(base_url=f"{server.url}/openai/v1", api_key=COURSE_KEY)
    server.stop()


LONG = " ".join(f"Entry {i}: shelf {i}, aisle {i % 7}." for i in range(300))


def model_that(writes: bool) -> str:
    """A model that bills what it writes into its prompt cache, or one that does not."""
    return next(
        m.id
        for m in catalogue.models("openai")
        if (m.price.cache_write is not None) is writes and not m.shutdown and m.encoding
    )


def test_a_long_beginning_is_cached_in_blocks(client: openai.OpenAI) -> None:
    """An older model reads whole blocks of 128 tokens, from 1,024 on, when they come again."""
    model = model_that(writes=False)
    first = usage(client, model, LONG, "One?").prompt_tokens_details
    second = usage(client, model, LONG, "Two?")
    read = second.prompt_tokens_details.cached_tokens
    assert first.cached_tokens == 0
    assert 1024 <= read <= second.prompt_tokens
    assert read % 128 == 0
    assert second.prompt_tokens - read < 2 * 128
    assert usage(client, model, "Two? " + LONG).prompt_tokens_details.cached_tokens == 0


def test_a_newer_model_caches_up_to_the_last_message(client: openai.OpenAI) -> None:
    """It bills what it writes, and when the same prompt comes again it reads all of that."""
    model = model_that(writes=True)
    whole = usage(client, model, LONG)
    first, second = whole.prompt_tokens_details, usage(client, model, LONG).prompt_tokens_details
    assert whole.prompt_tokens - first.cache_write_tokens == 8
    assert (first.cached_tokens, first.cache_write_tokens) == (0, second.cached_tokens)
    assert second.cached_tokens >= 1024
    third = usage(client, model, LONG, LONG).prompt_tokens_details
    assert third.cached_tokens <= second.cached_tokens + 8
    assert third.cached_tokens > 0.9 * second.cached_tokens
    assert third.cache_write_tokens > 0


def test_a_short_prompt_is_never_cached(client: openai.OpenAI) -> None:
    """Below 1,024 tokens nothing is kept, however often it comes."""
    for model in (model_that(writes=True), model_that(writes=False)):
        found = [usage(client, model, "Hello").prompt_tokens_details for _ in range(2)]
        assert [details.cached_tokens for details in found] == [0, 0]


def test_a_moving_name_is_answered_by_its_version() -> None:
    """Whoever asks for a model gets the name back that recorded traffic gives for it."""
    asked = [x for x in CURRENT if x.request.startswith(b"{") and "gemini" not in x.row["provider"]]
    pairs = {
        (x.request_json()["model"], found[1].decode())
        for x in asked
        if "model" in x.request_json() and (found := re.search(rb'"model": ?"([^"]+)"', x.response))
    }
    assert len(pairs) > 15
    wrong = {(name, told) for name, told in pairs if catalogue.answering_name(name) != told}
    assert wrong == set()


def test_a_failed_tool_is_told_as_failed(servers: dict[bool, Server]) -> None:
    """A tool result with `is_error` is an error to the simulator, whatever its words are."""
    call = {"type": "tool_use", "id": "toolu_1", "name": "get_price", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "17"}
    said = []
    for failed in (False, True):
        reply = anthropic.Anthropic(base_url=f"{servers[False].url}/anthropic", api_key=COURSE_KEY)
        messages: Any = [
            {"role": "user", "content": "What is the price?"},
            {"role": "assistant", "content": [call]},
            {"role": "user", "content": [result | {"is_error": failed}]},
        ]
        model = catalogue.default_model("anthropic").id
        block = reply.messages.create(model=model, max_tokens=99, messages=messages).content[0]
        said.append("reported an error" in block.text)  # type: ignore[union-attr]
    assert said == [False, True]


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([("user", "Hi"), ("user", [("tool_result", "toolu_1")])], "messages.0.content.1: "),
        (
            [("user", "Hi"), ("assistant", "Yes?"), ("user", [("tool_result", "toolu_1")])],
            "messages.2.content.0: ",
        ),
        (
            [("user", "Hi"), ("assistant", [("tool_use", "toolu_1")]), ("user", "And?")],
            "messages.1: `tool_use` ids",
        ),
    ],
)
def test_a_refusal_names_the_block_as_anthropic_counts(
    servers: dict[bool, Server], messages: Any, told: str
) -> None:
    """Messages of one role in a row count as one, and a text as one block."""
    names = {"tool_result": "tool_use_id", "tool_use": "id"}
    blocks = [
        {"role": role, "content": content if isinstance(content, str) else [
            {"type": kind, names[kind]: id} | ({"name": "f", "input": {}} if kind == "tool_use"
            else {"content": "1"}) for kind, id in content]}
        for role, content in messages
    ]  # fmt: skip
    client = anthropic.Anthropic(base_url=f"{servers[False].url}/anthropic", api_key=COURSE_KEY)
    model = catalogue.default_model("anthropic").id
    with pytest.raises(anthropic.BadRequestError) as error:
        client.messages.create(model=model, max_tokens=9, messages=blocks)
    assert error.value.body["error"]["message"].startswith(told)  # type: ignore[index]
