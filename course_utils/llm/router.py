"""Which tier of model a task needs: rules that can be read as a table, and how sure they are.

Each rule that finds its words adds its points. A low sum is a task for the budget tier, a high
one for the premium tier. The rules read words, not minds, so they also say how sure they are: sure
where the sum is far from the next border, unsure near one, and unsure where no rule found anything
or the task is not in English. When unsure, the router goes one tier up: a model that is too good
costs a cent, one that is too weak costs a wrong answer.

How good is that? Of 20 tasks that no rule was made for, 14 go where they belong, one too high and
five too low (tests/test_llm_router.py). Good for saving money where a weak answer does no harm.

What professionals use: RouteLLM and NotDiamond learn from labelled answers which model is good
enough; LiteLLM's complexity router scores keywords and length, as this one does, without saying how
sure it is; OpenRouter's auto model decides for you. Before any of them: measure with comparing.py
on your own tasks.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from course_utils.errors import UnknownModelError
from course_utils.llm.chat import AsyncChat, Chat, Messages
from course_utils.llm.errors import SettingError
from course_utils.llm.messages import as_messages
from course_utils.llm.result import ChatEvent, ChatResult, Finished
from course_utils.llm.routing_rules import RULES, instruction, looks_english
from course_utils.llm.wrapping import astream_of, name_of, saying_more, stream_of
from course_utils.wire.catalogue import Tier

TIERS: tuple[Tier, ...] = ("budget", "standard", "premium")
# From so many points on a task is standard, and premium.
BORDERS = (1.0, 4.0)
# Below this confidence the next tier up is taken, where the next border is above.
SURE = 0.8


@dataclass(frozen=True, slots=True)
class Route:
    """Where a task goes, and why.

    Attributes:
        tier: budget, standard or premium.
        score: the sum of the points.
        confidence: how sure that is, from 0.5 (a toss-up) to 1.
        reasons: each rule that found something, with its points.
    """

    tier: Tier
    score: float
    confidence: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RoutedResult(ChatResult):
    """An answer that also says why this model was asked."""

    route: Route | None = None


def route(task: Messages) -> Route:
    """The tier for a task: a text, or a conversation, of which the last user message is read.

    Raises MessagesError for messages of the wrong shape.
    """
    text = _task(task)
    asked = instruction(text)
    scored = [
        (rule, min(rule.most, rule.found(text if rule.whole else asked)) * rule.points)
        for rule in RULES
    ]
    reasons = [f"{points:+.1f} {rule.reason}" for rule, points in scored if points]
    score = sum(points for _, points in scored)
    confidence = _confidence(score)
    if doubt := _doubt(asked, reasons):
        reasons.append(doubt)
        confidence = 0.5
    place = sum(score >= border for border in BORDERS)
    if _goes_up(score, place, confidence):
        place += 1
        reasons.append(f"unsure ({confidence:.2f}): one tier up")
    return Route(TIERS[place], score, confidence, tuple(reasons))


class RoutedClient:
    """One provider's three tiers as one client.

    Args:
        provider: whose model of each tier is asked, as the catalogue names it.
        clients: other clients for the tiers; those left out are made at their first use.

    Raises UnknownModelError for a tier that there is not, and what `LLMClient` raises.
    """

    def __init__(
        self, provider: str = "openai", clients: Mapping[Tier, Chat] | None = None
    ) -> None:
        self.name = _name(provider, clients or {})
        self._provider = provider
        self._clients = dict(clients or {})

    def chat(self, messages: Messages, **options: Any) -> RoutedResult:
        """The answer of the model that the task needs."""
        way = route(messages)
        return _routed(self.client(way.tier).chat(messages, **options), way)

    def stream(self, messages: Messages, **options: Any) -> Iterator[ChatEvent]:
        """The same as a stream of events; the last holds a RoutedResult."""
        way = route(messages)
        for event in stream_of(self.client(way.tier), messages, options):
            yield Finished(_routed(event.result, way)) if isinstance(event, Finished) else event

    def client(self, tier: Tier) -> Chat:
        """The client of a tier."""
        if tier not in self._clients:
            from course_utils.llm.client import LLMClient

            self._clients[tier] = LLMClient(self._provider, tier=tier)
        return self._clients[tier]


class AsyncRoutedClient:
    """The same with async clients."""

    def __init__(
        self, provider: str = "openai", clients: Mapping[Tier, AsyncChat] | None = None
    ) -> None:
        self.name = _name(provider, clients or {})
        self._provider = provider
        self._clients = dict(clients or {})

    async def chat(self, messages: Messages, **options: Any) -> RoutedResult:
        """The answer of the model that the task needs."""
        way = route(messages)
        return _routed(await self.client(way.tier).chat(messages, **options), way)

    async def stream(self, messages: Messages, **options: Any) -> AsyncIterator[ChatEvent]:
        """The same as a stream of events; the last holds a RoutedResult."""
        way = route(messages)
        async for event in astream_of(self.client(way.tier), messages, options):
            yield Finished(_routed(event.result, way)) if isinstance(event, Finished) else event

    def client(self, tier: Tier) -> AsyncChat:
        """The client of a tier."""
        if tier not in self._clients:
            from course_utils.llm.async_client import AsyncLLMClient

            self._clients[tier] = AsyncLLMClient(self._provider, tier=tier)
        return self._clients[tier]


def accuracy(labelled: Sequence[tuple[str, Tier]]) -> float:
    """The share of tasks that go to the tier they are labelled with, from 0 to 1.

    Raises SettingError where there are none.
    """
    if not labelled:
        raise SettingError("There are no labelled tasks: give some, as in [(task, 'budget')].")
    return sum(route(task).tier == tier for task, tier in labelled) / len(labelled)


def _name(provider: str, clients: Mapping[Tier, object]) -> str:
    """What tells one router from another in a cache; UnknownModelError for an unknown tier."""
    for tier in clients:
        if tier not in TIERS:
            raise UnknownModelError.for_tier(tier, TIERS)
    others = (f"{tier} {name_of(client)}" for tier, client in clients.items())
    return ", ".join([f"routed/{provider}", *others])


def _routed(result: ChatResult, way: Route) -> RoutedResult:
    return saying_more(RoutedResult, result, route=way)


def _task(messages: Messages) -> str:
    texts = [message.text for message in as_messages(messages) if message.role == "user"]
    return texts[-1] if texts else ""


def _confidence(score: float) -> float:
    """0.5 on a border, and half of the rest for each point away from it."""
    return 1 - 0.5 * math.exp2(-min(abs(score - border) for border in BORDERS))


def _doubt(text: str, reasons: Sequence[str]) -> str | None:
    """Why the rules know nothing of a task; None where they do."""
    if not text.isascii() and sum(ch.isascii() for ch in text) < len(text) / 2:
        return "not in English, which is all that the rules read"
    if len(text.split()) >= 5 and not looks_english(text):
        return "not in English, which is all that the rules read"
    return None if reasons else "no rule found anything"


def _goes_up(score: float, place: int, confidence: float) -> bool:
    """Unsure, and the tier above is the other one in question."""
    if confidence >= SURE or place == len(BORDERS):
        return False
    nothing_known = confidence == 0.5 and score not in BORDERS
    below = BORDERS[place - 1] if place else float("-inf")
    return nothing_known or BORDERS[place] - score <= score - below
