"""A model by its id, found in the catalogue once and then remembered."""

from __future__ import annotations

import functools

from course_utils.wire.catalogue import Model, find_model


def as_model(model: str | Model) -> Model:
    """The model of that id, or the model itself. Raises UnknownModelError."""
    return model if isinstance(model, Model) else _found(model)


@functools.lru_cache(maxsize=256)
def _found(model_id: str) -> Model:
    return find_model(model_id)
