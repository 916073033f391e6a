"""Requests as they are written: read back, judged by the vendors' schemas, the SDKs' types, and the
stand-in, which refuses what the provider would."""

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx2
import jsonschema
import pytest
from pydantic import TypeAdapter
from traffic import DATA, exchanges, needs_exchanges

from course_utils import offline
from course_utils.offline.doors import COURSE_KEY
from course_utils.wire import catalogue
from course_utils.wire.anthropic_messages import AnthropicMessages
from course_utils.wire.chat_asking import is_strict
from course_utils.wire.codec import Codec
from course_utils.wire.gemini import Gemini
from course_utils.wire.openai_chat import LOCAL, OPENAI
from course_utils.wire.openai_responses import OpenAIResponses
from course_utils.wire.request import Message, Request, Tool, ToolCall

FORMATS = ("openai", "local", "anthropic", "google", "responses")
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "degrees": {"type": ["number", "null"]}},
    "required": ["city", "degrees"],
    "additionalProperties": False,
}
TOOLS = (Tool("get_weather", "The weather.", SCHEMA), Tool("now", "The time.", {"type": "object"}))
PNG = "iVBORw0KGgo="
PICTURE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


def codec(form: str, request: Request) -> Codec:
    """The codec of a format; Gemini's reads part of the request from the path."""
    codecs: dict[str, Codec] = {
        "openai": OPENAI,
        "local": LOCAL,
        "anthropic": AnthropicMessages(),
        "google": Gemini(request.stream, request.model),
        "responses": OpenAIResponses(),
    }
    return codecs[form]


def conversation(chance: random.Random) -> tuple[Message, ...]:
    """A system message, and turns some of which call tools, with a result for each call."""
    messages = [Message("system", "Be brief.")] if chance.random() < 0.5 else []
    for turn in range(chance.randint(1, 3)):
        messages.append(
            Message("user", chance.choice(["Hello", "日本語 👩‍🚀", '"quotes"\n\ttabs']))
        )
        if chance.random() < 0.5:
            names = chance.sample(["get_weather", "now"], chance.randint(1, 2))
            calls = tuple(
                ToolCall(f"call_{turn}_{i}", name, '{"city": "Paris"}')
                for i, name in enumerate(names)
            )
            messages.append(Message("assistant", chance.choice(["", "One moment."]), calls))
            messages += [Message("tool", "21 °C", tool_call_id=call.id) for call in calls]
        messages.append(Message("assistant", "Good."))
    return (*messages, Message("user", "And now, as JSON?"))


def draw(chance: random.Random, form: str) -> Request:
    """A request of what the format can say."""

    def maybe(value: Any) -> Any:
        return value if chance.random() < 0.5 else None

    tools = maybe(TOOLS) or ()
    form_of_answer = chance.choice(["text", "schema", "json"])
    provider = {"responses": "openai"}.get(form, form)
    rich = form not in ("anthropic", "responses")  # takes a seed
    stream = form != "responses" and chance.random() < 0.3
    return Request(
        model=catalogue.default_model(provider).id,
        messages=conversation(chance),
        max_tokens=700 if form == "anthropic" else maybe(700),
        stop=() if form == "responses" else maybe(("END", "\n\n")) or (),
        seed=maybe(7) if rich else None,
        n=chance.choice([1, 2]) if form in ("openai", "google") else 1,
        stream=stream,
        stream_usage=stream or form in ("anthropic", "google", "responses"),
        tools=tools,
        tool_choice=maybe(chance.choice(["auto", "none"])) if tools else None,
        parallel_tool_calls=form == "google" or not tools or chance.random() < 0.5,
        json_mode=form_of_answer == "json" and form != "anthropic",
        json_schema=SCHEMA if form_of_answer == "schema" else None,
        reasoning_effort=maybe(chance.choice(["low", "high"])),
    )


def canonical(request: Request, form: str) -> Request:
    """What two requests that ask the same have in common: JSON texts without their spaces."""
    messages = [
        replace(
            message,
            tool_calls=tuple(
                replace(call, arguments=json.dumps(json.loads(call.arguments)))
                for call in message.tool_calls
            ),
        )
        for message in request.messages
    ]
    choice = request.tool_choice
    if form == "anthropic" and choice is None and not request.parallel_tool_calls:
        choice = "auto"  # Anthropic says it within the choice
    side_by_side = request.parallel_tool_calls or (form == "anthropic" and choice == "none")
    return replace(
        request,
        messages=tuple(messages),
        tool_choice=choice,
        parallel_tool_calls=side_by_side,
        rest={},
    )


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_written_is_read_back(form: str) -> None:
    """A random request, written and read by the stand-in's own reader, is the same request."""
    chance = random.Random(1)
    for _ in range(200):
        request = draw(chance, form)
        body = json.loads(json.dumps(codec(form, request).write_request(request)))
        read = codec(form, request).read_request(body)
        assert canonical(read, form) == canonical(request, form)


@pytest.mark.parametrize("form", FORMATS)
def test_the_stand_in_takes_what_is_written(session: offline.Session, form: str) -> None:
    """No random request is refused, neither for its shape nor for what its model refuses."""
    chance = random.Random(2)
    for _ in range(25):
        request = draw(chance, form)
        response = post(session, form, request)
        assert response.status_code == 200, response.text


def post(session: offline.Session, form: str, request: Request) -> httpx2.Response:
    """Send a written request, with no SDK between."""
    verb = "streamGenerateContent?alt=sse" if request.stream else "generateContent"
    path = {
        "openai": "/openai/v1/chat/completions",
        "local": "/local/v1/chat/completions",
        "anthropic": "/anthropic/v1/messages",
        "google": f"/google/v1beta/models/{request.model}:{verb}",
        "responses": "/openai/v1/responses",
    }[form]
    keys = {"authorization": f"Bearer {COURSE_KEY}", "x-goog-api-key": COURSE_KEY}
    headers = {"x-api-key": COURSE_KEY, "anthropic-version": "2023-06-01"}
    body = codec(form, request).write_request(request)
    headers |= {} if form == "anthropic" else keys
    return httpx2.post(session.server.url + path, json=body, headers=headers)


@pytest.mark.parametrize(
    ("form", "spec", "name"),
    [
        ("openai", "openai.json", "CreateChatCompletionRequest"),
        ("google", "gemini.json", "GenerateContentRequest"),
    ],
)
def test_bodies_fit_the_published_schemas(form: str, spec: str, name: str) -> None:
    """The vendor's own schema finds nothing wrong, and no field that it does not name."""
    path = DATA / "specs" / spec
    if not path.exists():
        pytest.skip("no published schema on this machine")
    components = json.loads(path.read_text(encoding="utf-8"))["components"]
    validator = jsonschema.Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": components}
    )
    named = set(components["schemas"][name].get("properties") or ())
    chance = random.Random(3)
    for _ in range(60):
        request = draw(chance, form)
        body = codec(form, request).write_request(request)
        if form == "google":  # the schema wants the model, which the path names
            assert body.keys() <= named
            body["model"] = f"models/{request.model}"
        assert [error.message for error in validator.iter_errors(body)] == []


def test_bodies_fit_the_sdks_types() -> None:
    """The types that the SDKs declare for their arguments take every body."""
    from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
    from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming

    for form, kind in (
        ("openai", CompletionCreateParamsNonStreaming),
        ("anthropic", MessageCreateParamsNonStreaming),
    ):
        adapter: TypeAdapter[Any] = TypeAdapter(kind)
        chance = random.Random(4)
        for _ in range(60):
            request = replace(draw(chance, form), stream=False)
            body = codec(form, request).write_request(request)
            assert body.keys() <= set(kind.__annotations__) | inherited(kind)
            adapter.validate_python(body)


def inherited(kind: Any) -> set[str]:
    """The keys of a typed dict with those of the typed dicts that it extends."""
    return set(kind.__required_keys__) | set(kind.__optional_keys__)


@needs_exchanges
@pytest.mark.parametrize(
    ("form", "endpoint"), [("openai", "/chat/completions"), ("anthropic", "/messages")]
)
def test_real_requests_survive(form: str, endpoint: str) -> None:
    """A real program's request, read, written and read again, asks the same as before."""
    bodies = [e.request_json() for e in exchanges(endpoint, form) if e.request]
    asked = [body for body in bodies if not runs_tools_itself(body)]
    assert len(asked) > 10
    for body in asked:
        request = codec(form, Request("", ())).read_request(body)
        again = codec(form, request).read_request(codec(form, request).write_request(request))
        before, after = canonical_loosely(request), canonical_loosely(again)
        assert after == before


def runs_tools_itself(body: dict[str, Any]) -> bool:
    """Whether a request asks for tools that the provider runs: a Request has no place for them."""
    kinds = {tool.get("type", "custom") for tool in body.get("tools") or ()}
    return not kinds <= {"custom", "function"}


def canonical_loosely(request: Request) -> Request:
    """A request without what is written another way: empty messages, marks, where systems stand."""
    spoken = tuple(m for m in request.messages if m.role != "system" and m != Message(m.role))
    system = (Message("system", request.system),) if request.system else ()
    plain = [replace(m, text=m.text) for m in spoken]
    kept = replace(request, messages=(*system, *plain), cache_plan=None, rest={})
    return replace(kept, tool_choice=kept.tool_choice if kept.tools else None, thinking=None)


def test_names_of_the_limit_differ() -> None:
    """OpenAI's models take max_completion_tokens, local servers max_tokens."""
    request = Request("any", (Message("user", "Hello"),), max_tokens=5)
    assert OPENAI.write_request(request)["max_completion_tokens"] == 5
    assert LOCAL.write_request(request)["max_tokens"] == 5


@pytest.mark.parametrize("form", ["openai", "anthropic", "google"])
def test_one_tool_can_be_forced(form: str) -> None:
    """The name of a tool as choice is written in each format's own way, and read back."""
    request = Request("any", (Message("user", "Hello"),), 5, tools=TOOLS, tool_choice="now")
    body = codec(form, request).write_request(request)
    assert codec(form, request).read_request(body).tool_choice == "now"


def test_a_schema_is_strict_only_where_it_is() -> None:
    """OpenAI refuses strict schemas with optional or further properties: those go out as plain."""
    loose = SCHEMA | {"required": ["city"]}
    nested = SCHEMA | {"properties": {"city": {"type": "object"}, "degrees": {}}}
    assert is_strict(SCHEMA)
    assert not is_strict(loose)
    assert not is_strict(nested)
    request = Request("any", (Message("user", "Hello"),), json_schema=loose)
    assert OPENAI.write_request(request)["response_format"]["json_schema"]["strict"] is False


def test_pictures_are_written_in_each_format() -> None:
    """An image in OpenAI's shape becomes Anthropic's block and Gemini's part."""
    request = Request("any", (Message("user", "What is this?", attachments=(PICTURE,)),), 5)
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    written = AnthropicMessages().write_request(request)["messages"][0]["content"]
    assert written[1] == {"type": "image", "source": source}
    parts = Gemini().write_request(request)["contents"][0]["parts"]
    assert parts[1] == {"inlineData": {"mimeType": "image/png", "data": PNG}}
    assert OPENAI.write_request(request)["messages"][0]["content"][1] == PICTURE


def test_pictures_by_address_are_written_in_each_format() -> None:
    """An image that is only named by its address stays so."""
    part = {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}
    request = Request("any", (Message("user", attachments=(part,)),), 5)
    written = AnthropicMessages().write_request(request)["messages"][0]["content"]
    url = {"type": "url", "url": "https://example.org/cat.png"}
    assert written == [{"type": "image", "source": url}]
    parts = Gemini().write_request(request)["contents"][0]["parts"]
    assert parts == [{"fileData": {"fileUri": "https://example.org/cat.png"}}]


def test_thoughts_go_back_to_their_own_provider_only() -> None:
    """Signed thinking leads Claude's message, Gemini's signature stands with its call, OpenAI's
    has neither."""
    thoughts = (
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "thought_signature", "call_id": "call_1", "signature": "c2ln"},
        {"type": "thinking", "thinking": "unsigned"},
    )
    call = ToolCall("call_1", "now", "{}")
    messages = (Message("user", "Hello"), Message("assistant", "", (call,), thoughts=thoughts))
    request = Request("any", messages, 5)
    claude = AnthropicMessages().write_request(request)["messages"][1]["content"]
    assert [block["type"] for block in claude] == ["thinking", "tool_use"]
    gemini = Gemini().write_request(request)["contents"][1]["parts"]
    assert [part["thoughtSignature"] for part in gemini] == ["c2ln"]
    assert "Hm." not in json.dumps(OPENAI.write_request(request))


@pytest.mark.parametrize("arguments", ['{"city": ', "[1]", "Paris"])
def test_broken_arguments_do_not_end_a_conversation(arguments: str) -> None:
    """Arguments that are no object are sent on as text where the provider takes objects only."""
    call = ToolCall("call_1", "now", arguments)
    request = Request("any", (Message("user", "Hello"), Message("assistant", "", (call,))), 5)
    block = AnthropicMessages().write_request(request)["messages"][1]["content"][0]
    assert block["input"] == {"arguments": arguments}
    part = Gemini().write_request(request)["contents"][1]["parts"][0]
    assert part["functionCall"]["args"] == {"arguments": arguments}
    assert OPENAI.write_request(request)["messages"][1]["tool_calls"][0]["function"][
        "arguments"
    ] == (arguments)
