"""One client for four providers: OpenAI, Anthropic, Google and local servers.

    client = LLMClient("anthropic")
    result = client.chat("What is an API, in one sentence?")

It works over the providers' own SDKs and adds what they leave open: one shape of messages, of
results, of events and of errors, what a model refuses left out with a warning, costs, and an error
where a stream was cut. It never repeats a call: that is `call_with_retry`'s work. What
professionals use: LiteLLM, aisuite, any-llm, and LangChain's chat models.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

from course_utils.llm.chat import Messages
from course_utils.llm.connections import connection
from course_utils.llm.failures import reraise
from course_utils.llm.result import ChatEvent, ChatResult
from course_utils.llm.stream import StreamRun
from course_utils.llm.target import Target, parsed
from course_utils.wire.catalogue import Model, Tier
from course_utils.wire.request import Request

if TYPE_CHECKING:
    from course_utils.llm.structured import Schema


class LLMClient:
    """A client for one model of one provider.

    Args:
        provider: openai, anthropic, google or local.
        model: the model's id; without one, the course's model of that `tier`.
        tier: budget, standard or premium.
        api_key: without one, the environment variable that the provider's SDK reads.
        base_url: another address; the same environment decides without one.
        timeout_s: how long the provider may be silent, in seconds.

    Raises UnknownProviderError, UnknownModelError, RetiredModelError and MissingKeyError. An id
    that the catalogue lacks is taken with `base_url`, and at local servers; it has no cost then.
    """

    def __init__(
        self,
        provider: str = "openai",
        model: str | None = None,
        *,
        tier: Tier = "standard",
        api_key: str | None = None,
        base_url: str | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        self._target = Target.of(provider, model, tier, api_key, base_url, timeout_s)

    def __repr__(self) -> str:
        return f"LLMClient({self.provider!r}, {self.model_id!r})"

    @property
    def provider(self) -> str:
        """The provider's id in the catalogue."""
        return self._target.provider

    @property
    def model(self) -> Model | None:
        """The model as the catalogue knows it; None where it does not."""
        return self._target.model

    @property
    def model_id(self) -> str:
        """The model's id, as it is sent."""
        return self._target.model_id

    def request(self, messages: Messages, **options: Any) -> Request:
        """The request that messages and options make, whatever the model takes; nothing is sent.

        The options are those of `Target.request`: max_tokens, temperature, top_p, stop, seed,
        tools, tool_choice, parallel_tool_calls, schema, json_mode and reasoning_effort.
        """
        return self._target.request(messages, **options)

    def fit(self, request: Request) -> tuple[Request, tuple[str, ...]]:
        """The request as the model takes it, with a sentence for each thing that was changed."""
        return self._target.fit(request)

    def chat(
        self, messages: Messages, *, schema: Schema | None = None, **options: Any
    ) -> ChatResult:
        """Ask, and wait for the whole answer.

        Raises MessagesError for what cannot be sent, a ProviderError where there is no answer, and
        an AnswerError where the answer does not fit the `schema`.
        """
        return parsed(self.send(self.request(messages, schema=schema, **options)), schema)

    def send(self, request: Request) -> ChatResult:
        """Send a request, and wait for the whole answer; a ProviderError where there is none."""
        target = self._target
        request, warnings = target.fit(request)
        sdk = connection(target.address)
        began = time.perf_counter()
        try:
            answer = target.read(target.driver.ask(sdk, request))
        except Exception as error:
            reraise(target.failed(error), error)
        return target.result(answer, warnings, time.perf_counter() - began)

    def stream(
        self, messages: Messages, *, schema: Schema | None = None, **options: Any
    ) -> Iterator[ChatEvent]:
        """Ask, and get the answer piece by piece; the last event is `Finished`, with the result.

        Raises what `chat` raises, and StreamCutError, which holds the text that came, where the
        stream ends before the model says why.
        """
        return self._events(self.request(messages, schema=schema, **options), schema)

    def _events(self, request: Request, schema: Schema | None) -> Iterator[ChatEvent]:
        target = self._target
        request, warnings = target.fit(request, stream=True)
        sdk = connection(target.address)
        began = time.perf_counter()
        run: StreamRun | None = None
        try:
            with closing(target.driver.ask(sdk, request)) as stream:
                run = StreamRun(target, stream, warnings, began)
                for event in stream:
                    yield from run.take(event)
        except Exception as error:
            reraise(run.broken(error) if run else target.failed(error), error)
        yield run.finish(schema)
