"""Near-duplicates: what may differ, and what must never be taken for the same question."""

import random
from collections.abc import Iterator

import pytest

from course_utils import offline
from course_utils.llm.cache import AnswerCache, CachedChat, CachedResult
from course_utils.llm.client import LLMClient
from course_utils.llm.errors import SettingError
from course_utils.llm.similar import SimilarIndex, features, likeness
from course_utils.llm.stores import SQLiteStore
from course_utils.wire.request import Message, Request

SAME = [
    ("What is the capital of France?", "what's the capital of france"),
    ("What is the capital of France?", "What is the capital of France ?!"),
    ("Explain recursion", "Explain recursion, please."),
    ("Explain recursion", "Please   explain\nrecursion!"),
    ("Could you explain how a hash table works?", "Explain how a hash table works."),
    ("I can't log in", "I cannot log in".replace("cannot", "can not")),
    ("Don't use loops. Sort the list.", "do not use loops; sort list"),
    ("It\u2019s late", "It's late"),
    ("\uff28ello, what is an API?", "what is an API"),  # full-width H
    ("Where is Delft", "WHERE IS DELFT"),
    ("Was ist ein Schlüssel?", "was ist ein schlüssel"),
    ("Give me 3 names for a cat", "give me 3 names for cat"),
]
OTHER = [
    ("Is 7 a prime number?", "Is 9 a prime number?"),
    ("Is 7 a prime number?", "Is 7 not a prime number?"),
    ("Is it safe?", "Isn't it safe?"),
    ("Add 5 to the total", "Add -5 to the total"),
    ("It costs 1.5 euros", "It costs 15 euros"),
    ("Meet at 10:30", "Meet at 10:45"),
    ("Cut it by 5%", "Cut it by 5"),
    ("Sort it in C++", "Sort it in C"),
    ("Sort it in C++", "Sort it in C#"),
    ("Is a < b?", "Is a > b?"),
    ("dog bites man", "man bites dog"),
    ("Convert 5 euros to dollars", "Convert 5 dollars to euros"),
    ("Write a letter to Anna", "Write a letter to Hanna"),
    ("The capital of Austria", "The capital of Australia"),
    ("Sort the list ascending", "Sort the list descending"),
    ("Two reasons for it", "Three reasons for it"),
    ("Who is the president?", "Who was the president?"),
    ("Should I go?", "Can I go?"),
    ("With sugar", "Without sugar"),
    ("Before lunch", "After lunch"),
    ("Use model4", "Use model5"),
    ("日本の首都はどこですか", "中国の首都はどこですか"),
    ("Explain it", "Explain it, could you please, would you do me a, the, kindly, thank you hey"),
]


def request(text: str, system: str = "Be brief.", **options: float) -> Request:
    """One question after a system prompt."""
    return Request("m", (Message("system", system), Message("user", text)), **options)  # type: ignore[arg-type]


@pytest.fixture
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same_question_in_other_clothes(one: str, other: str) -> None:
    """Case, punctuation, short forms and politeness make no other question, in either order."""
    for asked, again in ((one, other), (other, one)):
        index = SimilarIndex()
        index.add(request(asked), "p/m", "key")
        match = index.find(request(again), "p/m")
        assert match is not None
        assert (match.key, match.text) == ("key", asked)
        assert 0.5 <= match.likeness <= 1


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_another_question_never_matches(one: str, other: str) -> None:
    """A digit, a sign, a negation, a name, or the order of two words make another question."""
    for asked, again in ((one, other), (other, one)):
        index = SimilarIndex()
        index.add(request(asked), "p/m", "key")
        assert index.find(request(again), "p/m") is None


TEXT = (
    "the customer in Spain ordered 12 red chairs and 3 tables on Monday but could not pay before "
    "the bank opened so please write a kind letter that offers 10 % off"
)
WORDS = TEXT.split()


def test_one_changed_digit_or_one_not_never_matches() -> None:
    """In 500 random texts of any length, another digit or one more "not" is another question."""
    rng = random.Random(5)
    for _ in range(500):
        words = [rng.choice(WORDS) for _ in range(rng.randint(3, 200))]
        place = rng.randrange(len(words))
        number = str(rng.randint(0, 9_999))
        digit = rng.randrange(len(number))
        changed = number[:digit] + str((int(number[digit]) + rng.randint(1, 9)) % 10)
        changed += number[digit + 1 :]
        text = " ".join([*words[:place], number, *words[place:]])
        other = " ".join([*words[:place], changed, *words[place:]])
        negated = " ".join([*words[:place], "not", number, *words[place:]])
        assert likeness(features(text), features(text)) == 1
        assert likeness(features(text), features(other)) == 0
        assert likeness(features(text), features(negated)) == 0


def test_everything_else_must_be_equal() -> None:
    """Another system prompt, option, model or earlier message is another question."""
    index = SimilarIndex()
    asked = request("What is an API?")
    index.add(asked, "p/m", "key")
    again = "what's an API"
    assert index.find(request(again), "p/m")
    assert not index.find(request(again, system="Be brief"), "p/m")
    assert not index.find(request(again, max_tokens=5), "p/m")
    assert not index.find(request(again), "p/n")
    longer = (Message("user", "Hi"), Message("assistant", "Hello"), Message("user", again))
    assert not index.find(Request("m", longer), "p/m")


def test_the_threshold_decides_and_the_best_match_wins() -> None:
    """More small words are less alike; of two that match, the more similar one is taken."""
    index = SimilarIndex(threshold=0.5)
    index.add(request("Could you please explain recursion"), "p/m", "polite")
    index.add(request("Please explain recursion"), "p/m", "short")
    match = index.find(request("explain recursion"), "p/m")
    assert match is not None
    assert (match.key, round(match.likeness, 2)) == ("short", 0.67)
    strict = SimilarIndex(threshold=0.7)
    strict.add(request("Please explain recursion"), "p/m", "short")
    assert strict.find(request("explain recursion"), "p/m") is None


@pytest.mark.parametrize("threshold", [0, -1, 1.01])
def test_a_senseless_threshold_is_refused(threshold: float) -> None:
    """A likeness is between 0 and 1."""
    with pytest.raises(SettingError, match=r"0\.5 is a good start"):
        SimilarIndex(threshold)


def test_the_index_is_bounded() -> None:
    """The oldest question is forgotten, and leaves no empty box behind."""
    index = SimilarIndex(max_entries=3)
    for number in range(10):
        index.add(request(f"Question {number}"), "p/m", str(number))
    found = [n for n in range(10) if index.find(request(f"question {n}?"), "p/m")]
    assert found == [7, 8, 9]
    assert len(index._boxes) == 3


def test_a_near_hit_says_what_it_matched(session: offline.Session) -> None:
    """The result names the question that was answered, and how like it is; one call was made."""
    chat = CachedChat(LLMClient("openai"), AnswerCache(similar=SimilarIndex()))
    first = chat.chat("Could you explain what an API is?")
    second = chat.chat("Please explain what an API is!")
    assert isinstance(second, CachedResult)
    assert second.content == first.content
    assert second.matched == "Could you explain what an API is?"
    assert second.likeness == pytest.approx(5 / 8)
    assert (chat.cache.stats.hits, chat.cache.stats.near_hits) == (1, 1)
    assert session.server.log.last_number == 1
    equal = chat.chat("Could you explain what an API is?")
    assert isinstance(equal, CachedResult)
    assert (equal.matched, equal.likeness) == (None, 1.0)


def test_a_match_whose_answer_is_gone_is_a_miss(session: offline.Session, tmp_path: object) -> None:
    """Where the store has dropped the answer, the question is asked."""
    store = SQLiteStore(f"{tmp_path}/cache.db")
    chat = CachedChat(LLMClient("openai"), AnswerCache(store, similar=SimilarIndex()))
    chat.chat("Explain recursion")
    store._run("DELETE FROM answers")
    assert not isinstance(chat.chat("Please explain recursion"), CachedResult)
