"""Looks at what the course needs on this computer, and says what to do where it is missing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from course_utils import offline
from course_utils.bootstrap import check_python, read_pins, unfit_pins
from course_utils.errors import CourseError
from course_utils.setup_error import SetupError
from course_utils.show.table import Table
from course_utils.wire import tokens

_SET_UP_AGAIN = "close JupyterLab and start it again with: python3 -m course_utils lab"

Check = Callable[[], str]


def self_check() -> Table:
    """Each check and its result: `ok`, or one sentence on what to do."""
    rows = [[name, check() or "ok"] for name, check in _CHECKS.items()]
    return Table("What the course needs", ("what", "result"), rows)


def _python() -> str:
    try:
        check_python(sys.version_info[:2])
    except SetupError as error:
        return str(error)
    return ""


def _packages() -> str:
    unfit = unfit_pins(read_pins())
    return f"{', '.join(unfit)} missing or of another version: {_SET_UP_AGAIN}" if unfit else ""


def _kernel() -> str:
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return f"IPython is missing: {_SET_UP_AGAIN}"
    return "" if get_ipython() else "run this in a notebook, to see whether its kernel works"


def _stand_in() -> str:
    import socket

    try:
        server = offline.session().server
        with socket.create_connection(("127.0.0.1", server.port), timeout=2):
            return ""
    except (CourseError, OSError):
        return "it does not answer: restart the kernel and run the setup cell"


def _counting() -> str:
    try:
        return "" if tokens.count_text("hello", tokens.REFERENCE) == 1 else "counts are wrong"
    except CourseError as error:
        return str(error)


def _folder() -> str:
    if os.access(Path.cwd(), os.W_OK):
        return ""
    return "this folder is read-only: copy the course to a folder of your own"


_CHECKS: dict[str, Check] = {
    "Python": _python,
    "packages": _packages,
    "kernel": _kernel,
    "the stand-in answers": _stand_in,
    "tokens are counted offline": _counting,
    "your work can be saved here": _folder,
}
