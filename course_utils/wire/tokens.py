"""Exact token counts with tiktoken, with no network.

tiktoken downloads a vocabulary at its first use. ``provide_vocabulary`` puts the published files
where tiktoken looks before it downloads, so ``tiktoken.get_encoding("o200k_base")`` works offline
exactly as it does at work.
"""

from __future__ import annotations

import codecs
import contextlib
import functools
import lzma
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from course_utils.errors import UnknownEncodingError, VocabularyError
from course_utils.wire.vocabulary.packing import VOCABULARIES, Vocabulary, unpack

if TYPE_CHECKING:
    import tiktoken

    from course_utils.wire.catalogue import Model

CACHE_VARIABLE = "TIKTOKEN_CACHE_DIR"
REFERENCE = "o200k_base"
# Characters up to which the count of a text is remembered.
_SHORT = 1000
# Characters up to which a text is encoded at once, and where a longer one is cut.
_LONGEST_PART = 100_000
_BOUNDARY = re.compile(r"(?<=\S) ")

# Files that we have written and checked carry this modification time (2024-01-01, UTC). Size and
# time together tell an untouched file from a changed one without reading 5 MB at every start.
_CHECKED_AT_NS = 1_704_067_200 * 10**9

_lock = threading.RLock()


@dataclass(frozen=True, slots=True)
class TokenCount:
    """How many tokens a text has for one model.

    Attributes:
        tokens: the number.
        exact: False where the model's tokenizer is not published and ``tokens`` is an estimate.
    """

    tokens: int
    exact: bool


def count(text: str, model: Model) -> TokenCount:
    """Count ``text`` for ``model``: exactly where its encoding is known, else estimated.

    The estimate is the o200k_base count times the catalogue's ``estimate_factor``.
    """
    if model.encoding is not None:
        return TokenCount(count_text(text, model.encoding), exact=True)
    reference = count_text(text, REFERENCE)
    return TokenCount(round(reference * model.estimate_factor), exact=False)


def count_text(text: str, encoding_name: str) -> int:
    """Count the tokens of ``text``, special tokens such as ``<|endoftext|>`` read as plain text.

    Raises:
        UnknownEncodingError, VocabularyError: as ``encoding``.
    """
    if len(text) <= _SHORT:
        return _count_short(text, encoding_name)
    return sum(len(encode(part, encoding_name)) for part in _parts(text))


# A conversation is counted again at each of its turns.
@functools.lru_cache(maxsize=1024)
def _count_short(text: str, encoding_name: str) -> int:
    return len(encoding(encoding_name).encode_ordinary(text))


def encode(text: str, encoding_name: str) -> list[int]:
    """The tokens of ``text``, special tokens read as plain text.

    A text without any space in 100,000 characters is encoded in parts, which may cost a token each.
    """
    encoder = encoding(encoding_name)
    if len(text) <= _LONGEST_PART:
        return encoder.encode_ordinary(text)
    return [token for part in _parts(text) for token in encoder.encode_ordinary(part)]


def _parts(text: str) -> Iterator[str]:
    """The text in parts that tiktoken can take: it fails on a million spaces in a row.

    They are cut where no token spans the cut: before a space that follows no other white space.
    """
    start = 0
    while len(text) - start > _LONGEST_PART:
        end = start + _LONGEST_PART
        found = _BOUNDARY.search(text, end - _SHORT, end)
        end = found.start() if found else end
        yield text[start:end]
        start = end
    yield text[start:]


def pieces(text: str, size: int, encoding_name: str = REFERENCE) -> Iterator[str]:
    """Cut ``text`` every ``size`` tokens, as a provider's stream does; joined, they are ``text``.

    A character whose bytes span several tokens is held back until it is whole.
    """
    tokenizer = encoding(encoding_name)
    token_bytes = tokenizer.decode_tokens_bytes(encode(text, encoding_name))
    groups = [b"".join(token_bytes[i : i + size]) for i in range(0, len(token_bytes), size)]
    # In a text of ASCII alone no character spans tokens.
    decode = bytes.decode if text.isascii() else codecs.getincrementaldecoder("utf-8")().decode
    return filter(None, map(decode, groups))


def encoding(name: str) -> tiktoken.Encoding:
    """Return the tiktoken encoding ``name``; the first call takes up to half a second.

    Raises:
        UnknownEncodingError: not one of the course's encodings.
        VocabularyError: the vocabulary cannot be unpacked.
    """
    if name not in VOCABULARIES:
        raise UnknownEncodingError(name, known=sorted(VOCABULARIES))
    with _lock:
        return _load(name)


@functools.cache
def _load(name: str) -> tiktoken.Encoding:
    folder = provide_vocabulary()
    vocabulary = VOCABULARIES[name]
    # Here 5 ms for the full check are well spent: on a mismatch tiktoken would delete the file
    # and go to the network.
    if not vocabulary.matches((folder / vocabulary.cache_name).read_bytes()):
        _write(folder, vocabulary)
    import tiktoken

    return tiktoken.get_encoding(name)


def provide_vocabulary(folder: Path | None = None) -> Path:
    """Unpack the vocabularies once per machine, point tiktoken at them, and return their folder.

    A folder that ``TIKTOKEN_CACHE_DIR`` names already is kept when it holds both files intact.
    Otherwise they go to ``folder``, by default the user's cache folder or, where that cannot be
    written, the system's temporary folder. A missing or changed file there is written anew.

    Raises:
        VocabularyError: no folder can be written, or the course's own packed file is damaged.
    """
    with _lock:
        chosen = os.environ.get(CACHE_VARIABLE)
        if folder is None and chosen and _holds_all(Path(chosen)):
            return Path(chosen)
        provided = _first_usable([folder] if folder else _cache_folders())
        os.environ[CACHE_VARIABLE] = str(provided)
        return provided


def _cache_folders() -> Iterator[Path]:
    with contextlib.suppress(RuntimeError):  # an account may have no home folder
        yield _user_cache_folder() / "tiktoken"
    yield Path(tempfile.gettempdir(), "llm-api-course", "tiktoken")


def _user_cache_folder() -> Path:
    # platformdirs says the same (a test compares them), but its import costs 10 ms at every start.
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        return Path(local, "llm-api-course", "Cache")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "llm-api-course"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "llm-api-course")


def _first_usable(folders: Iterator[Path] | list[Path]) -> Path:
    tried: list[str] = []
    reason: OSError | None = None
    for folder in folders:
        try:
            _fill(folder)
            return folder
        except OSError as error:
            tried.append(str(folder))
            reason = error
    raise VocabularyError(
        f"The token vocabulary cannot be unpacked, because no folder can be written "
        f"(tried {' and '.join(tried)}). Free some space there, or set {CACHE_VARIABLE} to a "
        f"folder of yours."
    ) from reason


def _holds_all(folder: Path) -> bool:
    return all(_is_intact(folder / v.cache_name, v) for v in VOCABULARIES.values())


def _is_intact(path: Path, vocabulary: Vocabulary) -> bool:
    try:
        status = path.stat()
        if status.st_size != vocabulary.size:
            return False
        return status.st_mtime_ns == _CHECKED_AT_NS or vocabulary.matches(path.read_bytes())
    except OSError:
        return False


def _fill(folder: Path) -> None:
    for vocabulary in VOCABULARIES.values():
        if not _is_intact(folder / vocabulary.cache_name, vocabulary):
            _write(folder, vocabulary)


def _write(folder: Path, vocabulary: Vocabulary) -> None:
    """Write one file so that another process sees the old file or the whole new one."""
    data = _unpacked(vocabulary)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / vocabulary.cache_name
    descriptor, part = tempfile.mkstemp(prefix=f"{vocabulary.name}-", suffix=".part", dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.utime(part, ns=(_CHECKED_AT_NS, _CHECKED_AT_NS))
        os.replace(part, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(part)
        # Windows refuses to replace a file that another process has open: then that one wrote it.
        if not _is_intact(path, vocabulary):
            raise


def _unpacked(vocabulary: Vocabulary) -> bytes:
    reason: Exception | None = None
    try:
        data = unpack(vocabulary.packed.read_bytes())
        if vocabulary.matches(data):
            return data
    except (OSError, EOFError, lzma.LZMAError) as error:
        reason = error
    raise VocabularyError(
        f"The course's file {vocabulary.packed.name} is missing or damaged: its tokens are not the "
        f"published {vocabulary.name} vocabulary. Restore it with git, or install the course again."
    ) from reason
