"""The libraries that students would reach for, installed beside the course's own pins.

They live in an environment of their own in the user's cache folder, so that the course needs none
of them. `enter()` starts the running benchmark again inside it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import platformdirs

ROOT = Path(__file__).resolve().parents[2]
PEERS = (
    "aiolimiter",
    "aisuite",
    "any-llm-sdk[openai]",
    "genai-prices",
    "langchain-openai",
    "litellm",
    "stamina",
    "tenacity",
)
# LiteLLM pins an older openai, but works with today's: all are measured over the same SDK.
_OVERRIDDEN = ("openai", "anthropic", "httpx2", "pydantic", "pydantic-core", "tiktoken")
_FOLDER = Path(platformdirs.user_cache_dir("llm-api-course"), "peers")


def enter() -> None:
    """Run this program in the peers' environment; does nothing where it already is in it."""
    python = _FOLDER / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if Path(sys.prefix).resolve() == _FOLDER.resolve():
        return
    if not (_FOLDER / "complete").exists():
        _install(python)
    # LiteLLM downloads its price map at import, unless it is told not to.
    env = {**os.environ, "PYTHONPATH": str(ROOT), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    raise SystemExit(subprocess.run([python, *sys.argv], env=env, check=False).returncode)


def _install(python: Path) -> None:
    """The course's pins first, then the newest peers, as far as they leave the pins alone."""
    pins = ROOT / "constraints.txt"
    overrides = _FOLDER.with_name("peers-overrides.txt")
    overrides.parent.mkdir(parents=True, exist_ok=True)
    overrides.write_text("\n".join(_exact_pins(pins.read_text(encoding="utf-8"))))
    subprocess.run(["uv", "venv", "--clear", "-p", sys.executable, _FOLDER], check=True)
    install = ["uv", "pip", "install", "--python", python, "--compile-bytecode"]
    subprocess.run([*install, "--require-hashes", "-r", pins], check=True)
    subprocess.run([*install, *PEERS, "--override", overrides], check=True)
    (_FOLDER / "complete").touch()


def _exact_pins(text: str) -> list[str]:
    """`name==version` of the packages that no peer may change."""
    return re.findall(rf"^((?:{'|'.join(_OVERRIDDEN)})==\S+)", text, flags=re.MULTILINE)


def versions() -> dict[str, str]:
    """The version of each peer as installed, with the SDK's that they all use."""
    names = [peer.partition("[")[0] for peer in PEERS]
    return {name: metadata.version(name) for name in [*names, "openai"]}
