"""OpenAI's Responses endpoints: judged by the official SDK and by the published schema."""

import json
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import httpx2
import openai
import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel
from traffic import DATA

from course_utils.offline.doors import COURSE_KEY, OPENAI
from course_utils.offline.server import Server
from course_utils.offline.standin import StandIn
from course_utils.offline.store import Store
from course_utils.wire import sse
from course_utils.wire.catalogue import default_model
from course_utils.wire.openai_responses import OpenAIResponses

MODEL = default_model("openai").id
QUESTION = "What is an API, in one sentence?"
ANSWER = "An API is a contract."
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
RECORDINGS = f"""
source: authored
written: 2026-11-23
replies:
  - id: api
    messages:
      - user: {QUESTION}
    text: {ANSWER}
  - id: again
    after: api
    messages:
      - user: And in two words?
    text: A promise.
  - id: weather
    messages:
      - system: Be brief.
      - user: What is the weather in Rome and in Oslo?
    tools: [get_weather]
    tool_calls:
      - {{id: call_rome, name: get_weather, arguments: {{city: Rome}}}}
      - {{id: call_oslo, name: get_weather, arguments: {{city: Oslo}}}}
  - id: weather-told
    after: weather
    messages:
      - tool: sunny
        for: call_rome
      - tool: snow
        for: call_oslo
    tools: [get_weather]
    text: Rome is sunny, Oslo has snow.
  - id: refused
    messages:
      - user: Say something terrible.
    text: ""
    refusal: I cannot help with that.
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A stand-in with recordings of its own."""
    folder = tmp_path_factory.mktemp("recordings")
    (folder / "responses.yaml").write_text(RECORDINGS, encoding="utf-8")
    server = Server(StandIn(folder))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def client(server: Server) -> openai.OpenAI:
    """A client that refuses a body that its types do not fit."""
    return openai.OpenAI(
        base_url=server.url + OPENAI.base,
        api_key=COURSE_KEY,
        max_retries=0,
        _strict_response_validation=True,
    )


def post(server: Server, key: str = COURSE_KEY, **body: Any) -> httpx2.Response:
    """One call over plain HTTP."""
    return httpx2.post(
        f"{server.url}{OPENAI.base}/responses",
        headers={"authorization": f"Bearer {key}"},
        json={"model": MODEL, "input": QUESTION} | body,
    )


def events_of(text: str) -> list[dict[str, Any]]:
    """The JSON of each event in a stream."""
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]


def order_of(events: list[dict[str, Any]]) -> list[str]:
    """The types of events without their repetitions, and without `response.` before them."""
    return [kind.removeprefix("response.") for kind, _ in groupby(e["type"] for e in events)]


def test_text_is_answered(client: openai.OpenAI) -> None:
    """A plain text gets a completed response, whose usage adds up."""
    response = client.responses.create(model=MODEL, input=QUESTION)
    assert (response.status, response.output_text, response.error) == ("completed", ANSWER, None)
    usage = response.usage
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    assert response.id.startswith("resp_0")
    assert response.output[0].id.startswith("msg_" + response.id[5:23])
    assert {len(response.id), len(response.output[0].id) + 1} == {len("resp_") + 50}


def test_recordings_of_chat_completions_answer_here_too(server: Server) -> None:
    """The same conversation, written as text or as items, is a recording in another format."""
    parts = [{"type": "input_text", "text": QUESTION}]
    for asked in (QUESTION, [{"role": "user", "content": QUESTION}],
                  [{"type": "message", "role": "user", "content": parts}]):  # fmt: skip
        response = post(server, input=asked)
        assert response.headers["x-course-tier"] == "adapted"
        assert server.log.since(0)[-1].recording == "responses#api"
    assert post(server, input="Nobody asked this?").headers["x-course-tier"] == "simulated"


def test_what_was_asked_is_repeated(client: openai.OpenAI) -> None:
    """A response says with which settings it was made."""
    response = client.responses.create(
        model=MODEL,
        input=QUESTION,
        instructions="Be brief.",
        metadata={"lesson": "5"},
        max_output_tokens=99,
        reasoning={"effort": "none"},
        temperature=0.25,
        user="u1",
        tools=[WEATHER],
        tool_choice="none",
        parallel_tool_calls=False,
        store=False,
    )
    assert response.instructions == "Be brief."
    assert response.metadata == {"lesson": "5"}
    assert (response.max_output_tokens, response.temperature) == (99, 0.25)
    assert (response.tool_choice, response.parallel_tool_calls) == ("none", False)
    assert (response.user, response.reasoning.effort) == ("u1", "none")
    assert response.tools[0].strict
    assert response.tools[0].parameters["additionalProperties"] is False


def test_stream_adds_up_to_the_response(client: openai.OpenAI) -> None:
    """The SDK's own accumulator makes the same response from the events."""
    whole = client.responses.create(model=MODEL, input=QUESTION)
    with client.responses.stream(model=MODEL, input=QUESTION) as stream:
        deltas = [e.delta for e in stream if e.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert "".join(deltas) == whole.output_text == final.output_text
    assert len(deltas) > 3
    assert final.usage == whole.usage


def test_events_are_framed_as_the_provider_frames_them(server: Server) -> None:
    """Each event is named by its type and numbered from 0; no [DONE] ends the stream."""
    text = post(server, stream=True).text
    events = events_of(text)
    assert [e["sequence_number"] for e in events] == list(range(len(events)))
    names = [line[7:] for line in text.splitlines() if line.startswith("event: ")]
    assert names == [event["type"] for event in events]
    assert "[DONE]" not in text
    assert text.endswith("\n\n")
    assert order_of(events) == [
        "created", "in_progress", "output_item.added", "content_part.added", "output_text.delta",
        "output_text.done", "content_part.done", "output_item.done", "completed",
    ]  # fmt: skip


def test_deltas_hide_their_length(server: Server) -> None:
    """A delta and its padding are a multiple of 16 letters, unless the request says no."""
    padded = [e for e in events_of(post(server, stream=True).text) if "delta" in e]
    assert {len(e["delta"] + e["obfuscation"]) % 16 for e in padded} == {0}
    bare = post(server, stream=True, stream_options={"include_obfuscation": False})
    assert "obfuscation" not in bare.text


def test_tools_are_called_and_told(client: openai.OpenAI) -> None:
    """Two calls come back at once; their outputs, sent back as items, are answered."""
    asked: list[Any] = [{"role": "user", "content": "What is the weather in Rome and in Oslo?"}]
    first = client.responses.create(
        model=MODEL, input=asked, tools=[WEATHER], instructions="Be brief."
    )
    assert [(item.type, item.call_id, item.arguments) for item in first.output] == [
        ("function_call", "call_rome", '{"city": "Rome"}'),
        ("function_call", "call_oslo", '{"city": "Oslo"}'),
    ]
    asked += [item.to_dict() for item in first.output]
    for call_id, told in (("call_rome", "sunny"), ("call_oslo", "snow")):
        asked.append({"type": "function_call_output", "call_id": call_id, "output": told})
    second = client.responses.create(
        model=MODEL, input=asked, tools=[WEATHER], instructions="Be brief."
    )
    assert second.output_text == "Rome is sunny, Oslo has snow."


def test_calls_are_streamed(server: Server) -> None:
    """Each call is an item of its own, its arguments come in pieces and then whole."""
    events = events_of(
        post(
            server,
            input="What is the weather in Rome and in Oslo?",
            tools=[WEATHER],
            instructions="Be brief.",
            stream=True,
        ).text
    )
    one = ["output_item.added", "function_call_arguments.delta", "function_call_arguments.done",
           "output_item.done"]  # fmt: skip
    assert order_of(events) == ["created", "in_progress", *one, *one, "completed"]
    pieces = [e["delta"] for e in events if "delta" in e and e["output_index"] == 1]
    done = [e for e in events if e["type"] == "response.function_call_arguments.done"]
    assert "".join(pieces) == done[1]["arguments"] == '{"city": "Oslo"}'


def test_an_answer_that_is_cut_is_incomplete(client: openai.OpenAI) -> None:
    """max_output_tokens ends the text, and the response says why."""
    asked = {"model": MODEL, "input": "Tell me about rivers.", "max_output_tokens": 16}
    response = client.responses.create(**asked)
    assert (response.status, response.incomplete_details.reason) == (
        "incomplete",
        "max_output_tokens",
    )
    assert (response.output[0].status, response.usage.output_tokens) == ("incomplete", 16)
    events = list(client.responses.create(**asked, stream=True))
    assert events[-1].type == "response.incomplete"
    assert sum(event.type == "response.output_text.delta" for event in events) == 16


def test_a_refusal_is_a_part_of_its_own(client: openai.OpenAI) -> None:
    """A model that declines says so in a refusal, streamed or not."""
    asked = {"model": MODEL, "input": "Say something terrible."}
    part = client.responses.create(**asked).output[0].content[0]
    assert (part.type, part.refusal) == ("refusal", "I cannot help with that.")
    kinds = [event.type for event in client.responses.create(**asked, stream=True)]
    assert "response.refusal.delta" in kinds
    assert "response.refusal.done" in kinds


def test_structured_output_is_parsed(client: openai.OpenAI) -> None:
    """The SDK's parse() sends a schema; the answer fits it, and the response repeats it."""

    class City(BaseModel):
        name: str
        population: int

    response = client.responses.parse(
        model=MODEL, input="The city of Rome has 2800000 people.", text_format=City
    )
    assert isinstance(response.output_parsed, City)
    assert (response.text.format.name, response.text.format.strict) == ("City", True)
    assert set(response.text.format.schema_["properties"]) == {"name", "population"}


def test_logprobs_come_with_their_tokens(client: openai.OpenAI) -> None:
    """Each delta brings the logprobs of its own tokens, and the item has them all."""
    asked: Any = {
        "model": MODEL,
        "input": QUESTION,
        "include": ["message.output_text.logprobs"],
        "top_logprobs": 2,
    }
    whole = client.responses.create(**asked).output[0].content[0].logprobs
    assert "".join(token.token for token in whole) == ANSWER
    assert all(len(token.top_logprobs) == 2 and token.logprob <= 0 for token in whole)
    deltas = [e for e in client.responses.create(**asked, stream=True) if "text.delta" in e.type]
    assert all("".join(token.token for token in d.logprobs) == d.delta for d in deltas)
    assert sum(len(d.logprobs) for d in deltas) == len(whole)


def test_reasoning_that_is_asked_for_is_shown(client: openai.OpenAI) -> None:
    """A summary comes before the message, as an item and as events."""
    asked: Any = {
        "model": MODEL,
        "input": QUESTION,
        "reasoning": {"effort": "high", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
    }
    response = client.responses.create(**asked)
    assert [item.type for item in response.output] == ["reasoning", "message"]
    assert response.output[0].summary[0].text
    assert response.output[0].encrypted_content
    kinds = [event.type for event in client.responses.create(**asked, stream=True)]
    assert kinds.index("response.reasoning_summary_text.done") < kinds.index(
        "response.output_text.delta"
    )


def test_a_response_goes_on_from_the_previous_one(client: openai.OpenAI) -> None:
    """The conversation before it is known by its id, and its instructions are left behind."""
    first = client.responses.create(model=MODEL, input=QUESTION)
    second = client.responses.create(
        model=MODEL, input="And in two words?", previous_response_id=first.id
    )
    assert second.output_text == "A promise."
    assert second.previous_response_id == first.id
    assert second.usage.input_tokens > first.usage.input_tokens + first.usage.output_tokens
    items = client.responses.input_items.list(second.id, order="asc").data
    assert [item.content[0].text for item in items] == [QUESTION, ANSWER, "And in two words?"]


def test_a_previous_response_with_calls_takes_their_outputs(client: openai.OpenAI) -> None:
    """After a response with calls it is enough to send what the tools said."""
    first = client.responses.create(
        model=MODEL,
        input="What is the weather in Rome and in Oslo?",
        tools=[WEATHER],
        instructions="Be brief.",
    )
    told: Any = [
        {"type": "function_call_output", "call_id": "call_rome", "output": "sunny"},
        {"type": "function_call_output", "call_id": "call_oslo", "output": "snow"},
    ]
    second = client.responses.create(
        model=MODEL,
        input=told,
        tools=[WEATHER],
        instructions="Be brief.",
        previous_response_id=first.id,
    )
    assert second.output_text == "Rome is sunny, Oslo has snow."
    kinds = [item.type for item in client.responses.input_items.list(second.id)]
    assert kinds == ["function_call_output"] * 2 + ["function_call"] * 2 + ["message"]


def test_a_response_is_kept_until_it_is_deleted(client: openai.OpenAI) -> None:
    """What was created can be retrieved, whole or as events, and then deleted."""
    response = client.responses.create(model=MODEL, input=QUESTION)
    assert client.responses.retrieve(response.id) == response
    events = list(client.responses.retrieve(response.id, stream=True, starting_after=3))
    assert events[0].sequence_number == 4
    assert events[-1].response.id == response.id
    client.responses.delete(response.id)
    with pytest.raises(openai.NotFoundError, match=f"Response with id '{response.id}' not found"):
        client.responses.retrieve(response.id)


def test_what_is_not_stored_is_forgotten(client: openai.OpenAI) -> None:
    """With store=False nothing is kept, and nothing can go on from it."""
    response = client.responses.create(model=MODEL, input=QUESTION, store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(response.id)
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=MODEL, input="Go on", previous_response_id=response.id)
    assert caught.value.code == "previous_response_not_found"
    assert caught.value.param == "previous_response_id"


def test_work_in_the_background_is_polled(client: openai.OpenAI) -> None:
    """A response in the background is queued first, and there when it is asked for."""
    queued = client.responses.create(model=MODEL, input=QUESTION, background=True)
    assert (queued.status, queued.output, queued.usage) == ("queued", [], None)
    done = client.responses.retrieve(queued.id)
    assert (done.status, done.output_text) == ("completed", ANSWER)


def test_work_in_the_background_can_be_cancelled(client: openai.OpenAI) -> None:
    """A queued response can be cancelled; one that was waited for cannot."""
    queued = client.responses.create(model=MODEL, input=QUESTION, background=True)
    assert client.responses.cancel(queued.id).status == "cancelled"
    assert client.responses.retrieve(queued.id).status == "cancelled"
    waited = client.responses.create(model=MODEL, input=QUESTION)
    with pytest.raises(openai.BadRequestError, match="Cannot cancel a synchronous response"):
        client.responses.cancel(waited.id)


def test_input_is_listed_in_pages(client: openai.OpenAI) -> None:
    """The newest item comes first, and the SDK's pages lead to all of them."""
    asked: Any = [{"role": "user", "content": f"Item {i}"} for i in range(5)]
    response = client.responses.create(model=MODEL, input=asked)
    listed = client.responses.input_items.list(response.id, limit=2)
    assert listed.has_more
    assert [item.content[0].text for item in listed] == [f"Item {i}" for i in (4, 3, 2, 1, 0)]


def test_tokens_are_counted_as_the_usage_counts_them(client: openai.OpenAI) -> None:
    """The count of an input is what the response to it bills."""
    asked: Any = {"model": MODEL, "input": QUESTION, "instructions": "Be brief."}
    counted = client.responses.input_tokens.count(**asked).input_tokens
    assert counted == client.responses.create(**asked).usage.input_tokens


@pytest.mark.parametrize(
    ("changes", "code", "param", "words"),
    [
        ({"model": "gpt-99"}, "model_not_found", "model",
         "The requested model 'gpt-99' does not exist."),
        ({"model": None}, "missing_required_parameter", "model",
         "Missing required parameter: 'model'."),
        ({"input": None}, "missing_required_parameter", None, 'One of "input"'),
        ({"input": 5}, "invalid_type", "input",
         "Invalid type for 'input': expected one of an array of objects or string, but got an "
         "integer instead."),
        ({"input": [{"role": "tool", "content": "x"}]}, "invalid_value", "input[0]",
         "Invalid value: 'tool'. Supported values are: 'assistant', 'system', 'developer', and "
         "'user'."),
        ({"input": [{"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}]},
         "invalid_value", "input[0].content[0]",
         "Invalid value: 'input_text'. Supported values are: 'output_text' and 'refusal'."),
        ({"messages": []}, "unsupported_parameter", None,
         "In the Responses API, this parameter has moved to 'input'."),
        ({"reasoning_effort": "low"}, "unsupported_parameter", None, "'reasoning.effort'"),
        ({"stop": "x"}, "unknown_parameter", "stop", "Unknown parameter: 'stop'."),
        ({"temperature": 0.2}, None, "temperature",
         "Unsupported parameter: 'temperature' is not supported with this model."),
        ({"temperature": -1}, "decimal_below_min_value", "temperature",
         "Expected a value >= 0, but got -1 instead."),
        ({"temperature": "hot"}, "invalid_type", "temperature", "Invalid type for 'temperature'"),
        ({"max_output_tokens": 5}, "integer_below_min_value", "max_output_tokens",
         "Expected a value >= 16, but got 5 instead."),
        ({"metadata": 5}, "invalid_type", "metadata", "Invalid type for 'metadata'"),
        ({"metadata": {"a": 5}}, "invalid_type", "metadata.a", "expected a string"),
        ({"tool_choice": 5}, "invalid_type", "tool_choice", "one of an object or string"),
        ({"tools": [{}]}, "missing_required_parameter", "tools[0].type", "'tools[0].type'"),
        ({"tools": [{"type": "x"}]}, "invalid_value", "tools[0]", "Invalid value: 'x'."),
        ({"truncation": "x"}, "invalid_value", "truncation", "are: 'auto' and 'disabled'."),
        ({"reasoning": {"effort": "x"}}, "invalid_value", "reasoning.effort", "'xhigh'"),
        ({"text": {"format": {"type": "json_schema"}}}, "missing_required_parameter",
         "text.format.name", "'text.format.name'"),
        ({"previous_response_id": "resp_1"}, "previous_response_not_found",
         "previous_response_id", "Previous response with id 'resp_1' not found."),
        ({"input": [{"type": "function_call_output", "call_id": "call_1", "output": "1"}]}, None,
         "input", "No tool call found for function call output with call_id call_1."),
        ({"input": [{"type": "function_call", "call_id": "call_1", "name": "f",
                     "arguments": "{}"}]}, None, "input",
         "No tool output found for function call call_1."),
        ({"text": {"format": {"type": "json_schema", "name": "City", "strict": True,
                              "schema": {"type": "object", "properties": {}}}}},
         "invalid_json_schema", "text.format.schema",
         "Invalid schema for response_format 'City': In context=(), 'additionalProperties' is "
         "required to be supplied and to be false."),
        ({"tools": [WEATHER | {"strict": True, "parameters": {
            "type": "object", "properties": {"city": {"type": "string"}},
            "additionalProperties": False}}]}, "invalid_function_parameters",
         "tools[0].parameters", "Missing 'city'."),
        ({"text": {"format": {"type": "json_object"}}}, None, "input",
         "must contain the word 'json'"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("stream", [False, True])
def test_refusals_are_the_providers(
    server: Server, changes: dict[str, Any], code: str, param: str, words: str, stream: bool
) -> None:
    """A request that OpenAI refuses is refused with its status, code, parameter and words."""
    response = post(server, **changes, stream=stream)
    error = response.json()["error"]
    assert list(error) == ["message", "type", "param", "code"]
    found = (response.status_code, error["type"], error["code"], error["param"])
    assert found == (400, "invalid_request_error", code, param)
    assert words in error["message"]
    assert not [name for name in response.headers if "ratelimit" in name]


def test_a_wrong_key_is_challenged(server: Server) -> None:
    """Unlike on chat completions, a 401 here says how to authenticate."""
    response = post(server, key="sk-wrong-0123456789-abcd")
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="OpenAI API"'
    assert response.json()["error"]["code"] == "invalid_api_key"


def test_a_cut_stream_has_no_finish_reason(server: Server) -> None:
    """The codec reads what a stream has said so far, and does not take it for complete."""
    content = post(server, stream=True).content
    whole = OpenAIResponses().read_stream(sse.decode([content]))
    assert (whole.text, whole.finish_reason) == (ANSWER, "stop")
    half = content[: content.index(b"response.output_text.done") - 7]
    cut = OpenAIResponses().read_stream(sse.decode([half]))
    assert (cut.text, cut.finish_reason) == (ANSWER, None)


def test_the_store_forgets_the_oldest() -> None:
    """No more than so many resources of a kind are kept; replacing one forgets none."""
    store = Store(most=2)
    for name in ("a", "b", "b", "c"):
        store.put("response", name, name.upper())
    assert [store.get("response", name) for name in "abc"] == [None, "B", "C"]
    assert list(store.list("response")) == ["B", "C"]
    assert list(store.list("file")) == []
    assert (store.delete("response", "b"), store.delete("response", "b")) == (True, False)


SCHEMA = DATA / "specs" / "openai.json"
needs_schema = pytest.mark.skipif(not SCHEMA.exists(), reason="no published schema here")
KINDS: dict[str, dict[str, Any]] = {
    "text": {},
    "calls": {
        "input": "What is the weather in Rome and in Oslo?",
        "tools": [WEATHER],
        "instructions": "Be brief.",
    },
    "reasoning": {"reasoning": {"effort": "high", "summary": "auto"}},
    "logprobs": {"include": ["message.output_text.logprobs"], "top_logprobs": 2},
    "cut": {"input": "Tell me about rivers.", "max_output_tokens": 16},
    "refusal": {"input": "Say something terrible."},
    "background": {"background": True},
}


def allowed_nulls(value: Any) -> Any:
    """The body without the nulls that real bodies have and the schema forbids."""
    if isinstance(value, list):
        return [allowed_nulls(item) for item in value]
    if not isinstance(value, dict):
        return value
    dropped = {"user", "usage", "description"}
    return {k: allowed_nulls(v) for k, v in value.items() if v is not None or k not in dropped}


@pytest.fixture(scope="module")
def schemas() -> dict[str, Any]:
    """The published schemas of OpenAI's API."""
    components: dict[str, Any] = json.loads(SCHEMA.read_text(encoding="utf-8"))["components"]
    return components


def check(body: Any, name: str, schemas: dict[str, Any]) -> None:
    """Raise where a body does not fit a schema."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": schemas}
    Draft202012Validator(schema).validate(allowed_nulls(body))


@needs_schema
@pytest.mark.parametrize("kind", KINDS)
def test_bodies_and_events_fit_the_schema(
    server: Server, schemas: dict[str, Any], kind: str
) -> None:
    """Every kind of response, whole and as events, is valid under the published schema."""
    check(post(server, **KINDS[kind]).json(), "Response", schemas)
    for event in events_of(post(server, **KINDS[kind], stream=True).text):
        # The schema asks for a name that no real event of this type has, nor the SDK's type.
        name = {"name": ""} if event["type"].endswith("function_call_arguments.done") else {}
        check(event | name, "ResponseStreamEvent", schemas)
