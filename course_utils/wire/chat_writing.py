"""Writing OpenAI's chat completions format: bodies, chunks, usage, and the padding of chunks."""

from __future__ import annotations

import hashlib
import json
import string
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from course_utils.wire import catalogue, sse, tokens
from course_utils.wire.reply import Choice, Reply, TokenLogprob, Usage
from course_utils.wire.request import Request, ToolCall

if TYPE_CHECKING:
    from course_utils.wire.openai_chat import OpenAIChat

_LETTERS = string.ascii_letters + string.digits


def completion(reply: Reply, request: Request, dialect: OpenAIChat) -> dict[str, Any]:
    """The body of a reply that is not streamed."""
    choices = [
        _write_choice(i, choice, reply, request, dialect) for i, choice in enumerate(reply.choices)
    ]
    head, backend = _head(reply, "chat.completion"), _backend(reply, request, dialect)
    answer = {"choices": choices, "usage": write_usage(reply.usage, dialect)}
    return head | answer | backend if dialect.full else head | backend | answer


def chunks(reply: Reply, request: Request, dialect: OpenAIChat) -> Iterator[bytes]:
    """The same reply as server-sent events, one chunk a delta, ended by `[DONE]`."""
    head = _head(reply, "chat.completion.chunk") | _backend(reply, request, dialect)
    usage = {"usage": None} if request.stream_usage and dialect.full else {}
    letters = _letters(reply.id) if dialect.padded and request.stream_padding else ""
    frame = _Frame.around_choices(head, usage, letters)
    for choice in _interleaved(reply, request, dialect):
        yield frame.chunk(choice)
    if request.stream_usage:
        last = {"usage": write_usage(reply.usage, dialect)}
        yield _Frame.around_choices(head, last, letters).chunk("")
    yield sse.encode("[DONE]")


def write_usage(usage: Usage, dialect: OpenAIChat) -> dict[str, Any]:
    """The usage block."""
    body: dict[str, Any] = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }
    if dialect.full:
        details = {"cached_tokens": usage.cached_tokens, "audio_tokens": 0}
        if usage.cache_write_tokens:
            details["cache_write_tokens"] = usage.cache_write_tokens
        body["prompt_tokens_details"] = details
        body["completion_tokens_details"] = {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        }
    return body


def _head(reply: Reply, kind: str) -> dict[str, Any]:
    return {"id": reply.id, "object": kind, "created": reply.created, "model": reply.model}


def _backend(reply: Reply, request: Request, dialect: OpenAIChat) -> dict[str, Any]:
    """The fields that say which backend answered."""
    if not dialect.full:
        return {"system_fingerprint": dialect.fingerprint} if dialect.fingerprint else {}
    tier = request.rest.get("service_tier")
    served = tier if tier in ("flex", "priority", "scale") else "default"
    digest = hashlib.sha256(reply.model.encode()).hexdigest()[:10]
    fingerprint = f"fp_{digest}" if catalogue.family(reply.model).fingerprint else None
    return {"service_tier": served, "system_fingerprint": fingerprint}


def _write_choice(
    index: int, choice: Choice, reply: Reply, request: Request, dialect: OpenAIChat
) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": choice.text or None}
    if choice.tool_calls and _has_functions(request):
        message["function_call"] = _write_function(choice.tool_calls[0])
    elif choice.tool_calls:
        # Ollama counts the calls of a whole reply too, as others do in a stream only.
        counted = not dialect.full and dialect.fingerprint is not None
        message["tool_calls"] = [
            _write_tool_call(call, at if counted else None)
            for at, call in enumerate(choice.tool_calls)
        ]
    elif not choice.refusal:
        message["content"] = choice.text
    if message["content"] is None and not dialect.full:
        # Google leaves out what is not there; Ollama writes an empty text.
        message |= {"content": ""} if dialect.fingerprint else {}
        message = {key: value for key, value in message.items() if value is not None}
    if dialect.full:
        message |= {"refusal": choice.refusal, "annotations": []}
    return {
        "index": index,
        "message": message,
        **_logprobs_field(choice.logprobs, reply, dialect),
        "finish_reason": _finish_reason(choice, request),
    }


def _finish_reason(choice: Choice, request: Request) -> str | None:
    called = choice.finish_reason == "tool_calls" and _has_functions(request)
    return "function_call" if called else choice.finish_reason


def _has_functions(request: Request) -> bool:
    """Whether the request offers its tools in the old way, which gets the old answer."""
    return "functions" in request.rest


def _write_tool_call(call: ToolCall, index: int | None = None) -> dict[str, Any]:
    place = {} if index is None else {"index": index}
    return {"id": call.id, **place, "type": "function", "function": _write_function(call)}


def _write_function(call: ToolCall) -> dict[str, Any]:
    return {"name": call.name, "arguments": call.arguments}


def _logprobs_field(
    logprobs: tuple[TokenLogprob, ...] | None, reply: Reply, dialect: OpenAIChat
) -> dict[str, Any]:
    """The field as its model sends it: reasoning models have none, the others a null at least."""
    if logprobs is not None:
        content = [
            _write_logprob(entry) | {"top_logprobs": [_write_logprob(top) for top in entry.top]}
            for entry in logprobs
        ]
        return {"logprobs": {"content": content, "refusal": None}}
    return {"logprobs": None} if dialect.full and not reply.reasoned else {}


def _write_logprob(entry: TokenLogprob) -> dict[str, Any]:
    return {"token": entry.token, "logprob": entry.logprob, "bytes": list(entry.utf8)}


def _interleaved(reply: Reply, request: Request, dialect: OpenAIChat) -> Iterator[str]:
    """The chunks of all choices, as JSON: each opens with two, then they take turns, and end
    together."""
    streams = [
        _choice_chunks(i, choice, reply, request, dialect) for i, choice in enumerate(reply.choices)
    ]
    for stream in streams:
        yield from islice(stream, 2)
    while streams:
        for stream in list(streams):
            chunk = next(stream, None)
            if chunk is None:
                streams.remove(stream)
            else:
                yield chunk
    for index, choice in enumerate(reply.choices):
        empty = _logprobs_field(None, reply, dialect)
        reason = _finish_reason(choice, request)
        yield compact({"index": index, "delta": {}, **empty, "finish_reason": reason})


def _choice_chunks(
    index: int, choice: Choice, reply: Reply, request: Request, dialect: OpenAIChat
) -> Iterator[str]:
    """All chunks of one choice but the last, which says why it ended, as JSON."""
    entries = iter(choice.logprobs or ())
    # Of a hundred chunks all but one are a piece of text in the same frame, written once.
    empty = {"index": index, "delta": {"content": ""}} | _logprobs_field(None, reply, dialect)
    before, after = compact(empty | {"finish_reason": None}).split('""')
    for delta in _deltas(choice, request, dialect):
        if isinstance(delta, str) and choice.logprobs is None:
            yield before + compact(delta) + after
            continue
        whole = {"content": delta} if isinstance(delta, str) else delta
        logprobs = None
        if choice.logprobs is not None:
            logprobs = tuple(_entries_of(whole.get("content") or "", entries))
        field = _logprobs_field(logprobs, reply, dialect)
        yield compact({"index": index, "delta": whole, **field, "finish_reason": None})


def _entries_of(piece: str, entries: Iterator[TokenLogprob]) -> Iterator[TokenLogprob]:
    """The next entries, as many as the piece of text is made of."""
    missing = len(piece.encode())
    while missing > 0 and (entry := next(entries, None)):
        missing -= len(entry.utf8)
        yield entry


def _deltas(
    choice: Choice, request: Request, dialect: OpenAIChat
) -> Iterator[dict[str, Any] | str]:
    """What each chunk adds: the role first, then a piece of text, refusal or tool call each.

    A piece of text comes as it is, all else as the delta's fields.
    """
    refusal = {"refusal": None} if dialect.full else {}
    opened: dict[str, Any] = {"role": "assistant", "content": None}
    if choice.tool_calls and not choice.text:
        yield from _call_deltas(choice.tool_calls, opened, refusal, request)
        return
    if choice.refusal:
        yield opened | {"refusal": ""}
        for piece in tokens.pieces(choice.refusal, dialect.delta_tokens):
            yield {"refusal": piece}
        return
    yield opened | {"content": ""} | refusal
    yield from tokens.pieces(choice.text, dialect.delta_tokens)
    yield from _call_deltas(choice.tool_calls, {}, {}, request)


def _call_deltas(
    calls: tuple[ToolCall, ...], opened: dict[str, Any], refusal: dict[str, Any], request: Request
) -> Iterator[dict[str, Any]]:
    """One call comes in the chunk that opens the message; of several, the role comes alone."""
    if calls and _has_functions(request):
        yield opened | {"function_call": {"name": calls[0].name, "arguments": ""}} | refusal
        for piece in tokens.pieces(calls[0].arguments, 1):
            yield {"function_call": {"arguments": piece}}
        return
    if len(calls) > 1 and opened:
        yield opened
        opened, refusal = {}, {}
    for index, call in enumerate(calls):
        named = {"index": index} | _write_tool_call(ToolCall(call.id, call.name, ""))
        yield opened | {"tool_calls": [named]} | refusal
        for piece in tokens.pieces(call.arguments, 1):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


@dataclass(slots=True)
class _Frame:
    """What all chunks of a stream have in common, written once: a stream has a hundred of them.

    `letters` are what the padding is cut from; without any, chunks are not padded.
    """

    before: str
    after: str
    letters: str
    written: int = 0

    @classmethod
    def around_choices(cls, head: dict[str, Any], rest: dict[str, Any], letters: str) -> _Frame:
        """The frame of a body that has `choices` between the fields of head and rest."""
        after = "," + compact(rest)[1:-1] if rest else ""
        return cls(compact(head)[:-1] + ',"choices":[', "]" + after, letters)

    def chunk(self, choice: str) -> bytes:
        """One event with one choice, given as JSON; an empty text is no choice."""
        text = self.before + choice + self.after
        if not self.letters:
            return sse.encode(text + "}")
        bare = len(text) + len(_PADDING) - 1
        # Every chunk's length is 1 above a multiple of 16, so that it does not betray the token.
        start = self.written % (len(self.letters) - _LONGEST_PADDING)
        self.written += _LONGEST_PADDING
        padding = self.letters[start : start + (1 - bare) % 16]
        return sse.encode(text + _PADDING % padding + "}")


def compact(body: object) -> str:
    """JSON without any space between its parts."""
    return _COMPACT.encode(body)


# Made once: a stream has a hundred chunks, and json.dumps would make an encoder for each.
_COMPACT = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
_PADDING = ',"obfuscation":"%s"'
_LONGEST_PADDING = 15
_LETTER_OF_BYTE = bytes(ord(_LETTERS[byte % len(_LETTERS)]) for byte in range(256))


def _letters(seed: str) -> str:
    """Letters and digits without a meaning, the same for the same seed."""
    digest = hashlib.shake_128(seed.encode()).digest(256)
    return digest.translate(_LETTER_OF_BYTE).decode()
