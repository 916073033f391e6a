"""What a driver does: the one thing to write for another provider.

A driver knows one SDK: how to build its client, how to ask it, and how to read what comes. It has
no state. The SDKs' asynchronous clients have the same methods with the same arguments, so one
driver serves both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from course_utils.llm.result import ChatEvent
from course_utils.wire.reply import Reply
from course_utils.wire.request import Request


@dataclass(frozen=True, slots=True)
class Address:
    """Where a provider is, with which key it is asked, and how long it may take."""

    provider: str
    base_url: str
    api_key: str = field(repr=False)
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What an SDK's answer says. `thoughts` go back to the provider in the next request."""

    reply: Reply
    request_id: str | None
    raw: Any
    thoughts: tuple[Mapping[str, Any], ...] = ()


class Reader(Protocol):
    """Adds up one stream."""

    @property
    def text(self) -> str:
        """The text so far."""

    def take(self, event: Any) -> Sequence[ChatEvent]:
        """What one event of the SDK brings."""

    def answer(self) -> Answer:
        """What has come so far; its finish_reason is None until the model has said why it ended."""


class Driver(Protocol):
    """One provider's SDK."""

    def connect(self, address: Address) -> Any:
        """The SDK's client, told not to repeat failed calls: that is `call_with_retry`'s work."""

    def connect_async(self, address: Address) -> Any:
        """The SDK's asynchronous client."""

    def ask(self, sdk: Any, request: Request) -> Any:
        """Send a request: an answer or a stream, or, of an asynchronous client, the await of it."""

    def read(self, answer: Any) -> Answer:
        """What an answer says; UnreadableAnswerError where it is none."""

    def reader(self, stream: Any) -> Reader:
        """What adds up a stream."""
