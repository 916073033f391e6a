"""What a provider would refuse, found in a request before any answer is looked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import date
from urllib.parse import parse_qs

from course_utils.errors import UnknownModelError
from course_utils.offline import words
from course_utils.offline.call import Call
from course_utils.offline.doors import COURSE_KEY, Door
from course_utils.wire import catalogue
from course_utils.wire.catalogue import Model
from course_utils.wire.prompt_tokens import prompt_tokens
from course_utils.wire.reply import Refusal
from course_utils.wire.request import Request

_ANTHROPIC_ROLES = {"user", "assistant"}
_GEMINI_ROLES = {"user", "assistant", "tool", "function"}
_OPENAI_ROLES = {"system", "developer", "user", "assistant", "tool", "function"}
_MOST_CANDIDATES = 8


class RefusedError(Exception):
    """The provider would answer with this error."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def check_key(call: Call, door: Door) -> None:
    """Refuse a call whose key is not the course's own."""
    key = _key_of(call)
    if door.words == "gemini" and not key:
        raise RefusedError(words.refusal(door.words, "no_key"))
    if door.needs_key and key != COURSE_KEY:
        raise RefusedError(words.refusal(door.words, "wrong_key", key=_masked(key)))


def _key_of(call: Call) -> str:
    """The key in the header of Anthropic's, Google's or OpenAI's choice, or in Google's query."""
    for name in ("x-api-key", "x-goog-api-key"):
        if call.headers.get(name):
            return call.headers[name]
    in_query = parse_qs(call.query).get("key", [""])[0]
    return in_query or call.headers.get("authorization", "").removeprefix("Bearer ")


def _masked(key: str) -> str:
    """A key as OpenAI shows it in its error: the ends only."""
    return key if len(key) < 12 else f"{key[:3]}{'*' * (len(key) - 7)}{key[-4:]}"


def find_model(request: Request, door: Door, today: date) -> Model:
    """The model in the catalogue; refused where it is unknown, elsewhere, or shut down."""
    try:
        model = catalogue.find_model(request.model, door.provider)
    except UnknownModelError as error:
        retired = hasattr(error, "successor")
        kind = "retired_model" if retired else "unknown_model"
        raise RefusedError(words.refusal(door.words, kind, model=request.model)) from error
    if model.is_shut_down(today) and model.after_shutdown == "refused":
        raise RefusedError(words.refusal(door.words, "retired_model", model=request.model))
    return model


def check_request(request: Request, body: Mapping[str, object], model: Model, door: Door) -> None:
    """Refuse what this provider's model refuses; `body` is the request as it was written."""
    for rule in _RULES:
        kind, facts = rule(request, body, model, door)
        if kind:
            raise RefusedError(words.refusal(door.words, kind, **facts))


def check_text(request: Request, body: Mapping[str, object], model: Model, door: Door) -> None:
    """The same for a plain text: only how many answers are wanted, and how long it is, matters."""
    for rule in (_choices, _context):
        kind, facts = rule(request, body, model, door)
        if kind:
            raise RefusedError(words.refusal(door.words, kind, **facts))


def check_count(request: Request, door: Door) -> None:
    """Refuse more answers than any provider gives; else nobody would ever be done with them."""
    if request.n > _MOST_CHOICES:
        facts = {"param": "n", "value": request.n, "limit": _MOST_CHOICES}
        raise RefusedError(words.refusal(door.words, "too_high", **facts))


Finding = tuple[str | None, dict[str, object]]
_FINE: Finding = (None, {})


def _messages(request: Request, body: Mapping[str, object], model: Model, door: Door) -> Finding:
    if door.words == "gemini":
        return _contents(request)
    given = body.get("messages")
    if not given:
        return "no_messages", {}
    allowed = _ANTHROPIC_ROLES if door.words == "anthropic" else _OPENAI_ROLES
    assert isinstance(given, list)
    for index, message in enumerate(given):
        if message["role"] not in allowed:
            return "unknown_role", {"role": message["role"], "index": index}
    return _FINE


def _contents(request: Request) -> Finding:
    """Gemini knows two roles, and its system instruction is no message."""
    spoken = [message for message in request.messages if message.role != "system"]
    for index, message in enumerate(spoken):
        if message.role not in _GEMINI_ROLES:
            return "unknown_role", {"role": message.role, "index": index}
    return _FINE if spoken else ("no_messages", {})


def _limit(request: Request, body: Mapping[str, object], model: Model, door: Door) -> Finding:
    if "max_tokens" in body and model.max_tokens_param != "max_tokens" and door.words == "openai":
        return "max_tokens", {}
    if request.max_tokens is not None and request.max_tokens < 1:
        named = (name for name in ("max_completion_tokens", "max_tokens") if name in body)
        name = next(named, "max_output_tokens")
        return "too_low", {"param": name, "value": request.max_tokens}
    if door.words == "gemini" and not 1 <= request.n <= _MOST_CANDIDATES:
        return "too_many_candidates", {}
    if door.words == "anthropic" and (request.max_tokens or 0) > model.max_output_tokens:
        limit = model.max_output_tokens
        return "too_many", {"value": request.max_tokens, "limit": limit, "model": request.model}
    return _FINE


# https://platform.openai.com/docs/api-reference/chat/create#n
_MOST_CHOICES = 128


def _choices(request: Request, body: Mapping[str, object], model: Model, door: Door) -> Finding:
    if request.n < 1:
        return "too_low", {"param": "n", "value": request.n}
    if request.n > _MOST_CHOICES:
        return "too_high", {"param": "n", "value": request.n, "limit": _MOST_CHOICES}
    return _FINE


def _sampling(request: Request, body: Mapping[str, object], model: Model, door: Door) -> Finding:
    hottest = 1 if door.words == "anthropic" else 2
    free = model.sampling == "yes" or (
        model.sampling == "reasoning_none" and request.reasoning_effort == "none"
    )
    for param in ("temperature", "top_p"):
        value = getattr(request, param)
        if value is not None and not free and value != 1:
            return "sampling", {"param": param, "value": value}
    if request.temperature is not None and not 0 <= request.temperature <= hottest:
        return "too_hot", {"value": request.temperature}
    return _FINE


def _claude(request: Request, body: Mapping[str, object], model: Model, door: Door) -> Finding:
    if door.words != "anthropic":
        return _FINE
    if not request.messages:  # their contents were all empty
        return "no_messages", {}
    if request.messages[-1].role == "assistant" and not model.assistant_prefill:
        return "prefill", {}
    if request.tool_choice not in (None, "auto", "none") and not model.forced_tool_choice:
        return "forced_tool", {}
    return _FINE


def _tool_pairs(request: Request, body: Mapping[str, object], model: Model, door: Door) -> Finding:
    """Each tool result answers a call before it, and each call is answered before what follows."""
    open_calls: set[str] = set()
    for index, message in enumerate(request.messages):
        if message.role == "tool":
            if message.tool_call_id not in open_calls:
                place = _block_with(body, "tool_use_id", message.tool_call_id) or (index, 0)
                index, block = place
                return "orphan_result", {
                    "index": index,
                    "block": block,
                    "ids": message.tool_call_id,
                }
            open_calls.remove(message.tool_call_id)
            continue
        if open_calls:
            return "unanswered_call", _unanswered(body, open_calls, index)
        open_calls = {call.id for call in message.tool_calls}
    if open_calls:
        return "unanswered_call", _unanswered(body, open_calls, len(request.messages) - 1)
    return _FINE


def _unanswered(body: Mapping[str, object], calls: set[str], index: int) -> dict[str, object]:
    """The calls that nobody answered; Anthropic names the message that makes them."""
    place = _block_with(body, "id", min(calls))
    return {"index": place[0] if place else index, "ids": ", ".join(sorted(calls))}


def _block_with(body: Mapping[str, object], name: str, value: object) -> tuple[int, int] | None:
    """Where in an Anthropic body a content block has this value: its message, its place there.

    Anthropic joins messages that one role says in a row, and counts after that.
    """
    messages = body.get("messages")
    index, count, role = -1, 0, None
    for message in messages if isinstance(messages, list) else ():
        if message["role"] != role:
            index, count, role = index + 1, 0, message["role"]
        content = message.get("content")
        for block in content if isinstance(content, list) else [{}]:
            if block.get(name) == value:
                return index, count
            count += 1
    return None


# No token is shorter than a byte, so a short prompt needs no count.
_BYTES_A_CHARACTER = 4


def _context(request: Request, body: Mapping[str, object], model: Model, door: Door) -> Finding:
    longest = _BYTES_A_CHARACTER * sum(len(m.text) + 8 for m in request.messages)
    if longest * math.ceil(model.estimate_factor or 1) < model.context_tokens:
        return _FINE
    count, limit = prompt_tokens(request, model), model.context_tokens
    if count > limit:
        return "too_long", {"tokens": count, "limit": limit, "excess": count - limit}
    return _FINE


def _json(request: Request, body: Mapping[str, object], model: Model, door: Door) -> Finding:
    """OpenAI wants the word JSON in a prompt for its JSON mode, and strict schemas to be strict."""
    # Here, because the endpoints themselves import this module.
    from course_utils.offline.endpoints.strict_schema import strict_problem

    if door.words != "openai":
        return _FINE
    if request.json_mode and not any("json" in m.text.lower() for m in request.messages):
        return "no_json_word", {}
    output = body.get("response_format")
    form = output.get("json_schema") if isinstance(output, dict) else None
    if form and form.get("strict") and (problem := strict_problem(request.json_schema or {})):
        return "invalid_schema", {"name": form.get("name"), "problem": problem}
    return _FINE


_RULES: tuple[Callable[[Request, Mapping[str, object], Model, Door], Finding], ...] = (
    _messages,
    _limit,
    _choices,
    _sampling,
    _json,
    _claude,
    _tool_pairs,
    _context,
)
