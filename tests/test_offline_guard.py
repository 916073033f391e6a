"""The offline proof itself: processes started by the tests reach this machine and nothing else."""

import os
import socket
import subprocess
import sys
import threading

import pytest


def run_python(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a child Python, as a kernel is started: with this process's environment."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.create_connection(('192.0.2.1', 80), timeout=5)",
        "import socket; socket.socket().connect(('192.0.2.1', 80))",
        "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
        "import socket; socket.getaddrinfo('example.com', 443)",
        "import socket; socket.gethostbyname('example.com')",
        "import urllib.request; urllib.request.urlopen('http://192.0.2.1/', timeout=5)",
    ],
)
def test_child_reaches_nothing_outside(code: str) -> None:
    """A child process is told that the tests run offline, whichever call it tries."""
    done = run_python(code)
    assert done.returncode == 1
    assert "The tests run offline" in done.stderr


def test_child_reaches_loopback() -> None:
    """A child process talks to a server on this machine, by address and by name."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=lambda: [server.accept() for _ in range(2)], daemon=True).start()
        port = server.getsockname()[1]
        done = run_python(
            "import socket\n"
            f"for host in ('127.0.0.1', 'localhost'): socket.create_connection((host, {port}))"
        )
    assert (done.returncode, done.stderr) == (0, "")


def test_this_process_is_guarded() -> None:
    """The process that runs the tests is under the guard as well."""
    with pytest.raises(OSError, match="The tests run offline"):
        socket.getaddrinfo("example.com", 443)


def test_guard_can_be_switched_off_for_a_child() -> None:
    """A test that is marked `registry` opens the network for its own children only."""
    code = "import sys; print('sitecustomize' in sys.modules, hasattr(sys.modules['sitecustomize'],"
    code += " 'own_name'))"
    assert run_python(code, COURSE_NETWORK_GUARD="off").stdout.split() == ["True", "False"]
    assert run_python(code).stdout.split() == ["True", "True"]


def test_no_key_in_the_environment() -> None:
    """Neither the tests nor what they start can see a provider's key."""
    code = "import os; print(*[name for name in os.environ if name.upper().endswith('_API_KEY')])"
    assert run_python(code).stdout.strip() == ""
