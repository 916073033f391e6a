"""JupyterLab as a student sees it: the README's command, in a real Chromium."""

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHOTS = Path(os.environ.get("COURSE_SHOTS") or ROOT / "tests" / "browser" / "shots")
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = os.environ.get("COURSE_CHROMIUM") or next(
    filter(None, map(shutil.which, CHROMIUM_NAMES)), None
)
NOT_COPIED = shutil.ignore_patterns(".git", ".venv", "__pycache__", "tests", ".*_cache", "shots")
START_S = 90
RUN_MS = 90_000
KERNEL_STATUS = """() => {
  const panel = window.jupyterapp?.shell.currentWidget;
  return panel?.sessionContext?.session?.kernel?.status === 'idle';
}"""

ALL_RAN = """() => window.jupyterapp.shell.currentWidget.content.widgets
  .filter(cell => cell.model.type === 'code' && cell.model.sharedModel.source)
  .every(cell => cell.model.executionCount && cell.model.executionState !== 'running')"""


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab: its folder (a copy of the course), its address and its token."""

    folder: Path
    url: str
    token: str


@dataclass
class Student:
    """A browser window on the course, and what went wrong in it."""

    page: Any
    lab: Lab
    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Listen before the first page is asked for."""
        self.page.on("request", lambda request: self._note(request.url))
        self.page.on("websocket", lambda socket: self._note(socket.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _note(self, url: str) -> None:
        if not re.match(r"(https?|wss?)://127\.0\.0\.1[:/]|data:|blob:|about:", url):
            self.outside.append(url)

    def open_start_page(self) -> None:
        """Go where the address that the command prints leads to, as if for the first time."""
        shutil.rmtree(self.lab.folder.parent / "home" / "workspaces", ignore_errors=True)
        self.page.goto(f"{self.lab.url}?token={self.lab.token}")
        self.page.locator("#jp-main-dock-panel").wait_for(timeout=RUN_MS)

    def open_notebook(self, path: str) -> None:
        """Open a notebook of the course and wait for its kernel."""
        self.page.goto(f"{self.lab.url}lab/tree/{path}?token={self.lab.token}&reset")
        self.page.locator(".jp-NotebookPanel").wait_for(timeout=RUN_MS)
        self.page.wait_for_function(KERNEL_STATUS, timeout=RUN_MS)

    def menu(self, menu: str, item: str) -> None:
        """Choose an item of the menu bar."""
        name = re.compile(f"^{re.escape(menu)}$")
        self.page.locator(".lm-MenuBar-itemLabel", has_text=name).click()
        self.page.get_by_role("menuitem", name=item, exact=True).click()

    def run_all(self) -> None:
        """Run every cell and wait until the last one has its number and the kernel is idle."""
        self.menu("Edit", "Clear Outputs of All Cells")
        self.menu("Run", "Run All Cells")
        self.page.wait_for_function(ALL_RAN, timeout=RUN_MS)
        self.page.wait_for_function(KERNEL_STATUS, timeout=RUN_MS)

    def select(self, cell_id: str) -> None:
        """Make a cell the active one, as a click on it does, and bring it into view."""
        self.page.evaluate(
            """id => { const notebook = window.jupyterapp.shell.currentWidget.content;
                 const place = notebook.widgets.findIndex(cell => cell.model.id === id);
                 notebook.activeCellIndex = place; return notebook.scrollToItem(place); }""",
            cell_id,
        )

    def write(self, cell_id: str, source: str) -> None:
        """Replace a cell's text by typing into it."""
        self.select(cell_id)
        self.page.locator(".jp-Cell.jp-mod-active .cm-content").click()
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.insert_text(source)

    def run(self, cell_id: str) -> str:
        """Run one cell with Shift+Enter, and return the text that its outputs show."""
        self.select(cell_id)
        self.page.keyboard.press("Shift+Enter")
        self.page.wait_for_timeout(100)  # the kernel must have heard of it before it can be idle
        self.page.wait_for_function(KERNEL_STATUS, timeout=RUN_MS)
        self.select(cell_id)
        area = self.page.locator(".jp-Cell.jp-mod-active .jp-Cell-outputArea")
        return str(area.inner_text()) if area.count() else ""

    def outputs(self) -> list[dict[str, Any]]:
        """Every output of the open notebook, as nbformat stores it."""
        found: list[dict[str, Any]] = self.page.evaluate(
            """() => window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells
                 .flatMap(cell => cell.toJSON().outputs ?? [])"""
        )
        return found

    def screenshot(self, name: str) -> Path:
        """Keep a picture in COURSE_SHOTS (default: tests/browser/shots)."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=str(SHOTS / f"{name}.png"))
        return SHOTS / f"{name}.png"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder; without a Chromium they are skipped with a reason."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if CHROMIUM is None:
                why = "no Chromium on PATH: install it, or name it in COURSE_CHROMIUM"
                item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """The system's Chromium, which asks nothing on its own account; never a download."""
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", *quiet]
    return {**browser_type_launch_args, "executable_path": CHROMIUM, "headless": True, "args": args}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    """A window of a common laptop's size."""
    return {**browser_context_args, "viewport": {"width": 1366, "height": 900}}


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The README's command on a copy of the course, with nobody's own Jupyter settings."""
    base = tmp_path_factory.mktemp("lab")
    course, home = base / "course", base / "home"
    shutil.copytree(ROOT, course, ignore=NOT_COPIED)
    home.mkdir()
    token = secrets.token_hex(16)
    command = [sys.executable, "-m", "course_utils", "lab", "--no-browser", "--port=0"]
    command += ["--expose-app-in-browser", f"--IdentityProvider.token={token}"]
    with (base / "lab.log").open("wb") as log:
        server = subprocess.Popen(
            command,
            cwd=course,
            env=private_environment(home),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield Lab(course, wait_for_address(server, home, base / "lab.log"), token)
        finally:
            stop(server)


def private_environment(home: Path) -> dict[str, str]:
    """An environment in which JupyterLab neither reads nor writes anything of the user's."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("JUPYTER")}
    folders = {
        "HOME": ".",
        "IPYTHONDIR": "ipython",
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
    }
    return env | {name: str(home / folder) for name, folder in folders.items()}


def wait_for_address(server: subprocess.Popen[bytes], home: Path, log: Path) -> str:
    """The address that JupyterLab writes down once it listens."""
    deadline = time.monotonic() + START_S
    while server.poll() is None and time.monotonic() < deadline:
        for file in (home / "runtime").glob("jpserver-*.json"):
            try:
                return str(json.loads(file.read_text())["url"])
            except (ValueError, KeyError):
                pass  # it is still being written
        time.sleep(0.1)
    pytest.fail("JupyterLab did not start:\n" + log.read_text()[-3000:])


def stop(server: subprocess.Popen[bytes]) -> None:
    """End the server and its kernels: the session that the fixture started, nothing else."""
    os.killpg(server.pid, signal.SIGTERM)
    try:
        server.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@pytest.fixture
def student(page: Any, lab: Lab) -> Student:
    """A fresh browser window on the course."""
    return Student(page, lab)
