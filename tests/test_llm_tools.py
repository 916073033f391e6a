"""Tools as a model reads them: made of typed functions, judged by the SDKs' own and pydantic."""

import enum
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Optional

import anthropic
import openai
import pydantic
import pytest
import typing_extensions

from course_utils.llm.arguments import of_function
from course_utils.llm.errors import ToolError
from course_utils.llm.fitting import MisfitError
from course_utils.llm.strict_schema import strict
from course_utils.llm.tools import as_tool
from course_utils.wire.request import Tool

WEATHER = {
    "type": "object",
    "properties": {
        "location": {"type": "string", "description": "City name, e.g. Amsterdam"},
        "units": {
            "type": "string",
            "enum": ["celsius", "fahrenheit"],
            "default": "celsius",
        },
    },
    "required": ["location"],
    "additionalProperties": False,
}


class Scale(enum.Enum):
    """A scale of temperature."""

    CELSIUS = "celsius"
    KELVIN = "kelvin"


@dataclass
class Place:
    """Where something is."""

    city: str
    floor: int = 0


class Person(pydantic.BaseModel):
    """Who someone is."""

    name: str
    age: int | None = None


class Options(typing_extensions.TypedDict):
    """How something is to be."""

    loud: bool
    note: typing_extensions.NotRequired[str]


def get_weather(location: str, units: Literal["celsius", "fahrenheit"] = "celsius") -> str:
    """Get the current weather for a location.

    Args:
        location: City name, e.g.
            Amsterdam
    """
    return f"{location}: {units}"


def get_weather_numpy(location: str, units: Literal["celsius", "fahrenheit"] = "celsius") -> str:
    """Get the current weather for a location.

    Parameters
    ----------
    location : str
        City name, e.g. Amsterdam
    """
    return f"{location}: {units}"


def get_weather_sphinx(location: str, units: Literal["celsius", "fahrenheit"] = "celsius") -> str:
    """Get the current weather for a location.

    :param location: City name, e.g. Amsterdam
    """
    return f"{location}: {units}"


async def get_weather_annotated(
    location: Annotated[str, "City name, e.g. Amsterdam"],
    units: Literal["celsius", "fahrenheit"] = "celsius",
) -> str:
    """Get the current weather for a location.

    Args:
        location: What the type says of it counts, not this.
    """
    return f"{location}: {units}"


def everything(
    text: str,
    count: int,
    share: float,
    sure: bool,
    scale: Scale,
    names: list[str],
    sizes: dict[str, int],
    place: Place,
    person: Person,
    options: Options,
    either: int | str,
    maybe: Optional[Place] = None,  # noqa: UP045, students write it like this too
    many: tuple[Place, ...] = (),
    few: Annotated[int, pydantic.Field(ge=1, le=5)] = 3,
) -> str:
    """Take one argument of every type that a tool may have."""
    return repr(locals())


def without_titles(schema: Any) -> Any:
    """A schema with the names left out that pydantic makes of the fields' names."""
    if isinstance(schema, list):
        return [without_titles(value) for value in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: without_titles(value)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str))
    }


def open_inside(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema whose nested objects do not forbid other fields."""
    plain: dict[str, Any] = without_titles(schema)
    for inner in plain.get("$defs", {}).values():
        inner.pop("additionalProperties", None)
    return plain


@pytest.mark.parametrize(
    "function", [get_weather, get_weather_numpy, get_weather_sphinx, get_weather_annotated]
)
def test_a_typed_function_is_described(function: Callable[..., Any]) -> None:
    """Types, defaults and docstring, in any of the usual styles, make the schema that one writes
    by hand."""
    assert as_tool(function) == Tool(
        function.__name__, "Get the current weather for a location.", WEATHER
    )


@pytest.mark.parametrize("function", [get_weather, get_weather_numpy, everything])
def test_descriptions_agree_with_anthropics(function: Callable[..., Any]) -> None:
    """anthropic's beta_tool reads the same schema and text out of the same function."""
    theirs = anthropic.beta_tool(function).to_dict()
    ours = as_tool(function)
    joined = json.loads(json.dumps(theirs["input_schema"]).replace(r"e.g.\nAm", "e.g. Am"))
    assert open_inside(dict(ours.parameters)) == without_titles(joined)
    assert (ours.name, ours.description) == (theirs["name"], theirs["description"])


def test_descriptions_agree_with_openais() -> None:
    """The strict form of the schema is what openai makes of a model with the same fields."""

    class GetWeather(pydantic.BaseModel):
        location: str = pydantic.Field(description="City name, e.g. Amsterdam")
        units: Literal["celsius", "fahrenheit"] = "celsius"

    theirs = openai.pydantic_function_tool(GetWeather)["function"]["parameters"]
    assert strict(as_tool(get_weather).parameters) == without_titles(theirs)


SAMPLES: dict[str, list[Any]] = {
    "text": ["", "é\n", 5, None],
    "count": [0, -3, 2.0, 2.5, "7", "x", True, None],
    "share": [0.5, 3, "0.25", "x", None],
    "sure": [True, "yes", 1, "maybe", None],
    "scale": ["celsius", "kelvin", "rankine", 1],
    "names": [[], ["a", "b"], ["a", 1], "ab"],
    "sizes": [{}, {"a": 1}, {"a": "b"}, []],
    "place": [{"city": "Rome"}, {"city": "Rome", "floor": 2}, {"floor": 1}, "Rome"],
    "person": [{"name": "Ada"}, {"name": "Ada", "age": "36"}, {"name": 1}, None],
    "options": [{"loud": True}, {"loud": False, "note": "n"}, {"note": "n"}],
    "either": [1, "a", None],
    "maybe": [None, {"city": "Oslo"}, {}],
    "many": [[], [{"city": "Oslo"}], [{}]],
    "few": [1, 5, 0, 6],
}


def test_arguments_are_read_as_pydantic_reads_them() -> None:
    """Over 2,000 random calls, what fits and what it becomes is what pydantic says of the call."""
    judge = pydantic.TypeAdapter(everything)
    rng = random.Random(4)
    ours = of_function(everything)
    fitting = 0
    for _ in range(2_000):
        given = {
            name: rng.choice(values[:2]) if rng.random() < 0.93 else rng.choice(values)
            for name, values in SAMPLES.items()
            if rng.random() < 0.995 or name == "maybe"
        }
        text = json.dumps(given)
        try:
            theirs: Any = judge.validate_json(text)
        except pydantic.ValidationError:
            theirs = None
        try:
            read_by_us = ours.read(text)
        except MisfitError:
            assert theirs is None, given
            continue
        assert theirs == everything(**read_by_us), given
        fitting += 1
    assert 300 < fitting < 1_700


def test_a_name_that_is_made_up_is_a_misfit() -> None:
    """An argument that the function does not have is told by its name."""
    with pytest.raises(MisfitError, match="city is not asked for"):
        of_function(get_weather).read('{"location": "Rome", "city": "Rome"}')


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "location is missing"),
        ('{"location": 5}', "location: Input should be a valid string, not 5"),
        ('{"location": "Rome", "units": "K"}', "units: Input should be 'celsius' or 'fahrenheit'"),
        ('{"location": "Ro', "it is no JSON: Unterminated string"),
        ('["Rome"]', r"\$: Input should be an object"),
    ],
)
def test_a_misfit_says_where_and_what_belongs_there(text: str, words: str) -> None:
    """What a model sent wrong is named with its place, so that it can be mended."""
    with pytest.raises(MisfitError, match=words):
        of_function(get_weather).read(text)


@pytest.mark.parametrize(
    "body",
    [
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": WEATHER}},
        {"type": "function", "name": "f", "description": "d", "parameters": WEATHER},
        {"name": "f", "description": "d", "input_schema": WEATHER},
        Tool("f", "d", WEATHER),
    ],
)
def test_a_described_tool_stays_what_it_is(body: Any) -> None:
    """Dicts of OpenAI's two APIs and of Anthropic's, and a Tool, are the same tool."""
    assert as_tool(body) == Tool("f", "d", WEATHER)


def no_docstring(x: int) -> int:  # noqa: D103, that is the point
    return x


def no_type(x) -> int:
    """Say something."""
    return int(x)


def stars(*numbers: int) -> int:
    """Add numbers."""
    return sum(numbers)


def positional(x: int, /) -> int:
    """Take a number."""
    return x


def strange(x: random.Random) -> float:
    """Draw a number."""
    return x.random()


def forward(x: "Nowhere") -> int:  # type: ignore[name-defined]  # noqa: F821
    """Take something."""
    return int(x)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (no_docstring, r"no_docstring\(\) has no docstring.*write one sentence"),
        (no_type, r"'x' of no_type\(\) has no type.*write one, as in x: str"),
        (stars, r"\*numbers: int.*list them one by one"),
        (positional, "a model gives every argument by its name"),
        (strange, r"strange\(\) cannot be told to a model: Unable to generate"),
        (forward, r"name 'Nowhere' is not defined.*Import or define it"),
        (lambda x: x, "A lambda has no name"),
        (Place, "A type cannot be a tool: give a function"),
        (max, r"max\(\) cannot be read"),
        (5, "A int cannot be a tool"),
        ({"name": "f", "parameters": "text"}, r"keys \['name', 'parameters'\] is no tool"),
        ({"type": "web_search"}, "it needs a name, a description and parameters"),
        (Tool("get weather"), "A tool cannot be named 'get weather'"),
    ],
)
def test_what_a_model_could_not_call_is_refused(source: Any, words: str) -> None:
    """The error says what is missing and how to write it."""
    with pytest.raises(ToolError, match=words):
        as_tool(source)


def test_anthropics_beta_tool_describes_what_nobody_could_call() -> None:
    """Where ours says what is missing, beta_tool sends a tool with no words and no types."""

    def mystery(x):  # type: ignore[no-untyped-def]
        return x

    theirs = anthropic.beta_tool(mystery).to_dict()
    assert theirs["description"] == ""
    assert theirs["input_schema"]["properties"]["x"].keys() <= {"title"}
    with pytest.raises(ToolError):
        as_tool(mystery)
