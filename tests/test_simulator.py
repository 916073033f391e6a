"""Answers where nothing is recorded: their shape, their tool calls and their JSON."""

import json
import random
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import anthropic
import jsonschema
import openai
import pytest
from traffic import all_exchanges, needs_exchanges

from course_utils import offline
from course_utils.offline.simulator import simulate
from course_utils.wire import gemini_request
from course_utils.wire.anthropic_messages import AnthropicMessages
from course_utils.wire.catalogue import default_model
from course_utils.wire.openai_chat import OPENAI
from course_utils.wire.openai_responses import OpenAIResponses
from course_utils.wire.request import Message, Request, Tool, ToolCall

TEXT = (
    "Ada Lovelace, aged 36, works at Acme Corp in London. Her mail is ada@example.org, "
    "her order-123 of 12 red apples costs $30.50 and is urgent. She met Bob on 2024-05-01."
)


def request(text: str, system: str = "", **fields: Any) -> Request:
    """A request with one question, and a system prompt where one is given."""
    rules = (Message("system", system),) if system else ()
    return Request("gpt-6-luna", (*rules, Message("user", text)), **fields)


class Schemas:
    """Random JSON schemas that something fits, of the keywords that people use."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)

    def schema(self) -> dict[str, Any]:
        """One schema, with definitions that may refer to themselves."""
        body = self.object(0)
        body["$defs"] = {
            "leaf": self.scalar(),
            "node": {
                "type": "object",
                "properties": {
                    "value": self.scalar(),
                    "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                    "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                },
                "required": ["value", "children", "next"],
                "additionalProperties": False,
            },
        }
        return body

    def any(self, depth: int) -> dict[str, Any]:
        """A schema of any kind, simpler the deeper it stands."""
        kinds = [self.scalar] * 3
        if depth < 3:
            kinds += [
                lambda: self.object(depth + 1),
                lambda: self.array(depth + 1),
                lambda: self.union(depth + 1),
                lambda: {"$ref": f"#/$defs/{self.dice.choice(['leaf', 'node'])}"},
                lambda: self.both(depth + 1),
            ]
        return self.dice.choice(kinds)()

    def scalar(self) -> dict[str, Any]:
        """A string, number, boolean, null, choice or constant."""
        kinds = (self.string, self.string, self.number, self.number, self.choice, self.small)
        return self.dice.choice(kinds)()

    def string(self) -> dict[str, Any]:
        """A string with lengths, a format or a pattern."""
        low = self.dice.randint(0, 12)
        patterns = [
            r"^[A-Z]{3}-\d{4}$", r"^\+?\d{7,15}$", r"^(red|green|blue)$", r"^[a-z][a-z0-9_]*$",
            r"^#[0-9a-f]{6}$", r"^\d{3}-\d{2}-\d{4}$", r"^v\d+(\.\d+){2}$", r"[aeiou]", r"^\S+$",
            r"^(?:[01]\d|2[0-3]):[0-5]\d$", r"^[^@]+@[^@]+$", r"^.{4,9}$", r"^-?\d+(?:\.\d+)?$",
        ]  # fmt: skip
        formats = ["date", "date-time", "time", "duration", "email", "uri", "uuid", "ipv4"]
        return {"type": "string"} | self.dice.choice(
            [
                {},
                {"minLength": low, "maxLength": low + self.dice.randint(0, 9)},
                {"maxLength": low},
                {"pattern": self.dice.choice(patterns)},
                {"format": self.dice.choice(formats)},
                {"pattern": "^[a-z]+$", "minLength": low, "maxLength": low + 2},
            ]
        )

    def number(self) -> dict[str, Any]:
        """A number with bounds or a step."""
        low = self.dice.randint(-50, 50)
        kind = self.dice.choice(["integer", "number"])
        high = low + self.dice.randint(8, 60)
        return {"type": kind} | self.dice.choice(
            [
                {},
                {"minimum": low},
                {"maximum": low},
                {"minimum": low, "maximum": high},
                {"exclusiveMinimum": low, "exclusiveMaximum": high},
                {"multipleOf": self.dice.choice([2, 3, 7, 0.5, 0.25])},
                {"minimum": low, "maximum": high, "multipleOf": self.dice.choice([2, 5, 8])},
            ]
        )

    def choice(self) -> dict[str, Any]:
        """An enumeration or a constant."""
        values = self.dice.sample(["red", "green", "high", 1, 2.5, None, False, "on hold"], 3)
        return self.dice.choice([{"enum": values}, {"const": values[0]}])

    def small(self) -> dict[str, Any]:
        """A boolean, null, or several types at once."""
        lists = [["string", "null"], ["integer", "null"], ["boolean", "string"]]
        kind = self.dice.choice(["boolean", "null", *lists])
        return {"type": kind}

    def object(self, depth: int) -> dict[str, Any]:
        """An object, closed or open, with required and optional properties."""
        names = "name age city email tags items price status is_urgent address id notes date"
        chosen = self.dice.sample(names.split(), self.dice.randint(1, 6))
        body: dict[str, Any] = {
            "type": "object",
            "properties": {name: self.any(depth) for name in chosen},
            "required": self.dice.sample(chosen, self.dice.randint(0, len(chosen))),
        }
        more: dict[str, Any] = self.dice.choice(
            [
                {},
                {"additionalProperties": False},
                {"additionalProperties": False},
                {"additionalProperties": self.scalar(), "minProperties": len(chosen) + 1},
                {"minProperties": 1},
                {"maxProperties": len(chosen)},
                {"patternProperties": {"^x_[a-z]+$": self.scalar()}, "required": ["x_a"]},
            ]
        )
        return body | more

    def array(self, depth: int) -> dict[str, Any]:
        """An array with lengths, first items of their own, or no value twice."""
        low = self.dice.randint(0, 4)
        some = {"type": self.dice.choice(["string", "integer", "number"])}
        body: dict[str, Any] = self.dice.choice(
            [
                {"items": self.any(depth)},
                {"items": self.any(depth), "minItems": low, "maxItems": low + 2},
                {"items": some, "minItems": low, "uniqueItems": True},
                {"prefixItems": [self.any(depth), some], "items": False, "minItems": 2},
                {"contains": {"type": "integer", "minimum": 5}},
                {"items": {"enum": ["red", "green", "blue"]}, "uniqueItems": True, "minItems": 3},
            ]
        )
        return {"type": "array"} | body

    def union(self, depth: int) -> dict[str, Any]:
        """One of several schemas; told apart by a constant where only one may fit."""
        if self.dice.random() < 0.5:
            return {"anyOf": [self.any(depth), self.any(depth), {"type": "null"}]}
        kinds = self.dice.sample(["cat", "dog", "bird"], 2)
        return {
            "oneOf": [
                {
                    "type": "object",
                    "properties": {"kind": {"const": kind}, "detail": self.any(depth)},
                    "required": ["kind", "detail"],
                }
                for kind in kinds
            ]
        }

    def both(self, depth: int) -> dict[str, Any]:
        """Two objects' schemas at once."""
        parts = [self.object(depth) for _ in range(2)]
        for i, part in enumerate(parts):
            part["properties"] = {f"{name}_{i}": s for name, s in part["properties"].items()}
            part["required"] = list(part["properties"])
            for key in ("additionalProperties", "minProperties", "maxProperties"):
                part.pop(key, None)
        return {"allOf": parts}


def problems(value: object, schema: dict[str, Any]) -> Iterator[str]:
    """What the reference validator, formats and all, has to say against a value."""
    judge = jsonschema.Draft202012Validator
    for error in judge(schema, format_checker=judge.FORMAT_CHECKER).iter_errors(value):
        yield f"{error.json_path}: {error.message}"


def answered(schema: dict[str, Any], text: str = TEXT, **fields: Any) -> Any:
    """The JSON that the simulator answers with, under a schema."""
    return json.loads(simulate(request(text, json_schema=schema, **fields)).text)


@pytest.mark.parametrize("first", range(0, 400, 20))
def test_answer_fits_a_random_schema(first: int) -> None:
    """Whatever the schema, the reference validator accepts the answer: 20 schemas at a time."""
    for seed in range(first, first + 20):
        schema = Schemas(seed).schema()
        assert list(problems(answered(schema), schema)) == [], f"seed {seed}"


SHAPES = [
    # The first four stand in notebook 00, whose outputs are compared.
    ("Why is the sky blue?", "Here a model would answer: “Why is the sky blue?” This text comes "
     "from the course's simulator, which knows no facts."),
    ("Name three rivers.", "1. River 1\n2. River 2\n3. River 3"),
    ("What is 12 * 7?", "12 * 7 = 84"),
    ("Is water wet?", "Yes."),
    ("What is four plus five?", "4 + 5 = 9"),
    ("What is 2 + 2? Just the number.", "4"),
    ("What is the square root of 64?", "√64 = 8"),
    ("Count from 1 to 5.", "1, 2, 3, 4, 5"),
    ("Reply with exactly: Paris", "Paris"),
    ("Say this is a test", "this is a test"),
    ("Classify as positive, negative or neutral: I love it!", "positive"),
    ("Is this review positive or negative? The food was awful.", "negative"),
    ("Classify as billing, technical or account: I cannot open my account", "account"),
    ("Translate to French: Good morning", "[French] Good morning"),
    ("Summarize: The first point. The second point.", "The first point."),
    ("Two tips for sleep", "1. Tips for sleep 1\n2. Tips for sleep 2"),
    ("Give me 2 tips, as bullets", "- Tip 1\n- Tip 2"),
    ("Extract the names from this text: Ada met Bob in Paris.", "Ada and Bob"),
    ("Answer yes or no: is it late?", "Yes"),
    ("How many r's are in strawberry?", "3: the letter r in “strawberry”, counted by a simulator."),
    ("Which one?\nA) red\nB) blue", "A"),
    ("Write code that adds two numbers", "```python\ndef adds_two_numbers(value):\n"
     '    """To do: adds two numbers."""\n    return value\n```'),
    ("What is Rust, in one word?", "Simulated."),
]  # fmt: skip


@pytest.mark.parametrize(("question", "answer"), SHAPES)
def test_text_has_the_shape_of_the_question(question: str, answer: str) -> None:
    """A list, a number, a label, code, a translation: the form follows the question."""
    assert simulate(request(question)).text == answer


@pytest.mark.parametrize(
    ("system", "answer"),
    [
        ("Answer in one word.", "Simulated."),
        ("Answer in 3 words.", "Here a model"),
        ("Answer in one short sentence.", "Here a model would answer: “What is Rust?”"),
        ("Always answer in French.", "[French] Here a model would answer: “What is Rust?” This "
         "text comes from the course's simulator, which knows no facts."),
        ("Use lower case, in 3 words.", "here a model"),
        ("Use upper case, in 3 words.", "HERE A MODEL"),
        ("You are a pirate. Answer in 3 words.", "Here a model"),
        ("You translate to German.", "[German] What is Rust?"),
        ('Start each answer with "Ahoy" and answer in 3 words.', "Ahoy Here a model"),
    ],
)  # fmt: skip
def test_system_prompt_is_honoured(system: str, answer: str) -> None:
    """Length, case, language and opening are as the system prompt wants; a persona is not acted."""
    assert simulate(request("What is Rust?", system)).text == answer


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is my name?", "Your name is Ada: it says so earlier in these messages."),
        ("What do I like?", "You like green tea: it says so earlier in these messages."),
        (
            "What is my age?",
            "I cannot know your age: none of the messages in this request says it.",
        ),
        ("What did I ask first?", "You asked: “My name is Ada and I like green tea.”"),
    ],
)
def test_conversation_is_remembered(question: str, answer: str) -> None:
    """What the request's own messages say is known, and nothing else."""
    told = (Message("user", "My name is Ada and I like green tea."), Message("assistant", "Hi."))
    assert simulate(Request("m", (*told, Message("user", question)))).text == answer


ENTITIES = "Return JSON with keys: persons (list), organizations (list), locations (list)"
PYTHON = "Guido van Rossum created Python at CWI in Amsterdam."


@pytest.mark.parametrize(
    ("system", "question"),
    [
        (ENTITIES, PYTHON),
        ("", f"Extract the entities. {ENTITIES}\n\n{PYTHON}"),
        ("", f"Extract the entities from: '{PYTHON}' {ENTITIES}"),
    ],
)
def test_json_mode_takes_the_keys_from_the_prompt(system: str, question: str) -> None:
    """The named keys are filled with the names of the text, wherever the keys are named."""
    answer = simulate(request(question, system, json_mode=True)).text
    assert json.loads(answer) == {
        "persons": ["Guido van Rossum"],
        "organizations": ["CWI"],
        "locations": ["Amsterdam"],
    }


@pytest.mark.parametrize(
    ("question", "value"),
    [
        ('Give name and age as JSON: "John is 30 years old"', {"name": "John", "age": 30}),
        ('Return {"mood": "positive|negative", "is_urgent": true} as JSON. Text: I hate it!',
         {"mood": "negative", "is_urgent": False}),
        ("Return JSON with fields:\n- name: string\n- age: integer\n\nAda is 36.",
         {"name": "Ada", "age": 36}),
        ("What is the square root of 64? Answer with a JSON object with the key `result`.",
         {"result": 8}),
        ("Say hello as JSON", {"answer": "hello as JSON"}),
    ],
)  # fmt: skip
def test_json_mode_types_its_values(question: str, value: dict[str, Any]) -> None:
    """Hints and names of keys decide between text, number, boolean and list."""
    assert json.loads(simulate(request(question, json_mode=True)).text) == value


PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer"},
        "employer": {"type": "string"},
        "city": {"type": "string"},
        "email": {"type": "string", "format": "email"},
        "order_id": {"type": "string"},
        "price": {"type": "number"},
        "met_on": {"type": "string", "format": "date"},
        "is_urgent": {"type": "boolean"},
        "nickname": {"type": ["string", "null"]},
    },
}


def test_schema_takes_its_values_from_the_text() -> None:
    """Fields find their names, numbers and dates in the text; what it lacks is null."""
    assert answered(PERSON) == {
        "name": "Ada Lovelace",
        "age": 36,
        "employer": "Acme Corp",
        "city": "London",
        "email": "ada@example.org",
        "order_id": "order-123",
        "price": 30.5,
        "met_on": "2024-05-01",
        "is_urgent": True,
        "nickname": None,
    }


def test_fillers_say_that_they_are_simulated() -> None:
    """Where the text has nothing for a required field, no fact is made up."""
    schema = {"type": "object", "properties": {"biography": {"type": "string"}}}
    assert answered(schema, "Hello") == {"biography": "simulated biography"}


def test_rows_are_found() -> None:
    """A list of objects has one for each piece of the text that fills it."""
    item = {
        "type": "object",
        "properties": {"quantity": {"type": "integer"}, "price": {"type": "number"}},
        "required": ["quantity", "price"],
    }
    schema = {"type": "object", "properties": {"items": {"type": "array", "items": item}}}
    assert answered(schema, "We bought 3 chairs at $100, 2 tables at $450.25.")["items"] == [
        {"quantity": 3, "price": 100},
        {"quantity": 2, "price": 450.25},
    ]


def test_recursion_ends() -> None:
    """A schema that refers to itself gets a value that ends."""
    node = {
        "type": "object",
        "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
        "required": ["next"],
    }
    schema = {"$ref": "#/$defs/node", "$defs": {"node": node}}
    assert list(problems(answered(schema), schema)) == []


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"$ref": "#"},
        {"$ref": "#/nowhere"},
        {"type": "string", "pattern": "(", "minLength": 3},
        {"type": "object", "required": ["a"], "properties": {"a": False}},
        {"type": "array", "items": {"enum": [1]}, "uniqueItems": True, "minItems": 9},
        {"type": 7, "enum": "x", "properties": []},
    ],
)
def test_a_schema_that_nothing_fits_still_gets_json(schema: Any) -> None:
    """A hopeless schema ends in some JSON, not in an error or a hang."""
    json.loads(simulate(request("Hello", json_schema=schema)).text)


def tool(name: str, description: str, required: bool = True, **properties: Any) -> Tool:
    """A tool whose arguments are all required, or all optional."""
    schema = {"type": "object", "properties": properties}
    return Tool(name, description, schema | ({"required": list(properties)} if required else {}))


STRING, NUMBER, INTEGER = {"type": "string"}, {"type": "number"}, {"type": "integer"}
UNIT = {"type": "string", "enum": ["celsius", "fahrenheit"]}
DATE = {"type": "string", "format": "date"}
WEATHER = Tool(
    "get_weather",
    "Get the current weather in a city.",
    {
        "type": "object",
        "properties": {"location": STRING, "unit": UNIT},
        "required": ["location"],
    },
)
TOOLS = (
    WEATHER,
    tool("get_time", "Get the current time in a city", timezone=STRING),
    tool("calculator", "Evaluate a mathematical expression", expression=STRING),
    tool("search_web", "Search the web", False, query=STRING, max_results=INTEGER),
    tool("send_email", "Send an email to a person", to=STRING, subject=STRING, body=STRING),
    tool("convert_currency", "Convert an amount of money", amount=NUMBER, from_currency=STRING,
         to_currency=STRING),
    tool("book_flight", "Book a flight", False, origin=STRING, destination=STRING, date=DATE,
         passengers=INTEGER),
    tool("set_light", "Turn a light on or off", False, room=STRING, on={"type": "boolean"},
         brightness=INTEGER),
    tool("add_tags", "Add tags to an order", False, order_id=STRING,
         tags={"type": "array", "items": STRING}),
    tool("multiply", "Multiply two numbers", a=INTEGER, b=INTEGER),
)  # fmt: skip


def calls(asked: Request) -> list[tuple[str, Any]]:
    """The names and arguments of the calls in an answer."""
    choice = simulate(asked)
    assert choice.finish_reason == ("tool_calls" if choice.tool_calls else "stop")
    return [(call.name, json.loads(call.arguments)) for call in choice.tool_calls]


@pytest.mark.parametrize(
    ("question", "wanted"),
    [
        ("What's the weather in Amsterdam and Tokyo?",
         [("get_weather", {"location": "Amsterdam"}), ("get_weather", {"location": "Tokyo"})]),
        ("weather in paris please", [("get_weather", {"location": "paris"})]),
        ("Is it hot in Oslo, in fahrenheit?",
         [("get_weather", {"location": "Oslo", "unit": "fahrenheit"})]),
        ("What is the weather like in New York? Also what time is it there now?",
         [("get_weather", {"location": "New York"}), ("get_time", {"timezone": "New York"})]),
        ("What time is it in Tokyo and what is the weather in Berlin?",
         [("get_time", {"timezone": "Tokyo"}), ("get_weather", {"location": "Berlin"})]),
        ("What is 12 - 30?", [("calculator", {"expression": "12 - 30"})]),
        ("What is 1231 times 2331?", [("multiply", {"a": 1231, "b": 2331})]),
        ("Search for offline LLM mocks", [("search_web", {"query": "offline LLM mocks"})]),
        ("Convert 100 USD to EUR", [("convert_currency",
          {"amount": 100, "from_currency": "USD", "to_currency": "EUR"})]),
        ("Send an email to bob@example.com with subject 'Hi'", [("send_email",
          {"to": "bob@example.com", "subject": "Hi", "body": "simulated body"})]),
        ("Book a flight from Paris to Rome on 2026-05-01 for 2 passengers", [("book_flight",
          {"origin": "Paris", "destination": "Rome", "date": "2026-05-01", "passengers": 2})]),
        ("Turn off the light in the kitchen", [("set_light", {"room": "kitchen", "on": False})]),
        ("Add to order-123 the tags: red, blue and green", [("add_tags",
          {"order_id": "order-123", "tags": ["red", "blue", "green"]})]),
        ("Hello", []),
        ("Why is the sky blue?", []),
        ("Write a haiku about the weather.", []),
    ],
)  # fmt: skip
def test_tool_is_picked_and_its_arguments_filled(question: str, wanted: list[Any]) -> None:
    """The question's words pick the tool, its names and numbers fill the arguments."""
    assert calls(request(question, tools=TOOLS)) == wanted


def test_a_sum_is_not_added_to_a_list() -> None:
    """The plus sign asks for the tool that works sums out, not for one that adds an entry."""
    deadline = tool("add_deadline", "Note a deadline", what=STRING, day=DATE)
    calculate = tool("calculate", "Work out a sum", expression=STRING)
    asked = request("What is 2 + 2?", tools=(deadline, calculate))
    assert calls(asked) == [("calculate", {"expression": "2 + 2"})]


def test_tool_choice_is_honoured() -> None:
    """None calls nothing, required calls something, a name calls that one."""
    asked = request("What is the weather in Rome?", tools=TOOLS)
    assert calls(replace(asked, tool_choice="none")) == []
    assert calls(replace(asked, tool_choice="auto")) == [("get_weather", {"location": "Rome"})]
    assert calls(replace(asked, tool_choice="get_time")) == [("get_time", {"timezone": "Rome"})]
    assert len(calls(request("Hello", tools=TOOLS, tool_choice="required"))) == 1


def test_calls_come_one_at_a_time_where_they_must() -> None:
    """Without parallel calls the second city is asked for after the first has its result."""
    single: dict[str, Any] = {"tools": TOOLS, "parallel_tool_calls": False}
    asked = request("What is the weather in Amsterdam and Tokyo?", **single)
    first = calls(asked)
    assert first == [("get_weather", {"location": "Amsterdam"})]
    made = ToolCall("a", "get_weather", json.dumps(first[0][1]))
    told = (Message("assistant", "", (made,)), Message("tool", "rain", tool_call_id="a"))
    later = replace(asked, messages=(*asked.messages, *told))
    assert calls(later) == [("get_weather", {"location": "Tokyo"})]


def test_anthropics_switch_for_parallel_calls_is_kept() -> None:
    """disable_parallel_tool_use allows one call where two things are asked."""
    body = {
        "model": default_model("anthropic").id,
        "max_tokens": 99,
        "messages": [{"role": "user", "content": "What is the weather in Amsterdam and Tokyo?"}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    }
    asked = AnthropicMessages().read_request(body)
    assert len(calls(replace(asked, tools=tuple(TOOLS)))) == 1
    both = AnthropicMessages().read_request(body | {"tool_choice": {"type": "auto"}})
    assert len(calls(replace(both, tools=tuple(TOOLS)))) == 2


def test_a_follow_up_asks_the_same_tool() -> None:
    """A question that leaves out what it is about means what the one before it meant."""
    made = ToolCall("a", "get_weather", '{"location":"Oslo"}')
    messages = (
        Message("user", "What is the weather in Oslo?"),
        Message("assistant", "", (made,)),
        Message("tool", "rain", tool_call_id="a"),
        Message("assistant", "Rain."),
        Message("user", "And in Rome?"),
    )
    assert calls(Request("m", messages, tools=TOOLS)) == [("get_weather", {"location": "Rome"})]


@pytest.mark.parametrize(
    ("question", "arguments", "result", "answer"),
    [
        ("What is the weather in Oslo?", {"location": "Oslo"}, '{"temp": 18, "sky": "clear"}',
         "Oslo: temp is 18 and sky is clear."),
        ("What is the capital of the UK? Use the tool.", {"country": "UK"}, "London",
         "The capital of the UK is London."),
        ("What is the weather in Oslo?", {"location": "Oslo"}, '{"error": "city not found"}',
         "The tool get_weather reported an error: city not found. "
         "Without its result I cannot answer."),
        ("What is the weather in Oslo?", {"location": "Oslo"}, "Error: timed out",
         "The tool get_weather reported an error: Error: timed out. "
         "Without its result I cannot answer."),
        ("What is the weather in Oslo?", {"location": "Oslo"}, "[3, 4]", "Oslo: 3 and 4."),
    ],
)  # fmt: skip
def test_answer_is_made_from_the_result(
    question: str, arguments: dict[str, str], result: str, answer: str
) -> None:
    """A tool's result becomes a sentence, and its error is told."""
    made = ToolCall("a", "get_weather", json.dumps(arguments))
    messages = (
        Message("user", question),
        Message("assistant", "", (made,)),
        Message("tool", result, tool_call_id="a"),
    )
    assert simulate(Request("m", messages, tools=TOOLS)).text == answer


def test_result_fills_a_schema() -> None:
    """Structured output after a tool call takes its values from the result."""
    made = ToolCall("a", "get_weather", '{"location":"Oslo"}')
    messages = (
        Message("user", "What is the weather in Oslo?"),
        Message("assistant", "", (made,)),
        Message("tool", '{"temperature": 18, "sky": "clear"}', tool_call_id="a"),
    )
    schema = {"type": "object", "properties": {"sky": STRING, "temperature": NUMBER}}
    choice = simulate(Request("m", messages, tools=TOOLS, json_schema=schema))
    assert json.loads(choice.text) == {"sky": "clear", "temperature": 18}


@pytest.mark.parametrize("first", range(1000, 1100, 20))
def test_arguments_fit_a_random_schema(first: int) -> None:
    """A forced call's arguments fit the tool's schema, whatever it is: 20 schemas at a time."""
    for seed in range(first, first + 20):
        schema = Schemas(seed).schema()
        asked = request(TEXT, tools=(Tool("save", "Save", schema),), tool_choice="save")
        for _, arguments in calls(asked):
            assert list(problems(arguments, schema)) == [], f"seed {seed}"


def real_requests() -> list[Request]:
    """Every recorded call of a model that was answered."""
    readers = {
        "/chat/completions": OPENAI.read_request,
        "/responses": OpenAIResponses().read_request,
        "/messages": AnthropicMessages().read_request,
        "enerateContent": lambda body: gemini_request.read_request(body, "m", streamed=False),
    }
    return [
        read({"model": "m"} | exchange.request_json())
        for exchange in all_exchanges()
        for end, read in readers.items()
        if exchange.row["endpoint"].endswith(end) and exchange.status == 200 and exchange.request
    ]


@needs_exchanges
def test_arguments_fit_the_schemas_of_real_tools() -> None:
    """For every tool in real traffic, asked for by words or by name, the arguments fit."""
    count = 0
    for real in real_requests():
        for choice in ("auto", "required", *(tool.name for tool in real.tools)):
            schemas = {tool.name: dict(tool.parameters) for tool in real.tools}
            for name, arguments in calls(replace(real, tool_choice=choice)):
                assert list(problems(arguments, schemas[name])) == []
                count += 1
    assert count > 30


@needs_exchanges
def test_answers_fit_the_schemas_of_real_requests() -> None:
    """Structured output asked for in real traffic is answered with JSON that fits."""
    asked = [real for real in real_requests() if real.json_schema is not None]
    assert asked
    for real in asked:
        answer = json.loads(simulate(replace(real, tools=())).text)
        assert list(problems(answer, dict(real.json_schema or {}))) == []


@pytest.mark.parametrize("text", [TEXT, "Why?", "Name three rivers.", ""])
@pytest.mark.parametrize("fields", [{}, {"tools": TOOLS}, {"json_schema": PERSON}])
def test_the_same_request_gets_the_same_answer(text: str, fields: dict[str, Any]) -> None:
    """Nothing but the request decides, and each choice has its own number."""
    asked = request(text, **fields)
    assert simulate(asked, 1) == simulate(asked, 1)


def test_temperature_decides_whether_choices_differ() -> None:
    """Several choices differ in wording; at temperature 0 they are one and the same."""
    hot, cold = request("Why is the sky blue?"), request("Why is the sky blue?", temperature=0)
    assert len({simulate(hot, index).text for index in range(3)}) == 3
    assert len({simulate(cold, index).text for index in range(3)}) == 1


@pytest.mark.parametrize("sign", ["a", "A ", "a-", "1 ", "(", "x@", '"', "- a: ", "\n", "in A "])
def test_a_long_text_is_answered_soon(sign: str) -> None:
    """Half a million hostile characters take no time that a server would notice."""
    asked = request(sign * 250_000, sign * 250_000, tools=TOOLS, json_schema=PERSON)
    started = time.process_time()
    simulate(asked)
    assert time.process_time() - started < 2


@pytest.fixture(scope="module")
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


def openai_tools() -> list[Any]:
    """The tools in OpenAI's form."""
    return [
        {
            "type": "function",
            "function": {"name": t.name, "description": t.description, "parameters": t.parameters},
        }
        for t in TOOLS
    ]


def test_openai_runs_the_tool_loop(session: offline.Session) -> None:
    """Two calls come with ids of their own, and their results end in an answer."""
    client, model = openai.OpenAI(max_retries=0), default_model("openai").id
    messages: list[Any] = [{"role": "user", "content": "What's the weather in Oslo and Rome?"}]
    first = client.chat.completions.create(model=model, messages=messages, tools=openai_tools())
    message = first.choices[0].message
    assert first.choices[0].finish_reason == "tool_calls"
    assert [json.loads(call.function.arguments)["location"] for call in message.tool_calls] == [
        "Oslo",
        "Rome",
    ]
    messages.append(message)
    for call in message.tool_calls:
        messages.append({"role": "tool", "tool_call_id": call.id, "content": '{"temp": 20}'})
    last = client.chat.completions.create(model=model, messages=messages, tools=openai_tools())
    assert last.choices[0].message.content == "Oslo: temp is 20. Rome: temp is 20."


def test_openai_parses_structured_output(session: offline.Session) -> None:
    """The SDK's own strict parser makes a model of the answer."""
    import pydantic

    class Person(pydantic.BaseModel):
        name: str
        age: int
        nickname: str | None

    reply = openai.OpenAI(max_retries=0).chat.completions.parse(
        model=default_model("openai").id,
        messages=[{"role": "user", "content": "Ada is 36 years old."}],
        response_format=Person,
    )
    assert reply.choices[0].message.parsed == Person(name="Ada", age=36, nickname=None)


def test_anthropic_runs_the_tool_loop(session: offline.Session) -> None:
    """A tool_use block comes back with its input, and its result ends in an answer."""
    client = anthropic.Anthropic(max_retries=0)
    tools: Any = [
        {"name": t.name, "description": t.description, "input_schema": t.parameters} for t in TOOLS
    ]
    ask: dict[str, Any] = {
        "model": default_model("anthropic").id,
        "max_tokens": 200,
        "tools": tools,
    }
    messages: list[Any] = [{"role": "user", "content": "Convert 20 EUR to USD"}]
    first = client.messages.create(messages=messages, **ask)
    use = next(block for block in first.content if block.type == "tool_use")
    assert first.stop_reason == "tool_use"
    assert use.input == {"amount": 20, "from_currency": "EUR", "to_currency": "USD"}
    result = {"type": "tool_result", "tool_use_id": use.id, "content": '{"amount": 21.6}'}
    messages += [
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [result]},
    ]
    last = client.messages.create(messages=messages, **ask)
    assert last.content[-1].text == "20, EUR, USD: amount is 21.6."


def test_anthropic_parses_structured_output(session: offline.Session) -> None:
    """The SDK's own parser makes a model of the answer."""
    import pydantic

    class Person(pydantic.BaseModel):
        name: str
        age: int

    message = anthropic.Anthropic(max_retries=0).messages.parse(
        model=default_model("anthropic").id,
        max_tokens=100,
        messages=[{"role": "user", "content": "Ada is 36 years old."}],
        output_format=Person,
    )
    assert message.parsed_output == Person(name="Ada", age=36)


def test_simulated_answers_keep_the_limits(session: offline.Session) -> None:
    """Max tokens and stop sequences cut a simulated answer on both providers."""
    messages: Any = [{"role": "user", "content": "Name nine rivers that nobody recorded."}]
    client, model = openai.OpenAI(max_retries=0), default_model("openai").id
    cut = client.chat.completions.create(model=model, messages=messages, max_completion_tokens=5)
    assert (cut.choices[0].finish_reason, cut.usage.completion_tokens) == ("length", 5)
    ended = client.chat.completions.create(model=model, messages=messages, stop=["3."])
    assert ended.choices[0].message.content.splitlines()[-1].startswith("2.")
    message = anthropic.Anthropic(max_retries=0).messages.create(
        model=default_model("anthropic").id, max_tokens=5, messages=messages
    )
    assert message.stop_reason == "max_tokens"
    message = anthropic.Anthropic(max_retries=0).messages.create(
        model=default_model("anthropic").id,
        max_tokens=500,
        messages=messages,
        stop_sequences=["3."],
    )
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "3.")


def test_choices_differ_through_the_server(session: offline.Session) -> None:
    """n choices are worded differently, and the same request gets the same three again."""
    ask: dict[str, Any] = {
        "model": default_model("openai").id,
        "messages": [{"role": "user", "content": "Why is the sea salt, do you think?"}],
        "n": 3,
    }
    client = openai.OpenAI(max_retries=0)
    answers = [
        [choice.message.content for choice in client.chat.completions.create(**ask).choices]
        for _ in range(2)
    ]
    assert len(set(answers[0])) == 3
    assert answers[0] == answers[1]


ODD_PARTS = (
    None, True, 0, -1, 1.5, 10**9, "", "x", "#/nope", "object", [], [1], {}, {"$ref": "#"},
    {"$ref": 3}, {"type": 7}, {"enum": 3}, {"enum": []}, {"required": "a"}, {"properties": [1]},
)  # fmt: skip
WHOLE = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "enum": ["Paris", "Rome"]},
        "n": {"type": "integer", "minimum": 1, "maximum": 5, "multipleOf": 2},
        "items": {"type": "array", "items": {"$ref": "#/$defs/X"}, "minItems": 1},
        "when": {"type": "string", "format": "date", "pattern": "^\\d{4}"},
    },
    "required": ["city", "n"],
    "$defs": {"X": {"type": "object", "properties": {"a": {"type": ["string", "null"]}}}},
}


@pytest.mark.parametrize("seed", range(0, 400, 100))
def test_a_schema_with_wrong_parts_does_no_harm(seed: int) -> None:
    """Whatever stands in a schema, as tool or as answer, the simulator comes to an end."""
    question = (Message("user", "Weather in Paris for 3 days"),)
    for number in range(seed, seed + 100):
        chance = random.Random(number)
        # The codecs let only objects through; what stands in them may be anything.
        schema = {key: _spoiled(part, chance) for key, part in WHOLE.items()}
        tool = Tool("get_weather", "Get the weather", schema)
        simulate(Request("m", question, tools=(tool,), tool_choice="required"))
        simulate(Request("m", question, json_schema=schema))


def _spoiled(schema: Any, chance: random.Random) -> Any:
    """A copy of a schema in which some parts are replaced by something odd."""
    if chance.random() < 0.12:
        return chance.choice(ODD_PARTS)
    if isinstance(schema, dict):
        return {key: _spoiled(part, chance) for key, part in schema.items()}
    if isinstance(schema, list):
        return [_spoiled(part, chance) for part in schema]
    return schema
