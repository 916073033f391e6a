"""What lesson 05 says of tools, as of 2026-11-24, is what the SDKs and the catalogue say."""

import inspect
import json
import warnings
from collections.abc import Iterator
from datetime import date
from typing import Any, Literal, get_args

import anthropic
import openai
import pydantic
import pytest
from google import genai
from google.genai import errors, types
from openai.types.chat import ChatCompletion, ChatCompletionToolChoiceOptionParam
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming

from course_utils import offline
from course_utils.llm import as_tool
from course_utils.wire.catalogue import default_model, find_model, models

AS_OF = date(2026, 11, 24)
ONE = [{"role": "user", "content": "What's the weather in Amsterdam?"}]
TWO = [{"role": "user", "content": "What's the weather in Amsterdam and Tokyo?"}]


def get_weather(location: str, units: Literal["celsius", "fahrenheit"] = "celsius") -> str:
    """Get the current weather for a location.

    Args:
        location: City name, such as Amsterdam.
        units: The scale of the temperature.
    """
    return f"{location}: 14 degrees {units}"


SCHEMA = dict(as_tool(get_weather).parameters)
ABOUT = {"name": "get_weather", "description": "Get the current weather for a location"}
OPENAI_TOOL = {"type": "function", "function": {**ABOUT, "parameters": SCHEMA}}
CLAUDE_TOOL = {**ABOUT, "input_schema": SCHEMA}
GEMINI_TOOLS = {"tools": [{"function_declarations": [{**ABOUT, "parameters_json_schema": SCHEMA}]}]}


@pytest.fixture(autouse=True)
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


def test_the_models_of_the_lesson_have_time_left() -> None:
    """None that the lesson calls is within 60 days of its end."""
    for provider in ("openai", "anthropic", "google"):
        shutdown = default_model(provider, "budget").shutdown
        assert shutdown is None or (shutdown - AS_OF).days > 60


def test_openai_writes_arguments_as_text_and_gives_no_content() -> None:
    """The SDK's type says str; a wish comes with the reason tool_calls and without a text."""
    answer = openai_asks(ONE)
    call = answer.choices[0].message.tool_calls[0]
    assert isinstance(call.function.arguments, str)
    assert json.loads(call.function.arguments)["location"] == "Amsterdam"
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.content is None


def test_a_tool_costs_tokens_in_every_prompt() -> None:
    """The same question is a longer prompt with the tool beside it."""
    model = default_model("openai", "budget").id
    plain = openai.OpenAI().chat.completions.create(model=model, messages=ONE)
    assert openai_asks(ONE).usage.prompt_tokens > plain.usage.prompt_tokens


def test_openai_can_be_told_to_make_one_call_at_a_time() -> None:
    """parallel_tool_calls is an argument of the SDK."""
    assert "parallel_tool_calls" in CompletionCreateParamsNonStreaming.__annotations__
    one = openai_asks([{"role": "user", "content": "Weather in Oslo and Rome?"}], parallel=False)
    assert len(one.choices[0].message.tool_calls) == 1


def test_all_three_refuse_a_missing_result() -> None:
    """Two calls and one result are a 400 everywhere."""
    wish = openai_asks(TWO).choices[0].message
    result = {"role": "tool", "tool_call_id": wish.tool_calls[0].id, "content": "14"}
    with pytest.raises(openai.BadRequestError, match="must be followed by tool messages"):
        openai_asks([*TWO, wish, result])

    message = claude_asks(TWO)
    first = next(block for block in message.content if block.type == "tool_use")
    block = {"type": "tool_result", "tool_use_id": first.id, "content": "14"}
    turns = [
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": [block]},
    ]
    with pytest.raises(anthropic.BadRequestError, match="without `tool_result` blocks"):
        claude_asks([*TWO, *turns])

    reply, gemini = gemini_asks(TWO[0]["content"])
    answered = {"name": "get_weather", "response": {"result": "14"}}
    parts = [{"function_response": answered}]
    contents = [
        {"role": "user", "parts": [{"text": TWO[0]["content"]}]},
        reply.candidates[0].content,
        {"role": "user", "parts": parts},
    ]
    with pytest.raises(errors.ClientError, match="function response parts"):
        gemini.models.generate_content(
            model=default_model("google", "budget").id, contents=contents, config=GEMINI_TOOLS
        )


def test_python_does_not_check_a_literal() -> None:
    """A value that the hint forbids is taken without a word."""
    assert get_weather("Tokyo", units="kelvin").endswith("kelvin")  # type: ignore[arg-type]


def test_anthropic_gives_objects_and_takes_results_from_the_user() -> None:
    """tool_use has a parsed input, tool_result is a block that may say is_error."""
    message = claude_asks(ONE)
    assert message.stop_reason == "tool_use"
    block = message.content[-1]
    assert (block.type, block.input["location"]) == ("tool_use", "Amsterdam")
    assert "is_error" in anthropic.types.ToolResultBlockParam.__annotations__
    kinds = get_args(anthropic.types.MessageParam)
    assert not [kind for kind in kinds if "'tool'" in str(kind.__annotations__["role"])]


def test_gemini_gives_objects_stops_plainly_and_signs() -> None:
    """A wish ends with STOP, its arguments are a dict, and a thought's signature is beside it."""
    reply, _ = gemini_asks(ONE[0]["content"])
    part = reply.candidates[0].content.parts[0]
    assert reply.candidates[0].finish_reason == types.FinishReason.STOP
    assert part.function_call.args["location"] == "Amsterdam"
    assert part.thought_signature


def test_tool_choice_knows_the_words_of_the_lesson() -> None:
    """OpenAI: none, auto, required, or a name. Anthropic's word for required is any."""
    words = get_args(get_args(ChatCompletionToolChoiceOptionParam)[0])
    assert set(words) == {"none", "auto", "required"}
    kind = anthropic.types.ToolChoiceAnyParam.__annotations__["type"]
    assert "any" in str(kind)


def test_some_models_of_anthropic_refuse_to_be_forced() -> None:
    """The catalogue has them, with both models that FACTS names; no other provider has any."""
    refusing = [model for model in models() if not model.forced_tool_choice]
    assert {model.provider for model in refusing} == {"anthropic"}
    assert {"claude-sonnet-5-5", "claude-opus-5-5"} <= {model.id for model in refusing}
    for tier in ("standard", "premium"):
        assert not find_model(default_model("anthropic", tier).id).forced_tool_choice
    with pytest.raises(anthropic.BadRequestError, match="does not support forcing"):
        claude_asks(ONE, model=refusing[0].id, tool_choice={"type": "any"})


def test_anthropics_runner_leaves_the_history_to_a_thread() -> None:
    """In 2.12 each turn sends only new messages; thread=False sends all of them."""
    assert anthropic.__version__.startswith("2.12.")
    runner = inspect.signature(anthropic.Anthropic().beta.messages.tool_runner)
    told = inspect.getdoc(anthropic.resources.beta.messages.Messages.tool_runner)
    assert "thread" in runner.parameters
    assert told is not None
    assert "each turn sends only new messages" in told
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        done = (
            anthropic.Anthropic()
            .beta.messages.tool_runner(
                model=default_model("anthropic", "budget").id,
                max_tokens=300,
                messages=ONE,
                tools=[anthropic.beta_tool(get_weather)],
                thread=False,
            )
            .until_done()
        )
    assert done.stop_reason == "end_turn"
    sent = [entry.request for entry in offline.session().server.log if entry.request]
    assert [message.role for message in sent[-1].messages] == ["user", "assistant", "tool"]


def test_gemini_runs_a_python_function_by_itself() -> None:
    """google-genai calls a function that is passed as a tool, unless that is switched off."""
    ran = []

    def weather(location: str) -> str:
        """Get the current weather for a location."""
        ran.append(location)
        return "cloudy, 14 degrees"

    client, model = genai.Client(), default_model("google", "budget").id
    client.models.generate_content(
        model=model, contents=ONE[0]["content"], config={"tools": [weather]}
    )
    assert ran == ["Amsterdam"]
    off = {"tools": [weather], "automatic_function_calling": {"disable": True}}
    reply = client.models.generate_content(model=model, contents=ONE[0]["content"], config=off)
    assert ran == ["Amsterdam"]
    assert reply.function_calls


def test_openai_makes_a_strict_tool_of_a_pydantic_model() -> None:
    """pydantic_function_tool writes the schema and puts strict beside it."""

    class Weather(pydantic.BaseModel):
        """Get the current weather for a location."""

        location: str

    tool = openai.pydantic_function_tool(Weather)["function"]
    assert tool["strict"] is True
    assert tool["parameters"]["additionalProperties"] is False


def openai_asks(messages: list[Any], *, parallel: bool = True) -> ChatCompletion:
    """The answer of OpenAI's budget model, with the weather tool beside the question."""
    more: dict[str, Any] = {} if parallel else {"parallel_tool_calls": False}
    return openai.OpenAI().chat.completions.create(
        model=default_model("openai", "budget").id, messages=messages, tools=[OPENAI_TOOL], **more
    )


def claude_asks(
    messages: list[Any], model: str | None = None, **more: Any
) -> anthropic.types.Message:
    """The answer of a model of Anthropic's, with the weather tool beside the question."""
    return anthropic.Anthropic().messages.create(
        model=model or default_model("anthropic", "budget").id,
        max_tokens=300,
        messages=messages,
        tools=[CLAUDE_TOOL],
        **more,
    )


def gemini_asks(question: str) -> tuple[types.GenerateContentResponse, genai.Client]:
    """The answer of Google's budget model, and the client, which has to outlive it."""
    client = genai.Client()
    model = default_model("google", "budget").id
    return (
        client.models.generate_content(model=model, contents=question, config=GEMINI_TOOLS),
        client,
    )
