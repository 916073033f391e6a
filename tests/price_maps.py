"""The price maps of LiteLLM and genai-prices, kept in the user's cache folder."""

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs

from course_utils.wire.catalogue import Model, models

# How LiteLLM names the models of a provider, where not by their ids alone.
_PREFIXES = {
    "google": "gemini/",
    "groq": "groq/",
    "together": "together_ai/",
    "deepseek": "deepseek/",
    "mistral": "mistral/",
    "xai": "xai/",
}
_MAP = "litellm/model_prices_and_context_window_backup.json"


def litellm_version() -> str:
    """The version of LiteLLM that the catalogue names as the source of its prices."""
    found = {m[1] for model in models() if (m := re.match(r"litellm (\S+) wheel", model.source))}
    [version] = found
    return version


def litellm_rows(env: Mapping[str, str]) -> dict[str, Any]:
    """LiteLLM's price map, in that version."""
    kept = _folder() / f"litellm-{litellm_version()}.json"
    if not kept.exists():
        wheel = _download(f"litellm=={litellm_version()}", env)
        with zipfile.ZipFile(wheel) as archive:
            kept.write_bytes(archive.read(_MAP))
        wheel.unlink()
    rows: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    return rows


def litellm_row(rows: Mapping[str, Any], model: Model) -> Any:
    """What LiteLLM knows of a model; None where it does not know it."""
    return rows.get(_PREFIXES.get(model.provider, "") + model.id)


def genai_prices_folder(env: Mapping[str, str]) -> Path:
    """A folder from which `genai_prices` can be imported."""
    unpacked = _folder() / "genai-prices-0.2.3"
    if not unpacked.is_dir():
        wheel = _download("genai-prices==0.2.3", env)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(unpacked)
        wheel.unlink()
    return unpacked


def _folder() -> Path:
    path = platformdirs.user_cache_path("llm-api-course") / "price-maps"
    path.mkdir(parents=True, exist_ok=True)
    return path


def _download(package: str, env: Mapping[str, str]) -> Path:
    folder = _folder() / "download"
    folder.mkdir(exist_ok=True)
    ask = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    ask += ["--quiet", "--disable-pip-version-check", f"--dest={folder}", package]
    subprocess.run(ask, env=dict(env), check=True, capture_output=True, timeout=300)
    name = package.partition("==")[0].replace("-", "_")
    return next(folder.glob(f"{name}-*.whl"))
