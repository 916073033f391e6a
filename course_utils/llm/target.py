"""Which model is asked, and where: what the two clients share.

It holds no connection and sends nothing; it turns what a caller writes into a `Request`, and what
an SDK answers into a `ChatResult`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from course_utils.errors import RetiredModelError, UnknownModelError
from course_utils.llm.chat import Messages
from course_utils.llm.costs import cost_usd
from course_utils.llm.errors import MessagesError, MissingKeyError, ProviderError
from course_utils.llm.failures import UnreadableAnswerError, failure
from course_utils.llm.messages import as_messages
from course_utils.llm.providers import Address, Answer, Driver, driver_of
from course_utils.llm.quirks import fit
from course_utils.llm.result import ChatResult
from course_utils.wire import catalogue
from course_utils.wire.catalogue import Model, Tier
from course_utils.wire.reply import Usage
from course_utils.wire.request import Request

if TYPE_CHECKING:
    from course_utils.llm.structured import Schema

# What a local server is sent, which asks for no key: the SDK wants one.
_NO_KEY = "none"
# google-genai reads this one first.
_OTHER_KEYS = {"google": ("GOOGLE_API_KEY",)}
_LIMITS = {"max_tokens": (1, None), "temperature": (0, 2), "top_p": (0, 1)}


@dataclass(frozen=True, slots=True)
class Target:
    """One model at one address. `model` is None where the catalogue does not have it."""

    provider: str
    model_id: str
    model: Model | None
    address: Address
    driver: Driver

    @classmethod
    def of(
        cls,
        provider: str,
        model: str | None,
        tier: Tier,
        api_key: str | None,
        base_url: str | None,
        timeout_s: float,
    ) -> Target:
        """The target that a client's arguments name.

        Raises UnknownProviderError, UnknownModelError, RetiredModelError and MissingKeyError.
        """
        known = catalogue.provider(provider)
        if timeout_s <= 0:
            raise MessagesError(f"timeout_s is {timeout_s}: give seconds, more than 0.")
        own = base_url is not None or known.key_env is None
        found = _model(provider, model, tier, allow_unknown=own)
        base_url = base_url or os.environ.get(known.base_url_env or "") or known.base_url
        key = api_key or _key(provider, known.key_env)
        model_id = found.id if found and model is None else model or ""
        address = Address(provider, base_url, key, timeout_s)
        return cls(provider, model_id, found, address, driver_of(provider))

    def request(
        self,
        messages: Messages,
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        stop: str | Sequence[str] = (),
        seed: int | None = None,
        tools: Sequence[Any] = (),
        tool_choice: str | None = None,
        parallel_tool_calls: bool = True,
        schema: Schema | None = None,
        json_mode: bool = False,
        reasoning_effort: str | None = None,
    ) -> Request:
        """The request that these messages and options make; nothing is sent.

        Raises MessagesError for what is not of its shape, and ToolError for what is no tool.
        """
        _check(max_tokens=max_tokens, temperature=temperature, top_p=top_p)
        return Request(
            model=self.model_id,
            messages=as_messages(messages),
            max_tokens=max_tokens,
            temperature=temperature,
            top_p=top_p,
            stop=(stop,) if isinstance(stop, str) else tuple(stop),
            seed=seed,
            tools=_tools(tools) if tools else (),
            tool_choice=tool_choice,
            parallel_tool_calls=parallel_tool_calls,
            json_mode=json_mode,
            json_schema=_json_schema(schema) if schema is not None else None,
            reasoning_effort=reasoning_effort,
        )

    def fit(self, request: Request, *, stream: bool = False) -> tuple[Request, tuple[str, ...]]:
        """The request as the model takes it, with a sentence for each thing that was changed."""
        if request.stream is not stream or request.stream_usage is not stream:
            request = replace(request, stream=stream, stream_usage=stream)
        return fit(request, self.provider, self.model)

    def read(self, answer: Any) -> Answer:
        """What an SDK's answer says; UnreadableAnswerError where it is none."""
        read = self.driver.read(answer)
        if read.reply.finish_reason is None:
            raise UnreadableAnswerError("it is JSON, but no answer of a model")
        return read

    def failed(self, error: Exception) -> Exception:
        """The toolkit's error for what an SDK raised; the same error where it is no failure."""
        if isinstance(error, ProviderError):
            return error
        return failure(error, self.provider, self.model_id) or error

    def result(
        self,
        answer: Answer,
        warnings: tuple[str, ...],
        latency_s: float,
        first_token_s: float | None = None,
    ) -> ChatResult:
        """The result of one call."""
        reply = answer.reply
        choice = reply.choices[0]
        finish_reason = choice.finish_reason or ""
        refusal = choice.refusal
        if refusal is None and finish_reason == "content_filter":
            refusal = choice.text or None
        return ChatResult(
            content=choice.text,
            finish_reason=finish_reason,
            usage=reply.usage,
            model=reply.model or self.model_id,
            provider=self.provider,
            tool_calls=choice.tool_calls,
            cost_usd=self._cost_usd(reply.usage),
            latency_s=latency_s,
            first_token_s=first_token_s,
            request_id=answer.request_id,
            refusal=refusal,
            thoughts=answer.thoughts,
            warnings=warnings,
            raw=answer.raw,
        )

    def _cost_usd(self, usage: Usage) -> float | None:
        return None if self.model is None else cost_usd(self.model, usage)


def parsed(result: ChatResult, schema: Schema | None) -> ChatResult:
    """The result with the object that was asked for, where one was."""
    if schema is None:
        return result
    from course_utils.llm import structured

    return structured.parse(result, schema)


def _model(provider: str, model: str | None, tier: Tier, *, allow_unknown: bool) -> Model | None:
    if model is None:
        return catalogue.default_model(provider, tier)
    try:
        return catalogue.find_model(model, provider)
    except RetiredModelError:
        raise
    except UnknownModelError:
        if allow_unknown:
            return None
        raise


def _key(provider: str, variable: str | None) -> str:
    if variable is None:
        return _NO_KEY
    names = (*_OTHER_KEYS.get(provider, ()), variable)
    key = next(filter(None, map(os.environ.get, names)), None)
    if key is None:
        raise MissingKeyError(
            f"There is no API key for {provider}: set the environment variable {variable}, give "
            f"api_key=, or work offline with course_utils.start()."
        )
    return key


def _check(**options: float | None) -> None:
    """Refuse numbers that no provider takes, before anything is sent."""
    for name, value in options.items():
        if value is None:
            continue
        least, most = _LIMITS[name]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise MessagesError(f"{name} is {value!r}: give a number.")
        if not least <= value or (most is not None and value > most):
            allowed = f"{least} or more" if most is None else f"between {least} and {most}"
            raise MessagesError(f"{name} is {value}: give {allowed}.")


def _tools(tools: Sequence[Any]) -> tuple[Any, ...]:
    from course_utils.llm.tools import as_tool

    return tuple(map(as_tool, tools))


def _json_schema(schema: Schema) -> Mapping[str, Any]:
    from course_utils.llm import structured

    return structured.json_schema(schema)
