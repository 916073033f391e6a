"""Failure on demand, with the SDKs' own exceptions as the witnesses."""

import contextlib
import email.utils
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from course_utils import faults, notebook, offline
from course_utils.errors import UnknownFaultError, UnknownProviderError
from course_utils.offline.doors import COURSE_KEY, DOORS
from course_utils.offline.faults import FAULTS, STREAM_FAULTS
from course_utils.wire.catalogue import default_model

PROVIDERS = [door.provider for door in DOORS]
QUESTION = [{"role": "user", "content": "What is an API, in one sentence?"}]


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


def client_of(provider: str, **options: Any) -> Any:
    """A provider's SDK, which tries once unless told otherwise."""
    options = {"max_retries": 0} | options
    if provider == "anthropic":
        return anthropic.Anthropic(**options)
    return openai.OpenAI(**notebook.door(provider), **options)


def ask(provider: str, client: Any = None, **changes: Any) -> Any:
    """One call to a provider's door."""
    client = client or client_of(provider)
    arguments = {"model": default_model(provider).id, "messages": QUESTION} | changes
    if provider == "anthropic":
        return client.messages.create(**({"max_tokens": 100} | arguments))
    return client.chat.completions.create(**arguments)


def read_text(provider: str, **changes: Any) -> tuple[str, Any]:
    """The text of a stream and the reason for its end, read by the SDK."""
    text, reason = "", None
    for part in ask(provider, stream=True, **changes):
        if provider == "anthropic":
            text += getattr(getattr(part, "delta", None), "text", "")
            reason = getattr(getattr(part, "delta", None), "stop_reason", None) or reason
        elif part.choices:
            text += part.choices[0].delta.content or ""
            reason = part.choices[0].finish_reason or reason
    return text, reason


def sdk(provider: str) -> Any:
    """The module whose exceptions a provider's client raises."""
    return anthropic if provider == "anthropic" else openai


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    ("fault", "status", "name"),
    [
        ("400", 400, "BadRequestError"),
        ("401", 401, "AuthenticationError"),
        ("403", 403, "PermissionDeniedError"),
        ("404", 404, "NotFoundError"),
        ("408", 408, "APIStatusError"),
        ("429", 429, "RateLimitError"),
        ("quota", 429, "RateLimitError"),
        ("500", 500, "InternalServerError"),
        ("503", 503, "APIStatusError"),
        ("529", 529, "APIStatusError"),
    ],
)
def test_error_answers(provider: str, fault: str, status: int, name: str) -> None:
    """Each error is the SDK's own exception with the provider's status and shape of body."""
    if (provider, fault) == ("google", "401"):  # Google says 400 of a wrong key
        status, name = 400, "BadRequestError"
    with faults(fault), pytest.raises(getattr(sdk(provider), name)) as caught:
        ask(provider)
    assert caught.value.status_code == status
    body = caught.value.response.json()
    error = (body[0] if isinstance(body, list) else body)["error"]
    assert set(error) >= {
        "anthropic": {"type", "message"},
        "google": {"code", "message", "status"},
    }.get(provider, {"message", "type", "param", "code"})


def test_anthropic_names_the_exceptions_of_its_own() -> None:
    """503 and 529 have classes of their own in Anthropic's SDK, and the type in the body."""
    with faults("503"), pytest.raises(anthropic.APIStatusError) as caught:
        ask("anthropic")
    assert type(caught.value).__name__ == "ServiceUnavailableError"
    with faults("529"), pytest.raises(anthropic.APIStatusError) as caught:
        ask("anthropic")
    assert type(caught.value).__name__ == "OverloadedError"
    assert caught.value.response.json()["error"]["type"] == "overloaded_error"


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.parametrize(
    ("fault", "calls"),
    [("400", 1), ("401", 1), ("403", 1), ("404", 1),
     ("408", 3), ("429", 3), ("500", 3), ("503", 3), ("529", 3)],
)  # fmt: skip
def test_sdks_retry_what_is_worth_it(provider: str, fault: str, calls: int) -> None:
    """With two retries the SDKs make three calls where the error may pass, else one."""
    with faults(fault, retry_after=0.001, retry_after_as="ms") as plan:
        with pytest.raises(sdk(provider).APIStatusError):
            ask(provider, client_of(provider, max_retries=2))
        assert plan.hits == calls


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_call_succeeds_after_the_faults(provider: str) -> None:
    """Two refused calls and a third that is answered: the SDK's own retries get there."""
    with faults("429", retry_after=0.001, retry_after_as="ms", times=2) as plan:
        assert ask(provider, client_of(provider, max_retries=2))
    assert plan.hits == 2


@pytest.mark.parametrize("provider", ["openai", "anthropic", "local"])
def test_retry_after_in_each_form(provider: str) -> None:
    """The header is in seconds, in milliseconds or a date, as asked; unasked it is absent."""
    with faults("429"), pytest.raises(sdk(provider).RateLimitError) as caught:
        ask(provider)
    assert "retry-after" not in caught.value.response.headers
    with faults("429", retry_after=90), pytest.raises(sdk(provider).RateLimitError) as caught:
        ask(provider)
    assert caught.value.response.headers["retry-after"] == "90"
    with (
        faults("429", retry_after=0.25, retry_after_as="ms"),
        pytest.raises(sdk(provider).RateLimitError) as caught,
    ):
        ask(provider)
    assert caught.value.response.headers["retry-after-ms"] == "250"
    with (
        faults("503", retry_after=90, retry_after_as="date"),
        pytest.raises(sdk(provider).APIStatusError) as caught,
    ):
        ask(provider)
    moment = email.utils.parsedate_to_datetime(caught.value.response.headers["retry-after"])
    assert 85 < moment.timestamp() - time.time() < 95


def test_a_long_retry_after_is_not_waited_for_by_openai() -> None:
    """Above its cap of 120 s OpenAI's SDK gives up at once."""
    with faults("429", retry_after=300) as plan:
        with pytest.raises(openai.RateLimitError):
            ask("openai", client_of("openai", max_retries=2))
        assert plan.hits == 1


def test_google_says_in_the_body_when_to_come_back() -> None:
    """Google's 429 carries RetryInfo and QuotaFailure, and no retry-after header."""
    with faults("429", retry_after=2), pytest.raises(openai.RateLimitError) as caught:
        ask("google")
    assert "retry-after" not in caught.value.response.headers
    details = caught.value.response.json()[0]["error"]["details"]
    assert {d["@type"].rpartition(".")[2]: d for d in details}["RetryInfo"]["retryDelay"] == "2s"
    assert "QuotaFailure" in str(details)


def test_quota_is_told_from_rate_limit() -> None:
    """Both are 429; the code says which will not pass by waiting."""
    with faults("quota"), pytest.raises(openai.RateLimitError) as caught:
        ask("openai")
    assert caught.value.code == "insufficient_quota"
    with faults("429"), pytest.raises(openai.RateLimitError) as caught:
        ask("openai")
    assert caught.value.code == "rate_limit_exceeded"
    with faults("quota"), pytest.raises(anthropic.RateLimitError) as refused:
        ask("anthropic")
    assert refused.value.error_code == "enforced_spend_limit_reached"
    assert refused.value.response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_prompt_too_long_names_the_models_own_context(provider: str) -> None:
    """The limit in the message is that of the model that was asked."""
    limit = default_model(provider).context_tokens
    with faults("context_length"), pytest.raises(Exception, match=str(limit)):
        ask(provider)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_slow_first_byte(provider: str) -> None:
    """A slow answer comes whole after the wait that was asked for."""
    began = time.perf_counter()
    with faults("slow", wait_s=0.05):
        assert ask(provider)
    assert time.perf_counter() - began >= 0.05


@pytest.mark.parametrize("provider", PROVIDERS)
def test_timeout(provider: str) -> None:
    """A client that waits less than the server takes gets its own timeout error."""
    with faults("timeout", wait_s=5), pytest.raises(sdk(provider).APITimeoutError):
        ask(provider, client_of(provider, timeout=0.05))


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("fault", ["dropped", "dropped_in_body"])
def test_dropped_connections(provider: str, fault: str) -> None:
    """A connection that is lost before or inside an answer is a connection error."""
    with faults(fault), pytest.raises((openai.APIConnectionError, anthropic.APIConnectionError)):
        ask(provider)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("fault", ["cut_stream", "dropped_in_body"])
def test_abruptly_cut_streams(provider: str, fault: str) -> None:
    """OpenAI's SDK makes a connection error of a lost stream; Anthropic's lets httpx2's through."""
    error = httpx2.TransportError if provider == "anthropic" else openai.APIConnectionError
    with faults(fault), pytest.raises(error):
        read_text(provider)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_streams_that_stall(provider: str) -> None:
    """A read that times out inside a stream is raw at Anthropic, and wrapped at OpenAI."""
    error = httpx2.ReadTimeout if provider == "anthropic" else openai.APITimeoutError
    with faults("stalled_stream", wait_s=5), pytest.raises(error):
        list(ask(provider, client_of(provider, timeout=0.1), stream=True))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_streams_that_are_slow(provider: str) -> None:
    """All of it comes, the first piece after a wait and the others one after the other."""
    whole, _ = read_text(provider)
    began = time.perf_counter()
    with faults("slow_stream", wait_s=0.1):
        stream = iter(ask(provider, stream=True))
        next(stream)
        first_s = time.perf_counter() - began
        rest = len(list(stream))
        total_s = time.perf_counter() - began
        assert read_text(provider)[0] == whole
    assert first_s >= 0.1
    assert first_s + (rest - 1) * 0.009 <= total_s


@pytest.mark.parametrize("provider", PROVIDERS)
def test_streams_that_end_cleanly_too_early(provider: str) -> None:
    """Nothing is raised, and only the missing finish reason tells that half is missing."""
    whole, reason = read_text(provider)
    assert reason
    with faults("clean_end"):
        text, reason = read_text(provider)
    assert reason is None
    assert whole.startswith(text)
    assert len(text) < len(whole) or provider == "google"  # which says it all in one chunk


@pytest.mark.parametrize("provider", PROVIDERS)
def test_errors_inside_a_stream(provider: str) -> None:
    """An error event is the SDK's error; at Anthropic with status 200, at OpenAI with none."""
    with faults("error_event"), pytest.raises(sdk(provider).APIError) as caught:
        read_text(provider)
    if provider == "anthropic":
        assert caught.value.status_code == 200
        assert caught.value.body["error"]["type"] == "overloaded_error"
    else:
        assert not hasattr(caught.value, "status_code")
        assert caught.value.message


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("fault", ["malformed_json", "truncated_json"])
def test_bodies_that_are_no_json(provider: str, fault: str) -> None:
    """The SDKs let the JSON error through, in a body and in a stream."""
    with faults(fault), pytest.raises(json.JSONDecodeError):
        ask(provider)
    with faults(fault), pytest.raises(json.JSONDecodeError):
        read_text(provider)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_html_with_status_200(provider: str) -> None:
    """A login page in place of an answer comes out of the SDK as a str, without an error."""
    with faults("html"):
        assert "<html>" in ask(provider)


def test_geminis_own_sdk_meets_the_same(session: offline.Session) -> None:
    """google-genai raises its own errors, and finds RetryInfo in the body of a 429."""
    from google import genai
    from google.genai import errors

    client = genai.Client(
        api_key=COURSE_KEY, http_options={"base_url": f"{session.server.url}/google"}
    )
    ask_gemini = {"model": default_model("google").id, "contents": QUESTION[0]["content"]}
    with faults("429", retry_after=2), pytest.raises(errors.ClientError) as caught:
        client.models.generate_content(**ask_gemini)
    assert (caught.value.code, caught.value.status) == (429, "RESOURCE_EXHAUSTED")
    assert "'retryDelay': '2s'" in str(caught.value.details)
    with faults("error_event"), pytest.raises(errors.ServerError):
        list(client.models.generate_content_stream(**ask_gemini))
    with faults("clean_end"):
        *_, last = client.models.generate_content_stream(**ask_gemini)
    assert last.candidates[0].finish_reason is None


def test_responses_yield_their_error_event() -> None:
    """On the Responses API an error inside a stream is an event like any other."""
    client = client_of("openai")
    with faults("error_event"):
        stream = client.responses.create(
            model=default_model("openai").id, input=QUESTION, stream=True
        )
        kinds = [event.type for event in stream]
    assert kinds[-1] == "error"
    assert "response.completed" not in kinds


def test_refusals_of_the_model() -> None:
    """OpenAI's model refuses in a field of its own, Anthropic's by its stop reason."""
    with faults("refusal"):
        message = ask("openai").choices[0].message
        assert message.refusal
        assert not message.content
        assert ask("anthropic").stop_reason == "refusal"
        assert ask("google").choices[0].finish_reason == "content_filter"
        assert "can't help" in ask("local").choices[0].message.content


@pytest.mark.parametrize("provider", PROVIDERS)
def test_truncated_output(provider: str) -> None:
    """An answer cut by its limit says so, streamed or not, and bills only what it has."""
    whole, _ = read_text(provider)
    with faults("length"):
        text, reason = read_text(provider)
        answer = ask(provider)
    assert reason == ("max_tokens" if provider == "anthropic" else "length")
    assert whole.startswith(text)
    assert 0 < len(text) < len(whole)
    usage = answer.usage
    assert 0 < getattr(usage, "completion_tokens", getattr(usage, "output_tokens", 0)) < len(text)


def test_schedule_is_gone_through_once() -> None:
    """Each entry is for one call; None lets it pass, and after the last one all is well."""
    statuses = []
    with faults(["429", None, 500]):
        for _ in range(5):
            try:
                ask("openai")
                statuses.append(200)
            except openai.APIStatusError as error:
                statuses.append(error.status_code)
    assert statuses == [429, 200, 500, 200, 200]


def test_rate_is_the_same_each_time() -> None:
    """Which calls fail at a rate follows from the seed, and the share is near the rate."""

    client = client_of("openai")

    def failed(seed: int) -> list[bool]:
        with faults("dropped", rate=0.4, seed=seed) as plan:
            hits = []
            for _ in range(60):
                before = plan.hits
                with contextlib.suppress(openai.APIConnectionError):
                    ask("openai", client)
                hits.append(plan.hits > before)
        return hits

    assert failed(1) == failed(1)
    assert failed(1) != failed(2)
    assert 12 <= sum(failed(1)) <= 36


def test_faults_are_limited_to_a_provider_or_model() -> None:
    """Other providers' and other models' calls go on as before, and use nothing up."""
    with faults("503", provider="anthropic", times=1):
        assert ask("openai")
        with pytest.raises(anthropic.APIStatusError):
            ask("anthropic")
    with faults("503", model=default_model("openai", "budget").id):
        assert ask("openai")
        with pytest.raises(openai.InternalServerError):
            ask("openai", model=default_model("openai", "budget").id)


def test_faults_of_streams_wait_for_a_stream() -> None:
    """A call that is not streamed cannot end too early, and does not use the fault up."""
    with faults("clean_end", times=1) as plan:
        assert ask("openai").choices[0].finish_reason
        assert plan.hits == 0
        assert read_text("openai")[1] is None


def test_faults_end_with_their_block() -> None:
    """After the block, and after an error in it, calls are answered again."""
    with pytest.raises(openai.RateLimitError), faults("429"):
        ask("openai")
    assert ask("openai")


def test_the_log_names_the_fault(session: offline.Session) -> None:
    """The log and a header of the answer say that the failure was made on demand."""
    with faults("429"), pytest.raises(openai.RateLimitError) as caught:
        ask("openai")
    entry = list(session.server.log)[-1]
    assert (entry.fault, entry.status, entry.reply) == ("429", 429, None)
    assert entry.request.model == default_model("openai").id
    assert caught.value.response.headers["x-course-fault"] == "429"


def test_unknown_names_are_a_sentence() -> None:
    """A fault that there is not is refused with those there are; so is a provider."""
    with pytest.raises(UnknownFaultError, match=r"no fault '430': choose .*'429'"), faults(430):
        pass
    with pytest.raises(UnknownFaultError, match="'seconds', 'ms' or 'date'"):
        notebook.faults("429", retry_after_as="hours").__enter__()
    with pytest.raises(UnknownProviderError), faults("429", provider="gogle"):
        pass


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_is_a_fault_of_ours(
    session: offline.Session, provider: str, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Every fault on every provider, streamed or not, leaves a server that still answers."""
    for stream in (False, True):
        with faults(fault, wait_s=0.01), httpx2.Client() as client:
            path = "/v1/messages" if provider == "anthropic" else "/chat/completions"
            body = {"model": default_model(provider).id, "messages": QUESTION, "stream": stream}
            with contextlib.suppress(httpx2.TransportError):
                client.post(
                    session.base_url(provider) + path,
                    json=body | ({"max_tokens": 99} if provider == "anthropic" else {}),
                    headers={"authorization": f"Bearer {COURSE_KEY}"},
                )
    assert ask(provider)
    assert not caplog.records


@dataclass(frozen=True)
class Way:
    """How a door's endpoint is asked, whole or streamed, and how its answers speak.

    `end` is in every stream that has not been cut short. `refused` and `short` are in an answer in
    which the model refuses, or has run out of tokens.
    """

    paths: tuple[str, str]
    body: dict[str, Any]
    end: str
    refused: str
    short: str


def asked(provider: str, **more: Any) -> dict[str, Any]:
    """The body of a question to a provider's model."""
    return {"model": default_model(provider).id, "messages": QUESTION} | more


CHAT = "/chat/completions"
GEMINI = f"/google/v1beta/models/{default_model('google').id}"
WAYS = {
    "chat": Way(("/openai/v1" + CHAT,) * 2, asked("openai"), r"\[DONE\]", r"can't help",
                r'"finish_reason": ?"length"'),
    "responses": Way(("/openai/v1/responses",) * 2,
                     {"model": default_model("openai").id, "input": QUESTION},
                     r"response\.(completed|incomplete)", r"can't help", r'"max_output_tokens"\n'),
    "messages": Way(("/anthropic/v1/messages",) * 2, asked("anthropic", max_tokens=99),
                    "message_stop", '"stop_reason":"refusal"', '"stop_reason":"max_tokens"'),
    "google": Way(("/google/v1beta/openai" + CHAT,) * 2, asked("google"), r"\[DONE\]",
                  "content_filter", r'"finish_reason": ?"length"'),
    "gemini": Way((f"{GEMINI}:generateContent", f"{GEMINI}:streamGenerateContent?alt=sse"),
                  {"contents": [{"parts": [{"text": QUESTION[0]["content"]}]}]},
                  '"finishReason"', '"SAFETY"', '"MAX_TOKENS"'),
    "local": Way(("/local/v1" + CHAT,) * 2, asked("local"), r"\[DONE\]", r"can't help",
                 r'"finish_reason": ?"length"'),
}  # fmt: skip
STATUS = {"context_length": "400", "quota": "429"}
LOST = ("timeout", "dropped", "dropped_in_body", "cut_stream", "stalled_stream")
UNREADABLE = ("malformed_json", "truncated_json")


def expected(way: str, fault: str) -> str:
    """What `outcome` says of a call that a fault befell."""
    if fault in LOST:
        return "lost"
    if fault in UNREADABLE:
        return "unreadable"
    if fault == "401" and way in ("google", "gemini"):  # Google says 400 of a wrong key
        return "400"
    others = {"slow": "fine", "slow_stream": "fine"}
    others |= {"clean_end": "no end", "error_event": "error inside"}
    if fault in ("html", "refusal", "length", *others):
        return others.get(fault, fault)
    return STATUS.get(fault, fault)


def outcome(client: httpx2.Client, way: Way, *, stream: bool) -> str:
    """What becomes of a call, in a word."""
    body = way.body | ({"stream": stream} if "contents" not in way.body else {})
    try:
        response = client.post(way.paths[stream], json=body)
    except httpx2.TransportError:
        return "lost"
    if response.status_code != 200:
        body = response.json()
        assert (body[0] if isinstance(body, list) else body)["error"]["message"]
        return str(response.status_code)
    if response.headers["content-type"].startswith("text/html"):
        return "html"
    return read_stream(way, response.text) if stream else read_whole(way, response.text)


def read_whole(way: Way, text: str) -> str:
    """What an answer that is not streamed turns out to be."""
    try:
        json.loads(text)
    except ValueError:
        return "unreadable"
    if re.search(way.refused, text):
        return "refusal"
    return "length" if re.search(way.short, text) else "fine"


def read_stream(way: Way, text: str) -> str:
    """What a stream turns out to be."""
    if re.search(r'^data: *(\{"type": ?"error"|\[?\{"error")', text, re.MULTILINE):
        return "error inside"
    return "fine" if re.search(way.end, text) else "no end"


@pytest.fixture
def http(session: offline.Session) -> Iterator[httpx2.Client]:
    """A client without any SDK, with the course's key for every door."""
    headers = {"authorization": f"Bearer {COURSE_KEY}"}
    with httpx2.Client(base_url=session.server.url, headers=headers) as client:
        yield client


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_on_every_door(
    session: offline.Session, http: httpx2.Client, name: str, fault: str
) -> None:
    """By schedule, for the next n calls and at a rate, each fault befalls the calls it is for."""
    way, stream = WAYS[name], fault in STREAM_FAULTS
    spoiled = expected(name, fault)

    def outcomes(count: int) -> list[str]:
        return [outcome(http, way, stream=stream) for _ in range(count)]

    with faults([None, fault, None], wait_s=0.01) as plan:
        assert (outcomes(4), plan.hits) == (["fine", spoiled, "fine", "fine"], 1)
    with faults(fault, times=2, wait_s=0.01) as plan:
        assert (outcomes(3), plan.hits) == ([spoiled, spoiled, "fine"], 2)
    with faults(fault, rate=0.5, seed=3, wait_s=0.01) as plan:
        told = outcomes(8)
    assert 0 < plan.hits < 8
    assert told.count(spoiled) == (8 if spoiled == "fine" else plan.hits)
    named = [call.fault for call in list(session.server.log)[-8:]]
    assert named.count(fault) == plan.hits
