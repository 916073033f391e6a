"""The SDKs' errors and the providers' error bodies, told as the toolkit's own errors.

Each SDK has its own classes, some failures come up as raw errors of the HTTP library, and a quota
that is used up looks like a rate limit. `failure` reads them all into the one tree of `errors`,
with the SDK's error as the cause. What professionals use: LiteLLM's `exceptions`, which maps many
providers to OpenAI's classes.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from course_utils.llm.errors import (
    AuthenticationError,
    BadRequestError,
    CallTimeoutError,
    ConnectionLostError,
    ContextLengthError,
    ModelNotFoundError,
    OverloadedError,
    ProviderError,
    QuotaError,
    RateLimitError,
    ServerError,
)
from course_utils.llm.waiting import retry_after_s

# Sent with status 429, and never cured by waiting (openai and anthropic SDKs, 2026-11).
_MONEY = frozenset(
    [
        "insufficient_quota",
        "credit_balance_exhausted",
        "enforced_spend_limit_reached",
        "billing_error",
    ]
)
# Codes that say more than the status beside them, and those that come in a stream, without one.
_BY_CODE: dict[str, type[ProviderError]] = {
    "context_length_exceeded": ContextLengthError,
    "model_not_found": ModelNotFoundError,
    "API_KEY_INVALID": AuthenticationError,
    "authentication_error": AuthenticationError,
    "permission_error": AuthenticationError,
    "not_found_error": ModelNotFoundError,
    "invalid_request_error": BadRequestError,
    "rate_limit_error": RateLimitError,
    "rate_limit_exceeded": RateLimitError,
    "RESOURCE_EXHAUSTED": RateLimitError,
    "overloaded_error": OverloadedError,
    "UNAVAILABLE": OverloadedError,
    "api_error": ServerError,
    "server_error": ServerError,
    "INTERNAL": ServerError,
}
_BY_STATUS: dict[int, type[ProviderError]] = {
    401: AuthenticationError,
    402: QuotaError,
    403: AuthenticationError,
    404: ModelNotFoundError,
    408: CallTimeoutError,
    409: ServerError,  # another request holds what this one needs: the same call can succeed later
    429: RateLimitError,
    503: OverloadedError,
    529: OverloadedError,
}
_TOO_LONG = re.compile(
    r"prompt is too long|exceeds the maximum number of tokens|max(imum)? context length", re.I
)
_ADVICE: dict[type[ProviderError], str] = {
    BadRequestError: "Mend the request: sending it again cannot help.",
    ContextLengthError: "Shorten the messages, as trim_to_fit() does, or ask a model with a "
    "larger context.",
    AuthenticationError: "Check the API key and what it is allowed to do.",
    ModelNotFoundError: "Check the model's name, or choose another model.",
    RateLimitError: "Wait, then ask again, as call_with_retry() does.",
    QuotaError: "Waiting cannot help: check the account's plan and limits, or ask another "
    "provider.",
    ServerError: "It is the provider's fault: ask again later, as call_with_retry() does.",
    OverloadedError: "Ask again later, as call_with_retry() does, or ask another provider.",
    ConnectionLostError: "Check the network and the base URL, then ask again.",
    CallTimeoutError: "Ask again, or give the call more time with timeout_s.",
}


class UnreadableAnswerError(ValueError):
    """A success with a body that is no answer: a page of HTML, or JSON of another shape."""


@dataclass(frozen=True, slots=True)
class _Facts:
    """What an error answer says: HTTP status, the provider's word for it, and its sentence."""

    status: int | None
    code: str | None
    message: str
    request_id: str | None
    retry_after_s: float | None
    hopeless: bool = False


def failure(error: Exception, provider: str, model: str | None) -> ProviderError | None:
    """The toolkit's error for what an SDK raised; None for what is no failure of a call."""
    found = _broken_connection(error) or _classified(error)
    if found is None:
        return None
    kind, facts = found
    word = " ".join(str(part) for part in (facts.status, facts.code) if part)
    told = f"{provider} failed" + (f" ({word})" if word else "")
    message = facts.message.strip()
    stop = "" if message.endswith((".", "!", "?")) else "."
    return kind(
        f"{told}: {message}{stop} {_ADVICE[kind]}",
        provider=provider,
        model=model,
        status=facts.status,
        code=facts.code,
        request_id=facts.request_id,
        retry_after_s=facts.retry_after_s,
    )


def reraise(told: Exception, error: Exception) -> NoReturn:
    """Raise the toolkit's error from the SDK's; the error itself where both are the same."""
    if told is error:
        raise error
    raise told from error


def _classified(error: Exception) -> tuple[type[ProviderError], _Facts] | None:
    if isinstance(error, json.JSONDecodeError | UnreadableAnswerError) or (
        type(error).__name__ == "UnknownApiResponseError"  # google-genai's word for no JSON
    ):
        return ServerError, _Facts(None, None, f"the answer cannot be read ({error})", None, None)
    body = getattr(error, "body", None) or getattr(error, "details", None)
    if not hasattr(error, "message"):  # all of the SDKs' own errors have one
        return None
    facts = _facts(error, body)
    return _kind(facts), facts


def _kind(facts: _Facts) -> type[ProviderError]:
    status, code = facts.status, facts.code or ""
    if facts.hopeless or code in _MONEY:
        return QuotaError
    if status in (None, 400, 413, 422) and _TOO_LONG.search(facts.message):
        return ContextLengthError
    if status is None or code in ("context_length_exceeded", "model_not_found", "API_KEY_INVALID"):
        return _BY_CODE.get(code, ServerError)
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return ServerError if status >= 500 else BadRequestError


def _facts(error: Any, body: Any) -> _Facts:
    """What the error object, its body and its headers say, whichever SDK made it."""
    body = body[0] if isinstance(body, list) and body else body
    body = body if isinstance(body, Mapping) else {}
    inner = body.get("error", body)
    inner = inner if isinstance(inner, Mapping) else {}
    status = getattr(error, "status_code", None) or getattr(error, "code", None)
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    details = [d for d in inner.get("details") or () if isinstance(d, Mapping)]
    code = _code(inner, details, getattr(error, "error_code", None))
    wait_s = retry_after_s(headers, time.time())
    in_stream = status == 200 or not isinstance(status, int)
    return _Facts(
        status=None if in_stream else status,
        code=code,
        message=str(inner.get("message") or error.message or error),
        request_id=getattr(error, "request_id", None)
        or body.get("request_id")
        or headers.get("x-request-id")
        or headers.get("request-id"),
        retry_after_s=_google_delay_s(details) if wait_s is None else wait_s,
        hopeless=any(_is_daily(detail) for detail in details),
    )


def _code(inner: Mapping[str, Any], details: list[Any], error_code: str | None) -> str | None:
    """The most telling of the provider's words: a reason, a code, a status in words, a type."""
    reasons = (detail.get("reason") for detail in details)
    own = inner.get("code")
    words = (
        error_code,
        next(filter(None, reasons), None),
        own if isinstance(own, str) else None,
        inner.get("status"),
        inner.get("type"),
    )
    return next((str(word) for word in words if word), None)


def _google_delay_s(details: list[Any]) -> float | None:
    """Google says it in the body: `"retryDelay": "3.5s"`."""
    delays = (str(detail.get("retryDelay") or "") for detail in details)
    found = next((delay for delay in delays if re.fullmatch(r"\d+(\.\d+)?s", delay)), None)
    return float(found[:-1]) if found else None


def _is_daily(detail: Mapping[str, Any]) -> bool:
    """Whether a quota for a whole day is used up, whatever delay stands beside it."""
    violations = detail.get("violations") or ()
    return any("PerDay" in str(violation.get("quotaId")) for violation in violations)


def _broken_connection(error: Exception) -> tuple[type[ProviderError], _Facts] | None:
    """Timeouts and broken connections: as an SDK words them, or raw from the HTTP library.

    Told apart by the names of their classes, because that needs none of the five libraries:
    openai, anthropic, httpx2, and aiohttp, which google-genai uses for its asynchronous calls.
    """
    names = {kind.__name__ for kind in type(error).__mro__}
    told = str(error) or type(error).__name__
    facts = _Facts(None, None, told, None, None)
    if names & {"APITimeoutError", "TimeoutException", "TimeoutError"}:
        return CallTimeoutError, facts
    if names & {"APIConnectionError", "TransportError", "ClientError", "OSError"} and not (
        hasattr(error, "details")  # google-genai calls its answers of 400 to 499 ClientError too
    ):
        return ConnectionLostError, facts
    return None
