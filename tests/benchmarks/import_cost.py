"""What `import` costs in a fresh process, in CPU seconds.

Each library is imported in processes of its own, in turn with the others; bytecode is there, as
after any first run. What an interpreter with nothing imported costs is not in the figures.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator

from rows import Row

RUNS = 5
TARGET = "≤ 0.12"
MODULES = {
    "ours": "course_utils.llm",
    "aisuite": "aisuite",
    "LangChain": "langchain_openai",
    "LiteLLM": "litellm",
    "any-llm": "any_llm",
}
_MEASURE = """
import time
began = time.process_time()
{what}
print(time.process_time() - began)
"""


def rows() -> Iterator[Row]:
    """The package alone, and the package with its client loaded."""
    statements = {name: f"import {module}" for name, module in MODULES.items()}
    peers = medians(statements)
    yield Row("import, no SDK loaded", "s CPU", peers.pop("ours"), peers, TARGET)
    client = medians({"ours": "from course_utils.llm import LLMClient"})["ours"]
    yield Row("import of the client", "s CPU", client, peers, TARGET)


def medians(statements: dict[str, str]) -> dict[str, float]:
    """The median CPU seconds of each statement."""
    runs = [{name: once(what) for name, what in statements.items()} for _ in range(RUNS)]
    return {name: statistics.median(run[name] for run in runs) for name in statements}


def once(what: str) -> float:
    """The CPU seconds of a statement in a fresh process."""
    command = [sys.executable, "-c", _MEASURE.format(what=what)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(run.stdout.split()[-1])
