"""Helpers of the course "Working with LLM APIs": the few names that a notebook needs.

Each is loaded at its first use, so that importing the package costs next to nothing.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from course_utils.classroom import check
    from course_utils.doctor import self_check
    from course_utils.notebook import door, faults, limits, log, meter, show_wire, start
    from course_utils.show.backoff import backoff_plot, herd_plot
    from course_utils.show.chat_window import chat_window
    from course_utils.show.figure import figure
    from course_utils.show.gauge import context_gauge
    from course_utils.show.live_text import live_text
    from course_utils.show.sequence import tool_sequence
    from course_utils.show.timeline import timeline
    from course_utils.show.token_view import show_tokens
    from course_utils.wire.catalogue import (
        default_model,
        find_model,
        models,
        provider,
        providers,
    )

__all__ = [
    "backoff_plot",
    "chat_window",
    "check",
    "context_gauge",
    "default_model",
    "door",
    "faults",
    "figure",
    "find_model",
    "herd_plot",
    "limits",
    "live_text",
    "log",
    "meter",
    "models",
    "provider",
    "providers",
    "self_check",
    "show_tokens",
    "show_wire",
    "start",
    "timeline",
    "tool_sequence",
]

_HOMES = {
    "backoff_plot": "course_utils.show.backoff",
    "chat_window": "course_utils.show.chat_window",
    "check": "course_utils.classroom",
    "context_gauge": "course_utils.show.gauge",
    "default_model": "course_utils.wire.catalogue",
    "figure": "course_utils.show.figure",
    "find_model": "course_utils.wire.catalogue",
    "herd_plot": "course_utils.show.backoff",
    "live_text": "course_utils.show.live_text",
    "models": "course_utils.wire.catalogue",
    "provider": "course_utils.wire.catalogue",
    "providers": "course_utils.wire.catalogue",
    "self_check": "course_utils.doctor",
    "show_tokens": "course_utils.show.token_view",
    "timeline": "course_utils.show.timeline",
    "tool_sequence": "course_utils.show.sequence",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'course_utils' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES.get(name, "course_utils.notebook")), name)
