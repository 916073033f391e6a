"""JSON without a schema: the keys that the prompt names, as a schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from course_utils.offline.simulator.words import parts_of_list, stem, stems, words
from course_utils.wire.request import Request

_TYPES = {
    "list": "array", "array": "array", "lists": "array", "[]": "array", "strings": "array",
    "number": "number", "float": "number", "decimal": "number", "numeric": "number",
    "integer": "integer", "int": "integer", "boolean": "boolean", "bool": "boolean",
    "true": "boolean", "false": "boolean", "object": "object", "dict": "object",
    "string": "string", "str": "string", "text": "string",
}  # fmt: skip
_NUMBERS = stems(
    "age count price year score total quantity amount number percent rating confidence result sum"
)
_NO_PLURALS = ("ss", "us", "is", "address", "news", "series")
_NAME = r"[\"'`]?([A-Za-z_][\w-]*)[\"'`]?"


def schema_from_prompt(request: Request) -> dict[str, Any] | None:
    """A schema of the keys that the newest question, or else the system prompt, asks for."""
    for text in (request.last_user_text, request.system):
        shown = _shown_object(text)
        if isinstance(shown.get("properties"), dict) and shown.get("type", "object") == "object":
            return shown
        properties = _from_template(text) or _from_words(text)
        if properties:
            return {
                "type": "object",
                "properties": properties,
                "required": list(properties),
                "additionalProperties": False,
            }
    return None


def _from_template(text: str) -> dict[str, Any]:
    """The keys of a JSON object that the prompt shows as an example."""
    example = _shown_object(text)
    if example:
        return {key: _like(key, value) for key, value in example.items()}
    shown = re.search(r"\{\s*\"[^{}]*\}", text)
    return {key: _typed(key, hint) for key, hint in _pairs(shown.group())} if shown else {}


def _shown_object(text: str) -> dict[str, Any]:
    """The first JSON object that stands in a text; empty where there is none."""
    for start in [match.start() for match in re.finditer(r"\{\s*\"", text)][:20]:
        try:
            value, _ = json.JSONDecoder().raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            return value
    return {}


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    yield from re.findall(r"\"([^\"]+)\"\s*:\s*([^,\n}]*)", text)


def _like(key: str, value: Any) -> dict[str, Any]:
    """The schema that an example value stands for."""
    match value:
        case bool():
            return {"type": "boolean"}
        case int() | float():
            return {"type": "number"}
        case list():
            return {"type": "array", "items": _like(key, value[0]) if value else {"type": "string"}}
        case dict():
            properties = {name: _like(name, one) for name, one in value.items()}
            return {"type": "object", "properties": properties, "required": list(properties)}
    return _typed(key, str(value))


def _from_words(text: str) -> dict[str, Any]:
    """The keys that follow the word key, field or property in prose."""
    asked = re.search(
        r"\b(?:keys?|fields?|propert(?:y|ies)|attributes?)\b(?:\s+(?:named|called))?\s*:?\s*"
        rf"((?:[-*]\s*)?{_NAME}.*)",
        text,
        re.I | re.S,
    )
    if not asked:
        return _from_request(text)
    found: dict[str, Any] = {}
    first, *others = re.split(r"\n\s*\n", asked.group(1))[0].splitlines()[:30]
    for line in (first, *(other for other in others if re.match(r"\s*[-*\d]", other))):
        ended = re.split(r"(?<=[\w)\]`'\"])[.!?](?:\s|$)", line)[0]
        for part in _parts(ended):
            match = re.fullmatch(rf"\W*(?:and\s+)?{_NAME}\s*(?:[:=(-]\s*(.*?)\)?)?\W*", part, re.S)
            if not match or len(words(match.group(1))) > 5:
                break
            found[match.group(1)] = _typed(match.group(1), match.group(2) or "")
    return found


def _from_request(text: str) -> dict[str, Any]:
    """The keys in `give the name and age as JSON`."""
    asked = re.search(
        r"\b(?:give|return|extract|provide|output|get)\s+(?:me\s+)?([\w ,]+?)\s+(?:as|in)\s+"
        r"(?:a |an |valid )?json\b",
        text,
        re.I,
    )
    parts = parts_of_list(asked.group(1)) if asked else []
    keys = [re.sub(r"^(?:and |the |its |their |a |an )+", "", part) for part in parts]
    keys = ["_".join(words(key)).lower() for key in keys if 0 < len(key.split()) < 4]
    return {key: _typed(key, "") for key in keys} if len(keys) > 1 else {}


def _parts(line: str) -> list[str]:
    """A line's entries, with what stands in brackets kept together."""
    parts = re.split(r",\s*(?:and\s+)?(?![^(\[]*[)\]])|\s+and\s+(?![^(\[]*[)\]])", line)
    return [part for part in parts if part.strip()]


def _typed(key: str, hint: str) -> dict[str, Any]:
    """The schema of one key, by the hint beside it, else by its name."""
    hint = hint.strip(" \"'`<>")
    options = re.split(r"\s*[|/]\s*", hint) if re.search(r"[|/]", hint) else []
    if not options and re.search(r"\bor\b", hint):
        options = parts_of_list(re.sub(r"^.*?\b(?:one of|either)\b:?", "", hint))
    if len(options) > 1 and all(0 < len(option.split()) < 4 for option in options):
        options = [option.strip(" \"'") for option in options]
        known = {_TYPES.get(option.lower()) for option in options}
        if known == {None}:
            return {"enum": options}
    said = next((_TYPES[w] for w in re.findall(r"\w+|\[\]", hint.lower()) if w in _TYPES), None)
    if hint.startswith("["):
        said = "array"
    kind = said or _by_name(key)
    return {"type": kind, "items": {"type": "string"}} if kind == "array" else {"type": kind}


def _by_name(key: str) -> str:
    parts = [word.lower() for word in words(key)] or [key]
    if parts[0] in ("is", "has", "was", "can", "should"):
        return "boolean"
    if stem(parts[-1]) in _NUMBERS:
        return "number"
    plural = parts[-1].endswith("s") and not parts[-1].endswith(_NO_PLURALS)
    return "array" if plural and len(parts[-1]) > 3 else "string"
