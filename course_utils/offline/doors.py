"""The doors of the stand-in: one address for each provider, as each provider lays out its own."""

from __future__ import annotations

from dataclasses import dataclass

from course_utils.wire import openai_chat
from course_utils.wire.anthropic_messages import AnthropicMessages
from course_utils.wire.codec import Codec

# The key that the stand-in takes. It opens nothing else, so it may stand in the open.
COURSE_KEY = "course-key-that-works-offline-only"


@dataclass(frozen=True, slots=True)
class Door:
    """One provider's entrance.

    `provider` is its name in the catalogue, `path` the path of the one endpoint that answers,
    `base` what the SDK of its format wants as base URL, `upstream` the path of the same endpoint
    at the real provider; `needs_key` is false where nobody asks for one.
    `own_base` is for a provider whose own SDK speaks another format than this endpoint does.
    """

    provider: str
    path: str
    base: str
    upstream: str
    codec: Codec
    words: str
    needs_key: bool = True
    own_base: str = ""

    @property
    def sdk_base(self) -> str:
        """What the provider's own SDK wants as base URL."""
        return self.own_base or self.base


DOORS = (
    Door(
        provider="openai",
        path="/openai/v1/chat/completions",
        base="/openai/v1",
        upstream="/chat/completions",
        codec=openai_chat.OPENAI,
        words="openai",
    ),
    Door(
        provider="anthropic",
        path="/anthropic/v1/messages",
        base="/anthropic",
        upstream="/v1/messages",
        codec=AnthropicMessages(),
        words="anthropic",
    ),
    Door(
        provider="google",
        path="/google/v1beta/openai/chat/completions",
        base="/google/v1beta/openai",
        upstream="/v1beta/openai/chat/completions",
        codec=openai_chat.GOOGLE,
        words="google",
        own_base="/google",
    ),
    Door(
        provider="local",
        path="/local/v1/chat/completions",
        base="/local/v1",
        upstream="/chat/completions",
        codec=openai_chat.LOCAL,
        words="local",
        needs_key=False,
    ),
)
