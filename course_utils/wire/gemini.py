"""Gemini's own format: generateContent and its stream.

Shapes, chunk sizes and line ends follow real traffic of 2025 and 2026; the reference is
https://ai.google.dev/api/generate-content.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from course_utils.wire import gemini_asking, sse, tokens
from course_utils.wire.fields import MalformedRequestError
from course_utils.wire.gemini_request import read_request
from course_utils.wire.reply import Choice, Refusal, Reply, Usage
from course_utils.wire.request import Request, ToolCall

_TO_GEMINI = {
    "stop": "STOP",
    "tool_calls": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
}
_FROM_GEMINI = {"STOP": "stop", "MAX_TOKENS": "length"}
_FILTERED = frozenset(["SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"])
_HARMS = ("HATE_SPEECH", "DANGEROUS_CONTENT", "HARASSMENT", "SEXUALLY_EXPLICIT")
# Tokens a chunk: the first comes early, the others are large.
_CHUNK_TOKENS = (16, 40)
_CALLED = "Model generated function call(s)."
_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
_JSON_TYPES = {"string": "TYPE_STRING", "integer": "TYPE_INT32", "number": "TYPE_FLOAT",
               "boolean": "TYPE_BOOL"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Gemini:
    """The codec. Part of what is asked stands in the path and not in the body: `streamed` is true
    for streamGenerateContent, and `model` is the path's."""

    streamed: bool = False
    model: str = ""

    def read_request(self, body: Mapping[str, Any]) -> Request:
        """The request in a body; MalformedRequestError where it does not fit the format."""
        return read_request(body, self.model, streamed=self.streamed)

    def write_request(self, request: Request) -> dict[str, Any]:
        """The JSON body that asks for it; model and streaming stand in the path."""
        return gemini_asking.body(request)

    def write_reply(self, reply: Reply, request: Request) -> bytes:
        """The JSON body of a reply that is not streamed."""
        candidates = [_write_candidate(i, c, reply.id) for i, c in enumerate(reply.choices)]
        return _pretty(_write_body(candidates, reply, _spoken(reply.usage)))

    def write_stream(self, reply: Reply, request: Request) -> Iterator[bytes]:
        """The same reply as server-sent events: a few large chunks, no names, no terminator."""
        for body in self.write_chunks(reply):
            data = json.dumps(body, separators=(",", ": "), ensure_ascii=False)
            yield f"data: {data}\r\n\r\n".encode()

    def write_array(self, reply: Reply) -> Iterator[bytes]:
        """The same chunks as one JSON array, which is what comes without `alt=sse`."""
        before = b"["
        for body in self.write_chunks(reply):
            yield before + _pretty(body).rstrip(b"\n")
            before = b",\r\n"
        yield b"]"

    def write_chunks(self, reply: Reply) -> Iterator[dict[str, Any]]:
        """The body of each chunk; each counts the tokens so far, the last says why it ended."""
        written = 0
        for index, choice in enumerate(reply.choices):
            parts = list(_deltas(choice))
            for number, delta in enumerate(parts, start=1):
                last = number == len(parts)
                candidate = _write_candidate(index, delta, reply.id)
                if not last:
                    written += len(list(tokens.pieces(delta.text, 1)))
                    del candidate["finishReason"]
                whole = last and index == len(reply.choices) - 1
                spoken = _spoken(reply.usage) if whole else written
                yield _write_body([candidate], reply, spoken)

    def read_reply(self, body: Mapping[str, Any]) -> Reply:
        """The reply in a provider's JSON body; fields that are missing keep their defaults."""
        return Reply(
            id=body.get("responseId", ""),
            model=body.get("modelVersion", ""),
            choices=tuple(_read_candidate(c) for c in body.get("candidates") or ()),
            usage=_read_usage(body.get("usageMetadata") or {}),
        )

    def read_stream(self, events: Iterable[sse.Event]) -> Reply:
        """The reply that a stream of events adds up to; its finish_reason is None if it was cut."""
        whole: dict[str, Any] = {}
        candidates: dict[int, dict[str, Any]] = {}
        for event in events:
            chunk = json.loads(event.data)
            whole |= chunk
            for part in chunk.get("candidates") or ():
                candidate = candidates.setdefault(part.get("index", 0), {"content": {"parts": []}})
                candidate["content"]["parts"] += (part.get("content") or {}).get("parts") or ()
                candidate["finishReason"] = part.get("finishReason")
        return self.read_reply(whole | {"candidates": [candidates[i] for i in sorted(candidates)]})

    def write_error(self, refusal: Refusal, request_id: str) -> bytes:
        """The JSON body of an error; Google names the request in none."""
        error: dict[str, Any] = {
            "code": refusal.status,
            "message": refusal.message,
            "status": refusal.type,
        }
        if refusal.details:
            error["details"] = list(refusal.details)
        return _pretty({"error": error})

    def malformed(self, error: MalformedRequestError) -> Refusal:
        """Google's words for a body that does not fit the format."""
        field = _snake(error.param)
        if error.got is None:
            name = field.rpartition(".")[2]
            text = f"* GenerateContentRequest.{field}: {name} is not specified\n"
            return Refusal(400, "INVALID_ARGUMENT", text)
        kind = _JSON_TYPES.get(error.expected, f"TYPE_{error.expected.upper()}")
        text = f"Invalid value at '{field}' ({kind}), {error.got}"
        violation = {"field": field, "description": text}
        detail = {"@type": _BAD_REQUEST, "fieldViolations": [violation]}
        return Refusal(400, "INVALID_ARGUMENT", text, details=(detail,))


def _snake(path: str) -> str:
    return re.sub(r"[A-Z]", lambda m: "_" + m[0].lower(), path)


def _write_body(candidates: list[Any], reply: Reply, spoken: int) -> dict[str, Any]:
    return {
        "candidates": candidates,
        "usageMetadata": _write_usage(reply.usage, spoken),
        "modelVersion": reply.model.removeprefix("models/"),
        "responseId": reply.id,
    }


def _write_candidate(index: int, choice: Choice, seed: str) -> dict[str, Any]:
    reason = _TO_GEMINI.get(choice.finish_reason or "", choice.finish_reason)
    if choice.refusal or reason == "SAFETY":
        ratings = [{"category": f"HARM_CATEGORY_{harm}", "probability": "NEGLIGIBLE"}
                   for harm in _HARMS]  # fmt: skip
        ratings[1] |= {"probability": "HIGH", "blocked": True}  # type: ignore[dict-item]
        return {"content": {}, "finishReason": "SAFETY", "index": index, "safetyRatings": ratings}
    content: dict[str, Any] = {"parts": list(_parts(choice, seed)), "role": "model"}
    if not content["parts"]:
        del content["parts"]
    candidate = {"content": content, "finishReason": reason, "index": index}
    return candidate | ({"finishMessage": _CALLED} if choice.tool_calls else {})


def _parts(choice: Choice, seed: str) -> Iterator[dict[str, Any]]:
    if choice.thinking and choice.thinking.text:
        yield {"text": choice.thinking.text, "thought": True}
    if choice.text:
        yield {"text": choice.text}
    for number, call in enumerate(choice.tool_calls):
        made = {"name": call.name, "args": json.loads(call.arguments), "id": call.id}
        # Only the first of several calls carries the signature of the thought behind them.
        signed = {} if number else {"thoughtSignature": _signature(f"{seed}{call.id}")}
        yield {"functionCall": made} | signed


def _signature(seed: str) -> str:
    return base64.b64encode(hashlib.shake_128(seed.encode()).digest(192)).decode()


def _deltas(choice: Choice) -> Iterator[Choice]:
    """The choice in the pieces of a stream; the last of them ends it."""
    pieces = list(_pieces(choice.text))
    if choice.thinking:
        yield Choice(thinking=choice.thinking)
    if not choice.tool_calls:
        for piece in pieces[:-1]:
            yield Choice(piece)
        last = pieces[-1] if pieces else ""
        yield Choice(last, choice.finish_reason, refusal=choice.refusal)
        return
    yield from map(Choice, pieces)
    yield Choice("", choice.finish_reason, choice.tool_calls)


def _pieces(text: str) -> Iterator[str]:
    first, others = _CHUNK_TOKENS
    one_by_one = tokens.pieces(text, 1)
    sizes = chain((first,), iter(lambda: others, 0))
    for size in sizes:
        piece = "".join(islice(one_by_one, size))
        if not piece:
            return
        yield piece


def _spoken(usage: Usage) -> int:
    """The tokens of the candidates: thoughts are counted beside them and not within them."""
    return usage.completion_tokens - usage.reasoning_tokens


def _write_usage(usage: Usage, spoken: int) -> dict[str, Any]:
    total = usage.prompt_tokens + spoken + usage.reasoning_tokens
    cached, text = usage.cached_tokens, {"modality": "TEXT"}
    return (
        {"promptTokenCount": usage.prompt_tokens}
        | ({"candidatesTokenCount": spoken} if spoken else {})
        | {"totalTokenCount": total}
        | ({"cachedContentTokenCount": cached} if cached else {})
        | {"promptTokensDetails": [text | {"tokenCount": usage.prompt_tokens}]}
        | ({"cacheTokensDetails": [text | {"tokenCount": cached}]} if cached else {})
        | ({"thoughtsTokenCount": usage.reasoning_tokens} if usage.reasoning_tokens else {})
        | {"serviceTier": "standard"}
    )


def _pretty(body: object) -> bytes:
    return (json.dumps(body, indent=2, ensure_ascii=False) + "\n").encode()


def _read_candidate(body: Mapping[str, Any]) -> Choice:
    parts = (body.get("content") or {}).get("parts") or ()
    calls = [part["functionCall"] for part in parts if "functionCall" in part]
    return Choice(
        text="".join(part.get("text", "") for part in parts if not part.get("thought")),
        finish_reason=_finish_reason(body.get("finishReason"), called=bool(calls)),
        tool_calls=tuple(
            ToolCall(
                call.get("id", ""),
                call.get("name", ""),
                json.dumps(call.get("args") or {}, ensure_ascii=False),
            )
            for call in calls
        ),
    )


def _finish_reason(reason: str | None, *, called: bool) -> str | None:
    if called and reason == "STOP":
        return "tool_calls"
    return "content_filter" if reason in _FILTERED else _FROM_GEMINI.get(reason or "", reason)


def _read_usage(body: Mapping[str, Any]) -> Usage:
    thoughts = body.get("thoughtsTokenCount") or 0
    return Usage(
        prompt_tokens=body.get("promptTokenCount") or 0,
        completion_tokens=(body.get("candidatesTokenCount") or 0) + thoughts,
        cached_tokens=body.get("cachedContentTokenCount") or 0,
        reasoning_tokens=thoughts,
    )
