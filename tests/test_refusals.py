"""What a provider refuses, the stand-in refuses, with the SDK's own exception as the witness."""

from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from course_utils import offline
from course_utils.offline.doors import COURSE_KEY
from course_utils.wire.catalogue import default_model

HELLO = [{"role": "user", "content": "Hello"}]
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TOOL = {"name": "f", "input_schema": {"type": "object"}}
USE = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}


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
    import httpx2

    for path in ("/openai/v1/chat/completions", "/anthropic/v1/messages"):
        for body in (b"{", b"[]", b"\xff\xfe", b"", b"null", b"[" * 100_000):
            response = httpx2.post(
                session.server.url + path, content=body,
                headers={"authorization": f"Bearer {COURSE_KEY}"},
            )  # fmt: skip
            assert response.status_code == 400
            assert response.json()["error"]["type"] == "invalid_request_error"


def test_unknown_path_is_404_in_the_providers_shape(session: offline.Session) -> None:
    """An endpoint that is not served is 404, as JSON."""
    import httpx2

    response = httpx2.post(session.server.url + "/openai/v1/nothing", json={})
    assert response.status_code == 404
    assert "error" in response.json()
