"""A conversation that knows how full the model's context is.

Counting everything again at each turn makes a long conversation slow: its thousandth message costs
a thousand counts. A `TokenBudget` counts each message once, when it comes.

What professionals use: what the provider billed for the last call (`usage.prompt_tokens`) plus a
count of what came since, or LangChain's `trim_messages` with a counter that remembers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from course_utils.llm.errors import SettingError
from course_utils.llm.models import as_model
from course_utils.llm.tokens import (
    SYSTEM_ROLES,
    Estimate,
    counter_for,
    frame,
    reason_for_estimate,
    roles_of,
)
from course_utils.llm.tools import ToolSource
from course_utils.llm.trimming import places_that_fit
from course_utils.wire.catalogue import Model
from course_utils.wire.request import Message


class TokenBudget:
    """The messages of a conversation, their tokens, and the room that is left for more.

    Adding a message costs as much as counting it, however long the conversation is.

    Args:
        model: whose tokens and whose context; an id of the catalogue or a `Model`.
        max_context: how many tokens the conversation may have; by default the model's context.
        tools: what is sent with each call, and counts too.

    Raises UnknownModelError, and SettingError where `max_context` holds nothing.
    """

    def __init__(
        self,
        model: str | Model,
        max_context: int | None = None,
        *,
        tools: Sequence[ToolSource] = (),
    ) -> None:
        self.model = as_model(model)
        self.max_context = self.model.context_tokens if max_context is None else max_context
        if self.max_context < 1:
            raise SettingError(
                f"max_context is {max_context}, and nothing fits into that: give at least 1."
            )
        self._counter = counter_for(self.model)
        self._frames = frame(self.model, (), tools), frame(self.model, ("system",), tools)
        self._messages: list[Any] = []
        self._roles: list[str] = []
        self._counts: list[int] = []
        self._total = 0
        self._systems = 0

    @property
    def messages(self) -> list[Any]:
        """What would be sent now, oldest first, in a list of its own."""
        return list(self._messages)

    def add_system(self, text: str) -> None:
        """Put the system prompt first; a second one replaces it."""
        if self._roles[:1] == ["system"]:
            self._drop(0)
        self._insert(0, {"role": "system", "content": text})

    def add_message(self, role: str, content: str) -> None:
        """Append a message that is text alone."""
        self.add({"role": role, "content": content})

    def add(self, message: Mapping[str, Any] | Message) -> None:
        """Append any message, such as `result.message` or the result of a tool.

        Raises MessagesError where it has the wrong shape.
        """
        self._insert(len(self._messages), message)

    def tokens_used(self) -> int | Estimate:
        """The tokens of the whole prompt; an `Estimate` where the model's tokenizer is secret."""
        return self._said(self._used())

    def tokens_remaining(self) -> int | Estimate:
        """What is left of `max_context`; negative where the conversation is too long."""
        return self._said(self.max_context - self._used())

    def would_fit(self, message: str | Mapping[str, Any] | Message, reserve: int = 0) -> bool:
        """Whether a message (a text is the user's) fits and leaves `reserve` tokens free."""
        asked = {"role": "user", "content": message} if isinstance(message, str) else message
        return self._used() + self._counter.count(asked) + reserve <= self.max_context

    def trim_to_fit(self, reserve: int = 1000) -> int:
        """Drop the oldest messages until `reserve` tokens are free; how many were dropped.

        It keeps what `trimming.trim_to_fit` keeps, and needs no counting.

        Raises:
            BudgetExceededError: even the newest turn alone leaves too few free.
        """
        framed = self._frames[self._systems > 0]
        room = self.max_context - reserve - framed
        before = len(self._messages)
        if self._total <= room:
            return 0
        count = self._counts.__getitem__
        kept = places_that_fit(self._messages, self._roles, count, room, self.model)
        self._messages = [self._messages[i] for i in kept]
        self._roles = [self._roles[i] for i in kept]
        self._counts = [self._counts[i] for i in kept]
        self._total = sum(self._counts)
        return before - len(kept)

    def _used(self) -> int:
        return self._total + self._frames[self._systems > 0]

    def _said(self, tokens: int) -> int | Estimate:
        why = reason_for_estimate(self.model)
        return Estimate(tokens, why) if why else tokens

    def _insert(self, place: int, message: Mapping[str, Any] | Message) -> None:
        [role] = roles_of([message])
        counted = self._counter.count(message, place)
        self._messages.insert(place, message)
        self._roles.insert(place, role)
        self._counts.insert(place, counted)
        self._total += counted
        self._systems += role in SYSTEM_ROLES

    def _drop(self, place: int) -> None:
        self._messages.pop(place)
        self._systems -= self._roles.pop(place) in SYSTEM_ROLES
        self._total -= self._counts.pop(place)
