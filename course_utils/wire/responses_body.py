"""The response object of OpenAI's Responses format, and the items of its output.

Keys, their order and their nulls follow real bodies of July and August 2026; what a model sets by
itself (reasoning, phase, cache retention) follows the bodies of each generation since gpt-4o.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from course_utils.wire import catalogue
from course_utils.wire.families import Family
from course_utils.wire.reply import Choice, Reply, TokenLogprob, Usage
from course_utils.wire.request import Request

# What a response's status is while its output is still to come, or never comes.
UNFINISHED = ("queued", "in_progress", "cancelled")
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
_ITEM_KINDS = {"message": "msg", "function_call": "fc", "reasoning": "rs"}
_NO_TOOL_USAGE = {
    "image_gen": {
        "input_tokens": 0,
        "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
        "output_tokens": 0,
        "output_tokens_details": {"image_tokens": 0, "text_tokens": 0},
        "total_tokens": 0,
    },
    "web_search": {"num_requests": 0},
}
_TOOL_DEFAULTS: dict[str, dict[str, Any]] = {
    "web_search": {
        "filters": None,
        "search_context_size": "medium",
        "user_location": {
            "type": "approximate",
            "city": None,
            "country": "US",
            "region": None,
            "timezone": None,
        },
    },
    "file_search": {
        "filters": None,
        "max_num_results": 20,
        "ranking_options": {"ranker": "auto", "score_threshold": 0.0},
    },
    "mcp": {"allowed_tools": None, "headers": None, "server_description": None},
}
_SUMMARY = "**Reading the question**\n\nNo model reasons here: the course's stand-in answers."


def write_response(reply: Reply, request: Request, status: str | None = None) -> dict[str, Any]:
    """The response object; with a status of UNFINISHED, as it is before there is any output."""
    status = status or status_of(reply)
    done, asked, family = status not in UNFINISHED, request.rest, catalogue.family(reply.model)
    body = {
        "id": reply.id,
        "object": "response",
        "created_at": reply.created,
        "status": status,
        "background": asked.get("background") or False,
        "billing": {"payer": "developer"},
        "completed_at": reply.created + 1 if status == "completed" else None,
        "error": None,
        "frequency_penalty": 0.0,
        "incomplete_details": _incomplete_details(reply) if done else None,
        "instructions": asked.get("instructions"),
        "max_output_tokens": request.max_tokens,
        "max_tool_calls": asked.get("max_tool_calls"),
        "model": reply.model,
        "moderation": None,
        "output": output_items(reply, request) if done else [],
        "parallel_tool_calls": _or(asked.get("parallel_tool_calls"), True),
        "presence_penalty": 0.0,
        "previous_response_id": asked.get("previous_response_id"),
        **({"prompt": asked["prompt"]} if asked.get("prompt") else {}),
        "prompt_cache_key": asked.get("prompt_cache_key"),
        "prompt_cache_retention": asked.get("prompt_cache_retention") or family.cache_retention,
        "reasoning": _reasoning(request, family),
        "safety_identifier": asked.get("safety_identifier"),
        "service_tier": _service_tier(asked.get("service_tier") or "auto", done),
        "store": _or(asked.get("store"), True),
        "temperature": float(_or(request.temperature, 1.0)),
        "text": _text(asked.get("text") or {}),
        "tool_choice": asked.get("tool_choice") or "auto",
        "tool_usage": _NO_TOOL_USAGE,
        "tools": [_tool(tool) for tool in asked.get("tools") or ()],
        "top_logprobs": asked.get("top_logprobs") or 0,
        "top_p": float(_or(request.top_p, family.top_p)),
        "truncation": asked.get("truncation") or "disabled",
        "usage": _usage(reply.usage) if done else None,
        "user": asked.get("user"),
        "metadata": asked.get("metadata") or {},
    }
    if not done:
        del body["billing"]
    return body


def output_items(reply: Reply, request: Request) -> list[dict[str, Any]]:
    """The items of a response's output: reasoning, the message, the function calls."""
    items = list(_items(reply.choices[0], reply, request)) if reply.choices else []
    return [{"id": _item_id(reply, item["type"], i)} | item for i, item in enumerate(items)]


def status_of(reply: Reply) -> str:
    """A finished response's status: completed or incomplete."""
    return "incomplete" if reply.finish_reason in _INCOMPLETE else "completed"


def framing_tokens(model: str) -> int:
    """How many tokens a written message costs beside its text: marks that are never shown."""
    return catalogue.family(model).framing_tokens


def _items(choice: Choice, reply: Reply, request: Request) -> Iterator[dict[str, Any]]:
    if _shows_reasoning(reply, request):
        yield _reasoning_item(reply, request)
    if choice.text or choice.refusal or not choice.tool_calls:
        yield _message(choice, reply)
    for call in choice.tool_calls:
        yield {
            "type": "function_call",
            "status": "completed",
            "arguments": call.arguments,
            "call_id": call.id,
            "name": call.name,
        }


def _message(choice: Choice, reply: Reply) -> dict[str, Any]:
    part: dict[str, Any] = {"type": "refusal", "refusal": choice.refusal}
    if not choice.refusal:
        logprobs = [_logprob(token) for token in choice.logprobs or ()]
        part = {"type": "output_text", "annotations": [], "logprobs": logprobs, "text": choice.text}
    phase = {"phase": "commentary" if choice.tool_calls else "final_answer"}
    return {
        "type": "message",
        "status": status_of(reply),
        "content": [part],
        **(phase if catalogue.family(reply.model).has_phase else {}),
        "role": "assistant",
    }


def _logprob(token: TokenLogprob) -> dict[str, Any]:
    return _bare_logprob(token) | {"top_logprobs": [_bare_logprob(other) for other in token.top]}


def _bare_logprob(token: TokenLogprob) -> dict[str, Any]:
    return {"bytes": list(token.utf8), "logprob": token.logprob, "token": token.token}


def _shows_reasoning(reply: Reply, request: Request) -> bool:
    """Reasoning that was paid for is shown; so is what the request asks for by name.

    Some families show some even where it cost nothing.
    """
    asked, family = request.rest.get("reasoning") or {}, catalogue.family(reply.model)
    effort = asked.get("effort") or (family.effort if family.always_reasons else None)
    wanted = asked.get("summary") or effort not in (None, "none", "minimal", "low")
    return bool(family.reasoning) and bool(reply.usage.reasoning_tokens or wanted)


def _reasoning_item(reply: Reply, request: Request) -> dict[str, Any]:
    summary = (request.rest.get("reasoning") or {}).get("summary")
    sealed = "reasoning.encrypted_content" in (request.rest.get("include") or ())
    return {
        "type": "reasoning",
        "content": [],
        **({"encrypted_content": _sealed(reply.id)} if sealed else {}),
        "summary": [{"type": "summary_text", "text": _SUMMARY}] if summary else [],
    }


def _sealed(seed: str) -> str:
    """Something as unreadable as the encrypted reasoning of the real service."""
    return "gAAAAAB" + hashlib.shake_256(seed.encode()).hexdigest(60) + "=="


def _item_id(reply: Reply, kind: str, index: int) -> str:
    """An item's id: as in real ones, its first 18 digits are those of its response."""
    stem = reply.id.removeprefix("resp_")[:18]
    tail = hashlib.sha256(f"{reply.id}{kind}{index}".encode()).hexdigest()[:24]
    return f"{_ITEM_KINDS[kind]}_{stem}{reply.created:08x}{tail}"


def _incomplete_details(reply: Reply) -> dict[str, str] | None:
    reason = _INCOMPLETE.get(reply.finish_reason or "")
    return {"reason": reason} if reason else None


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {
            "cache_write_tokens": usage.cache_write_tokens,
            "cached_tokens": usage.cached_tokens,
        },
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }


def _reasoning(request: Request, family: Family) -> dict[str, Any]:
    asked = request.rest.get("reasoning") or {}
    effort = {"effort": asked.get("effort") or family.effort}
    summary = {"summary": asked.get("summary")}
    if not family.reasoning:
        return effort | summary
    return {"context": family.reasoning_context} | effort | {"mode": "standard"} | summary


def _text(asked: Mapping[str, Any]) -> dict[str, Any]:
    form = asked.get("format") or {"type": "text"}
    if form.get("type") == "json_schema":
        form = {
            "type": "json_schema",
            "description": form.get("description"),
            "name": form.get("name"),
            "schema": form.get("schema"),
            "strict": _or(form.get("strict"), False),
        }
    return {"format": form, "verbosity": asked.get("verbosity") or "medium"}


def _tool(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """A tool as the response repeats it: a function is strict unless the request says no."""
    kind = tool.get("type")
    if kind != "function":
        return {"type": kind} | _TOOL_DEFAULTS.get(str(kind), {}) | dict(tool)
    parameters, strict = tool.get("parameters") or {}, _or(tool.get("strict"), True)
    if strict and parameters.get("type") == "object":
        parameters = {**parameters, "additionalProperties": False}
    return {
        "type": "function",
        "description": tool.get("description") or None,
        "name": tool.get("name"),
        "output_schema": None,
        "parameters": parameters,
        "strict": strict,
    }


def _service_tier(asked: str, done: bool) -> str:
    return "default" if done and asked == "auto" else asked


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value
