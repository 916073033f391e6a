"""The checks of ex01, The token budget.

Generated from solutions/ex01_token_budget.ipynb: change its cells tagged course-checks, then run
`course build`.
"""

# A check's arguments are what a student wrote, of any type.
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

# A check names its arguments as the student's notebook does.
# ruff: noqa: N803
import contextlib
import io
import random
import re

import tiktoken

from course_utils.classroom import exercise, expect, require
from course_utils.wire.catalogue import default_model, models
from course_utils.wire.tokens import count_text

ENCODINGS = ("o200k_base", "cl100k_base")
SAMPLE = {
    "role": "assistant",
    "content": "Naïve counts of words aren't tokens: подождите минутку, 日本語も, नमस्ते दुनिया.",
}
WORDS = ("tokens", "and", "naïve", "supercalifragilistic", "🙂", "don't", "3.14", "window", "的")


def reference(messages, encoding_name):
    """The published rule, counted by the course."""
    texts = [text for message in messages for text in (message["role"], message["content"])]
    return 3 + 3 * len(messages) + sum(count_text(text, encoding_name) for text in texts)


def some_text(chance, words):
    """Words that are no single tokens, as many as asked for."""
    return " ".join(chance.choices(WORDS, k=words))


def some_messages(chance, size):
    """A conversation between user and assistant."""
    roles = ("user", "assistant")
    return [{"role": roles[n % 2], "content": some_text(chance, 9)} for n in range(size)]


@exercise("ex01.1", points=2, then="The rule is yours now. Next, a class keeps count for you.")
def check_counting(message_tokens, conversation_tokens):
    """The rule holds for one message, for three, and for any number."""
    for name in ENCODINGS:
        encoding = tiktoken.get_encoding(name)
        got = message_tokens(SAMPLE, encoding)
        expect("message_tokens(…)", got, reference([SAMPLE], name) - 3, *message_mistakes(name))
        check_conversation(conversation_tokens, encoding)
    for seed in range(10):
        messages = some_messages(random.Random(seed), seed)
        got = conversation_tokens(messages, encoding)
        expect(f"The count of {messages}", got, reference(messages, name))


def message_mistakes(name):
    """Wrong values of message_tokens(SAMPLE, …), each with what it tells."""
    role, content = SAMPLE["role"], SAMPLE["content"]
    tokens, words, length = count_text(content, name), len(content.split()), len(content)
    usual = reference([SAMPLE], ENCODINGS[0]) - 3
    yield usual, "You always count with one encoding. Use the one that comes as an argument."
    counts_words = "You count words. Which call turns a text into the tokens that a model reads?"
    counts_letters = "You count characters. Encode the text first, then take the length."
    yield from ((words + more, counts_words) for more in (0, 1, 3, 4))
    yield from ((length + more, counts_letters) for more in (0, 3, 4, len(role), len(role) + 3))
    yield tokens, "You count the content only. A message also has a role, and an overhead of 3."
    yield tokens + 1, "The texts are right. What does every message cost, whatever it says?"
    yield tokens + 3, "The overhead is there. Which other text of the message does a model read?"
    yield tokens + 7, "The 3 tokens for the reply come once a conversation, not with a message."


def check_conversation(conversation_tokens, encoding):
    """The messages add up, and the reply counts once."""
    messages = [SAMPLE, {"role": "user", "content": "Why?"}, {"role": "user", "content": "Please."}]
    right = reference(messages, encoding.name)
    expect(
        "conversation_tokens(…) of three messages",
        conversation_tokens(messages, encoding),
        right,
        (right - 3, "The messages add up. What does the reply cost, once, at the end?"),
        (right + 6, "You add the reply's 3 tokens for each message. They come once."),
        (reference(messages[-1:], encoding.name), "Only the last message is counted."),
        (
            reference([SAMPLE], encoding.name),
            "Only one message is counted: is `return` in the loop?",
        ),
    )
    empty = "An empty conversation costs 3, because the reply begins with them."
    expect("conversation_tokens([], …)", conversation_tokens([], encoding), 3, (0, empty))


def some_model(encoding_name):
    """The id of a model that counts with the given encoding, served or not."""
    return next(model.id for model in models("openai") if model.encoding == encoding_name)


@exercise("ex01.2", points=3, then="The budget knows how full it is. Next, it makes room.")
def check_budget(TokenBudget):
    """A budget holds the messages in order and counts them."""
    check_messages(TokenBudget)
    for seed in range(12):
        chance = random.Random(seed)
        check_counts(TokenBudget, chance, ENCODINGS[seed % 2], chance.randint(40, 400))


def check_messages(TokenBudget):
    """The list is what would be sent, and each budget has its own."""
    budget = TokenBudget(some_model(ENCODINGS[0]))
    budget.add_message("user", "Hi")
    budget.add_system("Be brief.")
    budget.add_message("assistant", "Hello")
    user, assistant = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}
    first, second = ({"role": "system", "content": text} for text in ("Be brief.", "Be kind."))
    late = "The system prompt stands where add_system was called. Where does a model expect it?"
    mistakes = [([user, first, assistant], late), ([user, assistant, first], late)]
    expect("`messages`", budget.messages, [first, user, assistant], *mistakes)
    budget.add_system("Be kind.")
    both = "After a second add_system there are two system prompts. The new one replaces the old."
    old = "A second add_system changes nothing. The new prompt replaces the old."
    mistakes = [
        ([second, first, user, assistant], both),
        ([first, second, user, assistant], both),
        ([first, user, assistant], old),
    ]
    expect("`messages`", budget.messages, [second, user, assistant], *mistakes)
    shared = "Two budgets share one list of messages. Make a new list for each in `__init__`."
    require(not TokenBudget(some_model(ENCODINGS[0])).messages, shared)


def check_counts(TokenBudget, chance, encoding_name, max_context):
    """Used and remaining follow the rule, the model and the window."""
    budget = TokenBudget(some_model(encoding_name), max_context=max_context)
    budget.add_system(some_text(chance, 5))
    for message in some_messages(chance, chance.randint(1, 5)):
        budget.add_message(**message)
    used = reference(budget.messages, encoding_name)
    other = "You count with one encoding for all models. Which one does `model` name?"
    reply = "You count the messages without the 3 tokens for the reply: see exercise 1."
    known = (reference(budget.messages, ENCODINGS[0]), other), (used - 3, reply)
    expect("tokens_used()", budget.tokens_used(), used, *known)
    again = "A second tokens_used() gives another number. Start counting from zero in each call."
    require(budget.tokens_used() == used, again)
    expect(
        f"tokens_remaining() with max_context={max_context} and {used} used",
        budget.tokens_remaining(),
        max_context - used,
        (128_000 - used, "You always take 128,000. Which size was this budget made with?"),
        (used - max_context, "You subtract the wrong way round: what is left of the whole?"),
        (0, "You stop at 0. A negative number would say how many tokens are too many."),
        (max_context, "Nothing is subtracted: how much of max_context is used already?"),
    )


def trimmed(messages, encoding_name, room):
    """The messages that are left when at most ``room`` tokens may be used."""
    kept = list(messages)
    first = int(kept[0]["role"] == "system")
    while reference(kept, encoding_name) > room and len(kept) > first:
        del kept[first]
    return kept


def filled(TokenBudget, messages, max_context):
    """A student's budget that holds ``messages``."""
    budget = TokenBudget(some_model(ENCODINGS[0]), max_context=max_context)
    for message in messages:
        if message["role"] == "system":
            budget.add_system(message["content"])
        else:
            budget.add_message(**message)
    works = "tokens_used() is not right yet, so nothing can be trimmed: pass exercise 2 first."
    require(budget.tokens_used() == reference(messages, ENCODINGS[0]), works)
    return budget


@exercise("ex01.3", points=3, then="Now put it together: a long conversation meets a small window.")
def check_trimming(TokenBudget):
    """The oldest go, the system prompt stays, and no more than needed."""
    ready = "TokenBudget has no trim_to_fit yet: run the answer cell, its last line adds it."
    require(hasattr(TokenBudget, "trim_to_fit"), ready)
    for seed in range(12):
        check_trim(TokenBudget, random.Random(seed), spare=0, drop=3)
        check_trim(TokenBudget, random.Random(seed), spare=seed, drop=seed % 5)
    check_trim(TokenBudget, random.Random(1), system=False, drop=2)
    check_trim(TokenBudget, random.Random(2), spare=-10_000, drop=8)
    check_default_reserve(TokenBudget)


def check_trim(TokenBudget, chance, *, spare=0, drop=0, system=True):
    """Trim so that dropping ``drop`` messages leaves exactly ``spare`` tokens more than needed."""
    prompt, reserve = {"role": "system", "content": "Be brief."}, chance.randint(50, 2_500)
    before = [prompt] * system + some_messages(chance, 8)
    enough = before[:system] + before[system + drop :]
    max_context = max(50, reference(enough, ENCODINGS[0]) + spare + reserve)
    budget = filled(TokenBudget, before, max_context)
    removed = budget.trim_to_fit(reserve=reserve)
    right = trimmed(before, ENCODINGS[0], max_context - reserve)
    check_left(budget, before, right, system)
    check_removed(removed, before, budget)


def check_left(budget, before, right, system):
    """Say what is wrong with the messages that are left after a trim."""
    left, most, enough = budget.messages, len(before), len(right)
    if left == right:
        stale = "The right messages are left, but tokens_used() still counts those that are gone."
        require(budget.tokens_used() == reference(left, ENCODINGS[0]), stale)
        return
    require(not system or before[0] in left, "The system prompt is gone. What may go first?")
    needless = "There is room enough, and still a message is gone."
    require(enough < most or len(left) == most, needless)
    require(len(left) < most, "Too few tokens are free, and no message is dropped.")
    stale = "All messages are gone, and fewer would do. Does each drop change tokens_used()?"
    require(len(left) > system or enough <= system, stale)
    newest = "The newest message is gone. What did the user say last, and what can be spared?"
    require(before[-1] in left or before[-1] not in right, newest)
    require(len(left) <= enough, "You stop too early: drop until `reserve` tokens are free.")
    one = "You drop one too many. When exactly `reserve` tokens are free, that is enough."
    require(len(left) != enough - 1, one)
    require(system or left[:1] != before[:1], "With no system prompt, the first message goes.")
    raise AssertionError(f"{enough} messages should be left, in their order, and not {left}")


def check_removed(removed, before, budget):
    """The number returned is that of the messages dropped."""
    gone, left = len(before) - len(budget.messages), len(budget.messages)
    none = "trim_to_fit returns None. It should return the number of messages it dropped."
    freed = reference(before, ENCODINGS[0]) - reference(budget.messages, ENCODINGS[0])
    expect(
        "trim_to_fit(…)",
        removed,
        gone,
        (None, none),
        (freed, "You return the tokens that are free now. How many messages are gone?"),
        (left, "You return how many messages are left. How many are gone?"),
    )


def check_default_reserve(TokenBudget):
    """Without an argument, 1000 tokens are kept free."""
    messages = some_messages(random.Random(3), 6)
    room = reference(messages[2:], ENCODINGS[0])
    budget = filled(TokenBudget, messages, 1_000 + room)
    expect("trim_to_fit() with no argument, so with 1000 in reserve,", budget.trim_to_fit(), 2)


@exercise("ex01.4", points=2, then="That is a token budget. What it drops, the model forgets.")
def check_replay(replay):
    """Any conversation is filled in, trimmed and reported."""
    for seed in (1, 2, 3):
        chance = random.Random(seed)
        pairs = [(some_text(chance, 8), some_text(chance, 50)) for _ in range(20)]
        check_one_replay(replay, some_text(chance, 12), pairs, 3_000 + 100 * seed)


def check_one_replay(replay, system, pairs, max_context):
    """One conversation, against the reference."""
    name = default_model("openai", "budget").encoding
    roles = ("user", "assistant")
    talk = [{"role": r, "content": t} for pair in pairs for r, t in zip(roles, pair, strict=True)]
    everything = [{"role": "system", "content": system}, *talk]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        budget = replay(system, pairs, max_context=max_context, reserve=2_000)
    require(budget is not None, "replay returns None. It should return the budget.")
    right = trimmed(everything, name, max_context - 2_000)
    check_replayed(budget.messages, right, trimmed(everything, name, max_context - 1_000))
    before, after = (reference(messages, name) for messages in (everything, right))
    check_printed(printed.getvalue(), before, after, len(everything) - len(right))


def check_replayed(left, right, too_many):
    """The budget that comes back holds the right messages."""
    require(left, "The budget is empty: add the system prompt and each question and answer.")
    require(left[:1] == right[:1], "The conversation begins without its system prompt.")
    roles = "Questions and answers do not have their own roles: who asks, and who answers?"
    require({m["role"] for m in left[1:]} == {"user", "assistant"}, roles)
    require(left != too_many, "1000 tokens are kept free. How many does `reserve` ask for?")
    require(len(left) <= len(right), "The budget holds too much: trim it, then return it.")
    expect("The list of messages left", left, right)


def check_printed(printed, before, after, removed):
    """The three counts are printed, with any words around them."""
    numbers = [int(n) for n in re.findall(r"\d+", re.sub(r"(?<=\d)[,_](?=\d)", "", printed))]
    once = "You print the same number before and after. When do you note the first one?"
    require(before in numbers or numbers.count(after) < 2, once)
    pairs = "You print pairs removed. How many messages is that?"
    require(removed in numbers or removed // 2 not in numbers, pairs)
    expect("The numbers that replay prints, in order,", numbers, [before, after, removed])
