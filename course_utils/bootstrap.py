"""Set-up of the course with nothing but a plain Python: standard library only.

Makes the course's own environment (`.venv` in the repository, or the folder that COURSE_VENV
names), installs the pinned packages, and hands over to `course_utils.cli` inside it. Python 3.6
can still read this file, so that an old Python is answered with a sentence, not a SyntaxError:
hence the quoted annotations. Nothing that this file did not make is ever deleted.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Iterator

from course_utils.process import become
from course_utils.setup_error import SetupError, cause, explain

ROOT = Path(__file__).resolve().parent.parent
PINS = ROOT / "constraints.txt"
PROJECT = ROOT / "pyproject.toml"
OLDEST, NEWEST = (3, 11), (3, 13)
STAMP, LOG, LOCK = "course-ready.txt", "course-setup.log", "course-setup.lock"
HEARTBEAT_S = 20


def check_python(version: "tuple[int, ...]") -> None:
    """Raise SetupError unless `version` (major, minor, ...) is one that the course supports."""
    if OLDEST <= tuple(version[:2]) <= NEWEST:
        return
    raise SetupError(
        "The course needs Python {}.{} to {}.{}, and this is Python {}.{}: install Python "
        "{}.{} and run `{} -m course_utils lab`.".format(
            *OLDEST, *NEWEST, version[0], version[1], *NEWEST, _launcher(NEWEST)
        )
    )


def _launcher(version: "tuple[int, int]") -> str:
    """How a terminal on this system starts one version of Python."""
    return ("py -{}.{}" if os.name == "nt" else "python{}.{}").format(*version)


def venv_folder() -> Path:
    """Where the course's environment lives: COURSE_VENV, else .venv in the repository."""
    chosen = os.environ.get("COURSE_VENV")
    return Path(chosen).expanduser().resolve() if chosen else ROOT / ".venv"


def venv_python(venv: Path) -> Path:
    """The interpreter of an environment."""
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def fingerprint(pins: Path = PINS, project: Path = PROJECT) -> str:
    """What an environment depends on: the pins, the project file, its place and the Python."""
    digest = hashlib.sha256()
    for part in (pins.read_bytes(), project.read_bytes(), str(project.parent).encode()):
        digest.update(hashlib.sha256(part).digest())
    return "{} python {}.{}\n".format(digest.hexdigest(), *sys.version_info[:2])


def is_ready(venv: Path, wanted: str) -> bool:
    """Whether a set-up ran to its end here and nothing that it depends on has changed since."""
    try:
        stamp = (venv / STAMP).read_text(encoding="utf-8")
    except OSError:
        return False
    return stamp == wanted and venv_python(venv).exists()


def parse_pins(text: str) -> "dict[str, tuple[set[str], bool]]":
    """Read a pinned file: package name to (its versions, whether every system needs it)."""
    pins = {}  # type: dict[str, tuple[set[str], bool]]
    for line in text.splitlines():
        name, equals, rest = line.partition("==")
        if not equals or line.startswith((" ", "#")):
            continue
        version, *_ = rest.split()
        versions, always = pins.get(name, (set(), True))
        pins[name] = (versions | {version}, always and ";" not in rest)
    return pins


def unfit_pins(text: str) -> "list[str]":
    """The pinned packages that the running Python lacks, or has in another version."""
    from importlib.metadata import PackageNotFoundError, version

    unfit = []
    for name, (versions, always) in parse_pins(text).items():
        try:
            fits = version(name) in versions
        except PackageNotFoundError:
            fits = not always
        if not fits:
            unfit.append(name)
    return unfit


def find_uv() -> "str | None":
    """The uv on PATH, if it really runs (a version manager's shim may be there and refuse)."""
    uv = shutil.which("uv")
    if uv is None:
        return None
    try:
        subprocess.run([uv, "--version"], check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    return uv


def check_venv_module() -> None:
    """Raise SetupError where this Python cannot make environments (Debian splits that off)."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError as error:
        version = "{}.{}".format(*sys.version_info[:2])
        raise SetupError(
            "This Python has no module `{}`, so the course's environment cannot be made: run "
            "`sudo apt install python{}-venv` (Debian, Ubuntu) or install Python {} from its "
            "makers, then run the same command again.".format(error.name, version, version)
        ) from error


def claim(venv: Path) -> None:
    """Make the folder ours, or raise SetupError where it is somebody else's."""
    if venv.exists() and not (venv / LOG).exists() and any(venv.iterdir()):
        raise SetupError(
            "The folder {} was made by something else, and the course does not mix its packages "
            "with what is there: rename or delete it, or set COURSE_VENV to a new folder, and "
            "run the same command again.".format(venv)
        )
    if venv_python(venv).exists() and venv_version(venv) != tuple(sys.version_info[:2]):
        say("The environment was made for another Python: making it anew.")
        shutil.rmtree(str(venv))
    venv.mkdir(parents=True, exist_ok=True)
    (venv / LOG).touch()


def venv_version(venv: Path) -> "tuple[int, ...]":
    """The (major, minor) of an environment's Python, or () where it does not run."""
    code = "import sys; print(*sys.version_info[:2])"
    try:
        done = subprocess.run([str(venv_python(venv)), "-c", code], capture_output=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(int(part) for part in done.stdout.split())


def runs(venv: Path, *args: str) -> bool:
    """Whether the environment's Python is there and runs `args` without an error."""
    if not venv_python(venv).exists():
        return False
    return subprocess.run([str(venv_python(venv)), *args], capture_output=True).returncode == 0


def install_with_uv(uv: str, venv: Path) -> None:
    """Make the environment and install everything with uv, on this very Python."""
    if not runs(venv, "-c", ""):
        make = [uv, "venv", "--quiet", "--allow-existing", "--no-python-downloads", "--no-project"]
        call([*make, "--python", sys.executable, str(venv)], venv)
    install = [uv, "pip", "install", "--python", str(venv_python(venv)), "--no-python-downloads"]
    say(
        "Installing {} packages with uv (under a minute, once).".format(
            len(parse_pins(read_pins()))
        )
    )
    # Without compiled bytecode every kernel would start at half the speed, for ever where
    # PYTHONDONTWRITEBYTECODE is set.
    call([*install, "--require-hashes", "--compile-bytecode", "-r", str(PINS)], venv)
    call([*install, "--no-deps", "--no-build-isolation", "--editable", str(ROOT)], venv)


def install_with_pip(venv: Path) -> None:
    """Make the environment and install everything with venv and pip."""
    if not runs(venv, "-m", "pip", "--version"):
        check_venv_module()
        call([sys.executable, "-m", "venv", str(venv)], venv)
    install = [str(venv_python(venv)), "-m", "pip", "--disable-pip-version-check", "install"]
    say(
        "Installing {} packages with pip (some minutes, once).".format(len(parse_pins(read_pins())))
    )
    call([*install, "--require-hashes", "-r", str(PINS)], venv)
    call([*install, "--no-deps", "--no-build-isolation", "--editable", str(ROOT)], venv)


def read_pins() -> str:
    """The pinned file of the course."""
    return PINS.read_text(encoding="utf-8")


def call(command: "list[str]", venv: Path) -> None:
    """Run one step of the set-up into the log; raise SetupError with its cause if it fails."""
    log = venv / LOG
    start = log.stat().st_size
    env = dict(os.environ, PIP_USER="0", PIP_NO_INPUT="1", PYTHONUTF8="1")
    with log.open("ab") as out:
        step = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=env
        )
        try:
            code = _wait(step)
        except BaseException:
            step.kill()
            step.wait()
            raise
    if code:
        words = log.read_bytes()[start:].decode("utf-8", "replace")
        raise SetupError("{} (its last words are in {}).".format(cause(words), log))


def _wait(step: "subprocess.Popen[bytes]") -> int:
    started = time.monotonic()
    while True:
        try:
            return step.wait(HEARTBEAT_S)
        except subprocess.TimeoutExpired:
            say("  still at it after {:.0f} s".format(time.monotonic() - started))


@contextlib.contextmanager
def only_one(venv: Path) -> "Iterator[None]":
    """Let one set-up at a time work in a folder; the system frees the lock of a killed one."""
    with (venv / LOCK).open("a+b") as handle:
        told = False
        while not _lock(handle.fileno()):
            if not told:
                say("Another set-up of the course is at work in {}: waiting for it.".format(venv))
            told = True
            time.sleep(0.5)
        yield


def _lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def set_up(venv: Path, wanted: str) -> None:
    """Bring the environment to what `wanted` stands for; the stamp is written last."""
    say("Setting up the course in {}".format(venv))
    uv = find_uv()
    if uv is None and not runs(venv, "-m", "pip", "--version"):
        check_venv_module()
    claim(venv)
    with only_one(venv):
        if is_ready(venv, wanted):
            return
        with contextlib.suppress(FileNotFoundError):
            (venv / STAMP).unlink()
        install(uv, venv)
        check_kernel(venv)
        (venv / STAMP).write_text(wanted, encoding="utf-8")
    say("The course is set up.")


def install(uv: "str | None", venv: Path) -> None:
    """Install with uv; where uv fails and pip is at hand, pip may know this network better."""
    if uv is None:
        return install_with_pip(venv)
    try:
        install_with_uv(uv, venv)
    except SetupError as error:
        try:
            check_venv_module()
        except SetupError:
            raise error from None
        say("uv did not manage, trying pip.")
        install_with_pip(venv)
    return None


def check_kernel(venv: Path) -> None:
    """Raise SetupError unless the kernel that the notebooks name was installed."""
    if not (venv / "share/jupyter/kernels/python3/kernel.json").exists():
        raise SetupError(
            "The Python kernel for the notebooks is missing from {}: delete that folder and run "
            "the same command again.".format(venv)
        )


def say(line: str) -> None:
    """Tell the student what is going on."""
    print(line, flush=True)


def interpreter() -> str:
    """The Python that has the course's packages: this one, or that of .venv, made if need be."""
    check_python(sys.version_info[:2])
    venv, wanted = venv_folder(), fingerprint()
    if is_ready(venv, wanted):
        return str(venv_python(venv))
    if not unfit_pins(read_pins()):
        return sys.executable
    set_up(venv, wanted)
    return str(venv_python(venv))


def main(argv: "list[str]") -> int:
    """Set up if needed, then run `course` with `argv`; failures are one sentence and a 1."""
    try:
        python = interpreter()
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(explain(error, venv_folder()), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Run the same command again to go on from here.", file=sys.stderr)
        return 130
    return become([python, "-m", "course_utils.cli", *argv])
