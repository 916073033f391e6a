"""OpenAI's Responses format, judged by real traffic."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from test_responses import events_of, order_of, post
from traffic import Exchange, exchanges, needs_exchanges

from course_utils.offline.doors import COURSE_KEY, OPENAI
from course_utils.offline.server import Server
from course_utils.offline.standin import StandIn
from course_utils.wire import sse
from course_utils.wire.openai_responses import OpenAIResponses

RESPONSES = [
    exchange
    for exchange in exchanges("/v1/responses")
    if exchange.row["method"] == "POST" and "openrouter" not in exchange.name
]
STREAMS = [exchange for exchange in RESPONSES if exchange.request_json().get("stream")]
WHOLE = [exchange for exchange in RESPONSES if exchange not in STREAMS]
# The newest generation of bodies; older ones lack keys that have come since.
NEWEST_YEAR_AND_MONTH = 1_784_000_000


def shape(value: Any) -> Any:
    """A JSON value with each scalar replaced by its type and each list by its first item."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def within(real: Any, ours: Any) -> bool:
    """Whether our shape has all of the real one's keys, each of the same type."""
    if isinstance(real, dict) and isinstance(ours, dict):
        return all(key in ours and within(real[key], ours[key]) for key in real)
    if isinstance(real, list) and isinstance(ours, list):
        return not real or not ours or within(real[0], ours[0])
    return bool(real == ours)


def plain(exchange: Exchange) -> bool:
    """Whether no tool of the provider's own was at work, nor moderation."""
    body = exchange.request_json()
    tools = body.get("tools") or ()
    return not body.get("moderation") and all(t["type"] == "function" for t in tools)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A stand-in that refuses what the provider refuses."""
    server = Server(StandIn())
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def lenient() -> Iterator[Server]:
    """A stand-in that knows every model."""
    server = Server(StandIn(lenient=True))
    server.start()
    yield server
    server.stop()


def ask_again(server: Server, exchange: Exchange) -> str:
    """The stand-in's own answer to a recorded request."""
    response = httpx2.post(
        f"{server.url}{OPENAI.base}/responses",
        headers={"authorization": f"Bearer {COURSE_KEY}"},
        json=exchange.request_json(),
    )
    assert response.status_code == 200
    return response.text


def named(exchange: Exchange) -> str:
    """An exchange's name for pytest."""
    return exchange.name.rpartition("/")[2]


@needs_exchanges
@pytest.mark.parametrize("exchange", WHOLE, ids=named)
def test_bodies_have_the_keys_of_real_ones(lenient: Server, exchange: Exchange) -> None:
    """A simulated body lacks no key of the recorded one; against the newest it has none more."""
    real, ours = exchange.response_json(), json.loads(ask_again(lenient, exchange))
    assert set(real) <= set(ours)
    if real["created_at"] > NEWEST_YEAR_AND_MONTH:
        assert set(ours) == set(real)
        if not exchange.parsed:
            assert list(ours) == list(real)
    # Ours may have another answer, names a retention where it was null, and has no templates.
    free = {"output", "tools", "reasoning", "prompt_cache_retention", "usage"}
    free |= {"instructions", "prompt"} if "prompt" in real else set()
    for key in set(real) - free:
        assert within(shape(real[key]), shape(ours[key])), key


@needs_exchanges
@pytest.mark.parametrize("exchange", [e for e in STREAMS if plain(e)], ids=named)
def test_events_have_the_order_and_the_keys_of_real_ones(
    lenient: Server, exchange: Exchange
) -> None:
    """Where our answer has the same items, its events come in the same order with the same keys."""
    real = events_of(exchange.response.decode())
    ours = events_of(ask_again(lenient, exchange))
    items = [[i["type"] for i in events[-1]["response"]["output"]] for events in (real, ours)]
    if items[0] == items[1]:
        assert order_of(ours)[:-1] == order_of(real)[:-1]
    keys = {event["type"]: event for event in ours}
    for event in real:
        if event["type"] in keys:
            assert set(event) <= set(keys[event["type"]]), event["type"]
            if "logprobs" in event and "sequence_number" in list(event)[2:]:
                assert [k for k in keys[event["type"]] if k in event] == list(event)


@needs_exchanges
@pytest.mark.parametrize("exchange", RESPONSES, ids=named)
def test_the_codec_reads_real_traffic(exchange: Exchange) -> None:
    """What our codec reads in a real response is what the official SDK reads in it."""
    codec = OpenAIResponses()
    if exchange in STREAMS:
        reply = codec.read_stream(sse.decode([exchange.response]))
        body = events_of(exchange.response.decode())[-1]["response"]
    else:
        body = exchange.response_json()
        reply = codec.read_reply(body)
    response = openai.types.responses.Response.model_construct()
    response = openai._models.construct_type(value=body, type_=type(response))
    assert reply.text == response.output_text
    calls = [item for item in response.output if item.type == "function_call"]
    assert [call.id for call in reply.choices[0].tool_calls] == [item.call_id for item in calls]
    assert (reply.id, reply.created) == (response.id, response.created_at)
    assert reply.usage.prompt_tokens == (response.usage.input_tokens if response.usage else 0)
    assert (reply.finish_reason is None) == (response.status in ("queued", "in_progress"))


@needs_exchanges
def test_deltas_are_as_long_as_real_ones(lenient: Server) -> None:
    """Median deltas of text and of arguments differ by no more than a letter from real ones."""

    def median(events: list[dict[str, Any]]) -> int:
        lengths = sorted(len(e["delta"]) for e in events if "output_text.delta" in e["type"])
        return lengths[len(lengths) // 2] if lengths else 0

    real = [e for x in STREAMS for e in events_of(x.response.decode())]
    ours = [e for x in STREAMS for e in events_of(ask_again(lenient, x))]
    assert abs(median(real) - median(ours)) <= 1


@needs_exchanges
@pytest.mark.parametrize("exchange", exchanges("/v1/responses", status=400), ids=named)
def test_errors_are_those_of_real_traffic(server: Server, exchange: Exchange) -> None:
    """A request that was refused in real traffic is refused in the same words."""
    if not exchange.response:
        pytest.skip("the recording keeps no body")
    response = post(server, **exchange.request_json())
    assert response.status_code == 400
    assert response.json() == exchange.response_json()
