"""The headers of OpenAI's Responses endpoints, where they differ from those of chat completions."""

from __future__ import annotations

from course_utils.offline.headers import response_headers

_NAMELESS = frozenset(["openai-organization", "openai-project"])
_CHALLENGE = {"www-authenticate": 'Bearer realm="OpenAI API"'}


def responses_headers(
    seed: str, *, status: int = 200, streamed: bool = False, limited: bool = False
) -> dict[str, str]:
    """Headers as in recorded traffic; only answers that are `limited` name the rate limits.

    Errors keep the server's timing, and a 401 says how to authenticate.
    """
    headers = response_headers("openai", seed, streamed=streamed)
    headers.pop("x-openai-proxy-wasm", None)
    if not limited:
        headers = {name: value for name, value in headers.items() if "ratelimit" not in name}
    if status == 401:
        headers = {name: value for name, value in headers.items() if name not in _NAMELESS}
        return headers | _CHALLENGE
    return headers


def responses_refusal_headers(seed: str, status: int) -> dict[str, str]:
    """The headers of an error of these endpoints."""
    return responses_headers(seed, status=status)
