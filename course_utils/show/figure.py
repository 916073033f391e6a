"""Plots with a sentence that says what is in them."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 100


def figure(fig: Figure, alt: str) -> None:
    """Show a matplotlib figure and, under it, its text alternative.

    JupyterLab 4 gives pictures no alt text, so the sentence stands in the open. The background is
    white, so that the plot can be read in a dark theme too.
    """
    import matplotlib.pyplot as plt
    from IPython.display import Image, display

    picture = BytesIO()
    fig.savefig(picture, format="png", dpi=_DPI, facecolor="white")
    plt.close(fig)
    display(Image(picture.getvalue(), alt=alt))
    display({"text/plain": f"Figure: {alt}"}, raw=True)
