"""Which errors are worth another try, whoever raised them, and how long they ask to wait.

The toolkit's own errors say it themselves. Those of the SDKs and of HTTP libraries are told as the
toolkit's first, by what they carry and by their names: no SDK is imported for it. What
professionals use: the SDKs' own rule, which retries a used-up quota as well.
"""

from __future__ import annotations

from collections.abc import Mapping

from course_utils.errors import CourseError
from course_utils.llm.errors import ConnectionLostError, ProviderError, QuotaError
from course_utils.llm.failures import failure
from course_utils.llm.waiting import retry_after_s

_LIBRARIES = frozenset({"openai", "anthropic", "google", "httpx2", "httpx", "aiohttp", "requests"})
# Transport errors by their place in the tree, and the caller's own mistakes in truth.
_MISTAKES = frozenset({"UnsupportedProtocol", "LocalProtocolError", "InvalidURL"})


def is_retryable(error: Exception) -> bool:
    """Whether the same call can succeed later: rate limits, overload, lost connections, time-outs.

    A used-up quota or spend limit is none of them, and neither is an error of your own code. Apart
    from money, the header ``x-should-retry`` decides where a server sends it.
    """
    if isinstance(error, CourseError):
        return isinstance(error, ProviderError) and error.retryable
    if not _is_of_a_call(error):
        return False
    told, word = _told(error), _headers(error).get("x-should-retry")
    if word in ("true", "false") and not isinstance(told, QuotaError):
        return word == "true"
    return told.retryable if told is not None else _passes(status_of(error))


def told_wait_s(error: Exception, now: float) -> float | None:
    """How many seconds an error's server asks to wait, None where it does not.

    `now` is in seconds since 1970 (UTC): some servers name a moment.
    """
    if isinstance(error, ProviderError):
        return error.retry_after_s
    if not _is_of_a_call(error):
        return None
    told = _told(error)
    in_headers = retry_after_s(_headers(error), now)
    in_body = told.retry_after_s if told is not None else None
    return in_body if in_headers is None else in_headers


def status_of(error: Exception) -> int | None:
    """The HTTP status in an error, by any of the names that libraries have for it."""
    response = getattr(error, "response", None)
    for holder, name in (
        (error, "status_code"),
        (response, "status_code"),
        (error, "status"),
        (error, "code"),
    ):
        value = getattr(holder, name, None)
        if isinstance(value, int):
            return value
    return None


def _is_of_a_call(error: Exception) -> bool:
    """Whether a connection failed, or one of the libraries that call providers raised it."""
    if isinstance(error, TimeoutError | ConnectionError):
        return True
    kinds = type(error).__mro__
    return type(error).__name__ not in _MISTAKES and any(
        kind.__module__.partition(".")[0] in _LIBRARIES for kind in kinds
    )


def _told(error: Exception) -> ProviderError | None:
    """The error as the toolkit tells it; None where it is an answer of an HTTP library."""
    told = failure(error, "", None)
    # aiohttp's word for an answer with an error status is a relative of its lost connections.
    is_answer = isinstance(told, ConnectionLostError) and status_of(error) is not None
    return None if is_answer else told


def _passes(status: int | None) -> bool:
    return status is not None and (status in (408, 409, 429) or status >= 500)


def _headers(error: Exception) -> Mapping[str, str]:
    response = getattr(error, "response", None)
    headers = getattr(response, "headers", None) or getattr(error, "headers", None)
    return headers if isinstance(headers, Mapping) else {}
