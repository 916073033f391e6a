"""A client with retries around it."""

import asyncio
from collections.abc import Iterator

import pytest

from course_utils import faults, offline
from course_utils.llm import AsyncLLMClient, AsyncRetryingChat, LLMClient, RetryingChat
from course_utils.llm.clock import VirtualClock
from course_utils.llm.errors import AuthenticationError, StreamCutError
from course_utils.llm.result import Finished


@pytest.fixture(autouse=True)
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


def test_a_call_is_tried_again() -> None:
    """Two failures, two waits, one answer."""
    clock = VirtualClock()
    with faults("503", times=2):
        result = RetryingChat(LLMClient(), clock=clock).chat("What is 1 + 1?")
    assert result.finish_reason == "stop"
    assert len(clock.slept) == 2


def test_a_stream_is_begun_again() -> None:
    """A stream that cannot be opened is asked for again, and nothing is doubled."""
    clock = VirtualClock()
    with faults("503", times=1):
        *_, last = RetryingChat(LLMClient(), clock=clock).stream("What is 1 + 1?")
    assert isinstance(last, Finished)
    assert len(clock.slept) == 1


def test_a_stream_that_breaks_later_is_not_repeated(session: offline.Session) -> None:
    """Once a piece has come, the error is the caller's to see: a new answer would double it."""
    with faults("cut_stream", times=1), pytest.raises(StreamCutError) as caught:
        list(RetryingChat(LLMClient(), clock=VirtualClock()).stream("Tell me about the sea."))
    assert caught.value.text
    assert len(session.server.log) == 1


def test_what_waiting_cannot_cure_is_raised_at_once() -> None:
    """A wrong key is not tried again."""
    clock = VirtualClock()
    with faults("401"), pytest.raises(AuthenticationError):
        RetryingChat(LLMClient(), clock=clock).chat("Hi")
    assert clock.slept == []


def test_async_calls_are_tried_again() -> None:
    """The same with await."""
    clock = VirtualClock()
    with faults("429", times=1):
        result = asyncio.run(AsyncRetryingChat(AsyncLLMClient(), clock=clock).chat("Hi"))
    assert result.content
    assert len(clock.slept) == 1
