"""The SDKs' own test suites pass against the stand-in."""

import subprocess
import sys
from pathlib import Path

import pytest

# Half a minute for the environment, a minute for the suites, and a slow machine's share.
LIMIT_S = 900


@pytest.mark.registry
def test_the_sdks_own_suites_pass(registry_env: dict[str, str]) -> None:
    """Each of the chosen test files of OpenAI's and Anthropic's SDKs passes to the last test."""
    script = Path(__file__).with_name("run.py")
    done = subprocess.run(
        [sys.executable, str(script)],
        env=registry_env,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
