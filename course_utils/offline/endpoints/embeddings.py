"""OpenAI's embeddings endpoint, which Google and local servers have too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from course_utils.errors import UnknownModelError
from course_utils.offline.call import Answer
from course_utils.offline.endpoints import vectors
from course_utils.offline.endpoints.resources import json_answer
from course_utils.offline.routes import Visit
from course_utils.wire import catalogue, tokens
from course_utils.wire.catalogue import EmbeddingModel, embedding_models
from course_utils.wire.fields import MalformedRequestError, json_name, take

# The limits that OpenAI documents at the parameter `input` (SDK 3.54).
_ENCODING = "cl100k_base"
_MOST_TOKENS = 8192
_MOST_INPUTS = 2048


def embed(visit: Visit) -> Answer:
    """A vector for each text. The same text always has the same one."""
    body = visit.json()
    name = take(body, "model", "string")
    model = _embedding_model(visit, name)
    texts = _texts(visit, body)
    size = _size(visit, body, model)
    counts = [_count(visit, text) for text in texts]
    write = vectors.in_base64 if _is_base64(visit, body) else vectors.in_decimals
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": write(vectors.vector(text, size, name, model.size)),
        }
        for index, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": sum(counts), "total_tokens": sum(counts)}
    answering = catalogue.answering_name(name)
    answer = {"object": "list", "data": data, "model": answering, "usage": usage}
    return json_answer(visit, answer, limited=True)


def _embedding_model(visit: Visit, name: str) -> EmbeddingModel:
    """The model; refused where it is unknown or writes no vectors."""
    known = embedding_models(visit.door.provider)
    plain = name.removeprefix("models/").removesuffix(":latest")
    if plain in known:
        return known[plain]
    if visit.standin.lenient:
        return next(iter(known.values()))
    try:
        catalogue.find_model(name, visit.door.provider)
    except UnknownModelError:
        raise visit.refused("unknown_model", model=name) from None
    raise visit.refused("not_for_embeddings", model=name)


def _texts(visit: Visit, body: Mapping[str, Any]) -> list[str]:
    """The input as texts: one or several, each written as a text or as its tokens."""
    given = body.get("input")
    if isinstance(given, str):
        given = [given]
    elif not isinstance(given, list):
        raise MalformedRequestError("input", "array", None if given is None else json_name(given))
    elif given and all(type(token) is int for token in given):
        given = [given]
    if not 0 < len(given) <= _MOST_INPUTS:
        raise visit.refused("bad_input")
    return [_text(visit, each) for each in given]


def _text(visit: Visit, given: object) -> str:
    """One input; an empty one, and tokens that the encoding does not have, are refused."""
    if isinstance(given, list) and all(type(token) is int for token in given):
        given = _decoded(given)
    if not isinstance(given, str) or not given:
        raise visit.refused("bad_input")
    return given


def _decoded(given: list[int]) -> str:
    """The text of tokens; none where the encoding has no such token: its numbers have gaps."""
    try:
        return tokens.encoding(_ENCODING).decode(given)
    except (KeyError, OverflowError):
        return ""


def _count(visit: Visit, text: str) -> int:
    count = tokens.count_text(text, _ENCODING)
    if count > _MOST_TOKENS and not visit.standin.lenient:
        raise visit.refused("input_too_long", tokens=count, limit=_MOST_TOKENS)
    return count


def _size(visit: Visit, body: Mapping[str, Any], model: EmbeddingModel) -> int:
    size: int | None = take(body, "dimensions", "integer", default=None)
    if size is None:
        return model.size
    if visit.standin.lenient:
        return max(1, min(size, model.size))
    if model.fixed_size:
        raise visit.refused("fixed_size")
    if not 0 < size <= model.size:
        raise visit.refused("bad_dimensions", value=size, limit=model.size)
    return size


def _is_base64(visit: Visit, body: Mapping[str, Any]) -> bool:
    """Whether base64 is asked for. The published schema knows decimals only: so does lenient."""
    form = take(body, "encoding_format", "string", default="float")
    if visit.standin.lenient:
        return False
    if form not in ("float", "base64"):
        raise visit.refused("bad_encoding_format", value=form)
    return bool(form == "base64")
