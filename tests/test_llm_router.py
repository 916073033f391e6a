"""The router against hand-labelled tasks, and what it says of its own certainty."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from course_utils import offline
from course_utils.errors import UnknownModelError, UnknownProviderError
from course_utils.llm.client import LLMClient
from course_utils.llm.errors import MessagesError, SettingError
from course_utils.llm.result import Finished
from course_utils.llm.router import (
    BORDERS,
    SURE,
    TIERS,
    AsyncRoutedClient,
    RoutedClient,
    RoutedResult,
    accuracy,
    route,
)
from course_utils.llm.routing_rules import RULES
from course_utils.wire.catalogue import default_model

# Labelled by what the answer takes, not by how the task is worded:
#   budget    looked up, copied or relabelled: one short step
#   standard  composed or explained: several ordinary steps, and a slip does little harm
#   premium   every step rests on the one before it, or goals pull against each other
# Twenty written before the router had a single rule. Its first version sent 14 of them where they
# belong; the present one was made from what went wrong.
FIRST = [
    ("Is this review positive or negative? 'The battery died after two days.'", "budget"),
    ("What is the capital of Australia?", "budget"),
    ("Fix the spelling: 'I recieved teh parcel yesteday.'", "budget"),
    ("Extract the e-mail addresses: write to ann@example.org or bob@example.org", "budget"),
    ("Translate 'good morning' into Dutch.", "budget"),
    ("Give me three synonyms for 'quick'.", "budget"),
    ("Convert 'March 3, 2026' to ISO 8601.", "budget"),
    ("Write a polite e-mail that asks my landlord to repair the heating.", "standard"),
    (
        "Summarise these meeting notes in five bullets: Anna reported that sales rose in the "
        "north and fell in the south. Ben will talk to the two largest customers. The new price "
        "list is late, because legal has not answered yet. Next meeting on Tuesday.",
        "standard",
    ),
    ("Explain how a hash table works to a first-year student.", "standard"),
    ("Write a Python function that returns the n-th Fibonacci number, with tests.", "standard"),
    (
        "Write a SQL query that lists the ten customers who spent most last year, from the "
        "tables customers and orders.",
        "standard",
    ),
    ("A shirt costs 40 euros after a 20 % discount. What did it cost before?", "standard"),
    ("Plan a three-day trip to Lisbon for a family with two small children.", "standard"),
    ("Prove that the square root of 2 is irrational.", "premium"),
    (
        "Our asyncio service deadlocks under load about once an hour. Find the race in the code "
        "below and show why your fix removes it.\n```python\nasync def take():\n    async with "
        "lock:\n        await queue.put(await fetch())\n```",
        "premium",
    ),
    (
        "Design a rate limiter for 50 servers that share one limit. Compare at least two designs "
        "and argue which of them survives a network partition.",
        "premium",
    ),
    (
        "Clause 4 says that notice is due within 30 days, clause 9 that it is due before the next "
        "invoice. Where do they contradict each other, and which one prevails under each reading?",
        "premium",
    ),
    (
        "Ann, Bob, Carl, Dora and Eve sit in a row. Ann is not next to Bob, Carl is left of Dora, "
        "and Eve sits at an end. In how many ways can they sit?",
        "premium",
    ),
    (
        "Go through this migration plan step by step: what can fail at each step, how would we "
        "notice, and how do we go back? First we copy the table, then we switch the writes, "
        "finally we drop the old one.",
        "premium",
    ),
]

# Twenty that came after the first version, and that the points were set on.
TUNED = [
    ("Classify this ticket as billing, technical or other: 'I was charged twice.'", "budget"),
    ("Is 91 a prime number? Answer yes or no.", "budget"),
    ("Who wrote 'The Trial'?", "budget"),
    ("List the countries named in this text: Peru, once part of Spain, borders Chile.", "budget"),
    ("Label each line as question or statement: It rains. Does it rain?", "budget"),
    ("Make this sentence shorter: 'Due to the fact that it rained, we left.'", "budget"),
    ("What does the abbreviation HTTP stand for?", "budget"),
    ("Describe the water cycle in two paragraphs for a ten-year-old.", "standard"),
    ("Draft a job advertisement for a part-time librarian in about 150 words.", "standard"),
    ("Write a regular expression that matches Dutch postcodes, and explain it.", "standard"),
    ("Rewrite this paragraph in a friendlier tone: 'Your request has been denied.'", "standard"),
    ("How do I reverse a list in Python without changing the original?", "standard"),
    ("A train leaves at 9:40 and arrives at 13:05. How long does it take?", "standard"),
    ("Suggest five names for a bakery, with a reason for each, as a JSON list.", "standard"),
    ("Why do two transactions that read before they write lose an update, and which isolation "
     "level prevents it?", "premium"),
    ("Compare three ways to store sessions, and evaluate their trade-offs for a bank.", "premium"),
    ("Derive the variance of the sample mean, and prove that it is unbiased.", "premium"),
    ("Review this contract clause for liabilities that a tenant could miss, and justify each.",
     "premium"),
    ("Schedule 12 matches for 4 teams on 3 days, so that no team plays twice in a row without a "
     "rest, unless it asked to, and each has at least one home game.", "premium"),
    ("Debug this: the threads sometimes finish, but the counter is wrong. Find the root cause and "
     "optimise the lock.", "premium"),
]  # fmt: skip

# Twenty written before the present rules, and no rule was changed for them. The same author wrote
# both, so take the figure as the best that strangers' tasks can do.
UNSEEN = [
    ("Is the following message urgent? Answer yes or no: 'The server room is flooding.'", "budget"),
    ("Put these names in alphabetical order: Zoe, Adam, Mia, Bob.", "budget"),
    ("Turn 'the meeting starts at five' into the past tense.", "budget"),
    ("What is the chemical symbol of gold?", "budget"),
    ("Pull the date and the amount out of this line: 'Paid 40 euros on 3 May 2026'.", "budget"),
    ("Correct the grammar: 'She don't know why he go there.'", "budget"),
    ("Which language is this: 'Dobrý den, jak se máte?'", "budget"),
    ("Write a short thank-you note to a colleague who covered my shift.", "standard"),
    ("Explain the difference between a list and a tuple, with an example of each.", "standard"),
    ("Summarise the plot of Hamlet in three sentences.", "standard"),
    ("Write a bash script that renames all .txt files in a folder to .md.", "standard"),
    ("I earn 2,400 euros a month and save 15 %. How much do I save in a year?", "standard"),
    ("Suggest a weekly menu for two vegetarians who have little time to cook.", "standard"),
    ("Turn these notes into a polite reply: cannot come Friday, Monday is fine, bring slides.",
     "standard"),
    ("Prove by induction that the sum of the first n odd numbers is n squared.", "premium"),
    ("Why does our cache return stale prices after a failover, although each node clears it? Weigh "
     "two fixes against each other.", "premium"),
    ("Four friends share a bill. Ann pays twice what Ben pays, Cas pays 5 euros less than Dee, and "
     "together they pay 91 euros. Dee pays as much as Ann. What does each of them pay, and is "
     "there more than one answer?", "premium"),
    ("Review the argument below, find its hidden assumptions, and say which conclusion survives "
     "without them: 'Sales rose after the campaign, so the campaign worked.'", "premium"),
    ("Plan how to move 40 services from one cloud to another with no downtime: in what order, what "
     "depends on what, and when would you turn back?", "premium"),
    ("Design a database schema for a clinic in which a doctor can work at two sites, argue for "
     "each key, and show which anomalies your design rules out.", "premium"),
]  # fmt: skip


@pytest.fixture
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


def too_weak(labelled: list[tuple[str, str]]) -> list[str]:
    """The tasks that go to a lower tier than they are labelled with."""
    return [task for task, tier in labelled if TIERS.index(route(task).tier) < TIERS.index(tier)]


def test_tasks_that_the_rules_have_never_seen() -> None:
    """14 of 20 go where they belong, one goes too high, and five too low."""
    assert accuracy(UNSEEN) == 14 / 20
    assert len(too_weak(UNSEEN)) == 5


def test_tasks_that_the_rules_were_made_from() -> None:
    """38 of 40 go where they belong, and none too low."""
    assert accuracy(FIRST + TUNED) == 38 / 40
    assert not too_weak(FIRST + TUNED)


def test_better_than_one_tier_for_all() -> None:
    """On all 60, the rules beat each way of not looking, and "long is hard"."""
    tasks = FIRST + TUNED + UNSEEN
    always = [sum(label == tier for _, label in tasks) / len(tasks) for tier in TIERS]

    def by_length(task: str) -> str:
        words = len(task.split())
        return TIERS[(words > 12) + (words > 25)]

    long_is_hard = sum(by_length(task) == label for task, label in tasks) / len(tasks)
    assert accuracy(tasks) > max(*always, long_is_hard) + 0.1


def test_being_sure_means_being_right_more_often() -> None:
    """Of the tasks that the router is sure of, a larger share is right than of the others."""
    right: dict[bool, list[bool]] = {True: [], False: []}
    for task, label in FIRST + TUNED + UNSEEN:
        way = route(task)
        right[way.confidence >= SURE].append(way.tier == label)
    sure, unsure = (sum(right[key]) / len(right[key]) for key in (True, False))
    assert len(right[False]) >= 5
    assert sure > unsure


def test_the_reasons_add_up() -> None:
    """The score is the sum of the points that the reasons name, each the sentence of a rule."""
    names = {rule.reason for rule in RULES}
    for task, _ in FIRST + TUNED + UNSEEN:
        way = route(task)
        points = [reason.split(" ", 1) for reason in way.reasons if reason[0] in "+-"]
        assert {name for _, name in points} <= names
        assert sum(float(figure) for figure, _ in points) == way.score
        assert 0.5 <= way.confidence <= 1


def test_the_tier_follows_from_score_and_confidence() -> None:
    """The tier is that of the score, or the one above it where the router is unsure."""
    for task, _ in FIRST + TUNED + UNSEEN:
        way = route(task)
        place = sum(way.score >= border for border in BORDERS)
        went_up = any("one tier up" in reason for reason in way.reasons)
        assert TIERS.index(way.tier) == place + went_up
        assert not (went_up and way.confidence >= SURE)


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        ("Beschreibe bitte ausführlich, weshalb Vögel ziehen.", "not in English"),
        ("なぜ空は青いのですか。三つの理由を挙げてください。", "not in English"),
        ("Something about the weather of yesterday in the small town by the sea", "no rule found"),
    ],
)
def test_unsure_goes_up(task: str, reason: str) -> None:
    """Where the rules know nothing, the task goes one tier up, and the reasons say so."""
    way = route(task)
    assert way.tier == "standard"
    assert way.confidence < SURE
    assert any(reason in each for each in way.reasons)


def test_unsure_at_the_top_stays_there() -> None:
    """There is nothing above premium, and near the lower border it stays premium too."""
    for task, label in FIRST + TUNED:
        if label == "premium" and route(task).score >= BORDERS[-1]:
            assert route(task).tier == "premium"


@pytest.mark.parametrize(
    ("task", "same"),
    [
        ("Translate into Dutch: prove that you compare 3 * 4 designs.", "Translate into Dutch:"),
        ("Fix the grammar in 'why does he explain this code'.", "Fix the grammar in ."),
        ("List the verbs in these lines: We evaluate, design and argue.",
         "List the verbs in these lines:"),
    ],
)  # fmt: skip
def test_material_is_not_taken_for_the_task(task: str, same: str) -> None:
    """Hard words in a quotation, or in the text that is worked on, make no task hard."""
    assert route(task).tier == "budget"
    assert route(task) == route(same)


def test_a_conversation_is_read_by_its_last_question() -> None:
    """A hard system prompt does not make a small question hard."""
    messages = [
        {"role": "system", "content": "Prove each step, compare and evaluate."},
        {"role": "user", "content": "Prove that there are infinitely many primes."},
        {"role": "assistant", "content": "…"},
        {"role": "user", "content": "What is the capital of Australia?"},
    ]
    assert route(messages) == route("What is the capital of Australia?")


def test_the_tier_model_answers(session: offline.Session) -> None:
    """Each tier's task reaches the catalogue's model of that tier, and the result says why."""
    client = RoutedClient("anthropic")
    tasks = {"budget": FIRST[1][0], "standard": FIRST[9][0], "premium": FIRST[16][0]}
    for tier, task in tasks.items():
        result = client.chat(task, max_tokens=200)
        assert isinstance(result, RoutedResult)
        assert result.route == route(task)
        assert result.route.tier == tier
    asked = [call.request.model for call in session.server.log.since(0)]
    assert asked == [default_model("anthropic", tier).id for tier in TIERS]


def test_streams_are_routed_too(session: offline.Session) -> None:
    """The last event says which way the task went."""
    *_, last = RoutedClient("local").stream(FIRST[1][0])
    assert isinstance(last, Finished)
    assert isinstance(last.result, RoutedResult)
    assert last.result.route == route(FIRST[1][0])


def test_async_calls_and_streams(session: offline.Session) -> None:
    """The async client goes the same ways."""

    async def ask() -> list[RoutedResult]:
        client = AsyncRoutedClient("google")
        events = [event async for event in client.stream(FIRST[1][0])]
        assert isinstance(events[-1], Finished)
        assert isinstance(events[-1].result, RoutedResult)
        return [await client.chat(FIRST[16][0]), events[-1].result]

    hard, small = asyncio.run(ask())
    assert (hard.route, small.route) == (route(FIRST[16][0]), route(FIRST[1][0]))
    asked = [call.request.model for call in session.server.log.since(0) if call.request]
    assert asked == [default_model("google", tier).id for tier in ("budget", "premium")]


def test_own_clients_for_a_tier(session: offline.Session) -> None:
    """A tier may be another provider's."""
    client = RoutedClient("openai", {"budget": LLMClient("local")})
    assert client.chat(FIRST[1][0]).provider == "local"
    assert client.chat(FIRST[16][0]).provider == "openai"


@pytest.mark.parametrize(
    "piece", ["'a ", "' a", '" a', "'", "first ", "this text ", "1.", "\u201c"]
)
def test_odd_texts_cost_no_seconds(piece: str) -> None:
    """A text of 100,000 odd pieces is judged in less than two seconds of work."""
    began = time.process_time()
    route(piece * 100_000)
    assert time.process_time() - began < 2


def test_bad_input_is_refused() -> None:
    """An unknown tier or provider, no tasks, and messages of the wrong shape say what to do."""
    with pytest.raises(UnknownModelError, match="no tier 'cheap'"):
        RoutedClient("openai", {"cheap": LLMClient("local")})  # type: ignore[dict-item]
    with pytest.raises(UnknownProviderError):
        RoutedClient("acme").chat("Hello")
    with pytest.raises(SettingError, match="give some"):
        accuracy([])
    with pytest.raises(MessagesError, match="give at least one"):
        route([])
