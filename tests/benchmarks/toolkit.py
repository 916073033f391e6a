"""The toolkit against the libraries that students would reach for, side by side in one run.

    python tests/benchmarks/toolkit.py [NAME…] [--save]

Prints a table and asserts nothing. NAME chooses modules of this folder, such as `client_cost`.
`--save` writes the figures to toolkit.json, which lesson 10 reads.
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
from dataclasses import asdict
from datetime import date
from pathlib import Path

import peers
from rows import Row

MODULES = ("client_cost", "batch_rate", "trimming", "pricing", "herd", "import_cost")
RESULTS = Path(__file__).with_suffix(".json")


def main() -> None:
    """Measure, print the table, and save it where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--save", action="store_true")
    asked = parser.parse_args()
    peers.enter()
    rows = []
    for name in asked.names or MODULES:
        for row in importlib.import_module(name).rows():
            rows.append(row)
            print(line(row), flush=True)
    if asked.save:
        RESULTS.write_text(json.dumps(report(rows), indent=1, ensure_ascii=False) + "\n", "utf-8")


def line(row: Row) -> str:
    """One row as text."""
    others = ", ".join(f"{name} {figure(value)}" for name, value in row.peers.items())
    return f"{row.what:<48} ours {figure(row.ours)} {row.unit} (target {row.target}); {others}"


def figure(value: float | None) -> str:
    """Three significant digits; "none" where there is nothing to measure."""
    return "none" if value is None else f"{value:.3g}"


def report(rows: list[Row]) -> dict[str, object]:
    """The figures with what they were measured on."""
    return {
        "measured": date.today().isoformat(),
        "python": platform.python_version(),
        "versions": peers.versions(),
        "rows": [asdict(row) for row in rows],
    }


if __name__ == "__main__":
    main()
