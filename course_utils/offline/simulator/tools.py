"""Which tools a question asks for, and with which arguments."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from course_utils.offline.simulator import arithmetic, lexicon
from course_utils.offline.simulator.entities import entities
from course_utils.offline.simulator.facts import Facts
from course_utils.offline.simulator.schema import fill
from course_utils.offline.simulator.source import last_turn
from course_utils.offline.simulator.valid import is_valid
from course_utils.offline.simulator.words import (
    STOP_WORDS,
    label,
    parts_of_list,
    sentences,
    stem,
    stems,
)
from course_utils.wire.request import Request, Tool, ToolCall

_NAME, _CHOICE, _TOLD, _FIELD = 3.0, 2.0, 1.0, 0.5
_ENOUGH, _SURE = 2.0, 100.0
# Words that ask for the same thing.
_LIKE_STEMS = tuple(stems(group) for group in lexicon.lines("alike"))
_SIGNS = {"*": "multiply product", "+": "add plus", "-": "subtract minus", "/": "divide quotient"}
_MOST_CALLS = 8


def wanted_calls(request: Request) -> tuple[ToolCall, ...]:
    """The calls that answer the newest question, less those that were made for it already."""
    if not request.tools or request.tool_choice == "none":
        return ()
    turn = last_turn(request)
    question = next((m.text for m in turn if m.role == "user" and m.text.strip()), "")
    forced = request.tool_choice not in (None, "auto")
    made = {_key(call) for message in turn for call in message.tool_calls}
    picked = _picked(request, question)
    calls = [call for tool, text in picked for call in _calls(tool, text, question)]
    left = list({_key(call): call for call in calls if forced or _key(call) not in made}.values())
    if made and len(left) == len(calls) and not forced:
        return ()
    return tuple(left[: _MOST_CALLS if request.parallel_tool_calls else 1])


def _key(call: ToolCall) -> tuple[str, str]:
    try:
        return call.name, json.dumps(json.loads(call.arguments), sort_keys=True)
    except ValueError:
        return call.name, call.arguments


# A question that only makes sense after the one before it.
_AGAIN = re.compile(r"\W*(?:and |what about|how about)(?:\W*\w+){1,8}\W*$", re.I)


def _picked(request: Request, question: str) -> list[tuple[Tool, str]]:
    """The tools to call, each with the part of the question that asks for it."""
    by_name = {tool.name: tool for tool in request.tools}
    if request.tool_choice in by_name:
        return [(by_name[request.tool_choice], question)]
    found: dict[str, list[str]] = {}
    for clause in _clauses(question):
        best = _best(clause, request.tools)
        if best is not None:
            found.setdefault(best.name, []).append(clause)
        elif found and entities(clause):
            found[list(found)[-1]].append(clause)
    if len(found) < 2:
        whole = _best(question, request.tools)
        found = {name: [question] for name in found or ([whole.name] if whole else ())}
    if not found and _AGAIN.match(question):
        before = (call.name for m in reversed(request.messages) for call in m.tool_calls)
        found = {name: [question] for name in list(before)[:1] if name in by_name}
    if not found and request.tool_choice not in (None, "auto"):
        likeliest = max(request.tools, key=lambda tool: _score(question, tool))
        found = {likeliest.name: [question]}
    return [(by_name[name], " and ".join(clauses)) for name, clauses in found.items()]


def _clauses(question: str) -> Iterator[str]:
    for sentence in sentences(question):
        yield from (
            part for part in re.split(r",?\s+(?:and|also|then|plus)\s+|;\s+", sentence) if part
        )


_CREATIVE = re.compile(
    r"^\W*(?:please )?(?:write|compose|tell me|make up|invent)\b.*?\b"
    r"(haiku|poem|story|joke|essay|song|limerick)\b",
    re.I,
)


def _best(text: str, tools: tuple[Tool, ...]) -> Tool | None:
    """The tool whose words a text uses most; None where no tool's fit it."""
    scored = [(_score(text, tool), -i) for i, tool in enumerate(tools)]
    score, at = max(scored)
    made_up = _CREATIVE.search(text)
    if made_up and stem(made_up.group(1)) not in stems(label(tools[-at].name)) and score < _SURE:
        return None
    return tools[-at] if score >= _ENOUGH else None


def _score(text: str, tool: Tool) -> float:
    if re.search(rf"\b{re.escape(tool.name)}\b", text):
        return _SURE
    asked = stems(text)
    alike = asked.union(*(group for group in _LIKE_STEMS if group & asked))
    name = stems(label(tool.name))
    properties = tool.parameters.get("properties")
    fields = properties if isinstance(properties, Mapping) else {}
    total = arithmetic.find_sum(text)
    signs: frozenset[str] = frozenset()
    # "What is 2 + 2?" asks for add(a, b), and not for a tool that adds something to a list.
    if total and _takes_sums(fields):
        signs = stems(" ".join(words for sign, words in _SIGNS.items() if sign in total[0]))
        asked -= stems("times plus minus divided")
        alike = asked | signs | stems("calculator math sum expression arithmetic")
    told = stems(tool.description) - name
    field_words = stems(" ".join(label(field) for field in fields)) - name - told
    choices = stems(" ".join(_choices(fields)))
    return (
        _NAME * len(name & asked) * (0.7 if len(name & asked) < len(name) / 2 else 1)
        + 0.8 * _NAME * len(name & (alike - asked))
        + _NAME * len(name & signs)
        + _TOLD * len(told & asked)
        + 0.8 * _TOLD * len(told & (alike - asked))
        + _FIELD * len(field_words & asked)
        + _CHOICE * len((choices & asked) - name - told)
    )


def _takes_sums(fields: Mapping[str, Any]) -> bool:
    """Whether a tool takes numbers, or a sum as a text of its own."""
    kinds = {schema.get("type") for schema in fields.values() if isinstance(schema, Mapping)}
    return bool(kinds & {"number", "integer", "array"}) or len(fields) == 1


def _choices(fields: Mapping[str, Any]) -> Iterator[str]:
    for schema in fields.values():
        values = schema.get("enum") if isinstance(schema, Mapping) else None
        known = values if isinstance(values, list) else ()
        yield from (value for value in known if isinstance(value, str) and len(value) > 2)


def _calls(tool: Tool, text: str, question: str) -> Iterator[ToolCall]:
    """The calls of one tool: one for each of the things that are asked about."""
    schema = dict(tool.parameters) or {"type": "object", "properties": {}}
    facts = Facts(text, loose=True)
    arguments = fill(schema, facts, told_only=True)
    if text != question:
        arguments = _completed(arguments, schema, text, question)
    if not isinstance(arguments, dict):
        arguments = {}
    several = _several(schema, arguments, text)
    if several is None:
        yield ToolCall("", tool.name, _written(arguments))
        return
    field, values = several
    for value in values:
        yield ToolCall("", tool.name, _written(arguments | {field: value}))


def _completed(arguments: Any, schema: Mapping[str, Any], text: str, question: str) -> Any:
    """Arguments whose own clause says nothing, taken from the whole question."""
    whole = fill(schema, Facts(question, loose=True), told_only=True)
    if not isinstance(arguments, dict) or not isinstance(whole, dict):
        return arguments
    silent = {
        name: value
        for name, value in whole.items()
        if isinstance(value, str) and str(arguments.get(name, "simulated")).startswith("simulated")
    }
    changed = arguments | silent
    return changed if is_valid(changed, schema, schema) else arguments


def _several(
    schema: Mapping[str, Any], arguments: dict[str, Any], text: str
) -> tuple[str, list[str]] | None:
    """The one text argument that the question lists several values for, and these values."""
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return None
    for field, value in arguments.items():
        part = properties.get(field)
        if not isinstance(value, str) or (isinstance(part, Mapping) and "enum" in part):
            continue
        values = _listed_with(value, text)
        fitting = [one for one in values if is_valid(arguments | {field: one}, schema, schema)]
        others = [other for name, other in arguments.items() if name != field]
        if len(fitting) > 1 and not any(one in others for one in fitting):
            return field, fitting
    return None


# What stands between two entries of a list in prose.
_LISTING = re.compile(
    r"['\u2019]?s?\s*(?:,|,?\s*(?:and|or|&|vs\.?|versus|with))\s*(?:and|in|for|at|from|to)?\s*(?:the\s)?",
    re.I,
)


def _listed_with(value: str, text: str) -> list[str]:
    """The values that stand in one list with `value` in the text."""
    names = entities(text)
    first = next((i for i, one in enumerate(names) if one.text == value), None)
    if first is not None:
        kin = [names[first]]
        for one in names[first + 1 :]:
            if not _LISTING.fullmatch(text[kin[-1].end : one.start]):
                break
            kin.append(one)
        return list(dict.fromkeys(one.text for one in kin))
    match = re.search(rf"\b{re.escape(value)}((?:,\s*[\w -]+?)*,?\s+and\s+[\w-]+)", text)
    if not match:
        return [value]
    rest = [part for part in parts_of_list(match.group(1)) if part.lower() not in STOP_WORDS]
    return [value, *rest] if all(len(part.split()) < 3 for part in rest) else [value]


def _written(arguments: object) -> str:
    return json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
