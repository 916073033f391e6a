"""Fallback: on which errors the next model is asked, when a stream may fall back, what is told."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from course_utils import faults, offline
from course_utils.errors import UnknownModelError
from course_utils.llm.async_client import AsyncLLMClient
from course_utils.llm.breaker import BreakerChat, CircuitBreaker
from course_utils.llm.client import LLMClient
from course_utils.llm.errors import (
    AllModelsFailedError,
    AnswerError,
    AuthenticationError,
    BadRequestError,
    CircuitOpenError,
    ContextLengthError,
    LLMError,
    MessagesError,
    MissingKeyError,
    ModelNotFoundError,
    OverloadedError,
    QuotaError,
    RateLimitError,
    SchemaError,
    ServerError,
    StreamCutError,
)
from course_utils.llm.fallback import (
    AsyncFallback,
    Fallback,
    FallbackResult,
    chat_with_fallback,
    chat_with_fallback_async,
    stream_with_fallback,
)
from course_utils.llm.result import ChatEvent, ChatResult, Finished, TextDelta
from course_utils.wire.catalogue import Model, default_model
from course_utils.wire.reply import Usage

PROVIDERS = ("openai", "anthropic", "google", "local")
QUESTION = "Tell me about the sea."


@pytest.fixture(autouse=True)
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


def asked(session: offline.Session) -> list[str]:
    """The providers that the server was asked for, in order."""
    return [call.provider for call in session.server.log.since(0)]


def name(provider: str) -> str:
    """What a default client of a provider is called."""
    return f"{provider}/{default_model(provider).id}"


@pytest.mark.parametrize("first", PROVIDERS)
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("429", RateLimitError), ("quota", QuotaError), ("500", ServerError),
        ("503", OverloadedError), ("404", ModelNotFoundError), ("dropped", LLMError),
        ("malformed_json", LLMError),
    ],
)  # fmt: skip
def test_falls_back_where_another_model_can_help(
    first: str, fault: str, kind: type[Exception], session: offline.Session
) -> None:
    """The next provider answers, once each is asked, and the result says who and why."""
    second = "anthropic" if first == "openai" else "openai"
    clients = [LLMClient(first), LLMClient(second)]
    with faults(fault, provider=first):
        result = chat_with_fallback(clients, QUESTION)
    assert asked(session) == [first, second]
    assert (result.answered_by, result.provider) == (name(second), second)
    (attempt,) = result.attempts
    assert attempt.name == name(first)
    assert isinstance(attempt.error, kind)
    assert attempt.why.startswith(type(attempt.error).__name__)


@pytest.mark.parametrize(
    ("fault", "kind"), [("401", AuthenticationError), ("403", AuthenticationError)]
)
@pytest.mark.parametrize("first", ["openai", "anthropic"])
def test_does_not_hide_a_wrong_key(
    first: str, fault: str, kind: type[Exception], session: offline.Session
) -> None:
    """What is yours to mend comes back at once, and nobody else is asked."""
    with faults(fault), pytest.raises(kind):
        chat_with_fallback([LLMClient(first), LLMClient("google")], QUESTION)
    assert asked(session) == [first]


@dataclass
class Scripted:
    """A client that answers or fails as told, and counts how often it is asked."""

    provider: str
    says: ChatResult | LLMError | list[ChatEvent | LLMError]
    model: Model | None = None
    asked: int = 0

    @property
    def model_id(self) -> str:
        """A name for the messages."""
        return "scripted"

    def chat(self, messages: Any, **options: Any) -> ChatResult:
        """What it was told."""
        self.asked += 1
        if isinstance(self.says, LLMError):
            raise self.says
        assert isinstance(self.says, ChatResult)
        return self.says

    def stream(self, messages: Any, **options: Any) -> Iterator[ChatEvent]:
        """What it was told, event by event."""
        self.asked += 1
        assert isinstance(self.says, list)
        for event in self.says:
            if isinstance(event, LLMError):
                raise event
            yield event


ANSWER = ChatResult("Yes.", "stop", Usage(5, 2), "m", "p")
KINDS = [kind for kind in vars(__import__("course_utils.llm.errors", fromlist=["x"])).values()
         if isinstance(kind, type) and issubclass(kind, LLMError)]  # fmt: skip


def made(kind: type[LLMError]) -> LLMError:
    """An error of a kind."""
    if kind is CircuitOpenError:
        return CircuitOpenError("x", 5.0)
    if kind is AllModelsFailedError:
        return AllModelsFailedError("x", [])
    if issubclass(kind, AnswerError):
        return kind("x", ANSWER)
    return kind("x")


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_of_the_tree_goes_one_way_or_the_other(kind: type[LLMError]) -> None:
    """Exactly those with `fallback_helps`, an open circuit and another fallback's end go on."""
    first, second = Scripted("a", made(kind)), Scripted("b", ANSWER)
    helps = getattr(kind, "fallback_helps", False) or kind in (
        CircuitOpenError,
        AllModelsFailedError,
    )
    if helps:
        assert chat_with_fallback([first, second], QUESTION).answered_by == "b/scripted"
    else:
        with pytest.raises(kind):
            chat_with_fallback([first, second], QUESTION)
    assert (first.asked, second.asked) == (1, int(helps))


def test_a_late_error_tells_of_the_ones_before() -> None:
    """A wrong key at the second model also says why the first one gave no answer."""
    clients = [Scripted("a", ServerError("down")), Scripted("b", AuthenticationError("wrong key"))]
    with pytest.raises(AuthenticationError) as caught:
        chat_with_fallback(clients, QUESTION)
    assert caught.value.__notes__ == [
        "Before it, a/scripted gave no answer: ServerError: down",
    ]


@pytest.mark.parametrize("streamed", [False, True])
def test_all_failed_tells_of_each(streamed: bool) -> None:
    """The error lists every model with its reason, and keeps each error with its traceback."""
    clients = [LLMClient(provider) for provider in PROVIDERS]
    ask = stream_with_fallback if streamed else chat_with_fallback
    with faults("503"), pytest.raises(AllModelsFailedError) as caught:
        list(ask(clients, QUESTION))  # type: ignore[call-overload]
    error = caught.value
    assert [type(each) for each in error.errors] == [OverloadedError] * 4
    assert all(name(provider) in str(error) for provider in PROVIDERS)
    group = error.__cause__
    assert isinstance(group, ExceptionGroup)
    assert list(group.exceptions) == list(error.errors)
    assert all(each.__traceback__ and each.__cause__ for each in error.errors)


def test_a_prompt_that_is_too_long_goes_to_a_larger_context_only() -> None:
    """Models with no more room are not asked, and the result says so."""
    tight = replace(default_model("openai"), id="tight", context_tokens=1_000)
    too_long = ContextLengthError("too long")
    clients = [
        Scripted("a", too_long, replace(tight, context_tokens=2_000)),
        Scripted("b", ANSWER, tight),
        Scripted("c", ServerError("down"), replace(tight, context_tokens=9_000)),
        Scripted("d", ANSWER, replace(tight, context_tokens=2_000)),
        Scripted("e", ANSWER, replace(tight, context_tokens=2_001)),
    ]
    result = chat_with_fallback(clients, QUESTION)
    assert result.answered_by == "e/scripted"
    assert [client.asked for client in clients] == [1, 0, 1, 0, 1]
    assert [attempt.why for attempt in result.attempts] == [
        "ContextLengthError: too long",
        "its context of 1,000 tokens is no larger",
        "ServerError: down",
        "its context of 2,000 tokens is no larger",
    ]
    assert [attempt.error is None for attempt in result.attempts] == [False, True, False, True]


def test_too_long_for_all_says_so() -> None:
    """Where nobody has more room, the error names the sizes."""
    model = default_model("openai")
    clients = [Scripted("a", ContextLengthError("too long"), model), Scripted("b", ANSWER, model)]
    with pytest.raises(AllModelsFailedError, match="is no larger") as caught:
        chat_with_fallback(clients, QUESTION)
    assert isinstance(caught.value.errors[0], ContextLengthError)


def test_a_model_of_unknown_size_is_asked() -> None:
    """Nothing speaks against a model that the catalogue does not know."""
    clients = [
        Scripted("a", ContextLengthError("too long"), default_model("openai")),
        Scripted("b", ANSWER),
    ]
    assert chat_with_fallback(clients, QUESTION).answered_by == "b/scripted"


def test_real_context_errors(session: offline.Session) -> None:
    """A provider's own 400 on a prompt that is too long reaches the rule above."""
    sizes = {p: default_model(p).context_tokens for p in PROVIDERS}
    first = min(sizes, key=lambda p: sizes[p])
    largest = max(sizes, key=lambda p: sizes[p])
    with faults("context_length", provider=first):
        result = chat_with_fallback([LLMClient(first), LLMClient(largest)], QUESTION)
    assert (result.provider, asked(session)) == (largest, [first, largest])


@pytest.mark.parametrize("fault", ["503", "dropped", "timeout"])
def test_a_stream_falls_back_before_its_first_event(fault: str, session: offline.Session) -> None:
    """The reader sees one whole answer of the second model."""
    first = LLMClient("openai", timeout_s=0.3)
    with faults(fault, provider="openai", wait_s=1.0):
        *deltas, last = stream_with_fallback([first, LLMClient("anthropic")], QUESTION)
    assert isinstance(last, Finished)
    result = last.result
    assert isinstance(result, FallbackResult)
    assert (result.provider, len(result.attempts)) == ("anthropic", 1)
    assert "".join(d.text for d in deltas if isinstance(d, TextDelta)) == result.content
    assert asked(session) == ["openai", "anthropic"]


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("fault", ["cut_stream", "clean_end"])
def test_a_stream_never_falls_back_after_its_first_event(
    provider: str, fault: str, session: offline.Session
) -> None:
    """The reader has part of an answer; the error holds just that, and nobody else is asked."""
    read: list[ChatEvent] = []
    events = stream_with_fallback([LLMClient(provider), LLMClient("openai")], QUESTION)
    with faults(fault, times=1), pytest.raises(StreamCutError) as caught:
        read.extend(events)
    shown = "".join(event.text for event in read if isinstance(event, TextDelta))
    assert shown
    assert caught.value.text == shown
    assert asked(session) == [provider]


def test_a_stream_that_is_cut_before_any_text_falls_back() -> None:
    """Nothing was shown yet, so another model may begin."""
    first = Scripted("a", [StreamCutError("cut")])
    second = Scripted("b", [TextDelta("Yes."), Finished(ANSWER)])
    *_, last = stream_with_fallback([first, second], QUESTION)
    assert isinstance(last, Finished)
    assert last.result.content == "Yes."


def test_an_open_circuit_is_passed_by(session: offline.Session) -> None:
    """A provider that is left alone costs no call, and the result says so."""
    breaker = CircuitBreaker("openai", max_failures=1)
    clients = [BreakerChat(LLMClient("openai"), breaker), LLMClient("google")]
    with faults("500", provider="openai"):
        chat_with_fallback(clients, QUESTION)
    result = chat_with_fallback(clients, QUESTION)
    assert asked(session) == ["openai", "google", "google"]
    assert (result.attempts[0].name, result.provider) == (name("openai"), "google")
    assert isinstance(result.attempts[0].error, CircuitOpenError)


def test_names_stand_for_clients() -> None:
    """A provider's id and a model's id do as clients, and a fallback may stand in another."""
    premium = default_model("anthropic", "premium").id
    with faults("503", provider="openai"):
        result = chat_with_fallback(["openai", premium], QUESTION)
    assert result.answered_by == f"anthropic/{premium}"
    inner = Fallback(["openai", "local"])
    with faults("503", provider="openai"), faults("503", provider="local"):
        assert Fallback([inner, "google"]).chat(QUESTION).provider == "google"


def test_a_missing_key_shows_before_the_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fallback's key is looked for when the list is made, not when the first model is down."""
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    with pytest.raises(MissingKeyError, match="ANTHROPIC_API_KEY"):
        chat_with_fallback(["openai", "anthropic"], QUESTION)


@pytest.mark.parametrize("clients", [[], (), "openai"])
def test_no_list_is_no_fallback(clients: Any) -> None:
    """An empty list, or one name in its place, is refused with an example."""
    with pytest.raises(MessagesError, match=r'\["openai", "anthropic"\]'):
        chat_with_fallback(clients, QUESTION)


def test_an_unknown_model_is_refused() -> None:
    """A name that is neither a provider nor a model is refused when the list is made."""
    with pytest.raises(UnknownModelError):
        Fallback(["openai", "no-such-model"])


def test_a_bad_request_is_not_sent_twice(session: offline.Session) -> None:
    """A tool result without its call is refused by one provider and by no other."""
    orphan = [{"role": "tool", "tool_call_id": "call_1", "content": "1"}]
    with pytest.raises((BadRequestError, MessagesError)):
        chat_with_fallback([LLMClient("openai"), LLMClient("anthropic")], orphan)
    assert len(asked(session)) <= 1


def test_an_answer_that_does_not_fit_is_an_answer() -> None:
    """JSON that does not fit the schema was paid for: it is not asked for elsewhere."""
    first, second = Scripted("a", SchemaError("unfit", ANSWER)), Scripted("b", ANSWER)
    with pytest.raises(SchemaError):
        chat_with_fallback([first, second], QUESTION)
    assert second.asked == 0


def test_async_calls_and_streams(session: offline.Session) -> None:
    """The async fallback does the same in both ways."""

    async def ask() -> tuple[FallbackResult, list[ChatEvent]]:
        clients = [AsyncLLMClient("openai"), AsyncLLMClient("anthropic")]
        with faults("503", provider="openai"):
            result = await chat_with_fallback_async(clients, QUESTION)
            events = [event async for event in AsyncFallback(clients).stream(QUESTION)]
        with faults("503"), pytest.raises(AllModelsFailedError):
            await AsyncFallback(["openai", "local"]).chat(QUESTION)
        with faults("cut_stream"), pytest.raises(StreamCutError):
            [event async for event in AsyncFallback(clients).stream(QUESTION)]
        return result, events

    result, events = asyncio.run(ask())
    assert (result.provider, len(result.attempts)) == ("anthropic", 1)
    assert isinstance(events[-1], Finished)
    assert isinstance(events[-1].result, FallbackResult)
    assert asked(session)[:4] == ["openai", "anthropic"] * 2
