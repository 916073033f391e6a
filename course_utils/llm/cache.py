"""A cache of answers: the same question is paid for once.

The key is the whole request (see fingerprint.py), so a hit is the answer to this very question. A
second mode also accepts a near-duplicate, and says which question it took and how like it is
(see similar.py).

What is never kept: an error, a stream that was cut or that nobody read to its end, a refusal. What
is kept only if you ask for it:

- answers cut at the token limit: the next caller would get half an answer, for free but for ever;
- answers to a temperature above 0: who sets one wants another answer each time. A request without
  a temperature is cached, because most of today's models take none.

What professionals use: LiteLLM's `caching`, LangChain's `set_llm_cache`, GPTCache and Redis's
LangCache for matching by meaning. The providers' own prompt cache is something else: it makes equal
beginnings cheaper, and still answers anew.
"""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from course_utils.llm.chat import AsyncChat, Chat, Messages
from course_utils.llm.errors import AnswerError, CacheError, MessagesError
from course_utils.llm.fingerprint import fingerprint
from course_utils.llm.result import ChatEvent, ChatResult, Finished, TextDelta, ToolCallDelta
from course_utils.llm.stores import MemoryStore, Store
from course_utils.llm.wrapping import (
    astream_of,
    identity_of,
    name_of,
    request_of,
    saying_more,
    stream_of,
)

if TYPE_CHECKING:
    from course_utils.llm.similar import Match, SimilarIndex
    from course_utils.wire.request import Request


@dataclass(frozen=True, slots=True)
class CachedResult(ChatResult):
    """An answer out of the cache: `cost_usd` is 0, `latency_s` is how long the look-up took.

    `usage` and `request_id` are those of the call that was paid for.

    Attributes:
        saved_usd: what that call cost; None where its price is not known.
        matched: the question that it answered, where that is a near-duplicate of this one.
        likeness: of the two questions, from 0 to 1; 1 where they are equal.
    """

    saved_usd: float | None = None
    matched: str | None = None
    likeness: float = 1.0


@dataclass(frozen=True, slots=True)
class CacheStats:
    """What a cache has done: questions it answered, and had to pass on.

    `skipped` are those that were not looked up at all. `saved_usd` counts the hits whose price is
    known.
    """

    hits: int = 0
    near_hits: int = 0
    misses: int = 0
    skipped: int = 0
    saved_usd: float = 0.0

    @property
    def hit_rate(self) -> float:
        """The share of hits among the look-ups, from 0 to 1."""
        return self.hits / max(1, self.hits + self.misses)


class AnswerCache:
    """What is kept, where, and how often it helped. Several clients may share one.

    Args:
        store: a MemoryStore (the default) or an SQLiteStore.
        similar: accept near-duplicates by this index.
        cache_sampled: also keep answers to a temperature above 0.
        cache_truncated: also keep answers that were cut at the token limit.
    """

    def __init__(
        self,
        store: Store | None = None,
        *,
        similar: SimilarIndex | None = None,
        cache_sampled: bool = False,
        cache_truncated: bool = False,
    ) -> None:
        self.store: Store = MemoryStore() if store is None else store
        self._similar = similar
        self._cache_sampled = cache_sampled
        self._finishes = {"stop", "tool_calls"} | ({"length"} if cache_truncated else set())
        self._lock = threading.Lock()
        self._stats = CacheStats()

    @property
    def stats(self) -> CacheStats:
        """Hits, misses and money saved so far."""
        return self._stats

    def question(self, chat: object, name: str, messages: Messages, options: Options) -> _Question:
        """A call that is about to be made."""
        began = time.perf_counter()
        request = request_of(chat, name, messages, options)
        wanted = self._cache_sampled or not request.temperature
        return _Question(
            request,
            fingerprint(request, name) if wanted else None,
            name,
            options.get("schema"),
            began,
        )

    def find(self, question: _Question) -> CachedResult | None:
        """The answer, if it is here. A store that fails is a miss: it never fails a call."""
        if question.key is None:
            self._count(skipped=1)
            return None
        found, match = self._get(question.key), None
        if found is None and self._similar is not None:
            match = self._similar.find(question.request, question.asked)
            found = self._get(match.key) if match else None
        hit = _hit(question, found, match) if found else None
        if hit is None:
            self._count(misses=1)
        else:
            self._count(hits=1, near_hits=int(match is not None), saved_usd=hit.saved_usd or 0.0)
        return hit

    def keep(self, question: _Question, result: ChatResult) -> ChatResult:
        """Keep an answer that is worth it, and hand it on, with a warning where that failed."""
        if question.key is None or result.refusal or result.finish_reason not in self._finishes:
            return result
        try:
            self.store.put(question.key, result)
        except CacheError as error:
            return replace(result, warnings=(*result.warnings, f"Not cached: {error}"))
        if self._similar is not None:
            self._similar.add(question.request, question.asked, question.key)
        return result

    def _get(self, key: str) -> ChatResult | None:
        try:
            return self.store.get(key)
        except CacheError:
            return None

    def _count(self, saved_usd: float = 0.0, **more: int) -> None:
        with self._lock:
            old = self._stats
            counts = {name: getattr(old, name) + n for name, n in more.items()}
            self._stats = replace(old, **counts, saved_usd=old.saved_usd + saved_usd)


class CachedChat:
    """A client that asks only what it has not been told already.

    Args:
        inner: whom to ask.
        cache: where answers are kept; in memory where none is given.
        name: what tells ``inner`` from others in a shared cache; by default its provider and model.

    Raises MessagesError where ``inner`` has neither, and no name is given.
    """

    def __init__(
        self, inner: Chat, cache: AnswerCache | None = None, *, name: str | None = None
    ) -> None:
        self.inner = inner
        self.cache = cache or AnswerCache()
        self._name = _name(inner, name)

    def chat(self, messages: Messages, **options: Any) -> ChatResult:
        """The cached answer as a CachedResult, else the client's own."""
        question = self.cache.question(self.inner, self._name, messages, options)
        if found := self.cache.find(question):
            return found
        return self.cache.keep(question, self.inner.chat(messages, **options))

    def stream(self, messages: Messages, **options: Any) -> Iterator[ChatEvent]:
        """The events of the answer; a cached one comes in one piece."""
        question = self.cache.question(self.inner, self._name, messages, options)
        if found := self.cache.find(question):
            yield from _events(found)
            return
        for event in stream_of(self.inner, messages, options):
            yield self._kept(question, event)

    def _kept(self, question: _Question, event: ChatEvent) -> ChatEvent:
        if isinstance(event, Finished):
            return Finished(self.cache.keep(question, event.result))
        return event


class AsyncCachedChat:
    """The same around an async client. A look-up takes microseconds, so it waits for none."""

    def __init__(
        self, inner: AsyncChat, cache: AnswerCache | None = None, *, name: str | None = None
    ) -> None:
        self.inner = inner
        self.cache = cache or AnswerCache()
        self._name = _name(inner, name)

    async def chat(self, messages: Messages, **options: Any) -> ChatResult:
        """The cached answer as a CachedResult, else the client's own."""
        question = self.cache.question(self.inner, self._name, messages, options)
        if found := self.cache.find(question):
            return found
        return self.cache.keep(question, await self.inner.chat(messages, **options))

    async def stream(self, messages: Messages, **options: Any) -> AsyncIterator[ChatEvent]:
        """The events of the answer; a cached one comes in one piece."""
        question = self.cache.question(self.inner, self._name, messages, options)
        if found := self.cache.find(question):
            for event in _events(found):
                yield event
            return
        async for event in astream_of(self.inner, messages, options):
            if isinstance(event, Finished):
                event = Finished(self.cache.keep(question, event.result))
            yield event


Options = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Question:
    """A call with its key, which is None where it is not to be cached; when it began."""

    request: Request
    key: str | None
    asked: str
    schema: Any
    began: float


def _hit(question: _Question, found: ChatResult, match: Match | None) -> CachedResult | None:
    if question.schema is not None:
        # Made anew of the text: whoever changes the object changes only their own.
        from course_utils.llm.structured import parse

        try:
            found = parse(found, question.schema)
        except AnswerError:
            # Another class may ask for the same JSON schema, and then check more than that says.
            return None
    matched = {} if match is None else {"matched": match.text, "likeness": match.likeness}
    hit = saying_more(CachedResult, found, saved_usd=found.cost_usd, **matched)
    return replace(hit, cost_usd=0.0, latency_s=time.perf_counter() - question.began)


def _events(found: CachedResult) -> Iterator[ChatEvent]:
    if found.content:
        yield TextDelta(found.content)
    for index, call in enumerate(found.tool_calls):
        yield ToolCallDelta(index, call.id, call.name, call.arguments)
    yield Finished(found)


def _name(inner: object, name: str | None) -> str:
    if known := name or identity_of(inner):
        return known
    raise MessagesError(
        f"{name_of(inner)} says of no provider and model, so its answers could be mistaken for "
        f"others': give it a name, as in CachedChat(client, name='my model')."
    )
