"""What the course costs before the first answer: prints a table, asserts nothing.

Run it with the course's own Python: python tests/benchmarks/start_up.py
"""

import statistics
import subprocess
import sys

RUNS = 7
# Each snippet runs in a fresh process; `before` and `after` are read around `measured`.
SNIPPETS = {
    "import course_utils": ("", "import course_utils; course_utils.start"),
    "start() in a kernel": (
        "import ipykernel.kernelapp, ipykernel.ipkernel; import course_utils; course_utils.start",
        "course_utils.start()",
    ),
    "start() in a bare Python": ("import course_utils; course_utils.start", "course_utils.start()"),
    "first answer, client built": (
        "import course_utils, openai; course_utils.start(); client = openai.OpenAI(); "
        "model = course_utils.default_model('openai').id; "
        "ask = dict(model=model, messages=[dict(role='user', content='Hello')])",
        "client.chat.completions.create(**ask)",
    ),
    "second answer": (
        "import course_utils, openai; course_utils.start(); client = openai.OpenAI(); "
        "model = course_utils.default_model('openai').id; "
        "ask = dict(model=model, messages=[dict(role='user', content='Hello')]); "
        "client.chat.completions.create(**ask)",
        "client.chat.completions.create(**ask)",
    ),
    "for comparison: import openai": ("", "import openai"),
    "for comparison: import anthropic": ("", "import anthropic"),
}
HARNESS = """
import resource, time
{before}
rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
wall, cpu = time.perf_counter(), time.process_time()
{measured}
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
print(wall * 1000, cpu * 1000, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - rss) / 1024)
"""


def measure(before: str, measured: str) -> tuple[float, float, float]:
    """Wall ms, CPU ms and MB of one fresh process."""
    code = HARNESS.format(before=before, measured=measured)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    wall, cpu, memory = map(float, run.stdout.split())
    return wall, cpu, memory


def main() -> None:
    """Measure all snippets in turn, several times, and print the medians."""
    runs = [{name: measure(*snippet) for name, snippet in SNIPPETS.items()} for _ in range(RUNS)]
    print(f"{'median of ' + str(RUNS):<34}{'wall ms':>9}{'CPU ms':>9}{'MB more':>9}")
    for name in SNIPPETS:
        wall, cpu, memory = (
            statistics.median(run[name][figure] for run in runs) for figure in range(3)
        )
        print(f"{name:<34}{wall:>9.1f}{cpu:>9.1f}{memory:>9.1f}")


if __name__ == "__main__":
    main()
