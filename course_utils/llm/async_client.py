"""The same client for programs that do many things at once: `await` in place of waiting.

What professionals use: the SDKs' asynchronous clients up to some ten calls at once. Beyond that
their connection pool is what costs; `run_batch` takes another road.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from course_utils.llm.chat import Messages
from course_utils.llm.connections import async_connection
from course_utils.llm.failures import reraise
from course_utils.llm.result import ChatEvent, ChatResult
from course_utils.llm.stream import StreamRun
from course_utils.llm.target import Target, parsed
from course_utils.wire.catalogue import Model, Tier
from course_utils.wire.request import Request

if TYPE_CHECKING:
    from course_utils.llm.structured import Schema


class AsyncLLMClient:
    """A client for one model of one provider, for use with asyncio.

    Its arguments, and the errors that they raise, are those of `LLMClient`.
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
        return f"AsyncLLMClient({self.provider!r}, {self.model_id!r})"

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
        """The request that messages and options make; nothing is sent."""
        return self._target.request(messages, **options)

    def fit(self, request: Request) -> tuple[Request, tuple[str, ...]]:
        """The request as the model takes it, with a sentence for each thing that was changed."""
        return self._target.fit(request)

    async def chat(
        self, messages: Messages, *, schema: Schema | None = None, **options: Any
    ) -> ChatResult:
        """Ask, and get the whole answer. Raises what `LLMClient.chat` raises."""
        return parsed(await self.send(self.request(messages, schema=schema, **options)), schema)

    async def send(self, request: Request) -> ChatResult:
        """Send a request, and get the whole answer; a ProviderError where there is none."""
        target = self._target
        request, warnings = target.fit(request)
        sdk = async_connection(target.address)
        began = time.perf_counter()
        try:
            asked = target.driver.ask(sdk, request)
            answer = target.read(await asked)
        except Exception as error:
            reraise(target.failed(error), error)
        return target.result(answer, warnings, time.perf_counter() - began)

    def stream(
        self, messages: Messages, *, schema: Schema | None = None, **options: Any
    ) -> AsyncIterator[ChatEvent]:
        """Ask, and get the answer piece by piece, with `async for`. As `LLMClient.stream`."""
        return self._events(self.request(messages, schema=schema, **options), schema)

    async def _events(self, request: Request, schema: Schema | None) -> AsyncIterator[ChatEvent]:
        target = self._target
        request, warnings = target.fit(request, stream=True)
        sdk = async_connection(target.address)
        began = time.perf_counter()
        run: StreamRun | None = None
        try:
            stream = await target.driver.ask(sdk, request)
            try:
                run = StreamRun(target, stream, warnings, began)
                async for event in stream:
                    for piece in run.take(event):
                        yield piece
            finally:
                # The SDKs' streams have `close`, Google's is a generator.
                await (stream.aclose() if hasattr(stream, "aclose") else stream.close())
        except Exception as error:
            reraise(run.broken(error) if run else target.failed(error), error)
        yield run.finish(schema)
