"""Token counts with no network: packed vocabularies, their cache, and how they are built."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from course_utils.errors import UnknownEncodingError, VocabularyError
from course_utils.wire import tokens
from course_utils.wire.catalogue import find_model
from course_utils.wire.tokens import (
    CACHE_VARIABLE,
    TokenCount,
    count,
    count_text,
    encoding,
    pieces,
    provide_vocabulary,
)
from course_utils.wire.vocabulary import packing
from course_utils.wire.vocabulary.packing import VOCABULARIES, Vocabulary, pack, unpack

REPOSITORY = Path(__file__).parents[1]
O200K = VOCABULARIES["o200k_base"]

# The child sees no network at all: any socket it opens is an error.
NO_NETWORK = """
import socket
def refuse(*arguments, **options):
    raise OSError("this process has no network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
"""


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both files, unpacked once for all tests; copy it before you damage it."""
    folder = tmp_path_factory.mktemp("vocabulary")
    before = os.environ.get(CACHE_VARIABLE)
    provide_vocabulary(folder)
    os.environ.pop(CACHE_VARIABLE)
    if before is not None:
        os.environ[CACHE_VARIABLE] = before
    return folder


@pytest.fixture
def cache(unpacked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the unpacked files that a test may damage, with no TIKTOKEN_CACHE_DIR set."""
    monkeypatch.setenv(CACHE_VARIABLE, "")  # so that the old value comes back after the test
    monkeypatch.delenv(CACHE_VARIABLE)
    return Path(shutil.copytree(unpacked, tmp_path / "cache"))


@pytest.fixture
def fresh_encodings() -> Iterator[None]:
    """Loaded encodings are forgotten before and after the test."""
    tokens._load.cache_clear()
    yield
    tokens._load.cache_clear()


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run_python(code: str, **environment: str) -> str:
    """Run ``code`` in a new process that has no network, and return what it prints."""
    child = subprocess.run(
        [sys.executable, "-c", NO_NETWORK + code],
        env={**os.environ, **environment},
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    )
    return child.stdout.strip()


@pytest.mark.parametrize("vocabulary", VOCABULARIES.values(), ids=lambda v: v.name)
def test_unpacked_files_are_the_published_ones(unpacked: Path, vocabulary: Vocabulary) -> None:
    """Size and sha256 are those that OpenAI's tiktoken checks."""
    path = unpacked / vocabulary.cache_name
    assert (path.stat().st_size, sha256_of(path)) == (vocabulary.size, vocabulary.sha256)


@pytest.mark.parametrize("vocabulary", VOCABULARIES.values(), ids=lambda v: v.name)
def test_hashes_and_names_are_those_of_the_installed_tiktoken(vocabulary: Vocabulary) -> None:
    """A tiktoken that publishes another vocabulary is noticed here."""
    found = importlib.util.find_spec("tiktoken_ext.openai_public")
    assert found is not None
    source = Path(str(found.origin)).read_text("utf-8")
    lines = [line.strip() for line in source.splitlines()]
    address = next(line for line in lines if line.endswith(f'/{vocabulary.name}.tiktoken",'))
    assert hashlib.sha1(address.strip('",').encode()).hexdigest() == vocabulary.cache_name
    assert f'expected_hash="{vocabulary.sha256}",' == lines[lines.index(address) + 1]


def test_packing_is_undone_by_unpacking() -> None:
    """Tokens of any bytes and length survive the packed form."""
    published = b"AA== 0\nIQ== 1\n" + b"YWJj" * 80 + b" 2\n"
    assert unpack(pack(published)) == published


def test_packing_refuses_ranks_out_of_order() -> None:
    """The packed form has no place for ranks, so they must be 0..n-1."""
    with pytest.raises(ValueError, match="rank 7 stands where rank 1"):
        pack(b"IQ== 0\nIg== 7\n")


@pytest.mark.parametrize(
    ("text", "o200k", "cl100k"),
    [
        ("", 0, 0),
        ("hello world", 2, 2),
        ("antidisestablishmentarianism", 6, 6),
        ("お誕生日おめでとう", 8, 9),
        ("<|endoftext|>", 7, 7),
    ],
)
def test_counts_are_exact(text: str, o200k: int, cl100k: int) -> None:
    """Known counts, two of them published, and special tokens read as plain text."""
    assert count_text(text, "o200k_base") == o200k
    assert count_text(text, "cl100k_base") == cl100k


def test_a_count_for_a_model_says_whether_it_is_exact() -> None:
    """OpenAI's models are counted, Claude's are estimated from o200k_base."""
    text = "hello world " * 50
    exact = count_text(text, "o200k_base")
    assert count(text, find_model("gpt-6-luna")) == TokenCount(exact, exact=True)
    estimate = TokenCount(round(exact * 1.53), exact=False)
    assert count(text, find_model("claude-haiku-5-5")) == estimate


@pytest.mark.parametrize("size", [1, 2, 7])
def test_pieces_join_to_the_text_and_never_break_a_character(size: int) -> None:
    """A character of several tokens waits until all its bytes are there."""
    text = "Ünïcode: お誕生日 🧑‍🚀🪐 𒀀, and plain words."
    cut = list(pieces(text, size))
    assert "".join(cut) == text
    assert "\ufffd" not in "".join(cut)
    assert all(cut)


def test_an_unknown_encoding_is_one_clear_sentence() -> None:
    """The message names the encodings that the course carries."""
    with pytest.raises(UnknownEncodingError, match="choose 'cl100k_base' or 'o200k_base'"):
        encoding("p50k_base")


def test_get_encoding_works_with_no_network(tmp_path: Path) -> None:
    """The line that students write at work runs offline once the vocabulary is provided."""
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "LOCALAPPDATA": str(tmp_path)}
    code = """
import os
os.environ.pop("TIKTOKEN_CACHE_DIR", None)
from course_utils.wire.tokens import provide_vocabulary
provide_vocabulary()
import tiktoken
for name in ("o200k_base", "cl100k_base"):
    print(tiktoken.get_encoding(name).encode("hello world"))
"""
    assert run_python(code, **home) == "[24912, 2375]\n[15339, 1917]"


def test_without_the_vocabulary_get_encoding_needs_the_network(tmp_path: Path) -> None:
    """The test above proves something: the same line fails where the cache is empty."""
    with pytest.raises(subprocess.CalledProcessError) as caught:
        run_python(
            "import tiktoken; tiktoken.get_encoding('o200k_base')", TIKTOKEN_CACHE_DIR=str(tmp_path)
        )
    assert "this process has no network" in caught.value.stderr


def test_providing_does_not_import_tiktoken(cache: Path) -> None:
    """A start of the course that counts nothing does not pay for tiktoken."""
    code = f"""
import sys
from pathlib import Path
from course_utils.wire.tokens import provide_vocabulary
provide_vocabulary(Path({str(cache)!r}))
print("tiktoken" in sys.modules)
"""
    assert run_python(code) == "False"


def test_providing_again_takes_under_three_milliseconds(cache: Path) -> None:
    """Where both files are there, only their size and time are looked at."""
    provide_vocabulary(cache)
    taken = []
    for _ in range(5):
        start = time.process_time()
        provide_vocabulary(cache)
        taken.append(time.process_time() - start)
    assert min(taken) < 0.003


@pytest.mark.parametrize("damage", [b"", b"IQ== 0\n", b"x" * O200K.size])
def test_a_damaged_cache_file_is_repaired(cache: Path, damage: bytes) -> None:
    """Empty, cut short, or of the right size with wrong bytes: it is written anew."""
    path = cache / O200K.cache_name
    path.write_bytes(damage)
    assert provide_vocabulary(cache) == cache
    assert sha256_of(path) == O200K.sha256


def test_damage_that_keeps_size_and_time_is_repaired_before_loading(
    cache: Path, monkeypatch: pytest.MonkeyPatch, fresh_encodings: None
) -> None:
    """The full check at loading catches what the quick look cannot see."""
    path = cache / O200K.cache_name
    times = path.stat()
    path.write_bytes(b"x" * O200K.size)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    monkeypatch.setenv(CACHE_VARIABLE, str(cache))
    assert encoding("o200k_base").encode_ordinary("hello world") == [24912, 2375]
    assert sha256_of(path) == O200K.sha256


def test_a_folder_of_the_users_own_is_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A TIKTOKEN_CACHE_DIR that holds both files stays as it is, whatever their dates."""
    for path in cache.iterdir():
        os.utime(path)
    monkeypatch.setenv(CACHE_VARIABLE, str(cache))
    before = {path.name: path.stat().st_mtime_ns for path in cache.iterdir()}
    assert provide_vocabulary() == cache
    assert os.environ[CACHE_VARIABLE] == str(cache)
    assert {path.name: path.stat().st_mtime_ns for path in cache.iterdir()} == before


def test_a_folder_without_the_files_is_not_used(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A TIKTOKEN_CACHE_DIR that lacks a file would send tiktoken to the network."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "empty"))
    monkeypatch.setattr(tokens, "_cache_folders", lambda: iter([cache]))
    assert provide_vocabulary() == cache
    assert os.environ[CACHE_VARIABLE] == str(cache)
    assert not (tmp_path / "empty").exists()


def test_the_next_folder_serves_where_the_first_cannot_be_written(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file where the folder should be stands for any folder that refuses."""
    blocked = tmp_path / "a file"
    blocked.write_text("in the way")
    monkeypatch.setattr(tokens, "_cache_folders", lambda: iter([blocked, cache]))
    assert provide_vocabulary() == cache


def test_no_folder_to_write_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says why, where it was tried, and what to set."""
    blocked = tmp_path / "a file"
    blocked.write_text("in the way")
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    with pytest.raises(VocabularyError, match=f"no folder can be written.*{CACHE_VARIABLE}"):
        provide_vocabulary(blocked)


@pytest.mark.parametrize("damage", [None, b"", b"not xz at all", pack(b"IQ== 0\n")])
def test_a_damaged_packed_file_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes | None
) -> None:
    """Missing, empty, not xz, or other tokens: the message names the file and the cure."""
    monkeypatch.setattr(packing, "HERE", tmp_path)
    if damage is not None:
        O200K.packed.write_bytes(damage)
    with pytest.raises(VocabularyError, match=r"o200k_base\.xz is missing or damaged.*with git"):
        provide_vocabulary(tmp_path / "cache")


def test_many_threads_may_start_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_encodings: None
) -> None:
    """All get the same encoding, and no half-written file is left."""
    folder = tmp_path / "cache"
    monkeypatch.setenv(CACHE_VARIABLE, str(folder))
    monkeypatch.setattr(tokens, "_cache_folders", lambda: iter([folder]))
    found: list[object] = []
    threads = [
        threading.Thread(target=lambda: found.append(encoding("cl100k_base"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(map(id, found))) == 1
    assert {path.name for path in folder.iterdir()} == {v.cache_name for v in VOCABULARIES.values()}


def test_the_cache_folder_is_where_platformdirs_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our three lines agree with the library on the system that runs this test."""
    import platformdirs

    expected = platformdirs.user_cache_dir("llm-api-course", appauthor=False)
    assert str(tokens._user_cache_folder()) == expected


def test_the_packed_files_are_small() -> None:
    """Both together are about 1.2 MB."""
    assert sum(v.packed.stat().st_size for v in VOCABULARIES.values()) < 1_250_000


@pytest.mark.registry
def test_the_packed_files_are_rebuilt_byte_for_byte(
    registry_env: dict[str, str], tmp_path: Path
) -> None:
    """Anybody can derive what the course ships from a published wheel."""
    build = [sys.executable, "-m", "course_utils.wire.vocabulary.build", "--into", str(tmp_path)]
    subprocess.run(build, env=registry_env, cwd=REPOSITORY, check=True)
    for vocabulary in VOCABULARIES.values():
        rebuilt = tmp_path / vocabulary.packed.name
        assert unpack(rebuilt.read_bytes()) == unpack(vocabulary.packed.read_bytes())
        assert rebuilt.read_bytes() == vocabulary.packed.read_bytes()
