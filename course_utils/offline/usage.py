"""How many tokens a call would have cost."""

from __future__ import annotations

from course_utils.wire import tokens
from course_utils.wire.catalogue import Model
from course_utils.wire.reply import Choice, Usage
from course_utils.wire.request import Message, Request

# OpenAI's chat formula: each message is framed by 3 tokens, and the reply is primed by 3 more.
# https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken (seen 2026-11-22)
_PER_MESSAGE = 3
_PRIMING = 3


def usage_of(request: Request, choices: tuple[Choice, ...], model: Model) -> Usage:
    """The usage of a call: exact for OpenAI's encodings, else an estimate that says so."""
    return Usage(
        prompt_tokens=prompt_tokens(request, model),
        completion_tokens=_count(*map(_written, choices), model=model),
        exact=model.encoding is not None,
    )


def prompt_tokens(request: Request, model: Model) -> int:
    """The tokens of all messages and tools of a request."""
    framed = sum(_PER_MESSAGE + _count(m.role, _read(m), model=model) for m in request.messages)
    tools = (f"{tool.name}{tool.description}{tool.parameters}" for tool in request.tools)
    return _PRIMING + framed + _count(*tools, model=model)


def _count(*texts: str, model: Model) -> int:
    return sum(tokens.count(text, model).tokens for text in texts)


def _read(message: Message) -> str:
    return message.text + "".join(call.name + call.arguments for call in message.tool_calls)


def _written(choice: Choice) -> str:
    return choice.text + "".join(call.name + call.arguments for call in choice.tool_calls)
