"""One call to a provider over plain HTTP, with the codecs of `wire` and without an SDK.

Here speed counts: aiohttp makes ten times as many calls a second as the SDKs' own clients do with
200 of them in flight. What professionals use: the SDKs up to some ten calls at once, `aiohttp`
(also as the `http_client` of openai and anthropic) beyond.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from course_utils.llm.errors import LLMError
from course_utils.llm.failures import UnreadableAnswerError, failure
from course_utils.llm.providers import Address, Answer
from course_utils.llm.result import ChatResult
from course_utils.llm.target import Target
from course_utils.wire.anthropic_messages import AnthropicMessages
from course_utils.wire.codec import Codec
from course_utils.wire.gemini import Gemini
from course_utils.wire.openai_chat import LOCAL, OPENAI
from course_utils.wire.request import Request

if TYPE_CHECKING:
    import aiohttp

# The version of the format that the course speaks; Anthropic refuses a call without it.
_ANTHROPIC_VERSION = "2023-06-01"
_CODECS: Mapping[str, Codec] = {
    "openai": OPENAI,
    "local": LOCAL,
    "anthropic": AnthropicMessages(),
    "google": Gemini(),
}
_PATHS = {
    "openai": "/chat/completions",
    "local": "/chat/completions",
    "anthropic": "/v1/messages",
    "google": "/v1beta/models/{model}:generateContent",
}


@dataclass(frozen=True, slots=True)
class HTTPAnswer:
    """What came back: the status (0 inside a file of results), the headers, and the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class RefusedAnswerError(Exception):
    """An answer with an error status; it carries what the SDKs' own errors carry."""

    def __init__(self, answer: HTTPAnswer) -> None:
        self.status_code, self.response = answer.status or None, answer
        self.body = _json_or_none(answer.body)
        self.message = answer.body[:500].decode("utf-8", "replace") or f"status {answer.status}"
        super().__init__(self.message)


def codec_of(provider: str) -> Codec:
    """The codec of a provider's own format."""
    return _CODECS[provider]


def url_of(address: Address, model_id: str) -> str:
    """Where a provider answers a call."""
    return address.base_url.rstrip("/") + _PATHS[address.provider].format(model=model_id)


def headers_of(address: Address) -> dict[str, str]:
    """The headers that every call to a provider has."""
    key = {
        "anthropic": {"x-api-key": address.api_key, "anthropic-version": _ANTHROPIC_VERSION},
        "google": {"x-goog-api-key": address.api_key},
    }.get(address.provider, {"authorization": f"Bearer {address.api_key}"})
    return {"content-type": "application/json", **key}


async def ask(session: aiohttp.ClientSession, target: Target, request: Request) -> HTTPAnswer:
    """Send a request, and get the whole answer, whatever its status.

    Raises ConnectionLostError or CallTimeoutError where there is none.
    """
    body = json.dumps(codec_of(target.provider).write_request(request)).encode()
    try:
        async with session.post(url_of(target.address, request.model), data=body) as response:
            return HTTPAnswer(response.status, response.headers, await response.read())
    except Exception as error:
        raise target.failed(error) from error


def read(
    target: Target, answer: HTTPAnswer, warnings: tuple[str, ...], latency_s: float
) -> ChatResult:
    """The result that an answer holds.

    Raises a ProviderError for an error answer, and for one that cannot be read.
    """
    try:
        if answer.status != 200:
            raise RefusedAnswerError(answer)
        return read_body(target, json.loads(answer.body), answer.headers, warnings, latency_s)
    except LLMError:
        raise
    except Exception as error:
        raise target.failed(error) from error


def read_body(
    target: Target,
    body: Any,
    headers: Mapping[str, str],
    warnings: tuple[str, ...] = (),
    latency_s: float = 0.0,
) -> ChatResult:
    """The result in the JSON body of a success; UnreadableAnswerError where there is none."""
    try:
        reply = codec_of(target.provider).read_reply(body)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UnreadableAnswerError("it is JSON, but no answer of a model") from error
    if reply.finish_reason is None:
        raise UnreadableAnswerError("it is JSON, but no answer of a model")
    # Google names no request in its headers; its answers have an id.
    own = reply.id if target.provider == "google" else None
    request_id = headers.get("x-request-id") or headers.get("request-id") or own
    return target.result(Answer(reply, request_id, body), warnings, latency_s)


def refused(target: Target, status: int | None, body: Any) -> Exception:
    """The toolkit's error for an error body in a file of results; Anthropic's have no status."""
    answer = HTTPAnswer(status or 0, {}, json.dumps(body).encode())
    error = RefusedAnswerError(answer)
    return failure(error, target.provider, target.model_id) or error


def _json_or_none(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
