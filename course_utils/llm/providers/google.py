"""Google's SDK for Gemini, google-genai."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from course_utils.llm.providers.driver import Address, Answer, Reader
from course_utils.llm.result import ChatEvent, TextDelta, ThinkingDelta, ToolCallDelta
from course_utils.wire.gemini import Gemini
from course_utils.wire.reply import Choice
from course_utils.wire.request import Request

_CODEC = Gemini()


def driver(provider: str) -> GoogleDriver:
    """The driver."""
    return GoogleDriver()


@dataclass(frozen=True, slots=True)
class _Kept:
    """What asks models, beside its client: that one closes itself when nobody holds it."""

    client: Any
    models: Any


class GoogleDriver:
    """The driver."""

    def connect(self, address: Address) -> Any:
        """The SDK's client."""
        client = _client(address)
        return _Kept(client, client.models)

    def connect_async(self, address: Address) -> Any:
        """The SDK's asynchronous client."""
        client = _client(address)
        return _Kept(client, client.aio.models)

    def ask(self, sdk: Any, request: Request) -> Any:
        """Send a request."""
        body = _CODEC.write_request(request)
        contents = [_with_bytes(content) for content in body.pop("contents")]
        config = {**body.pop("generationConfig", {}), **body}
        models = sdk.models
        ask = models.generate_content_stream if request.stream else models.generate_content
        return ask(model=request.model, contents=contents, config=config)

    def read(self, answer: Any) -> Answer:
        """What a response says."""
        return _answer(_dumped(answer), answer)

    def reader(self, stream: Any) -> Reader:
        """What adds up a stream of responses."""
        return _ResponseReader()


def _client(address: Address) -> Any:
    from google import genai

    # Without retry options the asynchronous client repeats a dropped call after up to 10 s, in
    # silence (google-genai 3.4). One attempt is one call.
    options = genai.types.HttpOptions(
        base_url=address.base_url,
        timeout=round(1000 * address.timeout_s),
        retry_options=genai.types.HttpRetryOptions(attempts=1),
    )
    return genai.Client(api_key=address.api_key, vertexai=False, http_options=options)


def _with_bytes(content: dict[str, Any]) -> dict[str, Any]:
    """The SDK takes bytes where the wire has base64."""
    return content | {"parts": [_part_with_bytes(part) for part in content["parts"]]}


def _part_with_bytes(part: dict[str, Any]) -> dict[str, Any]:
    if "thoughtSignature" in part:
        part = part | {"thoughtSignature": base64.b64decode(part["thoughtSignature"])}
    if "inlineData" in part:
        data = base64.b64decode(part["inlineData"]["data"])
        part = part | {"inlineData": part["inlineData"] | {"data": data}}
    return part


def _dumped(response: Any) -> dict[str, Any]:
    """A response as it was on the wire, but for base64, which the SDK writes for addresses."""
    left_out = {"sdk_http_response", "parsed", "automatic_function_calling_history"}
    dumped: dict[str, Any] = response.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude=left_out, warnings=False
    )
    return dumped


def _answer(body: dict[str, Any], raw: Any) -> Answer:
    reply = _CODEC.read_reply(body)
    blocked = (body.get("promptFeedback") or {}).get("blockReason")
    if blocked and not reply.choices:
        declined = Choice(finish_reason="content_filter", refusal=f"prompt blocked: {blocked}")
        reply = type(reply)(reply.id, reply.model, (declined,), reply.usage)
    # Google names no request in its headers; its answers have an id.
    return Answer(reply, reply.id or None, raw, tuple(_thoughts(body)))


def _candidate(body: dict[str, Any]) -> dict[str, Any]:
    return next(iter(body.get("candidates") or ()), {})


def _thoughts(body: dict[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The signatures of thoughts, which must come back with the part that they came with."""
    candidate = _candidate(body)
    found: list[dict[str, Any]] = []
    for part in (candidate.get("content") or {}).get("parts") or ():
        if part.get("thought"):
            found.append({"type": "thinking", "thinking": part.get("text", "")})
        elif part.get("thoughtSignature"):
            # The SDK writes base64 in the alphabet for addresses.
            signature = part["thoughtSignature"].replace("-", "+").replace("_", "/")
            call_id = (part.get("functionCall") or {}).get("id")
            found.append({"type": "thought_signature", "call_id": call_id, "signature": signature})
    return found


class _ResponseReader:
    """Adds up the responses of a stream: few, and each with the text since the one before."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._parts: list[dict[str, Any]] = []
        self._whole: dict[str, Any] = {}
        self._finish_reason: str | None = None
        self._last: Any = None
        self._calls = 0

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._texts)

    def take(self, response: Any) -> Sequence[ChatEvent]:
        """What one response of the stream brings."""
        self._last = response
        body = _dumped(response)
        self._whole |= body
        candidate = _candidate(body)
        self._finish_reason = candidate.get("finishReason") or self._finish_reason
        parts = (candidate.get("content") or {}).get("parts") or []
        self._parts += parts
        return [event for part in parts if (event := self._event(part))]

    def _event(self, part: dict[str, Any]) -> ChatEvent | None:
        if call := part.get("functionCall"):
            self._calls += 1
            arguments = _CODEC.read_reply({"candidates": [{"content": {"parts": [part]}}]})
            made = arguments.choices[0].tool_calls[0].arguments
            return ToolCallDelta(self._calls - 1, call.get("id"), call.get("name"), made)
        text = part.get("text")
        if not text:
            return None
        if part.get("thought"):
            return ThinkingDelta(text)
        self._texts.append(text)
        return TextDelta(text)

    def answer(self) -> Answer:
        """What has come so far."""
        body = dict(self._whole)
        if body.get("candidates"):
            whole = {"content": {"parts": self._parts}, "finishReason": self._finish_reason}
            body["candidates"] = [whole]
        return _answer(body, self._last)
