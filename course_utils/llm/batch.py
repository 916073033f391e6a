"""Many calls at once, within limits on requests and tokens a minute.

    report = run_batch(prompts, provider="openai", rpm=500, tpm=200_000, store="answers.sqlite")

Every request becomes an item of the report, in the order in which they were given: with its result,
or with the error that it ended in. What professionals use: LiteLLM's router, OpenAI's cookbook
script for parallel calls, and the providers' own Batch APIs where an answer may take a day
(``batch_api=True``).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from typing import Any

from course_utils.llm.batch_job import BatchItem, BatchReport, Job
from course_utils.llm.batch_run import Progress, Run
from course_utils.llm.chat import Messages
from course_utils.llm.client import LLMClient
from course_utils.llm.clock import Clock, SystemClock
from course_utils.llm.errors import SettingError
from course_utils.llm.limiter import RateLimiter
from course_utils.llm.stores import Store
from course_utils.wire.request import Request

__all__ = ["BatchItem", "BatchReport", "arun_batch", "run_batch"]


def run_batch(
    requests: Iterable[Request | Messages],
    *,
    client: LLMClient | None = None,
    provider: str = "openai",
    model: str | None = None,
    rpm: int | None = None,
    tpm: int | None = None,
    concurrency: int = 20,
    max_retries: int = 3,
    store: str | os.PathLike[str] | Store | None = None,
    progress: Progress = True,
    batch_api: bool = False,
    clock: Clock | None = None,
    **options: Any,
) -> BatchReport:
    """Ask all requests and wait for all answers; works in a notebook too, whose own loop runs on.

    Args:
        requests: messages as `chat` takes them, or whole `Request`s. Equal ones are asked once.
        client: whom to ask; else `provider` and `model`, as `LLMClient` takes them.
        rpm, tpm: requests and tokens in any minute; the server's own lower limits hold anyway.
            Tokens are exact where requests say `max_tokens`, else corrected with each answer.
        concurrency: how many calls are in flight at most.
        max_retries: attempts after the first, for errors that waiting can cure.
        store: a file that keeps every answer as it comes. A run with the same file asks only for
            what has no answer in it, also after the run before was killed.
        progress: True for a bar where a person looks at a terminal, False for none, or a function
            that is told after each answer (done, of how many).
        batch_api: leave it to the provider's own Batch API: half the price, within a day.
        clock: what tells the time and waits.
        options: those of `chat`, for all messages: max_tokens, schema, tools and others.

    Raises SettingError for a number that makes no sense, CacheError for a store that cannot be
    used, and what `LLMClient` raises. What is wrong with one request is in its item.
    """
    clock = clock or SystemClock()
    target = (client or LLMClient(provider, model))._target
    job = Job(requests, target, store, options)
    if batch_api:
        from course_utils.llm.provider_batch import ask_batch_api

        return ask_batch_api(job, progress, clock)
    return _in_a_loop(_run(job, rpm, tpm, max_retries, clock), concurrency, progress)


async def arun_batch(
    requests: Iterable[Request | Messages],
    *,
    client: LLMClient | None = None,
    provider: str = "openai",
    model: str | None = None,
    rpm: int | None = None,
    tpm: int | None = None,
    concurrency: int = 20,
    max_retries: int = 3,
    store: str | os.PathLike[str] | Store | None = None,
    progress: Progress = True,
    clock: Clock | None = None,
    **options: Any,
) -> BatchReport:
    """Do as `run_batch`, while other tasks of this event loop go on."""
    clock = clock or SystemClock()
    job = Job(requests, (client or LLMClient(provider, model))._target, store, options)
    _check(concurrency)
    return await _run(job, rpm, tpm, max_retries, clock).all(concurrency, progress)


def _run(job: Job, rpm: int | None, tpm: int | None, max_retries: int, clock: Clock) -> Run:
    if max_retries < 0:
        raise SettingError(f"max_retries is {max_retries}: it must be 0 or more.")
    limiter = RateLimiter(rpm, tpm, clock=clock)
    return Run(job, limiter, clock, max_retries, reserves=tpm is not None)


def _check(concurrency: int) -> None:
    if concurrency < 1:
        raise SettingError(f"concurrency is {concurrency}: at least 1 call must be in flight.")


def _in_a_loop(run: Run, concurrency: int, progress: Progress) -> BatchReport:
    """Run to the end, in a thread of its own where this one has an event loop already."""
    _check(concurrency)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(run.all(concurrency, progress))
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(run.all(concurrency, progress))).result()
