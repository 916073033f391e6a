"""What every format's codec can do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from course_utils.wire.fields import MalformedRequestError
from course_utils.wire.reply import Refusal, Reply
from course_utils.wire.request import Request
from course_utils.wire.sse import Event


class Codec(Protocol):
    """One wire format: JSON bodies and events to our value types, and back."""

    def read_request(self, body: Mapping[str, Any]) -> Request:
        """The request in a body; MalformedRequestError where it does not fit the format."""

    def write_request(self, request: Request) -> dict[str, Any]:
        """The JSON body that asks for it; what the format has no field for is left out."""

    def write_reply(self, reply: Reply, request: Request) -> bytes:
        """The JSON body of a reply that is not streamed."""

    def write_stream(self, reply: Reply, request: Request) -> Iterator[bytes]:
        """The same reply as server-sent events."""

    def read_reply(self, body: Mapping[str, Any]) -> Reply:
        """The reply in a provider's JSON body."""

    def read_stream(self, events: Iterable[Event]) -> Reply:
        """The reply that a stream adds up to; its finish_reason is None if it was cut."""

    def write_error(self, refusal: Refusal, request_id: str) -> bytes:
        """The JSON body of an error."""

    def malformed(self, error: MalformedRequestError) -> Refusal:
        """The format's own words for a body that does not fit it."""
