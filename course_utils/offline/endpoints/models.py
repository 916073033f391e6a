"""The endpoints that list models, from the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from course_utils.errors import UnknownModelError
from course_utils.offline.call import Answer
from course_utils.offline.clock import rfc3339
from course_utils.offline.doors import ANTHROPIC, Door
from course_utils.offline.endpoints.resources import json_answer, page, param, query
from course_utils.offline.routes import Visit
from course_utils.wire import catalogue
from course_utils.wire.catalogue import Model, embedding_models

_OWNERS = {"openai": "system", "google": "google", "local": "library"}
_ANTHROPIC_PAGE = 20


def list_models(visit: Visit) -> Answer:
    """All models that the provider serves today."""
    rows = [_describe(visit, model) for model in _served(visit)]
    if visit.door is ANTHROPIC:
        return json_answer(visit, page(rows, query(visit), _ANTHROPIC_PAGE))
    rows += [_openai_row(visit.door, name) for name in embedding_models(visit.door.provider)]
    return json_answer(visit, {"object": "list", "data": rows})


def retrieve_model(visit: Visit) -> Answer:
    """One model; refused where the provider does not serve it."""
    name = param(visit, "model")
    if name in embedding_models(visit.door.provider):
        return json_answer(visit, _openai_row(visit.door, name))
    return json_answer(visit, _describe(visit, _find(visit, name)))


def delete_model(visit: Visit) -> Answer:
    """OpenAI deletes fine-tuned models only; here there are none."""
    name = param(visit, "model")
    if not visit.standin.lenient:
        _find(visit, name)
        raise visit.refused("model_not_yours", model=name)
    return json_answer(visit, {"id": name, "object": "model", "deleted": True})


def _served(visit: Visit) -> Sequence[Model]:
    today = visit.standin.today()
    return [m for m in catalogue.models(visit.door.provider) if not m.is_shut_down(today)]


def _find(visit: Visit, name: str) -> Model:
    kind = "unknown_model" if visit.door is ANTHROPIC else "no_model"
    try:
        model = catalogue.find_model(name, visit.door.provider)
    except UnknownModelError as error:
        if visit.standin.lenient:
            return replace(catalogue.default_model(visit.door.provider), id=name)
        raise visit.refused(kind, model=name) from error
    if model.is_shut_down(visit.standin.today()) and not visit.standin.lenient:
        raise visit.refused(kind, model=name)
    return model


def _describe(visit: Visit, model: Model) -> dict[str, Any]:
    if visit.door is ANTHROPIC:
        return _anthropic_row(model, visit.standin.today())
    return _openai_row(visit.door, model.id, model.shutdown)


def _openai_row(door: Door, name: str, shutdown: date | None = None) -> dict[str, Any]:
    """A model in OpenAI's words. The catalogue knows no day of birth: `created` is its own day."""
    as_of = catalogue.default_model(door.provider).as_of
    row = {
        "id": f"models/{name}" if door.provider == "google" else name,
        "object": "model",
        "created": int(datetime(as_of.year, as_of.month, as_of.day, 12, tzinfo=UTC).timestamp()),
        "owned_by": _OWNERS[door.provider],
    }
    if door.provider == "openai":
        row["shutdown_date"] = shutdown.isoformat() if shutdown else None
    return row


def _anthropic_row(model: Model, today: date) -> dict[str, Any]:
    """A model in Anthropic's words; an unknown day of birth is the epoch, as they write it."""
    return {
        "type": "model",
        "id": model.id,
        "display_name": _display_name(model.id),
        "created_at": "1970-01-01T00:00:00Z",
        "capabilities": None,
        "deprecated_at": None,
        "lifecycle": _lifecycle(model, today),
        "line": next(filter(str.isalpha, model.id.split("-")[1:]), None),
        "max_input_tokens": model.context_tokens,
        "max_tokens": model.max_output_tokens,
        "retires_at": _midnight(model.shutdown),
    }


def _lifecycle(model: Model, today: date) -> str:
    if model.is_shut_down(today):
        return "retired"
    return "active" if model.shutdown is None else "deprecated"


def _midnight(day: date | None) -> str | None:
    if day is None:
        return None
    return rfc3339(int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()))


def _display_name(name: str) -> str:
    """An id's words in capitals, then the version that its numbers make; no date."""
    words = [word for word in name.split("-") if not (word.isdecimal() and len(word) == 8)]
    numbers = ".".join(word for word in words if word.isdecimal())
    return " ".join([word.title() for word in words if not word.isdecimal()] + [numbers]).strip()
