"""Anthropic's SDK."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from course_utils.llm.failures import UnreadableAnswerError
from course_utils.llm.providers.driver import Address, Answer, Reader
from course_utils.llm.result import ChatEvent, TextDelta, ThinkingDelta, ToolCallDelta
from course_utils.wire.anthropic_messages import AnthropicMessages
from course_utils.wire.request import Request

_CODEC = AnthropicMessages()
# What the API takes and `messages.create` of the SDK does not (anthropic 2.12): models of 2025 and
# before still sample.
_ONLY_IN_BODY = ("temperature", "top_p", "top_k")
_THOUGHTS = ("thinking", "redacted_thinking")


def driver(provider: str) -> AnthropicDriver:
    """The driver."""
    return AnthropicDriver()


class AnthropicDriver:
    """The driver: Anthropic's format has no dialects."""

    def connect(self, address: Address) -> Any:
        """The SDK's client."""
        from anthropic import Anthropic

        return Anthropic(**_settings(address))

    def connect_async(self, address: Address) -> Any:
        """The SDK's asynchronous client."""
        from anthropic import AsyncAnthropic

        return AsyncAnthropic(**_settings(address))

    def ask(self, sdk: Any, request: Request) -> Any:
        """Send a request."""
        body = _CODEC.write_request(request)
        extra = {name: body.pop(name) for name in _ONLY_IN_BODY if name in body}
        return sdk.messages.create(**body, extra_body=extra or None)

    def read(self, answer: Any) -> Answer:
        """What a message says."""
        if isinstance(answer, str):
            raise UnreadableAnswerError(f"it begins with {answer[:40]!r}")
        body = answer.model_dump(warnings=False)
        return _answer(body, answer._request_id, answer)

    def reader(self, stream: Any) -> Reader:
        """What adds up a stream of events."""
        return _EventReader(stream.response.headers.get("request-id"))


def _settings(address: Address) -> dict[str, Any]:
    return {
        "base_url": address.base_url,
        "api_key": address.api_key,
        "timeout": address.timeout_s,
        "max_retries": 0,
    }


def _answer(body: dict[str, Any], request_id: str | None, raw: Any) -> Answer:
    blocks = body.get("content") or ()
    thoughts = tuple(block for block in blocks if block.get("type") in _THOUGHTS)
    return Answer(_CODEC.read_reply(body), request_id, raw, thoughts)


class _EventReader:
    """Adds up events, block by block, by their attributes."""

    def __init__(self, request_id: str | None) -> None:
        self._request_id = request_id
        self._message: dict[str, Any] = {}
        self._blocks: list[dict[str, Any]] = []
        self._pieces: list[list[str]] = []
        self._last: Any = None
        self._calls = 0

    @property
    def text(self) -> str:
        """The text so far."""
        texts = zip(self._blocks, self._pieces, strict=True)
        return "".join("".join(p) for block, p in texts if block.get("type") == "text")

    def take(self, event: Any) -> Sequence[ChatEvent]:
        """What one event brings."""
        self._last = event
        match event.type:
            case "content_block_delta":
                return self._add(event.delta)
            case "content_block_start":
                return self._open(event.content_block.model_dump(warnings=False))
            case "message_start":
                self._message = event.message.model_dump(warnings=False)
            case "message_delta":
                self._message["stop_reason"] = event.delta.stop_reason
                self._message["stop_sequence"] = event.delta.stop_sequence
                usage = event.usage.model_dump(exclude_none=True, warnings=False)
                self._message["usage"] = (self._message.get("usage") or {}) | usage
        return ()

    def _open(self, block: dict[str, Any]) -> Sequence[ChatEvent]:
        self._blocks.append(block)
        self._pieces.append([])
        if block["type"] != "tool_use":
            return ()
        self._calls += 1
        return (ToolCallDelta(self._calls - 1, block["id"], block["name"]),)

    def _add(self, delta: Any) -> Sequence[ChatEvent]:
        match delta.type:
            case "text_delta":
                self._pieces[-1].append(delta.text)
                return (TextDelta(delta.text),)
            case "input_json_delta":
                self._pieces[-1].append(delta.partial_json)
                arguments = delta.partial_json
                return (ToolCallDelta(self._calls - 1, arguments=arguments),) if arguments else ()
            case "thinking_delta":
                self._pieces[-1].append(delta.thinking)
                return (ThinkingDelta(delta.thinking),)
            case "signature_delta":
                self._blocks[-1]["signature"] = delta.signature
        return ()

    def answer(self) -> Answer:
        """What has come so far."""
        whole = zip(self._blocks, map("".join, self._pieces), strict=True)
        body = self._message | {"content": [_filled(block, text) for block, text in whole]}
        return _answer(body, self._request_id, self._last)


def _filled(block: dict[str, Any], text: str) -> dict[str, Any]:
    """A block as it is when all its pieces have come."""
    if block["type"] == "tool_use":
        try:
            return block | {"input": json.loads(text or "{}")}
        except ValueError:  # cut in the middle of the arguments
            return block | {"input": {}}
    return block | {block["type"]: text} if text else block
