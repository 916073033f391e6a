"""Live and record mode: calls pass through to the provider with the user's own key, unbuffered."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from course_utils.errors import RecordFileError
from course_utils.offline.call import LARGEST_ANSWER, LIVE, Answer, Call, LoggedCall
from course_utils.offline.doors import COURSE_KEY, Door
from course_utils.offline.endpoints import codec_of
from course_utils.offline.headers import COURSE_ERROR, DO_NOT_RETRY, TIER_HEADER
from course_utils.offline.live.budget import BudgetGuard, OverBudgetError
from course_utils.offline.live.passage import Passage
from course_utils.offline.live.privacy import Secrets
from course_utils.offline.live.record import Recorder, WholeAnswer
from course_utils.offline.reading import has_end, may_end, read_reply, read_request, says_end
from course_utils.offline.standin import StandIn
from course_utils.wire import catalogue
from course_utils.wire.codec import Codec
from course_utils.wire.reply import Refusal


@dataclass(frozen=True, slots=True)
class Upstream:
    """Answers calls by asking the real provider.

    `own` holds the user's environment as it was before the course: keys, and base URLs where
    calls go through an address of the user's own. The `guard` refuses what could cost too much;
    the `recorder` keeps each exchange that comes to its end. A real provider cannot be told to
    fail: while faults or limits are in force, the `standin` answers, and nothing leaves the
    computer.
    """

    own: Mapping[str, str]
    guard: BudgetGuard | None = None
    recorder: Recorder | None = None
    standin: StandIn = field(default_factory=StandIn)

    async def answer(self, call: Call, door: Door, entry: LoggedCall) -> Answer:
        """The provider's answer, passed on as it comes; `entry` is completed at its end."""
        if self.standin.faults or self.standin.limits:
            return await self.standin.answer(call, door, entry)
        codec = codec_of(call.method, call.path, door)
        secrets = self._secrets(call)
        _note_call(call, codec, entry, secrets)
        provider = catalogue.provider(door.provider)
        key = self.own.get(provider.key_env or "", "")
        if door.needs_key and not key:
            return _problem(
                codec,
                entry,
                401,
                f"No key for {provider.name} is set. Put yours into the environment "
                f"variable {provider.key_env}, restart JupyterLab, or stay offline: start().",
            )
        try:
            reserved_usd = self._reserve(call, entry)
        except OverBudgetError as error:
            return _problem(codec, entry, 429, str(error))
        url = self._base_url(provider) + call.path.removeprefix(door.prefix)
        query = f"?{call.query.replace(COURSE_KEY, key)}" if call.query else ""
        # A server that needs no key is not told apart from others by a header without a value.
        passage = Passage(url + query, call, key or COURSE_KEY)
        try:
            entry.status, headers = await passage.open()
        except OSError as error:
            self.settle(reserved_usd, entry, whole=True)
            return _problem(
                codec,
                entry,
                503,
                f"{provider.name} cannot be reached at {secrets.hide_query(url)} ({error}). Check "
                f"the network, or go back to the recordings with start('offline').",
            )
        secrets = secrets.and_of(passage.head)
        _note_call(call, codec, entry, secrets)
        entry.response_headers = secrets.of_response(headers) | {TIER_HEADER: LIVE}
        end = _End(self, call, door, entry, codec, secrets, headers, reserved_usd)
        return Answer(entry.status, headers | {TIER_HEADER: LIVE}, end.after(passage))

    def settle(self, reserved_usd: float, entry: LoggedCall, *, whole: bool) -> None:
        """Tell the guard what a call has cost."""
        if self.guard is not None:
            self.guard.settle(reserved_usd, entry, whole=whole)

    def _reserve(self, call: Call, entry: LoggedCall) -> float:
        if self.guard is None:
            return 0.0
        return self.guard.reserve(call, entry.request, entry.provider)

    def _secrets(self, call: Call) -> Secrets:
        providers = catalogue.providers()
        keys = {self.own[p.key_env] for p in providers if p.key_env and p.key_env in self.own}
        return (
            Secrets(frozenset(keys | {COURSE_KEY}))
            .and_of(call.headers.items())
            .and_of_query(call.query)
        )

    def _base_url(self, provider: catalogue.Provider) -> str:
        base = self.own.get(provider.base_url_env or "")
        return (base or provider.base_url).rstrip("/")


@dataclass(frozen=True, slots=True)
class _End:
    """What is to be done when an answer has passed: log, bill and keep it."""

    upstream: Upstream
    call: Call
    door: Door
    entry: LoggedCall
    codec: Codec
    secrets: Secrets
    headers: Mapping[str, str]
    reserved_usd: float

    async def after(self, passage: Passage) -> AsyncIterator[bytes]:
        """The body, passed on; before its end is told to the client, the log knows what it said.

        Raises ConnectionResetError where the provider has cut it off, as the client should see.
        """
        parts = []
        whole = False
        try:
            async for chunk in passage.chunks():
                parts.append(chunk)
                # An SDK may hang up as soon as it has read the stream's own last word.
                if self._is_stream and may_end(chunk) and says_end(b"".join(parts)):
                    self._note(b"".join(parts), whole=True)
                yield chunk
            whole = not passage.is_cut
        finally:
            if not self.entry.is_complete:
                self._note(b"".join(parts), whole)
        if not whole:
            raise ConnectionResetError("The provider has cut its answer off.")

    def _note(self, body: bytes, whole: bool) -> None:
        entry, kept = self.entry, self.secrets.hide(body)
        entry.is_complete = True
        entry.response_body = kept[:LARGEST_ANSWER]
        entry.reply = read_reply(kept, self.codec, status=entry.status, stream=self._is_stream)
        self.upstream.settle(self.reserved_usd, entry, whole=whole)
        recorder = self.upstream.recorder
        if recorder is not None and whole and self._is_complete(body):
            answer = WholeAnswer(entry.status, self.headers, body)
            try:
                recorder.keep(self.call, self.door, entry, answer, self.secrets)
            except RecordFileError as error:
                logging.getLogger(__name__).warning("%s", error)

    @property
    def _is_stream(self) -> bool:
        return "event-stream" in _content_type(self.headers)

    def _is_complete(self, body: bytes) -> bool:
        """Whether an answer says all: a stream can end like any other, and yet before its end."""
        reply = self.entry.reply
        if self._is_stream:
            read = reply is None or reply.finish_reason is not None
            return says_end(body) or (read and not has_end(body))
        return "json" not in _content_type(self.headers) or _is_json(body)


def _note_call(call: Call, codec: Codec, entry: LoggedCall, secrets: Secrets) -> None:
    """The call for the log; what cannot be read is the provider's to refuse."""
    entry.tier = LIVE
    entry.path, entry.query = secrets.hide(call.path), secrets.hide_query(call.query)
    entry.request_headers = secrets.for_log(entry.request_headers)
    entry.request_body = secrets.hide(call.body)
    entry.request = read_request(entry.request_body, codec)


def _problem(codec: Codec, entry: LoggedCall, status: int, message: str) -> Answer:
    """An answer of our own, in the provider's shape, that no SDK tries again."""
    entry.status, entry.refusal = status, Refusal(status, COURSE_ERROR, message)
    headers = {"Content-Type": "application/json", TIER_HEADER: LIVE} | DO_NOT_RETRY
    return Answer(status, headers, (codec.write_error(entry.refusal, "req_none"),))


def _content_type(headers: Mapping[str, str]) -> str:
    return next((value for name, value in headers.items() if name.lower() == "content-type"), "")


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True
