"""What a model that the catalogue does not know is taken for, where every name is accepted."""

from __future__ import annotations

from dataclasses import replace

from course_utils.errors import UnknownModelError
from course_utils.wire import catalogue
from course_utils.wire.catalogue import Model


def model_for(name: str, provider: str) -> Model:
    """The catalogue's model of this name, else the course's own under it, as far as a name tells.

    Nothing is unknown here, and nothing shut down.
    """
    try:
        return catalogue.find_model(name, provider)
    except UnknownModelError:
        model = replace(catalogue.default_model(provider), id=name)
    if provider != "openai":
        return model
    family = catalogue.family(name)
    reasoning = model.reasoning and family.reasoning is not False
    return replace(model, encoding=family.encoding or model.encoding, reasoning=reasoning)
