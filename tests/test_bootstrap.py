"""The set-up: what it skips, what it resumes, and the one sentence for everything that fails."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from course_utils import bootstrap, setup_error

ROOT = Path(__file__).resolve().parent.parent


def run(*command: str | Path, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and keep what it said."""
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={k: v for k, v in os.environ.items() if k != "COURSE_VENV"} | env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def assert_one_sentence(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit code 1 and one line on stderr that holds `words`; no traceback."""
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python without any package: the fresh machine."""
    folder = tmp_path_factory.mktemp("bare") / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return bootstrap.venv_python(folder)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what the set-up needs of the repository."""
    copied = tmp_path / "course"
    shutil.copytree(ROOT / "course_utils", copied / "course_utils", ignore=_caches)
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, copied)
    return copied


_caches = shutil.ignore_patterns("__pycache__")


@pytest.mark.parametrize("version", [(3, 6, 15), (3, 10, 0), (3, 14, 0), (4, 0, 0)])
def test_unsupported_python_is_told_which_one_to_install(version: tuple[int, ...]) -> None:
    """A Python outside the bounds gets the bounds, its own version and the cure."""
    told = rf"needs Python 3\.11 to 3\.13, and this is Python {version[0]}\.{version[1]}: install"
    with pytest.raises(setup_error.SetupError, match=told):
        bootstrap.check_python(version)


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 12, 1), (3, 13, 9)])
def test_supported_python_passes(version: tuple[int, ...]) -> None:
    """Every Python that pyproject.toml allows is taken."""
    bootstrap.check_python(version)


def test_missing_venv_module_names_the_command(tree: Path, bare_python: Path) -> None:
    """Debian's Python without ensurepip is told what to install."""
    (tree / "ensurepip.py").write_text("raise ModuleNotFoundError('gone', name='ensurepip')\n")
    done = run(bare_python, "-m", "course_utils", "lab", cwd=tree, PATH="/nowhere")
    assert_one_sentence(done, "ensurepip", "sudo apt install python3", "-venv")
    assert not (tree / ".venv").exists()


@pytest.mark.skipif(not os.path.isdir("/sys/kernel"), reason="needs a folder that refuses root too")
def test_read_only_folder_is_one_sentence(tree: Path, bare_python: Path) -> None:
    """A place that cannot be written to is named, with the way out."""
    done = run(bare_python, "-m", "course_utils", "lab", cwd=tree, COURSE_VENV="/sys/course")
    assert_one_sentence(done, "/sys/course", "COURSE_VENV")


def test_file_in_place_of_the_folder_is_one_sentence(tree: Path, bare_python: Path) -> None:
    """COURSE_VENV below a file fails on every system, and calmly."""
    place = tree / "pyproject.toml" / "venv"
    done = run(bare_python, "-m", "course_utils", "lab", cwd=tree, COURSE_VENV=str(place))
    assert_one_sentence(done, str(place), "COURSE_VENV")


def test_folder_of_something_else_is_left_alone(tree: Path, bare_python: Path) -> None:
    """COURSE_VENV on a folder with other files in it is refused; the files stay."""
    precious = tree.parent / "thesis" / "chapter.txt"
    precious.parent.mkdir()
    precious.write_text("years of work")
    env = {"COURSE_VENV": str(precious.parent)}
    done = run(bare_python, "-m", "course_utils", "lab", cwd=tree, **env)
    assert_one_sentence(done, "made by something else", "COURSE_VENV")
    assert [p.name for p in precious.parent.iterdir()] == ["chapter.txt"]


def test_no_network_is_one_sentence(tree: Path, bare_python: Path) -> None:
    """A first set-up without the network says so and names its log."""
    env = {"PATH": "/nowhere", "PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "0"}
    env |= {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_FIND_LINKS": ""}
    done = run(bare_python, "-m", "course_utils", "lab", cwd=tree, **env)
    assert_one_sentence(done, "connect to the network", bootstrap.LOG)
    assert not (tree / ".venv" / bootstrap.STAMP).exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("ERROR: Could not install: [Errno 28] No space left on device", "The disk is full"),
        ("error: failed to write (os error 28)", "The disk is full"),
        ("THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS", "not the file that"),
        ("Temporary failure in name resolution", "could not be reached"),
        ("[Errno 13] Permission denied: 'x'", "cannot be written to"),
        ("Collecting x\nERROR: No matching distribution found for x\n", "No matching distribution"),
        ("", "no output"),
    ],
)
def test_installer_output_becomes_a_cause(words: str, told: str) -> None:
    """What pip or uv said is translated; the unknown is quoted."""
    assert told in setup_error.cause(words)


def test_stamp_makes_an_environment_ready(tmp_path: Path) -> None:
    """Only a finished set-up for the very same pins, project and Python is skipped."""
    python = bootstrap.venv_python(tmp_path)
    python.parent.mkdir()
    python.touch()
    assert not bootstrap.is_ready(tmp_path, "wanted")
    (tmp_path / bootstrap.STAMP).write_text("wanted")
    assert bootstrap.is_ready(tmp_path, "wanted")
    assert not bootstrap.is_ready(tmp_path, "other")
    python.unlink()
    assert not bootstrap.is_ready(tmp_path, "wanted")


def test_fingerprint_follows_pins_project_and_place(tmp_path: Path) -> None:
    """A changed pin, a changed project file or a moved repository asks for a new set-up."""
    pins, project = tmp_path / "constraints.txt", tmp_path / "pyproject.toml"
    moved = tmp_path / "moved" / "pyproject.toml"
    moved.parent.mkdir()
    seen = []
    for pinned, text in (("a==1", "x"), ("a==2", "x"), ("a==2", "y")):
        pins.write_text(pinned)
        project.write_text(text)
        seen.append(bootstrap.fingerprint(pins, project))
    shutil.copy(project, moved)
    seen.append(bootstrap.fingerprint(pins, moved))
    assert len(set(seen)) == len(seen)
    assert bootstrap.fingerprint(pins, moved) == seen[-1]


def test_pins_are_read_with_their_markers() -> None:
    """A pin with a marker is not needed on every system."""
    text = "# via\na==1 \\\n    --hash=sha256:0\nb==2 ; os_name == 'nt' \\\n    --hash=sha256:1\n"
    assert bootstrap.parse_pins(text) == {"a": ({"1"}, True), "b": ({"2"}, False)}


@pytest.mark.parametrize(
    ("pin", "there"),
    [
        ("pytest=={}", True),
        ("pytest==0.0.1", False),
        ("no-such-package==1", False),
        ("no-such-package==1 ; os_name == 'x'", True),
    ],
)
def test_running_python_is_compared_with_the_pins(pin: str, there: bool) -> None:
    """A conda environment or a Codespace that has the pins is used as it is."""
    assert (bootstrap.unfit_pins(pin.format(pytest.__version__)) == []) is there


def test_prepared_python_sets_nothing_up() -> None:
    """With the packages there already the command starts at once and says nothing more."""
    done = run(sys.executable, "-m", "course_utils", "test", "--version")
    assert (done.returncode, done.stdout) == (0, f"pytest {pytest.__version__}\n"), done.stderr


def test_exit_code_is_passed_on(tmp_path: Path) -> None:
    """The command ends as what it started ended: a red check is a red command."""
    red = tmp_path / "test_red.py"
    red.write_text("def test_red():\n    assert False\n")
    args = ["-p", "no:cacheprovider", "-n0", f"--rootdir={tmp_path}", "-c", os.devnull, str(red)]
    assert run(sys.executable, "-m", "course_utils", "test", *args).returncode == 1


def test_taken_port_is_one_sentence() -> None:
    """A port that another program uses is named, with the way out."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = run(sys.executable, "-m", "course_utils", "lab", "--no-browser", f"--port={port}")
    assert_one_sentence(done, f"port {port}", "leave --port out")


def test_impossible_port_is_one_sentence() -> None:
    """A port that cannot exist is answered as calmly."""
    done = run(sys.executable, "-m", "course_utils", "lab", "--no-browser", "--port=70000")
    assert_one_sentence(done, "no port 70000", "leave --port out")


@pytest.mark.parametrize(("name", "told"), [("lob", "did you mean `lab`"), ("x", "choose one of")])
def test_unknown_subcommand_is_one_sentence(name: str, told: str) -> None:
    """A mistyped subcommand gets the nearest one, or the list."""
    done = run(sys.executable, "-m", "course_utils", name)
    assert_one_sentence(done, f"no command `{name}`", told)


def test_missing_kernel_is_one_sentence(bare_python: Path) -> None:
    """A Python that cannot start notebooks is told where the one is that can."""
    done = run(bare_python, "-m", "course_utils.cli", "lab", "--no-browser")
    assert_one_sentence(done, "kernel", "python3 -m course_utils lab")
