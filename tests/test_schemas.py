"""The published schema and the SDKs' own types judge every body and chunk that a chat can get."""

import functools
import json
import re
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import jsonschema
import openai
import pytest
from traffic import DATA, exchanges

from course_utils import offline
from course_utils.offline.doors import COURSE_KEY
from course_utils.wire import sse
from course_utils.wire.catalogue import default_model

SPEC = DATA / "specs" / "openai.json"
needs_spec = pytest.mark.skipif(not SPEC.exists(), reason="no published schema on this machine")

QUESTION = [{"role": "user", "content": "What is the weather in Paris and in Rome? Name two."}]
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
FUNCTION = {"name": "get_weather", "description": "The weather.", "parameters": PARAMETERS}
TOOLS = [{"type": "function", "function": FUNCTION}]
CALL = {"name": "get_weather", "arguments": '{"city": "Paris"}'}
CALLED = {"id": "call_1", "type": "function", "function": CALL}
TURN = [
    *QUESTION,
    {"role": "assistant", "content": None, "tool_calls": [CALLED]},
    {"role": "tool", "tool_call_id": "call_1", "content": "21 °C"},
]
FORMAT = {"name": "weather", "strict": True, "schema": PARAMETERS}
CHATS: dict[str, dict[str, Any]] = {
    "plain": {},
    "n": {"n": 3},
    "seed": {"seed": 7},
    "stop": {"stop": ["model", "\n"]},
    "cut": {"max_completion_tokens": 3},
    "no room": {"max_completion_tokens": 1, "n": 2},
    "logprobs": {"logprobs": True, "reasoning_effort": "none"},
    "top logprobs": {"logprobs": True, "top_logprobs": 5, "n": 2, "reasoning_effort": "none"},
    "tools": {"tools": TOOLS},
    "tool choice": {"tools": TOOLS, "tool_choice": "required", "parallel_tool_calls": True},
    "tool turn": {"messages": TURN, "tools": TOOLS},
    "functions": {"functions": [FUNCTION], "function_call": {"name": "get_weather"}},
    "json mode": {
        "messages": [{"role": "user", "content": "Name two cities in JSON."}],
        "response_format": {"type": "json_object"},
    },
    "json schema": {"response_format": {"type": "json_schema", "json_schema": FORMAT}},
    "no reasoning": {"reasoning_effort": "none"},
    "much reasoning": {"reasoning_effort": "high"},
    "tier": {"service_tier": "flex"},
    "emoji": {"messages": [{"role": "user", "content": "Translate 👩‍🚀 naïve to French: 日本語"}]},
}
ERRORS: dict[str, dict[str, Any]] = {
    "model": {"model": "gpt-99"},
    "retired": {"model": "gpt-4"},
    "no messages": {"messages": []},
    "messages": {"messages": "Hello"},
    "role": {"messages": [{"role": "robot", "content": "x"}]},
    "max_tokens": {"max_tokens": 5},
    "temperature": {"temperature": 0.2},
    "result": {"messages": TURN[2:]},
    "stop": {"stop": 7},
    "tools": {"tools": [{"type": "function"}]},
}


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


def post(session: offline.Session, body: dict[str, Any]) -> httpx2.Response:
    """One call of the chat endpoint over plain HTTP."""
    body = {"model": default_model("openai").id, "messages": QUESTION} | body
    headers = {"authorization": f"Bearer {COURSE_KEY}"}
    return httpx2.post(session.base_url("openai") + "/chat/completions", headers=headers, json=body)


# The published schema


@functools.cache
def validator(name: str) -> Any:
    """A validator for one of the specification's schemas."""
    spec = with_nulls(json.loads(SPEC.read_text(encoding="utf-8")))
    schema = {"$ref": f"#/components/schemas/{name}", "components": spec["components"]}
    return jsonschema.Draft202012Validator(schema)


def with_nulls(schema: Any) -> Any:
    """A schema in which `nullable`, a word of older specifications, has its meaning."""
    if isinstance(schema, list):
        return [with_nulls(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: with_nulls(value) for key, value in schema.items()}
    if plain.get("nullable") is True:
        return {"anyOf": [{k: v for k, v in plain.items() if k != "nullable"}, {"type": "null"}]}
    return plain


def leaves(error: Any) -> Iterator[Any]:
    """The errors at the bottom of one: of a choice of schemas, those of the nearest."""
    if not error.context:
        yield error
        return
    branches: dict[Any, list[Any]] = {}
    for inner in error.context:
        branches.setdefault(inner.schema_path[0], []).extend(leaves(inner))
    yield from min(branches.values(), key=lambda found: sum(not is_missing(e) for e in found))


def is_missing(error: Any) -> bool:
    """Whether an error is a key that is not there."""
    return bool(error.validator == "required")


def faults(name: str, body: Any) -> tuple[set[str], list[str]]:
    """The keys that a body lacks, and everything else that is wrong with it."""
    missing, wrong = set(), []
    for error in (leaf for top in validator(name).iter_errors(body) for leaf in leaves(top)):
        path = "".join(
            "[]" if isinstance(step, int) else f".{step}" for step in error.absolute_path
        )
        if is_missing(error):
            missing.add(path + "." + error.message.split("'")[1])
        else:
            wrong.append(f"{path}: {error.message[:200]}")
    return missing, wrong


@functools.cache
def missing_in_reality(name: str, streamed: bool) -> frozenset[str]:
    """The required keys that some recorded body of OpenAI's lacks."""
    missing: set[str] = set()
    for exchange in exchanges("/chat/completions", "openai"):
        if ("stream" in exchange.features) == streamed and b'"gen-' not in exchange.response:
            for body in bodies(exchange.response, streamed):
                missing |= faults(name, body)[0]
    return frozenset(missing)


def bodies(content: bytes, streamed: bool) -> list[Any]:
    """The JSON bodies of a response."""
    if not streamed:
        return [json.loads(content)]
    return [json.loads(e.data) for e in sse.decode([content]) if e.data != "[DONE]"]


def judge(name: str, content: bytes, *, streamed: bool = False) -> None:
    """Fail on a wrong type, enum or shape, and on a key that only ours lacks."""
    for body in bodies(content, streamed):
        missing, wrong = faults(name, body)
        assert not wrong, wrong
        assert missing <= missing_in_reality(name, streamed), missing


@needs_spec
@pytest.mark.parametrize("variant", CHATS)
def test_a_completion_fits_the_schema(session: offline.Session, variant: str) -> None:
    """No body has a wrong type, enum or shape, nor lacks what real bodies have."""
    response = post(session, CHATS[variant])
    assert response.status_code == 200, response.text
    judge("CreateChatCompletionResponse", response.content)


@needs_spec
@pytest.mark.parametrize("usage", [False, True])
@pytest.mark.parametrize("variant", CHATS)
def test_a_chunk_fits_the_schema(session: offline.Session, variant: str, usage: bool) -> None:
    """No chunk has a wrong type, enum or shape, nor lacks what real chunks have."""
    options = {"stream": True, "stream_options": {"include_usage": usage}}
    response = post(session, CHATS[variant] | options)
    assert response.status_code == 200, response.text
    judge("CreateChatCompletionStreamResponse", response.content, streamed=True)


@needs_spec
@pytest.mark.parametrize("variant", ERRORS)
def test_an_error_fits_the_schema(session: offline.Session, variant: str) -> None:
    """Every refusal has the shape of an error, nothing left out."""
    response = post(session, ERRORS[variant])
    assert response.status_code in (400, 404)
    assert faults("ErrorResponse", response.json()) == (set(), [])


@needs_spec
def test_the_judge_sees_what_is_wrong(session: offline.Session) -> None:
    """A wrong type, a wrong word and a missing key are each found."""
    body = post(session, {}).json()
    body["created"] = "today"
    body["choices"][0]["finish_reason"] = "finished"
    del body["choices"][0]["message"]["content"]
    missing, wrong = faults("CreateChatCompletionResponse", body)
    assert {path.split(":")[0] for path in wrong} == {".created", ".choices[].finish_reason"}
    assert ".choices[].message.content" in missing
    assert ".choices[].message.content" not in missing_in_reality(
        "CreateChatCompletionResponse", False
    )


# The SDKs' types


def strict_openai() -> openai.OpenAI:
    """A client that refuses a body that its types do not fit."""
    return openai.OpenAI(max_retries=0, _strict_response_validation=True)


@pytest.mark.parametrize("variant", CHATS)
def test_a_completion_fits_the_sdk(variant: str) -> None:
    """Each variant parses under strict validation, and a stream adds up to the same answer."""
    body = {"model": default_model("openai").id, "messages": QUESTION} | CHATS[variant]
    client: Any = strict_openai().chat.completions
    whole = client.create(**body)
    if "n" in body or "functions" in body or told_short(whole):
        assert list(client.create(**body, stream=True))
        return
    with client.stream(**body) as stream:
        final = stream.get_final_completion()
    told, streamed = whole.choices[0], final.choices[0]
    assert streamed.message.content == told.message.content
    assert streamed.finish_reason == told.finish_reason
    assert getattr(streamed, "logprobs", None) == told.logprobs or told.logprobs is None


def told_short(completion: Any) -> bool:
    """Whether an answer was cut, which the SDK's own accumulator takes for an error."""
    return bool(completion.choices[0].finish_reason == "length")


def ask(**body: Any) -> anthropic.types.Message:
    """One message under strict validation; the same streamed must add up to it."""
    client = anthropic.Anthropic(max_retries=0, _strict_response_validation=True)
    body = {"model": default_model("anthropic").id, "messages": QUESTION, "max_tokens": 2000} | body
    whole: anthropic.types.Message = client.messages.create(**body)
    with client.messages.stream(**body) as stream:
        final = stream.get_final_message()

    def told(message: anthropic.types.Message) -> Any:
        parts = [part.model_dump(exclude={"id", "parsed_output"}) for part in message.content]
        return parts, message.stop_reason, message.stop_sequence, message.usage.output_tokens

    assert told(final) == told(whole)
    return whole


CLAUDE_TOOLS = [{"name": "get_weather", "description": "W.", "input_schema": PARAMETERS}]
USE = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris"}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "21 °C"}
MESSAGES: dict[str, dict[str, Any]] = {
    "plain": {"system": "Be brief."},
    "tools": {"tools": CLAUDE_TOOLS},
    "tool turn": {
        "tools": CLAUDE_TOOLS,
        "messages": [
            *QUESTION,
            {"role": "assistant", "content": [USE]},
            {"role": "user", "content": [RESULT]},
        ],
    },
    "thinking": {"thinking": {"type": "adaptive", "display": "summarized"}},
    "omitted": {"thinking": {"type": "adaptive", "display": "omitted"}},
    "no thinking": {"thinking": {"type": "disabled"}},
    "effort": {"output_config": {"effort": "low"}},
    "schema": {"output_config": {"format": {"type": "json_schema", "schema": PARAMETERS}}},
    "cut": {"max_tokens": 3},
    "stop": {"stop_sequences": ["model", " "]},
}


@pytest.mark.parametrize("variant", MESSAGES)
def test_a_message_fits_the_sdk(variant: str) -> None:
    """Each variant parses under strict validation, and a stream adds up to the same message."""
    assert ask(**MESSAGES[variant]).content


# What the variants are for


def test_logprobs_tell_of_every_token() -> None:
    """The tokens' bytes join to the text, and each has the alternatives that were asked for."""
    reply = strict_openai().chat.completions.create(
        model=default_model("openai").id,
        messages=[{"role": "user", "content": "Translate to French: 👩‍🚀 is naïve"}],
        logprobs=True,
        top_logprobs=4,
        reasoning_effort="none",
    )
    choice = reply.choices[0]
    entries = choice.logprobs.content
    assert bytes(b for e in entries for b in e.bytes).decode() == choice.message.content
    assert len(entries) == reply.usage.completion_tokens
    for entry in entries:
        values = [top.logprob for top in entry.top_logprobs]
        assert values == sorted(values, reverse=True)
        assert len(values) == 4
        assert entry.top_logprobs[0].token == entry.token
        assert entry.logprob < 0


def test_a_reasoning_model_has_no_logprobs_field(session: offline.Session) -> None:
    """As at OpenAI, the field is a null where a model does not reason, and absent where it does."""
    assert "logprobs" not in post(session, {}).json()["choices"][0]
    assert post(session, {"reasoning_effort": "none"}).json()["choices"][0]["logprobs"] is None


def test_effort_is_billed() -> None:
    """Reasoning tokens come in steps of 64, are part of the completion, and keep to the limit."""
    client, model = strict_openai().chat.completions, default_model("openai").id
    plain = client.create(model=model, messages=QUESTION).usage
    high = client.create(model=model, messages=QUESTION, reasoning_effort="high").usage
    assert high.completion_tokens_details.reasoning_tokens == 256
    assert high.completion_tokens == plain.completion_tokens + 256
    short = client.create(
        model=model, messages=QUESTION, reasoning_effort="high", max_completion_tokens=100
    )
    assert short.usage.completion_tokens <= 100


def test_padding_can_be_switched_off(session: offline.Session) -> None:
    """include_obfuscation false gives chunks without padding, as in OpenAI's reference."""
    options = {"stream": True, "stream_options": {"include_obfuscation": False}}
    assert b"obfuscation" not in post(session, options).content
    assert b"obfuscation" in post(session, {"stream": True}).content


def test_old_functions_get_the_old_answer() -> None:
    """A request with functions is answered by function_call; tools are answered by tool_calls."""
    body = {"model": default_model("openai").id, "messages": QUESTION}
    client: Any = strict_openai().chat.completions
    choice = client.create(**body, **CHATS["functions"]).choices[0]
    if choice.message.function_call is None:
        pytest.skip("the simulator does not call functions")
    assert choice.finish_reason == "function_call"
    assert choice.message.tool_calls is None


def test_thinking_comes_before_the_text() -> None:
    """The thinking is signed, billed, and shown only where the request wants to see it."""
    shown = ask(**MESSAGES["thinking"])
    assert [block.type for block in shown.content][:2] == ["thinking", "text"]
    assert shown.content[0].thinking
    assert len(shown.content[0].signature) > 200
    assert shown.usage.output_tokens_details.thinking_tokens > 0
    omitted = ask(**MESSAGES["omitted"]).content[0]
    assert (omitted.thinking, omitted.type) == ("", "thinking")
    assert omitted.signature


def test_thinking_can_be_sent_back() -> None:
    """A conversation goes on with the blocks that the model sent."""
    first = ask(**MESSAGES["thinking"])
    more = [
        *QUESTION,
        {"role": "assistant", "content": [block.model_dump() for block in first.content]},
        {"role": "user", "content": "And then?"},
    ]
    assert ask(messages=more, **MESSAGES["thinking"]).content


def long_system(mark: dict[str, Any] | None) -> list[dict[str, Any]]:
    """A system prompt above the length from which prompts are cached."""
    text = "You answer questions about the weather of cities. " * 300
    return [{"type": "text", "text": text} | ({"cache_control": mark} if mark else {})]


def test_a_marked_beginning_is_written_once_and_then_read() -> None:
    """The first call writes the cache, the next reads it, whatever the question; both bill it."""
    client = anthropic.Anthropic(max_retries=0, _strict_response_validation=True)
    body = {"model": default_model("anthropic").id, "max_tokens": 50}
    usages = [
        client.messages.create(
            **body,
            system=long_system({"type": "ephemeral"}),
            messages=[{"role": "user", "content": question}],
        ).usage
        for question in ("In Paris?", "In Rome?")
    ]
    first, second = usages
    assert first.cache_creation_input_tokens > 1024
    assert first.cache_creation.ephemeral_5m_input_tokens == first.cache_creation_input_tokens
    assert first.cache_read_input_tokens == second.cache_creation_input_tokens == 0
    assert second.cache_read_input_tokens == first.cache_creation_input_tokens
    assert 0 < second.input_tokens < 50


def test_an_hour_of_cache_is_told_apart() -> None:
    """What is written for an hour stands under the hour."""
    usage = ask(
        system=long_system({"type": "ephemeral", "ttl": "1h"}),
        messages=[{"role": "user", "content": "For an hour?"}],
        stop_sequences=["nothing else has this"],
        model=default_model("anthropic", "premium").id,
    ).usage
    assert usage.cache_creation.ephemeral_1h_input_tokens == usage.cache_creation_input_tokens > 0
    assert usage.cache_creation.ephemeral_5m_input_tokens == 0


def test_a_short_or_unmarked_beginning_is_not_cached() -> None:
    """Without a mark, or below 1,024 tokens, nothing is written and nothing read."""
    short = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    for system in (long_system(None), short):
        for _ in range(2):
            usage = ask(system=system).usage
            assert usage.cache_creation_input_tokens == usage.cache_read_input_tokens == 0


def test_a_conversation_extends_what_is_cached() -> None:
    """With the mark on the newest message, each turn reads the last and writes its own."""
    talk: list[dict[str, Any]] = [{"role": "user", "content": "Tell me of rain. " * 400}]
    mark: dict[str, Any] = {"cache_control": {"type": "ephemeral"}}
    client = anthropic.Anthropic(max_retries=0, _strict_response_validation=True)
    read = []
    for _ in range(3):
        reply = client.messages.create(
            model=default_model("anthropic").id, max_tokens=50, messages=talk, extra_body=mark
        )
        read.append(reply.usage.cache_read_input_tokens)
        text = "".join(block.text for block in reply.content if block.type == "text")
        talk += [{"role": "assistant", "content": text}, {"role": "user", "content": "More."}]
    assert 0 == read[0] < read[1] < read[2]


def test_tool_input_is_streamed_in_pieces(session: offline.Session) -> None:
    """The first piece of a tool's input is empty, and the pieces join to its JSON."""
    body = {"model": default_model("anthropic").id, "max_tokens": 500, "stream": True}
    response = httpx2.post(
        session.base_url("anthropic") + "/v1/messages",
        headers={"x-api-key": COURSE_KEY},
        json=body | {"messages": QUESTION, "tools": CLAUDE_TOOLS},
    )
    events = [json.loads(event.data) for event in sse.decode([response.content])]
    pieces = [e["delta"]["partial_json"] for e in events if "partial_json" in e.get("delta", {})]
    if not pieces:
        pytest.skip("the simulator calls no tool for this question")
    assert pieces[0] == ""
    assert re.search(r"city", "".join(pieces))
