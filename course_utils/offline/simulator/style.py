"""The form that a system prompt or a question asks for, as far as rules can keep it."""

from __future__ import annotations

import re

from course_utils.offline.simulator import lexicon
from course_utils.offline.simulator.words import COUNT, number, sentences
from course_utils.wire.request import Request

_LANGUAGES = sorted(lexicon.listed("languages"))
_ANSWERING = r"(?:answer|respond|reply|write|speak|talk|output)\w*"


def styled(text: str, request: Request) -> str:
    """The answer in the length, the case and the language that were asked for."""
    asked = f"{request.system}\n{request.last_user_text}"
    text = _in_language(_shortened(text, asked), request)
    return _in_case(_framed(text, asked), asked)


def wants_json(request: Request) -> bool:
    """Whether the prompt alone, with no JSON mode, asks for nothing but JSON."""
    asked = f"{request.system}\n{request.last_user_text}"
    return bool(
        re.search(
            rf"\b(?:{_ANSWERING}|return|give)\b[^.\n]{{0,40}}\b(?:json|JSON)\b|\bjson only\b|"
            r"\bonly (?:valid )?json\b",
            asked,
            re.I,
        )
    )


def _shortened(text: str, asked: str) -> str:
    if "```" in text:
        return text
    count = re.search(
        rf"\b(?:in|with|only|at most|exactly|maximum|max|than|a|to)?\s*{COUNT}"
        r"[ -](?:or \w+ )?words?\b(?! (?:of|per|a|in)\b)",
        asked,
        re.I,
    )
    if count:
        return " ".join(text.split()[: number(count.group(1))])
    if re.search(r"\b(?:single[- ]word|a word)\b", asked, re.I):
        return text.split()[0] if text.split() else text
    lines = re.search(rf"\b(?:in|with|use|at most|only|exactly)\b[^.\n]{{0,20}}?\b{COUNT}"
                      r"(?: \w+)? sentences?\b", asked, re.I)  # fmt: skip
    if lines and "\n" not in text:
        return " ".join(sentences(text)[: number(lines.group(1))])
    return text


def _in_language(text: str, request: Request) -> str:
    """A tag that names the language: rules translate nothing."""
    asked = re.search(
        rf"\b(?:{_ANSWERING}|always|only)\b[^.\n]{{0,30}}?\bin ({'|'.join(_LANGUAGES)})\b",
        f"{request.last_user_text}\n{request.system}",
        re.I,
    )
    if not asked or asked.group(1).lower() == "english" or text.startswith("["):
        return text
    return f"[{asked.group(1).capitalize()}] {text}"


def _framed(text: str, asked: str) -> str:
    """An opening or an ending that every answer is asked to have."""
    quoted = r"[\"'\u201c]([^\"'\u201d\n]{1,60})[\"'\u201d]"
    for verb, form in (
        (r"(?:start|begin)s?", "{said} {text}"),
        (r"(?:end|finish)(?:es|s)?", "{text} {said}"),
    ):
        rule = rf"\b{verb}\b[^.\n\"'\u201c]{{0,50}}\bwith\b[^.\n\"'\u201c]{{0,20}}{quoted}"
        found = re.search(rule, asked, re.I)
        if found:
            text = form.format(said=found.group(1), text=text)
    return text


def _in_case(text: str, asked: str) -> str:
    if re.search(r"\b(upper ?case|capital letters|all caps|capitals)\b", asked, re.I):
        return text.upper()
    if re.search(r"\b(lower ?case|small letters|no capitals)\b", asked, re.I):
        return text.lower()
    return text
