"""Helpers of the course "Working with LLM APIs": the few names that a notebook needs.

Each is loaded at its first use, so that importing the package costs next to nothing.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from course_utils.classroom import check
    from course_utils.doctor import self_check
    from course_utils.notebook import door, faults, limits, log, meter, show_wire, start
    from course_utils.show.figure import figure
    from course_utils.wire.catalogue import default_model, find_model, provider

__all__ = [
    "check",
    "default_model",
    "door",
    "faults",
    "figure",
    "find_model",
    "limits",
    "log",
    "meter",
    "provider",
    "self_check",
    "show_wire",
    "start",
]

_HOMES = {
    "check": "course_utils.classroom",
    "default_model": "course_utils.wire.catalogue",
    "figure": "course_utils.show.figure",
    "find_model": "course_utils.wire.catalogue",
    "provider": "course_utils.wire.catalogue",
    "self_check": "course_utils.doctor",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'course_utils' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES.get(name, "course_utils.notebook")), name)
