"""Answers of a given shape: the schema that is sent, the check of what comes back, and repairs."""

import asyncio
import enum
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import jsonschema
import openai
import pydantic
import pytest
import yaml
from openai.lib._pydantic import to_strict_json_schema

from course_utils import faults, offline
from course_utils.llm.async_client import AsyncLLMClient
from course_utils.llm.client import LLMClient
from course_utils.llm.errors import (
    MessagesError,
    RefusedError,
    SchemaError,
    SettingError,
    TruncatedError,
)
from course_utils.llm.json_text import find_json
from course_utils.llm.result import ChatResult
from course_utils.llm.structured import ask_for, ask_for_async, json_schema, parse
from course_utils.offline.doors import DOORS
from course_utils.offline.standin import StandIn
from course_utils.wire.catalogue import default_model
from course_utils.wire.reply import Usage

PROVIDERS = [door.provider for door in DOORS]
QUESTION = "Extract entities: Guido van Rossum created Python at CWI in Amsterdam."


class Entities(pydantic.BaseModel):
    """What a text names."""

    persons: list[str]
    organizations: list[str]
    locations: list[str]


class Colour(enum.Enum):
    """A colour."""

    RED = "red"
    BLUE = "blue"


class Part(pydantic.BaseModel):
    """A part, of parts."""

    colour: Colour = pydantic.Field(description="What it looks like")
    size: Annotated[float, pydantic.Field(gt=0)] = 1.0
    parts: list["Part"] = []


class Cat(pydantic.BaseModel):
    """A cat."""

    kind: Literal["cat"]
    lives: int | None = None


class Dog(pydantic.BaseModel):
    """A dog."""

    kind: Literal["dog"]
    tricks: dict[str, int]


class Home(pydantic.BaseModel):
    """A bit of everything."""

    pet: Cat | Dog = pydantic.Field(discriminator="kind")
    pair: tuple[int, str]
    root: Part
    notes: str | None = pydantic.Field(None, description="Whatever else there is")


PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer", "minimum": 0},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["name", "age"],
}


@pytest.fixture(autouse=True)
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


def answer(text: str, **changes: Any) -> ChatResult:
    """An answer with this text."""
    fields: dict[str, Any] = {"finish_reason": "stop", "usage": Usage(10, 5)} | changes
    return ChatResult(text, model="a model", provider="openai", **fields)


def answer_with(session: offline.Session, folder: Path, text: str, **more: Any) -> None:
    """Let the stand-in answer QUESTION with a text."""
    row = {"messages": [{"user": QUESTION}], "text": text, **more}
    body = yaml.safe_dump(
        {"source": "authored", "written": "DAY", "replies": [row]}, sort_keys=False
    )
    (folder / "test.yaml").write_text(body.replace("DAY", "2026-11-23"), encoding="utf-8")
    session.server.answers = StandIn(folder=folder)


@pytest.mark.parametrize("model", [Entities, Part, Cat, Dog, Home])
def test_the_schema_of_a_model_is_openais(model: type[pydantic.BaseModel]) -> None:
    """It is, to the last key, what openai's SDK makes of the same model."""
    assert json_schema(model) == to_strict_json_schema(model)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_answer_is_an_object_of_the_model(provider: str) -> None:
    """On every provider a pydantic model comes back filled."""
    result = LLMClient(provider).chat(QUESTION, schema=Entities)
    assert result.parsed == Entities(
        persons=["Guido van Rossum"], organizations=["CWI"], locations=["Amsterdam"]
    )


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_schema_as_a_dict_gives_a_dict(provider: str) -> None:
    """Without pydantic the answer is plain data that fits the schema."""
    result = LLMClient(provider).chat("Name a person: Ada, 36 years old.", schema=PERSON)
    jsonschema.validate(result.parsed, PERSON)
    assert result.parsed["name"] == "Ada"


def test_openais_parse_agrees() -> None:
    """The SDK's own parse() gets the same object from the same question."""
    completion = openai.OpenAI().chat.completions.parse(
        model=default_model("openai").id,
        messages=[{"role": "user", "content": QUESTION}],
        response_format=Entities,
    )
    ours = LLMClient("openai").chat(QUESTION, schema=Entities)
    assert ours.parsed == completion.choices[0].message.parsed


def test_a_dict_is_made_strict_and_stays_untouched() -> None:
    """Every object of a hand-written schema is closed and required, in a copy."""
    before = json.dumps(PERSON)
    made = json_schema(PERSON)
    assert made["required"] == ["name", "age", "tags"]
    assert made["additionalProperties"] is False
    assert json.dumps(PERSON) == before


def test_a_property_may_be_called_like_a_keyword() -> None:
    """Fields named items, properties, default or required are fields, and not schemas' keywords."""
    names = ["items", "properties", "default", "required", "$ref", "allOf", "title"]
    schema = {"type": "object", "properties": {name: {"type": "null"} for name in names}}
    made = json_schema(schema)
    assert made["properties"] == schema["properties"]
    assert made["required"] == names


def test_a_reference_to_itself_comes_to_an_end() -> None:
    """A schema whose reference with a description leads back to it is not unrolled for ever."""
    node = {
        "type": "object",
        "properties": {"next": {"$ref": "#/$defs/Node", "description": "what follows"}},
    }
    made = json_schema({"$ref": "#/$defs/Node", "$defs": {"Node": node}})
    inlined = made["$defs"]["Node"]["properties"]["next"]
    assert inlined["description"] == "what follows"
    assert inlined["properties"]["next"] == {"$ref": "#/$defs/Node"}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "strange"}, r"type: 'strange' is not valid"),
        ({"properties": {"a": {"required": "a"}}}, r"properties\.a\.required: 'a' is not of type"),
        ({"properties": {"a": {"$ref": "#/$defs/A"}}}, r"'#/\$defs/A' leads to no part"),
        ({"properties": {"a": {"$ref": "https://example.com/a"}}}, "leads to no part"),
        (random.Random, "Unable to generate"),
        ("text", "Give a pydantic model class"),
    ],
)
def test_what_is_no_schema_is_refused(session: offline.Session, schema: Any, words: str) -> None:
    """The error names the place and what to give, and nothing is sent."""
    with pytest.raises(MessagesError, match=words):
        LLMClient().chat(QUESTION, schema=schema)
    assert not list(session.server.log)


@pytest.mark.parametrize(
    "schema",
    [{"type": "strange"}, {"$ref": "https://example.com/a"}, {"pattern": "("}, random.Random, "x"],
)
def test_a_wrong_schema_is_not_the_answers_fault(schema: Any) -> None:
    """parse() tells a schema that is none from an answer that does not fit."""
    with pytest.raises(MessagesError, match="cannot be used"):
        parse(answer('"text"'), schema)


WANTED = '{"persons":[],"organizations":["CWI"],"locations":[]}'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (WANTED, None),
        (f"\n {WANTED} \n", None),
        (f"```json\n{WANTED}\n```", "code fence"),
        (f"Here it is:\n```\n{WANTED}\n```\nAnything else?", "code fence"),
        (f"Sure [as you like]: {WANTED} Does {{that}} help?", "other words"),
        (f'I tried {{"a": 1}} first, then {WANTED}', "other words"),
    ],
)
def test_wrappings_are_taken_off_and_said(text: str, said: str | None) -> None:
    """JSON in a code fence or in prose is found, and a warning says what was taken off."""
    result = parse(answer(text), Entities)
    assert result.parsed.organizations == ["CWI"]
    assert said is None or said in result.warnings[0]
    assert len(result.warnings) == (said is not None)


def test_a_fenced_answer_of_a_server_is_read(session: offline.Session, tmp_path: Path) -> None:
    """A model that was not told of a schema wraps its JSON, and parse() reads it all the same."""
    answer_with(session, tmp_path, f"Of course:\n```json\n{WANTED}\n```")
    result = parse(LLMClient().chat(QUESTION), Entities)
    assert result.parsed.organizations == ["CWI"]


def test_a_part_of_broken_json_is_not_taken_for_the_whole() -> None:
    """The list inside a cut object is no answer: the error shows where the object breaks."""
    with pytest.raises(SchemaError, match="it is no JSON: Expecting"):
        parse(answer('Here: {"persons": ["Ada"], "organizations": '), Entities)


def test_found_json_is_always_json() -> None:
    """Whatever 3,000 random texts hold, what is found in one is JSON, or the text itself."""
    rng = random.Random(7)
    pieces = ["{", "}", "[", "]", '"a"', ":", ",", "1", " ", "\n", "```", "json", "x", '{"a":1}']
    found = 0
    for _ in range(3_000):
        text = "".join(rng.choices(pieces, k=rng.randrange(14)))
        inside, warning = find_json(text)
        if warning:
            json.loads(inside)
            assert inside in text
            found += 1
        else:
            assert inside == text.strip()
    assert found > 200


@pytest.mark.parametrize(
    ("schema", "text", "words"),
    [
        (Entities, '{"persons": "Ada"}', r"persons: Input should be a valid array.*\"Ada\""),
        (Entities, '{"persons": [1]}', r"persons\[0\]: Input should be a valid string, not 1"),
        (Entities, '{"persons": []}', "organizations is missing; locations is missing"),
        (Entities, "I cannot say.", "it is no JSON"),
        (PERSON, '{"name": "Ada"}', r"\$: 'age' is a required property"),
        (PERSON, '{"name": "Ada", "age": -1}', "age: -1 is less than the minimum of 0"),
        (PERSON, '{"name": "Ada", "age": 1, "tags": ["a", 2]}', r"tags\[1\]: 2 is not of type"),
    ],
)
def test_a_misfit_names_the_place(schema: Any, text: str, words: str) -> None:
    """A SchemaError says where, what belongs there and what stands there, and keeps the answer."""
    with pytest.raises(SchemaError, match=words) as caught:
        parse(answer(text), schema)
    assert caught.value.result.content == text
    assert "ask_for()" in str(caught.value)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_cut_answer_is_not_read(provider: str) -> None:
    """JSON that ends at the token limit is a TruncatedError that keeps what was spent."""
    with pytest.raises(TruncatedError, match="raise max_tokens") as caught:
        LLMClient(provider).chat(QUESTION, schema=Entities, max_tokens=6)
    assert caught.value.result.finish_reason == "length"
    assert 0 < caught.value.result.completion_tokens <= 6


@pytest.mark.parametrize("provider", ["openai", "anthropic", "google"])
def test_a_declined_answer_is_not_read(provider: str) -> None:
    """A model that declines is a RefusedError, and not one about JSON."""
    with faults("refusal"), pytest.raises(RefusedError, match="declined to answer"):
        LLMClient(provider).chat(QUESTION, schema=Entities)


@pytest.mark.parametrize("repairs", [1, 3])
def test_a_misfit_is_mended_once(session: offline.Session, tmp_path: Path, repairs: int) -> None:
    """The model sees its answer and what was wrong; tokens and cost are those of both calls."""
    bad = '{"persons": "Guido", "organizations": []}'
    answer_with(session, tmp_path, bad, json_schema=json_schema(Entities))
    result = ask_for(LLMClient(), QUESTION, Entities, repairs=repairs)
    calls = list(session.server.log)
    assert isinstance(result.parsed, Entities)
    assert len(calls) == 2
    assert [message.role for message in calls[1].request.messages] == ["user", "assistant", "user"]
    assert calls[1].request.messages[1].text == bad
    assert "persons: Input should be a valid array" in calls[1].request.last_user_text
    assert "locations is missing" in calls[1].request.last_user_text
    billed = [call.reply.usage for call in calls]
    assert result.prompt_tokens == sum(usage.prompt_tokens for usage in billed)
    assert result.completion_tokens == sum(usage.completion_tokens for usage in billed)
    alone = LLMClient().chat(calls[1].request.messages, schema=Entities)
    assert result.cost_usd > alone.cost_usd


def test_without_repairs_the_misfit_is_raised(session: offline.Session, tmp_path: Path) -> None:
    """repairs=0 asks once."""
    answer_with(session, tmp_path, "no JSON", json_schema=json_schema(Entities))
    with pytest.raises(SchemaError, match="it is no JSON"):
        ask_for(LLMClient(), QUESTION, Entities, repairs=0)
    assert len(list(session.server.log)) == 1


class Stubborn:
    """Something that answers every question with the same text."""

    def chat(self, messages: Any, **options: Any) -> ChatResult:
        """The answer."""
        return answer('{"persons": 1}', cost_usd=0.5)


def test_repairs_come_to_an_end_and_are_counted() -> None:
    """A model that never learns is asked 1 + repairs times, and the error holds the whole bill."""
    with pytest.raises(SchemaError) as caught:
        ask_for(Stubborn(), QUESTION, Entities, repairs=2)
    assert caught.value.result.cost_usd == 1.5
    assert caught.value.result.usage == Usage(30, 15)


def test_the_async_repair_is_the_same(session: offline.Session, tmp_path: Path) -> None:
    """ask_for_async mends a misfit as ask_for does."""
    answer_with(session, tmp_path, "[1]", json_schema=json_schema(Entities))
    result = asyncio.run(ask_for_async(AsyncLLMClient(), QUESTION, Entities))
    assert isinstance(result.parsed, Entities)
    assert len(list(session.server.log)) == 2


def test_a_negative_number_of_repairs_is_refused(session: offline.Session) -> None:
    """It is a SettingError, and nothing is sent."""
    with pytest.raises(SettingError, match="repairs is -1"):
        ask_for(LLMClient(), QUESTION, Entities, repairs=-1)
    assert not list(session.server.log)


def test_the_problems_are_pydantics() -> None:
    """Where openai's parse() raises pydantic's error, ours has the same places in a typed one."""
    text = '{"persons": "Ada", "organizations": [], "locations": [2]}'
    with pytest.raises(pydantic.ValidationError) as theirs:
        Entities.model_validate_json(text)
    with pytest.raises(SchemaError) as ours:
        parse(answer(text), Entities)
    for row in theirs.value.errors():
        assert row["msg"] in str(ours.value)
