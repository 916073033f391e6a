"""The items of a Responses input, in the full form in which OpenAI lists them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from course_utils.offline import ids

Item = Mapping[str, Any]

_PREFIXES = {"message": "msg", "function_call": "fc", "function_call_output": "fco"}
_OUTPUT_PART = {"type": "output_text", "annotations": [], "logprobs": []}


def listed(value: object, seed: str) -> tuple[Item, ...]:
    """The items of an input, text or list, each with an id that follows from `seed`."""
    if isinstance(value, str):
        value = [{"role": "user", "content": value}]
    if not isinstance(value, list):
        return ()
    return tuple(_full(item, f"{seed}item{i}") for i, item in enumerate(value))


def _full(item: Item, seed: str) -> Item:
    kind = item.get("type") or "message"
    prefix = _PREFIXES.get(kind, "item")
    head = {"id": item.get("id") or f"{prefix}_{ids.hexadecimal(seed, 50)}", "type": kind}
    if kind == "item_reference":
        return item
    if kind == "message":
        content = {"content": _parts(item)}
        return head | {"status": "completed"} | content | {"role": item["role"]}
    status = {} if kind == "reasoning" else {"status": "completed"}
    return head | status | {key: item[key] for key in item if key not in ("id", "type", "status")}


def _parts(item: Item) -> list[Item]:
    content = item.get("content")
    if not isinstance(content, str):
        return list(content or ())
    if item["role"] == "assistant":
        return [_OUTPUT_PART | {"text": content}]
    return [{"type": "input_text", "text": content}]
