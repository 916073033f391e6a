"""The tool loop: the model asks, your code checks, decides and runs, the model goes on.

    run_tools(client, "What's the weather in Amsterdam and Tokyo?", [get_weather])

What professionals use: `client.beta.messages.tool_runner` of the anthropic SDK, and the agent
libraries on top of the others. Ask each of them what this loop answers: does anything run before
your code said yes, what ends it, and where do you see what it cost?
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from course_utils.llm.chat import AsyncChat, Chat, Messages
from course_utils.llm.errors import SettingError, ToolError, TruncatedError
from course_utils.llm.messages import as_messages
from course_utils.llm.result import ChatResult
from course_utils.llm.toolbox import Approve, Toolbox, ToolRun
from course_utils.llm.tools import ToolSource
from course_utils.llm.totals import total_cost_usd, total_usage
from course_utils.wire.reply import Usage
from course_utils.wire.request import Message, ToolCall

MAX_ROUNDS = 8
AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class ToolRound:
    """One answer of the model, and the calls that it asked for; the last round has none."""

    result: ChatResult
    runs: tuple[ToolRun, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What a question with tools came to.

    Attributes:
        rounds: every answer of the model with the calls that it asked for, in order.
        messages: the whole conversation, to go on with.
    """

    rounds: tuple[ToolRound, ...]
    messages: tuple[Message, ...]

    @property
    def result(self) -> ChatResult:
        """The last answer, which asks for no tool."""
        return self.rounds[-1].result

    @property
    def content(self) -> str:
        """The text of the last answer."""
        return self.result.content

    @property
    def parsed(self) -> Any:
        """The object of the last answer, where ``schema`` was among the options."""
        return self.result.parsed

    @property
    def runs(self) -> tuple[ToolRun, ...]:
        """All calls of all rounds, in order."""
        return tuple(run for entry in self.rounds for run in entry.runs)

    @property
    def usage(self) -> Usage:
        """The tokens of all rounds: each sends the whole conversation again."""
        return total_usage([entry.result for entry in self.rounds])

    @property
    def cost_usd(self) -> float | None:
        """The cost of all rounds; None where that of one is not known."""
        return total_cost_usd([entry.result for entry in self.rounds])


OnRound = Callable[[ToolRound], object]


def run_tools(
    client: Chat,
    messages: Messages,
    tools: Sequence[ToolSource],
    *,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    approve: Approve | None = None,
    max_rounds: int = MAX_ROUNDS,
    at_once: int = AT_ONCE,
    on_error: Literal["tell", "raise"] = "tell",
    on_round: OnRound | None = None,
    **options: Any,
) -> ToolAnswer:
    """Ask a model that may use tools, until it answers.

    Args:
        client: an `LLMClient`, or whatever else can chat.
        messages: the question, or the conversation so far.
        tools: typed functions, or descriptions whose work is done by ``functions``, by name.
        functions: see ``tools``.
        approve: decides on each call before it runs. A refusal is told to the model.
        max_rounds: how often the model is asked at most.
        at_once: how many calls of one round run side by side, each in its thread; 1 for tools that
            must not.
        on_error: what a tool raises is told to the model ("tell"), or ends the loop ("raise").
        on_round: called after every round, so that you have the trace however the loop ends.
        options: go to ``client.chat``. A ``tool_choice`` that forces a call does so once.

    Raises:
        ToolError: a tool cannot be described or has no function, the model still asks for calls
            in the last round (they are not run), or a tool raised and ``on_error`` is "raise".
        TruncatedError: an answer was cut at the token limit in the middle of a call.
        SettingError: a limit below 1, or an unknown ``on_error``.
    """
    _check(max_rounds, at_once, on_error)
    toolbox = Toolbox(tools, functions, approve)
    toolbox.require_sync()
    loop = _Loop(messages, options, max_rounds, on_error, on_round)
    while True:
        result = client.chat(loop.messages, tools=toolbox.tools, **loop.options)
        calls = loop.wanted(result)
        loop.add(result, _run_all(toolbox, calls, at_once))
        if not calls:
            return loop.answer()


async def run_tools_async(
    client: AsyncChat,
    messages: Messages,
    tools: Sequence[ToolSource],
    *,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    approve: Approve | None = None,
    max_rounds: int = MAX_ROUNDS,
    at_once: int = AT_ONCE,
    on_error: Literal["tell", "raise"] = "tell",
    on_round: OnRound | None = None,
    **options: Any,
) -> ToolAnswer:
    """Do what `run_tools` does, while other work goes on.

    Functions and ``approve`` may be coroutine functions; plain ones run in a thread.
    """
    _check(max_rounds, at_once, on_error)
    toolbox = Toolbox(tools, functions, approve)
    loop = _Loop(messages, options, max_rounds, on_error, on_round)
    while True:
        result = await client.chat(loop.messages, tools=toolbox.tools, **loop.options)
        calls = loop.wanted(result)
        loop.add(result, await _run_all_async(toolbox, calls, at_once))
        if not calls:
            return loop.answer()


class _Loop:
    """The conversation as it grows, and what ends it."""

    def __init__(
        self,
        messages: Messages,
        options: Mapping[str, Any],
        max_rounds: int,
        on_error: str,
        on_round: OnRound | None,
    ) -> None:
        self.messages = list(as_messages(messages))
        self.options = dict(options)
        self._rounds: list[ToolRound] = []
        self._max_rounds, self._on_error, self._on_round = max_rounds, on_error, on_round

    def wanted(self, result: ChatResult) -> tuple[ToolCall, ...]:
        """The calls to run now."""
        calls = result.tool_calls
        if not calls:
            return ()
        if result.finish_reason == "length":
            raise TruncatedError(
                f"The answer of {result.model} was cut in the middle of a tool call, which was not "
                f"run: raise max_tokens.",
                result,
            )
        if len(self._rounds) + 1 >= self._max_rounds:
            self._note(ToolRound(result))
            raise ToolError(
                f"{result.model} still asks for {', '.join(call.name for call in calls)} after "
                f"{self._max_rounds} rounds: raise max_rounds, or see with on_round what keeps it "
                f"asking."
            )
        return calls

    def add(self, result: ChatResult, runs: Sequence[ToolRun]) -> None:
        """Note a round, and go on from it."""
        self.messages += [result.message, *(run.message for run in runs)]
        self._note(ToolRound(result, tuple(runs)))
        if self.options.get("tool_choice") not in (None, "auto", "none"):
            # Forced in every round, a model could never stop to answer.
            del self.options["tool_choice"]
        failed = next((run for run in runs if run.error), None)
        if failed and self._on_error == "raise":
            raise ToolError(
                f"The tool {failed.call.name}({failed.call.arguments}) raised "
                f"{type(failed.error).__name__}: {failed.error}. Mend the tool, or let the model "
                f"know of it with on_error='tell'."
            ) from failed.error

    def answer(self) -> ToolAnswer:
        """What it all came to."""
        return ToolAnswer(tuple(self._rounds), tuple(self.messages))

    def _note(self, entry: ToolRound) -> None:
        self._rounds.append(entry)
        if self._on_round:
            self._on_round(entry)


def _run_all(toolbox: Toolbox, calls: Sequence[ToolCall], at_once: int) -> list[ToolRun]:
    """All are decided on, one after the other, before the first runs."""
    decided = [toolbox.decide(call) for call in calls]
    if len(decided) < 2 or at_once == 1:
        return [toolbox.run(run) for run in decided]
    with ThreadPoolExecutor(min(len(decided), at_once), "tool") as pool:
        waiting = [pool.submit(contextvars.copy_context().run, toolbox.run, run) for run in decided]
        return [future.result() for future in waiting]


async def _run_all_async(
    toolbox: Toolbox, calls: Sequence[ToolCall], at_once: int
) -> list[ToolRun]:
    decided = [await toolbox.decide_async(call) for call in calls]
    gate = asyncio.Semaphore(at_once)

    async def run(one: ToolRun) -> ToolRun:
        async with gate:
            return await toolbox.run_async(one)

    return await asyncio.gather(*(run(one) for one in decided))


def _check(max_rounds: int, at_once: int, on_error: str) -> None:
    for name, value in (("max_rounds", max_rounds), ("at_once", at_once)):
        if value < 1:
            raise SettingError(f"{name} is {value}, with which nothing can run: give 1 or more.")
    if on_error not in ("tell", "raise"):
        raise SettingError(
            f"on_error is {on_error!r}: choose 'tell', which lets the model know what a tool "
            f"raised, or 'raise', which ends the loop."
        )
