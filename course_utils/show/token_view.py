"""A text cut into its tokens, each on a ground of its own, so that one sees what a model reads."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from course_utils.llm.models import as_model
from course_utils.wire import tokens
from course_utils.wire.catalogue import Model
from course_utils.wire.vocabulary.packing import VOCABULARIES

if TYPE_CHECKING:
    import tiktoken

# The light colours of matplotlib's tableau-colorblind10. Black on them can be read on any theme.
_GROUNDS = ("#A2C8EC", "#FFBC79", "#CFCFCF")
_BOX = (
    "display:inline-block;margin:1px;padding:1px 3px;border:1px solid #595959;border-radius:3px;"
    "color:#000000;font-family:monospace;white-space:pre"
)
_MARKS = {" ": "·", "\n": "⏎", "\t": "→", "\r": "␍"}


@dataclass(frozen=True, slots=True)
class Token:
    """One token: its number in the vocabulary, and its bytes."""

    id: int
    raw: bytes

    @property
    def shown(self) -> str:
        """Its text with marks for what is invisible, or its bytes where it is half a character."""
        try:
            return "".join(map(_visible, self.raw.decode()))
        except UnicodeDecodeError:
            return f"<{self.raw.hex(' ')}>"


@dataclass(frozen=True, slots=True)
class TokenView:
    """The tokens of a text; Jupyter shows boxes, everything else bars between the tokens.

    Attributes:
        text: what was cut.
        tokens: its tokens, in order.
        encoding: the name of the tiktoken encoding.
        note: why these may not be the tokens that the model reads; empty where they are.
    """

    text: str
    tokens: tuple[Token, ...]
    encoding: str
    note: str = ""

    @property
    def caption(self) -> str:
        """How many tokens and characters there are, and whose tokens they are."""
        counts = f"{_number(self.tokens, 'token')}, {_number(self.text, 'character')}"
        return f"{counts} ({self.encoding}{self.note})"

    def __repr__(self) -> str:
        shown = "|".join(token.shown for token in self.tokens)
        return f"|{shown}|\n{self.caption}" if self.tokens else self.caption

    def _repr_html_(self) -> str:
        boxes = "".join(_box(place, token) for place, token in enumerate(self.tokens))
        caption = f'<div style="font-size:85%;opacity:0.75">{escape(self.caption)}</div>'
        return f'<div><div style="line-height:2">{boxes}</div>{caption}</div>'


def show_tokens(text: str, model_or_encoding: str | Model | tiktoken.Encoding) -> TokenView:
    """Cut a text into the tokens of a model, or of an encoding such as "o200k_base".

    Special tokens such as `<|endoftext|>` are cut like plain text. For a model whose tokenizer is
    not published, the tokens are those of o200k_base, and the caption says so.

    Raises UnknownModelError and VocabularyError.
    """
    name, note = _encoding(model_or_encoding)
    encoder = tokens.encoding(name)
    cut = tuple(
        Token(number, encoder.decode_single_token_bytes(number))
        for number in tokens.encode(text, name)
    )
    return TokenView(text, cut, name, note)


def _encoding(chosen: str | Model | tiktoken.Encoding) -> tuple[str, str]:
    """The name of an encoding, and what is to be said of it."""
    if isinstance(chosen, str) and chosen in VOCABULARIES:
        return chosen, ""
    if isinstance(chosen, str | Model):
        model = as_model(chosen)
        if model.encoding is None:
            return tokens.REFERENCE, f"; the tokenizer of {model.id} is not published"
        return model.encoding, ""
    return chosen.name, ""


def _visible(character: str) -> str:
    """A character, or a mark for one that nobody can see."""
    if character in _MARKS:
        return _MARKS[character]
    return character if character.isprintable() else f"<U+{ord(character):04X}>"


def _box(place: int, token: Token) -> str:
    ground = _GROUNDS[place % len(_GROUNDS)]
    return (
        f'<span title="token {token.id}" style="{_BOX};background:{ground}">'
        f"{escape(token.shown)}</span>"
    )


def _number(things: tuple[Token, ...] | str, name: str) -> str:
    return f"{len(things):,} {name}" + ("" if len(things) == 1 else "s")
