"""Run the test suites of OpenAI's and Anthropic's own SDKs against a lenient stand-in.

    python tests/conformance/run.py [--only WORDS] [--verbose]

The suites are in the source distributions of the SDKs, of exactly the versions that the course
has installed. They, and a throw-away environment with what they need, are kept in the user's
cache folder, so a second run needs no registry. Where a published type and real traffic disagree
(vectors in base64, a user's message in a compacted response), lenient follows the type.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import venv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

import platformdirs

ROOT = Path(__file__).resolve().parents[2]
# What the suites import, beyond the SDKs; each SDK's own list is in its pyproject.toml.
NEEDS = (
    "pytest>=9.0.3",
    "pytest-asyncio>=1.4.0",
    "pytest-xdist>=3.6.1",
    "respx==0.22.0",
    "rich",
    "dirty-equals",
    "inline-snapshot",
    "http-snapshot[httpx]==0.1.9",
    "aiohttp>=3.14.4",
)
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")


@dataclass(frozen=True, slots=True)
class Suite:
    """One of an SDK's test files, or a folder of them; `number` is how many tests it had when
    the course was written, to notice a suite that silently shrinks."""

    sdk: str
    path: str
    number: int


@dataclass(frozen=True, slots=True)
class Result:
    """How a suite went; `failures` are the names of the tests that failed."""

    suite: Suite
    passed: int
    failed: int
    skipped: int
    failures: tuple[str, ...]

    @property
    def of(self) -> int:
        """All tests that were run."""
        return self.passed + self.failed


SUITES = (
    Suite("openai", "chat/test_completions.py", 120),
    Suite("openai", "test_responses.py", 150),
    Suite("openai", "test_embeddings.py", 20),
    Suite("openai", "test_models.py", 55),
    Suite("openai", "test_batches.py", 80),
    Suite("openai", "test_moderations.py", 20),
    Suite("openai", "test_files.py", 117),
    Suite("openai", "test_completions.py", 40),
    Suite("openai", "responses", 45),
    Suite("anthropic", "test_messages.py", 65),
    Suite("anthropic", "messages/test_batches.py", 126),
    Suite("anthropic", "test_models.py", 45),
)
BASES = {"openai": "/openai/v1", "anthropic": "/anthropic"}


def main() -> int:
    """Run the suites and print a table; 1 where a test failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="run the suites whose name has this in it")
    parser.add_argument("--verbose", action="store_true", help="show pytest's own report")
    options = parser.parse_args()
    chosen = [s for s in SUITES if options.only in f"{s.sdk} {s.path}"]
    results = list(run(chosen, verbose=options.verbose))
    print(table(results))
    for result in results:
        for name in result.failures:
            print(f"FAILED {result.suite.sdk} {name}")
        if result.of < result.suite.number:
            print(f"SHRUNK {result.suite.sdk} {result.suite.path} from {result.suite.number} tests")
    return int(any(r.failed or r.of < r.suite.number for r in results))


def run(suites: Sequence[Suite], *, verbose: bool = False) -> Iterator[Result]:
    """The results of the suites, one by one. Raises CalledProcessError without a registry."""
    python = environment()
    sources = {sdk: source(sdk) for sdk in {suite.sdk for suite in suites}}
    sys.path.insert(0, str(ROOT))
    from course_utils.offline.server import Server
    from course_utils.offline.standin import StandIn

    server = Server(StandIn(lenient=True))
    server.start()
    try:
        for suite in suites:
            yield _run(suite, python, sources[suite.sdk], server.url + BASES[suite.sdk], verbose)
    finally:
        server.stop()


def _run(suite: Suite, python: Path, source: Path, base_url: str, verbose: bool) -> Result:
    report = folder() / "report.xml"
    report.unlink(missing_ok=True)
    command = [str(python), "-m", "pytest", f"tests/api_resources/{suite.path}", "-n0"]
    command += ["-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTEST_ADDOPTS")}
    env |= {"TEST_API_BASE_URL": base_url, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=source, env=env, capture_output=not verbose, text=True)
    if not report.exists():
        raise RuntimeError(f"pytest did not run {suite.path}:\n{done.stdout}\n{done.stderr}")
    cases = list(ElementTree.parse(report).iter("testcase"))
    failures = [case for case in cases if _has(case, "failure", "error")]
    skipped = sum(_has(case, "skipped") for case in cases)
    return Result(
        suite=suite,
        passed=len(cases) - len(failures) - skipped,
        failed=len(failures),
        skipped=skipped,
        failures=tuple(f"{suite.path} {case.get('name')}" for case in failures),
    )


def _has(case: ElementTree.Element, *tags: str) -> bool:
    return any(case.find(tag) is not None for tag in tags)


def table(results: Sequence[Result]) -> str:
    """The results as text, and their sums for each SDK."""
    rows = [f"{'suite':<44}{'passed':>7}{'failed':>7}{'of':>5}{'skipped':>9}"]
    for sdk in BASES:
        own = [result for result in results if result.suite.sdk == sdk]
        if own:
            named = [(f"{sdk} {r.suite.path}", [r]) for r in own]
            rows += [_row(name, part) for name, part in [*named, (f"{sdk} {version(sdk)}", own)]]
    return "\n".join(rows)


def _row(name: str, results: Sequence[Result]) -> str:
    passed, failed = sum(r.passed for r in results), sum(r.failed for r in results)
    skipped = sum(r.skipped for r in results)
    return f"{name:<44}{passed:>7}{failed:>7}{passed + failed:>5}{skipped:>9}"


def folder() -> Path:
    """Where the sources and the environment are kept between runs."""
    path = platformdirs.user_cache_path("llm-api-course") / "conformance"
    path.mkdir(parents=True, exist_ok=True)
    return path


def source(sdk: str) -> Path:
    """The unpacked source distribution of an SDK, in the version that is installed here."""
    name = f"{sdk}-{version(sdk)}"
    unpacked = folder() / name
    if not unpacked.is_dir():
        fetch = [*PIP, "download", "--no-binary", ":all:", "--no-deps", f"--dest={folder()}"]
        subprocess.run([*fetch, f"{sdk}=={version(sdk)}"], check=True)
        with tarfile.open(folder() / f"{name}.tar.gz") as archive:
            archive.extractall(folder(), filter="data")
    return unpacked


def environment() -> Path:
    """The Python of the environment in which the suites run, made at the first run."""
    wanted = [f"{sdk}=={version(sdk)}" for sdk in BASES] + list(NEEDS)
    home = folder() / "environment"
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    made_for = home / "made-for.txt"
    if not made_for.exists() or made_for.read_text() != "\n".join(wanted):
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([str(python), *PIP[1:], "install", *wanted], check=True)
        made_for.write_text("\n".join(wanted))
    return python


if __name__ == "__main__":
    sys.exit(main())
