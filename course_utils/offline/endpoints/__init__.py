"""Every endpoint that the stand-in answers."""

from __future__ import annotations

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
from course_utils.offline.endpoints.text_completions import complete_text
from course_utils.offline.endpoints.token_count import count_tokens
from course_utils.offline.routes import Route, Routes
from course_utils.wire import openai_chat
from course_utils.wire.anthropic_messages import AnthropicMessages
from course_utils.wire.codec import Codec

_ANTHROPIC = AnthropicMessages()
_CHAT = "/chat/completions/{id}"
_BATCH = "/v1/messages/batches/{id}"
# google-genai asks v1, other clients v1beta.
_GEMINI = "/{version}/models/{model}"

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
    Route("POST", RESPONSES, "/responses", responses.CODEC, responses.create),
    Route("POST", RESPONSES, "/responses/input_tokens", responses.CODEC, responses.input_tokens),
    Route("POST", RESPONSES, "/responses/compact", responses.CODEC, compact),
    Route("GET", RESPONSES, "/responses/{id}", responses.CODEC, responses.retrieve),
    Route("DELETE", RESPONSES, "/responses/{id}", responses.CODEC, responses.delete),
    Route("POST", RESPONSES, "/responses/{id}/cancel", responses.CODEC, responses.cancel),
    Route("GET", RESPONSES, "/responses/{id}/input_items", responses.CODEC, responses.input_items),
    Route("POST", OPENAI, "/completions", openai_chat.OPENAI, complete_text),
    Route("POST", LOCAL, "/completions", openai_chat.LOCAL, complete_text),
    Route("POST", OPENAI, "/moderations", openai_chat.OPENAI, moderate),
    Route("POST", OPENAI, "/embeddings", openai_chat.OPENAI, embed),
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


def codec_of(method: str, path: str, door: Door) -> Codec:
    """The codec of an endpoint; where there is no such endpoint, that of the door's errors."""
    found = ROUTES.find(method, path)
    if found is not None:
        return gemini.codec_for(*found) if door is GEMINI else found[0].codec
    if door is GEMINI:
        return gemini.CONTENT
    return _ANTHROPIC if door is ANTHROPIC else openai_chat.OPENAI
