"""What holds for every check: no network but this machine, and no API key."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from course_utils.cli import without_keys
from course_utils.offline.doors import DOORS
from course_utils.wire.catalogue import providers

ROOT = Path(__file__).resolve().parent.parent
GUARD = ROOT / "tests" / "guard" / "sitecustomize.py"


def pytest_configure() -> None:
    """Close the network and drop the keys, here and in every process started from here."""
    for name in os.environ.keys() - without_keys(os.environ).keys():
        del os.environ[name]
    first = [str(GUARD.parent), str(ROOT)]
    others = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join(
        first + [path for path in others if path and path not in first]
    )
    guard_this_process()


def guard_this_process() -> None:
    """Run the guard here, unless this Python found it on its path when it started."""
    started_with = getattr(sys.modules.get("sitecustomize"), "__file__", None)
    if started_with == str(GUARD) or "network_guard" in sys.modules:
        return
    spec = importlib.util.spec_from_file_location("network_guard", GUARD)
    assert spec is not None
    assert spec.loader is not None
    guard = importlib.util.module_from_spec(spec)
    sys.modules["network_guard"] = guard
    spec.loader.exec_module(guard)


@pytest.fixture(scope="session")
def registry_env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment with the network open; skips where pip reaches no package registry."""
    env = {**os.environ, "COURSE_NETWORK_GUARD": "off"}
    folder = tmp_path_factory.mktemp("registry")
    ask = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--quiet"]
    ask += ["--retries=0", "--timeout=10", f"--dest={folder}", "iniconfig"]
    done = subprocess.run(ask, env=env, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        pytest.skip("pip reaches no package registry from here")
    return env


@pytest.fixture
def lead_to(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Make a server's root address and a key those that a student had before start()."""

    def lead(url: str, key: str) -> None:
        prefixes = {door.provider: door.prefix for door in DOORS}
        for provider in providers():
            if provider.key_env:
                monkeypatch.setenv(provider.key_env, key)
            if provider.base_url_env:
                monkeypatch.setenv(provider.base_url_env, url + prefixes[provider.id])

    return lead
