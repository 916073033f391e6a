"""What lesson 08 says of tokens, counts and context windows, as of 2026-11-24, holds."""

from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

import anthropic
import openai
import pytest
import tiktoken
from google import genai

from course_utils import faults, offline
from course_utils.llm import Estimate, LLMClient, count_message_tokens, count_tokens
from course_utils.llm.errors import BadRequestError, ContextLengthError
from course_utils.wire import tokens
from course_utils.wire.catalogue import Tier, default_model, providers

ENGLISH = "The quick brown fox jumps over the lazy dog."
JAPANESE = "日本語のトークンは何文字ですか。"
CLOUD = ("openai", "anthropic", "google")
TIERS: tuple[Tier, ...] = ("budget", "standard", "premium")
GUIDE = [
    {"role": "system", "content": "You are a travel guide. Answer in one short sentence."},
    {"role": "user", "content": "What is the weather in Amsterdam?"},
]


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


@pytest.fixture(scope="module")
def o200k() -> tiktoken.Encoding:
    """The vocabulary of OpenAI's current models."""
    tokens.provide_vocabulary()
    return tiktoken.get_encoding("o200k_base")


def test_a_long_number_is_cut_every_three_digits(o200k: tiktoken.Encoding) -> None:
    """The pieces of 1234567 have three digits, three, and what is left."""
    assert [o200k.decode([n]) for n in o200k.encode("1234567")] == ["123", "456", "7"]


def test_a_space_makes_another_token(o200k: tiktoken.Encoding) -> None:
    """`world` with and without the space before it are one token each, and not the same."""
    bare, spaced = o200k.encode("world"), o200k.encode(" world")
    assert len(bare) == len(spaced) == 1
    assert bare != spaced


def test_four_characters_a_token(o200k: tiktoken.Encoding) -> None:
    """The guess is near for English, and two thirds too low for Japanese."""
    errors = [len(t) / 4 / len(o200k.encode(t)) - 1 for t in (ENGLISH, JAPANESE)]
    assert errors == pytest.approx([0.10, -0.67], abs=0.01)


def test_a_special_token_in_a_users_text_raises(o200k: tiktoken.Encoding) -> None:
    """tiktoken refuses the thirteen characters, and encode_ordinary counts them as text."""
    text = "<|endoftext|>"
    assert len(text) == 13
    with pytest.raises(ValueError, match="disallowed special token"):
        o200k.encode(text)
    assert o200k.eot_token not in o200k.encode_ordinary(text)


@pytest.mark.parametrize("provider", CLOUD)
@pytest.mark.parametrize("tier", TIERS)
def test_tiktoken_does_not_know_todays_models(provider: str, tier: Tier) -> None:
    """tiktoken 0.14 raises KeyError for each of the course's models in the cloud."""
    with pytest.raises(KeyError):
        tiktoken.encoding_for_model(default_model(provider, tier).id)


def test_the_old_vocabulary_counts_otherwise(o200k: tiktoken.Encoding) -> None:
    """The fallback of older tutorials gives more tokens for Japanese."""
    old = tiktoken.get_encoding("cl100k_base")
    assert len(old.encode(JAPANESE)) > len(o200k.encode(JAPANESE))


def test_three_tokens_a_message_and_three_for_the_reply(o200k: tiktoken.Encoding) -> None:
    """The sum by hand is the count of the package, and more than a third of it is frames."""
    said = sum(len(o200k.encode(m["content"])) for m in GUIDE)
    roles = sum(len(o200k.encode(m["role"])) for m in GUIDE)
    counted = count_message_tokens(GUIDE, default_model("openai", "budget"))
    assert counted == said + roles + 3 * len(GUIDE) + 3
    assert 1 / 3 < 1 - said / int(counted) < 1 / 2


def test_who_publishes_a_tokenizer() -> None:
    """Counts are exact for OpenAI and the local model, and estimates elsewhere."""
    kinds = {p.id: type(count_tokens(ENGLISH, default_model(p.id, "budget"))) for p in providers()}
    assert kinds == {"openai": int, "anthropic": Estimate, "google": Estimate, "local": int}


def test_claude_cuts_text_finer_by_half() -> None:
    """The published factor of each Claude of the course is near one and a half."""
    factors = {default_model("anthropic", tier).estimate_factor for tier in TIERS}
    assert all(1.45 <= factor <= 1.55 for factor in factors)


def test_googles_sdk_has_a_tokenizer_for_other_models_only() -> None:
    """Its local tokenizer is downloaded, and knows none of the course's Gemini models."""
    source = Path(genai.__file__).with_name("_local_tokenizer_loader.py").read_text("utf-8")
    assert '"gemini-3.5-flash"' in source
    assert "https://" in source
    assert not any(f'"{default_model("google", tier).id}"' in source for tier in TIERS)


def test_two_providers_count_for_you() -> None:
    """Both SDKs have the method that the lesson calls, and it answers with a number alone."""
    claude = anthropic.Anthropic().messages.count_tokens(
        model=default_model("anthropic", "budget").id,
        messages=[{"role": "user", "content": ENGLISH}],
    )
    assert set(claude.model_dump()) == {"input_tokens"}
    client = genai.Client()
    gemini = client.models.count_tokens(
        model=default_model("google", "budget").id, contents=ENGLISH
    )
    assert gemini.total_tokens


def test_only_openai_has_a_code_for_a_prompt_that_is_too_long() -> None:
    """Three times 400, three codes."""
    codes = {}
    for name in CLOUD:
        with faults("context_length"), pytest.raises(ContextLengthError) as caught:
            LLMClient(name, tier="budget").chat(GUIDE)
        assert caught.value.status == 400
        codes[name] = caught.value.code
    assert codes == {
        "openai": "context_length_exceeded",
        "anthropic": "invalid_request_error",
        "google": "INVALID_ARGUMENT",
    }


@pytest.mark.parametrize("provider", CLOUD)
def test_a_result_without_its_call_is_refused(provider: str) -> None:
    """Each provider answers 400 to a conversation that begins with a tool's result."""
    orphan = {"role": "tool", "tool_call_id": "call_1", "content": "14 degrees"}
    with pytest.raises(BadRequestError) as caught:
        LLMClient(provider, tier="budget").chat([GUIDE[0], orphan, GUIDE[1]])
    assert caught.value.status == 400


def test_counting_anew_is_quadratic() -> None:
    """Ten times the messages are a hundred times the tokens encoded."""
    work = {n: sum(accumulate([19] * n)) for n in (100, 1_000)}
    assert work[1_000] / work[100] == pytest.approx(100, rel=0.02)


def test_the_raw_sdk_names_the_code_too() -> None:
    """OpenAI's own exception carries context_length_exceeded."""
    with faults("context_length"), pytest.raises(openai.BadRequestError) as caught:
        openai.OpenAI().chat.completions.create(
            model=default_model("openai", "budget").id,
            messages=[{"role": "user", "content": ENGLISH}],
        )
    assert caught.value.code == "context_length_exceeded"
