"""Tokens and the context window, as people look at them."""

import re
from itertools import pairwise

import pytest
import tiktoken

from course_utils.errors import CourseError, UnknownModelError
from course_utils.llm import Estimate
from course_utils.show.gauge import context_gauge
from course_utils.show.token_view import show_tokens
from course_utils.wire import tokens
from course_utils.wire.catalogue import default_model

TEXT = "Naïve <b>cats</b> & 12345 🤖\n\tdone"


def luminance(colour: str) -> float:
    """How light a colour is, as WCAG computes it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(share * p for share, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("name", ["o200k_base", "cl100k_base"])
def test_the_tokens_are_those_of_tiktoken(name: str) -> None:
    """Numbers and bytes are tiktoken's, and joined they are the text."""
    view = show_tokens(TEXT, name)
    assert [token.id for token in view.tokens] == tokens.encode(TEXT, name)
    assert b"".join(token.raw for token in view.tokens).decode() == TEXT


def test_a_model_an_id_and_an_encoding_name_the_same() -> None:
    """Whoever has a model, its id or a tiktoken encoding gets one view."""
    model = default_model("openai", "budget")
    assert model.encoding
    tokens.provide_vocabulary()
    views = [
        show_tokens(TEXT, given)
        for given in (model, model.id, model.encoding, tiktoken.get_encoding(model.encoding))
    ]
    assert len(set(views)) == 1
    assert views[0].note == ""


def test_a_secret_tokenizer_is_named_as_such() -> None:
    """For Claude the caption says that these are another model's tokens."""
    model = default_model("anthropic", "budget")
    assert f"the tokenizer of {model.id} is not published" in repr(show_tokens("Hi", model))


def test_an_unknown_name_is_an_error() -> None:
    """A name that is neither encoding nor model is not guessed."""
    with pytest.raises(UnknownModelError):
        show_tokens("Hi", "p50k")


def test_white_space_and_parts_of_characters_are_visible() -> None:
    """A space, a line's end and half a character each have a mark; the count stands below."""
    text = repr(show_tokens("a b\n🤖", "o200k_base"))
    assert text == "|a|·b|⏎|<f0 9f a4>|<96>|\n5 tokens, 5 characters (o200k_base)"


def test_what_nobody_can_see_has_a_name() -> None:
    """The joiner between two emoji is named by its code point."""
    assert "<U+200D>" in repr(show_tokens("👩\u200d👧", "o200k_base"))


def test_one_and_none() -> None:
    """One token is no plural, and an empty text has a count alone."""
    assert repr(show_tokens("a", "o200k_base")) == "|a|\n1 token, 1 character (o200k_base)"
    assert repr(show_tokens("", "o200k_base")) == "0 tokens, 0 characters (o200k_base)"


def test_special_tokens_are_plain_text() -> None:
    """A user's <|endoftext|> is cut like any other text."""
    assert len(show_tokens("<|endoftext|>", "o200k_base").tokens) > 1


def test_html_is_escaped_and_has_a_box_a_token() -> None:
    """A text cannot bring markup of its own; each token has a border beside its colour."""
    view = show_tokens("<script>alert('x')</script> & \"y\"", "o200k_base")
    html = view._repr_html_()
    assert "<script" not in html
    assert "&amp;" in html
    assert html.count("border:1px solid") == len(view.tokens)
    assert html.count("<span") == html.count("</span>") == len(view.tokens)


def test_neighbours_differ_and_can_be_read() -> None:
    """Two tokens in a row have different grounds, on which black text has a contrast of 7."""
    html = show_tokens("one two three four five six", "o200k_base")._repr_html_()
    grounds = re.findall(r"background:(#\w+)", html)
    assert all(a != b for a, b in pairwise(grounds))
    assert all((luminance(ground) + 0.05) / 0.05 >= 7 for ground in grounds)
    assert html.count("color:#000000") == len(grounds)


def test_gauge_says_in_words_what_the_bar_shows() -> None:
    """Used, reserved and free add up to the limit, in the bar and in the sentence."""
    gauge = context_gauge(500, 250, 1000)
    assert repr(gauge) == (
        "[" + "█" * 20 + "▒" * 10 + "·" * 10 + "]\n"
        "500 used, 250 reserved for the answer, 250 free, of 1,000 tokens"
    )
    html = gauge._repr_html_()
    assert 'role="img" aria-label="500 used, 250 reserved' in html
    assert [float(w) for w in re.findall(r"width:([\d.]+)%", html)] == [50, 25, 25]


def test_gauge_shows_little_and_too_much() -> None:
    """One token of a million has a cell, and what does not fit is said."""
    assert context_gauge(1, 1, 1_000_000).cells.startswith("█▒·")
    over = context_gauge(900, 200, 1000)
    assert over.cells == "█" * 36 + "▒" * 4
    assert "100 too many" in repr(over)
    assert context_gauge(5000, 10, 1000).cells == "█" * 40


def test_gauge_takes_an_estimate() -> None:
    """An estimate is a number here."""
    assert context_gauge(Estimate(30), 0, 100).used == 30


@pytest.mark.parametrize("numbers", [(1, 1, 0), (-1, 0, 10), (0, -1, 10)])
def test_gauge_refuses_nonsense(numbers: tuple[int, int, int]) -> None:
    """No window, or less than nothing, is an error that says what to give."""
    with pytest.raises(CourseError, match="give a limit"):
        context_gauge(*numbers)
