"""Hand this process over to another program; readable for Python 3.6, like `bootstrap`."""

import os
import subprocess


def become(command: "list[str]", env: "dict[str, str] | None" = None) -> int:
    """Run `command` in place of this process; on Windows as its child, whose exit code it gives.

    Either way Ctrl-C and the exit code are the program's own.
    """
    env = dict(os.environ) if env is None else env
    if os.name != "nt":
        os.execve(command[0], command, env)
    child = subprocess.Popen(command, env=env)
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            continue  # it reached the child too, which decides when to end
