"""Every endpoint that the stand-in answers."""

from __future__ import annotations

from course_utils.offline.completion import complete
from course_utils.offline.doors import ANTHROPIC, GOOGLE, LOCAL, OPENAI, Door
from course_utils.offline.routes import Route, Routes
from course_utils.wire import openai_chat
from course_utils.wire.anthropic_messages import AnthropicMessages
from course_utils.wire.codec import Codec

_ANTHROPIC = AnthropicMessages()

ROUTES = Routes(
    Route("POST", OPENAI, "/chat/completions", openai_chat.OPENAI, complete),
    Route("POST", ANTHROPIC, "/v1/messages", _ANTHROPIC, complete),
    Route("POST", GOOGLE, "/v1beta/openai/chat/completions", openai_chat.GOOGLE, complete),
    Route("POST", LOCAL, "/chat/completions", openai_chat.LOCAL, complete),
)


def codec_of(method: str, path: str, door: Door) -> Codec:
    """The codec of an endpoint; where there is no such endpoint, that of the door's errors."""
    found = ROUTES.find(method, path)
    if found is not None:
        return found[0].codec
    return _ANTHROPIC if door is ANTHROPIC else openai_chat.OPENAI
