"""The limits around a student's code while it is checked: time and output."""

from __future__ import annotations

import contextlib
import ctypes
import io
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

# A loop around a bare `except:` swallows most stops, so they keep coming until one gets through.
AGAIN_S = 0.002
LINES, CHARACTERS = 5, 500


class TimeUp(BaseException):
    """The limit has passed. No Exception, so that `except Exception` in an answer lets it by."""


def limited(work: Callable[[], object], limit_s: float) -> None:
    """Do ``work``, and raise TimeUp inside it after ``limit_s`` seconds.

    In the main thread of a POSIX system the system's alarm does it, and breaks a sleep too.
    Elsewhere another thread does it, which stops Python code only between two of its steps.
    """
    in_main = threading.current_thread() is threading.main_thread()
    run = _with_alarm if in_main and hasattr(signal, "setitimer") else _with_watcher
    run(work, limit_s)


def _with_alarm(work: Callable[[], object], limit_s: float) -> None:
    here = sys._getframe()

    def stop(number: int, frame: FrameType | None) -> None:
        # A stop may come so late that it breaks the switching-off below: the next one does that.
        if _is_inside(here, frame):
            raise TimeUp
        signal.setitimer(signal.ITIMER_REAL, 0)

    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, limit_s, AGAIN_S)
        work()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _with_watcher(work: Callable[[], object], limit_s: float) -> None:
    here, target, done = sys._getframe(), threading.get_ident(), threading.Event()

    def watch() -> None:
        wait_s = limit_s
        while not done.wait(wait_s) and _is_inside(here, sys._current_frames().get(target)):
            _raise_in(target, TimeUp)
            wait_s = AGAIN_S

    watcher = threading.Thread(target=watch, name="check-time-limit", daemon=True)
    watcher.start()
    try:
        work()
    finally:
        done.set()
        watcher.join()
        _raise_in(target, None)  # takes back a stop that came a moment too late


def _is_inside(outer: FrameType, frame: FrameType | None) -> bool:
    while frame is not None and frame is not outer:
        frame = frame.f_back
    return frame is outer


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    raised = ctypes.py_object(error) if error else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), raised)


class Printed(io.TextIOBase):
    """Where a student's prints go during a check: the first lines are kept, the rest is dropped."""

    def __init__(self) -> None:
        self._kept = ""
        self._more = False

    def write(self, text: str) -> int:
        """Keep what fits."""
        room = CHARACTERS - len(self._kept)
        self._kept += text[:room]
        self._more = self._more or len(text) > room
        return len(text)

    def writable(self) -> bool:
        """Say yes, as a stream for output must."""
        return True

    @property
    def lines(self) -> tuple[str, ...]:
        """The first lines, and a last one where there were more."""
        lines = self._kept.splitlines()
        more = self._more or len(lines) > LINES
        return (*lines[:LINES], *(("… and more, which is left out here",) if more else ()))


@contextlib.contextmanager
def captured_output() -> Iterator[Printed]:
    """Take what the block prints, to either stream."""
    printed = Printed()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        yield printed
