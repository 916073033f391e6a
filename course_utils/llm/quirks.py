"""What a model refuses is left out of a request, with a sentence that says so.

The catalogue knows which model refuses what. Sending it all the same would be answered with a 400,
and dropping it in silence would leave people wondering why it has no effect. What professionals
use: LiteLLM's `drop_params`, which drops in silence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from course_utils.wire.catalogue import Model
from course_utils.wire.request import Request

# Anthropic wants a limit in every request. Long answers are to be streamed, and cost: ask for more.
DEFAULT_MAX_TOKENS = 4_096

Finding = tuple[Request, str | None]


def fit(request: Request, provider: str, model: Model | None) -> tuple[Request, tuple[str, ...]]:
    """The request as the model takes it, and what was changed, a sentence each.

    `model` is None where the catalogue does not have it: then only what the provider's format
    cannot say is left out. A request that fits already comes back as it is.
    """
    warnings = []
    for rule in _RULES.get(provider, ()):
        request, warning = rule(request)
        if warning:
            warnings.append(warning)
    for of_model in _MODEL_RULES if model else ():
        assert model is not None
        request, warning = of_model(request, model)
        if warning:
            warnings.append(warning)
    return request, tuple(warnings)


def _limit_for_anthropic(request: Request) -> Finding:
    if request.max_tokens is not None:
        return request, None
    return replace(request, max_tokens=DEFAULT_MAX_TOKENS), None


def _seed(request: Request) -> Finding:
    if request.seed is None:
        return request, None
    return replace(request, seed=None), "seed was left out: Anthropic's models take none."


def _json_mode(request: Request) -> Finding:
    if not request.json_mode:
        return request, None
    changed = replace(request, json_mode=False)
    return changed, "json_mode was left out: Anthropic has none, give a schema in its place."


def _one_call_at_a_time(request: Request) -> Finding:
    if request.parallel_tool_calls:
        return request, None
    changed = replace(request, parallel_tool_calls=True)
    return changed, (
        "parallel_tool_calls=False was left out: Gemini cannot be told to make one call at a time."
    )


def _least_effort(request: Request) -> Finding:
    if request.reasoning_effort != "minimal":
        return request, None
    changed = replace(request, reasoning_effort="low")
    return changed, "reasoning_effort is 'low' in place of 'minimal', which Anthropic has not."


def _sampling(request: Request, model: Model) -> Finding:
    """Temperature and top_p: some models take them never, others only while they do not think."""
    names = [name for name in ("temperature", "top_p") if getattr(request, name) is not None]
    if not names or model.sampling == "yes":
        return request, None
    if model.sampling == "reasoning_none" and request.reasoning_effort == "none":
        return request, None
    left_out = f"{' and '.join(names)} left out: {model.id} "
    if model.sampling == "reasoning_none":
        why = f"{left_out}takes sampling parameters only with reasoning_effort='none'."
    else:
        why = f"{left_out}takes no sampling parameters."
    return replace(request, temperature=None, top_p=None), why


def _max_tokens(request: Request, model: Model) -> Finding:
    most = model.max_output_tokens
    if request.max_tokens is None or request.max_tokens <= most:
        return request, None
    changed = replace(request, max_tokens=most)
    return changed, f"max_tokens is {most}, not {request.max_tokens}: {model.id} has no more."


def _forced_tool(request: Request, model: Model) -> Finding:
    if model.forced_tool_choice or request.tool_choice in (None, "auto", "none"):
        return request, None
    changed = replace(request, tool_choice=None)
    return changed, (
        f"tool_choice={request.tool_choice!r} was left out: {model.id} decides for itself "
        f"whether it calls a tool."
    )


def _prefill(request: Request, model: Model) -> Finding:
    if model.assistant_prefill or request.messages[-1].role != "assistant":
        return request, None
    changed = replace(request, messages=request.messages[:-1])
    return changed, (
        f"The assistant's message at the end was left out: {model.id} does not go on with the "
        f"beginning of an answer."
    )


def _effort(request: Request, model: Model) -> Finding:
    if model.reasoning or request.reasoning_effort is None:
        return request, None
    changed = replace(request, reasoning_effort=None)
    return changed, f"reasoning_effort was left out: {model.id} does not think before it answers."


_RULES: dict[str, tuple[Callable[[Request], Finding], ...]] = {
    "anthropic": (_limit_for_anthropic, _seed, _json_mode, _least_effort),
    "google": (_one_call_at_a_time,),
}
_MODEL_RULES: tuple[Callable[[Request, Model], Finding], ...] = (
    _sampling,
    _max_tokens,
    _forced_tool,
    _prefill,
    _effort,
)
