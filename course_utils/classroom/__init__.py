"""Exercises that answer back: checked, built, executed and scored.

A student needs `check`; an author also `exercise`, `require` and `expect`. The modules that read
and run notebooks load nbformat and nbclient and are imported by their own names.
"""

from course_utils.classroom.registry import exercise, expect, require
from course_utils.classroom.runner import check

__all__ = ["check", "exercise", "expect", "require"]
