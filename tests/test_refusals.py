"""What a provider refuses, the stand-in refuses, with the SDK's own exception as the witness."""

from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from course_utils import offline
from course_utils.offline.doors import COURSE_KEY
from course_utils.wire.catalogue import default_model

HELLO = [{"role": "user", "content": "Hello"}]
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TOOL = {"name": "f", "input_schema": {"type": "object"}}
USE = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
LOOSE = {
    "type": "json_schema",
    "json_schema": {"name": "f", "strict": True, "schema": {"type": "object", "properties": {}}},
}


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


def ask_openai(**changes: Any) -> Any:
    """One call to OpenAI's door, with some arguments changed."""
    arguments = {"model": default_model("openai").id, "messages": HELLO} | changes
    return openai.OpenAI(max_retries=0).chat.completions.create(**arguments)


def ask_anthropic(**changes: Any) -> Any:
    """One call to Anthropic's door, with some arguments changed."""
    arguments = {"model": default_model("anthropic").id, "max_tokens": 50, "messages": HELLO}
    return anthropic.Anthropic(max_retries=0).messages.create(**(arguments | changes))


@pytest.mark.parametrize(
    ("changes", "status", "code", "param"),
    [
        ({"model": "gpt-99"}, 404, "model_not_found", None),
        ({"model": "gpt-4"}, 404, "model_not_found", None),
        ({"model": "gpt-3.5-turbo-0613"}, 404, "model_not_found", None),
        ({"max_tokens": 5}, 400, "unsupported_parameter", "max_tokens"),
        ({"temperature": 0.2}, 400, "unsupported_value", "temperature"),
        ({"temperature": 3, "reasoning_effort": "none"}, 400, "decimal_above_max_value",
         "temperature"),
        ({"max_completion_tokens": 0}, 400, "integer_below_min_value", "max_completion_tokens"),
        ({"messages": []}, 400, "empty_array", "messages"),
        ({"messages": "Hello"}, 400, "invalid_type", "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, 400, "invalid_value",
         "messages[0].role"),
        ({"messages": [{"content": "x"}]}, 400, "missing_required_parameter", "messages[0].role"),
        ({"messages": [{"role": "tool", "tool_call_id": "call_1", "content": "1"}]}, 400, None,
         "messages.[0].role"),
        ({"messages": [*HELLO, {"role": "assistant", "tool_calls": [CALL]}, *HELLO]}, 400, None,
         "messages.[2].role"),
        ({"response_format": {"type": "json_object"}}, 400, None, "messages"),
        ({"response_format": LOOSE}, 400, None, "response_format"),
    ],
)  # fmt: skip
def test_openai_refuses(changes: dict[str, Any], status: int, code: str, param: str) -> None:
    """OpenAI's door answers with the status, code and parameter that OpenAI names."""
    with pytest.raises(openai.APIStatusError) as caught:
        ask_openai(**changes)
    error = caught.value
    assert (error.status_code, error.code, error.param) == (status, code, param)
    assert error.request_id


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"model": "claude-99"}, 404, "model: claude-99"),
        ({"model": "claude-3-5-sonnet-20241022"}, 404, "model: claude-3-5-sonnet-20241022"),
        ({"extra_body": {"temperature": 0.2}}, 400, "`temperature` is deprecated for this model."),
        ({"max_tokens": 10**7, "stream": True}, 400, "the maximum allowed number"),
        ({"messages": [*HELLO, {"role": "assistant", "content": "{"}]}, 400, "prefill"),
        ({"messages": [{"role": "system", "content": "x"}]}, 400, 'Unexpected role "system"'),
        ({"messages": []}, 400, "at least one message is required"),
        ({"tool_choice": {"type": "any"}, "tools": [TOOL]}, 400, "tool_choice"),
        ({"messages": [{"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": "1"}]}]}, 400, "toolu_1"),
        ({"messages": [*HELLO, {"role": "assistant", "content": [USE]}, *HELLO]}, 400,
         "without `tool_result` blocks"),
    ],
)  # fmt: skip
def test_anthropic_refuses(changes: dict[str, Any], status: int, words: str) -> None:
    """Anthropic's door answers with Anthropic's status and words."""
    with pytest.raises(anthropic.APIStatusError) as caught:
        ask_anthropic(**changes)
    assert caught.value.status_code == status
    assert words in caught.value.message
    assert caught.value.request_id


def test_wrong_key_is_refused_and_masked() -> None:
    """A wrong key is 401 at OpenAI, and the message shows only its ends."""
    client = openai.OpenAI(api_key="sk-wrong-0123456789-abcd", max_retries=0)
    with pytest.raises(openai.AuthenticationError, match=r"sk-\*+abcd") as caught:
        client.chat.completions.create(model=default_model("openai").id, messages=HELLO)
    assert "0123456789" not in str(caught.value)


def test_wrong_key_is_refused_by_anthropic_and_google(session: offline.Session) -> None:
    """A wrong key is 401 at Anthropic and, as the real one does, 400 at Google."""
    with pytest.raises(anthropic.AuthenticationError, match="invalid x-api-key"):
        anthropic.Anthropic(api_key="wrong", max_retries=0).messages.create(
            model=default_model("anthropic").id, max_tokens=5, messages=HELLO
        )
    google = openai.OpenAI(base_url=session.base_url("google"), api_key="wrong", max_retries=0)
    with pytest.raises(openai.BadRequestError) as caught:
        google.chat.completions.create(model=default_model("google").id, messages=HELLO)
    assert caught.value.response.json()[0]["error"]["status"] == "INVALID_ARGUMENT"


def test_local_server_asks_for_no_key(session: offline.Session) -> None:
    """Any key opens the local door."""
    local = openai.OpenAI(base_url=session.base_url("local"), api_key="ollama", max_retries=0)
    assert local.chat.completions.create(model=default_model("local").id, messages=HELLO)


def test_a_prompt_that_is_too_long_is_refused(session: offline.Session) -> None:
    """A prompt above the context window is 400 with the counts."""
    local = openai.OpenAI(base_url=session.base_url("local"), api_key="ollama", max_retries=0)
    long = [{"role": "user", "content": "word " * 140_000}]
    with pytest.raises(openai.BadRequestError, match="exceeded max context length by"):
        local.chat.completions.create(model=default_model("local").id, messages=long)


def test_temperature_passes_where_the_model_takes_it() -> None:
    """gpt-6 models take a temperature with the reasoning switched off."""
    assert ask_openai(temperature=0.2, reasoning_effort="none").choices


def test_body_that_is_not_json_is_refused(session: offline.Session) -> None:
    """Bytes that are no JSON object are 400 in each provider's shape."""
    for path in ("/openai/v1/chat/completions", "/anthropic/v1/messages"):
        for body in (b"{", b"[]", b"\xff\xfe", b"", b"null", b"[" * 100_000):
            response = httpx2.post(
                session.server.url + path, content=body,
                headers={"authorization": f"Bearer {COURSE_KEY}"},
            )  # fmt: skip
            assert response.status_code == 400
            assert response.json()["error"]["type"] == "invalid_request_error"


# Each door with an endpoint of it that takes no other method than POST.
POSTED = {
    "openai": "/openai/v1/chat/completions",
    "responses": "/openai/v1/responses",
    "anthropic": "/anthropic/v1/messages",
    "google": "/google/v1beta/openai/chat/completions",
    "gemini": f"/google/v1beta/models/{default_model('google').id}:generateContent",
    "local": "/local/v1/chat/completions",
}


def error_in(name: str, response: httpx2.Response) -> dict[str, Any]:
    """The error object of an answer; AssertionError where it has not its provider's shape."""
    assert response.headers["content-type"].startswith("application/json")
    body = response.json()
    assert isinstance(body, list) is (name == "google")
    error: dict[str, Any] = (body[0] if name == "google" else body)["error"]
    if name in ("google", "gemini"):
        assert error["code"] == response.status_code
        assert set(error) >= {"code", "message", "status"}
    elif name == "anthropic":
        assert (body["type"], set(error)) == ("error", {"type", "message"})
        assert body["request_id"] == response.headers["request-id"]
    else:
        assert set(error) == {"message", "type", "param", "code"}
    if name in ("openai", "responses"):
        assert response.headers["x-request-id"].startswith("req_")
    return error


def send(session: offline.Session, method: str, path: str, key: str = COURSE_KEY) -> Any:
    """A request without a body, through no SDK."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return httpx2.request(method, session.server.url + path, headers=headers)


@pytest.mark.parametrize("name", POSTED)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"])
def test_unknown_path_is_404_in_the_providers_shape(
    session: offline.Session, name: str, method: str
) -> None:
    """A path that there is not is 404, as JSON, with a request id, and with any key or none."""
    path = POSTED[name].rpartition("/")[0] + "/nothing/at/all"
    for key in (COURSE_KEY, ""):
        response = send(session, method, path, key)
        assert response.status_code == 404
        assert error_in(name, response)["message"]


@pytest.mark.parametrize("name", POSTED)
@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS"])
def test_another_method_is_refused_in_the_providers_shape(
    session: offline.Session, name: str, method: str
) -> None:
    """It is 405 with the methods that there are; Google knows no such endpoint."""
    response = send(session, method, POSTED[name])
    error = error_in(name, response)
    assert response.status_code == (404 if name in ("google", "gemini") else 405)
    assert "POST" in response.headers["allow"]
    if name == "openai":
        path = POSTED["openai"].removeprefix("/openai")
        assert error["message"].startswith(f"Not allowed to {method} on {path}. (HINT:")


def test_another_method_wants_a_key_first(session: offline.Session) -> None:
    """Who has no key is told that, and nothing of methods."""
    assert send(session, "PUT", POSTED["openai"], key="wrong").status_code == 401
    assert send(session, "PUT", POSTED["anthropic"], key="").status_code == 401


@pytest.mark.parametrize(
    "path", ["/openai/v1/models", "/anthropic/v1/models", "/google/v1beta/models", POSTED["openai"],
             "/local/v1/models/nothing", "/openai/v1/nothing"],
)  # fmt: skip
def test_head_is_get_without_a_body(session: offline.Session, path: str) -> None:
    """HEAD has the status and headers of GET, the length of its body, and no body."""
    got, head = (send(session, method, path) for method in ("GET", "HEAD"))
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert set(head.headers) == set(got.headers)
    if "nothing" not in path:  # whose body names the method
        assert head.headers["content-length"] == got.headers["content-length"]


@pytest.mark.parametrize("provider", ["openai", "google", "local"])
def test_sdks_raise_for_unknown_paths_and_methods(session: offline.Session, provider: str) -> None:
    """OpenAI's strict client makes its own exceptions of them."""
    client = openai.OpenAI(
        base_url=session.base_url(provider), api_key=COURSE_KEY, max_retries=0,
        _strict_response_validation=True,
    )  # fmt: skip
    with pytest.raises(openai.NotFoundError) as caught:
        client.get("/nothing", cast_to=object)
    assert caught.value.request_id or provider != "openai"
    with pytest.raises(openai.APIStatusError) as caught_method:
        client.put("/chat/completions", cast_to=object, body={})
    assert caught_method.value.status_code == (404 if provider == "google" else 405)


def test_anthropics_sdk_raises_for_unknown_paths_and_methods() -> None:
    """So does Anthropic's, with the type of the error."""
    client = anthropic.Anthropic(max_retries=0, _strict_response_validation=True)
    with pytest.raises(anthropic.NotFoundError) as caught:
        client.get("/v1/nothing", cast_to=object)
    assert caught.value.body["error"]["type"] == "not_found_error"
    assert caught.value.request_id
    with pytest.raises(anthropic.APIStatusError, match="Method Not Allowed") as caught_method:
        client.put("/v1/messages", cast_to=object, body={})
    assert caught_method.value.status_code == 405


def test_geminis_sdk_raises_for_unknown_paths(session: offline.Session) -> None:
    """google-genai finds its code and status in the body."""
    from google import genai
    from google.genai import errors

    client = genai.Client(
        api_key=COURSE_KEY, http_options={"base_url": f"{session.server.url}/google"}
    )
    with pytest.raises(errors.ClientError) as caught:
        list(client.files.list())
    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("path", "named"), [("responses", False), ("chat/completions", True)]
)  # fmt: skip
def test_a_refusal_has_the_headers_of_its_route(
    session: offline.Session, path: str, named: bool
) -> None:
    """A wrong key at Responses is told how to authenticate, at chat completions it is not."""
    response = send(session, "POST", f"/openai/v1/{path}", key="wrong")
    assert response.status_code == 401
    assert ("www-authenticate" in response.headers) is not named
    assert ("openai-processing-ms" in response.headers) is not named
