"""When the pieces of a stream came, as a plot."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Colours that every kind of eye can tell apart; marks and words say the same.
_STYLE = "tableau-colorblind10"


def timeline(events: Sequence[tuple[float, str]]) -> None:
    """Plot a stream: a tick for each piece, and how much of the text was there at each moment.

    `events` are the pieces with the seconds from sending the request to their arrival, in order.
    The sentence under the plot has no times in it, which differ each time: they are in the plot.
    """
    import matplotlib.pyplot as plt

    from course_utils.show.figure import figure

    with plt.style.context(_STYLE):
        fig, ax = plt.subplots(figsize=(7, 3), layout="constrained")
        ax.set(xlabel="seconds since the request", ylabel="characters")
        if events:
            _draw(ax, [seconds for seconds, _ in events], [len(text) for _, text in events])
    figure(fig, sentence(events))


def sentence(events: Sequence[tuple[float, str]]) -> str:
    """What the plot shows, without the times."""
    if not events:
        return "Timeline of a stream that brought no text: there is nothing to mark in it."
    times = [0.0, *(seconds for seconds, _ in events)]
    gaps = [after - before for before, after in pairwise(times)]
    longest = max(range(len(gaps)), key=gaps.__getitem__)
    where = "before the first" if longest == 0 else f"before piece {longest + 1}"
    pieces = "1 piece" if len(events) == 1 else f"{len(events)} pieces"
    return (
        f"Timeline of a stream of {pieces}: a tick marks when each came, and a line climbs with "
        f"the characters that are there; the longest wait is {where}."
    )


def _draw(ax: Axes, times: Sequence[float], lengths: Sequence[int]) -> None:
    first, total = times[0], times[-1]
    characters = list(accumulate(lengths))
    top = max(characters[-1], 1)
    ax.axvspan(0, first, color="0.88", label="nothing to see yet")
    ax.step([first, *times], [0, *characters], where="post", label="text so far")
    ax.vlines(list(times), -0.14 * top, -0.04 * top, color="0.25", linewidth=0.8, label="a piece")
    ax.plot(first, characters[0], "v", color="black", label=f"first piece: {first:.2f} s")
    ax.plot(total, characters[-1], "s", color="black", label=f"all of it: {total:.2f} s")
    ax.set(xlim=(0, total * 1.03 or 1))
    ax.legend(loc="upper left", fontsize="small")
