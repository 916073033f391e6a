"""The table by which the router judges a task: words that are found, and the points they bring."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """Points for each of the first ``most`` things that ``found`` counts in a task.

    It reads what is asked, without the material that it is asked about, unless it is for the
    ``whole``.
    """

    reason: str
    points: float
    found: Callable[[str], int]
    most: int = 1
    whole: bool = False


def _words(*patterns: str) -> Callable[[str], int]:
    """Counts how many different of the patterns a task holds, as whole words."""
    compiled = [re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE) for pattern in patterns]
    return lambda task: sum(1 for pattern in compiled if pattern.search(task))


def _any(*patterns: str) -> Callable[[str], int]:
    """Says 1 where a task holds one of the patterns, and 0 where it holds none."""
    compiled = re.compile("|".join(patterns), re.IGNORECASE)
    return lambda task: int(compiled.search(task) is not None)


def _length(at_least: int) -> Callable[[str], int]:
    return lambda task: int(len(task.split()) >= at_least)


_CONDITIONS = _words("without", "must not|may not|cannot|is not", "unless|except", "at least",
                     "while", "exactly", "but")  # fmt: skip
# Every figure here is an opinion that the labelled tasks of tests/test_llm_router.py bear out.
RULES = (
    Rule("one label is wanted", -2.0, _words(
        "classif(?:y|ied)", r"\w+ or \w+(?=\?)", "true or false", "yes or no", "spam",
        "sentiment", "which (?:category|language)", "label")),
    Rule("something is looked up, copied or changed in form", -1.0, _words(
        "extract", "convert", "translate", "spelling|grammar|correct|fix", "synonyms?", "rephrase",
        "uppercase|lowercase|shorter|longer", "(?:count|list|name|sort|order) (?:the|these|this)",
        "what (?:is|are) the|who (?:is|was|wrote)|when (?:is|was|did)|where (?:is|was)"), most=2),
    Rule("short", -0.5, lambda task: int(len(task.split()) <= 12)),
    Rule("a text is to be composed or explained", 2.0, _words(
        "writ(?:e|ing)", "draft", "compose", "summari[sz]e", "explain", "describe", "plan",
        "outline", "rewrite", "suggest|recommend", "brainstorm", "how (?:do|does|can|would)")),
    Rule("code", 1.0, _any(
        "```", r"\b(?:function|class|method|sql|regex|python|javascript|rust)\b",
        r"\b(?:script|program|code|api|bug|unit tests?)\b")),
    Rule("numbers are reckoned with", 2.0, _any(
        r"\b(?:how (?:many|much|long|far)|calculate|compute|solve|probability|equation)\b",
        r"\b(?:percent|average|interest|speed)\b", r"\d\s*(?:%|[-+*/^=]\s*\d)")),
    Rule("a form is demanded", 0.5, _words(
        "json|yaml|csv|table|markdown", "bullet points?|bullets|headings?",
        r"(?:exactly|at most|no more than) \w+ (?:words|sentences|lines)")),
    Rule("a proof is asked for", 4.5, _words("prove|proof|derive|show that")),
    Rule("reasons or judgement are asked for", 2.5, _words(
        "why", "compare|contrast", "trade-?offs?", "argue|justify|defend",
        "design|architect", "evaluate|assess|critique|review", "contradict\\w*", "optimi[sz]e",
        "diagnose|debug|root cause", "what (?:could|might) go wrong",
    ), most=2),
    Rule("the steps rest on each other", 1.5, _words(
        "step by step|each step", "first\\b.{3,200}\\bthen", "finally|after that|afterwards",
        "if\\b.{3,80}\\bthen", "in how many ways|arrangements?|schedule")),
    Rule("conditions pull against each other", 1.5, lambda task: _CONDITIONS(task) // 2),
    Rule("a field where slips are costly", 1.5, _words(
        "deadlocks?|race|concurren\\w+|asyncio|threads?", "contract|clause|legal|liability",
        "diagnosis|dose|patient", "security|vulnerab\\w+|encrypt\\w*", "tax",
        "distributed|consisten\\w+")),
    Rule("several questions", 1.0, lambda task: int(task.count("?") >= 2)),
    Rule("60 words or more", 0.5, _length(60), whole=True),
    Rule("300 words or more", 1.0, _length(300), whole=True),
    Rule("2,000 words or more", 1.5, _length(2_000), whole=True),
)  # fmt: skip

# What an instruction says, it says early; the bound also keeps odd texts from costing seconds.
_READ = 20_000
# What stands between quotation marks; a code fence is left, because it says "code".
_QUOTED = re.compile(
    r"(?<!\w)'(?:[^'\n]|'(?=\w)){1,500}'(?!\w)|\"[^\"]{1,500}\"|\u201c[^\u201d]{1,500}\u201d"
)
# "Extract the dates: …", "Summarise these notes: …": what follows is not an instruction any more.
_MATERIAL = re.compile(
    r"^(?:extract|convert|translate|correct|fix|count|list|sort|label|rewrite)\b[^:\n]*:"
    r"|\b(?:these|the following|this (?:text|line|sentence|message|paragraph|e-?mail))\b[^:\n]*:",
    re.IGNORECASE,
)
# The commonest words of English: a text of some length without any of them is in another language.
looks_english = _words(
    "the|a|an|is|are|of|to|in|for|and|or|this|that|what|how|why|my|me|it|on|with|i|you|we|do|does|"
    "from|by|at|be|can"
)


def instruction(text: str) -> str:
    """What is asked, without quotations and without the text after "this text:" and the like."""
    text = _QUOTED.sub(" ", text[:_READ])
    found = _MATERIAL.search(text)
    return text[: found.end()] if found else text
