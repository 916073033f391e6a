"""Answers from what tools said."""

from __future__ import annotations

import json
import re
from typing import Any

from course_utils.offline.simulator.arithmetic import find_sum
from course_utils.offline.simulator.source import last_turn
from course_utils.offline.simulator.words import joined, label, shortened
from course_utils.wire.request import Message, Request, ToolCall

_ERROR = re.compile(
    r"^\W*(?:error|exception|traceback|failed|failure|invalid|could not|cannot|unknown)\b"
    r"|^\W*\d+ validation error"
    r"|\b(?:not found|timed out|unavailable)\b|\w+Error\b",
    re.I,
)
_MOST_FACTS = 12


def answer_from_tools(request: Request) -> str | None:
    """Sentences that say what the tools of the newest question answered; None without any."""
    turn = last_turn(request)
    calls = {call.id: call for message in request.messages for call in message.tool_calls}
    question = next((m.text for m in turn if m.role == "user" and m.text.strip()), "")
    results = [(calls.get(m.tool_call_id or ""), _result(m)) for m in turn if m.role == "tool"]
    kept = [(call, value) for i, (call, value) in enumerate(results) if not _mended(i, results)]
    told = [_told(call, value, question, len(kept)) for call, value in kept]
    return " ".join(dict.fromkeys(told)) or None


def _result(message: Message) -> Any:
    """What a tool returned; an error where the message says that it failed."""
    return {"error": message.text or "it failed"} if message.is_error else _parsed(message.text)


def _mended(at: int, results: list[tuple[ToolCall | None, Any]]) -> bool:
    """Whether a result is an error that a later call of the same tool made good."""
    call, value = results[at]
    later = [
        other for again, other in results[at + 1 :] if again and call and again.name == call.name
    ]
    return _error(value) is not None and any(_error(other) is None for other in later)


def _told(call: ToolCall | None, value: Any, question: str, count: int) -> str:
    name = call.name if call else "the tool"
    error = _error(value)
    if error is not None:
        return (
            f"The tool {name} reported an error: {error.rstrip('.')}. "
            "Without its result I cannot answer."
        )
    if value in ("", None, [], {}):
        return f"The tool {name} returned nothing."
    subject = _subject(call)
    if isinstance(value, dict | list):
        return f"{subject or _capital(label(name))}: {_facts(value).rstrip('.')}."
    return _sentence(_short(value).strip(), question if count == 1 else "", subject, name)


def _sentence(said: str, question: str, subject: str, name: str) -> str:
    """A plain result, as the statement that the question asks for where it can be turned."""
    bare = said.rstrip(".")
    short = len(said) < 60 and "\n" not in said
    asked = re.match(
        r"\W*what(?:['\u2019]s|\s+is|\s+are|\s+was)\s+(the\b[^?.!]*|[^?.!]*\bof\b[^?.!]*)[?.!]",
        question,
        re.I,
    )
    total = find_sum(question)
    if total and re.fullmatch(r"-?[\d.]+", bare):
        return f"{total[0]} = {bare}"
    if asked and len(said.split()) < 5 and len(asked.group(1).split()) < 12:
        return f"{_capital(asked.group(1).strip())} is {bare}."
    if subject and short and not said.startswith(subject):
        return f"{subject}: {bare}."
    return f"According to {name}: {bare}." if short else f"According to {name}: {said}"


_WRAPPERS = ({"return_value"}, {"result"}, {"output"}, {"content"}, {"data"})


def _parsed(text: str) -> Any:
    """A result's JSON, out of the one key that some programs wrap it in; else its text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    wrapped = isinstance(value, dict) and value.keys() in _WRAPPERS
    return next(iter(value.values())) if wrapped else value


def _error(value: Any) -> str | None:
    """What went wrong, where a result says that something did."""
    if isinstance(value, dict):
        problem = value.get("error") or value.get("errors") or value.get("exception")
        if problem:
            told = problem.get("message", problem) if isinstance(problem, dict) else problem
            return told if isinstance(told, str) else _facts(told)
        failed = value.get("ok") is False or value.get("success") is False
        failed = failed or value.get("status") in ("error", "failed")
        return str(value.get("message") or _facts(value)) if failed else None
    if isinstance(value, str) and _ERROR.search(value[:200]):
        return shortened(value, 40)
    return None


def _subject(call: ToolCall | None) -> str:
    """What a call was about: its arguments that are texts or numbers."""
    arguments = _parsed(call.arguments) if call else None
    if not isinstance(arguments, dict):
        return ""
    said = [str(v) for v in arguments.values() if isinstance(v, str | int | float) and v != ""]
    return shortened(", ".join(said), 8)


def _facts(value: Any) -> str:
    """A JSON value in words."""
    if isinstance(value, dict) and value:
        pairs = list(value.items())[:_MOST_FACTS]
        return joined([f"{label(str(name))} is {_short(part)}" for name, part in pairs])
    if isinstance(value, list) and value:
        more = [f"{len(value) - _MOST_FACTS} more"] if len(value) > _MOST_FACTS else []
        return joined([_short(part) for part in value[:_MOST_FACTS]] + more)
    return _short(value)


def _short(value: Any) -> str:
    match value:
        case True:
            return "yes"
        case False:
            return "no"
        case None:
            return "not given"
        case dict() | list() if not value:
            return "nothing"
        case dict():
            return ", ".join(f"{label(str(k))} {_short(v)}" for k, v in value.items())
        case list():
            return ", ".join(_short(v) for v in value)
    return str(value)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
