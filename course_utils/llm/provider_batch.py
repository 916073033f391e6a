"""The same requests through the providers' own Batch APIs: half the price, within a day.

OpenAI takes a file of requests and gives files of answers, Anthropic takes a list and gives lines.
Both answer in any order, so every request carries its fingerprint as its id. What professionals
use: exactly these SDK calls, with the batch's id noted where a restarted program finds it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from course_utils.llm import plain_http
from course_utils.llm.batch_job import BatchReport, Job, Task, typed
from course_utils.llm.batch_run import Progress, shown
from course_utils.llm.chat import Messages
from course_utils.llm.client import LLMClient
from course_utils.llm.clock import Clock, SystemClock
from course_utils.llm.connections import connection
from course_utils.llm.costs import cost_usd
from course_utils.llm.errors import (
    BadRequestError,
    CallTimeoutError,
    LLMError,
    OverloadedError,
    ProviderError,
    RateLimitError,
    SettingError,
)
from course_utils.llm.result import ChatResult
from course_utils.llm.retry import call_with_retry
from course_utils.llm.stores import Store
from course_utils.llm.target import Target
from course_utils.llm.transient import is_retryable
from course_utils.wire.request import Request

T = TypeVar("T")
Outcome = tuple[str, ChatResult | Exception]
"""A request's id in the batch, and what became of it."""

# Looks at a batch get rarer: from every 10 s to every 5 minutes.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 10.0, 300.0
_ENDED = frozenset(["completed", "failed", "expired", "cancelled"])


def submit_batch(
    requests: Iterable[Request | Messages], *, client: LLMClient, **options: Any
) -> str:
    """Hand requests to the provider's Batch API, and get the batch's id.

    Raises SettingError for a provider without a Batch API here, and a ProviderError where the
    provider refuses the batch. A request that cannot be sent is left out: `collect_batch` says why.
    """
    job = Job(requests, client._target, None, options)
    return _submit(_api(job.target), job, SystemClock())


def collect_batch(
    batch_id: str,
    requests: Iterable[Request | Messages],
    *,
    client: LLMClient,
    store: str | os.PathLike[str] | Store | None = None,
    progress: Progress = True,
    clock: Clock | None = None,
    **options: Any,
) -> BatchReport:
    """Wait for a batch that was submitted before, and collect its answers.

    Args as for `run_batch`; give the same requests and options as when it was submitted.
    """
    job = Job(requests, client._target, store, options)
    return _collect(_api(job.target), batch_id, job, progress, clock or SystemClock())


def ask_batch_api(job: Job, progress: Progress, clock: Clock) -> BatchReport:
    """Submit what is open, unless that has been done, wait, and collect. Raises as above."""
    api = _api(job.target)
    if not job.open:
        return job.report(0.0)
    batch_id = job.submitted
    if batch_id is None:
        job.submitted = batch_id = _submit(api, job, clock)
    report = _collect(api, batch_id, job, progress, clock)
    job.submitted = None
    return report


def _submit(api: _BatchAPI, job: Job, clock: Clock) -> str:
    tasks = list(job.open.values())
    if not tasks:
        raise SettingError("There is no request to submit: give at least one that can be sent.")
    # A call whose answer got lost may have begun a batch: to repeat it could cost twice.
    refused = (RateLimitError, OverloadedError)
    return _asking(
        api.target, clock, lambda: api.submit(tasks), lambda error: isinstance(error, refused)
    )


def _collect(
    api: _BatchAPI, batch_id: str, job: Job, progress: Progress, clock: Clock
) -> BatchReport:
    began = clock.now()
    with shown(progress, job) as show:
        batch = _ended(api, batch_id, clock)
        for key, outcome in _asking(api.target, clock, lambda: list(api.outcomes(batch))):
            if key in job.open:
                job.finish(job.open[key], _finished(job.target, job.open[key], outcome), 1)
                show()
        for task in list(job.open.values()):
            job.finish(task, api.unanswered(batch), 1)
            show()
    return job.report(clock.now() - began)


def _ended(api: _BatchAPI, batch_id: str, clock: Clock) -> Any:
    """The batch, when it has ended."""
    pause_s = _FIRST_PAUSE_S
    while not api.has_ended(batch := _asking(api.target, clock, lambda: api.look(batch_id))):
        clock.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
    return batch


def _asking(
    target: Target,
    clock: Clock,
    ask: Callable[[], T],
    retryable: Callable[[Exception], bool] = is_retryable,
) -> T:
    """Do what an SDK does, with the toolkit's errors and retries."""

    def once() -> T:
        try:
            return ask()
        except Exception as error:
            raise target.failed(error) from error

    return call_with_retry(once, clock=clock, retryable=retryable).value


def _finished(target: Target, task: Task, outcome: ChatResult | Exception) -> ChatResult | LLMError:
    """An outcome at the price of a batch, and with what was changed in its request."""
    if not isinstance(outcome, ChatResult):
        return typed(outcome)
    cost = None
    if target.model is not None and target.model.price.batch_input is not None:
        cost = cost_usd(target.model, outcome.usage, batch=True)
    return replace(outcome, cost_usd=cost, warnings=task.warnings)


def _read(target: Target, body: Any, headers: Mapping[str, str]) -> ChatResult | Exception:
    try:
        return plain_http.read_body(target, body, headers)
    except ValueError as error:
        return target.failed(error)


def _api(target: Target) -> _BatchAPI:
    apis: dict[str, type[_BatchAPI]] = {"openai": _OpenAIBatches, "anthropic": _AnthropicBatches}
    if target.provider not in apis:
        raise SettingError(
            f"The course knows no Batch API of {target.provider!r}: choose openai or anthropic, "
            f"or leave batch_api out."
        )
    return apis[target.provider](target)


class _BatchAPI(Protocol):
    """One provider's Batch API."""

    target: Target

    def __init__(self, target: Target) -> None: ...

    def submit(self, tasks: list[Task]) -> str:
        """Hand in requests; the batch's id."""

    def look(self, batch_id: str) -> Any:
        """The batch as it stands."""

    def has_ended(self, batch: Any) -> bool:
        """Whether nothing more will happen to it."""

    def outcomes(self, batch: Any) -> Iterator[Outcome]:
        """The answers of a batch that has ended, in the provider's order."""

    def unanswered(self, batch: Any) -> LLMError:
        """Why a request of a batch that has ended has no outcome."""


class _OpenAIBatches:
    """OpenAI's: a file of lines goes in, a file of answers and one of errors come out."""

    def __init__(self, target: Target) -> None:
        self.target, self.sdk = target, connection(target.address)

    def submit(self, tasks: list[Task]) -> str:
        lines = [json.dumps(self._line(task)) for task in tasks]
        content = ("batch.jsonl", "\n".join(lines).encode())
        file = self.sdk.files.create(file=content, purpose="batch")
        batch = self.sdk.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        return str(batch.id)

    def _line(self, task: Task) -> dict[str, Any]:
        body = plain_http.codec_of("openai").write_request(task.request)
        url = "/v1/chat/completions"
        return {"custom_id": task.key, "method": "POST", "url": url, "body": body}

    def look(self, batch_id: str) -> Any:
        return self.sdk.batches.retrieve(batch_id)

    def has_ended(self, batch: Any) -> bool:
        return batch.status in _ENDED

    def outcomes(self, batch: Any) -> Iterator[Outcome]:
        for file_id in (batch.output_file_id, batch.error_file_id):
            if file_id is not None:
                for line in self.sdk.files.content(file_id).text.splitlines():
                    row = json.loads(line)
                    yield row["custom_id"], self._outcome(row)

    def _outcome(self, row: dict[str, Any]) -> ChatResult | Exception:
        response = row.get("response")
        if response is None:  # the line expired, or was never begun
            return plain_http.refused(self.target, None, {"error": row.get("error")})
        if response["status_code"] != 200:
            return plain_http.refused(self.target, response["status_code"], response["body"])
        return _read(self.target, response["body"], {"x-request-id": response["request_id"]})

    def unanswered(self, batch: Any) -> LLMError:
        problems = (batch.errors.data or []) if batch.errors else []
        told = " ".join(f"Line {each.line}: {each.message}" for each in problems[:3])
        return _left_out(self.target, batch.id, batch.status, told)


class _AnthropicBatches:
    """Anthropic's: a list of requests goes in, lines of results come out."""

    def __init__(self, target: Target) -> None:
        self.target, self.sdk = target, connection(target.address)

    def submit(self, tasks: list[Task]) -> str:
        write = plain_http.codec_of("anthropic").write_request
        requests = [{"custom_id": task.key, "params": write(task.request)} for task in tasks]
        return str(self.sdk.messages.batches.create(requests=requests).id)

    def look(self, batch_id: str) -> Any:
        return self.sdk.messages.batches.retrieve(batch_id)

    def has_ended(self, batch: Any) -> bool:
        return bool(batch.processing_status == "ended")

    def outcomes(self, batch: Any) -> Iterator[Outcome]:
        for row in self.sdk.messages.batches.results(batch.id):
            yield row.custom_id, self._outcome(batch.id, row.result)

    def _outcome(self, batch_id: str, result: Any) -> ChatResult | Exception:
        if result.type == "succeeded":
            return _read(self.target, result.message.model_dump(mode="json", warnings=False), {})
        if result.type == "errored":
            return plain_http.refused(self.target, None, result.error.model_dump(warnings=False))
        return _left_out(self.target, batch_id, result.type)

    def unanswered(self, batch: Any) -> LLMError:
        return _left_out(self.target, batch.id, "ended")


def _left_out(target: Target, batch_id: str, status: str, told: str = "") -> ProviderError:
    """The error of a request that its batch has no answer to."""
    kind = BadRequestError if status == "failed" else CallTimeoutError
    why = told or "The provider did not come to this request before the batch ended."
    return kind(
        f"The batch {batch_id} is {status} and has no answer to this request. {why} Mend what is "
        f"wrong, or submit the request again.",
        provider=target.provider,
        model=target.model_id,
    )
