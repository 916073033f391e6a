"""One client for four providers, over the official SDKs and the stand-in's real HTTP."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

import anthropic
import openai
import pydantic
import pytest
from google import genai

from course_utils import faults, log, offline
from course_utils.errors import RetiredModelError, UnknownModelError, UnknownProviderError
from course_utils.llm import LLMClient
from course_utils.llm.connections import connection
from course_utils.llm.costs import cost_usd
from course_utils.llm.errors import (
    MessagesError,
    MissingKeyError,
    ModelNotFoundError,
    RefusedError,
    SchemaError,
    StreamCutError,
    TruncatedError,
)
from course_utils.llm.result import ChatResult, Finished, TextDelta, ThinkingDelta, ToolCallDelta
from course_utils.wire import catalogue
from course_utils.wire.request import Message, Tool

PROVIDERS = ("openai", "anthropic", "google", "local")
QUESTION = "What is an API, in one sentence?"
CITIES = "What is the weather in Paris and in Rome?"


class Person(pydantic.BaseModel):
    """What is to be found in a text."""

    name: str
    age: int
    nick: str | None = None


def get_weather(city: str, units: Literal["celsius", "fahrenheit"] = "celsius") -> str:
    """Get the weather in a city."""
    return f"21 degrees {units} in {city}"


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


def client(provider: str, **settings: Any) -> LLMClient:
    """A client that reaches the stand-in."""
    if provider == "local":
        settings.setdefault("base_url", offline.session().base_url("local"))
    return LLMClient(provider, **settings)


def last(events: Iterator[Any]) -> ChatResult:
    """The result that a stream ends with."""
    *_, finished = events
    assert isinstance(finished, Finished)
    return finished.result


def last_call() -> Any:
    """The stand-in's log of the newest call."""
    return log()[-1]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_answer_has_one_shape(provider: str) -> None:
    """Text, reason, tokens, cost, model and times are there, whoever answers."""
    asked = client(provider)
    result = asked.chat(QUESTION)
    assert result.content.startswith("An API is a set of rules")
    assert (result.finish_reason, result.provider, result.model) == (
        "stop",
        provider,
        asked.model_id,
    )
    assert result.prompt_tokens > 5
    assert result.completion_tokens > 5
    assert asked.model is not None
    assert result.cost_usd == cost_usd(asked.model, result.usage)
    assert 0 < result.latency_s < 10
    assert result.warnings == ()
    assert result.first_token_s is None
    assert (result.request_id is not None) == (provider != "local")
    assert result.raw is not None


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_stream_adds_up_to_the_answer(provider: str) -> None:
    """The pieces, joined, are the text that the same call gives without a stream, at its cost."""
    whole = client(provider).chat(QUESTION)
    events = list(client(provider).stream(QUESTION))
    result = last(iter(events))
    assert all(isinstance(event, TextDelta) for event in events[:-1])
    assert "".join(event.text for event in events[:-1]) == whole.content == result.content
    assert (result.usage, result.cost_usd) == (whole.usage, whole.cost_usd)
    assert result.first_token_s is not None
    assert 0 < result.first_token_s <= result.latency_s


def test_the_answer_is_what_the_sdk_got() -> None:
    """Nothing is lost or changed between an SDK's own object and the result."""
    mine = client("openai").chat(QUESTION)
    raw = openai.OpenAI().chat.completions.create(
        model=mine.model, messages=[{"role": "user", "content": QUESTION}]
    )
    assert mine.content == raw.choices[0].message.content
    assert mine.prompt_tokens == raw.usage.prompt_tokens
    mine = client("anthropic").chat(QUESTION, max_tokens=100)
    message = anthropic.Anthropic().messages.create(
        model=mine.model, max_tokens=100, messages=[{"role": "user", "content": QUESTION}]
    )
    assert (mine.content, mine.raw.usage) == (message.content[0].text, message.usage)
    mine = client("google").chat(QUESTION)
    sdk = genai.Client()
    response = sdk.models.generate_content(model=mine.model, contents=QUESTION)
    assert mine.content == response.text


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_stand_in_saw_all_that_was_said(provider: str) -> None:
    """System prompt, limit and stop sequences arrive in each provider's own format."""
    conversation = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        Message("assistant", "Good day."),
        {"role": "user", "content": [{"type": "text", "text": "Who are you?"}]},
    ]
    client(provider).chat(conversation, max_tokens=60, stop="END")
    seen = last_call().request
    roles = [message.role for message in seen.messages]
    assert roles == ["system", "user", "assistant", "user"]
    assert (seen.system, seen.last_user_text) == ("Be brief.", "Who are you?")
    assert (seen.max_tokens, seen.stop) == (60, ("END",))


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("streamed", [False, True])
def test_tools_are_asked_for_and_answered(provider: str, streamed: bool) -> None:
    """A typed function is offered, the model asks twice, and both results lead to an answer."""
    asked = client(provider)

    def ask(messages: Any) -> ChatResult:
        if streamed:
            return last(asked.stream(messages, tools=[get_weather]))
        return asked.chat(messages, tools=[get_weather])

    result = ask(CITIES)
    assert result.finish_reason == "tool_calls"
    assert [call.name for call in result.tool_calls] == ["get_weather", "get_weather"]
    assert ["Paris" in result.tool_calls[0].arguments, "Rome" in result.tool_calls[1].arguments]
    answers = [
        {"role": "tool", "tool_call_id": call.id, "content": get_weather("there")}
        for call in result.tool_calls
    ]
    final = ask([{"role": "user", "content": CITIES}, result.message, *answers])
    assert "21 degrees" in final.content


@pytest.mark.parametrize("provider", PROVIDERS)
def test_tool_calls_stream_in_pieces(provider: str) -> None:
    """Id and name come once, the arguments add up, and each call has its number."""
    events = list(client(provider).stream(CITIES, tools=[get_weather]))
    result = last(iter(events))
    deltas = [event for event in events if isinstance(event, ToolCallDelta)]
    for index, call in enumerate(result.tool_calls):
        own = [delta for delta in deltas if delta.index == index]
        assert [delta.id for delta in own if delta.id] == [call.id]
        assert [delta.name for delta in own if delta.name] == [call.name]
        joined = "".join(delta.arguments for delta in own)
        assert joined.replace(" ", "") == call.arguments.replace(" ", "")


def test_the_three_shapes_of_a_tool_are_one() -> None:
    """A function, a `Tool` and OpenAI's dict make the same request."""
    asked = client("openai")
    [made] = asked.request("Hello", tools=[get_weather]).tools
    shape = {"name": made.name, "description": made.description, "parameters": made.parameters}
    as_dict = {"type": "function", "function": shape}
    for tool in (made, as_dict, Tool(**shape)):
        assert asked.request("Hello", tools=[tool]).tools == (made,)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_schema_gives_an_object(provider: str, streamed: bool) -> None:
    """A pydantic model comes back as an instance of it, whichever provider wrote the JSON."""
    question = "Guido is 70 years old. Who is it?"
    asked = client(provider)
    if streamed:
        result = last(asked.stream(question, schema=Person))
    else:
        result = asked.chat(question, schema=Person)
    assert isinstance(result.parsed, Person)
    assert result.parsed == Person.model_validate_json(result.content)
    assert last_call().request.json_schema["additionalProperties"] is False


def test_a_json_schema_gives_plain_values() -> None:
    """A schema that is a dict comes back as dicts and lists."""
    schema = Person.model_json_schema()
    result = client("openai").chat("Guido is 70 years old.", schema=schema)
    assert set(result.parsed) == {"name", "age", "nick"}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_object_that_is_cut_or_declined_says_so(provider: str) -> None:
    """A cut or declined answer is its own error, which keeps the tokens that it cost."""
    with faults("length"), pytest.raises(TruncatedError) as caught:
        client(provider).chat(QUESTION, schema=Person)
    assert caught.value.result.finish_reason == "length"
    # A local model has no field to decline in: its words are no JSON.
    kind = SchemaError if provider == "local" else RefusedError
    with faults("refusal"), pytest.raises(kind):
        client(provider).chat(QUESTION, schema=Person)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_json_mode_gives_json(provider: str) -> None:
    """Where a provider has a JSON mode it is asked for; elsewhere a warning says so."""
    result = client(provider).chat("Describe yourself as JSON.", json_mode=True)
    assert bool(result.warnings) == (provider == "anthropic")
    if not result.warnings:
        assert isinstance(json.loads(result.content), dict)


def test_shown_thinking_comes_with_the_answer_and_goes_back() -> None:
    """Gemini's signature of a thought stands again with its call when the conversation goes on."""
    result = client("google").chat(CITIES, tools=[get_weather])
    [signed] = [thought for thought in result.thoughts if thought.get("signature")]
    answers = [Message("tool", "21", tool_call_id=call.id) for call in result.tool_calls]
    client("google").chat([Message("user", CITIES), result.message, *answers], tools=[get_weather])
    # The SDK writes base64 in the alphabet for addresses.
    sent = last_call().request_body.decode().replace("-", "+").replace("_", "/")
    assert signed["signature"] in sent


def test_thinking_streams_before_the_text() -> None:
    """Claude's shown thinking comes as events of its own, and is not part of the text."""
    asked = client("anthropic")
    request = asked.request(QUESTION, max_tokens=2000)
    shown = replace(request, thinking="summarized")
    result = asked.send(shown)
    assert result.thinking
    assert result.thinking not in result.content
    events = list(asked._events(shown, None))
    kinds = [type(event) for event in events]
    assert kinds.index(ThinkingDelta) < kinds.index(TextDelta)
    assert last(iter(events)).thinking == result.thinking


def test_a_stream_that_is_left_early_is_closed() -> None:
    """Whoever breaks out of a stream leaves no open connection behind."""
    stream = client("openai").stream("Name nine rivers.")
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert client("openai").chat(QUESTION).content


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_stream_without_an_end_is_an_error(provider: str) -> None:
    """The SDKs let a stream end early in silence; here it is an error that holds the text."""
    pieces: list[str] = []
    with faults("clean_end"), pytest.raises(StreamCutError) as caught:
        pieces.extend(event.text for event in client(provider).stream(QUESTION))
    assert client(provider).chat(QUESTION).content.startswith(caught.value.text)
    assert caught.value.text == "".join(pieces)
    assert caught.value.text
    assert caught.value.provider == provider


def test_the_sdks_do_not_notice_such_an_end() -> None:
    """Where theirs fails: the official SDK's stream ends as if the answer were whole."""
    sdk = openai.OpenAI(max_retries=0)
    asked = {"model": catalogue.default_model("openai").id, "stream": True}
    with faults("clean_end"):
        chunks = list(
            sdk.chat.completions.create(messages=[{"role": "user", "content": QUESTION}], **asked)
        )
    assert all(choice.finish_reason is None for chunk in chunks for choice in chunk.choices)


def test_clients_are_built_once() -> None:
    """Two clients of one address share the SDK's client, also when threads build them at once."""
    found = []
    targets = [LLMClient("openai", timeout_s=59.5)._target for _ in range(8)]
    threads = [
        threading.Thread(target=lambda t=target: found.append(connection(t.address)))
        for target in targets
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(map(id, found))) == 1
    other = LLMClient("openai", timeout_s=59.6)._target.address
    assert connection(other) is not found[0]


def test_a_call_is_made_once() -> None:
    """Repeating failed calls is left to call_with_retry: the SDKs' own retries are off."""
    for provider in PROVIDERS:
        before = len(log())
        with faults("500", times=5), pytest.raises(Exception, match="500"):
            client(provider).chat(QUESTION)
        assert len(log()) - before == 1


def test_tiers_and_models_are_found() -> None:
    """A tier chooses the course's model, an id any model of the provider."""
    budget = catalogue.default_model("openai", "budget")
    assert LLMClient(tier="budget").model == budget
    assert LLMClient("openai", budget.id).model_id == budget.id
    assert repr(LLMClient("openai", budget.id)) == f"LLMClient('openai', {budget.id!r})"


def test_an_unknown_model_is_taken_where_we_cannot_know() -> None:
    """At another address any id goes: it has no cost, and the server has the last word."""
    own = offline.session().base_url("openai")
    asked = LLMClient("openai", "my-own-model", base_url=own)
    assert asked.model is None
    with pytest.raises(ModelNotFoundError):
        asked.chat(QUESTION)
    with pytest.raises(UnknownModelError, match="my-own-model"):
        LLMClient("openai", "my-own-model")
    assert client("local", model="my-own-model").model is None


def test_unknown_and_retired_names_are_refused_at_once() -> None:
    """A wrong provider, tier or retired model fails where the client is made."""
    with pytest.raises(UnknownProviderError, match="anthropic"):
        LLMClient("opneai")
    with pytest.raises(UnknownModelError, match="premium"):
        LLMClient(tier="best")  # type: ignore[arg-type]
    retired = next(m for m in catalogue.retired_models() if m.provider == "openai")
    with pytest.raises(RetiredModelError):
        LLMClient("openai", retired.id)


@pytest.mark.parametrize("provider", ["openai", "anthropic", "google"])
def test_a_missing_key_is_named(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key the error names the environment variable and the way to do without."""
    variable = catalogue.provider(provider).key_env
    assert variable is not None
    monkeypatch.delenv(variable)
    with pytest.raises(MissingKeyError, match=rf"{variable}.*course_utils\.start\(\)"):
        LLMClient(provider)


def test_a_key_is_not_shown() -> None:
    """Neither the client nor its address shows a key."""
    asked = LLMClient("openai", api_key="very-secret")
    assert "very-secret" not in repr(asked) + repr(asked._target)


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([], "messages is empty"),
        (None, "messages is a NoneType"),
        ({"role": "user", "content": "Hello"}, "messages is a dict"),
        (Message("user", "Hello"), "messages is a Message"),
        (["Hello"], r"messages\[0\] is a str"),
        ([{"content": "Hello"}], r"messages\[0\].role is missing"),
        ([{"role": "user", "content": 7}], r"messages\[0\].content is integer"),
        ([{"role": "robot", "content": "Hello"}], "role 'robot'.*system, user"),
        ([{"role": "user", "content": "?"}, {"role": "tool", "content": "1"}], "tool_call_id"),
        ([{"role": "assistant", "tool_calls": [{"id": "a"}]}], r"tool_calls\[0\].function"),
    ],
)
def test_messages_of_a_wrong_shape_are_explained(messages: Any, words: str) -> None:
    """The error says which message is wrong and what it must be, before anything is sent."""
    before = len(log())
    with pytest.raises(MessagesError, match=words):
        client("openai").chat(messages)
    assert len(log()) == before


def test_a_result_in_the_list_is_explained() -> None:
    """Whoever appends the result is told to append its message."""
    result = client("openai").chat(QUESTION)
    with pytest.raises(MessagesError, match="is a ChatResult: append result"):
        client("openai").chat([{"role": "user", "content": "Hello"}, result])  # type: ignore[list-item]


def test_an_sdks_own_message_is_taken() -> None:
    """The object that the openai SDK answers with goes into the list as it is."""
    raw = client("openai").chat(CITIES, tools=[get_weather]).raw.choices[0].message
    results = [Message("tool", "21", tool_call_id=call.id) for call in raw.tool_calls]
    messages = [{"role": "user", "content": CITIES}, raw, *results]
    assert "21" in client("anthropic").chat(messages, tools=[get_weather]).content


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_tokens": 0}, "max_tokens is 0: give 1 or more"),
        ({"max_tokens": -5}, "max_tokens is -5"),
        ({"temperature": 7}, "between 0 and 2"),
        ({"temperature": "hot"}, "give a number"),
        ({"top_p": 1.5}, "between 0 and 1"),
        ({"schema": 7}, "schema"),
    ],
)
def test_options_that_nobody_takes_are_explained(options: dict[str, Any], words: str) -> None:
    """A number out of range, or a schema that is none, is refused before anything is sent."""
    with pytest.raises(MessagesError, match=words):
        client("openai").chat(QUESTION, **options)


def test_a_wait_that_is_none_is_refused() -> None:
    """A timeout of nothing would fail each call."""
    with pytest.raises(MessagesError, match="timeout_s is 0"):
        LLMClient(timeout_s=0)


def test_importing_the_toolkit_loads_no_sdk() -> None:
    """Neither the package nor the client's module brings an SDK, pandas or pydantic."""
    code = (
        "import sys, course_utils.llm; from course_utils.llm import LLMClient, AsyncLLMClient; "
        "heavy = {'openai', 'anthropic', 'google.genai', 'pandas', 'pydantic', 'aiohttp', 'tqdm', "
        "'numpy', 'tiktoken'}; print(sorted(heavy & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_public_names_are_all_there() -> None:
    """Each name that the package offers can be loaded, and nothing else can."""
    from course_utils import llm

    assert set(llm.__all__) == set(llm._HOMES)
    for name in llm.__all__:
        assert getattr(llm, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        llm.nothing  # noqa: B018
