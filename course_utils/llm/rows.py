"""A table of results: a list of rows to go through, and the same rows for pandas."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from pandas import DataFrame

Row = TypeVar("Row")


class Rows(list[Row]):
    """Frozen dataclasses of one kind; a notebook shows them as a table."""

    def frame(self) -> DataFrame:
        """One line a row, one column a field; empty where there are no rows."""
        import pandas as pd

        return pd.DataFrame([{f.name: getattr(row, f.name) for f in fields(row)} for row in self])  # type: ignore[arg-type]

    def _repr_html_(self) -> str:
        html: str = self.frame().to_html(index=False)
        return html
