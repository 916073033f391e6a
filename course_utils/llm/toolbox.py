"""Running what a model asks for: check the arguments, let your code decide, run, and answer.

Whatever goes wrong with one call is told to the model as that call's result, because it often mends
it: a wrong argument, a name that does not exist, a tool that failed, a call that you refused. Both
providers want a result for every call anyway, and refuse the conversation where one is missing.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from course_utils.llm import arguments
from course_utils.llm.arguments import Arguments
from course_utils.llm.errors import ToolError
from course_utils.llm.fitting import MisfitError
from course_utils.llm.tools import ToolSource, as_tool
from course_utils.wire.request import Message, Tool, ToolCall

Verdict = bool | str
Approve = Callable[[ToolCall, Mapping[str, Any]], Verdict | Awaitable[Verdict]]
"""Your decision on one call, with its checked arguments: True lets it run, False refuses it, and a
text refuses it and tells the model why. Anything but True refuses."""

Outcome = Literal["approved", "ran", "failed", "refused", "unknown", "misfit"]


@dataclass(frozen=True, slots=True)
class ToolRun:
    """One call that a model asked for, and what became of it.

    Attributes:
        call: the call, as the model wrote it.
        outcome: ran; failed (the tool raised); refused (by `approve`); unknown (no such tool);
            misfit (arguments that are no JSON, or do not fit). Approved is what is still to run.
        text: what the model is told: the result, or what went wrong.
        arguments: as the function gets them; empty where they do not fit.
        error: what the tool raised, with its traceback; None where it did not.
    """

    call: ToolCall
    outcome: Outcome
    text: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    error: Exception | None = None

    @property
    def message(self) -> Message:
        """The result as a message, which answers the call."""
        failed = self.outcome != "ran"
        return Message("tool", self.text, tool_call_id=self.call.id, is_error=failed)


@dataclass(frozen=True, slots=True)
class _Entry:
    tool: Tool
    arguments: Arguments
    function: Callable[..., Any]


class Toolbox:
    """The tools that a model may ask for, by name, with the functions that do the work."""

    def __init__(
        self,
        tools: Sequence[ToolSource],
        functions: Mapping[str, Callable[..., Any]] | None = None,
        approve: Approve | None = None,
    ) -> None:
        """``functions`` do the work of tools that are only described, as in a dict of OpenAI's.

        Raises ToolError where a tool cannot be described, has no function, or is there twice.
        """
        self._approve = approve
        self._entries: dict[str, _Entry] = {}
        for source in tools:
            entry = _entry(source, functions or {})
            if entry.tool.name in self._entries:
                raise ToolError(
                    f"Two tools are named {entry.tool.name!r}: a model calls a tool by its name, "
                    f"so rename one of them."
                )
            self._entries[entry.tool.name] = entry

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The descriptions, to send to the model."""
        return tuple(entry.tool for entry in self._entries.values())

    def require_sync(self) -> None:
        """Raise ToolError where a function here has to be awaited."""
        functions = [entry.function for entry in self._entries.values()]
        for function in (*functions, self._approve):
            if inspect.iscoroutinefunction(function):
                raise ToolError(
                    f"{function.__name__}() is a coroutine function, which has to be awaited: use "
                    f"run_tools_async() with an AsyncLLMClient, or write it as a plain def."
                )

    def decide(self, call: ToolCall) -> ToolRun:
        """Check a call and ask `approve`: the result is approved, refused, unknown or misfit."""
        checked = self._checked(call)
        if self._approve is None or checked.outcome != "approved":
            return checked
        return _decided(checked, self._approve(call, checked.arguments))

    async def decide_async(self, call: ToolCall) -> ToolRun:
        """Do what `decide` does; `approve` may be a coroutine function."""
        checked = self._checked(call)
        if self._approve is None or checked.outcome != "approved":
            return checked
        verdict = self._approve(call, checked.arguments)
        return _decided(checked, await verdict if inspect.isawaitable(verdict) else verdict)

    def run(self, decided: ToolRun) -> ToolRun:
        """Run an approved call. It never raises: what the tool raises is in the result."""
        if decided.outcome != "approved":
            return decided
        try:
            value = self._entries[decided.call.name].function(**decided.arguments)
            return replace(decided, outcome="ran", text=as_text(value))
        except Exception as error:
            return _failed(decided, error)

    async def run_async(self, decided: ToolRun) -> ToolRun:
        """Do what `run` does; a plain function runs in a thread, so that it holds nothing up."""
        if decided.outcome != "approved":
            return decided
        function = self._entries[decided.call.name].function
        if not inspect.iscoroutinefunction(function):
            return await asyncio.to_thread(self.run, decided)
        try:
            return replace(
                decided, outcome="ran", text=as_text(await function(**decided.arguments))
            )
        except Exception as error:
            return _failed(decided, error)

    def _checked(self, call: ToolCall) -> ToolRun:
        entry = self._entries.get(call.name)
        if entry is None:
            known = ", ".join(self._entries) or "none"
            text = f"Error: there is no tool {call.name!r}. The tools are: {known}."
            return ToolRun(call, "unknown", text)
        try:
            return ToolRun(call, "approved", arguments=entry.arguments.read(call.arguments))
        except MisfitError as error:
            text = f"Error: {call.name} was not run, because its arguments do not fit: {error}."
            return ToolRun(call, "misfit", text)


def as_text(value: object) -> str:
    """A tool's result as the model reads it: a text as it is, everything else as JSON.

    Dataclasses, pydantic models, dates and the like become JSON too. Raises ToolError for what has
    no JSON form.
    """
    if isinstance(value, str):
        return value
    import pydantic_core

    try:
        return pydantic_core.to_json(value, inf_nan_mode="strings").decode()
    except ValueError as error:
        raise ToolError(
            f"The tool returned a {type(value).__name__}, which has no JSON form: return a text, "
            f"a number, a list, a dict, a dataclass or a pydantic model."
        ) from error


def _entry(source: ToolSource, functions: Mapping[str, Callable[..., Any]]) -> _Entry:
    tool = as_tool(source)
    if not isinstance(source, Tool | Mapping):
        return _Entry(tool, arguments.of_function(source), source)
    if tool.name not in functions:
        raise ToolError(
            f"The tool {tool.name!r} is only described: pass the function that does its work, as "
            f"in functions={{{tool.name!r}: …}}, or the typed function in place of the description."
        )
    return _Entry(tool, arguments.of_schema(tool.parameters, tool.name), functions[tool.name])


def _decided(checked: ToolRun, verdict: object) -> ToolRun:
    if verdict is True:
        return checked
    why = verdict if isinstance(verdict, str) and verdict else "the user does not allow it"
    text = f"Error: {checked.call.name} was not run, because it was refused: {why}."
    return replace(checked, outcome="refused", text=text)


def _failed(decided: ToolRun, error: Exception) -> ToolRun:
    text = f"Error: {decided.call.name} failed with {type(error).__name__}: {error}"
    return replace(decided, outcome="failed", text=text, error=error)
