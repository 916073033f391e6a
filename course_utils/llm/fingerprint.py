"""The fingerprint of a request: equal for equal questions, different for all others."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass, replace
from typing import Any

from course_utils.llm.errors import MessagesError
from course_utils.wire.request import Request


def fingerprint(request: Request, asked: str) -> str:
    """The sha256 of a request and of whom it goes to, 64 hex digits.

    Everything counts that may change the answer, so two requests that differ in one temperature or
    one word of a tool have nothing in common. How the answer travels does not: a stream and a whole
    body share it. ``asked`` names the provider and the model.

    Raises MessagesError where the request holds what cannot be sent anyway.
    """
    if request.stream or request.stream_usage:
        request = replace(request, stream=False, stream_usage=False)
    try:
        text = _ENCODER.encode([asked, request])
    except (TypeError, ValueError, RecursionError) as error:
        raise MessagesError(
            f"No fingerprint can be made of the request ({error}): give text, numbers, lists and "
            f"dicts with text as keys."
        ) from error
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    """What JSON does not know, as something that it does."""
    if is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, name) for name in value.__slots__]  # type: ignore[attr-defined]
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, type):
        return _schema(value)
    if callable(value):
        return _described(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


def _schema(model: type) -> Any:
    from course_utils.llm.structured import json_schema

    return json_schema(model)


def _described(tool: Callable[..., Any]) -> list[str | None]:
    """What a model is told of a tool; its body is not sent."""
    return [tool.__name__, str(inspect.signature(tool)), inspect.getdoc(tool)]


# Made once: json.dumps with these options would make one at each call.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=_plain)
