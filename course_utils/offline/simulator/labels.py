"""Classification into the labels that a prompt offers."""

from __future__ import annotations

import re

from course_utils.offline.simulator.facts import Facts
from course_utils.offline.simulator.source import matter
from course_utils.offline.simulator.words import parts_of_list, stem, words
from course_utils.wire.request import Request


def classified(question: str, request: Request, variant: int) -> str | None:
    """One of the labels that the prompt offers: the first that the text itself speaks for."""
    labels, listed = _labels(f"{request.system}\n{question}")
    if not labels:
        return None
    rest = Facts(matter(question.replace(listed, " ")))
    found = rest.chosen(labels) or rest.mood(labels)
    return str(found[0]) if found else labels[_likeliest(rest.text, labels)]


def _labels(asked: str) -> tuple[list[str], str]:
    """The labels that a prompt offers, and the words in which it does."""
    verb = r"\b(?:classify|label|categori[sz]e|sentiment|is (?:this|the|it)|route|tag)\b"
    offered = re.search(
        rf"{verb}.*?\b(?:as|into|with|labels?|categor(?:y|ies)|classes|one of(?: these)?)\b:?\s+"
        r"(?:(?:either|one of|exactly one of|these labels|the labels):?\s+)*"
        r"(['\"]?\w[\w '\"-]*(?:,\s*[\w '\"-]+)*(?:,?\s+(?:or|and)|,)\s+['\"]?[\w-]+)",
        asked,
        re.I | re.S,
    ) or re.search(
        rf"{verb}[^.\n]*?((?:\b[\w-]+,\s+)*\b[\w-]+,?\s+or\s+[\w-]+)(?=[\s:?.)]|$)", asked, re.I
    )
    listed = re.search(
        rf"{verb}[^\n]*\n{{1,3}}((?:[ \t]*[-*\u2022] *[\w /-]+\n?){{2,}})", asked, re.I
    )
    if listed:
        return parts_of_list(listed.group(1)), listed.group(1)
    if not offered:
        return [], ""
    labels = [part.strip(" '\".") for part in re.split(r",|\bor\b|\band\b", offered.group(1))]
    return [part for part in labels if part], offered.group(1)


def _likeliest(text: str, labels: list[str]) -> int:
    """The label whose letters share most with a word of the text; the first where none does."""
    said = {stem(word)[:4] for word in words(text)}
    return next((i for i, one in enumerate(labels) if stem(one)[:4] in said), 0)
