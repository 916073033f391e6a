"""The packed form of a tiktoken vocabulary, and the published facts to check it by.

A ``.tiktoken`` file has one line a token, ``base64(token) rank``, and its ranks are 0..n-1 in
order. So the tokens alone say everything: the packed file is their bytes in rank order, each
after one byte of length, under xz. Both files together shrink from 5.3 MB to 1.2 MB.
"""

from __future__ import annotations

import base64
import hashlib
import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """One published vocabulary file.

    Attributes:
        name: the tiktoken encoding, such as ``"o200k_base"``.
        cache_name: the file name that tiktoken's loader looks for: sha1 of the download address.
        sha256: of the unpacked file, in hex.
        size: of the unpacked file, in bytes.
    """

    name: str
    cache_name: str
    sha256: str
    size: int

    @property
    def packed(self) -> Path:
        """The packed file that travels with the course."""
        return HERE / f"{self.name}.xz"

    def matches(self, data: bytes) -> bool:
        """Say whether ``data`` is the published file, to the byte."""
        return hashlib.sha256(data).hexdigest() == self.sha256


# sha256 as published in tiktoken_ext/openai_public.py of tiktoken 0.14; a test compares them.
VOCABULARIES = {
    vocabulary.name: vocabulary
    for vocabulary in (
        Vocabulary(
            name="o200k_base",
            cache_name="fb374d419588a4632f3f557e76b4b70aebbca790",
            sha256="446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
            size=3_613_922,
        ),
        Vocabulary(
            name="cl100k_base",
            cache_name="9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
            sha256="223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
            size=1_681_126,
        ),
    )
}


def pack(published: bytes) -> bytes:
    """Turn the bytes of a ``.tiktoken`` file into the packed form.

    Raises:
        ValueError: the ranks are not 0..n-1 in order, so tokens alone would lose them.
    """
    tokens = []
    for expected, line in enumerate(published.splitlines()):
        token, rank = line.split()
        if int(rank) != expected:
            raise ValueError(f"rank {int(rank)} stands where rank {expected} should be")
        tokens.append(base64.b64decode(token))
    lengths_and_tokens = b"".join(bytes([len(token)]) + token for token in tokens)
    return lzma.compress(lengths_and_tokens, preset=9 | lzma.PRESET_EXTREME)


def unpack(packed: bytes) -> bytes:
    """Turn the packed form back into the bytes of a ``.tiktoken`` file.

    Raises:
        lzma.LZMAError, EOFError: ``packed`` is damaged.
    """
    lines = (
        b"%b %d\n" % (base64.b64encode(token), rank) for rank, token in enumerate(tokens_in(packed))
    )
    return b"".join(lines)


def tokens_in(packed: bytes) -> Iterator[bytes]:
    """Yield the tokens of a packed vocabulary in rank order, each as its bytes."""
    data = lzma.decompress(packed)
    start = 0
    while start < len(data):
        end = start + 1 + data[start]
        yield data[start + 1 : end]
        start = end
