"""A trimmed conversation fits, is as long as it can be, and parts no call from its results."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

import openai
import pytest

from course_utils import faults, offline
from course_utils.llm import (
    LLMClient,
    TokenBudget,
    count_message_tokens,
    sliding_window,
    summarise_oldest,
    trim_to_fit,
)
from course_utils.llm.errors import (
    BudgetExceededError,
    MessagesError,
    RefusedError,
    SettingError,
)
from course_utils.llm.messages import as_messages
from course_utils.wire.catalogue import default_model
from course_utils.wire.request import Message

GPT = default_model("openai", "budget")
WORDS = ("tokens", "naïve", "🙂", "3.14", "window", "的", "and", "price")


def f(a: int) -> int:
    """Add one to a number."""
    return a + 1


@pytest.fixture
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


def text(chance: random.Random, most: int = 12) -> str:
    """Some words."""
    return " ".join(chance.choices(WORDS, k=chance.randint(1, most)))


def call(number: int) -> dict[str, Any]:
    """One tool call, as OpenAI writes it."""
    function = {"name": "f", "arguments": f'{{"a": {number}}}'}
    return {"id": f"call_{number}", "type": "function", "function": function}


def conversation(chance: random.Random, turns: int) -> list[dict[str, Any]]:
    """Turns of a question, rounds of up to three parallel calls, and an answer."""
    talk: list[dict[str, Any]] = []
    for turn in range(turns):
        if chance.random() < (0.7 if turn == 0 else 0.05):
            talk.append({"role": "system", "content": text(chance)})
        talk.append({"role": "user", "content": text(chance)})
        for _ in range(chance.choice((0, 0, 1, 2))):
            calls = [call(len(talk) * 10 + i) for i in range(chance.randint(1, 3))]
            talk.append({"role": "assistant", "content": None, "tool_calls": calls})
            for made in chance.sample(calls, k=len(calls)):
                talk.append({"role": "tool", "tool_call_id": made["id"], "content": text(chance)})
        if turn < turns - 1 or chance.random() < 0.5:
            talk.append({"role": "assistant", "content": text(chance)})
    return talk


def broken(messages: Sequence[dict[str, Any]]) -> list[str]:
    """Calls without a result and results without a call, as a provider looks for them."""
    wanted: list[str] = []
    problems: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            if message["tool_call_id"] in wanted:
                wanted.remove(message["tool_call_id"])
            else:
                problems.append(message["tool_call_id"])
            continue
        problems += wanted
        wanted = [made["id"] for made in message.get("tool_calls") or ()]
    return problems + wanted


def next_older(before: list[dict[str, Any]], kept: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What would come back first: the newest message that is gone, with all that belongs to it."""
    ids = {id(message) for message in kept}
    gone = [i for i, message in enumerate(before) if id(message) not in ids]
    if not gone:
        return []
    first = last = gone[-1]
    while before[first]["role"] == "tool":
        first -= 1
    return before[first : last + 1]


def test_a_thousand_random_conversations_are_trimmed_right() -> None:
    """No pair is broken, the limit holds, what must stay stays, and nothing more would fit."""
    shortened = refused = 0
    for seed in range(1_000):
        chance = random.Random(seed)
        before = conversation(chance, chance.randint(1, 12))
        assert not broken(before)
        tools = chance.choice(((), (f,)))
        limit = chance.randint(10, int(count_message_tokens(before, GPT, tools)) + 10)
        try:
            kept = trim_to_fit(before, limit, GPT, tools=tools)
        except BudgetExceededError:
            refused += 1
            check_refusal(before, limit, tools)
            continue
        shortened += len(kept) < len(before)
        assert not broken(kept)
        assert int(count_message_tokens(kept, GPT, tools)) <= limit
        check_kept(before, kept)
        more = kept + next_older(before, kept)
        assert more == kept or int(count_message_tokens(more, GPT, tools)) > limit
    assert shortened > 300
    assert 50 < refused < 700


def check_kept(before: list[dict[str, Any]], kept: list[dict[str, Any]]) -> None:
    """The order is the same; system messages, newest question and newest message are there."""
    places = [next(i for i, m in enumerate(before) if m is message) for message in kept]
    assert places == sorted(places)
    must = [m for m in before if m["role"] == "system"]
    must += [m for m in before if m["role"] == "user"][-1:] + before[-1:]
    assert all(any(m is message for message in kept) for m in must)


def check_refusal(before: list[dict[str, Any]], limit: int, tools: Sequence[Any]) -> None:
    """What must stay is really too long: instructions, newest question, newest message."""
    last = len(before) - 1
    while before[last]["role"] == "tool":
        last -= 1
    question = max(i for i, m in enumerate(before) if m["role"] == "user")
    must = [m for i, m in enumerate(before) if m["role"] == "system" or i == question or i >= last]
    assert int(count_message_tokens(must, GPT, tools)) > limit


def test_a_budget_trims_as_the_function_does() -> None:
    """TokenBudget.trim_to_fit leaves the same messages, and says how many it dropped."""
    for seed in range(100):
        chance = random.Random(seed)
        before = conversation(chance, 10)
        limit = int(count_message_tokens(before, GPT)) * 2 // 3
        budget = TokenBudget(GPT, max_context=limit + 50)
        for message in before:
            budget.add(message)
        kept = trim_to_fit(before, limit, GPT)
        assert budget.trim_to_fit(reserve=50) == len(before) - len(kept)
        assert budget.messages == kept
        assert budget.tokens_used() == count_message_tokens(kept, GPT)


def test_messages_trim_as_dicts_do() -> None:
    """A conversation of the wire's Messages comes back as Messages, the same ones."""
    before = conversation(random.Random(3), 12)
    limit = int(count_message_tokens(before, GPT)) // 2
    read = as_messages(before)
    assert trim_to_fit(read, limit, GPT) == list(as_messages(trim_to_fit(before, limit, GPT)))


@pytest.mark.parametrize("provider", ["anthropic", "google"])
def test_what_is_left_begins_with_the_user_where_a_provider_wants_it(provider: str) -> None:
    """For Claude and Gemini no answer and no tool call stands first, and no turn more would fit."""
    model, shortened = default_model(provider), 0
    for seed in range(300):
        before = conversation(random.Random(seed), 10)
        limit = int(count_message_tokens(before, model)) * (30 + seed % 60) // 100
        try:
            kept = trim_to_fit(before, limit, model)
        except BudgetExceededError:
            continue
        check_kept(before, kept)
        assert not broken(kept)
        assert int(count_message_tokens(kept, model)) <= limit
        assert next(m["role"] for m in kept if m["role"] != "system") == "user"
        gone = [m for m in before if all(m is not other for other in kept)]
        turn = [i for i, m in enumerate(gone) if m["role"] == "user"][-1:]
        more = int(count_message_tokens(kept + gone[turn[0] :], model)) if turn else limit + 1
        assert more > limit
        shortened += 1
    assert shortened > 200


def test_a_text_alone_can_be_trimmed() -> None:
    """A question is a conversation of one message."""
    assert trim_to_fit("Hello", 50, GPT.id) == [{"role": "user", "content": "Hello"}]


def test_an_empty_conversation_stays_empty() -> None:
    """Nothing becomes nothing; tools that are too long alone are named."""
    assert trim_to_fit([], 50, GPT) == sliding_window([], 1) == []
    with pytest.raises(BudgetExceededError, match="tools alone"):
        trim_to_fit([], 5, GPT, tools=[f])


def test_a_long_run_of_tools_keeps_its_question(session: offline.Session) -> None:
    """Inside one long turn the oldest rounds go and the question stays, as a provider takes it."""
    talk: list[Any] = [{"role": "user", "content": "Add up."}]
    for number in range(40):
        talk.append({"role": "assistant", "content": None, "tool_calls": [call(number)]})
        talk.append({"role": "tool", "tool_call_id": f"call_{number}", "content": str(number)})
    kept: Any = trim_to_fit(talk, 200, GPT)
    assert kept[0] is talk[0]
    assert kept[1:] == talk[-len(kept[1:]) :]
    assert 2 < len(kept) < len(talk)
    answer = openai.OpenAI().chat.completions.create(model=GPT.id, messages=kept)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens <= 200


def test_a_provider_takes_what_is_left(session: offline.Session) -> None:
    """The stand-in, which refuses broken pairs as OpenAI does, answers trimmed conversations."""
    client = openai.OpenAI()
    for seed in range(20):
        before = conversation(random.Random(seed), 8)
        kept: Any = trim_to_fit(before, int(count_message_tokens(before, GPT)) * 2 // 3, GPT)
        assert client.chat.completions.create(model=GPT.id, messages=kept).choices


def test_the_window_keeps_whole_turns() -> None:
    """The newest turns are whole, older ones are gone, and instructions stay."""
    for seed in range(200):
        chance = random.Random(seed)
        before = conversation(chance, chance.randint(1, 8))
        turns = chance.randint(1, 9)
        kept = sliding_window(before, turns)
        asked = [m for m in before if m["role"] == "user"]
        assert [m for m in kept if m["role"] == "user"] == asked[-turns:]
        assert not broken(kept)
        assert [m for m in before if m["role"] == "system"] == [
            m for m in kept if m["role"] == "system"
        ]
        if len(asked) <= turns:
            assert kept == before


def test_the_oldest_part_is_retold() -> None:
    """What is dropped is handed to the function, and its words stand where it was."""
    before = [{"role": "system", "content": "Be brief."}, *conversation(random.Random(5), 30)]
    limit = int(count_message_tokens(before, GPT)) // 2
    seen: list[Any] = []

    def retell(oldest: list[Any]) -> str:
        seen.extend(oldest)
        return "They talked about prices."

    shorter = summarise_oldest(before, limit, GPT, retell, summary_tokens=40)
    place = next(i for i, m in enumerate(shorter) if m["role"] != "system")
    assert shorter[place]["role"] == "user"
    assert shorter[place]["content"].endswith("They talked about prices.")
    rest = shorter[:place] + shorter[place + 1 :]
    assert len(seen) + len(rest) == len(before)
    assert int(count_message_tokens(shorter, GPT)) <= limit
    assert not broken(shorter)
    assert not broken(seen)


def test_a_short_conversation_is_not_retold() -> None:
    """What fits stays as it is, and nobody is asked for a summary."""
    talk = conversation(random.Random(1), 2)
    assert summarise_oldest(talk, 10_000, GPT, lambda oldest: 1 / 0) == talk  # type: ignore[arg-type]


def test_a_summary_is_retold_too() -> None:
    """With each further summary the older one goes into the new, so that there is only one."""
    talk: list[Any] = [{"role": "system", "content": "Be brief."}]
    for number in range(60):
        talk.append({"role": "user", "content": f"question {number} " + "word " * 10})
        talk.append({"role": "assistant", "content": "answer " * 10})
        talk = summarise_oldest(
            talk, 300, GPT, lambda oldest: f"{len(oldest)} told", summary_tokens=20
        )
    summaries = [m for m in talk if str(m["content"]).startswith("Summary of")]
    assert len(summaries) == 1


def test_a_client_retells(session: offline.Session) -> None:
    """A client is asked once for a summary of the oldest part, with a limit on its length."""
    talk = conversation(random.Random(5), 40)
    limit = int(count_message_tokens(talk, GPT)) // 2
    shorter = summarise_oldest(talk, limit, GPT, LLMClient("openai"), summary_tokens=200)
    [entry] = session.server.log
    assert entry.request is not None
    assert entry.request.max_tokens == 200
    assert "Summarise this conversation" in entry.request.last_user_text
    assert int(count_message_tokens(shorter, GPT)) <= limit


def test_an_empty_summary_is_an_error(session: offline.Session) -> None:
    """Where the model writes nothing, the conversation is not quietly forgotten."""
    talk = conversation(random.Random(5), 40)
    with faults("refusal", times=1), pytest.raises(RefusedError, match="gave no summary"):
        summarise_oldest(talk, 300, GPT, LLMClient("openai"), summary_tokens=50)


def test_one_message_that_is_too_large_is_named() -> None:
    """The error says which message, how large it is, and how it begins."""
    talk = [{"role": "user", "content": "Hi"}, {"role": "user", "content": "Lorem ipsum " * 500}]
    with pytest.raises(BudgetExceededError, match=r"message 1 \(user, 1,\d+ tokens, 'Lorem ipsum"):
        trim_to_fit(talk, 100, GPT)
    budget = TokenBudget(GPT, max_context=500)
    budget.add_message("user", "Lorem ipsum " * 500)
    with pytest.raises(BudgetExceededError, match="shorten it, or allow more tokens"):
        budget.trim_to_fit()


def test_a_summary_that_is_too_long_is_named() -> None:
    """A summary longer than was said is refused, and not sent."""
    talk = conversation(random.Random(5), 40)
    with pytest.raises(BudgetExceededError, match="summary_tokens"):
        summarise_oldest(talk, 300, GPT, lambda oldest: "word " * 500, summary_tokens=20)


def test_a_result_without_its_call_is_named() -> None:
    """A conversation that is broken already is refused, with the place."""
    result = {"role": "tool", "tool_call_id": "call_9", "content": "1"}
    hello = {"role": "user", "content": "Hi"}
    for talk in ([hello, result], [result], [hello, Message("tool", "1", tool_call_id="call_9")]):
        with pytest.raises(MessagesError, match=f"Message {len(talk) - 1} is the result.*call_9"):
            trim_to_fit(talk, 100, GPT)


@pytest.mark.parametrize("limit", [0, -5])
def test_a_limit_that_holds_nothing_is_refused(limit: int) -> None:
    """Zero and negative limits are settings that make no sense."""
    with pytest.raises(SettingError, match=f"max_tokens is {limit}"):
        trim_to_fit("Hi", limit, GPT)
    with pytest.raises(SettingError, match=f"turns is {limit}"):
        sliding_window("Hi", limit)
    with pytest.raises(SettingError, match=f"summary_tokens is {limit}"):
        summarise_oldest("Hi", 10, GPT, lambda oldest: "", summary_tokens=limit)
    with pytest.raises(SettingError, match="room for the newest"):
        summarise_oldest("Hi", 10, GPT, lambda oldest: "", summary_tokens=10)
