"""Doing a batch's calls, many at once, under a limiter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from course_utils.llm import plain_http
from course_utils.llm.batch_job import BatchReport, Job, Task, typed
from course_utils.llm.clock import Clock
from course_utils.llm.errors import LLMError, ProviderError
from course_utils.llm.limiter import Permit, RateLimiter
from course_utils.llm.result import ChatResult
from course_utils.llm.retry import acall_with_retry, report_of
from course_utils.wire.prompt_tokens import prompt_tokens
from course_utils.wire.request import Request

if TYPE_CHECKING:
    import aiohttp

Progress = bool | Callable[[int, int], object]
"""A bar on a terminal, nothing, or a function of your own that is told (done, of how many)."""

# An answer whose length nobody limits is taken to be so long, until longer ones were seen.
_ASSUMED_TOKENS = 1_000
# An estimated prompt may be short by a quarter; without any tokenizer, 3 characters a token are
# fewer than any prose has.
_MARGIN = 1.25
_CHARS_PER_TOKEN = 3
# A minute's limit may be spent when a server asks to wait, and a batch has time.
_MAX_WAIT_S = 120.0


class Run:
    """The calls of one batch, each with its own retries."""

    def __init__(
        self, job: Job, limiter: RateLimiter, clock: Clock, max_retries: int, *, reserves: bool
    ) -> None:
        self._job, self._limiter, self._clock = job, limiter, clock
        self._max_retries, self._reserves = max_retries, reserves
        self._longest_answer = _ASSUMED_TOKENS

    async def all(self, concurrency: int, progress: Progress) -> BatchReport:
        """Ask everything that is open, so many at once."""
        import aiohttp

        began, job, address = self._clock.now(), self._job, self._job.target.address
        tasks = iter(list(job.open.values()))
        workers = min(concurrency, len(job.open))
        session = aiohttp.ClientSession(
            headers=plain_http.headers_of(address),
            timeout=aiohttp.ClientTimeout(total=address.timeout_s),
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        async with session:
            with shown(progress, job) as show:
                await _all_or_none(self._work(session, tasks, show) for _ in range(workers))
        return job.report(self._clock.now() - began)

    async def _work(
        self, session: aiohttp.ClientSession, tasks: Iterator[Task], show: Callable[[], None]
    ) -> None:
        """Ask one after the other, as long as there are any; all workers share the tasks."""
        for task in tasks:
            outcome, attempts = await self._ask(session, task)
            self._job.finish(task, outcome, attempts)
            show()

    async def _ask(
        self, session: aiohttp.ClientSession, task: Task
    ) -> tuple[ChatResult | LLMError, int]:
        try:
            done = await acall_with_retry(
                lambda: self._try(session, task),
                self._max_retries,
                max_wait_s=_MAX_WAIT_S,
                clock=self._clock,
            )
        except Exception as error:
            report = report_of(error)
            return typed(error), report.attempts if report is not None else 0
        return done.value, done.report.attempts

    async def _try(self, session: aiohttp.ClientSession, task: Task) -> ChatResult:
        """One attempt: wait for the limits, ask, and say afterwards what it used."""
        request, target = task.request, self._job.target
        permit = await self._limiter.aacquire(self._reserved(request))
        began = self._clock.now()
        try:
            answer = await plain_http.ask(session, target, request)
        except ProviderError:
            permit.settle()  # the server may have answered all the same
            raise
        try:
            result = plain_http.read(target, answer, task.warnings, self._clock.now() - began)
        except ProviderError:
            permit.settle(None if answer.status >= 500 else 0, answer.headers, answer.status)
            raise
        self._settle(permit, request, result, answer)
        return result

    def _reserved(self, request: Request) -> int:
        """The tokens that a call may use, as far as can be known before."""
        if not self._reserves:
            return 0
        model = self._job.target.model
        if model is None:
            prompt = sum(len(message.text) for message in request.messages) / _CHARS_PER_TOKEN
        else:
            prompt = prompt_tokens(request, model) * (1.0 if model.encoding else _MARGIN)
        return int(prompt) + 1 + request.n * (request.max_tokens or self._longest_answer)

    def _settle(
        self, permit: Permit, request: Request, result: ChatResult, answer: plain_http.HTTPAnswer
    ) -> None:
        """Count what was used: OpenAI counts the `max_tokens` that were asked for, used or not."""
        answered = result.completion_tokens
        self._longest_answer = max(self._longest_answer, answered)
        if result.provider in ("openai", "local"):
            answered = max(answered, request.n * (request.max_tokens or 0))
        permit.settle(result.prompt_tokens + answered, answer.headers)


async def _all_or_none(work: Iterable[Coroutine[None, None, None]]) -> None:
    """Run side by side; where one fails, stop the others and raise its error."""
    try:
        async with asyncio.TaskGroup() as group:
            for each in work:
                group.create_task(each)
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None


@contextmanager
def shown(progress: Progress, job: Job) -> Iterator[Callable[[], None]]:
    """Something to call after each answer, which shows how far the job is."""
    if progress is True:
        from tqdm import tqdm

        # disable=None: no bar where nobody looks, such as in a log or under a test.
        with tqdm(total=job.count, initial=job.done, unit="call", disable=None) as bar:
            yield lambda: _noted(bar.update(job.done - bar.n))
    elif progress is False:
        yield lambda: None
    else:
        yield lambda: _noted(progress(job.done, job.count))


def _noted(_: object) -> None:
    """Nothing more to do."""
