"""Derive the packed vocabularies from the wheel of llama-index-core 0.14.25.

That wheel (MIT) carries both files of OpenAI under the very names that tiktoken's loader uses, and
a package index serves it unchanged for good, so anybody can rebuild what the course ships:

    python -m course_utils.wire.vocabulary.build [WHEEL] [--into FOLDER]

Without WHEEL, pip downloads it by name. The script stands beside the files it makes, so that
whoever wonders where they come from finds the answer in the same folder.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from course_utils.wire.vocabulary.packing import HERE, VOCABULARIES, Vocabulary, pack

REQUIREMENT = "llama-index-core==0.14.25"
WHEEL_SHA256 = "caa7d9c5ac9b13dc33400cf8d5e92e689b6d1e4497eb9bfa50d6f52ca2eb22a1"
FOLDER_IN_WHEEL = "llama_index/core/_static/tiktoken_cache/"


def download(folder: Path) -> Path:
    """Let pip fetch the pinned wheel into ``folder``, and return its path.

    Raises:
        subprocess.CalledProcessError: pip could not get it; its own message is on stderr.
    """
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    subprocess.run([*pip, "--dest", str(folder), REQUIREMENT], check=True, stdout=sys.stderr)
    return next(folder.glob("*.whl"))


def packed_from(wheel: Path) -> dict[str, bytes]:
    """Read both vocabularies from ``wheel`` and return the packed bytes by encoding name.

    Raises:
        ValueError: the wheel, or a file in it, is not the published one.
    """
    if hashlib.sha256(wheel.read_bytes()).hexdigest() != WHEEL_SHA256:
        raise ValueError(f"{wheel.name} is not the published wheel of {REQUIREMENT}")
    with zipfile.ZipFile(wheel) as archive:
        return {name: pack(_published(archive, v)) for name, v in VOCABULARIES.items()}


def _published(archive: zipfile.ZipFile, vocabulary: Vocabulary) -> bytes:
    data = archive.read(FOLDER_IN_WHEEL + vocabulary.cache_name)
    if not vocabulary.matches(data):
        raise ValueError(f"the wheel's {vocabulary.name} is not the published vocabulary")
    return data


def main() -> None:
    """Write the packed files; print each one's name and size."""
    parser = argparse.ArgumentParser(description="Rebuild the packed tiktoken vocabularies.")
    parser.add_argument("wheel", nargs="?", type=Path, help=f"the wheel of {REQUIREMENT}")
    parser.add_argument("--into", type=Path, default=HERE, help="where the .xz files go")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wheel = arguments.wheel or download(Path(folder))
        for name, packed in packed_from(wheel).items():
            (arguments.into / f"{name}.xz").write_bytes(packed)
            print(f"{name}.xz: {len(packed):,} bytes")


if __name__ == "__main__":
    main()
