"""OpenAI's endpoint that makes a long conversation short: user messages, then one sealed item.

The real one seals a summary that only its models can read; here the seal holds nothing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from course_utils.offline import ids
from course_utils.offline.call import Answer
from course_utils.offline.endpoints.completion import model_of
from course_utils.offline.endpoints.resources import json_answer
from course_utils.offline.endpoints.response_items import listed
from course_utils.offline.endpoints.response_refusals import check_request
from course_utils.offline.endpoints.responses import conversation_before
from course_utils.offline.routes import Visit
from course_utils.wire.prompt_tokens import prompt_tokens

Item = Mapping[str, Any]
# How many bytes are sealed: as many as a short summary has.
_SEALED_BYTES = 600
_SUMMARY_TOKENS = 150


def compact(visit: Visit) -> Answer:
    """The short form of a conversation, to be sent as the next request's input."""
    body = {"input": "", **visit.json()}
    if body["input"] is None:
        body["input"] = ""
    visit.route.codec.read_request(body)
    items = (*conversation_before(visit, body), *listed(body["input"], visit.seed))
    request = visit.route.codec.read_request({**body, "input": list(items)})
    visit.entry.request = request
    model = model_of(visit, request, body, check_request)
    answer = {
        "id": "resp_" + ids.hexadecimal("compact" + visit.seed, 50),
        "object": "response.compaction",
        "created_at": visit.standin.clock.now,
        "output": [*_users(visit, items), _sealed(visit.seed)],
        "usage": _usage(prompt_tokens(request, model)),
    }
    return json_answer(visit, answer, limited=True)


def _users(visit: Visit, items: tuple[Item, ...]) -> list[Item]:
    """The user's messages, as the real endpoint returns them. The SDK's types know none among the
    output, and lenient is held to the types."""
    return [] if visit.standin.lenient else [item for item in items if item.get("role") == "user"]


def _sealed(seed: str) -> Item:
    """The compaction item; its content begins as real ones do."""
    noise = hashlib.shake_256(seed.encode()).digest(_SEALED_BYTES)
    return {
        "id": "cmp_" + ids.hexadecimal("sealed" + seed, 50),
        "type": "compaction",
        "encrypted_content": "gAAAAAB" + base64.urlsafe_b64encode(noise).decode(),
    }


def _usage(given: int) -> dict[str, Any]:
    return {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": _SUMMARY_TOKENS,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": given + _SUMMARY_TOKENS,
    }
