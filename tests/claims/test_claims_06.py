"""What lesson 06 says of structured output, as of 2026-11-24, is what SDKs and libraries do."""

import inspect
import json
from collections.abc import Iterator
from datetime import date
from typing import Any, Literal, get_args, get_type_hints

import anthropic
import openai
import pydantic
import pytest
from anthropic.types import JSONOutputFormatParam, StopReason
from google import genai
from openai.lib._pydantic import to_strict_json_schema
from openai.types.chat import ChatCompletionMessage
from openai.types.shared_params import ResponseFormatJSONObject

from course_utils import faults, offline
from course_utils.llm import LLMClient, ask_for, json_schema, parse
from course_utils.llm.errors import AnswerError, RefusedError, SchemaError, TruncatedError
from course_utils.llm.result import ChatResult
from course_utils.offline.endpoints.strict_schema import strict_problem
from course_utils.wire.catalogue import default_model, models
from course_utils.wire.reply import Usage

AS_OF = date(2026, 11, 24)
QUESTION: Any = [{"role": "user", "content": "Guido van Rossum created Python at CWI."}]


class Entities(pydantic.BaseModel):
    """What a text names."""

    persons: list[str]
    note: str | None = pydantic.Field(description="Whatever else there is")


class Sum(pydantic.BaseModel):
    """A sum that is never right."""

    total: float

    @pydantic.model_validator(mode="after")
    def never(self) -> "Sum":
        """Refuse all totals."""
        raise ValueError("it is wrong")


@pytest.fixture(autouse=True)
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


def openai_chat(**settings: Any) -> Any:
    """One call of the budget model."""
    return openai.OpenAI(max_retries=0).chat.completions.parse(
        model=default_model("openai", "budget").id,
        messages=QUESTION,
        response_format=Entities,
        **settings,
    )


def test_the_models_of_the_lesson_have_time_left() -> None:
    """None that the lesson calls is within 60 days of its end."""
    for provider in ("openai", "anthropic", "google", "local"):
        shutdown = default_model(provider, "budget").shutdown
        assert shutdown is None or (shutdown - AS_OF).days > 60


def test_json_mode_tells_the_model_nothing() -> None:
    """OpenAI's SDK says that a model writes no JSON in this mode unless a message asks for it."""
    said = " ".join((inspect.getdoc(ResponseFormatJSONObject) or "").split())
    assert "will not generate JSON without a system or user message instructing it" in said


def test_current_models_refuse_a_temperature() -> None:
    """The lesson's model takes one only with its reasoning off."""
    assert default_model("openai", "budget").sampling == "reasoning_none"


def test_strict_wants_all_keys_and_no_others() -> None:
    """What OpenAI's SDK makes of a class is what the stand-in asks for; pydantic's own is not."""
    plain = Entities.model_json_schema()
    assert "'additionalProperties' is required" in (strict_problem(plain) or "")
    made = to_strict_json_schema(Entities)
    assert strict_problem(made) is None
    assert made["required"] == ["persons", "note"]
    assert made["additionalProperties"] is False
    assert "Missing 'note'" in (strict_problem({**made, "required": ["persons"]}) or "")


def test_extra_forbid_becomes_additional_properties() -> None:
    """pydantic writes `additionalProperties: false` where a class forbids more fields."""
    made = pydantic.create_model("M", __config__=pydantic.ConfigDict(extra="forbid"), a=(str, ...))
    assert made.model_json_schema()["additionalProperties"] is False


def test_literals_become_enums_and_descriptions_travel() -> None:
    """A Literal is an enum in the schema; docstring and field description stand in it."""
    made = to_strict_json_schema(Entities)
    assert made["description"] == "What a text names."
    assert made["properties"]["note"]["description"] == "Whatever else there is"
    kinds = pydantic.TypeAdapter(Literal["person", "location"]).json_schema()
    assert kinds["enum"] == ["person", "location"]


def test_the_toolkit_makes_the_schema_of_the_sdk() -> None:
    """`json_schema` gives what OpenAI's parse sends."""
    assert json_schema(Entities) == to_strict_json_schema(Entities)


def test_parse_raises_where_an_answer_was_cut() -> None:
    """A cut answer is an error of OpenAI's SDK, which names the limit."""
    with pytest.raises(openai.LengthFinishReasonError, match="length limit was reached"):
        openai_chat(max_completion_tokens=3)


def test_a_refusal_has_a_field_and_the_reason_of_a_good_answer() -> None:
    """At OpenAI: refusal is set, content and parsed are None, finish_reason is stop."""
    assert "refusal" in ChatCompletionMessage.model_fields
    with faults("refusal"):
        choice = openai_chat().choices[0]
    assert choice.message.refusal
    assert (choice.finish_reason, choice.message.content, choice.message.parsed) == (
        "stop",
        None,
        None,
    )


def test_anthropic_refuses_by_its_stop_reason() -> None:
    """The SDK's type knows it, and the text may be empty."""
    assert "refusal" in get_args(StopReason)
    with faults("refusal"):
        message = anthropic.Anthropic(max_retries=0).messages.create(
            model=default_model("anthropic", "budget").id, max_tokens=50, messages=QUESTION
        )
    assert message.stop_reason == "refusal"
    assert not "".join(block.text for block in message.content if block.type == "text")


def test_anthropic_has_schemas_and_no_json_mode() -> None:
    """Of output formats, the SDK knows the one with a schema; and parse makes it strict."""
    assert get_args(get_type_hints(JSONOutputFormatParam)["type"]) == ("json_schema",)
    assert anthropic.transform_schema(Entities)["additionalProperties"] is False


def test_some_larger_models_of_anthropic_refuse_a_forced_tool() -> None:
    """The lesson's own does not; the larger default ones do."""
    assert default_model("anthropic", "budget").forced_tool_choice
    refusing = [m for m in models("anthropic") if not m.forced_tool_choice]
    assert {m.tier for m in refusing} >= {"standard", "premium"}


def test_a_tool_costs_more_tokens_than_a_schema() -> None:
    """Anthropic adds a prompt of its own for tools, hundreds of tokens long."""
    client, model = anthropic.Anthropic(), default_model("anthropic", "budget").id
    schema: Any = json_schema(Entities)
    ask: dict[str, Any] = {"model": model, "max_tokens": 200, "messages": QUESTION}
    formed = client.messages.create(
        **ask, output_config={"format": {"type": "json_schema", "schema": schema}}
    )
    called = client.messages.create(
        **ask,
        tools=[{"name": "save", "input_schema": schema}],
        tool_choice={"type": "tool", "name": "save"},
    )
    assert called.usage.input_tokens > formed.usage.input_tokens + 200


def test_gemini_takes_a_class_and_has_a_json_mode() -> None:
    """`response_schema` takes the class, `parsed` is one; the type alone gives JSON."""
    client, model = genai.Client(), default_model("google", "budget").id
    config: Any = {"response_mime_type": "application/json", "response_schema": Entities}
    text = QUESTION[0]["content"]
    reply = client.models.generate_content(model=model, contents=text, config=config)
    assert isinstance(reply.parsed, Entities)
    config = {"response_mime_type": "application/json"}
    reply = client.models.generate_content(model=model, contents=text, config=config)
    assert isinstance(json.loads(reply.text or ""), dict)


@pytest.mark.parametrize("provider", ["openai", "anthropic", "google", "local"])
def test_the_toolkit_asks_each_provider_for_a_class(provider: str) -> None:
    """One call with a schema gives an object from each of the four."""
    result = LLMClient(provider, tier="budget").chat(QUESTION, schema=Entities)
    assert isinstance(result.parsed, Entities)


def test_the_toolkit_takes_off_a_code_fence() -> None:
    """JSON in a fence is read all the same."""
    fenced = '```json\n{"persons": [], "note": null}\n```'
    result = ChatResult(fenced, "stop", Usage(1, 1), "a model", "openai")
    assert parse(result, Entities).parsed == Entities(persons=[], note=None)


def test_what_cannot_be_mended_is_an_answer_error() -> None:
    """One repair is tried; then a SchemaError counts the tokens of both calls."""
    assert issubclass(TruncatedError, AnswerError)
    assert issubclass(RefusedError, AnswerError)
    client = LLMClient("openai", tier="budget")
    with pytest.raises(SchemaError) as caught:
        ask_for(client, QUESTION, Sum, repairs=1)
    calls = list(offline.session().server.log)
    assert len(calls) == 2
    assert caught.value.result.completion_tokens == sum(
        call.reply.usage.completion_tokens for call in calls if call.reply
    )
