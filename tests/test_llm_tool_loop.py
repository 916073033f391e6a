"""The tool loop over the real stand-in: what runs, what the model is told, and what ends it."""

import asyncio
import contextvars
import functools
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import anthropic
import pydantic
import pytest
import yaml

from course_utils import offline
from course_utils.llm.async_client import AsyncLLMClient
from course_utils.llm.client import LLMClient
from course_utils.llm.errors import MessagesError, SettingError, ToolError, TruncatedError
from course_utils.llm.tool_loop import ToolRound, run_tools, run_tools_async
from course_utils.offline.doors import DOORS
from course_utils.offline.standin import StandIn
from course_utils.wire.catalogue import default_model
from course_utils.wire.request import Tool, ToolCall

PROVIDERS = [door.provider for door in DOORS]
ONE = "What's the weather in Amsterdam?"
TWO = "What's the weather in Amsterdam and Tokyo?"
WEATHER = {
    "Amsterdam": {"temp": 14, "condition": "Cloudy"},
    "Tokyo": {"temp": 22, "condition": "Sunny"},
}


def get_weather(location: str, units: Literal["celsius", "fahrenheit"] = "celsius") -> Any:
    """Get current weather for a location.

    Args:
        location: City name, e.g. Amsterdam.
        units: The scale of the temperature.
    """
    return {"location": location, **WEATHER[location], "units": units}


@pytest.fixture(autouse=True)
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


def sent(session: offline.Session) -> list[Any]:
    """The requests that reached the stand-in."""
    return [entry.request for entry in session.server.log if entry.request]


def answer_with(session: offline.Session, folder: Path, **reply: Any) -> None:
    """Let the stand-in answer the question ONE as it is told here."""
    row = {"messages": [{"user": ONE}], "tools": ["get_weather"], **reply}
    text = yaml.safe_dump({"source": "authored", "written": "DAY", "replies": [row]})
    (folder / "test.yaml").write_text(text.replace("DAY", "2026-11-23"), encoding="utf-8")
    session.server.answers = StandIn(folder=folder)


@pytest.fixture
def recorded(session: offline.Session, tmp_path: Path) -> Callable[..., None]:
    """What lets the stand-in answer the question ONE as a test likes."""
    return functools.partial(answer_with, session, tmp_path)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_question_is_answered_from_the_tool(session: offline.Session, provider: str) -> None:
    """On every provider: the model asks, the function runs, the answer has what it returned."""
    answer = run_tools(LLMClient(provider), ONE, [get_weather])
    assert [(run.call.name, run.arguments["location"], run.outcome) for run in answer.runs] == [
        ("get_weather", "Amsterdam", "ran")
    ]
    assert "14" in answer.content
    assert [len(entry.runs) for entry in answer.rounds] == [1, 0]
    assert [message.role for message in answer.messages] == [
        "user", "assistant", "tool", "assistant",
    ]  # fmt: skip
    assert len(sent(session)) == 2


@pytest.mark.parametrize("provider", PROVIDERS)
def test_calls_of_one_round_run_side_by_side(provider: str) -> None:
    """Two cities are two calls in one round, and neither function waits for the other."""
    both = threading.Barrier(2, timeout=20)

    def weather(location: str) -> str:
        """Get current weather for a location."""
        both.wait()
        return json.dumps(WEATHER[location])

    answer = run_tools(LLMClient(provider), TWO, [weather])
    assert [run.arguments["location"] for run in answer.rounds[0].runs] == ["Amsterdam", "Tokyo"]
    assert "14" in answer.content
    assert "22" in answer.content


@pytest.mark.parametrize("provider", PROVIDERS)
def test_async_calls_run_side_by_side(provider: str) -> None:
    """Coroutine functions are awaited together, and plain ones run in threads beside them."""

    async def ask() -> Any:
        both = asyncio.Barrier(2)

        async def weather(location: str) -> dict[str, Any]:
            """Get current weather for a location."""
            await asyncio.wait_for(both.wait(), 20)
            return WEATHER[location]

        async def allow(call: ToolCall, arguments: Any) -> bool:
            return "location" in arguments

        return await run_tools_async(AsyncLLMClient(provider), TWO, [weather], approve=allow)

    answer = asyncio.run(ask())
    assert [run.outcome for run in answer.runs] == ["ran", "ran"]
    assert "14" in answer.content
    assert "22" in answer.content


def test_a_plain_function_does_not_hold_up_the_loop() -> None:
    """While a plain function waits in its thread, other tasks of the event loop go on."""

    async def ask() -> Any:
        loop, ticked = asyncio.get_running_loop(), threading.Event()

        def weather(location: str) -> bool:
            """Get current weather for a location."""
            loop.call_soon_threadsafe(ticked.set)
            return ticked.wait(20)

        return await run_tools_async(AsyncLLMClient(), ONE, [weather])

    assert asyncio.run(ask()).runs[0].text == "true"


def test_tools_that_must_not_run_side_by_side_do_not() -> None:
    """With at_once=1 all calls run one after the other, in the caller's own thread."""
    threads = []

    def weather(location: str) -> str:
        """Get current weather for a location."""
        threads.append(threading.current_thread())
        return location

    run_tools(LLMClient(), TWO, [weather], at_once=1)
    assert threads == [threading.current_thread()] * 2


def test_a_tools_thread_knows_the_callers_context() -> None:
    """What a program keeps in context variables is there inside the tools too."""
    user = contextvars.ContextVar("user", default="nobody")
    user.set("Ada")

    def weather(location: str) -> str:
        """Get current weather for a location."""
        return f"{location} for {user.get()}"

    answer = run_tools(LLMClient(), TWO, [weather])
    assert [run.text for run in answer.runs] == ["Amsterdam for Ada", "Tokyo for Ada"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_a_tool_raises_is_told_to_the_model(session: offline.Session, provider: str) -> None:
    """The model learns of the failure as the call's result; the caller has the traceback."""
    answer = run_tools(LLMClient(provider), "What's the weather in Atlantis?", [get_weather])
    run = answer.runs[0]
    assert (run.outcome, run.text) == (
        "failed",
        "Error: get_weather failed with KeyError: 'Atlantis'",
    )
    assert run.error is not None
    assert run.error.__traceback__ is not None
    assert run.text in sent(session)[1].messages[-1].text
    assert "error" in answer.content


def test_anthropic_is_told_that_a_result_is_an_error(session: offline.Session) -> None:
    """The format's own field says so; a result that is none does not carry it."""
    both = "What's the weather in Amsterdam and Atlantis?"
    run_tools(LLMClient("anthropic"), both, [get_weather])
    results = [message for message in sent(session)[1].messages if message.role == "tool"]
    assert [message.is_error for message in results] == [False, True]


def test_what_a_tool_raises_can_end_the_loop() -> None:
    """With on_error="raise" it is a ToolError that keeps the tool's own error as its cause."""
    with pytest.raises(ToolError, match="Atlantis") as caught:
        run_tools(LLMClient(), "What's the weather in Atlantis?", [get_weather], on_error="raise")
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [("it costs too much", "it costs too much"), (False, "the user does not"), (None, "the user")],
)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_refused_call_never_runs(provider: str, verdict: Any, reason: str) -> None:
    """Whatever your code answers but True refuses the call, and the model is told so."""
    ran = []

    def weather(location: str) -> str:
        """Get current weather for a location."""
        ran.append(location)
        return "sunny"

    answer = run_tools(LLMClient(provider), ONE, [weather], approve=lambda call, given: verdict)
    assert not ran
    assert answer.runs[0].outcome == "refused"
    assert reason in answer.runs[0].text
    assert "refused" in answer.content


def test_nothing_runs_before_all_calls_are_decided_on() -> None:
    """Your code sees every call of a round, with its checked arguments, before the first runs."""
    seen: list[str] = []

    def weather(location: str) -> str:
        """Get current weather for a location."""
        seen.append(f"ran {location}")
        return location

    def allow(call: ToolCall, arguments: Any) -> bool:
        seen.append(f"asked {arguments['location']}")
        return bool(arguments["location"] == "Tokyo")

    run_tools(LLMClient(), TWO, [weather], approve=allow)
    assert seen == ["asked Amsterdam", "asked Tokyo", "ran Tokyo"]


def test_the_last_round_runs_nothing(session: offline.Session) -> None:
    """At the limit of rounds nobody would read a result: no tool runs, and the trace is there."""
    rounds: list[ToolRound] = []
    ran: list[str] = []

    def weather(location: str) -> str:
        """Get current weather for a location."""
        ran.append(location)
        return location

    with pytest.raises(ToolError, match="still asks for weather after 1 rounds: raise max_rounds"):
        run_tools(LLMClient(), ONE, [weather], max_rounds=1, on_round=rounds.append)
    assert not ran
    assert [entry.result.tool_calls[0].name for entry in rounds] == ["weather"]
    assert len(sent(session)) == 1


def test_anthropics_runner_ends_without_a_word() -> None:
    """Where ours raises, the SDK's tool runner runs the tool and returns no answer."""
    ran = []

    @anthropic.beta_tool
    def weather(location: str) -> str:
        """Get current weather for a location."""
        ran.append(location)
        return "sunny"

    last = (
        anthropic.Anthropic()
        .beta.messages.tool_runner(
            model=default_model("anthropic").id,
            max_tokens=200,
            messages=[{"role": "user", "content": ONE}],
            tools=[weather],
            max_iterations=1,
        )
        .until_done()
    )
    assert last.stop_reason == "tool_use"
    assert not [block for block in last.content if block.type == "text"]
    assert ran == ["Amsterdam"]


def test_anthropics_runner_agrees_where_both_answer() -> None:
    """With rounds enough, the SDK's tool runner comes to the same answer."""

    @anthropic.beta_tool
    def weather(location: str) -> str:
        """Get current weather for a location."""
        return json.dumps(WEATHER[location])

    theirs = (
        anthropic.Anthropic()
        .beta.messages.tool_runner(
            model=default_model("anthropic").id,
            max_tokens=200,
            messages=[{"role": "user", "content": TWO}],
            tools=[weather],
            # A thread would be held by the server, which the stand-in does not do.
            thread=False,
        )
        .until_done()
    )
    ours = run_tools(LLMClient("anthropic"), TWO, [weather.func], max_tokens=200)
    assert ours.content == theirs.content[0].text


def test_a_forced_call_is_forced_once(session: offline.Session) -> None:
    """tool_choice="required" holds for the first round; then the model may answer."""
    answer = run_tools(LLMClient(), ONE, [get_weather], tool_choice="required")
    assert [request.tool_choice for request in sent(session)] == ["required", None]
    assert "14" in answer.content


def test_a_tool_that_does_not_exist_is_told_to_the_model(recorded: Callable[..., None]) -> None:
    """A name that the model makes up is answered with the names that there are."""
    recorded(tool_calls=[{"id": "call_1", "name": "get_wether", "arguments": {}}])
    run = run_tools(LLMClient(), ONE, [get_weather]).runs[0]
    assert run.outcome == "unknown"
    assert run.text == "Error: there is no tool 'get_wether'. The tools are: get_weather."


def test_arguments_that_do_not_fit_are_told_to_the_model(recorded: Callable[..., None]) -> None:
    """Nothing runs with arguments of the wrong type; the model is told which and why."""
    recorded(tool_calls=[{"id": "call_1", "name": "get_weather", "arguments": {"location": 7}}])
    run = run_tools(LLMClient(), ONE, [get_weather]).runs[0]
    assert run.outcome == "misfit"
    assert "location: Input should be a valid string, not 7" in run.text


def test_a_call_that_was_cut_is_not_run(recorded: Callable[..., None]) -> None:
    """An answer that ends at the token limit inside a call is a TruncatedError."""
    call = {"id": "call_1", "name": "get_weather", "arguments": {"location": "Amsterdam"}}
    recorded(tool_calls=[call], finish_reason="length")
    with pytest.raises(TruncatedError, match="raise max_tokens") as caught:
        run_tools(LLMClient(), ONE, [get_weather])
    assert caught.value.result.tool_calls


def test_tokens_and_cost_are_those_of_all_rounds(session: offline.Session) -> None:
    """The sums are what the server billed, which counts the conversation anew in each round."""
    answer = run_tools(LLMClient("anthropic"), TWO, [get_weather])
    billed = [entry.reply.usage for entry in session.server.log if entry.reply]
    assert len(billed) == 2
    assert answer.usage.prompt_tokens == sum(usage.prompt_tokens for usage in billed)
    assert answer.usage.completion_tokens == sum(usage.completion_tokens for usage in billed)
    costs = [entry.result.cost_usd for entry in answer.rounds]
    assert answer.cost_usd == pytest.approx(sum(cost for cost in costs if cost))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_conversation_goes_on(provider: str) -> None:
    """A question after the answer, with all messages before it, is taken by every provider."""
    client = LLMClient(provider)
    first = run_tools(client, ONE, [get_weather])
    more = [*first.messages, {"role": "user", "content": "And what about Tokyo?"}]
    second = run_tools(client, more, [get_weather])
    assert [run.arguments["location"] for run in second.runs] == ["Tokyo"]
    assert "22" in second.content


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_answer_from_tools_can_have_a_shape(provider: str) -> None:
    """With a schema, the last answer is parsed, and those that ask for tools are left alone."""

    class Report(pydantic.BaseModel):
        location: str
        temp: int

    answer = run_tools(LLMClient(provider), ONE, [get_weather], schema=Report)
    assert isinstance(answer.parsed, Report)
    assert len(answer.runs) == 1


async def get_later(location: str) -> str:
    """Get the weather for a location, later."""
    return location


@pytest.mark.parametrize(
    ("tools", "options", "error", "words"),
    [
        ([Tool("get_weather")], {}, ToolError, "is only described: pass the function"),
        ([get_weather, get_weather], {}, ToolError, "Two tools are named 'get_weather'"),
        ([get_later], {}, ToolError, r"get_later\(\) is a coroutine function.*run_tools_async"),
        ([Tool("f", "", {"type": "obj"})], {"functions": {"f": print}}, ToolError, "'obj'"),
        ([get_weather], {"max_rounds": 0}, SettingError, "max_rounds is 0"),
        ([get_weather], {"at_once": -1}, SettingError, "at_once is -1"),
        ([get_weather], {"on_error": "ignore"}, SettingError, "on_error is 'ignore': choose"),
        ([get_weather], {"temprature": 1}, TypeError, "temprature"),
    ],
)
def test_what_cannot_work_is_refused_before_any_call(
    session: offline.Session, tools: Any, options: Any, error: type[Exception], words: str
) -> None:
    """Nothing is sent, and so nothing is paid, where the tools or the settings are wrong."""
    with pytest.raises(error, match=words):
        run_tools(LLMClient(), ONE, tools, **options)
    assert not sent(session)


def test_messages_of_the_wrong_shape_are_refused() -> None:
    """The error is the client's own."""
    with pytest.raises(MessagesError):
        run_tools(LLMClient(), [{"content": "no role"}], [get_weather])
