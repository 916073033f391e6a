"""Anthropic's count_tokens endpoint."""

from __future__ import annotations

from course_utils.offline.call import Answer
from course_utils.offline.endpoints import completion
from course_utils.offline.endpoints.resources import json_answer
from course_utils.offline.routes import Visit
from course_utils.wire.prompt_tokens import prompt_tokens


def count_tokens(visit: Visit) -> Answer:
    """How many tokens a request would have: the same number as its usage would say."""
    body = {"max_tokens": 1} | dict(visit.json())
    request = visit.route.codec.read_request(body)
    visit.entry.request = request
    model = completion.model_of(visit, request, body)
    return json_answer(visit, {"input_tokens": prompt_tokens(request, model)})
