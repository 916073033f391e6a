"""Tools: functions of yours that a model may ask for.

The model never runs anything. It reads a description (a name, a sentence, a JSON schema of the
arguments) and may answer with a wish to call. `as_tool` makes the description of a typed function;
`toolbox` runs what was wished for. What professionals use: `beta_tool` of the anthropic SDK does
the same from type hints and docstring, `pydantic_function_tool` of openai from a pydantic model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from course_utils.llm import arguments
from course_utils.llm.docstring import read_docstring
from course_utils.llm.errors import ToolError
from course_utils.wire.request import Tool

ToolSource = Tool | Callable[..., Any] | Mapping[str, Any]
"""A `Tool`, a typed function with a docstring, or a dict in OpenAI's or Anthropic's shape."""

# What OpenAI and Anthropic both take as a name.
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def as_tool(source: ToolSource) -> Tool:
    """The description of a tool, as a model is to read it.

    A function gives its name, what its docstring says, and the schema of its typed arguments: those
    with a default are optional. What an argument means is told by the docstring's "Args", or by
    the type itself, as in ``Annotated[str, "City name"]``.

    Raises ToolError where a model could not know how to call it; the message says what is missing.
    """
    if isinstance(source, Mapping):
        source = _of_dict(source)
    if not isinstance(source, Tool):
        source = _of_function(source)
    if not _NAME.fullmatch(source.name):
        raise ToolError(
            f"A tool cannot be named {source.name!r}: providers take 1 to 64 letters, digits, "
            f"_ and -. Give it such a name."
        )
    return source


def _of_function(function: object) -> Tool:
    if isinstance(function, type) or not hasattr(function, "__name__") or not callable(function):
        raise ToolError(
            f"A {type(function).__name__} cannot be a tool: give a function with types and a "
            f"docstring, a Tool, or a dict in OpenAI's shape."
        )
    if function.__name__ == "<lambda>":
        raise ToolError("A lambda has no name that a model could call: write it as a def.")
    text = read_docstring(function).text
    if not text:
        raise ToolError(
            f"{function.__name__}() has no docstring, so a model cannot know what it is for: write "
            f"one sentence under its def."
        )
    return Tool(function.__name__, text, arguments.of_function(function).schema)


def _of_dict(body: Mapping[str, Any]) -> Tool:
    """OpenAI puts the description under "function", Anthropic calls the schema input_schema."""
    inner = body.get("function", body)
    inner = inner if isinstance(inner, Mapping) else {}
    schema = inner.get("parameters", inner.get("input_schema", {"type": "object"}))
    name, text = inner.get("name"), inner.get("description") or ""
    if not isinstance(name, str) or not isinstance(text, str) or not isinstance(schema, Mapping):
        raise ToolError(
            f"A dict with the keys {sorted(body)} is no tool: it needs a name, a description and "
            f"parameters (Anthropic's input_schema), as in {{'type': 'function', 'function': "
            f"{{'name': …, 'description': …, 'parameters': …}}}}."
        )
    return Tool(name, text, schema)
