"""The providers' prompt caches: a long beginning that was sent before costs less."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import accumulate

from course_utils.wire import tokens
from course_utils.wire.catalogue import Model
from course_utils.wire.reply import Usage
from course_utils.wire.request import CachePlan, Message, Request, Tool

# A shorter beginning is not cached, and what is known is looked for so many blocks before a mark
# (OpenAI looks further, but each of its messages is a mark).
# https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching, which names
# 1,024 tokens for most models and up to 4,096 for some.
_SHORTEST = 1024
_LOOKBACK = 20
_MOST_REMEMBERED = 10_000
# OpenAI caches by itself. Older models cache every beginning of whole blocks from 1,024 tokens on;
# those with a price for writing, up to the end of the last message (recorded traffic of 2026-07:
# 4,012 tokens of a prompt of 4,020 were written, and read when it was sent again).
# https://developers.openai.com/api/docs/guides/prompt-caching
_BLOCK = 128
_AFTER_LAST_MARK = 8


@dataclass
class PromptCache:
    """Remembers which beginnings of prompts were sent, for each model; it never forgets by time."""

    _seen: OrderedDict[str, None] = field(default_factory=OrderedDict)

    def bill(self, usage: Usage, request: Request, model: Model) -> Usage:
        """The usage, with what was read from the cache and written to it.

        The longest beginning that is known is read. What follows it is written up to the last
        mark: one that the request sets, or one that the provider sets by itself.
        """
        if request.cache_plan is not None:
            return self._bill_marks(usage, request.cache_plan, model, tokens_after=0)
        if model.provider != "openai" or usage.prompt_tokens < _SHORTEST:
            return usage
        texts = [_tools_as_read(request.tools), *map(_as_read, request.messages)]
        if model.price.cache_write is None:
            return self._bill_blocks(usage, "".join(texts), model)
        ends = tuple(accumulate(map(len, texts)))
        # Every message was the last one of a prompt before it.
        plan = CachePlan("".join(texts), ends, ends[-1:])
        return self._bill_marks(usage, plan, model, tokens_after=_AFTER_LAST_MARK)

    def _bill_marks(self, usage: Usage, plan: CachePlan, model: Model, tokens_after: int) -> Usage:
        """Usage where the prompt is cached up to marks, but for so many tokens at its end."""
        most = usage.prompt_tokens - tokens_after
        read = max(
            (end for mark in plan.marks for end in self._known(plan, mark, model)), default=0
        )
        read, whole = (
            min(tokens.count(plan.text[:end], model).tokens, most) for end in (read, plan.marks[-1])
        )
        if whole < _SHORTEST:
            return usage
        read = read if read >= _SHORTEST else 0
        for mark in plan.marks:
            self._remember(_digest(plan.text[:mark], model))
        return replace(usage, cached_tokens=read, cache_write_tokens=whole - read)

    def _bill_blocks(self, usage: Usage, text: str, model: Model) -> Usage:
        """Usage where every beginning of a number of whole blocks is cached, and none is billed."""
        read = length = size = 0
        for block in tokens.pieces(text, _BLOCK, model.encoding or tokens.REFERENCE):
            length, size = length + len(block), size + _BLOCK
            if _SHORTEST <= size <= usage.prompt_tokens:
                digest = _digest(text[:length], model)
                read = size if digest in self._seen else read
                self._remember(digest)
        return replace(usage, cached_tokens=read)

    def _known(self, plan: CachePlan, mark: int, model: Model) -> Iterator[int]:
        """The ends, near a mark, of beginnings that were sent before."""
        upto = [end for end in plan.ends if end <= mark]
        return (e for e in upto[-_LOOKBACK:] if _digest(plan.text[:e], model) in self._seen)

    def _remember(self, digest: str) -> None:
        self._seen.pop(digest, None)
        self._seen[digest] = None
        if len(self._seen) > _MOST_REMEMBERED:
            self._seen.popitem(last=False)


def _digest(text: str, model: Model) -> str:
    return hashlib.sha256(f"{model.id}\n{text}".encode("utf-8", "surrogatepass")).hexdigest()


def _as_read(message: Message) -> str:
    """A message as one text, the same wherever it stands."""
    calls = "".join(call.name + call.arguments for call in message.tool_calls)
    others = json.dumps(message.attachments, default=str) if message.attachments else ""
    return f"\n{message.role}\n{message.name or ''}{message.text}{calls}{others}"


def _tools_as_read(tools: Iterable[Tool]) -> str:
    rows = ([tool.name, tool.description, tool.parameters] for tool in tools)
    return "".join(json.dumps(row, ensure_ascii=False, default=str) for row in rows)
