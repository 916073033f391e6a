"""How long clients wait before they try again, and when a crowd of them comes back, as plots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate
from random import Random
from typing import TYPE_CHECKING

from course_utils.errors import CourseError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from course_utils.llm.retry import RetryRules

# Colours that every kind of eye can tell apart; marks, lines and titles say the same.
_STYLE = "tableau-colorblind10"
_MARKS = "osD^v"
_LINES = ("-", "--", ":", "-.")


def waits(rules: RetryRules, retries: int, random: Random) -> list[float]:
    """The waits of one client before each of so many retries, in seconds."""
    return [rules.wait_s(retry, None, random.uniform) for retry in range(1, retries + 1)]


def arrivals(
    rules: RetryRules,
    clients: int = 1000,
    retries: int = 3,
    told_s: float | None = None,
    seed: int = 7,
) -> list[float]:
    """When the retries of a crowd arrive that failed together at 0 s, and fails each time.

    `told_s` is what the server asks each of them to wait, None where it asks nothing. Answers
    take no time. The same seed gives the same crowd.
    """
    random, times = Random(seed), list[float]()
    for _ in range(clients):
        own = (rules.wait_s(retry, told_s, random.uniform) for retry in range(1, retries + 1))
        times += accumulate(own)
    return times


def busiest(times: Sequence[float], slot_s: float) -> int:
    """The most arrivals in one slot of so many seconds; 0 where nobody arrives."""
    return max(Counter(int(at_s / slot_s + 1e-9) for at_s in times).values(), default=0)


def backoff_plot(rules: Mapping[str, RetryRules], retries: int = 5, seed: int = 7) -> None:
    """Plot the waits of one client before each retry, a line for each of the named rules.

    Raises CourseError where there are no rules or no retries to draw.
    """
    import matplotlib.pyplot as plt

    from course_utils.show.figure import figure

    _check(rules, retries=retries)
    lines = {name: waits(each, retries, Random(seed)) for name, each in rules.items()}
    with plt.style.context(_STYLE):
        fig, ax = plt.subplots(figsize=(6, 3), layout="constrained")
        for number, (name, seconds) in enumerate(lines.items()):
            style = _MARKS[number % len(_MARKS)] + _LINES[number % len(_LINES)]
            ax.plot(range(1, retries + 1), seconds, style, label=name)
        ax.set(xlabel="retry", ylabel="seconds waited before it", title="Waits of one client")
        ax.set_xticks(range(1, retries + 1))
        ax.legend()
    told = "; ".join(
        f"{name}: " + ", ".join(f"{wait_s:.1f}" for wait_s in seconds)
        for name, seconds in lines.items()
    )
    figure(fig, f"Line plot of the seconds that one client waits before each retry. {told}.")


def herd_plot(
    rules: Mapping[str, RetryRules],
    clients: int = 1000,
    retries: int = 3,
    told_s: float | None = None,
    slot_s: float = 0.05,
    seed: int = 7,
) -> None:
    """Plot when a crowd that failed together comes back, a panel for each of the named rules.

    Bars count the arrivals in slots of `slot_s` seconds; the rest is as in `arrivals`. Raises
    CourseError where there are no rules, clients, retries or slots to draw.
    """
    import matplotlib.pyplot as plt

    from course_utils.show.figure import figure

    _check(rules, clients=clients, retries=retries, slot_s=slot_s)
    crowds = {name: arrivals(each, clients, retries, told_s, seed) for name, each in rules.items()}
    end_s = max(map(max, crowds.values())) + 2 * slot_s
    with plt.style.context(_STYLE):
        fig, axes = plt.subplots(
            len(crowds), figsize=(6, 1.9 * len(crowds)), layout="constrained",
            sharex=True, sharey=True, squeeze=False,
        )  # fmt: skip
        for number, (name, times) in enumerate(crowds.items()):
            _draw(axes[number][0], f"{name}: at most {busiest(times, slot_s):,} at once",
                  times, end_s, slot_s, f"C{number}")  # fmt: skip
        axes[-1][0].set(xlabel="seconds after the failure", xlim=(0, end_s))
    figure(fig, sentence(crowds, clients, slot_s))


def sentence(crowds: Mapping[str, Sequence[float]], clients: int, slot_s: float) -> str:
    """What the plot of a herd shows."""
    parts = [
        f"{name}, the busiest slot takes {busiest(times, slot_s):,} of them, and the last comes "
        f"after {max(times):.1f} s"
        for name, times in crowds.items()
    ]
    return (
        f"Bars count how many retries of {clients:,} clients arrive in each slot of "
        f"{1000 * slot_s:.0f} ms. {'; '.join(parts)}."
    )


def _draw(
    ax: Axes, title: str, times: Sequence[float], end_s: float, slot_s: float, colour: str
) -> None:
    slots = Counter(int(at_s / slot_s + 1e-9) for at_s in times)
    starts = [slot * slot_s for slot in slots]
    # A slot alone would be thinner than a pixel: its edge keeps it visible.
    ax.bar(starts, list(slots.values()), slot_s, align="edge", color=colour, edgecolor=colour)
    ax.set_title(title, fontsize="medium", loc="left")
    ax.set(ylabel="clients", xlim=(0, end_s))


def _check(rules: Mapping[str, RetryRules], **numbers: float) -> None:
    if not rules:
        raise CourseError("There is nothing to plot: give at least one named RetryRules.")
    for name, value in numbers.items():
        if not value > 0:
            raise CourseError(f"{name} is {value!r}: it must be more than 0 for a plot.")
