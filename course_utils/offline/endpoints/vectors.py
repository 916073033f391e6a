"""Text to unit vectors: the same text gives the same vector, texts that share words are near.

No model is behind it. Each word, and each run of letters inside a word, points in a direction of
its own that follows from a hash; a text points in the sum of its parts. So "cats purr" is near "a
cat purrs" and far from "tax law", but "car" knows nothing of "automobile".
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

_WORD = re.compile(r"\w+")
_GRAM = 4
# How much a feature counts. Little words tell little about what a text is about.
_WHOLE_WORD, _PART, _LITTLE = 1.0, 0.35, 0.15
_LITTLE_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an the and or but of to in on at by for with from as is are was were be been it its this"
        " that these those i you he she we they do does did have has had not what which who how",
    )
)
# A writing system without spaces makes very long "words": beyond this they are only their parts.
_LONGEST_WORD = 24
# The direction that all texts share, as in real embeddings: no two are quite unrelated.
_COMMON = "\x00"


def vector(text: str, size: int, space: str, full_size: int | None = None) -> NDArray[float32]:
    """The unit vector of a text, `size` numbers long.

    `space` names the model: each has directions of its own. With a `full_size` the vector is the
    first `size` numbers of the longer one, made a unit vector again, as OpenAI shortens them.
    """
    import numpy as np

    total = np.zeros(full_size or size)
    for feature, weight in sorted(_features(text).items()):
        total += weight * (_direction(feature, space, len(total)) - 127.5)
    short = total[:size]
    unit: NDArray[float32] = (short / np.linalg.norm(short)).astype(np.float32)
    return unit


def in_base64(unit: NDArray[float32]) -> str:
    """The vector as little-endian 32-bit floats in base64, as `encoding_format` asks for it."""
    return base64.b64encode(unit.astype("<f4").tobytes()).decode()


def in_decimals(unit: NDArray[float32]) -> list[float]:
    """The vector as JSON numbers, with no more digits than 32 bits hold."""
    return [float(f"{number:.8g}") for number in unit.tolist()]


def _features(text: str) -> dict[str, float]:
    found: defaultdict[str, float] = defaultdict(float)
    for word in _WORD.findall(text.lower()):
        little = word in _LITTLE_WORDS
        if len(word) <= _LONGEST_WORD:
            found[word] += _LITTLE if little else _WHOLE_WORD
        if not little:
            for gram in _grams(word):
                found[gram] += _PART
    size = sum(weight**2 for weight in found.values()) ** 0.5
    found[_COMMON] = 0.35 * size or 1.0
    return found


def _grams(word: str) -> Iterator[str]:
    framed = f"^{word}$"
    for i in range(len(framed) - _GRAM + 1):
        yield "#" + framed[i : i + _GRAM]


def _direction(feature: str, space: str, size: int) -> NDArray[float32]:
    """Bytes that follow from the feature's name: a random direction that is always the same."""
    import numpy as np

    digest = hashlib.shake_128(f"{space}\0{feature}".encode()).digest(size)
    return np.frombuffer(digest, dtype=np.uint8).astype(np.float32)
