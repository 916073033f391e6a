"""One stream while it runs: what came, when, and how it ended."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from course_utils.llm.errors import StreamCutError
from course_utils.llm.failures import failure
from course_utils.llm.result import ChatEvent, Finished
from course_utils.llm.target import Target, parsed

if TYPE_CHECKING:
    from course_utils.llm.structured import Schema


class StreamRun:
    """Adds up one stream of one target, and times it from `began` (time.perf_counter) on."""

    def __init__(self, target: Target, stream: Any, warnings: tuple[str, ...], began: float):
        self._target, self._warnings, self._began = target, warnings, began
        self._reader = target.driver.reader(stream)
        self._first_s: float | None = None
        self._opened = False

    def take(self, event: Any) -> Sequence[ChatEvent]:
        """What one event of the SDK brings."""
        self._opened = True
        events = self._reader.take(event)
        if events and self._first_s is None:
            self._first_s = time.perf_counter() - self._began
        return events

    def finish(self, schema: Schema | None) -> Finished:
        """The last event; StreamCutError where the model has not said why it ended."""
        answer = self._reader.answer()
        if answer.reply.finish_reason is None:
            raise self._cut("it ended without a finish reason")
        latency_s = time.perf_counter() - self._began
        result = self._target.result(answer, self._warnings, latency_s, self._first_s)
        return Finished(parsed(result, schema))

    def broken(self, error: Exception) -> Exception:
        """The error for what an SDK raised in the middle of the stream.

        Where nothing has come yet, it is the error that a call without a stream would have. The
        same holds for what the provider itself says before the first piece. All else is a stream
        that was cut, and what had come of it is kept.
        """
        told = failure(error, self._target.provider, self._target.model_id)
        if told is None:
            return error
        said = told.status or told.code
        if not self._opened or (said and self._first_s is None):
            return told
        cut = self._cut(str(error).rstrip(".") or type(error).__name__)
        cut.code, cut.request_id = told.code, told.request_id or cut.request_id
        return cut

    def _cut(self, why: str) -> StreamCutError:
        text = self._reader.text
        return StreamCutError(
            f"The stream of {self._target.provider} was cut after {len(text)} characters: {why}. "
            f"The text that came is in the error's `text`; ask again for the whole answer.",
            text=text,
            provider=self._target.provider,
            model=self._target.model_id,
            request_id=self._reader.answer().request_id,
        )
