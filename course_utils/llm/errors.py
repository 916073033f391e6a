"""Every error of the toolkit, in one tree.

    LLMError
    ├── ProviderError              the provider refused the call, or gave no whole answer
    │   ├── BadRequestError        400, 413, 422: mend the request, sending it again cannot help
    │   │   └── ContextLengthError the prompt is longer than the model's context
    │   ├── AuthenticationError    401, 403: the key is wrong, or may not do this
    │   ├── ModelNotFoundError     404: no such model, or a retired one
    │   ├── RateLimitError         429: too fast; wait, and ask again
    │   ├── QuotaError             429 too, but the money is used up: waiting cannot help
    │   ├── ServerError            500 and up: the provider's fault
    │   │   └── OverloadedError    503, 529: the provider has too much to do
    │   ├── ConnectionLostError    no answer came
    │   ├── CallTimeoutError       no answer came in time (a TimeoutError as well)
    │   └── StreamCutError         a stream ended early; `text` is what had come
    ├── AnswerError                the answer is whole, but not what was asked for
    │   ├── TruncatedError         cut at the token limit
    │   ├── RefusedError           the model declined
    │   └── SchemaError            no JSON, or JSON that does not fit the schema
    ├── ToolError                  a tool cannot be described, was refused, or raised
    ├── MessagesError              the messages or options are not of the shape that chat() takes
    ├── SettingError               a number or name that makes no sense, such as a negative limit
    ├── MissingKeyError            no API key is set for the provider
    ├── BudgetExceededError        the call could pass the limit on money or tokens
    ├── CircuitOpenError           the provider is down and is not asked for a while
    ├── AllModelsFailedError       a fallback has no model left to ask
    └── CacheError                 a cache file cannot be read or written

A `ProviderError` says two things that a program may act on: `retryable`, whether the same call can
succeed later, and `fallback_helps`, whether another model may answer where this one did not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from course_utils.errors import CourseError

if TYPE_CHECKING:
    from course_utils.llm.result import ChatResult


class LLMError(CourseError):
    """Base of all errors of the toolkit: catch this one to catch them all."""


class ProviderError(LLMError):
    """The provider refused the call, or gave no whole answer.

    Attributes:
        provider: the provider's id in the catalogue.
        model: the model that was asked for, None where the call names none.
        status: the HTTP status, None where no answer came.
        code: the provider's own word for the error, such as "insufficient_quota".
        request_id: what the provider's support asks for.
        retry_after_s: how long the provider says to wait, in seconds; None where it does not.

    The SDK's own error is the `__cause__`.
    """

    retryable: ClassVar[bool] = False
    fallback_helps: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        provider: str = "",
        model: str | None = None,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.model = model
        self.status = status
        self.code = code
        self.request_id = request_id
        self.retry_after_s = retry_after_s


class BadRequestError(ProviderError):
    """The request itself is wrong: mend it, sending it again cannot help."""


class ContextLengthError(BadRequestError):
    """The prompt is longer than the model's context: shorten it, or ask a model with more."""

    fallback_helps = True


class AuthenticationError(ProviderError):
    """The key is wrong, or may not do this. Another model would only hide it."""


class ModelNotFoundError(ProviderError):
    """The provider has no such model, or has it no more."""

    fallback_helps = True


class RateLimitError(ProviderError):
    """Too many requests or tokens in a minute: wait `retry_after_s`, then ask again."""

    retryable = True
    fallback_helps = True


class QuotaError(ProviderError):
    """The account's money or spend limit is used up: waiting cannot help, paying can."""

    fallback_helps = True


class ServerError(ProviderError):
    """The provider failed; the same call may succeed later."""

    retryable = True
    fallback_helps = True


class OverloadedError(ServerError):
    """The provider has too much to do for everybody, whatever your own limits are."""


class ConnectionLostError(ProviderError):
    """No answer came: the connection failed, or was dropped."""

    retryable = True
    fallback_helps = True


class CallTimeoutError(ProviderError, TimeoutError):
    """No answer came within the time that the caller allows."""

    retryable = True
    fallback_helps = True


class StreamCutError(ProviderError):
    """A stream ended before the model was done.

    Attributes:
        text: what had come until then; empty where nothing had.
    """

    retryable = True
    fallback_helps = True

    def __init__(
        self,
        message: str,
        *,
        text: str = "",
        provider: str = "",
        model: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, provider=provider, model=model, request_id=request_id)
        self.text = text


class AnswerError(LLMError):
    """The answer is whole, but not what was asked for.

    Attributes:
        result: the answer with its tokens and cost, which were spent all the same.
    """

    def __init__(self, message: str, result: ChatResult) -> None:
        super().__init__(message)
        self.result = result


class TruncatedError(AnswerError):
    """The answer was cut at the token limit: raise the limit, or ask for less."""


class RefusedError(AnswerError):
    """The model declined to answer; its words are in `result.refusal`."""


class SchemaError(AnswerError):
    """The answer is no JSON, or JSON that does not fit the schema."""


class ToolError(LLMError):
    """A tool cannot be described, was refused, or raised."""


class MessagesError(LLMError, ValueError):
    """The messages or options are not of the shape that chat() takes."""


class SettingError(LLMError, ValueError):
    """A setting makes no sense, such as a negative limit."""


class MissingKeyError(LLMError):
    """No API key is set for the provider."""


class BudgetExceededError(LLMError):
    """The call was not made, because it could pass the limit on money or tokens."""


class CircuitOpenError(LLMError):
    """The provider has failed too often and is not asked for a while.

    Attributes:
        name: which circuit, by default the provider's id.
        retry_in_s: in how many seconds it is tried again.
    """

    def __init__(self, name: str, retry_in_s: float) -> None:
        super().__init__(
            f"{name} has failed too often and is left alone for {retry_in_s:.1f} s more: ask "
            f"another model, or try again then."
        )
        self.name = name
        self.retry_in_s = retry_in_s


class AllModelsFailedError(LLMError):
    """A fallback has no model left to ask.

    Attributes:
        errors: what each model failed with, in the order in which they were asked.
    """

    def __init__(self, message: str, errors: Sequence[Exception]) -> None:
        super().__init__(message)
        self.errors = tuple(errors)


class CacheError(LLMError):
    """A cache file cannot be read or written."""
