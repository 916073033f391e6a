"""A guard around a client: the call that could pass the limit is refused before it is made.

A guard knows what a call may cost at most: the prompt is counted, and an answer can be as long as
`max_tokens` allows. Put it directly around a client, inside of retries and fallbacks, so that it
sees each call. The stand-in's live mode has a guard of its own, which reads what comes over the
wire and so also guards calls of the bare SDKs; both take the most from `wire.prompt_tokens`.

What professionals use: a spend limit in the provider's console, which stops everything at once,
and LiteLLM's `max_budget`, which looks at what has been spent, so one call too many is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from course_utils.llm.chat import AsyncChat, Chat, Messages
from course_utils.llm.costs import cost_usd
from course_utils.llm.errors import SettingError
from course_utils.llm.messages import as_messages
from course_utils.llm.models import as_model
from course_utils.llm.result import ChatEvent, ChatResult, Finished
from course_utils.llm.spending import Spending
from course_utils.llm.tools import as_tool
from course_utils.llm.wrapping import model_of
from course_utils.wire.catalogue import Model
from course_utils.wire.prompt_tokens import most_usages
from course_utils.wire.request import Request


class BudgetGuard:
    """Answers as `chat` does, as long as no limit can be passed.

    Args:
        chat: an `LLMClient`, or anything with its method `chat`.
        limit_usd, limit_tokens: for all calls together.
        spending: in their place, a `Spending` that several guards share.
        model: whose prices count, for a `chat` that does not tell its model. For a fallback over
            several models, give the dearest.

    Raises SettingError for a negative limit, for none, and where no model is known.
    """

    def __init__(
        self,
        chat: Chat,
        *,
        limit_usd: float | None = None,
        limit_tokens: int | None = None,
        spending: Spending | None = None,
        model: str | Model | None = None,
    ) -> None:
        self.spending = spending or Spending(limit_usd, limit_tokens)
        self.inner: Any = chat
        self._model = _model_of(chat, model)

    def chat(self, messages: Messages, **options: Any) -> ChatResult:
        """The answer; BudgetExceededError, with nothing sent, where it could pass a limit."""
        with self.spending.call(*most(self.inner, self._model, messages, options)) as bill:
            result: ChatResult = self.inner.chat(messages, **options)
            bill.pay(result)
            return result

    def stream(self, messages: Messages, **options: Any) -> Iterator[ChatEvent]:
        """The answer piece by piece; one that is left early counts as the most it could cost."""
        with self.spending.call(*most(self.inner, self._model, messages, options)) as bill:
            for event in self.inner.stream(messages, **options):
                if isinstance(event, Finished):
                    bill.pay(event.result)
                yield event


class AsyncBudgetGuard:
    """The same around an `AsyncLLMClient`: what calls under way may cost is set aside."""

    def __init__(
        self,
        chat: AsyncChat,
        *,
        limit_usd: float | None = None,
        limit_tokens: int | None = None,
        spending: Spending | None = None,
        model: str | Model | None = None,
    ) -> None:
        self.spending = spending or Spending(limit_usd, limit_tokens)
        self.inner = chat
        self._model = _model_of(chat, model)

    async def chat(self, messages: Messages, **options: Any) -> ChatResult:
        """The answer; BudgetExceededError, with nothing sent, where it could pass a limit."""
        with self.spending.call(*most(self.inner, self._model, messages, options)) as bill:
            result = await self.inner.chat(messages, **options)
            bill.pay(result)
            return result


def most(
    chat: object, model: Model, messages: Messages, options: dict[str, Any]
) -> tuple[float, int]:
    """The most that a call may take: USD and tokens."""
    usages = most_usages(_request(chat, model, messages, options), model)
    return max(cost_usd(model, usage) for usage in usages), usages[0].total_tokens


def _request(chat: Any, model: Model, messages: Messages, options: dict[str, Any]) -> Request:
    """What the client will send; for what cannot tell, what the options mean."""
    if hasattr(chat, "request") and hasattr(chat, "fit"):
        fitted: Request = chat.fit(chat.request(messages, **options))[0]
        return fitted
    tools = tuple(map(as_tool, options.get("tools", ())))
    limit = options.get("max_tokens")
    return Request(model.id, as_messages(messages), max_tokens=limit, tools=tools)


def _model_of(chat: object, model: str | Model | None) -> Model:
    known = as_model(model) if model is not None else model_of(chat)
    if known is None:
        raise SettingError(
            f"A guard cannot know what a call of {type(chat).__name__} may cost: give model=, the "
            f"dearest model that it may ask."
        )
    return known
