"""How many tokens a call would have cost."""

from __future__ import annotations

import json
import re

from course_utils.offline.tool_text import tool_text
from course_utils.wire import tokens
from course_utils.wire.catalogue import Model
from course_utils.wire.reply import Choice, Usage
from course_utils.wire.request import Message, Request

# OpenAI's chat formula: each message is framed by 3 tokens, and the reply is primed by 3 more.
# https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken
_PER_MESSAGE = 3
_PER_NAME = 1
_PRIMING = 3
# What the formula does not say, from the bills of recorded traffic (2024 to 2026): o-series models
# and gpt-5 are primed by one token less (of later ones there is no record); tools stand in a frame
# that a system message shares; a call and its result are framed again; the frame of a call that is
# written depends on whether it is alone.
_BRIEFLY_PRIMED = re.compile(r"o\d|gpt-5(-|$)")
_TOOLS_FRAME = 9
_SHARED_FRAME = 4
_PAST_CALL_FRAME = 8
_CALL_FRAME, _PARALLEL_CALL_FRAME = 7, 14
# The instructions for tools that Anthropic adds to a prompt, from its documentation (2026-11-22):
# https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/overview
_ANTHROPIC_TOOLS = 346
# Thinking is billed in steps.
_THINKING_STEP = 64
_THINKING_STEPS = {"low": 1, "medium": 2, "high": 4, "xhigh": 8, "max": 8}


def usage_of(request: Request, choices: tuple[Choice, ...], model: Model) -> Usage:
    """The usage of a call: exact for OpenAI's encodings, else an estimate that says so."""
    written = sum(_written(choice, model) for choice in choices)
    thought = sum(_count(c.thinking.text, model=model) for c in choices if c.thinking)
    if request.thinking is None:
        thought = _hidden_thoughts(request, written, model)
    return Usage(
        prompt_tokens=prompt_tokens(request, model),
        completion_tokens=written + thought,
        reasoning_tokens=thought,
        exact=model.encoding is not None,
    )


def prompt_tokens(request: Request, model: Model) -> int:
    """The tokens of all messages and tools of a request."""
    if model.provider == "google":
        return _unframed(request, model) + (_tools(request, model) if request.tools else 0)
    priming = _PRIMING - bool(_BRIEFLY_PRIMED.match(model.id))
    messages = sum(_message(message, model) for message in request.messages)
    return priming + messages + (_tools(request, model) if request.tools else 0)


def _unframed(request: Request, model: Model) -> int:
    """The text alone: recorded traffic of Google bills nothing for the frame of a message."""
    texts = (m.text + "".join(c.name + c.arguments for c in m.tool_calls) for m in request.messages)
    return _count(*texts, model=model)


def _message(message: Message, model: Model) -> int:
    named = _PER_NAME + _count(message.name, model=model) if message.name else 0
    calls = sum(
        _PAST_CALL_FRAME + _count(call.name, call.arguments, model=model)
        for call in message.tool_calls
    )
    return _PER_MESSAGE + _count(message.role, message.text, model=model) + named + calls


def _tools(request: Request, model: Model) -> int:
    if model.provider == "anthropic":
        schemas = (json.dumps(tool.parameters, ensure_ascii=False) for tool in request.tools)
        words = (f"{tool.name} {tool.description}" for tool in request.tools)
        return _ANTHROPIC_TOOLS + _count(*schemas, *words, model=model)
    shared = _SHARED_FRAME if request.system else 0
    return _TOOLS_FRAME - shared + _count(tool_text(request.tools), model=model)


def _hidden_thoughts(request: Request, written: int, model: Model) -> int:
    """What a model thought unseen: nothing, unless the request says how hard it is to think.

    A real model always thinks a little; here a simple question has a simple bill.
    """
    steps = _THINKING_STEPS.get(request.reasoning_effort or "", 0)
    if not steps or not model.reasoning or model.encoding is None:
        return 0
    room = steps if request.max_tokens is None else (request.max_tokens - written) // _THINKING_STEP
    return _THINKING_STEP * max(0, min(steps, room))


def _count(*texts: str, model: Model) -> int:
    return sum(tokens.count(text, model).tokens for text in texts)


def _written(choice: Choice, model: Model) -> int:
    frame = _PARALLEL_CALL_FRAME if len(choice.tool_calls) > 1 else _CALL_FRAME
    calls = sum(
        frame + _count(call.name, call.arguments, model=model) for call in choice.tool_calls
    )
    return _count(choice.text, choice.refusal or "", model=model) + calls
