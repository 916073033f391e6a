"""Pictures in a message: OpenAI's `image_url` part in the words of the other providers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def for_anthropic(part: Mapping[str, Any]) -> dict[str, Any]:
    """The part as a block of Anthropic's; what is no `image_url` stays as it is."""
    if part.get("type") != "image_url":
        return dict(part)
    media_type, data = _split(part)
    if not data:
        return {"type": "image", "source": {"type": "url", "url": _url(part)}}
    source = {"type": "base64", "media_type": media_type, "data": data}
    return {"type": "image", "source": source}


def for_gemini(part: Mapping[str, Any]) -> dict[str, Any]:
    """The part as one of Gemini's; what is no `image_url` stays as it is."""
    if part.get("type") != "image_url":
        return dict(part)
    media_type, data = _split(part)
    if not data:
        return {"fileData": {"fileUri": _url(part)}}
    return {"inlineData": {"mimeType": media_type, "data": data}}


def _url(part: Mapping[str, Any]) -> str:
    image = part.get("image_url")
    return str(image.get("url", "") if isinstance(image, Mapping) else image or "")


def _split(part: Mapping[str, Any]) -> tuple[str, str]:
    """Media type and base64 text of `data:image/png;base64,…`; both empty for other addresses."""
    head, _, data = _url(part).partition(";base64,")
    return (head.removeprefix("data:"), data) if head.startswith("data:") else ("", "")
