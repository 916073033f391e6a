"""Gemini's own API: the official SDK, Google's schema and real traffic are the judges."""

import asyncio
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
from google import genai
from google.genai import errors, types
from pydantic import BaseModel
from traffic import DATA, Exchange, exchanges, needs_exchanges

from course_utils import faults, offline
from course_utils.offline.call import Answer, Call, LoggedCall
from course_utils.offline.doors import COURSE_KEY, Door
from course_utils.offline.server import Server
from course_utils.offline.standin import StandIn
from course_utils.wire import sse
from course_utils.wire.catalogue import default_model
from course_utils.wire.gemini import Gemini
from course_utils.wire.reply import Choice, Refusal, Reply, Thinking, Usage
from course_utils.wire.request import Request, ToolCall

QUESTION = "What is an API, in one sentence?"
MODEL = default_model("google").id
HOT_MODEL = default_model("google", "premium").id
EMBEDDER = "gemini-embedding-001"
SCHEMA = DATA / "specs" / "gemini.json"
WEATHER = """
source: authored
written: 2026-11-23
replies:
  - id: weather
    provider: google
    tools: [get_weather]
    messages:
      - user: What is the weather in Zürich?
    tool_calls:
      - {id: "", name: get_weather, arguments: {city: Zürich}}
  - id: answer
    after: weather
    tools: [get_weather]
    messages:
      - tool: Rain in Zürich.
        for: ""
    text: It rains in Zürich.
"""


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


@pytest.fixture(scope="module")
def client(session: offline.Session) -> genai.Client:
    """The SDK's client, which finds the stand-in by itself."""
    return genai.Client()


@pytest.fixture
def weather_client(tmp_path: Path) -> Iterator[genai.Client]:
    """A client of a stand-in that knows one conversation with a tool."""
    (tmp_path / "weather.yaml").write_text(WEATHER, encoding="utf-8")
    server = Server(StandIn(folder=tmp_path))
    server.start()
    options = types.HttpOptions(base_url=f"{server.url}/google")
    yield genai.Client(api_key=COURSE_KEY, http_options=options)
    server.stop()


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"Rain in {city}."


def post(method: str, body: Any, query: str = "", model: str = MODEL) -> httpx2.Response:
    """One call over plain HTTP; the key goes into the header."""
    path = f"/google/v1beta/models/{model}:{method}{query}"
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"x-goog-api-key": COURSE_KEY, "content-type": "application/json"}
    url = offline.session().server.url + path
    return httpx2.post(url, content=content, headers=headers)


def asked(text: str = QUESTION, **config: Any) -> dict[str, Any]:
    """The body of a call that asks one question."""
    contents = [{"role": "user", "parts": [{"text": text}]}]
    return {"contents": contents} | ({"generationConfig": config} if config else {})


def test_sdk_gets_an_answer(client: genai.Client) -> None:
    """The SDK reads text, reason and usage, and the tokens add up."""
    reply = client.models.generate_content(model=MODEL, contents=QUESTION)
    usage = reply.usage_metadata
    assert reply.text
    assert reply.candidates[0].finish_reason == types.FinishReason.STOP
    assert usage.total_token_count == usage.prompt_token_count + usage.candidates_token_count + (
        usage.thoughts_token_count or 0
    )
    assert (reply.model_version, bool(reply.response_id)) == (MODEL, True)


def test_stream_adds_up_to_the_answer(client: genai.Client) -> None:
    """The chunks, joined, are the answer; only the last says why it ended, and counts all."""
    whole = client.models.generate_content(model=MODEL, contents=QUESTION)
    chunks = list(client.models.generate_content_stream(model=MODEL, contents=QUESTION))
    assert "".join(chunk.text for chunk in chunks) == whole.text
    reasons = [chunk.candidates[0].finish_reason for chunk in chunks]
    assert reasons == [None] * (len(chunks) - 1) + [types.FinishReason.STOP]
    assert len(chunks) > 1
    counts = [chunk.usage_metadata.candidates_token_count for chunk in chunks]
    assert counts == sorted(counts)
    assert chunks[-1].usage_metadata == whole.usage_metadata


def test_async_client_gets_the_same(client: genai.Client) -> None:
    """The SDK's asynchronous client reads answers and streams."""

    async def ask() -> tuple[str, str]:
        models = client.aio.models
        whole = await models.generate_content(model=MODEL, contents=QUESTION)
        stream = await models.generate_content_stream(model=MODEL, contents=QUESTION)
        return whole.text, "".join([chunk.text async for chunk in stream])

    whole, streamed = asyncio.run(ask())
    assert whole == streamed


def test_chat_remembers(client: genai.Client) -> None:
    """A chat session sends its history: what was said is known in the next turn."""
    chat = client.chats.create(model=MODEL)
    chat.send_message("My name is Ada.")
    assert "Ada" in chat.send_message("What is my name?").text
    assert [content.role for content in chat.get_history()] == ["user", "model"] * 2


def test_system_instruction_is_obeyed(client: genai.Client) -> None:
    """The system instruction reaches the model."""
    config = types.GenerateContentConfig(system_instruction="Answer in capital letters.")
    reply = client.models.generate_content(model=MODEL, contents="Why is it so?", config=config)
    assert reply.text == reply.text.upper()


def test_limits_and_stops_are_kept(client: genai.Client) -> None:
    """Max output tokens cut with MAX_TOKENS; a stop sequence ends the text before it."""
    config = types.GenerateContentConfig(max_output_tokens=5)
    cut = client.models.generate_content(model=MODEL, contents=QUESTION, config=config)
    assert cut.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS
    stop = types.GenerateContentConfig(stop_sequences=["rules"])
    short = client.models.generate_content(model=MODEL, contents=QUESTION, config=stop)
    assert short.text == "An API is a set of "


def test_candidates_come_as_asked(client: genai.Client) -> None:
    """Several candidates carry their index, in a body and in a stream."""
    config = types.GenerateContentConfig(candidate_count=3)
    reply = client.models.generate_content(model=MODEL, contents=QUESTION, config=config)
    assert [candidate.index for candidate in reply.candidates] == [0, 1, 2]
    chunks = client.models.generate_content_stream(model=MODEL, contents=QUESTION, config=config)
    assert {candidate.index for chunk in chunks for candidate in chunk.candidates} == {0, 1, 2}


def test_function_is_called_by_the_sdk(weather_client: genai.Client) -> None:
    """With automatic function calling the SDK runs the function and gets the final answer."""
    config = types.GenerateContentConfig(tools=[get_weather])
    reply = weather_client.models.generate_content(
        model=MODEL, contents="What is the weather in Zürich?", config=config
    )
    assert reply.text == "It rains in Zürich."
    history = reply.automatic_function_calling_history
    assert history[1].parts[0].function_call.args == {"city": "Zürich"}
    assert history[1].parts[0].thought_signature
    chat = weather_client.chats.create(model=MODEL, config=config)
    assert chat.send_message("What is the weather in Zürich?").text == reply.text


@pytest.mark.parametrize("streamed", [False, True])
def test_function_call_is_handed_out(weather_client: genai.Client, streamed: bool) -> None:
    """Without it the caller gets the call: name, arguments and id, and STOP as the reason."""
    config = types.GenerateContentConfig(
        tools=[get_weather],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    arguments = {"model": MODEL, "contents": "What is the weather in Zürich?", "config": config}
    if streamed:
        *_, reply = weather_client.models.generate_content_stream(**arguments)
    else:
        reply = weather_client.models.generate_content(**arguments)
    (call,) = reply.function_calls
    assert (call.name, call.args, len(call.id)) == ("get_weather", {"city": "Zürich"}, 8)
    assert reply.candidates[0].finish_reason == types.FinishReason.STOP


class City(BaseModel):
    """What is to be found in a text."""

    name: str
    population: int | None


@pytest.mark.parametrize(
    "asked_for", [{"response_schema": City}, {"response_json_schema": City.model_json_schema()}]
)
def test_schemas_are_kept(client: genai.Client, asked_for: dict[str, Any]) -> None:
    """Under a schema, in Google's dialect or in JSON's, the answer is JSON that fits it."""
    config = types.GenerateContentConfig(response_mime_type="application/json", **asked_for)
    reply = client.models.generate_content(
        model=MODEL, contents="Extract the city: Paris has 2100000 people.", config=config
    )
    assert City.model_validate_json(reply.text)
    assert reply.parsed


def test_json_mode_gives_json(client: genai.Client) -> None:
    """A mime type alone asks for JSON of any shape."""
    config = types.GenerateContentConfig(response_mime_type="application/json")
    question = "Give the keys name and age of Ada, who is 36, as JSON."
    reply = client.models.generate_content(model=MODEL, contents=question, config=config)
    assert isinstance(json.loads(reply.text), dict)


def test_an_enum_comes_without_quotes(client: genai.Client) -> None:
    """`text/x.enum` asks for one of the values as plain text."""
    values = {"type": "STRING", "enum": ["good", "bad"]}
    config = types.GenerateContentConfig(response_mime_type="text/x.enum", response_schema=values)
    arguments = {"model": MODEL, "contents": "Was the film bad?", "config": config}
    assert client.models.generate_content(**arguments).text in ("good", "bad")
    chunks = client.models.generate_content_stream(**arguments)
    assert "".join(chunk.text for chunk in chunks) in ("good", "bad")


def test_thoughts_are_shown_where_they_are_asked_for(client: genai.Client) -> None:
    """include_thoughts puts a part of thought before the answer, and its tokens into the usage."""
    thinking = types.ThinkingConfig(include_thoughts=True)
    config = types.GenerateContentConfig(thinking_config=thinking)
    reply = client.models.generate_content(model=MODEL, contents=QUESTION, config=config)
    assert [part.thought for part in reply.candidates[0].content.parts] == [True, None]
    assert reply.usage_metadata.thoughts_token_count > 0
    first, *_ = client.models.generate_content_stream(model=MODEL, contents=QUESTION, config=config)
    assert first.candidates[0].content.parts[0].thought


@pytest.mark.parametrize("mode", ["ANY", "NONE"])
def test_function_calling_mode_is_obeyed(client: genai.Client, mode: str) -> None:
    """ANY always calls a function, NONE never does."""
    calling = types.FunctionCallingConfig(mode=mode)
    config = types.GenerateContentConfig(
        tools=[get_weather],
        tool_config=types.ToolConfig(function_calling_config=calling),
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    question = "What is the weather in Paris?" if mode == "NONE" else "Say something."
    reply = client.models.generate_content(model=MODEL, contents=question, config=config)
    assert bool(reply.function_calls) is (mode == "ANY")


def test_tokens_are_counted(client: genai.Client) -> None:
    """countTokens and the usage of the same call agree."""
    counted = client.models.count_tokens(model=MODEL, contents=QUESTION)
    reply = client.models.generate_content(model=MODEL, contents=QUESTION)
    assert counted.total_tokens == reply.usage_metadata.prompt_token_count


@pytest.mark.parametrize("size", [None, 768, 8])
def test_vectors_are_unit_vectors_of_the_asked_size(client: genai.Client, size: int | None) -> None:
    """Each text has one vector: the same for the same text, of length 1."""
    config = types.EmbedContentConfig(output_dimensionality=size)
    texts = ["cats purr", "tax law", "cats purr"]
    vectors = client.models.embed_content(model=EMBEDDER, contents=texts, config=config).embeddings
    first, second, third = (vector.values for vector in vectors)
    assert first == third != second
    assert len(first) == (size or 3072)
    assert math.hypot(*first) == pytest.approx(1, abs=1e-6)


def test_one_content_has_one_vector(client: genai.Client) -> None:
    """embedContent answers with the same vector as the batch."""
    content = {"parts": [{"text": "cats purr"}]}
    body = {"content": content, "outputDimensionality": 8}
    one = post("embedContent", body, model=EMBEDDER).json()["embedding"]["values"]
    config = types.EmbedContentConfig(output_dimensionality=8)
    batch = client.models.embed_content(model=EMBEDDER, contents="cats purr", config=config)
    assert batch.embeddings[0].values == one


def test_models_are_listed_page_by_page(client: genai.Client) -> None:
    """All pages together hold each model once; get returns one of them."""
    names = [model.name for model in client.models.list(config={"page_size": 2})]
    assert f"models/{MODEL}" in names
    assert len(names) == len(set(names)) > 4
    assert (
        client.models.get(model=MODEL).input_token_limit == default_model("google").context_tokens
    )


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"model": "gemini-99"}, "NOT_FOUND", "models/gemini-99 is not found"),
        ({"model": "gemini-1.5-pro"}, "NOT_FOUND", "is not found"),
        ({"config": {"temperature": 0.2}}, "INVALID_ARGUMENT", "temperature"),
        ({"config": {"top_p": 0.2}}, "INVALID_ARGUMENT", "top_p"),
        ({"model": HOT_MODEL, "config": {"temperature": 3}}, "INVALID_ARGUMENT", "[0.0, 2.0]"),
        ({"config": {"max_output_tokens": 0}}, "INVALID_ARGUMENT", "max_output_tokens"),
        ({"config": {"candidate_count": 9}}, "INVALID_ARGUMENT", "candidate_count"),
        ({"contents": {"role": "robot", "parts": [{"text": "x"}]}},
         "INVALID_ARGUMENT", "valid role"),
        ({"contents": [types.Part.from_function_response(name="f", response={})]},
         "INVALID_ARGUMENT", "function response turn"),
        ({"contents": "word " * 1_100_000}, "INVALID_ARGUMENT", "exceeds the maximum number"),
    ],
)  # fmt: skip
def test_gemini_refuses(
    client: genai.Client, changes: dict[str, Any], status: str, words: str
) -> None:
    """What Google refuses is a ClientError with Google's status and words."""
    with pytest.raises(errors.ClientError) as caught:
        client.models.generate_content(**({"model": MODEL, "contents": "Hello"} | changes))
    assert caught.value.status == status
    assert caught.value.code == (404 if status == "NOT_FOUND" else 400)
    assert words in caught.value.message


def test_temperature_passes_where_the_model_takes_it(client: genai.Client) -> None:
    """A model that takes sampling parameters gets them."""
    config = types.GenerateContentConfig(temperature=0.2, top_p=0.9)
    assert client.models.generate_content(model=HOT_MODEL, contents="Hi", config=config).text


def test_wrong_key_is_400_with_its_reason(session: offline.Session) -> None:
    """A wrong key is INVALID_ARGUMENT, and the details say API_KEY_INVALID."""
    wrong = genai.Client(api_key="wrong")
    with pytest.raises(errors.ClientError) as caught:
        wrong.models.generate_content(model=MODEL, contents="Hi")
    assert (caught.value.code, caught.value.status) == (400, "INVALID_ARGUMENT")
    assert caught.value.details["error"]["details"][0]["reason"] == "API_KEY_INVALID"


def test_no_key_is_403(session: offline.Session) -> None:
    """A call without any key is PERMISSION_DENIED."""
    url = f"{session.server.url}/google/v1beta/models/{MODEL}:generateContent"
    response = httpx2.post(url, json=asked())
    assert response.status_code == 403
    assert response.json()["error"]["status"] == "PERMISSION_DENIED"


def test_key_in_the_query_opens_and_is_not_logged(session: offline.Session) -> None:
    """`?key=` is as good as the header, and the log keeps no key that was sent in it."""
    url = f"{session.server.url}/google/v1beta/models/{MODEL}:streamGenerateContent"
    assert httpx2.post(f"{url}?key={COURSE_KEY}&alt=sse", json=asked()).status_code == 200
    assert httpx2.post(f"{url}?alt=sse&key=AIza-secret", json=asked()).status_code == 400
    right, wrong = session.server.log.since(session.server.log.last_number - 2)
    assert (right.query, wrong.query) == ("key=***&alt=sse", "alt=sse&key=***")
    assert "AIza-secret" not in repr(wrong)


@pytest.mark.parametrize(
    "body",
    [
        b"{", b"[]", b"", b"\xff", b'{"contents":' + b"[" * 100_000,
        b'{"contents":' + b'{"a":' * 900 + b"1" + b"}" * 901,
        {"contents": "Hello"}, {"contents": [1]}, {"contents": [{"parts": "x"}]}, {},
        {"contents": [{"parts": [{"text": 1}]}]}, {"contents": [{"parts": [{}], "role": 1}]},
        {"contents": [*asked()["contents"], {"role": "model", "parts": []}]},
        asked(maxOutputTokens="many"), asked(stopSequences=[1]), asked(responseJsonSchema=1),
        asked() | {"toolConfig": {"functionCallingConfig": {"mode": []}}},
        asked() | {"tools": [{"functionDeclarations": [{}]}]},
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["generateContent", "streamGenerateContent", "countTokens"])
def test_malformed_bodies_are_refused(body: Any, method: str) -> None:
    """What does not fit the format is 400 in Google's shape."""
    response = post(method, body)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
    assert error["message"]


@pytest.mark.parametrize("body", [b"{", {}, {"requests": [1]}, {"requests": [{}]}, {"requests": 1}])
def test_malformed_embeddings_are_refused(body: Any) -> None:
    """Vectors of nothing are refused too."""
    assert post("batchEmbedContents", body, model=EMBEDDER).status_code in (200, 400)
    assert "error" in post("embedContent", body, model=EMBEDDER).json()


def test_chat_models_write_no_vectors() -> None:
    """A model that writes text is 404 for embedContent, as at Google."""
    response = post("embedContent", {"content": {"parts": [{"text": "x"}]}})
    assert response.status_code == 404
    assert "not supported for embedContent" in response.json()["error"]["message"]


def test_unknown_path_is_404_in_googles_shape(session: offline.Session) -> None:
    """An endpoint that is not served is NOT_FOUND, as JSON."""
    response = httpx2.get(f"{session.server.url}/google/v1beta/nothing")
    assert response.json()["error"]["status"] == "NOT_FOUND"


def test_snake_case_and_single_objects_are_understood() -> None:
    """Google reads `max_output_tokens`, and one object for an array of one."""
    body = {
        "system_instruction": {"parts": {"text": "Answer in capital letters."}},
        "contents": {"parts": {"text": "Why is it so?"}},
        "generation_config": {"max_output_tokens": 4},
    }
    candidate = post("generateContent", body).json()["candidates"][0]
    text = candidate["content"]["parts"][0]["text"]
    assert (candidate["finishReason"], text) == ("MAX_TOKENS", text.upper())


def test_stream_lines_are_googles(session: offline.Session) -> None:
    """Events end with CRLF twice, have no name and no terminator, and few are sent."""
    response = post("streamGenerateContent", asked(), "?alt=sse")
    assert response.headers["content-type"] == "text/event-stream"
    events = response.content.split(b"\r\n\r\n")
    assert events.pop() == b""
    assert all(event.startswith(b'data: {"candidates": [{"content": {"parts"') for event in events)
    assert b"\n" not in response.content.replace(b"\r\n", b"")
    assert 1 < len(events) < 5


def test_without_sse_an_array_is_streamed() -> None:
    """The same chunks come as one JSON array."""
    array = post("streamGenerateContent", asked()).json()
    events = sse.decode([post("streamGenerateContent", asked(), "?alt=sse").content])
    texts = [json.loads(event.data)["candidates"] for event in events]
    assert [chunk["candidates"] for chunk in array] == texts


def test_tool_choice_and_schemas_are_read() -> None:
    """Modes become our words, and Google's dialect of schemas becomes JSON schema."""
    declared = {"name": "f", "parameters": {"type": "OBJECT", "properties": {
        "type": {"type": "STRING", "nullable": True}, "enum": {"type": "INTEGER"}}}}  # fmt: skip
    calling = {"mode": "ANY", "allowedFunctionNames": ["f"]}
    body = asked(responseSchema={"type": "ARRAY", "items": {"type": "STRING"}}) | {
        "tools": [{"functionDeclarations": [declared]}, {"googleSearch": {}}],
        "toolConfig": {"functionCallingConfig": calling},
    }
    request = Gemini(model=MODEL).read_request(body)
    assert request.tool_choice == "f"
    assert request.json_schema == {"type": "array", "items": {"type": "string"}}
    properties = {"type": {"type": ["string", "null"]}, "enum": {"type": "integer"}}
    assert request.tools[0].parameters == {"type": "object", "properties": properties}
    modes = {"ANY": "required", "NONE": "none", "AUTO": "auto"}
    for mode, choice in modes.items():
        config = {"functionCallingConfig": {"mode": mode}}
        assert Gemini().read_request(body | {"toolConfig": config}).tool_choice == choice
    assert Gemini().read_request(asked(responseMimeType="application/json")).json_mode


def test_results_find_their_calls_without_ids() -> None:
    """Older programs send no ids: a result belongs to the first open call of its name."""
    call = {"functionCall": {"name": "f", "args": {}}}
    result = {"functionResponse": {"name": "f", "response": {"result": "42"}}}
    contents = [
        {"role": "user", "parts": [{"text": "x"}]},
        {"role": "model", "parts": [call, call]},
        {"role": "user", "parts": [result, result]},
    ]
    messages = Gemini().read_request({"contents": contents}).messages
    assert [m.tool_call_id for m in messages[2:]] == [c.id for c in messages[1].tool_calls]
    assert messages[2].text == "42"
    assert post("generateContent", {"contents": contents}).status_code == 200
    short = [*contents[:2], {"role": "user", "parts": [result]}]
    assert post("generateContent", {"contents": short}).status_code == 400


REPLIES = [
    Reply("r", MODEL, (Choice("Hello " * 60),), Usage(3, 60, 2, reasoning_tokens=9)),
    Reply("r", MODEL, (Choice("Cut", "length"), Choice("Two")), Usage(3, 2)),
    Reply("r", MODEL, (Choice(finish_reason="content_filter"),), Usage(3, 0)),
    Reply("r", MODEL, (Choice("A", thinking=Thinking("Hm.")),), Usage(3, 4, reasoning_tokens=3)),
    Reply("r", MODEL, (Choice("So:", "tool_calls", (
        ToolCall("i", "f", '{"a": 1}'), ToolCall("j", "g", "{}"))),), Usage(3, 4)),
]  # fmt: skip


@pytest.mark.parametrize("reply", REPLIES)
def test_written_replies_are_read_back(reply: Reply) -> None:
    """What the codec writes, in a body and in a stream, it reads as the same reply."""
    codec, request = Gemini(), Request(MODEL, ())
    choices = tuple(Choice(c.text, c.finish_reason, c.tool_calls) for c in reply.choices)
    expected = Reply("r", MODEL, choices, reply.usage)
    assert codec.read_reply(json.loads(codec.write_reply(reply, request))) == expected
    assert codec.read_stream(sse.decode(codec.write_stream(reply, request))) == expected


def test_a_stream_that_was_cut_has_no_finish_reason() -> None:
    """Half a stream is not taken for the whole."""
    first, *_ = Gemini().write_stream(REPLIES[0], Request(MODEL, ()))
    assert Gemini().read_stream(sse.decode([first])).finish_reason is None


@pytest.mark.skipif(not SCHEMA.exists(), reason="Google's schema is not on this machine")
@pytest.mark.parametrize("reply", REPLIES)
def test_bodies_fit_googles_schema(reply: Reply) -> None:
    """Bodies and chunks have no field, type or enum value that the schema does not know."""
    body = json.loads(Gemini().write_reply(reply, Request(MODEL, ())))
    for content in (body, *Gemini().write_chunks(reply)):
        assert misfits(content, "GenerateContentResponse") == []


@pytest.mark.skipif(not SCHEMA.exists(), reason="Google's schema is not on this machine")
def test_answers_fit_googles_schema(session: offline.Session) -> None:
    """So do the answers of the other endpoints."""
    vector = {"content": {"parts": [{"text": "x"}]}, "model": f"models/{EMBEDDER}"}
    base = f"{session.server.url}/google/v1beta/models"
    head = {"x-goog-api-key": COURSE_KEY}
    embedded = post("batchEmbedContents", {"requests": [vector]}, model=EMBEDDER)
    answers = {
        "CountTokensResponse": post("countTokens", asked()),
        "EmbedContentResponse": post("embedContent", vector, model=EMBEDDER),
        "BatchEmbedContentsResponse": embedded,
        "ListModelsResponse": httpx2.get(base, headers=head),
        "Model": httpx2.get(f"{base}/{MODEL}", headers=head),
    }
    for name, answer in answers.items():
        assert (answer.status_code, misfits(answer.json(), name)) == (200, [])


def misfits(value: Any, name: str) -> list[str]:
    """Where a value does not fit one of Google's schemas; a field that it does not know is one."""
    schemas = json.loads(SCHEMA.read_text(encoding="utf-8"))["components"]["schemas"]
    kinds = {"string": str, "integer": int, "boolean": bool, "number": (int, float)}

    def walk(value: Any, schema: Mapping[str, Any], path: str) -> Iterator[str]:
        while "$ref" in schema:
            schema = schemas[schema["$ref"].rpartition("/")[2]]
        if "properties" in schema:
            for key, inner in value.items():
                known = schema["properties"].get(key)
                yield from walk(inner, known, f"{path}.{key}") if known else (f"{path}.{key}",)
        elif schema.get("type") == "array":
            for inner in value:
                yield from walk(inner, schema["items"], path)
        elif not isinstance(value, kinds.get(schema.get("type", ""), object)):
            yield path
        elif "enum" in schema and value not in schema["enum"]:
            yield f"{path}={value}"

    return list(walk(value, schemas[name], name))


def shape(value: Any, path: str = "") -> set[str]:
    """The paths of a body, each with the type that stands there."""
    if isinstance(value, dict) and not path.endswith("args"):
        return {at for key, inner in value.items() for at in shape(inner, f"{path}.{key}")}
    if isinstance(value, list):
        return {at for inner in value for at in shape(inner, f"{path}[]")}
    kind = "number" if isinstance(value, int | float) else type(value).__name__
    return {f"{path}: {kind}"}


def replayable(exchange: Exchange) -> dict[str, Any]:
    """A recorded request without what our default model refuses or this stand-in does not hold."""
    body: dict[str, Any] = exchange.request_json()
    body.pop("cachedContent", None)
    config = body.get("generationConfig", {})
    body["generationConfig"] = {k: v for k, v in config.items() if k not in ("temperature", "topP")}
    return body


def chunks_of(content: bytes) -> list[Any]:
    """The bodies of a stream's events."""
    return [json.loads(event.data) for event in sse.decode([content])]


@needs_exchanges
def test_answers_have_the_shape_of_real_ones() -> None:
    """To each recorded request, our answer has no path or type that no real answer has, and all
    that every real answer of 2026 has."""
    recorded = exchanges(":generateContent", "gemini")
    real = [shape(exchange.response_json()) for exchange in recorded]
    known = set().union(*real)
    newest = [paths for paths in real if ".usageMetadata.serviceTier: str" in paths]
    always = {path for path in set.intersection(*newest) if ".parts[]" not in path}
    assert len(recorded) >= 5
    assert len(newest) >= 3
    for exchange in recorded:
        ours = shape(post("generateContent", replayable(exchange)).json())
        assert ours - known == set(), exchange.name
        assert always - ours - {".usageMetadata.thoughtsTokenCount: number"} == set()


@needs_exchanges
def test_chunks_have_the_shape_of_real_ones() -> None:
    """So have the chunks of streams: the first, those between, and the last."""
    recorded = exchanges(":streamGenerateContent", "gemini")
    known = {path for e in recorded for chunk in chunks_of(e.response) for path in shape(chunk)}
    assert len(recorded) >= 5
    for exchange in recorded:
        response = post("streamGenerateContent", replayable(exchange), "?alt=sse")
        ours = chunks_of(response.content)
        assert set().union(*map(shape, ours)) - known == set(), exchange.name
        ends = ["finishReason" in chunk["candidates"][0] for chunk in ours]
        real = ["finishReason" in chunk["candidates"][0] for chunk in chunks_of(exchange.response)]
        assert ends == [False] * (len(ends) - 1) + [True]
        assert real == [False] * (len(real) - 1) + [True]


@needs_exchanges
def test_real_traffic_is_read() -> None:
    """The codec reads every recorded request and answer, and finds what is in them."""
    for exchange in exchanges(":generateContent", "gemini"):
        request = Gemini(model="m").read_request(exchange.request_json())
        reply = Gemini().read_reply(exchange.response_json())
        assert request.messages
        assert reply.usage.prompt_tokens > 0
        assert reply.finish_reason in ("stop", "tool_calls", "content_filter")
    for exchange in exchanges(":streamGenerateContent", "gemini"):
        reply = Gemini().read_stream(sse.decode([exchange.response]))
        assert (bool(reply.text), reply.finish_reason) == (True, "stop")


@needs_exchanges
def test_real_streams_are_formatted_like_ours() -> None:
    """A real chunk, parsed and written by us, is the same text: spaces, order, line ends."""
    events = [
        (exchange.name, event)
        for exchange in exchanges(":streamGenerateContent", "gemini")
        for event in exchange.response.split(b"\r\n\r\n")
        if b'"serviceTier"' in event and b'"IMAGE"' not in event
    ]
    assert events
    for name, event in events:
        body = json.loads(event.removeprefix(b"data: "))
        reply = Gemini().read_stream([sse.Event(json.dumps(body))])
        (written,) = Gemini().write_stream(reply, Request("m", ()))
        assert written == event + b"\r\n\r\n", name


@needs_exchanges
@pytest.mark.parametrize("method", ["generateContent", "batchEmbedContents"])
def test_errors_are_those_of_real_traffic(method: str) -> None:
    """An unknown model gets the recorded error, key for key."""
    (exchange,) = exchanges(f":{method}", "gemini", 404)
    real = exchange.response_json()["error"]
    ours = post(method, exchange.request_json(), model="no-such-model").json()["error"]
    assert shape(ours) == shape(real)
    name = real["message"].split(" ")[0]
    assert ours["message"] == real["message"].replace(name, "models/no-such-model")


@needs_exchanges
def test_header_names_are_those_of_real_traffic(session: offline.Session) -> None:
    """The headers that every recent real answer has, ours has too."""
    volatile = {"transfer-encoding", "content-length", "content-encoding"}
    for method, query in (("generateContent", ""), ("streamGenerateContent", "?alt=sse")):
        real = [e.headers.keys() for e in exchanges(f":{method}", "gemini") if len(e.headers) > 2]
        ours = {name.lower() for name in post(method, asked(), query).headers}
        assert set.intersection(*map(set, real)) - volatile - ours == set()


def test_error_details_are_written_where_there_are_any() -> None:
    """Google's `details` stand in the error object, and are absent where there are none."""
    plain = json.loads(Gemini().write_error(Refusal(404, "NOT_FOUND", "No."), ""))
    assert plain == {"error": {"code": 404, "message": "No.", "status": "NOT_FOUND"}}
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}
    busy = Refusal(429, "RESOURCE_EXHAUSTED", "Wait.", details=(detail,))
    assert json.loads(Gemini().write_error(busy, ""))["error"]["details"] == [detail]


def test_a_rate_limit_says_when_to_come_back(session: offline.Session) -> None:
    """A 429 has no retry-after header at Google: its details say how long to wait."""
    once = types.HttpOptions(retry_options=types.HttpRetryOptions(attempts=1))
    client = genai.Client(http_options=once)
    with faults("429", retry_after=2, times=1), pytest.raises(errors.ClientError) as caught:
        client.models.generate_content(model=MODEL, contents="Hi")
    details = {detail["@type"].rpartition(".")[2]: detail
               for detail in caught.value.details["error"]["details"]}  # fmt: skip
    assert (caught.value.code, caught.value.status) == (429, "RESOURCE_EXHAUSTED")
    assert details["RetryInfo"]["retryDelay"] == "2s"
    assert details["QuotaFailure"]["violations"][0]["quotaDimensions"]["model"] == MODEL


@pytest.fixture
def own_environment() -> Iterator[pytest.MonkeyPatch]:
    """Before start() the student has keys and addresses of their own."""
    offline.stop()
    with pytest.MonkeyPatch.context() as environment:
        yield environment
        offline.stop()
    offline.start()


def test_both_key_variables_lead_to_the_stand_in(own_environment: pytest.MonkeyPatch) -> None:
    """google-genai reads GOOGLE_API_KEY before GEMINI_API_KEY: start() keeps both aside, live mode
    takes the first, and stop() gives both back."""
    own_environment.setenv("GOOGLE_API_KEY", "own-first")
    own_environment.setenv("GEMINI_API_KEY", "own-second")
    running = offline.start()
    client = genai.Client()
    assert client.models.generate_content(model=MODEL, contents="Hi").text
    assert "GEMINI_API_KEY" in running.own_keys
    live = offline.start("live")
    assert live.server.answers.own["GEMINI_API_KEY"] == "own-first"  # type: ignore[attr-defined]
    offline.stop()
    assert (os.environ["GOOGLE_API_KEY"], os.environ["GEMINI_API_KEY"]) == (
        "own-first",
        "own-second",
    )


class Google:
    """Stands where Google would in live mode, and remembers what it was sent."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    async def answer(self, call: Call, door: Door, entry: LoggedCall) -> Answer:
        """One recorded-looking reply."""
        self.calls.append(call)
        reply = Reply("r", MODEL, (Choice("Hello."),), Usage(1, 2))
        request = Request(MODEL, ())
        if "stream" in call.path:
            events = {"Content-Type": "text/event-stream"}
            return Answer(200, events, Gemini().write_stream(reply, request))
        return Answer(
            200, {"Content-Type": "application/json"}, (Gemini().write_reply(reply, request),)
        )


def test_live_calls_carry_the_own_key(own_environment: pytest.MonkeyPatch) -> None:
    """In the header or in the query, Google gets the student's key; the log knows the model of the
    path and the reply of a stream."""
    google = Google()
    server = Server(google)
    server.start()
    own_environment.setenv("GEMINI_API_KEY", "own-key")
    own_environment.setenv("GOOGLE_GEMINI_BASE_URL", f"{server.url}/google")
    live = offline.start("live")
    client = genai.Client()
    texts = [
        chunk.text for chunk in client.models.generate_content_stream(model=MODEL, contents="Hi")
    ]
    url = f"{live.server.url}/google/v1beta/models/{MODEL}:generateContent?key={COURSE_KEY}"
    httpx2.post(url, json=asked())
    server.stop()
    assert texts == ["Hello."]
    assert google.calls[0].headers["x-goog-api-key"] == "own-key"
    assert google.calls[1].query == "key=own-key"
    streamed, _ = live.server.log
    assert (streamed.request.model, streamed.reply.text) == (MODEL, "Hello.")
    assert "own-key" not in repr(list(live.server.log))
