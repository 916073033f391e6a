"""How many tokens a call would have cost."""

from __future__ import annotations

from course_utils.wire import tokens
from course_utils.wire.catalogue import Model
from course_utils.wire.prompt_tokens import prompt_tokens
from course_utils.wire.reply import Choice, Usage
from course_utils.wire.request import Request

# A call that is written is framed; the frame depends on whether it is alone (from the bills of
# recorded traffic, 2024 to 2026).
_CALL_FRAME, _PARALLEL_CALL_FRAME = 7, 14
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
