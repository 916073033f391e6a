"""The providers' prompt caches: a long beginning that was sent before costs less."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from course_utils.wire import tokens
from course_utils.wire.catalogue import Model
from course_utils.wire.reply import Usage
from course_utils.wire.request import CachePlan, Request

# A shorter beginning is not cached, and what is known is looked for so many blocks before a mark.
# https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching, which names
# 1,024 tokens for most models and up to 4,096 for some.
_SHORTEST = 1024
_LOOKBACK = 20
_MOST_REMEMBERED = 10_000


@dataclass
class PromptCache:
    """Remembers which beginnings of prompts were sent, for each model; it never forgets by time."""

    _seen: OrderedDict[str, None] = field(default_factory=OrderedDict)

    def bill(self, usage: Usage, request: Request, model: Model) -> Usage:
        """The usage, with what the cache marks of the request read and wrote.

        The longest beginning that is known is read, and what follows it up to the last mark is
        written.
        """
        plan = request.cache_plan
        if plan is None:
            return usage
        read = max(
            (end for mark in plan.marks for end in self._known(plan, mark, model)), default=0
        )
        read, whole = (
            min(tokens.count(plan.text[:end], model).tokens, usage.prompt_tokens)
            for end in (read, plan.marks[-1])
        )
        if whole < _SHORTEST:
            return usage
        read = read if read >= _SHORTEST else 0
        for mark in plan.marks:
            self._remember(_digest(plan.text[:mark], model))
        return replace(usage, cached_tokens=read, cache_write_tokens=whole - read)

    def _known(self, plan: CachePlan, mark: int, model: Model) -> Iterator[int]:
        """The ends, near a mark, of beginnings that were sent before."""
        upto = [end for end in plan.ends if end <= mark]
        return (e for e in upto[-_LOOKBACK:] if _digest(plan.text[:e], model) in self._seen)

    def _remember(self, digest: str) -> None:
        self._seen[digest] = None
        self._seen.move_to_end(digest)
        if len(self._seen) > _MOST_REMEMBERED:
            self._seen.popitem(last=False)


def _digest(text: str, model: Model) -> str:
    return hashlib.sha256(f"{model.id}\n{text}".encode("utf-8", "surrogatepass")).hexdigest()
