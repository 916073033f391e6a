"""What a function's docstring says of it, and of each of its arguments.

The library docstring_parser reads it (https://github.com/rr-/docstring_parser): anthropic's SDK
does the same with it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Docstring:
    """``text`` tells what the function does, ``arguments`` what each argument is."""

    text: str
    arguments: Mapping[str, str]


def read_docstring(function: Callable[..., Any]) -> Docstring:
    """Read a docstring in Google's, NumPy's or Sphinx's style; an empty one has no text."""
    import docstring_parser

    found = docstring_parser.parse(inspect.getdoc(function) or "")
    parts = (found.short_description, found.long_description)
    return Docstring(
        text="\n\n".join(part.strip() for part in parts if part),
        arguments={
            param.arg_name: " ".join(param.description.split())
            for param in found.params
            if param.description
        },
    )
