"""What lesson 04 says of streams, as of 2026-11-24, is what the SDKs do and write."""

import inspect
from collections.abc import Iterator
from typing import Any, get_args

import anthropic
import openai
import pytest
from anthropic.types import RawMessageDeltaEvent, RawMessageStartEvent, RawMessageStreamEvent
from google import genai
from google.genai.types import GenerateContentResponse
from jupyter_server.services.sessions import sessionmanager
from openai.types.chat import chat_completion_stream_options_param

from course_utils import offline
from course_utils.llm import LLMClient
from course_utils.llm.errors import StreamCutError
from course_utils.llm.result import Finished
from course_utils.notebook import faults, log
from course_utils.wire.catalogue import default_model, providers

QUESTION: Any = [{"role": "user", "content": "Explain gradient descent in 3 sentences."}]
OPTIONS = " ".join(inspect.getsource(chat_completion_stream_options_param).split())


@pytest.fixture(autouse=True)
def session() -> Iterator[offline.Session]:
    """The stand-in, on whose real connections the real SDKs stream."""
    yield offline.start()
    offline.stop()


def ask_openai(**options: Any) -> Any:
    """A stream of OpenAI's budget model."""
    model = default_model("openai", "budget").id
    return openai.OpenAI().chat.completions.create(
        model=model, messages=QUESTION, stream=True, **options
    )


def ask_anthropic() -> Any:
    """A stream of Anthropic's budget model."""
    model = default_model("anthropic", "budget").id
    return anthropic.Anthropic().messages.create(
        model=model, max_tokens=200, messages=QUESTION, stream=True
    )


def ask_google() -> Iterator[GenerateContentResponse]:
    """A stream of Google's budget model."""
    client = genai.Client()  # kept: it closes its connection when nothing holds it
    yield from client.models.generate_content_stream(
        model=default_model("google", "budget").id, contents=QUESTION[0]["content"]
    )


def test_openai_sends_usage_on_request_and_not_of_a_broken_stream() -> None:
    """The SDK says it: one more chunk, without choices, which an interrupted stream may lack."""
    assert "the `choices` field will always be an empty array" in OPTIONS
    assert "If the stream is interrupted, you may not receive the final usage chunk" in OPTIONS
    assert all(chunk.usage is None for chunk in ask_openai())
    last = list(ask_openai(stream_options={"include_usage": True}))[-1]
    assert last.choices == []
    assert last.usage.total_tokens


def test_openai_pads_chunks_against_listeners() -> None:
    """The SDK says what `obfuscation` is for, and that it is there by default."""
    assert "normalize payload sizes as a mitigation to certain side-channel attacks" in OPTIONS
    assert "included by default" in OPTIONS


def test_openai_says_role_then_text_then_reason() -> None:
    """The role comes with an empty text, the reason with none, and all between is text."""
    first, *between, last = [chunk.choices[0] for chunk in ask_openai()]
    assert (first.delta.role, first.delta.content, first.finish_reason) == ("assistant", "", None)
    assert all(choice.delta.content and choice.finish_reason is None for choice in between)
    assert (last.delta.content, last.finish_reason) == (None, "stop")


def test_anthropic_has_six_types_of_events() -> None:
    """These are the members of the SDK's union; tokens come with the start and with the delta."""
    union = get_args(RawMessageStreamEvent)[0]
    types = {get_args(event.model_fields["type"].annotation)[0] for event in get_args(union)}
    assert types == {
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    }
    seen = {event.type: event for event in ask_anthropic()}
    assert set(seen) == types
    start, delta = seen["message_start"], seen["message_delta"]
    assert isinstance(start, RawMessageStartEvent)
    assert start.message.usage.input_tokens
    assert isinstance(delta, RawMessageDeltaEvent)
    assert delta.delta.stop_reason == "end_turn"
    assert delta.usage.output_tokens


def test_google_counts_in_each_chunk_and_ends_in_the_last() -> None:
    """Each chunk carries text and a usage, which grows; only the last has a finish reason."""
    chunks = list(ask_google())
    counts = [c.usage_metadata.candidates_token_count or 0 for c in chunks if c.usage_metadata]
    assert len(counts) == len(chunks) > 1
    assert counts == sorted(counts)
    assert all(chunk.text for chunk in chunks)
    reasons = [chunk.candidates[0].finish_reason for chunk in chunks if chunk.candidates]
    assert [reason is not None for reason in reasons] == [False] * (len(chunks) - 1) + [True]


def test_leaving_the_loop_does_not_close_the_connection() -> None:
    """After a `break` the response is open; `close()` and `with` close it."""
    stream = ask_openai()
    for _ in stream:
        break
    assert not stream.response.is_closed
    stream.close()
    assert stream.response.is_closed
    with ask_openai() as stream:
        next(stream)
    assert stream.response.is_closed


def test_sdks_repeat_a_call_only_before_its_answer_begins() -> None:
    """A connection dropped before the answer is tried three times, a cut stream once."""
    with faults("cut_stream") as plan, pytest.raises(openai.APIConnectionError):
        list(ask_openai())
    assert plan.hits == 1
    with faults("dropped") as plan, pytest.raises(openai.APIConnectionError):
        ask_openai()
    assert plan.hits == 3
    assert len(log()) == 4


def test_sdks_say_nothing_of_a_clean_end() -> None:
    """A stream that ends politely and too early raises nothing in any of the three SDKs."""
    with faults("clean_end"):
        assert not any(chunk.choices[0].finish_reason for chunk in ask_openai())
        assert "message_delta" not in {event.type for event in ask_anthropic()}
        chunks = list(ask_google())
    assert not any(chunk.candidates and chunk.candidates[0].finish_reason for chunk in chunks)


def test_helpers_of_the_sdks_give_the_whole_answer_and_pass_over_a_clean_end() -> None:
    """Both add up the pieces; of a stream without an end they give the half, and no error."""
    gpt, claude = default_model("openai", "budget").id, default_model("anthropic", "budget").id

    def ask_both() -> tuple[str | None, str | None]:
        with openai.OpenAI().chat.completions.stream(model=gpt, messages=QUESTION) as stream:
            reason = stream.get_final_completion().choices[0].finish_reason
        with anthropic.Anthropic().messages.stream(
            model=claude, max_tokens=200, messages=QUESTION
        ) as stream:
            return reason, stream.get_final_message().stop_reason

    assert ask_both() == ("stop", "end_turn")
    with faults("clean_end"):
        assert ask_both() == (None, None)


@pytest.mark.parametrize("provider", [p.id for p in providers()])
@pytest.mark.parametrize("fault", ["cut_stream", "clean_end"])
def test_the_toolkit_makes_one_error_of_every_cut(provider: str, fault: str) -> None:
    """On every provider it is StreamCutError, with a beginning of the answer."""
    client = LLMClient(provider, tier="budget")
    *_, last = client.stream(QUESTION)
    assert isinstance(last, Finished)
    whole = last.result.content
    with faults(fault), pytest.raises(StreamCutError) as caught:
        list(client.stream(QUESTION))
    assert caught.value.text
    assert whole.startswith(caught.value.text)
    assert caught.value.text != whole


def test_jupyter_tells_a_kernel_that_it_is_watched() -> None:
    """Jupyter's server names the notebook to the kernels that it starts; live_text relies on it."""
    assert "JPY_SESSION_NAME" in inspect.getsource(sessionmanager)
