"""Log probabilities where no model has computed any: plausible, and the same for the same text."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator

from course_utils.wire import tokens
from course_utils.wire.reply import TokenLogprob

# What stands beside the token that was written: words that fit nearly anywhere.
_OTHERS = (" the", " a", ".", ",", " and", " is", " to", " of", "\n", " in", " that", " it")
# OpenAI's API gives at most so many alternatives.
MOST_ALTERNATIVES = 20


def logprobs_of(text: str, alternatives: int, encoding: str) -> tuple[TokenLogprob, ...]:
    """One entry a token of `text`, each with so many likeliest tokens, its own the first.

    The probability of a token follows from the text before it.
    """
    tokenizer = tokens.encoding(encoding)
    pieces = tokenizer.decode_tokens_bytes(tokens.encode(text, encoding))
    seed, entries = hashlib.sha256(), []
    wanted = min(alternatives, MOST_ALTERNATIVES)
    for piece in pieces:
        seed.update(piece)
        certainty = 0.6 + 0.4 * seed.digest()[0] / 256
        top = (_entry(piece, certainty), *_beside(piece, certainty, seed.digest()))
        entries.append(TokenLogprob(piece, top[0].logprob, top[:wanted]))
    return tuple(entries)


def _entry(piece: bytes, probability: float) -> TokenLogprob:
    return TokenLogprob(piece, round(math.log(probability), 8))


def _beside(piece: bytes, certainty: float, digest: bytes) -> Iterator[TokenLogprob]:
    """Less likely tokens, in falling order; each takes two thirds of what is left."""
    rest = 1 - certainty
    start = digest[1] % len(_OTHERS)
    words = [word for word in (*_OTHERS[start:], *_OTHERS[:start]) if word.encode() != piece]
    marked = [word.strip().title() or word * 2 for word in words]
    for word in dict.fromkeys([*words, *(w for w in marked if w.encode() != piece)]):
        rest *= 2 / 3
        yield _entry(word.encode(), rest / 2)
