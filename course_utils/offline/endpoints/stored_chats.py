"""Chat completions that were asked to be stored: listed, read, labelled and deleted."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from course_utils.offline.call import Answer
from course_utils.offline.endpoints.completion import complete
from course_utils.offline.endpoints.resources import json_answer, kept, page, param, query
from course_utils.offline.routes import Visit
from course_utils.wire import catalogue
from course_utils.wire.fields import take
from course_utils.wire.reply import Choice, Reply, Usage
from course_utils.wire.request import Request

KIND = "chat completion"
_PAGE = 20


@dataclass(frozen=True, slots=True)
class Chat:
    """A completion as it was sent, with the messages that it answers and its labels."""

    body: dict[str, Any]
    messages: tuple[dict[str, Any], ...] = ()
    metadata: dict[str, str] | None = None


def complete_and_store(visit: Visit) -> Answer:
    """Answer a chat, and keep the answer where the request has `store` set."""
    answer = complete(visit)
    asked, entry = visit.json(), visit.entry
    if asked.get("store") is True and entry.reply is not None and entry.request is not None:
        whole = replace(entry.request, stream=False)
        body = json.loads(visit.route.codec.write_reply(entry.reply, whole))
        chat = Chat(body, tuple(asked["messages"]), asked.get("metadata"))
        visit.standin.store.put(KIND, body["id"], chat)
    return answer


def list_chats(visit: Visit) -> Answer:
    """The stored completions, oldest first unless the query asks otherwise."""
    asked = query(visit)
    rows = [_describe(chat) for chat in visit.standin.store.list(KIND) if _fits(chat, asked)]
    if asked.get("order") == "desc":
        rows.reverse()
    return json_answer(visit, {"object": "list"} | page(rows, asked, _PAGE))


def retrieve_chat(visit: Visit) -> Answer:
    """One stored completion."""
    return json_answer(visit, _describe(_find(visit)))


def update_chat(visit: Visit) -> Answer:
    """Give a stored completion other labels."""
    chat = replace(_find(visit), metadata=take(visit.json(), "metadata", "object", default=None))
    visit.standin.store.put(KIND, chat.body["id"], chat)
    return json_answer(visit, _describe(chat))


def delete_chat(visit: Visit) -> Answer:
    """Forget a stored completion."""
    name = _find(visit).body["id"]
    visit.standin.store.delete(KIND, name)
    return json_answer(visit, {"object": "chat.completion.deleted", "id": name, "deleted": True})


def list_messages(visit: Visit) -> Answer:
    """The messages that a stored completion answers. The SDK's type knows only the role assistant;
    the published example is a user's message, and so are these."""
    chat, asked = _find(visit), query(visit)
    more = {"name": None, "content_parts": None}
    rows = [{"id": f"{chat.body['id']}-{i}"} | m | more for i, m in enumerate(chat.messages)]
    if asked.get("order") == "desc":
        rows.reverse()
    return json_answer(visit, {"object": "list"} | page(rows, asked, _PAGE))


def _find(visit: Visit) -> Chat:
    name = param(visit, "id")
    return kept(visit, KIND, Chat, name, "no_chat", lambda: Chat(_unknown(visit, name)))


def _unknown(visit: Visit, name: str) -> dict[str, Any]:
    """An empty completion under an id that nobody has given out."""
    model = catalogue.default_model(visit.door.provider).id
    reply = Reply(name, model, (Choice("Stored."),), Usage(), visit.standin.clock.now)
    body: dict[str, Any] = json.loads(visit.route.codec.write_reply(reply, Request(model, ())))
    return body


def _describe(chat: Chat) -> dict[str, Any]:
    return chat.body | {"metadata": chat.metadata or {}}


def _fits(chat: Chat, asked: dict[str, str]) -> bool:
    return asked.get("model") in (None, chat.body["model"])
