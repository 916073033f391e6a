"""Answers of a given shape: the schema that is sent, and the check of what comes back.

Every provider promises JSON that fits a schema, and none promises an answer: it may be cut at the
token limit, the model may decline, and a server that knows no schemas writes what it likes. So the
answer is always checked here. What professionals use: `client.chat.completions.parse` of the openai
SDK, `messages.parse` of anthropic, and the library instructor, which repairs as `ask_for` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from course_utils.llm.chat import AsyncChat, Chat, Messages
from course_utils.llm.errors import (
    MessagesError,
    RefusedError,
    SchemaError,
    SettingError,
    TruncatedError,
)
from course_utils.llm.fitting import MisfitError, check_schema, fit_schema, fit_type, shortened
from course_utils.llm.json_text import find_json
from course_utils.llm.messages import as_messages
from course_utils.llm.result import ChatResult
from course_utils.llm.strict_schema import strict
from course_utils.llm.totals import total_cost_usd, total_usage
from course_utils.wire.request import Message

Schema = type[Any] | Mapping[str, Any]
"""A pydantic model class (or a dataclass, or a TypedDict), or a JSON schema as a dict."""


def json_schema(schema: Schema) -> dict[str, Any]:
    """The JSON schema to send for ``schema``, in the strict form that providers enforce.

    Raises MessagesError for what is no schema, or has none.
    """
    try:
        return strict(_checked(schema) if isinstance(schema, Mapping) else _of_type(schema))
    except ValueError as error:
        raise _no_schema(schema, error) from error


def parse(result: ChatResult, schema: Schema) -> ChatResult:
    """The same answer, with the object that its text stands for in ``parsed``.

    A model class gives an instance of it, a JSON schema plain dicts and lists. JSON that stands in
    a code fence or between sentences is taken out of them, and ``warnings`` says so. An answer that
    asks for tools in place of text is not read, and comes back as it is.

    Raises TruncatedError, RefusedError, or SchemaError, which names each place that does not fit
    and what belongs there; MessagesError where the schema is none.
    """
    if result.tool_calls and not result.content:
        return result
    _check_whole(result)
    text, warning = find_json(result.content)
    try:
        parsed = _fit(text, schema)
    except MisfitError as error:
        raise SchemaError(
            f"The answer of {result.model} does not fit the schema: {error}. Ask again with "
            f"ask_for(), which shows the model its mistake, or make the schema simpler.",
            result,
        ) from error
    warnings = (*result.warnings, warning) if warning else result.warnings
    return replace(result, parsed=parsed, warnings=warnings)


def ask_for(
    client: Chat, messages: Messages, schema: Schema, *, repairs: int = 1, **options: Any
) -> ChatResult:
    """Ask for an object of a given shape; an answer that does not fit goes back to be mended.

    ``repairs`` is how often the model is shown its mistake. Tokens, cost and latency of the result
    are those of all the calls together. ``options`` go to ``client.chat``.

    Raises what `parse` and the client raise; the ``result`` of a SchemaError counts all the calls.
    """
    asked = _Asked(messages, schema, repairs)
    while True:
        try:
            result = client.chat(asked.messages, schema=schema, **options)
            return asked.accept(result)
        except SchemaError as error:
            asked.correct(error)


async def ask_for_async(
    client: AsyncChat, messages: Messages, schema: Schema, *, repairs: int = 1, **options: Any
) -> ChatResult:
    """Do what `ask_for` does, while other work goes on."""
    asked = _Asked(messages, schema, repairs)
    while True:
        try:
            result = await client.chat(asked.messages, schema=schema, **options)
            return asked.accept(result)
        except SchemaError as error:
            asked.correct(error)


class _Asked:
    """A question with the answers that did not fit, and what the model was told of them."""

    def __init__(self, messages: Messages, schema: Schema, repairs: int) -> None:
        if repairs < 0:
            raise SettingError(f"repairs is {repairs}: it counts tries, so give 0 or more.")
        self.messages = list(as_messages(messages))
        self.schema, self.repairs = schema, repairs
        self.misfits: list[ChatResult] = []

    def accept(self, result: ChatResult) -> ChatResult:
        """The answer with the tokens, cost and time of those before it; SchemaError if unfit."""
        fits = result if result.parsed is not None else parse(result, self.schema)
        return _together([*self.misfits, fits]) if self.misfits else fits

    def correct(self, error: SchemaError) -> None:
        """Show the model its mistake; raise the error again where no repair is left."""
        self.misfits.append(error.result)
        if len(self.misfits) > self.repairs:
            raise SchemaError(str(error), _together(self.misfits)) from error
        if error.result.content:
            self.messages.append(error.result.message)
        self.messages.append(
            Message(
                "user",
                f"Your answer does not fit the schema: {error.__cause__}. Answer again with the "
                f"whole JSON, and nothing else.",
            )
        )


def _together(results: Sequence[ChatResult]) -> ChatResult:
    """The last of several answers, at the price of all of them."""
    return replace(
        results[-1],
        usage=total_usage(results),
        cost_usd=total_cost_usd(results),
        latency_s=sum(result.latency_s for result in results),
    )


def _check_whole(result: ChatResult) -> None:
    if result.refusal or result.finish_reason == "content_filter":
        words = shortened(result.refusal or result.content) or "it gave no words"
        raise RefusedError(
            f"{result.model} declined to answer ({words}): change what you ask for.", result
        )
    if result.finish_reason == "length":
        raise TruncatedError(
            f"The answer of {result.model} was cut after {result.completion_tokens} tokens, before "
            f"its JSON was complete: raise max_tokens, or ask for less.",
            result,
        )


def _fit(text: str, schema: Schema) -> Any:
    try:
        return fit_schema(text, schema) if isinstance(schema, Mapping) else fit_type(text, schema)
    except MisfitError:
        raise
    except Exception:
        json_schema(schema)  # raises where it is the schema that is wrong, and says what
        raise


def _of_type(schema: Any) -> dict[str, Any]:
    import pydantic

    try:
        made: dict[str, Any] = pydantic.TypeAdapter(schema).json_schema()
    except pydantic.errors.PydanticUserError as error:
        raise ValueError(str(error).splitlines()[0]) from error
    return made


def _checked(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    check_schema(schema)
    return schema


def _no_schema(schema: object, error: Exception) -> MessagesError:
    return MessagesError(
        f"The schema {shortened(repr(schema))} cannot be used: {error}. Give a pydantic model "
        f"class, as in class Person(BaseModel): name: str, or a JSON schema as a dict."
    )
