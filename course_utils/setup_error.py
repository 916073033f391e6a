"""What can go wrong in the set-up, as the sentences that a student reads.

Like `bootstrap`, readable for Python 3.6 and built on the standard library alone.
"""

import errno
from pathlib import Path

# What an installer's own words mean for a student, most telling first.
CAUSES = (
    (
        ("No space left on device", "os error 28", "os error 112", "Disk quota exceeded"),
        "The disk is full, so the packages of the course could not be stored: free about 2 GB "
        "and run the same command again",
    ),
    (
        ("DO NOT MATCH THE HASHES", "Hash mismatch"),
        "A downloaded package is not the file that the course pins, so it was not installed: run "
        "the same command again on another network, or tell the authors of the course",
    ),
    (
        (
            "name resolution",
            "getaddrinfo failed",
            "nodename nor servname",
            "dns error",
            "Network is unreachable",
            "Failed to establish a new connection",
            "NewConnectionError",
            "ProxyError",
            "Connection refused",
            "error sending request",
            "timed out",
            "from versions: none",  # pip's last word on a pin when its index was out of reach
        ),
        "The package index could not be reached, and the first set-up has to download the "
        "packages once: connect to the network and run the same command again",
    ),
    (
        ("Permission denied", "Read-only file system"),
        "The environment of the course cannot be written to: make its folder writable, or set "
        "COURSE_VENV to a new folder of your own, and run the same command again",
    ),
)


class SetupError(Exception):
    """The set-up cannot go on; the message is the sentence that the student reads."""


def cause(words: str) -> str:
    """What an installer's output means, as the beginning of a sentence."""
    for signs, sentence in CAUSES:
        if any(sign in words for sign in signs):
            return sentence
    lines = [line.strip() for line in words.splitlines() if line.strip()] or ["no output"]
    told = next((line for line in reversed(lines) if line.lower().startswith("error")), lines[-1])
    return "The set-up stopped with `{}`: run the same command again to go on from here".format(
        told.rstrip(".")
    )


def explain(error: OSError, venv: Path) -> str:
    """The sentence for a file system that refuses."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return CAUSES[0][1] + "."
    return (
        "The environment of the course cannot be made in {} ({}): move the course to a folder "
        "that you may write to, or set COURSE_VENV to one, and run the same command "
        "again.".format(venv, error.strerror or error)
    )
