"""Identifiers that look like each provider's and are the same for the same request."""

from __future__ import annotations

import hashlib
import string

_ALNUM = string.ascii_letters + string.digits


def alnum(seed: str, length: int) -> str:
    """`length` letters and digits that follow from `seed`."""
    number = int.from_bytes(hashlib.sha512(seed.encode()).digest(), "big")
    letters = []
    for _ in range(length):
        number, i = divmod(number, len(_ALNUM))
        letters.append(_ALNUM[i])
    return "".join(letters)


def hexadecimal(seed: str, length: int) -> str:
    """`length` hexadecimal digits that follow from `seed`."""
    return hashlib.sha512(seed.encode()).hexdigest()[:length]


def reply_id(provider: str, seed: str) -> str:
    """A reply's id, in the provider's own form."""
    match provider:
        case "openai":
            return "chatcmpl-" + alnum(seed, 29)
        case "anthropic":
            return "msg_01" + alnum(seed, 22)
        case "google":
            return alnum(seed, 22)
        case _:
            return f"chatcmpl-{int(hexadecimal(seed, 8), 16) % 1000}"


def request_id(provider: str, seed: str) -> str:
    """A request's id, as the provider's header carries it."""
    if provider == "anthropic":
        return "req_01" + alnum("request" + seed, 22)
    return "req_" + hexadecimal("request" + seed, 32)


def tool_call_id(provider: str, seed: str) -> str:
    """A tool call's id, in the provider's own form."""
    if provider == "anthropic":
        return "toolu_01" + alnum("tool" + seed, 22)
    if provider == "google":
        return alnum("tool" + seed, 8).lower()
    if provider == "local":
        return "call_" + alnum("tool" + seed, 8).lower()
    return "call_" + alnum("tool" + seed, 24)
