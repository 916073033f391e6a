"""OpenAI's SDK, for OpenAI itself and for local servers that speak its format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from course_utils.llm.failures import UnreadableAnswerError
from course_utils.llm.providers.driver import Address, Answer, Reader
from course_utils.llm.result import ChatEvent, TextDelta, ThinkingDelta, ToolCallDelta
from course_utils.wire.openai_chat import LOCAL, OPENAI, OpenAIChat
from course_utils.wire.request import Request


def driver(provider: str) -> OpenAIDriver:
    """The driver for OpenAI, or for a local server."""
    return OpenAIDriver(OPENAI if provider == "openai" else LOCAL)


@dataclass(frozen=True, slots=True)
class OpenAIDriver:
    """The driver, in the dialect of one provider."""

    codec: OpenAIChat

    def connect(self, address: Address) -> Any:
        """The SDK's client."""
        from openai import OpenAI

        return OpenAI(**_settings(address))

    def connect_async(self, address: Address) -> Any:
        """The SDK's asynchronous client."""
        from openai import AsyncOpenAI

        return AsyncOpenAI(**_settings(address))

    def ask(self, sdk: Any, request: Request) -> Any:
        """Send a request."""
        body = self.codec.write_request(request)
        if request.stream:
            return sdk.chat.completions.create(**body)
        from openai.types.chat import ChatCompletion

        # `create` looks through all of its arguments for names to translate, which is a quarter of
        # what a call costs; `post`, the SDK's own way to send a body as it is, does not.
        return sdk.post("/chat/completions", body=body, cast_to=ChatCompletion)

    def read(self, answer: Any) -> Answer:
        """What a completion says."""
        if isinstance(answer, str):
            raise UnreadableAnswerError(f"it begins with {answer[:40]!r}")
        reply = self.codec.read_reply(answer.model_dump(warnings=False))
        return Answer(reply, answer._request_id, answer)

    def reader(self, stream: Any) -> Reader:
        """What adds up a stream of chunks."""
        return _ChunkReader(self.codec, stream.response.headers.get("x-request-id"))


def _settings(address: Address) -> dict[str, Any]:
    return {
        "base_url": address.base_url,
        "api_key": address.api_key,
        "timeout": address.timeout_s,
        "max_retries": 0,
    }


class _ChunkReader:
    """Adds up chunks, by their attributes: to dump each would cost more than the SDK itself."""

    def __init__(self, codec: OpenAIChat, request_id: str | None) -> None:
        self._codec, self._request_id = codec, request_id
        self._texts: list[str] = []
        self._refusals: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self._last: Any = None
        self._usage: Any = None
        self._finish_reason: str | None = None

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._texts)

    def take(self, chunk: Any) -> Sequence[ChatEvent]:
        """What one chunk brings."""
        self._last = chunk
        if chunk.usage is not None:
            self._usage = chunk.usage
        if not chunk.choices:
            return ()
        choice = chunk.choices[0]
        if choice.finish_reason:
            self._finish_reason = choice.finish_reason
        delta = choice.delta
        if delta.tool_calls:
            return [self._add_call(piece) for piece in delta.tool_calls]
        if delta.content:
            self._texts.append(delta.content)
            return (TextDelta(delta.content),)
        if delta.refusal:
            self._refusals.append(delta.refusal)
        return _thinking(delta.model_extra)

    def _add_call(self, piece: Any) -> ToolCallDelta:
        # Some servers send no index: then each piece with an id opens a call of its own.
        index = piece.index
        if index is None:
            index = len(self._calls) - (not piece.id and bool(self._calls))
        while len(self._calls) <= index:
            self._calls.append({"id": "", "function": {"name": "", "arguments": ""}})
        call, function = self._calls[index], piece.function
        call["id"] = call["id"] or piece.id or ""
        name, arguments = (function.name, function.arguments) if function else (None, None)
        call["function"]["name"] += name or ""
        call["function"]["arguments"] += arguments or ""
        return ToolCallDelta(index, piece.id or None, name or None, arguments or "")

    def answer(self) -> Answer:
        """What has come so far."""
        message = {
            "content": self.text,
            "refusal": "".join(self._refusals) or None,
            "tool_calls": self._calls,
        }
        body = {
            "id": getattr(self._last, "id", ""),
            "model": getattr(self._last, "model", ""),
            "choices": [{"message": message, "finish_reason": self._finish_reason}],
            "usage": self._usage.model_dump(warnings=False) if self._usage else None,
        }
        return Answer(self._codec.read_reply(body), self._request_id, self._last)


def _thinking(extra: dict[str, Any] | None) -> Sequence[ChatEvent]:
    """Local servers show the model's thinking in a field that OpenAI does not have."""
    if not extra:
        return ()
    text = extra.get("reasoning") or extra.get("reasoning_content")
    return (ThinkingDelta(text),) if isinstance(text, str) else ()
