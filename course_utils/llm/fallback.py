"""Ask the next model where one fails, but only where another model can help.

A 503, a rate limit, a used-up quota, a retired model, a lost connection: another model may answer.
A malformed request or a wrong key is yours to mend: asking elsewhere would only hide it. An answer
that was refused or cut at the token limit is an answer, and comes back as it is. A prompt that is
too long goes on only to models with a larger context.

A stream falls back only before its first event. Later, part of an answer is already on the
reader's screen, and a second model would begin another one: you get StreamCutError with the
partial text, and decide.

What professionals use: LiteLLM's Router with `fallbacks` and `context_window_fallbacks`, and the
gateways OpenRouter and Envoy AI Gateway. Plain `fallbacks` of LiteLLM also go on after a wrong key
and after a prompt that is too long, whatever the next model's context
(tests/benchmarks/fallbacks.py shows it).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from course_utils.llm.chat import AsyncChat, Chat, Messages
from course_utils.llm.errors import (
    AllModelsFailedError,
    CircuitOpenError,
    ContextLengthError,
    LLMError,
    MessagesError,
    ProviderError,
)
from course_utils.llm.result import ChatEvent, ChatResult, Finished
from course_utils.llm.wrapping import (
    astream_of,
    identity_of,
    model_of,
    name_of,
    saying_more,
    stream_of,
)

C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class Attempt:
    """A model that did not answer, and why; `error` is None where it was not even asked."""

    name: str
    why: str
    error: LLMError | None = None


@dataclass(frozen=True, slots=True)
class FallbackResult(ChatResult):
    """An answer that also says who gave it, and why others did not.

    Attributes:
        answered_by: "provider/model" of the client that answered.
        attempts: those before it, in the order in which they were asked.
    """

    answered_by: str = ""
    attempts: tuple[Attempt, ...] = ()


class Fallback:
    """Several clients as one: the first that can answers.

    Args:
        clients: in the order of preference. A provider's id or a model's id stands for an
            `LLMClient`, which is made now: a missing key shows today, not on the day of an outage.
    """

    def __init__(self, clients: Sequence[Chat | str]) -> None:
        self.clients: tuple[Chat, ...] = tuple(
            _client(c) if isinstance(c, str) else c for c in _some(clients)
        )

    @property
    def name(self) -> str | None:
        """The names of all clients, None where one of them has none."""
        return _names(self.clients)

    def chat(self, messages: Messages, **options: Any) -> FallbackResult:
        """The first answer; AllModelsFailedError where nobody has one."""
        trail = _Trail()
        for client in trail.open_to(self.clients):
            try:
                return trail.answered(client, client.chat(messages, **options))
            except LLMError as error:
                trail.failed(client, error)
        raise trail.exhausted()

    def stream(self, messages: Messages, **options: Any) -> Iterator[ChatEvent]:
        """The events of the first answer that begins; the last holds a FallbackResult."""
        trail = _Trail()
        for client in trail.open_to(self.clients):
            try:
                for event in stream_of(client, messages, options):
                    yield trail.passed_on(client, event)
                return
            except LLMError as error:
                trail.failed(client, error)
        raise trail.exhausted()


class AsyncFallback:
    """The same with async clients."""

    def __init__(self, clients: Sequence[AsyncChat | str]) -> None:
        self.clients: tuple[AsyncChat, ...] = tuple(
            _async_client(c) if isinstance(c, str) else c for c in _some(clients)
        )

    @property
    def name(self) -> str | None:
        """The names of all clients, None where one of them has none."""
        return _names(self.clients)

    async def chat(self, messages: Messages, **options: Any) -> FallbackResult:
        """The first answer; AllModelsFailedError where nobody has one."""
        trail = _Trail()
        for client in trail.open_to(self.clients):
            try:
                return trail.answered(client, await client.chat(messages, **options))
            except LLMError as error:
                trail.failed(client, error)
        raise trail.exhausted()

    async def stream(self, messages: Messages, **options: Any) -> AsyncIterator[ChatEvent]:
        """The events of the first answer that begins; the last holds a FallbackResult."""
        trail = _Trail()
        for client in trail.open_to(self.clients):
            try:
                async for event in astream_of(client, messages, options):
                    yield trail.passed_on(client, event)
                return
            except LLMError as error:
                trail.failed(client, error)
        raise trail.exhausted()


def chat_with_fallback(
    clients: Sequence[Chat | str], messages: Messages, **options: Any
) -> FallbackResult:
    """Ask the first of ``clients``, and the next where another model can help.

    Raises:
        AllModelsFailedError: nobody answered; `errors` are the reasons, in order.
        LLMError: an error that no other model can cure, as it came.
    """
    return Fallback(clients).chat(messages, **options)


def stream_with_fallback(
    clients: Sequence[Chat | str], messages: Messages, **options: Any
) -> Iterator[ChatEvent]:
    """The same as a stream of events."""
    return Fallback(clients).stream(messages, **options)


async def chat_with_fallback_async(
    clients: Sequence[AsyncChat | str], messages: Messages, **options: Any
) -> FallbackResult:
    """The same with async clients."""
    return await AsyncFallback(clients).chat(messages, **options)


class _Trail:
    """What one call has met so far; it asks nobody itself, so sync and async share it."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []
        self._too_small = 0
        self._begun = False

    def open_to(self, clients: Sequence[C]) -> Iterator[C]:
        """The clients one after the other, without those whose context is known to be too small."""
        for client in clients:
            model = model_of(client)
            if self._too_small and model and model.context_tokens <= self._too_small:
                why = f"its context of {model.context_tokens:,} tokens is no larger"
                self.attempts.append(Attempt(name_of(client), why))
            else:
                yield client

    def passed_on(self, client: object, event: ChatEvent) -> ChatEvent:
        """An event of a stream on its way to the reader."""
        self._begun = True
        if isinstance(event, Finished):
            return Finished(self.answered(client, event.result))
        return event

    def answered(self, client: object, result: ChatResult) -> FallbackResult:
        """The answer with the story of how it was come by."""
        name = name_of(client)
        return saying_more(FallbackResult, result, answered_by=name, attempts=tuple(self.attempts))

    def failed(self, client: object, error: LLMError) -> None:
        """Note a failure; raise it where no other model can cure it, or it comes too late."""
        if self._begun or not _another_may_help(error):
            for attempt in self.attempts:
                error.add_note(f"Before it, {attempt.name} gave no answer: {attempt.why}")
            raise error
        model = model_of(client)
        if isinstance(error, ContextLengthError) and model:
            self._too_small = model.context_tokens  # larger than the last: others were not asked
        self.attempts.append(Attempt(name_of(client), f"{type(error).__name__}: {error}", error))

    def exhausted(self) -> AllModelsFailedError:
        """The error that tells of all; its cause is the group of them, with their tracebacks."""
        lines = [f"- {attempt.name}: {attempt.why}" for attempt in self.attempts]
        errors = [attempt.error for attempt in self.attempts if attempt.error]
        error = AllModelsFailedError(
            "No model answered. Look at the reasons, and add a model of another provider to the "
            "list, or ask again later:\n" + "\n".join(lines),
            errors,
        )
        error.__cause__ = ExceptionGroup("what each model failed with", errors)
        return error


def _another_may_help(error: LLMError) -> bool:
    if isinstance(error, ProviderError):
        return error.fallback_helps
    return isinstance(error, CircuitOpenError | AllModelsFailedError)


def _names(clients: Sequence[object]) -> str | None:
    names = [identity_of(client) for client in clients]
    return None if None in names else " or ".join(map(str, names))


def _some(clients: Sequence[C]) -> Sequence[C]:
    if isinstance(clients, str) or not clients:
        raise MessagesError(
            f"A fallback needs a list of models or clients, not {clients!r}: give it as in "
            f'["openai", "anthropic"].'
        )
    return clients


def _client(name: str) -> Chat:
    from course_utils.llm.client import LLMClient

    return LLMClient(*_provider_and_model(name))


def _async_client(name: str) -> AsyncChat:
    from course_utils.llm.async_client import AsyncLLMClient

    return AsyncLLMClient(*_provider_and_model(name))


def _provider_and_model(name: str) -> tuple[str, str | None]:
    """A provider's id, or a model's id with the provider that the catalogue has it at."""
    from course_utils.wire.catalogue import find_model, providers

    if any(provider.id == name for provider in providers()):
        return name, None
    return find_model(name).provider, name
