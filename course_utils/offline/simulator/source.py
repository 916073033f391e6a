"""Which part of a request is the matter, and which part says what to do with it."""

from __future__ import annotations

import re
from dataclasses import replace

from course_utils.offline.simulator.facts import Facts
from course_utils.offline.simulator.words import sentences
from course_utils.wire.request import Message, Request

# Rules read this many characters of a text; their time grows with it.
_LONGEST = 8000
_TASK = re.compile(
    r"^\W*(?:please\s+|now\s+)*(?:extract|return|respond|reply|answer|output|give|produce|classify|"
    r"label|parse|identify|use\s+(?:the|this)|format|find|list|summari[sz]e|translate|convert|"
    r"you (?:are|must|should)|your task|read|do not|only|no\s+\w+,|keys?|as json)\b|\bjson\b",
    re.I,
)
_KEYS = re.compile(r"\b(?:keys?|json|fields?)\b", re.I)
_TEMPLATE = re.compile(r"\{\s*\"[^{}]*(?:\{[^{}]*\}[^{}]*)*\}")
_HINT = re.compile(
    r"^\s*[-*]\s*[\"'`]?\w+[\"'`]?\s*[:(]\s*(?:an? )?"
    r"(?:string|number|integer|int|float|bool\w*|list|array|object|text)\b.*$",
    re.I | re.M,
)
_HEADING = re.compile(r"^(?:text|input|sentence|document|review)\s*:\s*", re.I)


def matter(text: str) -> str:
    """The text without its instructions; all of it where there is nothing else."""
    bare = _HINT.sub("", _TEMPLATE.sub("", text)) if _KEYS.search(text) else text
    kept = []
    for line in sentences(bare):
        head, colon, rest = line.partition(": ")
        if colon and _TASK.search(head) and not _KEYS.search(head):
            kept.append(rest)
        elif quoted := re.search(r":\s*[\"\u201c](.+)[\"\u201d]$", line):
            kept.append(quoted.group(1))
        elif not _TASK.search(line):
            kept.append(_HEADING.sub("", line))
    return "\n".join(kept).strip() or text


def within_reach(request: Request) -> Request:
    """The request with only the head and the tail of each very long text."""
    if all(len(message.text) <= _LONGEST for message in request.messages):
        return request
    half = _LONGEST // 2
    short = tuple(
        replace(m, text=f"{m.text[:half]}\n{m.text[-half:]}") if len(m.text) > _LONGEST else m
        for m in request.messages
    )
    return replace(request, messages=short)


def last_turn(request: Request) -> tuple[Message, ...]:
    """The messages from the newest question on: the question, calls, and what tools said.

    A note that follows tool results in the same breath opens no new question.
    """
    at = len(request.messages)
    for index in range(len(request.messages) - 1, -1, -1):
        message = request.messages[index]
        if message.role == "user":
            at = index
            if index == 0 or request.messages[index - 1].role != "tool":
                break
    return request.messages[at:]


def facts_of(request: Request) -> Facts:
    """What the newest question and the tools' answers to it say."""
    turn = last_turn(request)
    question = next((m.text for m in turn if m.role == "user" and m.text.strip()), "")
    told = [m.text for m in turn if m.role == "tool"]
    return Facts("\n".join([*told, matter(question)]), question)
