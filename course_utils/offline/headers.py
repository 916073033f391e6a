"""The response headers that each provider sends, as far as a program can care about them."""

from __future__ import annotations

from email.utils import formatdate
from uuid import UUID

from course_utils.offline import ids

# Says which tier answered; no provider sends it.
TIER_HEADER = "x-course-tier"
# The error type of answers that no provider sends, and what keeps the SDKs from asking again.
COURSE_ERROR = "course_error"
DO_NOT_RETRY = {"x-should-retry": "false"}


# The rate limits of a large account, of which hardly anything is used up.
_OPENAI_LIMITS = {
    "limit-requests": "30000",
    "limit-tokens": "150000000",
    "remaining-requests": "29999",
    "remaining-tokens": "149999990",
    "reset-requests": "2ms",
    "reset-tokens": "0s",
}
_ANTHROPIC_LIMITS = {
    "input-tokens": "10000000",
    "output-tokens": "2000000",
    "requests": "10000",
    "tokens": "12000000",
}
_FULL_AGAIN = "2026-11-23T12:00:00Z"
_HTTPS_ONLY = {"strict-transport-security": "max-age=31536000; includeSubDomains; preload"}


def response_headers(
    provider: str, seed: str, *, streamed: bool = False, status: int = 200
) -> dict[str, str]:
    """Headers in the provider's own names, as recorded traffic of 2026 has them.

    Cookies are left out. The names depend on the status: who refuses at the door, where the key
    and the model's name are looked at, knows nothing of rate limits.
    """
    kind = "text/event-stream; charset=utf-8" if streamed else "application/json"
    common = {"Content-Type": kind, "Date": formatdate(usegmt=True)}
    match provider:
        case "openai":
            return common | _openai(seed, status)
        case "anthropic":
            return common | _anthropic(seed, status, streamed)
        case "google":
            return common | _google(streamed)
        case _:
            return common


def _cloudflare(seed: str) -> dict[str, str]:
    return {
        "Server": "cloudflare",
        "cf-cache-status": "DYNAMIC",
        "cf-ray": f"{ids.hexadecimal('ray' + seed, 16)}-FRA",
    }


def _openai(seed: str, status: int) -> dict[str, str]:
    common = {
        **_cloudflare(seed),
        **_HTTPS_ONLY,
        "x-content-type-options": "nosniff",
        "x-request-id": ids.request_id("openai", seed),
        "alt-svc": 'h3=":443"; ma=86400',
    }
    if status in (401, 403, 404):
        return common | {"Content-Type": "application/json; charset=utf-8", "vary": "Origin"}
    return common | {
        "access-control-expose-headers": "X-Request-ID",
        "openai-organization": "course",
        "openai-project": f"proj_{ids.alnum('project', 24)}",
        "openai-version": "2020-10-01",
        "openai-processing-ms": str(100 + int(ids.hexadecimal(seed, 4), 16) % 900),
        "x-openai-proxy-wasm": "v0.1",
        **{f"x-ratelimit-{name}": value for name, value in _OPENAI_LIMITS.items()},
    }


def _google(streamed: bool) -> dict[str, str]:
    kind = "text/event-stream" if streamed else "application/json; charset=UTF-8"
    return {
        "Content-Type": kind,
        "Vary": "Origin, X-Origin, Referer",
        "Server": "scaffolding on HTTPServer2",
        "X-XSS-Protection": "0",
        "X-Frame-Options": "SAMEORIGIN",
        "X-Content-Type-Options": "nosniff",
        "Server-Timing": "gfet4t7; dur=1",
        "Alt-Svc": 'h3=":443"; ma=2592000,h3-29=":443"; ma=2592000',
    }


def _anthropic(seed: str, status: int, streamed: bool) -> dict[str, str]:
    digits = ids.hexadecimal("trace" + seed, 48)
    common = {
        **_cloudflare(seed),
        **_HTTPS_ONLY,
        "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
        "request-id": ids.request_id("anthropic", seed),
        "x-robots-tag": "none",
    }
    if status != 200:
        common["x-should-retry"] = str(status in (408, 409, 429) or status >= 500).lower()
    if status == 401:
        return common
    common |= {
        "anthropic-organization-id": str(UUID(ids.hexadecimal("organization", 32))),
        "anthropic-workspace-id": f"wrkspc_01{ids.alnum('workspace', 22)}",
        "traceresponse": f"00-{digits[:32]}-{digits[32:]}-01",
        "vary": "Accept-Encoding",
    }
    if status not in (200, 429):
        return common
    if streamed:
        common["cache-control"] = "no-cache"
    limits = {"limit": dict(_ANTHROPIC_LIMITS), "remaining": dict(_ANTHROPIC_LIMITS)}
    limits["remaining"]["requests"] = str(int(_ANTHROPIC_LIMITS["requests"]) - 1)
    limits["reset"] = dict.fromkeys(_ANTHROPIC_LIMITS, _FULL_AGAIN)
    return common | {
        f"anthropic-ratelimit-{kind}-{what}": limits[what][kind]
        for kind in _ANTHROPIC_LIMITS
        for what in limits
    }
