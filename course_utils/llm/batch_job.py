"""What a batch is to do and what has become of it, whoever does the work."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from course_utils.llm.chat import Messages
from course_utils.llm.errors import AnswerError, LLMError, MessagesError
from course_utils.llm.fingerprint import fingerprint
from course_utils.llm.result import ChatResult
from course_utils.llm.stores import SQLiteStore, Store
from course_utils.llm.target import Target, parsed
from course_utils.wire.reply import Usage
from course_utils.wire.request import Request


@dataclass(frozen=True, slots=True)
class BatchItem:
    """What became of one request: `result` or `error`, never both.

    Attributes:
        attempts: how often it was sent now; 0 where its answer was known, or it cannot be sent.
    """

    result: ChatResult | None = None
    error: LLMError | None = None
    attempts: int = 0

    @property
    def cost_usd(self) -> float:
        """What the answer cost now; an answer that does not fit its schema costs too."""
        answer = self.error.result if isinstance(self.error, AnswerError) else self.result
        return (answer.cost_usd or 0.0) if answer is not None and self.attempts else 0.0


@dataclass(frozen=True, slots=True)
class BatchReport:
    """The items, in the order of the requests, and how many seconds they took together."""

    items: tuple[BatchItem, ...]
    total_s: float

    @property
    def results(self) -> tuple[ChatResult | None, ...]:
        """The result of each request; None where it failed."""
        return tuple(item.result for item in self.items)

    @property
    def failed(self) -> dict[int, LLMError]:
        """The errors by the place of their requests, of which the first is 0."""
        return {i: item.error for i, item in enumerate(self.items) if item.error is not None}

    @property
    def cost_usd(self) -> float:
        """What this run cost, as far as prices are known; equal requests were asked once."""
        return sum({id(item): item.cost_usd for item in self.items}.values())

    def __repr__(self) -> str:
        good = len(self.items) - len(self.failed)
        return f"<BatchReport: {good} of {len(self.items)} answered in {self.total_s:.1f} s>"


@dataclass(frozen=True, slots=True)
class Task:
    """One request as it is sent, once, and the sentences on what was changed in it."""

    key: str
    request: Request
    warnings: tuple[str, ...]


class Job:
    """The requests, read and sorted: what is to be asked, and which items each answer fills.

    Attributes:
        target: whom to ask.
        count: how many items there are.
        open: what has no answer yet, equal requests once, in their order.
    """

    def __init__(
        self,
        requests: Iterable[Request | Messages],
        target: Target,
        store: str | os.PathLike[str] | Store | None,
        options: Mapping[str, Any],
    ) -> None:
        if isinstance(requests, str | Mapping):
            raise MessagesError(
                f"requests is one {type(requests).__name__}: give a list of them, such as "
                f'["Hello", "Good morning"].'
            )
        self.target, self.count = target, 0
        self.open: dict[str, Task] = {}
        self._store = SQLiteStore(store) if isinstance(store, str | os.PathLike) else store
        self._schema = options.get("schema")
        self._items: dict[int, BatchItem] = {}
        self._places: dict[str, list[int]] = {}
        for entry in requests:
            self._add(entry, options)

    @property
    def done(self) -> int:
        """How many items are filled."""
        return len(self._items)

    def finish(self, task: Task, outcome: ChatResult | LLMError, attempts: int) -> None:
        """Keep an answer, or why there is none, for every item that asked for it."""
        if isinstance(outcome, ChatResult) and self._store is not None:
            self._store.put(task.key, outcome)
        self._fill(task.key, outcome, attempts)
        self.open.pop(task.key, None)

    @property
    def submitted(self) -> str | None:
        """The id of a batch that the provider works on for exactly this job, if any was noted."""
        noted = self._store.get(self._note) if self._store is not None else None
        return noted.content or None if noted is not None else None

    @submitted.setter
    def submitted(self, batch_id: str | None) -> None:
        if self._store is not None:
            # A store keeps answers only, so the id is kept as one.
            target = self.target
            noted = ChatResult(batch_id or "", "", Usage(), target.model_id, target.provider)
            self._store.put(self._note, noted)

    @property
    def _note(self) -> str:
        keys = " ".join(sorted(self._places))
        return "batch " + hashlib.sha256(keys.encode()).hexdigest()

    def report(self, total_s: float) -> BatchReport:
        """The report, when all items are filled."""
        return BatchReport(tuple(self._items[place] for place in range(self.count)), total_s)

    def _add(self, entry: Request | Messages, options: Mapping[str, Any]) -> None:
        """Take one request; what is wrong with it stays its own."""
        place, self.count = self.count, self.count + 1
        try:
            task = self._task(entry, options)
        except LLMError as error:
            self._items[place] = BatchItem(error=error)
            return
        self._places.setdefault(task.key, []).append(place)
        known = self._store.get(task.key) if self._store is not None else None
        if known is None:
            self.open[task.key] = task
        else:
            self._fill(task.key, known, attempts=0)

    def _task(self, entry: Request | Messages, options: Mapping[str, Any]) -> Task:
        target = self.target
        request = entry if isinstance(entry, Request) else target.request(entry, **options)
        if request.model not in ("", target.model_id):
            raise MessagesError(
                f"The request asks for {request.model!r}, and the batch goes to "
                f"{target.model_id!r}: give it to a batch of its own model."
            )
        fitted, warnings = target.fit(replace(request, model=target.model_id))
        return Task(fingerprint(fitted, f"{target.provider}/{target.model_id}"), fitted, warnings)

    def _fill(self, key: str, outcome: ChatResult | LLMError, attempts: int) -> None:
        item = self._item(outcome, attempts)
        for place in self._places[key]:
            self._items[place] = item

    def _item(self, outcome: ChatResult | LLMError, attempts: int) -> BatchItem:
        if isinstance(outcome, LLMError):
            return BatchItem(error=outcome, attempts=attempts)
        try:
            return BatchItem(parsed(outcome, self._schema), attempts=attempts)
        except LLMError as error:
            return BatchItem(error=error, attempts=attempts)


def typed(error: Exception) -> LLMError:
    """The error itself where it is the toolkit's; else one that says which request is at fault."""
    if isinstance(error, LLMError):
        return error
    told = MessagesError(
        f"The request cannot be sent ({type(error).__name__}: {error}): compare it with one that "
        f"can."
    )
    told.__cause__ = error
    return told
