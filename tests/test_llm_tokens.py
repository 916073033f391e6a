"""Tokens are counted as tiktoken and the providers' bills say, and an estimate says that it is."""

import dataclasses
import random
import statistics
from collections.abc import Iterator
from typing import Any

import openai
import pytest
import tiktoken
from traffic import Exchange, exchanges, needs_exchanges

from course_utils import offline
from course_utils.classroom.checks import ex01
from course_utils.errors import UnknownModelError
from course_utils.llm import Estimate, TokenBudget, count_message_tokens, count_tokens
from course_utils.llm.errors import MessagesError, SettingError
from course_utils.wire import sse
from course_utils.wire.anthropic_messages import AnthropicMessages
from course_utils.wire.catalogue import Model, default_model, models
from course_utils.wire.prompt_tokens import prompt_tokens
from course_utils.wire.request import Message, Request, Tool, ToolCall
from course_utils.wire.tokens import provide_vocabulary

GPT = default_model("openai", "budget")
CLAUDE = default_model("anthropic")
TEXTS = [
    "",
    "Hello, world!",
    "日本語も、नमस्ते दुनिया",
    "🙂👩‍👩‍👧 don't",
    "<|endoftext|>",
    "fox " * 900,
]
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
TALK: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello", "name": "Ada"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "2"},
    {"role": "user", "content": [{"type": "text", "text": "And "}, {"type": "text", "text": "b?"}]},
]
WORDS = ("tokens", "naïve", "🙂", "3.14", "window", "的", "and")


def f(a: int) -> int:
    """Add one to a number."""
    return a + 1


@pytest.fixture
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


@pytest.mark.parametrize("model", [m for m in models() if m.encoding], ids=lambda m: m.id)
def test_a_text_has_as_many_tokens_as_tiktoken_says(model: Model) -> None:
    """Where the encoding is published, the count is tiktoken's, as a plain number."""
    provide_vocabulary()
    encoding = tiktoken.get_encoding(str(model.encoding))
    expected = [len(encoding.encode_ordinary(text)) for text in TEXTS]
    assert [count_tokens(text, model) for text in TEXTS] == expected


def test_tiktoken_itself_knows_none_of_the_new_names() -> None:
    """tiktoken finds no encoding for the course's models, and refuses a special token's text."""
    with pytest.raises(KeyError):
        tiktoken.encoding_for_model(GPT.id)
    provide_vocabulary()
    with pytest.raises(ValueError, match="disallowed special token"):
        tiktoken.get_encoding("o200k_base").encode("<|endoftext|>")
    assert count_tokens("<|endoftext|>", GPT.id) == 7


@pytest.mark.parametrize("provider", ["anthropic", "google"])
def test_an_estimate_never_looks_like_a_count(provider: str) -> None:
    """Where no tokenizer is published, the answer is an Estimate that shows itself as one."""
    model = default_model(provider)
    counts = [count_tokens("Hello there", model), count_message_tokens(TALK[:2], model.id)]
    assert [type(count) for count in counts] == [Estimate, Estimate]
    assert all(str(count).startswith("≈ ") and str(count).endswith("tokens") for count in counts)
    assert not isinstance(counts[0], int)
    assert counts[0] != int(counts[0])


def test_estimates_add_up_to_estimates() -> None:
    """A sum with an estimate in it is one, and can be formatted in a table."""
    some = count_tokens("Hello there", CLAUDE)
    assert isinstance(some, Estimate)
    total = sum([some, 10, some])
    assert isinstance(total, Estimate)
    assert (int(total), f"{total:>15}") == (2 * some.tokens + 10, f"{total!s:>15}")
    assert CLAUDE.id in total.why


def test_a_conversation_costs_what_the_published_rule_says() -> None:
    """Three a message, role and text, one and its tokens for a name, three for the reply."""
    count = count_tokens
    expected = 3 + sum(3 + int(count(m["role"], GPT)) for m in TALK[:2])
    expected += sum(int(count(m["content"], GPT)) for m in TALK[:2]) + 1 + int(count("Ada", GPT))
    assert count_message_tokens(TALK[:2], GPT.id) == expected


def test_dicts_and_messages_count_alike() -> None:
    """The wire's Message costs what the dict costs, also a second time."""
    same = [
        Message("system", "Be brief."),
        Message("user", "Hello", name="Ada"),
        Message("assistant", tool_calls=(ToolCall("c1", "f", '{"a": 1}'),)),
        Message("tool", "2", tool_call_id="c1"),
        Message("user", "And b?"),
    ]
    counts = {count_message_tokens(talk, GPT) for talk in (TALK, same, tuple(TALK), same, TALK)}
    assert counts == {prompt_tokens(Request(GPT.id, tuple(same)), GPT)}


def test_what_is_remembered_of_a_message_is_all_that_counts() -> None:
    """Messages with the same role and text, but other calls or a name, keep their own counts."""
    plain = {"role": "assistant", "content": "Yes"}
    other = {**CALL, "function": {"name": "f", "arguments": '{"a": 1, "b": [2, 3, 4]}'}}
    variants = [plain, {**plain, "name": "Bob"}, {**plain, "tool_calls": [CALL]}]
    variants += [{**plain, "tool_calls": [other]}, {**plain, "tool_calls": [CALL, CALL]}]
    for _ in range(2):
        assert len({count_message_tokens([message], GPT) for message in variants}) == 5


def test_tools_are_counted_in_each_shape() -> None:
    """A function, a Tool and OpenAI's dict cost the same, and not nothing."""
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    tool = Tool("f", "Add one to a number.", schema)
    function = {"name": "f", "description": tool.description, "parameters": schema}
    shapes: list[Any] = [f, tool, {"type": "function", "function": function}]
    counts = {count_message_tokens(TALK, GPT, [shape]) for shape in shapes}
    assert len(counts) == 1
    assert counts.pop() > int(count_message_tokens(TALK, GPT)) + 10


def test_a_picture_makes_the_count_an_estimate() -> None:
    """What a picture costs is not known, so a conversation with one has no exact count."""
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    message = {"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture]}
    counted = count_message_tokens([message], GPT)
    assert isinstance(counted, Estimate)
    assert "pictures" in counted.why


def test_the_stand_in_bills_what_was_counted(session: offline.Session) -> None:
    """A real SDK's call is billed the tokens that we counted before it."""
    client = openai.OpenAI()
    messages: Any = [*TALK[:2], {"role": "assistant", "content": "Hi"}, TALK[-1]]
    answer = client.chat.completions.create(model=GPT.id, messages=messages)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == count_message_tokens(messages, GPT.id)


def claude(exchange: Exchange) -> float | None:
    """Our estimate as a part of Anthropic's bill, for a prompt of text and own tools alone."""
    body = exchange.request_json() or {}
    if not exchange.row["model"] or any("type" in tool for tool in body.get("tools", ())):
        return None
    codec = AnthropicMessages()
    request = codec.read_request(body)
    if request.json_schema or any(message.attachments for message in request.messages):
        return None
    is_stream = exchange.response.startswith(b"event:")
    events = sse.decode([exchange.response])
    reply = codec.read_stream(events) if is_stream else codec.read_reply(exchange.response_json())
    model = dataclasses.replace(CLAUDE, estimate_factor=1.18)
    billed = reply.usage.prompt_tokens
    # A few tokens more or less are a large share of a short prompt.
    return prompt_tokens(request, model) / billed if billed > 100 else None


@needs_exchanges
def test_the_estimate_for_claude_is_near_real_bills() -> None:
    """On recorded prompts of Claude, nine of ten estimates are within 20 % of the bill."""
    recorded = [x for x in exchanges("/v1/messages", "anthropic") if x.request]
    shares = [share for share in map(claude, recorded) if share]
    assert len(shares) >= 15
    assert statistics.median(shares) == pytest.approx(1, abs=0.1)
    assert sum(abs(share - 1) <= 0.2 for share in shares) / len(shares) >= 0.9, shares


def test_a_budget_counts_as_the_functions_do() -> None:
    """After any number of messages, used and remaining are the count of the whole."""
    chance = random.Random(4)
    for tools in ((), (f,)):
        budget = TokenBudget(GPT, max_context=5_000, tools=tools)
        budget.add_message("user", "first")
        budget.add_system("Be kind.")
        for _ in range(60):
            budget.add(chance.choice(TALK[1:2] + TALK[4:]))
            used = count_message_tokens(budget.messages, GPT, tools)
            assert (budget.tokens_used(), budget.tokens_remaining()) == (used, 5_000 - int(used))


def test_a_budget_takes_the_models_context_and_says_estimate() -> None:
    """Without max_context it is the model's; for Claude all its numbers are estimates."""
    budget = TokenBudget(CLAUDE.id)
    budget.add_message("user", "Hello")
    assert budget.max_context == CLAUDE.context_tokens
    assert isinstance(budget.tokens_used(), Estimate)
    assert isinstance(budget.tokens_remaining(), Estimate)


def test_would_fit_tells_the_truth() -> None:
    """A message that would fit leaves no negative rest, one that would not does."""
    for seed in range(200):
        chance = random.Random(seed)
        budget = TokenBudget(GPT, max_context=chance.randint(5, 60))
        budget.add_message("user", "Hello there")
        text, reserve = (
            " ".join(chance.choices(WORDS, k=chance.randint(0, 20))),
            chance.randint(0, 9),
        )
        fits = budget.would_fit(text, reserve)
        budget.add_message("user", text)
        assert fits == (int(budget.tokens_remaining()) >= reserve)


def test_the_packaged_budget_passes_the_exercise() -> None:
    """What the student builds in exercise 1 is what the package has."""
    ex01.check_budget(TokenBudget)
    for seed in range(12):
        ex01.check_trim(TokenBudget, random.Random(seed), spare=0, drop=3)
        ex01.check_trim(TokenBudget, random.Random(seed), spare=seed, drop=seed % 5)
    ex01.check_trim(TokenBudget, random.Random(1), system=False, drop=2)
    ex01.check_default_reserve(TokenBudget)


class Watched(dict[str, Any]):
    """A message that knows how often it was read."""

    reads = 0

    def __getitem__(self, key: str) -> Any:
        Watched.reads += 1
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        """As a dict's."""
        Watched.reads += 1
        return super().get(key, default)


def test_adding_counts_no_earlier_message_again() -> None:
    """The hundredth message is read as often as the first, however long the conversation is."""
    budget, reads = TokenBudget(GPT), []
    for number in range(100):
        Watched.reads = 0
        budget.add(Watched(role="user", content=f"message {number}"))
        budget.tokens_used()
        reads.append(Watched.reads)
    assert reads[0] > 0
    assert set(reads) == {reads[0]}


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        (5, "messages is a int"),
        ({"role": "user", "content": "x"}, "messages is a dict"),
        ([5], r"messages\[0\]"),
        ([TALK[0], {"content": "x"}], r"messages\[1\].role is missing"),
        ([TALK[0], {"role": "robot", "content": "x"}], "'robot': choose one of"),
        ([{"role": "user", "content": 5}], r"messages\[0\].content"),
        ([{"role": "assistant", "content": "", "tool_calls": [{}]}], "function is missing"),
    ],
)
def test_a_wrong_shape_is_named(messages: Any, words: str) -> None:
    """Messages of the wrong shape are refused with their place and a cure."""
    with pytest.raises(MessagesError, match=words):
        count_message_tokens(messages, GPT)


def test_other_bad_input_is_named() -> None:
    """An unknown model, what is no text, and a context that holds nothing."""
    with pytest.raises(UnknownModelError, match=GPT.id):
        count_tokens("x", GPT.id.replace("6", "7"))
    with pytest.raises(MessagesError, match="count_message_tokens"):
        count_tokens(TALK, GPT)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="max_context is -1"):
        TokenBudget(GPT, max_context=-1)
    with pytest.raises(MessagesError, match="robot"):
        TokenBudget(GPT).add({"role": "robot", "content": "x"})
