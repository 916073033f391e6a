"""The `course` command: one small function a subcommand, listed in `COMMANDS`."""

import argparse
import difflib
import errno
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from course_utils.process import become

ROOT = Path(__file__).resolve().parent.parent
START_PAGE = "/lab/tree/notebooks/00_start_here.ipynb"
LAST_PORT = 65535
API_KEY_SUFFIXES = ("_API_KEY", "_API_TOKEN", "_AUTH_TOKEN")


@dataclass(frozen=True)
class Command:
    """One subcommand: what it is for, its own arguments, and the function that runs it.

    `rest` names the program that gets all further arguments; "" means that there are none.
    """

    help: str
    run: Callable[[argparse.Namespace], int]
    arguments: Callable[[argparse.ArgumentParser], None] = lambda parser: None
    rest: str = ""


def lab_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `course lab`."""
    parser.add_argument("--port", type=int, help="the port to use; without it, a free one is found")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")


def lab(args: argparse.Namespace) -> int:
    """Open the course in JupyterLab at its start page, with the course's own settings."""
    problem = kernel_problem() or (args.port is not None and port_problem(args.port))
    if problem:
        return fail(problem)
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={ROOT}"]
    command += [f"--LabApp.default_url={START_PAGE}"]
    if args.port is not None:
        command += [f"--ServerApp.port={args.port}", "--ServerApp.port_retries=0"]
    if args.no_browser:
        command += ["--no-browser"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command += ["--allow-root"]
    os.chdir(ROOT)
    return become([*command, *args.rest], lab_environment(os.environ))


def lab_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of JupyterLab: the course's settings first, the student's untouched."""
    env = with_course(environ)
    env["JUPYTER_CONFIG_PATH"] = _joined(ROOT / ".jupyter", environ.get("JUPYTER_CONFIG_PATH"))
    # A python3 kernel that another project put into the home folder must not win.
    env["JUPYTER_PREFER_ENV_PATH"] = "1"
    return env


def kernel_problem() -> str:
    """Why the notebooks could not run, as a sentence, or "" if the kernel is there."""
    missing = [name for name in ("jupyterlab", "ipykernel") if find_spec(name) is None]
    if not missing:
        return ""
    what = "the Python kernel that the notebooks run in" if "ipykernel" in missing else "JupyterLab"
    return (
        f"This Python ({sys.executable}) lacks {what}: start with `python3 -m course_utils lab`, "
        "which uses the course's own environment, and if it is that one, delete the folder .venv "
        "and start again."
    )


def port_problem(port: int) -> str:
    """Why JupyterLab could not listen on `port`, as a sentence, or "" if it could."""
    with socket.socket() as probe:
        if os.name != "nt":
            # A port that was closed a moment ago is free, whatever the system remembers of it.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OverflowError:
            return f"There is no port {port}, ports go up to 65535: leave --port out."
        except OSError as error:
            used = error.errno == errno.EADDRINUSE
            why = "another program listens there" if used else (error.strerror or "not allowed")
            return (
                f"JupyterLab cannot use port {port}, because {why}: leave --port out and it finds "
                "a free one, or name another."
            )
    return ""


def run_tests(args: argparse.Namespace) -> int:
    """Run every check of the course, with no API key in the environment."""
    os.chdir(ROOT)
    env = without_keys(with_course(os.environ))
    return become([sys.executable, "-m", "pytest", *args.rest], env)


def without_keys(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without any provider's API key."""
    return {k: v for k, v in environ.items() if not k.upper().endswith(API_KEY_SUFFIXES)}


def with_course(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment in which every kernel imports the course_utils of this very folder."""
    return {**environ, "PYTHONPATH": _joined(ROOT, environ.get("PYTHONPATH"))}


def _joined(first: Path, others: str | None) -> str:
    return os.pathsep.join([str(first), others] if others else [str(first)])


def fail(sentence: str) -> int:
    """Tell what went wrong in one sentence and give the exit code for it."""
    print(sentence, file=sys.stderr)
    return 1


def build_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `course build`."""
    parser.add_argument(
        "--execute", action="store_true", help="also run lessons and solutions and save outputs"
    )


def build(args: argparse.Namespace) -> int:
    """Write the exercises and their checks from the solutions, and name what has changed."""
    from course_utils.classroom.build import rebuild
    from course_utils.errors import CourseError

    try:
        for line in rebuild(ROOT, execute=args.execute):
            print(line)
    except CourseError as error:
        return fail(str(error))
    return 0


def serve_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `course serve`."""
    parser.add_argument("--port", type=int, default=0, help="the port; without it, a free one")
    parser.add_argument(
        "--recordings",
        nargs="+",
        type=Path,
        default=(),
        metavar="PATH",
        help="answer from these files and folders: recordings, or VCR cassettes as they are",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--strict", action="store_true", help="refuse what has no recording")
    how.add_argument(
        "--lenient", action="store_true", help="answer whatever the key, the model or the id"
    )


def serve(args: argparse.Namespace) -> int:
    """Run the stand-in for the providers until Ctrl-C; its first line says where its doors are."""
    from course_utils.errors import CourseError
    from course_utils.offline.serve import serve as run

    if not 0 <= args.port <= LAST_PORT:
        return fail(f"There is no port {args.port}, ports go up to {LAST_PORT}: leave --port out.")
    try:
        run(args.port, args.recordings, strict=args.strict, lenient=args.lenient)
    except CourseError as error:
        return fail(str(error))
    return 0


COMMANDS = {
    "lab": Command("open the course in JupyterLab", lab, lab_arguments, rest="jupyterlab"),
    "test": Command("check the course: all tests, all notebooks", run_tests, rest="pytest"),
    "serve": Command("run the offline stand-in for any client", serve, serve_arguments),
    "build": Command("write the exercises from the solutions", build, build_arguments),
}


def make_parser() -> argparse.ArgumentParser:
    """The parser of the `course` command, from the table of subcommands."""
    parser = argparse.ArgumentParser(prog="course", description="Working with LLM APIs.")
    parsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        more = f"Further arguments go to {command.rest}." if command.rest else None
        one = parsers.add_parser(name, help=command.help, epilog=more, allow_abbrev=False)
        command.arguments(one)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run `course` with `argv` (default: this process's arguments); return its exit code."""
    argv = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    if not argv[0].startswith("-") and argv[0] not in COMMANDS:
        return fail(unknown_command(argv[0]))
    args, rest = make_parser().parse_known_args(argv)
    args.rest = rest
    command = COMMANDS[args.command]
    if args.rest and not command.rest:
        return fail(
            f"`course {args.command}` does not know {' '.join(args.rest)}: see "
            f"`course {args.command} --help` for what it takes."
        )
    return command.run(args)


def unknown_command(name: str) -> str:
    """The sentence for a subcommand that does not exist."""
    close = difflib.get_close_matches(name, COMMANDS, n=1)
    hint = f"did you mean `{close[0]}`?" if close else f"choose one of {', '.join(COMMANDS)}."
    return f"There is no command `{name}`: {hint}"


if __name__ == "__main__":
    sys.exit(main())
