"""Single calls of tools: how their arguments are checked, and what a result looks like."""

import dataclasses
import datetime
import json
import sys
import typing
from collections.abc import Iterator
from typing import Any, Literal

import pydantic
import pytest
from traffic import all_exchanges, needs_exchanges

from course_utils import offline
from course_utils.llm.arguments import of_schema
from course_utils.llm.client import LLMClient
from course_utils.llm.errors import ToolError
from course_utils.llm.fitting import MisfitError
from course_utils.llm.tool_loop import run_tools
from course_utils.llm.toolbox import Toolbox, as_text
from course_utils.llm.tools import as_tool
from course_utils.offline.doors import DOORS
from course_utils.wire.request import Tool, ToolCall

# As older code has it: a dict in OpenAI's shape, and an untyped function that it describes.
DESCRIBED = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get current weather for a location",
        "parameters": {
            "type": "object",
            "properties": {
                "location": {"type": "string"},
                "units": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["location"],
        },
    },
}


def plain(location, units="celsius"):  # type: ignore[no-untyped-def]
    """Answer like a weather service."""
    return json.dumps({"location": location, "temp": 14, "units": units})


def get_weather(location: str, units: Literal["celsius", "fahrenheit"] = "celsius") -> str:
    """Get current weather for a location."""
    return f"{location}: {units}"


def call(arguments: str, name: str = "get_weather") -> ToolCall:
    """A call, as a model writes it."""
    return ToolCall("call_1", name, arguments)


@pytest.fixture
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


@pytest.mark.usefixtures("session")
@pytest.mark.parametrize("provider", [door.provider for door in DOORS])
def test_a_described_tool_runs_a_plain_function(provider: str) -> None:
    """On every provider a hand-written description does, with the function beside it."""
    question = "What's the weather in Amsterdam?"
    answer = run_tools(LLMClient(provider), question, [DESCRIBED], functions={"get_weather": plain})
    assert answer.runs[0].outcome == "ran"
    assert "14" in answer.content


def test_a_description_checks_the_arguments() -> None:
    """All that does not fit a hand-written schema is told at once."""
    box = Toolbox([DESCRIBED], {"get_weather": plain})
    run = box.decide(call('{"units": "kelvin"}'))
    assert run.outcome == "misfit"
    assert "'location' is a required property" in run.text
    assert "'kelvin' is not one of ['celsius', 'fahrenheit']" in run.text
    assert box.decide(call("[]")).outcome == "misfit"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ('{"location": "Ams', "it is no JSON: Unterminated string"),
        ("null", "Input should be an object"),
        ("[" * 100_000, "nested too deeply"),
        ('{"location": "\\ud800"}', "it is no JSON that pydantic reads"),
    ],
)
def test_what_cannot_be_read_is_a_misfit(arguments: str, words: str) -> None:
    """Whatever text a model sends as arguments, nothing runs, and nothing is raised."""
    run = Toolbox([get_weather]).decide(call(arguments))
    assert run.outcome == "misfit"
    assert words in run.text
    assert Toolbox([DESCRIBED], {"get_weather": plain}).decide(call("[" * 100_000)).text


def test_no_arguments_may_be_an_empty_text() -> None:
    """Models send an empty text for a tool without arguments as often as {}."""

    def ping() -> str:
        """Say that you are there."""
        return "here"

    box = Toolbox([ping])
    assert box.run(box.decide(call("", "ping"))).text == "here"


def test_arguments_have_the_types_of_the_function() -> None:
    """A function gets the objects that its types name, not the dicts that came over the wire."""

    @dataclasses.dataclass
    class Place:
        city: str

    def where(place: Place, day: datetime.date) -> str:
        """Say where."""
        return f"{place.city} on {day:%A}"

    box = Toolbox([where])
    run = box.run(box.decide(call('{"place": {"city": "Oslo"}, "day": "2026-11-24"}', "where")))
    assert run.text == "Oslo on Tuesday"


def test_a_tool_that_ends_the_program_ends_it() -> None:
    """Only errors are told to the model: a stop that the user asked for is none."""

    def stop() -> str:
        """Stop."""
        raise KeyboardInterrupt

    box = Toolbox([stop])
    with pytest.raises(KeyboardInterrupt):
        box.run(box.decide(call("{}", "stop")))


@dataclasses.dataclass
class Reading:
    """One value with its day."""

    value: float
    day: datetime.date


class Note(pydantic.BaseModel):
    """A note."""

    text: str


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is", "as it is"),
        ({"é": [1, None, True]}, '{"é":[1,null,true]}'),
        (Reading(1.5, datetime.date(2026, 11, 24)), '{"value":1.5,"day":"2026-11-24"}'),
        ([Note(text="a")], '[{"text":"a"}]'),
        (float("nan"), '"NaN"'),
        (None, "null"),
    ],
)
def test_results_become_text(value: object, text: str) -> None:
    """A text stays; everything else is written as JSON that any reader takes."""
    assert as_text(value) == text


def test_a_result_without_a_json_form_is_a_failure() -> None:
    """The model is told that the tool failed, and the error says what to return instead."""

    def weather() -> object:
        """Get the weather."""
        return object()

    box = Toolbox([weather])
    run = box.run(box.decide(call("{}", "weather")))
    assert run.outcome == "failed"
    assert "has no JSON form: return a text" in run.text


def test_a_schema_that_refers_to_nothing_is_refused() -> None:
    """A broken reference is found when the tool is made, not when a model first calls it."""
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/Nowhere"}}}
    with pytest.raises(ToolError, match="Nowhere' leads to no part of the schema"):
        Toolbox([Tool("f", "", schema)], {"f": print})


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="pydantic takes typing's from 3.12 on")
def test_the_wrong_typed_dict_is_named() -> None:
    """Before Python 3.12 pydantic wants TypedDict from typing_extensions, and the error says so."""
    options: Any = typing.TypedDict("options", {"loud": bool})

    def shout(how: options) -> str:
        """Shout."""
        return str(how)

    with pytest.raises(ToolError, match=r"use `typing_extensions\.TypedDict`"):
        as_tool(shout)


def calls_in(value: Any) -> Iterator[tuple[str, str]]:
    """Name and arguments of every call in a body of OpenAI's or Anthropic's."""
    if isinstance(value, list):
        for inner in value:
            yield from calls_in(inner)
    elif isinstance(value, dict):
        function = value.get("function")
        if isinstance(function, dict) and "arguments" in function:
            yield function["name"], function["arguments"]
        elif value.get("type") == "tool_use" and "input" in value:
            yield value["name"], json.dumps(value["input"])
        elif value.get("type") == "function_call":
            yield value["name"], value["arguments"]
        for inner in value.values():
            yield from calls_in(inner)


def described_in(body: Any) -> dict[str, Tool]:
    """The functions that a recorded request describes; a provider's own tools are none."""
    found = {}
    for tool in body.get("tools") or ():
        if {"function", "parameters", "input_schema"} & set(tool):
            found[tool["name"] if "name" in tool else tool["function"]["name"]] = as_tool(tool)
    return found


@needs_exchanges
def test_real_tools_and_calls_are_understood() -> None:
    """All tools of recorded traffic are tools here, and what models really sent fits them.

    The one kind of call that does not is one that the provider itself answered with an error.
    """
    calls, misfits = 0, []
    for exchange in all_exchanges():
        body = exchange.request_json() if exchange.request[:1] == b"{" else {}
        tools = described_in(body)
        a_file = "/files/" in exchange.row["endpoint"]  # of a batch: JSON line by line
        whole = exchange.response[:1] == b"{" and not a_file
        bodies = [body, exchange.response_json() if whole else {}]
        for name, text in (pair for one in bodies for pair in calls_in(one)):
            if name in tools:
                calls += 1
                try:
                    of_schema(tools[name].parameters, name).read(text)
                except MisfitError:
                    misfits.append(exchange.name)
    assert calls > 40
    assert {name.split("[")[0].split("/")[-1] for name in misfits} <= {
        "test_tool_use_failed_error.yaml"
    }
