"""Rate limits that are real: a budget of requests and of tokens a minute for each model.

Off until a budget is set. What was spent in the last minute is kept call by call (an exact sliding
log), so that no minute, wherever it begins, ever holds more than the budget. What counts follows
the provider: OpenAI counts the prompt and the `max_tokens` that are asked for (or, where they are
not, the reply), Anthropic and Google count the prompt.
"""

from __future__ import annotations

import json
import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

from course_utils.offline import words
from course_utils.offline.call import Answer, Call, LoggedCall
from course_utils.offline.doors import Door
from course_utils.offline.refusals import RefusedError
from course_utils.wire.reply import Refusal, Reply
from course_utils.wire.request import Request

WINDOW_S = 60.0
# The largest body in bytes that each provider takes, files apart.
_LARGEST = {"anthropic": 32 * 2**20, "google": 20 * 2**20}
_LARGEST_ELSEWHERE = 50 * 2**20
_GOOGLE_TYPE = "type.googleapis.com/google.rpc."
# Which quota is used up, and the name of its metric, as in public threads of 2025-09 and 2026-01
# (https://github.com/google-gemini/gemini-cli/issues/8437).
_TOKENS_A_MINUTE = ("input_token_count", "GenerateContentInputTokensPerModelPerMinute")
_GOOGLE_QUOTAS = {
    "rate_limit": ("requests", "GenerateRequestsPerMinutePerProjectPerModel"),
    "too_many_tokens": _TOKENS_A_MINUTE,
    "too_large_for_limit": _TOKENS_A_MINUTE,
    "quota": ("requests", "GenerateRequestsPerDayPerProjectPerModel"),
}
_GOOGLE_HELP = {
    "description": "Learn more about Gemini API quotas",
    "url": "https://ai.google.dev/gemini-api/docs/rate-limits",
}


class TurnedAwayError(RefusedError):
    """A refusal that says more than its body's usual fields: when to come back, and why.

    `headers` are added to the answer, `details` to the error object in its body.
    """

    def __init__(
        self, refusal: Refusal, headers: Mapping[str, str], details: object | None = None
    ) -> None:
        super().__init__(refusal)
        self.headers, self.details = headers, details

    def complete(self, answer: Answer) -> Answer:
        """The refusal's answer, with these headers and details in it."""
        chunks = answer.chunks
        if self.details is not None and isinstance(chunks, tuple):
            chunks = (_with_details(chunks[0], self.details),)
        return replace(answer, headers=merged(answer.headers, self.headers), chunks=chunks)


def _with_details(body: bytes, details: object) -> bytes:
    content = json.loads(body)
    error = content[0] if isinstance(content, list) else content
    error["error"]["details"] = details
    if b"\n" in body:
        return json.dumps(content, indent=2, ensure_ascii=False).encode()
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()


def merged(headers: Mapping[str, str], others: Mapping[str, str]) -> dict[str, str]:
    """Both, where the `others` win, however their names are capitalised."""
    names = {name.lower() for name in others}
    return {k: v for k, v in headers.items() if k.lower() not in names} | dict(others)


def check_size(call: Call, door: Door) -> None:
    """Refuse a body that is larger than the provider takes. Raises TurnedAwayError."""
    if len(call.body) <= _LARGEST.get(door.provider, _LARGEST_ELSEWHERE):
        return
    if not call.path.endswith(("/files", "/parts")):
        raise TurnedAwayError(words.refusal(door.words, "request_too_large"), {})


@dataclass(frozen=True, slots=True)
class Budget:
    """Requests (`rpm`) and tokens (`tpm`) a minute that each model has; None is no limit.

    It holds for one provider or model where one is named, else for all.
    """

    rpm: int | None = None
    tpm: int | None = None
    provider: str | None = None
    model: str | None = None

    def covers(self, provider: str, model: str) -> bool:
        """Whether it holds for a model."""
        return self.provider in (None, provider) and self.model in (None, model)


class SlidingLog:
    """What one model's calls have spent in the last minute."""

    def __init__(self) -> None:
        self._spent: deque[tuple[float, int]] = deque()
        self.tokens = 0

    @property
    def requests(self) -> int:
        """How many calls it holds."""
        return len(self._spent)

    def forget(self, now: float) -> None:
        """Drop what is a minute old."""
        while self._spent and self._spent[0][0] + WINDOW_S <= now:
            self.tokens -= self._spent.popleft()[1]

    def add(self, now: float, tokens: int) -> None:
        """Note a call of so many tokens."""
        self._spent.append((now, tokens))
        self.tokens += tokens

    def wait_s(self, now: float, rpm: float, tpm: float, tokens: int) -> float:
        """Seconds until a call of so many tokens fits; 0.0 where it fits now."""
        requests, used, wait = self.requests, self.tokens, 0.0
        for at, spent in self._spent:
            if requests < rpm and used + tokens <= tpm:
                break
            requests, used, wait = requests - 1, used - spent, at + WINDOW_S - now
        return wait

    def reset_s(self, now: float) -> float:
        """Seconds until all is forgotten and the whole budget is back."""
        return self._spent[-1][0] + WINDOW_S - now if self._spent else 0.0


@dataclass
class Limits:
    """The budgets that are in force, the newest first, and what has been spent of them.

    `clock` gives seconds since 1970 (UTC).
    """

    clock: Callable[[], float] = time.time
    _budgets: tuple[Budget, ...] = ()
    _logs: dict[tuple[str, str], SlidingLog] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self._budgets)

    def add(self, budget: Budget) -> None:
        """Enforce a budget; all models start with it unspent."""
        self._budgets = (budget, *self._budgets)
        self._logs = {}

    def remove(self, budget: Budget) -> None:
        """Enforce it no longer."""
        self._budgets = tuple(other for other in self._budgets if other is not budget)

    def spend(self, door: Door, entry: LoggedCall, answer: Answer) -> Answer:
        """The answer to a model's call with what is left of the budget in its headers.

        Raises TurnedAwayError where the budget does not allow the call.
        """
        request, reply, provider = entry.request, entry.reply, door.provider
        if not self._budgets or request is None or reply is None:
            return answer
        budget = next((b for b in self._budgets if b.covers(provider, request.model)), None)
        if budget is None:
            return answer
        log = self._logs.setdefault((provider, request.model), SlidingLog())
        now, tokens = self.clock(), _tokens(provider, request, reply)
        log.forget(now)
        wait_s = log.wait_s(now, budget.rpm or math.inf, budget.tpm or math.inf, tokens)
        if wait_s > 0 or tokens > (budget.tpm or math.inf):
            headers = _left(provider, budget, log, now)
            raise _turned_away(door, request, budget, log, tokens, wait_s, headers)
        log.add(now, tokens)
        return replace(answer, headers=merged(answer.headers, _left(provider, budget, log, now)))


def _tokens(provider: str, request: Request, reply: Reply) -> int:
    """What a call counts, as its provider counts it."""
    prompt = reply.usage.prompt_tokens
    if provider in ("anthropic", "google"):
        return prompt
    return prompt + (request.max_tokens or reply.usage.completion_tokens)


def _turned_away(
    door: Door,
    request: Request,
    budget: Budget,
    log: SlidingLog,
    tokens: int,
    wait_s: float,
    headers: Mapping[str, str],
) -> TurnedAwayError:
    by_requests = budget.rpm is not None and log.requests >= budget.rpm
    facts = {
        "model": request.model,
        "limit": budget.rpm if by_requests else budget.tpm,
        "used": log.requests if by_requests else log.tokens,
        "requested": 1 if by_requests else tokens,
        "wait": go_duration(wait_s),
    }
    kind = "too_many_requests" if by_requests else "too_many_tokens"
    if wait_s == 0:  # it never fits, however long one waits
        refusal = words.refusal(door.words, "too_large_for_limit", **facts)
        return TurnedAwayError(refusal, {})
    provider = door.provider
    when = retry_after(provider, wait_s)
    if door.words != "anthropic":
        when |= retry_after(provider, wait_s, "ms")
    refusal = words.refusal(door.words, kind, **facts)
    details = google_details(provider, wait_s, facts, kind)
    return TurnedAwayError(refusal, {**headers, **when}, details)


def retry_after(provider: str, wait_s: float, form: str = "seconds") -> dict[str, str]:
    """The headers that say when to come back, in a provider's form; Google sends none.

    `form` is seconds, ms (OpenAI's own header, exact) or date (an HTTP date).
    """
    if provider == "google":
        return {}
    if form == "date":
        return {"retry-after": formatdate(math.ceil(time.time() + wait_s), usegmt=True)}
    if form == "ms":
        return {"retry-after-ms": str(math.ceil(1000 * wait_s))}
    return {"retry-after": str(math.ceil(wait_s))}


def google_details(
    provider: str, wait_s: float | None, facts: Mapping[str, object], kind: str
) -> list[dict[str, Any]] | None:
    """What Google puts into the body of a 429 in place of headers; None for other providers.

    `kind` is that of the refusal: which quota it names follows from it.
    """
    if provider != "google":
        return None
    metric, quota_id = _GOOGLE_QUOTAS.get(kind, _GOOGLE_QUOTAS["rate_limit"])
    quota = {
        "quotaMetric": f"generativelanguage.googleapis.com/generate_content_free_tier_{metric}",
        "quotaId": f"{quota_id}-FreeTier",
        "quotaDimensions": {"location": "global", "model": facts["model"]},
        "quotaValue": str(facts["limit"]),
    }
    details: list[dict[str, Any]] = [
        {"@type": f"{_GOOGLE_TYPE}Help", "links": [_GOOGLE_HELP]},
        {"@type": f"{_GOOGLE_TYPE}QuotaFailure", "violations": [quota]},
    ]
    if wait_s is not None:
        details.append({"@type": f"{_GOOGLE_TYPE}RetryInfo", "retryDelay": f"{wait_s:.9g}s"})
    return details


def _left(provider: str, budget: Budget, log: SlidingLog, now: float) -> dict[str, str]:
    """The provider's headers on what a minute allows, what is left, and when it is whole again."""
    rows = {"requests": (budget.rpm, log.requests), "tokens": (budget.tpm, log.tokens)}
    headers: dict[str, str] = {}
    for kind, (limit, used) in rows.items():
        if limit is None or provider == "google":
            continue
        values = {"limit": str(limit), "remaining": str(max(0, limit - used))}
        reset_s = log.reset_s(now)
        if provider != "anthropic":
            values["reset"] = go_duration(reset_s)
            headers |= {f"x-ratelimit-{what}-{kind}": v for what, v in values.items()}
            continue
        values["reset"] = rfc3339(now + reset_s)
        for name in (kind, f"input-{kind}") if kind == "tokens" else (kind,):
            headers |= {f"anthropic-ratelimit-{name}-{what}": v for what, v in values.items()}
    return headers


def go_duration(seconds: float) -> str:
    """A duration as OpenAI's headers write it: `0s`, `120ms`, `7.66s`, `1m26.4s`."""
    ms = math.ceil(round(1000 * seconds, 6))
    if ms < 1000:
        return f"{ms}ms" if ms > 0 else "0s"
    minutes, rest = divmod(ms, 60_000)
    return (f"{minutes}m" if minutes else "") + f"{rest / 1000:g}s"


def rfc3339(moment: float) -> str:
    """A moment (seconds since 1970) in UTC, up to the next whole second."""
    whole = math.ceil(round(moment, 3))
    return datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
