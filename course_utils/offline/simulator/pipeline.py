"""The order in which the rules are asked: tools, then JSON, then text."""

from __future__ import annotations

import json

from course_utils.offline.simulator.objects import schema_from_prompt
from course_utils.offline.simulator.results import answer_from_tools
from course_utils.offline.simulator.schema import fill
from course_utils.offline.simulator.source import facts_of, within_reach
from course_utils.offline.simulator.style import styled, wants_json
from course_utils.offline.simulator.text import answer
from course_utils.offline.simulator.tools import wanted_calls
from course_utils.wire.reply import Choice
from course_utils.wire.request import Request


def choice_for(request: Request, index: int) -> Choice:
    """The choice with the number `index` that answers a request."""
    request = within_reach(request)
    variant = 0 if request.temperature == 0 else index
    calls = wanted_calls(request)
    if calls:
        return Choice(finish_reason="tool_calls", tool_calls=calls)
    return Choice(_text(request, variant))


def _text(request: Request, variant: int) -> str:
    if request.json_schema is not None:
        value = fill(request.json_schema, facts_of(request), variant)
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    prose = answer_from_tools(request) or answer(request, variant)
    if request.json_mode or wants_json(request):
        schema = schema_from_prompt(request)
        if schema is not None:
            prose = json.dumps(fill(schema, facts_of(request), variant), ensure_ascii=False)
        elif request.json_mode:
            prose = json.dumps({"answer": prose}, ensure_ascii=False)
        if schema is not None or request.json_mode:
            return prose
    return styled(prose, request)
