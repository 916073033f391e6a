"""The response headers that each provider sends, as far as a program can care about them."""

from __future__ import annotations

from email.utils import formatdate

from course_utils.offline import ids

# Says which tier answered; no provider sends it.
TIER_HEADER = "x-course-tier"
# The error type of answers that no provider sends, and what keeps the SDKs from asking again.
COURSE_ERROR = "course_error"
DO_NOT_RETRY = {"x-should-retry": "false"}


def response_headers(
    provider: str, seed: str, *, streamed: bool = False, refused: bool = False, retry: bool = False
) -> dict[str, str]:
    """Headers in the provider's own names. Limits are those of a large account, never used up."""
    kind = "text/event-stream; charset=utf-8" if streamed else "application/json"
    common = {"Content-Type": kind, "Date": formatdate(usegmt=True)}
    match provider:
        case "openai":
            return common | _openai(seed, refused)
        case "anthropic":
            return common | _anthropic(seed, refused, retry)
        case "google":
            return common | {"Server": "scaffolding on HTTPServer2", "Vary": "Origin"}
        case _:
            return common


def _openai(seed: str, refused: bool) -> dict[str, str]:
    common = {
        "x-request-id": ids.request_id("openai", seed),
        "x-content-type-options": "nosniff",
        "strict-transport-security": "max-age=31536000; includeSubDomains; preload",
    }
    if refused:
        return common | {"vary": "Origin"}
    return common | {
        "openai-version": "2020-10-01",
        "openai-processing-ms": "1",
        "x-ratelimit-limit-requests": "10000",
        "x-ratelimit-limit-tokens": "30000000",
        "x-ratelimit-remaining-requests": "9999",
        "x-ratelimit-remaining-tokens": "29999900",
        "x-ratelimit-reset-requests": "6ms",
        "x-ratelimit-reset-tokens": "0s",
    }


def _anthropic(seed: str, refused: bool, retry: bool) -> dict[str, str]:
    common = {
        "request-id": ids.request_id("anthropic", seed),
        "x-robots-tag": "none",
        "strict-transport-security": "max-age=31536000; includeSubDomains; preload",
    }
    if refused:
        return common | {"x-should-retry": "true" if retry else "false"}
    limits = {"requests": "20000", "input-tokens": "4000000", "output-tokens": "800000"}
    return common | {
        f"anthropic-ratelimit-{kind}-{what}": limit
        for kind, limit in limits.items()
        for what in ("limit", "remaining")
    }
