"""Recordings: which one answers, how that is labelled, and what a broken file says."""

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from course_utils import offline
from course_utils.errors import RecordingError
from course_utils.offline.headers import TIER_HEADER
from course_utils.offline.replay.recordings import SHIPPED, Recordings, conversation_key
from course_utils.offline.standin import StandIn
from course_utils.wire.catalogue import default_model
from course_utils.wire.request import Message, Request, ToolCall

RECORDED = """
source: authored
written: 2026-11-23
replies:
  - id: capital
    provider: openai
    model: budget
    messages:
      - user: What is the capital of France?
    text: Paris.
  - id: next
    after: capital
    messages:
      - user: And of Italy?
    text: Rome.
"""
CAPITAL = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture
def session(tmp_path: Path) -> Iterator[offline.Session]:
    """The stand-in with two recordings of its own."""
    (tmp_path / "test.yaml").write_text(RECORDED, encoding="utf-8")
    session = offline.start()
    session.server.answers = StandIn(folder=tmp_path)
    yield session
    offline.stop()


def ask(messages: list[dict[str, str]], **more: object) -> tuple[str, str]:
    """The text of an answer, and the tier that gave it."""
    model = default_model("openai", "budget").id
    raw = openai.OpenAI(max_retries=0).chat.completions.with_raw_response.create(
        model=model, messages=messages, **more
    )
    return raw.parse().choices[0].message.content, raw.headers[TIER_HEADER]


def test_a_recorded_request_gets_its_recording(session: offline.Session) -> None:
    """Same provider, model, conversation and settings: the answer is the recorded one."""
    assert ask(CAPITAL) == ("Paris.", "recorded")
    assert list(session.server.log)[-1].recording == "test#capital"


def test_other_settings_are_adapted(session: offline.Session) -> None:
    """The same conversation with a limit gets the recorded text, cut."""
    assert ask(CAPITAL, max_completion_tokens=1) == ("Paris", "adapted")


def test_another_conversation_is_simulated(session: offline.Session) -> None:
    """A changed question has no recording."""
    assert ask([{"role": "user", "content": "What is 6 * 7?"}]) == ("6 * 7 = 42", "simulated")


def test_a_conversation_goes_on_where_its_reply_ended(session: offline.Session) -> None:
    """`after` builds on the messages and the answer of another recording."""
    answered = {"role": "assistant", "content": "Paris."}
    italy = {"role": "user", "content": "And of Italy?"}
    assert ask([*CAPITAL, answered, italy]) == ("Rome.", "recorded")


def test_a_calls_arguments_may_be_written_with_other_spaces() -> None:
    """A conversation is found again where a format rewrote the JSON of a call, and only there."""

    def key(arguments: str) -> str:
        call = ToolCall("call_1", "get_weather", arguments)
        return conversation_key(Request("m", (Message("assistant", tool_calls=(call,)),)))

    assert key('{"a": 1, "b": 2}') == key('{"b":2,"a":1}')
    assert key('{"a": 1}') != key('{"a": 2}')
    assert key('{"a": ') != key('{"a":')


def test_a_schema_is_the_same_in_any_order_of_its_keys() -> None:
    """Each SDK writes a class's schema in an order of its own, which may change with a version."""

    def key(schema: dict[str, object]) -> str:
        return conversation_key(Request("m", (Message("user", "Hi"),), json_schema=schema))

    assert key({"type": "object", "title": "A"}) == key({"title": "A", "type": "object"})
    assert key({"required": ["a", "b"]}) != key({"required": ["b", "a"]})


def test_the_same_provider_is_preferred(session: offline.Session) -> None:
    """Another provider's door gets OpenAI's recording, as an adapted answer."""
    google = openai.OpenAI(base_url=session.base_url("google"))
    raw = google.chat.completions.with_raw_response.create(
        model=default_model("google").id, messages=CAPITAL
    )
    assert raw.headers[TIER_HEADER] == "adapted"


def test_strict_mode_names_the_nearest_recording(session: offline.Session) -> None:
    """Without a recording strict mode refuses once, and says what comes nearest."""
    session.server.answers.strict = True
    before = session.server.log.last_number
    with pytest.raises(openai.APIStatusError, match="test#capital") as caught:
        openai.OpenAI().chat.completions.create(
            model=default_model("openai").id,
            messages=[{"role": "user", "content": "What is the capital of Spain?"}],
        )
    assert "'What is the capital of Spain?'" in caught.value.message
    assert session.server.log.last_number == before + 1


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "it cannot be read"),
        ("replies: []", "it must begin with 'source:'"),
        ("source: live\nwritten: 2026-11-23", "it must begin with 'source:'"),
        ("source: authored", "it must say 'written:'"),
        ("- a list", "it must begin with 'source:'"),
        (RECORDED.replace("after: capital", "after: paris"), "reply 'next': 'paris' is missing"),
        (RECORDED.replace("text: Rome.", "txet: Rome."), "reply 'next': there is no field 'txet'"),
        (RECORDED.replace("provider: openai", "provider: opnai"), "knows no provider 'opnai'"),
        (RECORDED.replace("    messages:\n      - user: What", "    mess:\n      - user: What"),
         "there is no field 'mess'"),
    ],
)  # fmt: skip
def test_a_broken_file_is_named(tmp_path: Path, content: str, problem: str) -> None:
    """The error names the file and what is wrong in it, in one line."""
    path = tmp_path / "broken.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(RecordingError) as caught:
        Recordings.load(path)
    assert problem in str(caught.value)
    assert "broken.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_broken_file_reaches_the_student_as_a_sentence(session: offline.Session) -> None:
    """A call while a recording is broken is one error with that sentence, not retried."""
    folder = session.server.answers.folder
    (folder / "broken.yaml").write_text("{", encoding="utf-8")
    with pytest.raises(openai.InternalServerError, match=r"broken\.yaml cannot be used"):
        ask(CAPITAL)
    assert session.server.log.last_number == 1


def test_all_shipped_recordings_can_be_used() -> None:
    """Every file in the package loads, and no two recordings share a name."""
    recordings = Recordings.load(SHIPPED)
    names = [recording.name for recording in recordings]
    assert len(names) == len(set(names)) > 20
