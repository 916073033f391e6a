"""Every endpoint that the stand-in answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from course_utils.offline import words
from course_utils.offline.call import Answer
from course_utils.offline.doors import ANTHROPIC, GEMINI, GOOGLE, LOCAL, OPENAI, Door
from course_utils.offline.endpoints import (
    anthropic_batches,
    files,
    gemini,
    models,
    openai_batches,
    responses,
)
from course_utils.offline.endpoints import stored_chats as chats
from course_utils.offline.endpoints.compaction import compact
from course_utils.offline.endpoints.completion import complete
from course_utils.offline.endpoints.embeddings import embed
from course_utils.offline.endpoints.moderations import moderate
from course_utils.offline.endpoints.response_refusals import DOOR as RESPONSES
from course_utils.offline.endpoints.responses_headers import responses_refusal_headers
from course_utils.offline.endpoints.text_completions import complete_text
from course_utils.offline.endpoints.token_count import count_tokens
from course_utils.offline.limits import TurnedAwayError
from course_utils.offline.routes import Route, Routes, Visit
from course_utils.wire import openai_chat
from course_utils.wire.anthropic_messages import AnthropicMessages
from course_utils.wire.codec import Codec

_ANTHROPIC = AnthropicMessages()
_CHAT = "/chat/completions/{id}"
_BATCH = "/v1/messages/batches/{id}"
# What errors look like where no endpoint says it.
_CODECS: dict[Door, Codec] = {
    OPENAI: openai_chat.OPENAI,
    ANTHROPIC: _ANTHROPIC,
    GOOGLE: openai_chat.GOOGLE,
    GEMINI: gemini.CONTENT,
    LOCAL: openai_chat.LOCAL,
}
# google-genai asks v1, other clients v1beta.
_GEMINI = "/{version}/models/{model}"


def _on_responses(method: str, path: str, handle: Callable[[Visit], Answer]) -> Route:
    """A route of the Responses API, whose errors have headers of their own."""
    path = f"/responses{path}"
    return Route(method, RESPONSES, path, responses.CODEC, handle, responses_refusal_headers)


ROUTES = Routes(
    Route("POST", OPENAI, "/chat/completions", openai_chat.OPENAI, chats.complete_and_store),
    Route("GET", OPENAI, "/chat/completions", openai_chat.OPENAI, chats.list_chats),
    Route("GET", OPENAI, _CHAT, openai_chat.OPENAI, chats.retrieve_chat),
    Route("POST", OPENAI, _CHAT, openai_chat.OPENAI, chats.update_chat),
    Route("DELETE", OPENAI, _CHAT, openai_chat.OPENAI, chats.delete_chat),
    Route("GET", OPENAI, f"{_CHAT}/messages", openai_chat.OPENAI, chats.list_messages),
    Route("POST", ANTHROPIC, "/v1/messages", _ANTHROPIC, complete),
    Route("POST", GOOGLE, "/v1beta/openai/chat/completions", openai_chat.GOOGLE, complete),
    Route("POST", LOCAL, "/chat/completions", openai_chat.LOCAL, complete),
    _on_responses("POST", "", responses.create),
    _on_responses("POST", "/input_tokens", responses.input_tokens),
    _on_responses("POST", "/compact", compact),
    _on_responses("GET", "/{id}", responses.retrieve),
    _on_responses("DELETE", "/{id}", responses.delete),
    _on_responses("POST", "/{id}/cancel", responses.cancel),
    _on_responses("GET", "/{id}/input_items", responses.input_items),
    Route("POST", OPENAI, "/completions", openai_chat.OPENAI, complete_text),
    Route("POST", LOCAL, "/completions", openai_chat.LOCAL, complete_text),
    Route("POST", OPENAI, "/moderations", openai_chat.OPENAI, moderate),
    Route("POST", OPENAI, "/embeddings", openai_chat.UNLAYERED, embed),
    Route("POST", GOOGLE, "/v1beta/openai/embeddings", openai_chat.GOOGLE, embed),
    Route("POST", LOCAL, "/embeddings", openai_chat.LOCAL, embed),
    Route("GET", OPENAI, "/models", openai_chat.OPENAI, models.list_models),
    Route("GET", OPENAI, "/models/{model}", openai_chat.OPENAI, models.retrieve_model),
    Route("DELETE", OPENAI, "/models/{model}", openai_chat.OPENAI, models.delete_model),
    Route("GET", GOOGLE, "/v1beta/openai/models", openai_chat.GOOGLE, models.list_models),
    Route(
        "GET", GOOGLE, "/v1beta/openai/models/{model}", openai_chat.GOOGLE, models.retrieve_model
    ),
    Route("GET", LOCAL, "/models", openai_chat.LOCAL, models.list_models),
    Route("GET", LOCAL, "/models/{model}", openai_chat.LOCAL, models.retrieve_model),
    Route("GET", ANTHROPIC, "/v1/models", _ANTHROPIC, models.list_models),
    Route("GET", ANTHROPIC, "/v1/models/{model}", _ANTHROPIC, models.retrieve_model),
    Route("POST", OPENAI, "/files", openai_chat.OPENAI, files.upload),
    Route("GET", OPENAI, "/files", openai_chat.OPENAI, files.list_files),
    Route("GET", OPENAI, "/files/{id}", openai_chat.OPENAI, files.retrieve_file),
    Route("GET", OPENAI, "/files/{id}/content", openai_chat.OPENAI, files.read_file),
    Route("DELETE", OPENAI, "/files/{id}", openai_chat.OPENAI, files.delete_file),
    Route("POST", OPENAI, "/batches", openai_chat.OPENAI, openai_batches.create_batch),
    Route("GET", OPENAI, "/batches", openai_chat.OPENAI, openai_batches.list_batches),
    Route("GET", OPENAI, "/batches/{id}", openai_chat.OPENAI, openai_batches.retrieve_batch),
    Route("POST", OPENAI, "/batches/{id}/cancel", openai_chat.OPENAI, openai_batches.cancel_batch),
    Route("POST", ANTHROPIC, "/v1/messages/count_tokens", _ANTHROPIC, count_tokens),
    Route("POST", ANTHROPIC, "/v1/messages/batches", _ANTHROPIC, anthropic_batches.create_batch),
    Route("GET", ANTHROPIC, "/v1/messages/batches", _ANTHROPIC, anthropic_batches.list_batches),
    Route("GET", ANTHROPIC, _BATCH, _ANTHROPIC, anthropic_batches.retrieve_batch),
    Route("POST", ANTHROPIC, f"{_BATCH}/cancel", _ANTHROPIC, anthropic_batches.cancel_batch),
    Route("DELETE", ANTHROPIC, _BATCH, _ANTHROPIC, anthropic_batches.delete_batch),
    Route("GET", ANTHROPIC, f"{_BATCH}/results", _ANTHROPIC, anthropic_batches.read_results),
    Route("POST", GEMINI, f"{_GEMINI}:generateContent", gemini.CONTENT, gemini.generate),
    Route("POST", GEMINI, f"{_GEMINI}:streamGenerateContent", gemini.STREAM, gemini.stream),
    Route("POST", GEMINI, f"{_GEMINI}:countTokens", gemini.CONTENT, gemini.count_tokens),
    Route("POST", GEMINI, f"{_GEMINI}:embedContent", gemini.CONTENT, gemini.embed),
    Route("POST", GEMINI, f"{_GEMINI}:batchEmbedContents", gemini.CONTENT, gemini.embed_all),
    Route("GET", GEMINI, "/{version}/models", gemini.CONTENT, gemini.list_models),
    Route("GET", GEMINI, _GEMINI, gemini.CONTENT, gemini.get_model),
)


def route_of(method: str, path: str, door: Door) -> tuple[Route, Mapping[str, str]]:
    """The route of a call, and the named segments of its path.

    Where no endpoint takes it, a route that says so in the door's words.
    """
    found = ROUTES.find(method, path)
    if found is None:
        return _nowhere(method, path, door), {}
    if door is not GEMINI:
        return found
    route, params = found
    return replace(route, codec=gemini.codec_for(route, params)), params


def codec_of(method: str, path: str, door: Door) -> Codec:
    """The codec of an endpoint; where there is no such endpoint, that of the door's errors."""
    return route_of(method, path, door)[0].codec


def _nowhere(method: str, path: str, door: Door) -> Route:
    """A path that there is not: 404 for anybody. Or one with another method: 405 with a key."""
    others = ROUTES.methods(path)
    handle = partial(_refuse_method, allowed=others) if others else _refuse_path
    return Route(method, door, path, _CODECS[door], handle, is_open=not others)


def _refuse_path(visit: Visit) -> Answer:
    raise visit.refused("no_endpoint", method=visit.call.method, path=_own_path(visit))


def _refuse_method(visit: Visit, allowed: Sequence[str]) -> Answer:
    facts = {"method": visit.call.method, "path": _own_path(visit)}
    refusal = words.refusal(visit.door.words, "wrong_method", **facts)
    raise TurnedAwayError(refusal, {"Allow": ", ".join(allowed)})


def _own_path(visit: Visit) -> str:
    """The path as the provider itself knows it: without the name of our door."""
    return "/" + visit.call.path.partition("/")[2].partition("/")[2]
