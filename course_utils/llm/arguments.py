"""What a tool takes: the JSON schema that the model sees, and the check of what it then sends.

A model's arguments are a stranger's input. They are read against the types of the function before
anything runs, as pydantic's `validate_call` does; unlike it, checking and running are two steps, so
that your code can look at the arguments in between and say no.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NotRequired

from course_utils.llm.docstring import read_docstring
from course_utils.llm.errors import ToolError
from course_utils.llm.fitting import MisfitError, check_schema, fit_schema, fit_type, shortened
from course_utils.llm.strict_schema import strict

_UNNAMED = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.VAR_POSITIONAL,
    inspect.Parameter.VAR_KEYWORD,
)


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of one tool.

    ``schema`` is a JSON schema of an object; ``kind`` is the type that it was made from, None where
    the schema was written by hand.
    """

    schema: Mapping[str, Any]
    kind: Any = None

    def read(self, text: str) -> dict[str, Any]:
        """The arguments in a model's JSON text, by name.

        Those of a typed function have its types. Raises MisfitError, which names each place that
        does not fit.
        """
        # A model that has nothing to say sends an empty text as often as {}.
        text = text.strip() or "{}"
        read = fit_type(text, self.kind) if self.kind else fit_schema(text, self.schema)
        if not isinstance(read, dict):
            raise MisfitError(f"arguments are an object with names, not {shortened(text)}")
        return read


def of_schema(schema: Mapping[str, Any], tool: str) -> Arguments:
    """The arguments that a JSON schema describes; ToolError where it is none."""
    try:
        check_schema(schema)
        strict(schema)  # finds a $ref that leads nowhere; the schema itself stays as it is written
    except ValueError as error:
        raise ToolError(
            f"The parameters of {tool!r} are no JSON schema: {error}. Mend that place; the whole "
            f"is an object, as in {{'type': 'object', 'properties': {{…}}}}."
        ) from error
    return Arguments(schema)


# Reading a function costs 0.8 ms, and a client that is given functions does it in every call.
@functools.lru_cache(maxsize=256)
def of_function(function: Callable[..., Any]) -> Arguments:
    """The arguments that a typed function takes; ToolError where one cannot be described."""
    import pydantic

    told = read_docstring(function).arguments
    fields = {p.name: _field(p, told.get(p.name)) for p in _parameters(function)}
    try:
        kind = pydantic.TypeAdapter(_typed_dict(fields))
        schema = kind.json_schema(schema_generator=_plain_schema())
    except pydantic.errors.PydanticUserError as error:
        raise ToolError(
            f"The arguments of {function.__name__}() cannot be told to a model: "
            f"{_first_sentence(error)} Use str, int, float, bool, Literal, Enum, list, dict, "
            f"a dataclass or a pydantic model."
        ) from error
    del schema["title"]
    for parameter in _parameters(function):
        if parameter.default is not parameter.empty:
            schema["properties"][parameter.name] |= _default(parameter.default)
    return Arguments(schema, kind)


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters with their annotations as types; ToolError where one cannot be used."""
    parameters, hints = _signature(function)
    found = []
    for parameter in parameters:
        if parameter.kind in _UNNAMED:
            raise ToolError(
                f"{function.__name__}() takes {str(parameter)!r}, but a model gives every argument "
                f"by its name: list them one by one."
            )
        if parameter.name not in hints:
            raise ToolError(
                f"The argument {parameter.name!r} of {function.__name__}() has no type, so a model "
                f"cannot know what to send: write one, as in {parameter.name}: str."
            )
        found.append(parameter.replace(annotation=hints[parameter.name]))
    return found


def _signature(function: Callable[..., Any]) -> tuple[list[inspect.Parameter], dict[str, Any]]:
    """The parameters as they are written, and the types that their annotations stand for."""
    try:
        hints = typing.get_type_hints(function, include_extras=True)
        return list(inspect.signature(function).parameters.values()), hints
    except (NameError, AttributeError, SyntaxError, TypeError, ValueError) as error:
        raise ToolError(
            f"The arguments of {function.__name__}() cannot be read: {error}. Import or define its "
            f"types before it, outside of any other function."
        ) from error


def _field(parameter: inspect.Parameter, told: str | None) -> Any:
    """The type of one argument, with what is said of it."""
    import pydantic

    hint = parameter.annotation
    notes = [note for note in getattr(hint, "__metadata__", ()) if isinstance(note, str)]
    said = notes[0] if notes else told
    if said and not _is_described(hint):
        hint = Annotated[hint, pydantic.Field(description=said)]
    return hint if parameter.default is parameter.empty else NotRequired[hint]


def _is_described(hint: Any) -> bool:
    notes = getattr(hint, "__metadata__", ())
    return any(getattr(note, "description", None) for note in notes)


def _typed_dict(fields: dict[str, Any]) -> Any:
    """A dict of these fields and no others: a name that a model makes up is an error."""
    import typing_extensions

    make: Any = typing_extensions.TypedDict
    made = make("Arguments", fields)
    made.__pydantic_config__ = {"extra": "forbid"}
    return made


def _plain_schema() -> Any:
    """A generator that leaves out the titles, which say no more than the names do."""
    from pydantic.json_schema import GenerateJsonSchema

    class Plain(GenerateJsonSchema):
        def field_title_should_be_set(self, schema: Any) -> bool:
            return False

    return Plain


def _first_sentence(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") + "."


def _default(value: object) -> dict[str, Any]:
    """A default as the schema tells it; one that is only a mark, such as object(), it does not."""
    import pydantic_core

    try:
        return {"default": pydantic_core.to_jsonable_python(value)}
    except pydantic_core.PydanticSerializationError:
        return {}
