"""The stand-in as a process of its own, for any client that speaks HTTP."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from course_utils.offline.doors import COURSE_KEY, DOORS
from course_utils.offline.replay.recordings import SHIPPED
from course_utils.offline.server import Server
from course_utils.offline.standin import StandIn
from course_utils.wire import tokens

# The door of a provider under the name that people know it by; others keep their own.
_KNOWN_AS = {"google": "gemini"}


def serve(
    port: int = 0,
    recordings: Sequence[Path] = (),
    *,
    strict: bool = False,
    lenient: bool = False,
) -> None:
    """Serve on a port, or on a free one, until Ctrl-C or SIGTERM.

    The first line of output is one JSON object: the base URL of each door, and the key to use.
    `recordings` are files and folders to answer from, in place of the course's own.

    Raises PortTakenError and RecordingError before anything is printed.
    """
    standin = StandIn(strict=strict, lenient=lenient, paths=tuple(recordings) or (SHIPPED,))
    _, problems = standin.recordings, standin.cassettes.problems
    tokens.provide_vocabulary()
    server = Server(standin)
    server.start(port)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    print(json.dumps(doors(server.url)), flush=True)
    for problem in problems:
        print(problem, file=sys.stderr, flush=True)
    # Waiting in steps lets Ctrl-C through on Windows as well.
    while not stopped.wait(timeout=1):
        pass
    server.stop()


def doors(url: str) -> dict[str, str]:
    """The base URL of each door, as its provider's own SDK takes it, and the key to use."""
    urls = {_KNOWN_AS.get(door.provider, door.provider): url + door.prefix for door in DOORS}
    return urls | {"key": COURSE_KEY}
