"""Failure on demand: what goes wrong between a program and a provider, when it is asked for.

A fault is either an error answer in the provider's own words (`refuse`), or it spoils the answer
that there would have been (`spoil`). Which calls it befalls, plans.py knows.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from typing import Any

from course_utils.errors import UnknownFaultError, UnknownModelError
from course_utils.offline import ids, strict_json, words
from course_utils.offline.call import CLOSED, RESET, Answer, Call, LoggedCall
from course_utils.offline.doors import Door
from course_utils.offline.limits import TurnedAwayError, google_details, merged, retry_after
from course_utils.wire import sse, tokens
from course_utils.wire.catalogue import find_model
from course_utils.wire.codec import Codec
from course_utils.wire.fields import MalformedRequestError
from course_utils.wire.reply import Choice, Reply

# The errors that a provider answers with, and what words.toml calls them.
ERRORS = {
    "400": "too_long",
    "context_length": "too_long",
    "401": "wrong_key",
    "403": "forbidden",
    "404": "unknown_model",
    "408": "timed_out",
    "429": "rate_limit",
    "quota": "quota",
    "500": "server_error",
    "503": "unavailable",
    "529": "overloaded",
}
# Only a stream can fail like this: such a fault waits for a call that is streamed.
STREAM_FAULTS = ("cut_stream", "clean_end", "stalled_stream", "slow_stream", "error_event")
FAULTS = (
    *ERRORS,
    *STREAM_FAULTS,
    "slow",
    "timeout",
    "dropped",
    "dropped_in_body",
    "malformed_json",
    "truncated_json",
    "html",
    "refusal",
    "length",
)
# What a line of a batch can meet: nobody waits for it, and rate limits do not count it.
LINE_FAULTS = (
    *(name for name in ERRORS if name not in ("408", "429", "quota")),
    "refusal",
    "length",
)
FORMS = ("seconds", "ms", "date")
FAULT_HEADER = "x-course-fault"
# Anthropic says of each error whether it is worth another try.
_RETRIED = ("408", "429", "500", "503", "529")
_HTML = b"<html>\n<head><title>Sign in to the network</title></head>\n<body></body>\n</html>\n"
# Between two events of a slow stream, in seconds: a model that writes a hundred tokens a second.
_PACE_S = 0.01
_REFUSED_TEXT = "I'm sorry, but I can't help with that request."


@dataclass(frozen=True, slots=True)
class Fault:
    """One failure. `retry_after` is in seconds, and only ever a header (at Google, a field of the
    body), written as seconds, ms or date. `wait_s` is how long slow, timeout, stalled_stream
    and, for its first event, slow_stream make a client wait.

    Raises UnknownFaultError for a name, or a form of retry_after, that there is not.
    """

    name: str
    retry_after: float | None = None
    retry_after_as: str = "seconds"
    wait_s: float = 0.5

    def __post_init__(self) -> None:
        if self.name not in FAULTS:
            raise UnknownFaultError("fault", self.name, FAULTS)
        if self.retry_after_as not in FORMS:
            raise UnknownFaultError("form of retry_after", self.retry_after_as, FORMS)

    def refuse(self, door: Door, call: Call, entry: LoggedCall, codec: Codec) -> None:
        """Raise TurnedAwayError where this fault is an error answer."""
        kind = ERRORS.get(self.name)
        if kind is None:
            return
        entry.request = _read_request(call, codec)
        facts = _facts(call)
        refusal = words.refusal(door.words, kind, **facts)
        headers = {FAULT_HEADER: self.name}
        if self.retry_after is not None:
            headers |= retry_after(door.provider, self.retry_after, self.retry_after_as)
        if door.provider == "anthropic":
            headers["x-should-retry"] = str(self.name in _RETRIED).lower()
        raise TurnedAwayError(refusal, headers, self._details(door, facts))

    def _details(self, door: Door, facts: dict[str, Any]) -> object | None:
        if self.name == "quota" and door.provider == "anthropic":
            return {"error_code": "enforced_spend_limit_reached"}
        if self.name in ("429", "quota"):
            kind = "quota" if self.name == "quota" else "rate_limit"
            return google_details(door.provider, self.retry_after, facts, kind)
        return None

    async def spoil(self, answer: Answer, entry: LoggedCall, codec: Codec) -> Answer:
        """What this fault leaves of an answer."""
        if answer.status != 200:
            return answer
        if self.name in ("timeout", "dropped"):
            # Noted first: a client that waits no longer ends this call where it sleeps.
            entry.status, entry.reply, answer = 0, None, Answer(0, {}, (), RESET)
        if self.name in ("slow", "timeout"):
            await asyncio.sleep(self.wait_s)
        if answer.status == 0:
            return answer
        if self.name == "html":
            entry.reply = None
            headers = merged(answer.headers, {"Content-Type": "text/html", FAULT_HEADER: "html"})
            return replace(answer, headers=headers, chunks=(_HTML,))
        answer = self.reword(answer, entry, codec)
        answer = replace(answer, headers=merged(answer.headers, {FAULT_HEADER: self.name}))
        if isinstance(answer.chunks, AsyncIterator):
            return answer
        body = b"".join(answer.chunks)
        if "event-stream" not in merged({}, answer.headers).get("Content-Type", ""):
            return self._spoil_body(answer, body)
        events = re.findall(rb".*?(?:\r?\n){2}", body, re.DOTALL)
        return self._spoil_stream(answer, events, entry, codec)

    def reword(self, answer: Answer, entry: LoggedCall, codec: Codec) -> Answer:
        """An answer with another reply in it, where it is the model that this fault befalls."""
        if answer.status == 200 and self.name in ("refusal", "length"):
            return _answered_anew(self.name, answer, entry, codec)
        return answer

    def _spoil_body(self, answer: Answer, body: bytes) -> Answer:
        half = body[: len(body) // 2]
        match self.name:
            case "dropped_in_body":
                headers = merged(answer.headers, {"Content-Length": str(len(body))})
                return replace(answer, headers=headers, chunks=(half,), ends=RESET)
            case "truncated_json":
                return replace(answer, chunks=(half,))
            case "malformed_json":
                return replace(answer, chunks=(_malformed(body),))
        return answer

    def _spoil_stream(
        self, answer: Answer, events: list[bytes], entry: LoggedCall, codec: Codec
    ) -> Answer:
        half = events[: min((len(events) + 1) // 2, len(events) - 1)]
        match self.name:
            case "dropped_in_body":
                return replace(answer, chunks=half, ends=RESET)
            case "cut_stream":
                return replace(answer, chunks=half, ends=CLOSED)
            case "clean_end":
                return replace(answer, chunks=half)
            case "stalled_stream":
                return replace(answer, chunks=_stalled(half, self.wait_s), ends=CLOSED)
            case "slow_stream":
                return replace(answer, chunks=_slowly(events, self.wait_s))
            case "error_event":
                return replace(answer, chunks=[*half, _error_event(entry, codec, len(half))])
            case "malformed_json":
                return replace(answer, chunks=[*half[:-1], _malformed(half[-1])])
            case "truncated_json":
                cut = half[-1][: len(half[-1]) // 2] + b"\n\n"
                return replace(answer, chunks=[*half[:-1], cut])
        return replace(answer, chunks=events)


def _facts(call: Call) -> dict[str, Any]:
    """What the words of an error name, where the error is only made up."""
    limit = _context_of(call)
    tokens_sent = limit + 1 + len(call.body) // 4
    return {
        "model": model_of(call) or "unknown",
        "key": "sk-****cted",
        "limit": limit,
        "tokens": tokens_sent,
        "excess": tokens_sent - limit,
    }


def _context_of(call: Call) -> int:
    """The context of the model that a call names, in tokens; 128,000 where nobody knows it."""
    try:
        return find_model(model_of(call) or "").context_tokens
    except UnknownModelError:
        return 128_000


def _read_request(call: Call, codec: Codec) -> Any:
    """The request, for the log; None where it cannot be read."""
    try:
        return codec.read_request(strict_json.read(call.body))
    except (ValueError, AttributeError, MalformedRequestError):
        return None


def model_of(call: Call) -> str | None:
    """The model that a call names, in its path or in its body."""
    in_path = re.search(r"/models/([^/:]+)", call.path)
    if in_path:
        return in_path[1]
    model = _body_of(call).get("model")
    return model if isinstance(model, str) else None


def is_streamed(call: Call) -> bool:
    """Whether a call asks for a stream, in its path or in its body."""
    return ":stream" in call.path or _body_of(call).get("stream") is True


def _body_of(call: Call) -> dict[str, Any]:
    try:
        body = strict_json.read(call.body)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _malformed(body: bytes) -> bytes:
    """The same with one colon wrong: as long as before, but no JSON any more."""
    return body.replace(b'":', b'"=', 1)


async def _stalled(events: Iterable[bytes], wait_s: float) -> AsyncIterator[bytes]:
    for event in events:
        yield event
    await asyncio.sleep(wait_s)


async def _slowly(events: Iterable[bytes], wait_s: float) -> AsyncIterator[bytes]:
    """A stream as a model writes it: the wait is before the first event, and there are many."""
    for event in events:
        await asyncio.sleep(wait_s)
        yield event
        wait_s = min(wait_s, _PACE_S)


def _error_event(entry: LoggedCall, codec: Codec, number: int) -> bytes:
    """The error that a provider sends when it fails in the middle of a stream."""
    kind = "overloaded" if entry.provider == "anthropic" else "server_error"
    refusal = words.refusal(entry.provider, kind)
    if entry.path.endswith("/responses"):
        event = {"type": "error", "code": refusal.type, "message": refusal.message, "param": None}
        return sse.encode(json.dumps(event | {"sequence_number": number}), "error")
    body = json.loads(codec.write_error(refusal, ids.request_id(entry.provider, "error")))
    event = body[0] if isinstance(body, list) else body
    return sse.encode(json.dumps(event), "error" if entry.provider == "anthropic" else "")


def _answered_anew(name: str, answer: Answer, entry: LoggedCall, codec: Codec) -> Answer:
    """The answer with a model's refusal in it, or cut off as if its tokens had run out."""
    request, reply = entry.request, entry.reply
    if request is None or reply is None or not reply.choices:
        return answer
    entry.reply = _refusing(reply, entry.provider) if name == "refusal" else _cut(reply)
    if request.stream:
        return replace(answer, chunks=codec.write_stream(entry.reply, request))
    return replace(answer, chunks=(codec.write_reply(entry.reply, request),))


def _refusing(reply: Reply, provider: str) -> Reply:
    """OpenAI has a field for it, Anthropic and Google a reason to stop, local models only words."""
    choice = {
        "openai": Choice(refusal=_REFUSED_TEXT),
        "local": Choice(text=_REFUSED_TEXT),
    }.get(provider, Choice(finish_reason="content_filter"))
    return _with_choice(reply, choice, _REFUSED_TEXT)


def _cut(reply: Reply) -> Reply:
    """The first half of the text, and the reason that max tokens give."""
    pieces = list(tokens.pieces(reply.text, 1))
    text = "".join(pieces[: (len(pieces) + 1) // 2])
    return _with_choice(reply, Choice(text, "length"), text)


def _with_choice(reply: Reply, choice: Choice, text: str) -> Reply:
    count = tokens.count_text(text, tokens.REFERENCE)
    usage = replace(reply.usage, completion_tokens=count, reasoning_tokens=0)
    return replace(reply, choices=(choice,) * len(reply.choices), usage=usage)
