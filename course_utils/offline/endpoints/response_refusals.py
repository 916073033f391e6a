"""What OpenAI's Responses endpoint refuses. Its words stand in `words.toml`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from course_utils.offline import words
from course_utils.offline.doors import OPENAI, Door
from course_utils.offline.endpoints.strict_schema import strict_problem
from course_utils.offline.refusals import RefusedError
from course_utils.offline.routes import Visit
from course_utils.wire.catalogue import Model
from course_utils.wire.prompt_tokens import prompt_tokens
from course_utils.wire.request import Request

DOOR = replace(OPENAI, words="openai_responses")

# Names from chat completions that have another name, or another place, here.
_MOVED = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
    "verbosity": "text.verbosity",
}
_NAMES = frozenset(
    """
    access_programs background background_options context_management conversation image include
    input instructions max_output_tokens max_tool_calls metadata model moderation
    parallel_tool_calls previous_response_id prompt prompt_cache_key prompt_cache_options
    prompt_cache_retention reasoning safety_identifier service_tier store stream stream_options
    temperature text tool_choice tools top_logprobs top_p truncation user
    """.split()  # noqa: SIM905, a list of words is easier to read
)
_ROLES = ("assistant", "system", "developer", "user")
_ITEMS = (
    "additional_tools", "apply_patch_call", "apply_patch_call_output", "code_interpreter_call",
    "compaction", "compaction_trigger", "computer_call", "computer_call_output",
    "custom_tool_call", "custom_tool_call_output", "file_search_call", "function_call",
    "function_call_output", "image_generation_call", "item_reference", "local_shell_call",
    "local_shell_call_output", "mcp_approval_request", "mcp_approval_response", "mcp_call",
    "mcp_list_tools", "message", "reasoning", "shell_call", "shell_call_output",
    "tool_search_call", "tool_search_output", "web_search_call",
)  # fmt: skip
_INPUT_PARTS = (
    "input_text", "input_image", "output_text", "refusal", "input_file", "computer_screenshot",
    "summary_text",
)  # fmt: skip
_OUTPUT_PARTS = ("output_text", "refusal")
_TOOLS = (
    "function", "file_search", "computer_use_preview", "computer", "web_search",
    "web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11", "mcp",
    "code_interpreter", "image_generation", "local_shell", "shell", "custom", "namespace",
    "tool_search", "apply_patch", "programmatic_tool_calling",
)  # fmt: skip
# The fields that take one of a few words.
_CHOICES = {
    "prompt_cache_retention": ("in_memory", "24h"),
    "reasoning.effort": ("none", "minimal", "low", "medium", "high", "xhigh", "max"),
    "reasoning.summary": ("auto", "concise", "detailed"),
    "service_tier": ("auto", "default", "flex", "scale", "priority", "fast", "ultrafast"),
    "text.format.type": ("text", "json_schema", "json_object"),
    "text.verbosity": ("low", "medium", "high"),
    "truncation": ("auto", "disabled"),
}
_TOOL_CHOICES = ("none", "auto", "required")
_MOST_LOGPROBS = 20
_ENOUGH_TOKENS = 16
_HOTTEST = 2


def check_names(visit: Visit, body: Mapping[str, Any]) -> None:
    """Refuse a parameter that is not one of this endpoint's."""
    for name in body:
        if name in _MOVED:
            raise visit.refused("moved", param=name, new=_MOVED[name])
        if name not in _NAMES:
            raise visit.refused("unknown_parameter", param=name)


def check_values(visit: Visit, body: Mapping[str, Any]) -> None:
    """Refuse a word where another is expected."""
    for path, known in _CHOICES.items():
        value: Any = body
        for name in path.split("."):
            value = (value or {}).get(name)
        if value is not None:
            _check_value(visit, value, known, path)
    if isinstance(body.get("tool_choice"), str):
        _check_value(visit, body["tool_choice"], _TOOL_CHOICES, "tool_choice")
    for index, tool in enumerate(body.get("tools") or ()):
        _check_value(visit, tool["type"], _TOOLS, f"tools[{index}]")
    if not 0 <= (body.get("top_logprobs") or 0) <= _MOST_LOGPROBS:
        raise visit.refused("logprobs", value=body["top_logprobs"], most=_MOST_LOGPROBS)


def check_input(visit: Visit, body: Mapping[str, Any]) -> None:
    """Refuse an input that is missing, or whose items and parts are of no known kind."""
    given = body.get("input")
    if given is None and not any(body.get(k) for k in ("previous_response_id", "prompt")):
        raise visit.refused("no_input")
    for index, item in enumerate(given if isinstance(given, list) else ()):
        where = f"input[{index}]"
        _check_value(visit, item.get("type") or "message", _ITEMS, where)
        if "role" in item:
            _check_value(visit, item["role"], _ROLES, where)
            _check_parts(visit, item, where)


def _check_parts(visit: Visit, item: Mapping[str, Any], where: str) -> None:
    known = _OUTPUT_PARTS if item["role"] == "assistant" else _INPUT_PARTS
    content = item.get("content")
    for index, part in enumerate(content if isinstance(content, list) else ()):
        _check_value(visit, part.get("type"), known, f"{where}.content[{index}]")


def _check_value(visit: Visit, value: object, known: Sequence[str], where: str) -> None:
    if value not in known:
        raise visit.refused("invalid_value", value=value or "", known=_or(known), param=where)


def _or(values: Sequence[str]) -> str:
    *first, last = (f"'{value}'" for value in values)
    return f"{', '.join(first)}{',' if len(first) > 1 else ''} and {last}"


def check_request(request: Request, body: Mapping[str, Any], model: Model, door: Door) -> None:
    """Refuse what this model refuses in a request that is well formed."""
    for kind, facts in _findings(request, model):
        raise RefusedError(words.refusal(door.words, kind, **facts))


def _findings(request: Request, model: Model) -> list[tuple[str, dict[str, object]]]:
    rules = (_limit, _sampling, _schemas, _json_word, _tool_pairs, _context)
    return [finding for rule in rules if (finding := rule(request, model))]


_Finding = tuple[str, dict[str, object]] | None


def _limit(request: Request, model: Model) -> _Finding:
    if request.max_tokens is not None and request.max_tokens < _ENOUGH_TOKENS:
        return "too_low", {"param": "max_output_tokens", "value": request.max_tokens}
    return None


def _sampling(request: Request, model: Model) -> _Finding:
    temperature = request.temperature
    if temperature is not None and temperature < 0:
        return "too_cold", {"value": temperature}
    if temperature is not None and temperature > _HOTTEST:
        return "too_hot", {"value": temperature}
    if model.sampling == "yes":
        return None
    if model.sampling == "reasoning_none" and request.reasoning_effort == "none":
        return None
    for name, value in (("temperature", temperature), ("top_p", request.top_p)):
        if value is not None and value != 1:
            return "no_sampling", {"param": name}
    return None


def _schemas(request: Request, model: Model) -> _Finding:
    """What asks to be strict must be fit for it."""
    form = (request.rest.get("text") or {}).get("format") or {}
    if form.get("strict") and (problem := strict_problem(form.get("schema") or {})):
        return "invalid_schema", {"name": form.get("name"), "problem": problem}
    for index, tool in enumerate(request.rest.get("tools") or ()):
        if tool.get("strict") and (problem := strict_problem(tool.get("parameters") or {})):
            return "invalid_function", {"name": tool["name"], "problem": problem, "index": index}
    return None


def _json_word(request: Request, model: Model) -> _Finding:
    said = any("json" in message.text.lower() for message in request.messages)
    return ("no_json_word", {}) if request.json_mode and not said else None


def _tool_pairs(request: Request, model: Model) -> _Finding:
    """Each output follows its call, and each call has an output, wherever they stand."""
    called: list[str] = []
    answered = set()
    for message in request.messages:
        called += [call.id for call in message.tool_calls]
        if message.role == "tool":
            if message.tool_call_id not in called:
                return "orphan_result", {"ids": message.tool_call_id}
            answered.add(message.tool_call_id)
    missing = next((id for id in called if id not in answered), None)
    return ("unanswered_call", {"ids": missing}) if missing is not None else None


def _context(request: Request, model: Model) -> _Finding:
    # No token is shorter than a byte, so a short prompt needs no count.
    longest = sum(len(message.text.encode()) + 8 for message in request.messages)
    fits = longest < model.context_tokens or prompt_tokens(request, model) <= model.context_tokens
    return None if fits else ("too_long", {})
