"""The table of who says what in a conversation with tools."""

import pytest
from openai.types.chat import ChatCompletionMessage

from course_utils.llm.errors import MessagesError
from course_utils.show.sequence import tool_sequence
from course_utils.wire.request import Message, ToolCall

CALLS = [
    {
        "id": f"call_{city}",
        "type": "function",
        "function": {"name": "get_weather", "arguments": city},
    }
    for city in ("a", "b")
]
DICTS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "And the weather?"},
    {"role": "assistant", "content": None, "tool_calls": CALLS},
    {"role": "tool", "tool_call_id": "call_b", "content": "sunny"},
    {"role": "tool", "tool_call_id": "call_a", "content": "rain"},
    {"role": "assistant", "content": "Rain\n  and sun."},
]
ROWS = [
    ("1", "rules → model", "Be brief."),
    ("2", "user → model", "And the weather?"),
    ("3", "model → your code", "please run get_weather with a"),
    ("3", "model → your code", "please run get_weather with b"),
    ("4", "your code → model", "get_weather says: sunny"),
    ("5", "your code → model", "get_weather says: rain"),
    ("6", "model → user", "Rain and sun."),
]


def test_each_speaker_has_a_row() -> None:
    """Calls that were made at once share the number of their message."""
    assert list(tool_sequence(DICTS).rows) == ROWS


def test_what_an_sdk_returned_reads_the_same() -> None:
    """An answer of the openai SDK may stand in the list as it came."""
    answer = ChatCompletionMessage.model_validate(DICTS[2])
    assert list(tool_sequence([*DICTS[:2], answer, *DICTS[3:]]).rows) == ROWS


def test_the_toolkits_own_messages_read_the_same() -> None:
    """So do the messages of run_tools()."""
    calls = tuple(ToolCall(f"call_{city}", "get_weather", city) for city in ("a", "b"))
    asked = Message("assistant", "Let me look.", calls)
    rows = tool_sequence([Message("user", "And?"), asked]).rows
    assert [row[1:] for row in rows] == [
        ("user → model", "And?"),
        ("model → user", "Let me look."),
        ("model → your code", "please run get_weather with a"),
        ("model → your code", "please run get_weather with b"),
    ]


def test_a_result_without_its_call_says_so() -> None:
    """A history that was trimmed in the middle of a pair can still be looked at."""
    row = tool_sequence(DICTS[4:]).rows[0]
    assert row == ("1", "your code → model", "a call that is not here says: rain")


def test_long_texts_are_shortened_and_html_is_escaped() -> None:
    """A tool may return pages, and what it returns is no markup of ours."""
    table = tool_sequence("<b>" + "x" * 500)
    assert table.rows[0][2].endswith("x…")
    assert len(table.rows[0][2]) == 200
    assert "&lt;b&gt;" in table._repr_html_()


def test_what_is_no_message_is_refused() -> None:
    """The error is the toolkit's own, and says which entry it is."""
    with pytest.raises(MessagesError, match=r"messages\[0\] is a int"):
        tool_sequence([7])
