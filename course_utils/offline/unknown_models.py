"""What a model that the catalogue does not know is taken for, where every name is accepted."""

from __future__ import annotations

import re
from dataclasses import replace

from course_utils.errors import UnknownModelError
from course_utils.wire import catalogue
from course_utils.wire.catalogue import Model

# OpenAI's older names say which vocabulary they count with, and whether they reason.
_OLD_VOCABULARY = re.compile(r"gpt-3\.5|gpt-4(-|$)")
_NO_REASONING = re.compile(r"gpt-3|gpt-4|chatgpt|ft:gpt-[34]")


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
    encoding = "cl100k_base" if _OLD_VOCABULARY.match(name) else model.encoding
    reasoning = model.reasoning and not _NO_REASONING.match(name)
    return replace(model, encoding=encoding, reasoning=reasoning)
