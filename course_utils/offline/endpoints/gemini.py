"""The endpoints of Gemini's own API: content, its stream, token counts, vectors and models."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from course_utils.offline import refusals
from course_utils.offline.call import SIMULATED, Answer
from course_utils.offline.endpoints import vectors
from course_utils.offline.endpoints.completion import reply_to
from course_utils.offline.endpoints.resources import param, query
from course_utils.offline.headers import TIER_HEADER, response_headers
from course_utils.offline.routes import Route, Visit
from course_utils.wire import catalogue, tokens
from course_utils.wire.catalogue import Model, embedding_models
from course_utils.wire.fields import take, take_objects
from course_utils.wire.gemini import Gemini
from course_utils.wire.gemini_request import in_camel_case
from course_utils.wire.prompt_tokens import prompt_tokens
from course_utils.wire.reply import Reply
from course_utils.wire.request import Request

_PROVIDER = "google"
CONTENT, STREAM = Gemini(), Gemini(streamed=True)
# The largest page that models.list gives, and its default (https://ai.google.dev/api/models).
_LARGEST_PAGE, _PAGE = 1000, 50
_MOST_AT_ONCE = 100
_METHODS = ("generateContent", "countTokens", "createCachedContent", "batchGenerateContent")
_EMBEDDING_METHODS = ("embedContent", "countTextTokens", "countTokens", "asyncBatchEmbedContent")


def codec_for(route: Route, params: Mapping[str, str]) -> Gemini:
    """The codec of a route that knows the model in its path."""
    assert isinstance(route.codec, Gemini)
    return replace(route.codec, model=unquote(params.get("model", "")))


def generate(visit: Visit) -> Answer:
    """generateContent: the whole reply in one body."""
    request = _read(visit, visit.json())
    return _answer(visit, (CONTENT.write_reply(_reply(visit, request), request),))


def stream(visit: Visit) -> Answer:
    """streamGenerateContent: events with `alt=sse`, else one JSON array, chunk by chunk."""
    request = _read(visit, visit.json())
    reply = _reply(visit, request)
    if query(visit).get("alt") != "sse":
        return _answer(visit, STREAM.write_array(reply))
    return _answer(visit, STREAM.write_stream(reply, request), streamed=True)


def count_tokens(visit: Visit) -> Answer:
    """countTokens: of contents, or of all that a whole request carries."""
    body = visit.json()
    name = "generateContentRequest"
    whole = take(body, name if name in body else "generate_content_request", "object", default=body)
    request = _read(visit, whole)
    visit.entry.request = request
    model = _find(visit, request.model)
    count = prompt_tokens(request, model)
    return _json(visit, {"totalTokens": count, "promptTokensDetails": _in_text(count)})


def embed(visit: Visit) -> Answer:
    """embedContent: the unit vector of one content."""
    vector, count = _embed(visit, _camel(visit), "")
    return _json(visit, {"embedding": {"values": vector}} | _embedding_usage(count))


def embed_all(visit: Visit) -> Answer:
    """batchEmbedContents: a vector for each request, in their order."""
    requests = take_objects(_camel(visit), "requests")
    if len(requests) > _MOST_AT_ONCE:
        raise visit.refused("too_many_at_once")
    done = [_embed(visit, request, at) for at, request in requests]
    rows = [{"values": vector} for vector, _ in done]
    return _json(visit, {"embeddings": rows} | _embedding_usage(sum(n for _, n in done)))


def list_models(visit: Visit) -> Answer:
    """The models that Google serves today, page by page."""
    rows = [_row(model) for model in _served(visit)]
    rows += [_embedding_row(m.id, m.size) for m in embedding_models(_PROVIDER).values()]
    first, size = _number(visit, "pageToken", 0), _number(visit, "pageSize", _PAGE)
    end = first + max(1, min(size, _LARGEST_PAGE))
    more = {"nextPageToken": str(end)} if end < len(rows) else {}
    return _json(visit, {"models": rows[first:end]} | more)


def get_model(visit: Visit) -> Answer:
    """One model."""
    name = param(visit, "model")
    if known := embedding_models(_PROVIDER).get(name):
        return _json(visit, _embedding_row(known.id, known.size))
    return _json(visit, _row(_find(visit, name)))


def _read(visit: Visit, body: Mapping[str, Any]) -> Request:
    return codec_for(visit.route, visit.params).read_request(body)


def _reply(visit: Visit, request: Request) -> Reply:
    """The reply; where one of several values is asked for as plain text, without JSON's quotes."""
    reply = reply_to(visit, request)
    if request.rest.get("responseMimeType") != "text/x.enum":
        return reply
    plain = tuple(replace(choice, text=choice.text.strip('"')) for choice in reply.choices)
    visit.entry.reply = replace(reply, choices=plain)
    return visit.entry.reply


def _camel(visit: Visit) -> Mapping[str, Any]:
    body: Mapping[str, Any] = in_camel_case(visit.json())
    return body


def _answer(visit: Visit, chunks: Iterable[bytes], *, streamed: bool = False) -> Answer:
    headers = response_headers(_PROVIDER, visit.seed, streamed=streamed)
    if streamed:
        headers["Content-Disposition"] = "attachment"
    return Answer(200, headers | {TIER_HEADER: visit.entry.tier}, chunks)


def _json(visit: Visit, body: Mapping[str, Any]) -> Answer:
    visit.entry.tier = SIMULATED
    return _answer(visit, ((json.dumps(body, indent=2, ensure_ascii=False) + "\n").encode(),))


def _number(visit: Visit, name: str, default: int) -> int:
    """A number of the query; what is none is taken for the default."""
    value = query(visit).get(name, "")
    return int(value) if value.isdecimal() else default


def _in_text(count: int) -> list[dict[str, Any]]:
    return [{"modality": "TEXT", "tokenCount": count}]


def _embedding_usage(count: int) -> dict[str, Any]:
    usage = {"promptTokenCount": count, "promptTokenDetails": _in_text(count)}
    return {"usageMetadata": usage}


def _embed(visit: Visit, request: Mapping[str, Any], path: str) -> tuple[list[float], int]:
    """The vector of one request, and the tokens of its text."""
    name = param(visit, "model")
    known = embedding_models(_PROVIDER)
    if name not in known and not visit.standin.lenient:
        raise visit.refused("not_for_embeddings", model=name)
    full_size = known.get(name, next(iter(known.values()))).size
    config = take(request, "embedContentConfig", "object", path, request)
    size = take(config, "outputDimensionality", "integer", path, full_size)
    if not 0 < size <= full_size:
        raise visit.refused("bad_dimensions", limit=full_size)
    content = take(request, "content", "object", path)
    parts = take_objects(content, "parts", f"{path}content.")
    text = "".join(take(part, "text", "string", at, "") for at, part in parts)
    unit = vectors.vector(text, size, name, full_size)
    return vectors.in_decimals(unit), tokens.count_text(text, tokens.REFERENCE)


def _find(visit: Visit, name: str) -> Model:
    if visit.standin.lenient:
        return replace(catalogue.default_model(_PROVIDER), id=name)
    return refusals.find_model(Request(name, ()), visit.door, visit.standin.today())


def _served(visit: Visit) -> list[Model]:
    today = visit.standin.today()
    return [m for m in catalogue.models(_PROVIDER) if not m.is_shut_down(today)]


def _row(model: Model) -> dict[str, Any]:
    """A model in Google's words."""
    name = _display_name(model.id)
    return {
        "name": f"models/{model.id}",
        "version": "001",
        "displayName": name,
        "description": f"{name}, as the course's catalogue knows it",
        "inputTokenLimit": model.context_tokens,
        "outputTokenLimit": model.max_output_tokens,
        "supportedGenerationMethods": list(_METHODS),
        "temperature": 1,
        "topP": 0.95,
        "topK": 64,
        "maxTemperature": 2,
        "thinking": model.reasoning,
    }


def _embedding_row(name: str, size: int) -> dict[str, Any]:
    return {
        "name": f"models/{name}",
        "version": "001",
        "displayName": _display_name(name),
        "description": f"Vectors of up to {size} numbers",
        "inputTokenLimit": 2048,
        "outputTokenLimit": 1,
        "supportedGenerationMethods": list(_EMBEDDING_METHODS),
    }


def _display_name(name: str) -> str:
    return " ".join(word.capitalize() for word in name.split("-"))
