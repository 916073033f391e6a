"""The offline proof without any trust in Python: a lesson in a machine that has no network."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
UNSHARE = [shutil.which("unshare") or "unshare", "--user", "--map-root-user", "--net"]
# A new network namespace has a loopback that is down: bring it up (SIOCSIFFLAGS), then go on.
LOOPBACK_UP = """
import fcntl, os, socket, struct, sys
with socket.socket() as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH", b"lo", 0x1 | 0x40))
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def in_a_machine_without_network(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run this Python with arguments where only loopback exists."""
    command = [*UNSHARE, sys.executable, "-c", LOOPBACK_UP, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_lesson_passes_where_only_loopback_exists() -> None:
    """Strict nbval over lesson 02 in a network namespace of its own, whatever the language."""
    try:
        can = in_a_machine_without_network("-c", "print('ok')")
    except OSError as error:
        pytest.skip(f"no network namespaces on this system: {error}")
    if can.stdout.strip() != "ok":
        pytest.skip(f"no network namespaces for this user: {can.stderr.strip()}")
    run = in_a_machine_without_network(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", "--numprocesses=0",
        "notebooks/02_chat_completions.ipynb",
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert "22 passed" in run.stdout
