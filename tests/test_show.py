"""What people look at: the meter, the tier line, the wire view."""

from collections.abc import Iterator

import anthropic
import openai
import pytest

from course_utils import notebook, offline
from course_utils.llm.costs import cost_usd
from course_utils.show.table import Table
from course_utils.show.tier_line import line
from course_utils.wire.catalogue import default_model, find_model
from course_utils.wire.reply import Usage

QUESTION = [{"role": "user", "content": "What is an API, in one sentence?"}]


@pytest.fixture
def session() -> Iterator[offline.Session]:
    """The stand-in, after one call to OpenAI and one to Anthropic."""
    session = offline.start()
    model = default_model("openai", "budget").id
    openai.OpenAI().chat.completions.create(model=model, messages=QUESTION)
    model = default_model("anthropic", "budget").id
    anthropic.Anthropic().messages.create(model=model, max_tokens=99, messages=QUESTION)
    yield session
    offline.stop()


def test_meter_adds_up(session: offline.Session) -> None:
    """The last row is the sum of the others, and an estimate is marked as one."""
    *models, everything = notebook.meter().rows
    assert [row[0] for row in models] == [
        default_model("openai", "budget").id,
        default_model("anthropic", "budget").id,
    ]
    assert everything[1:3] == ["2", "1 recorded, 1 adapted"]
    assert not models[0][3].startswith("≈")
    assert models[1][3].startswith("≈")
    assert everything[5].startswith("≈")


def test_tier_line_names_tier_and_tokens(session: offline.Session) -> None:
    """One call shows its tier, several are counted by tier."""
    calls = list(session.server.log)
    assert line(calls[:1]) == "▸ recorded · 16 tokens in, 26 out"
    assert line(calls).startswith("▸ 2 calls: 1 recorded, 1 adapted · ≈ ")


def test_wire_view_shows_http_and_no_key(session: offline.Session) -> None:
    """The last exchange is text with both bodies, and stars for the key."""
    text = repr(notebook.show_wire())
    assert text.startswith("POST /anthropic/v1/messages HTTP/1.1\n")
    assert '"max_tokens": 99' in text
    assert "HTTP/1.1 200" in text
    assert "authorization: ***" in text


def test_side_by_side_marks_differences(session: offline.Session) -> None:
    """A field of one provider only names it; a field of both says whether its value differs."""
    table = notebook.show_wire("openai", "anthropic")
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["request.max_tokens"] == ["·", "99", "only anthropic"]
    assert rows["request.messages[0].content"][2] == ""
    assert rows["request.model"][2] == "value"


def test_table_is_escaped_and_has_headers() -> None:
    """The HTML of a table escapes its cells and marks its headers for screen readers."""
    html = Table("<c>", ("a", "b"), [["<x>", "1"]])._repr_html_()
    assert "<x>" not in html
    assert "&lt;x&gt;" in html
    assert html.count('scope="col"') == 2
    assert html.count('scope="row"') == 1


def test_cost_knows_bands_and_caches() -> None:
    """Worked examples with the catalogue's own prices: plain, above a band, cached."""
    model = find_model("gpt-6-luna")
    assert cost_usd(model, Usage(1_000_000 // 10, 0)) == pytest.approx(0.1 / 10)
    assert cost_usd(model, Usage(272_000, 100)) == pytest.approx((272_000 * 0.1 + 100 * 0.5) / 1e6)
    assert cost_usd(model, Usage(272_001, 100)) == pytest.approx((272_001 * 0.2 + 100 * 0.75) / 1e6)
    cached = Usage(1000, 0, cached_tokens=600, cache_write_tokens=100)
    assert cost_usd(model, cached) == pytest.approx((300 * 0.1 + 600 * 0.01 + 100 * 0.125) / 1e6)
    haiku = find_model("claude-haiku-5-5")
    assert cost_usd(haiku, Usage(100_001, 10)) == pytest.approx((100_001 * 0.5 + 10 * 2.5) / 1e6)
