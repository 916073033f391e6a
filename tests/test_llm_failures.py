"""Each way in which a call can fail is one error of one small tree, with what is known of it."""

from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from google.genai import errors as google_errors
from traffic import all_exchanges, needs_exchanges

from course_utils import faults, offline
from course_utils.llm import LLMClient
from course_utils.llm.errors import (
    AuthenticationError,
    BadRequestError,
    CallTimeoutError,
    ConnectionLostError,
    ContextLengthError,
    ModelNotFoundError,
    OverloadedError,
    ProviderError,
    QuotaError,
    RateLimitError,
    ServerError,
    StreamCutError,
)
from course_utils.llm.failures import failure
from course_utils.llm.result import TextDelta

PROVIDERS = ("openai", "anthropic", "google", "local")
QUESTION = "What is an API, in one sentence?"
# What each fault of the stand-in is, with the status that comes with it.
EXPECTED: dict[str, tuple[type[ProviderError], int | None]] = {
    "400": (ContextLengthError, 400),
    "context_length": (ContextLengthError, 400),
    "401": (AuthenticationError, 401),
    "403": (AuthenticationError, 403),
    "404": (ModelNotFoundError, 404),
    "408": (CallTimeoutError, 408),
    "429": (RateLimitError, 429),
    "quota": (QuotaError, 429),
    "500": (ServerError, 500),
    "503": (OverloadedError, 503),
    "529": (OverloadedError, 529),
    "timeout": (CallTimeoutError, None),
    "dropped": (ConnectionLostError, None),
    "dropped_in_body": (ConnectionLostError, None),
    "malformed_json": (ServerError, None),
    "truncated_json": (ServerError, None),
    "html": (ServerError, None),
}
CUT = ("cut_stream", "clean_end", "stalled_stream", "error_event", "dropped_in_body")
# Google answers a wrong key with 400.
AT_GOOGLE: dict[str, tuple[type[ProviderError], int | None]] = {"401": (AuthenticationError, 400)}


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[offline.Session]:
    """The stand-in, running, with the SDKs imported and connected."""
    running = offline.start()
    for provider in PROVIDERS:
        client(provider).chat(QUESTION)
    yield running
    offline.stop()


def client(provider: str, **settings: Any) -> LLMClient:
    """A client that reaches the stand-in."""
    if provider == "local":
        settings.setdefault("base_url", offline.session().base_url("local"))
    return LLMClient(provider, **settings)


def expected(provider: str, fault: str) -> tuple[type[ProviderError], int | None]:
    """The error and status of a fault at a provider."""
    return (AT_GOOGLE if provider == "google" else {}).get(fault, EXPECTED[fault])


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("fault", EXPECTED)
def test_each_failure_is_its_own_error(provider: str, fault: str) -> None:
    """The class, and no class below it, with provider, model, status and the SDK's own error."""
    kind, status = expected(provider, fault)
    asked = client(provider, timeout_s=0.4 if fault == "timeout" else 20)
    with faults(fault, wait_s=1.0), pytest.raises(ProviderError) as caught:
        asked.chat(QUESTION)
    error = caught.value
    assert (type(error), error.status) == (kind, status)
    assert (error.provider, error.model) == (provider, asked.model_id)
    assert error.__cause__ is not None
    assert str(error).startswith(f"{provider} failed")
    named = provider in ("openai", "anthropic") and status is not None
    assert (error.request_id is not None) == named
    assert (error.code is not None) == (status is not None)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("fault", [name for name, (_, status) in EXPECTED.items() if status])
def test_a_refused_stream_fails_like_a_call(provider: str, fault: str) -> None:
    """What is refused before the first event is the same error with a stream and without one."""
    with faults(fault), pytest.raises(ProviderError) as caught:
        list(client(provider).stream(QUESTION))
    assert (type(caught.value), caught.value.status) == expected(provider, fault)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("fault", CUT)
def test_a_stream_that_breaks_keeps_its_text(provider: str, fault: str) -> None:
    """However it breaks (clean, reset, silent, an error of the provider), the text is kept."""
    whole = client(provider).chat(QUESTION).content
    timeout_s = 0.4 if fault == "stalled_stream" else 20
    pieces: list[str] = []
    stream = client(provider, timeout_s=timeout_s).stream(QUESTION)
    with faults(fault, wait_s=1.0), pytest.raises(StreamCutError) as caught:
        pieces.extend(event.text for event in stream if isinstance(event, TextDelta))
    error = caught.value
    assert error.text == "".join(pieces)
    assert whole.startswith(error.text)
    assert 0 < len(error.text) < len(whole)
    assert error.retryable
    assert (error.code is not None) == (fault == "error_event")


@pytest.mark.parametrize("provider", ["openai", "anthropic", "local"])
@pytest.mark.parametrize("form", ["seconds", "ms", "date"])
def test_the_wait_is_read_in_all_forms(provider: str, form: str) -> None:
    """Seconds, milliseconds and a date all become seconds; a date knows whole seconds only."""
    wait_s = 0.25 if form == "ms" else 7
    with (
        faults("429", retry_after=wait_s, retry_after_as=form),
        pytest.raises(RateLimitError) as caught,
    ):
        client(provider).chat(QUESTION)
    assert caught.value.retry_after_s is not None
    slack = 1.5 if form == "date" else 0
    assert wait_s - slack <= caught.value.retry_after_s <= wait_s + slack


def test_google_says_the_wait_in_the_body() -> None:
    """Google sends no header, but a RetryInfo."""
    with faults("429", retry_after=3.5), pytest.raises(RateLimitError) as caught:
        client("google").chat(QUESTION)
    assert caught.value.retry_after_s == 3.5


def openai_error(status: int, code: str, message: str = "It failed.") -> Exception:
    """The openai SDK's error for such an answer."""
    body = {"error": {"message": message, "type": "t", "param": None, "code": code}}
    return made(openai.OpenAI(api_key="none"), status, body)


def anthropic_error(status: int, kind: str, message: str = "It failed.") -> Exception:
    """The anthropic SDK's error for such an answer."""
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
    return made(anthropic.Anthropic(api_key="none"), status, body)


def made(sdk: Any, status: int, body: Any) -> Exception:
    """What an SDK makes of an answer, by its own rules."""
    request = httpx2.Request("POST", "http://localhost/")
    response = httpx2.Response(status, json=body, request=request)
    error: Exception = sdk._make_status_error_from_response(response)
    return error


def google_error(status: int, *details: dict[str, Any]) -> Exception:
    """The google-genai SDK's error for such an answer."""
    error = {"code": status, "message": "It failed.", "status": "S", "details": list(details)}
    kind = google_errors.ClientError if status < 500 else google_errors.ServerError
    return kind(status, {"error": error})


DAILY = {"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}
MINUTE = {"violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel"}]}
DELAY = {"retryDelay": "34.07s"}


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: openai_error(429, "credit_balance_exhausted"), QuotaError),
        (lambda: openai_error(429, "rate_limit_exceeded"), RateLimitError),
        (lambda: openai_error(400, "model_not_found"), ModelNotFoundError),
        (lambda: openai_error(400, "unsupported_value"), BadRequestError),
        (lambda: openai_error(409, "conflict"), ServerError),
        (lambda: openai_error(413, "too_large"), BadRequestError),
        (lambda: openai_error(422, "odd"), BadRequestError),
        (lambda: openai_error(504, "late"), ServerError),
        (lambda: anthropic_error(402, "billing_error"), QuotaError),
        (lambda: anthropic_error(413, "request_too_large"), BadRequestError),
        (lambda: anthropic_error(400, "x", "prompt is too long: 9 tokens > 5"), ContextLengthError),
        (lambda: anthropic_error(200, "overloaded_error"), OverloadedError),
        (lambda: anthropic_error(200, "invalid_request_error"), BadRequestError),
        (lambda: anthropic_error(200, "rate_limit_error"), RateLimitError),
        (lambda: google_error(429, DAILY, DELAY), QuotaError),
        (lambda: google_error(429, MINUTE, DELAY), RateLimitError),
        (lambda: google_error(503), OverloadedError),
    ],
)
def test_what_the_stand_in_cannot_say(make: Callable[[], Exception], kind: type) -> None:
    """The SDK's own error for an answer of the provider becomes the right class."""
    told = failure(make(), "somebody", "some-model")
    assert type(told) is kind
    assert told.model == "some-model"


def test_only_what_can_succeed_is_retried() -> None:
    """Money that is used up, and a request that is wrong, are never to be sent again."""
    hopeless = {ContextLengthError, AuthenticationError, ModelNotFoundError, QuotaError}
    assert {kind for kind, _ in EXPECTED.values() if not kind.retryable} == hopeless


def test_the_sdks_retry_what_cannot_succeed() -> None:
    """Where theirs fails: the openai SDK sends a call three times whose quota is used up."""
    from course_utils import log

    before = len(log())
    with faults("quota", retry_after=0, times=3), pytest.raises(openai.RateLimitError):
        openai.OpenAI().chat.completions.create(
            model=client("openai").model_id, messages=[{"role": "user", "content": QUESTION}]
        )
    assert len(log()) - before == 3
    with faults("quota", times=1), pytest.raises(QuotaError):
        client("openai").chat(QUESTION)
    assert len(log()) - before == 4


@pytest.mark.parametrize(
    "error", [ValueError("x"), KeyError("x"), TypeError("x"), AssertionError()]
)
def test_a_mistake_in_the_program_is_no_failure(error: Exception) -> None:
    """What is not the provider's doing comes through as it is."""
    assert failure(error, "openai", None) is None


def test_a_server_that_is_not_there_is_explained() -> None:
    """A wrong address is a lost connection, and the message says where to look."""
    for provider in PROVIDERS:
        asked = LLMClient(provider, base_url="http://127.0.0.1:9/v1", timeout_s=5)
        with pytest.raises(ConnectionLostError, match="Check the network and the base URL"):
            asked.chat(QUESTION)


@needs_exchanges
def test_real_error_answers_are_told_apart() -> None:
    """Each recorded error of a real server becomes the class of its status, with its own code."""
    kinds = {400: BadRequestError, 401: AuthenticationError, 404: ModelNotFoundError,
             500: ServerError}  # fmt: skip
    seen = 0
    for exchange in all_exchanges():
        provider = exchange.row["provider"]
        if exchange.status not in kinds or not exchange.response.startswith((b"{", b"[")):
            continue
        body = exchange.response_json()
        if provider == "gemini":
            error: Exception = google_errors.ClientError(exchange.status, body)
        else:
            claude = provider == "anthropic"
            sdk = anthropic.Anthropic if claude else openai.OpenAI
            error = made(sdk(api_key="none"), exchange.status, body)
        told = failure(error, provider, None)
        # OpenAI's Responses answer with 400 where its chats say 404.
        kind = ModelNotFoundError if told and told.code == "model_not_found" else None
        assert isinstance(told, kind or kinds[exchange.status]), exchange.name
        assert told.status == exchange.status
        seen += 1
    assert seen > 15
