"""What a thinking model shows before its answer, where no model has thought."""

from __future__ import annotations

import base64
import hashlib

from course_utils.wire import catalogue
from course_utils.wire.reply import Choice, Thinking
from course_utils.wire.request import Request

_SIGNATURE_BYTES = 252


def think(request: Request, choice: Choice) -> Thinking | None:
    """The thinking before one answer, as the request and its model show it; None: no thinking."""
    if request.thinking is None:
        return None
    text = _thoughts(request, choice)
    return Thinking(text if _is_shown(request) else "", _signature(text))


def _is_shown(request: Request) -> bool:
    if request.thinking != "default":
        return request.thinking == "summarized"
    return catalogue.family(request.model).shows_thinking


def _thoughts(request: Request, choice: Choice) -> str:
    asked = " ".join(request.last_user_text.split()[:20])
    if choice.tool_calls:
        names = " and ".join(dict.fromkeys(call.name for call in choice.tool_calls))
        return f"The user asks: “{asked}”. For this I need {names}, so I call it first."
    return f"The user asks: “{asked}”. I can answer this directly and keep to what was asked."


def _signature(text: str) -> str:
    """Something of the form of a signature; nobody can check it."""
    blocks = b"".join(hashlib.sha512(f"{i}{text}".encode()).digest() for i in range(4))
    return base64.b64encode(b"\x12\x4a" + blocks[:_SIGNATURE_BYTES]).decode()
