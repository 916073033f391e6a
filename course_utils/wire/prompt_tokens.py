"""How many tokens a prompt has: the messages, their frames, the calls and the tools.

Exact for OpenAI's chat models on 94 % of recorded real prompts (tests/test_real_traffic.py); an
estimate for every other provider, none of which publishes its rule.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from course_utils.wire import tokens
from course_utils.wire.catalogue import Model, family
from course_utils.wire.reply import Usage
from course_utils.wire.request import Message, Request, Tool
from course_utils.wire.tool_text import tool_text

# OpenAI's chat formula: each message is framed by 3 tokens, and the reply is primed by 3 more
# (2 for o-series models and gpt-5, says the catalogue).
# https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken
_PER_MESSAGE = 3
_PER_NAME = 1
# What the formula does not say, from the bills of recorded traffic (2024 to 2026): tools stand in a
# frame that a system message shares; a call is framed again.
_TOOLS_FRAME = 9
_SHARED_FRAME = 4
_PAST_CALL_FRAME = 8
# Anthropic adds instructions for tools to a prompt. Its documentation names 346 tokens (2026-11-22,
# https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/overview); recorded bills of Claude
# 4.5 (2025 and 2026) are higher, and fit these figures: once, for each tool, and for each call with
# its result.
_ANTHROPIC_TOOLS, _ANTHROPIC_TOOL, _ANTHROPIC_CALL = 450, 55, 45
# What an image or a sound in a prompt may cost at most, and by how much an estimate may be short.
_ATTACHMENT_TOKENS = 5_000
# What Claude was billed for a schema beside its text, in recorded traffic of 2026, and a little.
_SCHEMA_TOKENS = 250
_MARGIN = 1.25


def prompt_tokens(request: Request, model: Model) -> int:
    """The tokens of all messages and tools of a request."""
    framed = frame_tokens(model, request.tools, has_system=bool(request.system))
    return framed + sum(message_tokens(message, model) for message in request.messages)


def frame_tokens(model: Model, tools: Sequence[Tool] = (), *, has_system: bool = False) -> int:
    """What a prompt has besides its messages: the reply's priming, and the tools."""
    # Google's recorded traffic bills nothing for frames.
    framed = model.provider != "google"
    priming = family(model.id).priming_tokens if framed else 0
    return priming + (_tools(tools, model, has_system) if tools else 0)


def message_tokens(message: Message, model: Model) -> int:
    """The tokens of one message with its frame; a prompt's messages add up."""
    if model.provider == "google":
        return _count(
            message.text + "".join(call.name + call.arguments for call in message.tool_calls),
            model=model,
        )
    named = _PER_NAME + _count(message.name, model=model) if message.name else 0
    call_frame = _ANTHROPIC_CALL if model.provider == "anthropic" else _PAST_CALL_FRAME
    calls = sum(
        call_frame + _count(call.name, call.arguments, model=model) for call in message.tool_calls
    )
    return _PER_MESSAGE + _count(message.role, message.text, model=model) + named + calls


def most_usages(request: Request, model: Model) -> tuple[Usage, Usage]:
    """The most that a call may use, its prompt read plainly, or written to the prompt cache.

    An estimate is taken a quarter higher, and an answer to be as long as it may.
    """
    attachments = sum(len(message.attachments) for message in request.messages)
    prompt = prompt_tokens(request, model) + _ATTACHMENT_TOKENS * attachments
    if request.json_schema:
        schema = json.dumps(request.json_schema, ensure_ascii=False)
        prompt += _SCHEMA_TOKENS + _count(schema, model=model)
    prompt = int(prompt * _MARGIN) + 1
    answer = request.n * (request.max_tokens or model.max_output_tokens)
    return Usage(prompt, answer), Usage(prompt, answer, cache_write_tokens=prompt)


def _tools(tools: Sequence[Tool], model: Model, has_system: bool) -> int:
    if model.provider == "anthropic":
        schemas = (json.dumps(tool.parameters, ensure_ascii=False) for tool in tools)
        words = (f"{tool.name} {tool.description}" for tool in tools)
        frames = _ANTHROPIC_TOOLS + _ANTHROPIC_TOOL * len(tools)
        return frames + _count(*schemas, *words, model=model)
    shared = _SHARED_FRAME if has_system else 0
    return _TOOLS_FRAME - shared + _count(tool_text(tools), model=model)


def _count(*texts: str, model: Model) -> int:
    return sum(tokens.count(text, model).tokens for text in texts)
