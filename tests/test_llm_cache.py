"""The cache of answers: what is a hit, what is never kept, and a file that survives a kill."""

import asyncio
import multiprocessing
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, create_model, model_validator

from course_utils import faults, offline
from course_utils.llm.async_client import AsyncLLMClient
from course_utils.llm.cache import AnswerCache, AsyncCachedChat, CachedChat, CachedResult
from course_utils.llm.client import LLMClient
from course_utils.llm.clock import VirtualClock
from course_utils.llm.errors import (
    CacheError,
    MessagesError,
    SchemaError,
    ServerError,
    SettingError,
    StreamCutError,
)
from course_utils.llm.fallback import Fallback
from course_utils.llm.fingerprint import fingerprint
from course_utils.llm.result import ChatResult, Finished, TextDelta
from course_utils.llm.router import RoutedClient
from course_utils.llm.stores import MemoryStore, SQLiteStore
from course_utils.wire.reply import Usage
from course_utils.wire.request import Message, Request, Tool, ToolCall

PROVIDERS = ("openai", "anthropic", "google", "local")
ANSWER = ChatResult(
    "Grüße ✓", "tool_calls", Usage(9, 5, 3, 1, 2, exact=False), "m", "p",
    tool_calls=(ToolCall("c1", "f", '{"a": 1}'),), cost_usd=0.25, latency_s=1.5,
    first_token_s=0.5, request_id="r1", thoughts=({"thinking": "hm"},), warnings=("w",),
)  # fmt: skip


@pytest.fixture(autouse=True)
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


def calls(session: offline.Session) -> int:
    """How many calls the server has seen."""
    return session.server.log.last_number


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_second_call_is_a_hit(provider: str, session: offline.Session) -> None:
    """The same question is asked once; the hit has the answer, costs nothing, and says so."""
    chat = CachedChat(LLMClient(provider))
    first = chat.chat("What is an API?", max_tokens=200)
    seen = calls(session)
    second = chat.chat([{"role": "user", "content": "What is an API?"}], max_tokens=200)
    assert calls(session) == seen
    assert not isinstance(first, CachedResult)
    assert isinstance(second, CachedResult)
    assert (second.content, second.usage) == (first.content, first.usage)
    assert (second.cost_usd, second.saved_usd) == (0.0, first.cost_usd)
    assert 0 < second.latency_s < first.latency_s
    stats = chat.cache.stats
    assert (stats.hits, stats.misses, stats.hit_rate) == (1, 1, 0.5)
    assert stats.saved_usd == (first.cost_usd or 0.0)


BASE = Request(
    "m", (Message("system", "Be brief."), Message("user", "Hi")), max_tokens=9,
    tools=(Tool("f", "does f", {"type": "object"}),), json_schema={"a": 1},
)  # fmt: skip
CHANGES: list[dict[str, Any]] = [
    {"model": "n"}, {"messages": (Message("user", "Hi"),)}, {"max_tokens": 10},
    {"messages": (Message("system", "Be brief"), Message("user", "Hi"))},
    {"messages": (Message("system", "Be brief."), Message("user", "hi"))},
    {"messages": (Message("system", "Be brief.Hi"), Message("user", ""))},
    {"temperature": 0.0}, {"top_p": 0.5}, {"stop": ("x",)}, {"seed": 1},
    {"tools": ()}, {"tools": (Tool("f", "does g", {"type": "object"}),)},
    {"tools": (Tool("f", "does f", {"type": "array"}),)}, {"tool_choice": "none"},
    {"parallel_tool_calls": False}, {"json_mode": True}, {"json_schema": {"a": 2}},
    {"reasoning_effort": "low"}, {"thinking": "omitted"}, {"rest": {"user": "x"}}, {"n": 2},
]  # fmt: skip


def test_every_part_of_a_request_counts() -> None:
    """No two requests that differ in one field share a fingerprint, nor two models or providers."""
    prints = [fingerprint(replace(BASE, **change), "p/m") for change in [{}, *CHANGES]]
    prints += [fingerprint(BASE, "q/m"), fingerprint(BASE, "p/n")]
    assert len(set(prints)) == len(prints)


def test_every_field_of_a_request_is_tried_above() -> None:
    """A field that Request gets later has to be thought about here."""
    ways_it_travels = {"stream", "stream_usage", "stream_padding"}
    untried = {"logprobs", "cache_plan"}
    tried = {name for change in CHANGES for name in change}
    assert set(Request.__slots__) == tried | ways_it_travels | untried


def test_order_of_keys_and_streaming_do_not_count() -> None:
    """Dicts in another order and a stream ask the same."""
    one = replace(BASE, json_schema={"a": 1, "b": 2})
    other = replace(BASE, json_schema={"b": 2, "a": 1}, stream=True, stream_usage=True)
    assert fingerprint(one, "p/m") == fingerprint(other, "p/m")


def test_a_fingerprint_is_the_same_in_every_process() -> None:
    """A hash seed of another process changes nothing."""
    code = "from tests.test_llm_cache import BASE, fingerprint; print(fingerprint(BASE, 'p/m'))"
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.stdout.strip() == fingerprint(BASE, "p/m"), done.stderr


def test_errors_are_not_kept(session: offline.Session) -> None:
    """After a failure the same question is asked again."""
    chat = CachedChat(LLMClient("openai"))
    with faults("500", times=1), pytest.raises(ServerError):
        chat.chat("Hello")
    assert not isinstance(chat.chat("Hello"), CachedResult)
    assert isinstance(chat.chat("Hello"), CachedResult)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("fault", ["cut_stream", "clean_end", "error_event"])
def test_cut_streams_are_not_kept(provider: str, fault: str) -> None:
    """A stream that ends early leaves nothing in the cache."""
    store = MemoryStore()
    chat = CachedChat(LLMClient(provider), AnswerCache(store))
    with faults(fault), pytest.raises((StreamCutError, ServerError)):
        list(chat.stream("Tell me about the sea."))
    assert len(store) == 0


def test_a_stream_that_nobody_reads_to_its_end_is_not_kept() -> None:
    """A reader who stops after the first word leaves nothing in the cache."""
    store = MemoryStore()
    chat = CachedChat(LLMClient("openai"), AnswerCache(store))
    events = chat.stream("Tell me about the sea.")
    next(events)
    events.close()
    assert len(store) == 0


def test_a_stream_and_a_call_share_the_answer() -> None:
    """What was streamed once answers a call, and comes as events to the next stream."""
    chat = CachedChat(LLMClient("anthropic"))
    streamed = list(chat.stream("Tell me about the sea."))[-1].result
    called = chat.chat("Tell me about the sea.")
    *deltas, last = chat.stream("Tell me about the sea.")
    assert isinstance(called, CachedResult)
    assert isinstance(last, Finished)
    assert isinstance(last.result, CachedResult)
    assert deltas == [TextDelta(streamed.content)]
    assert called.content == last.result.content == streamed.content


@pytest.mark.parametrize(
    ("fault", "options"), [("length", {}), ("refusal", {}), (None, {"max_tokens": 3})]
)
def test_half_answers_and_refusals_are_not_kept(fault: str | None, options: dict[str, int]) -> None:
    """An answer cut at the token limit, or declined, is asked for again."""
    chat = CachedChat(LLMClient("openai"))
    for _ in range(2):
        if fault is None:
            result = chat.chat("Tell me about the sea.", **options)
        else:
            with faults(fault):
                result = chat.chat("Tell me about the sea.", **options)
        assert not isinstance(result, CachedResult)
    assert len(chat.cache.store) == 0


def test_half_answers_are_kept_on_request() -> None:
    """Whoever asks for it gets the cut answer again."""
    chat = CachedChat(LLMClient("openai"), AnswerCache(cache_truncated=True))
    chat.chat("Tell me about the sea.", max_tokens=3)
    assert chat.chat("Tell me about the sea.", max_tokens=3).finish_reason == "length"
    assert chat.cache.stats.hits == 1


@pytest.mark.parametrize(
    ("temperature", "cache_sampled", "hits"), [(0.7, False, 0), (0.7, True, 1), (0, False, 1)]
)
def test_sampled_answers(temperature: float, cache_sampled: bool, hits: int) -> None:
    """A temperature above 0 asks for another answer each time, unless one says otherwise."""
    chat = CachedChat(LLMClient("openai"), AnswerCache(cache_sampled=cache_sampled))
    for _ in range(2):
        chat.chat("Name a colour.", temperature=temperature, reasoning_effort="none")
    stats = chat.cache.stats
    assert (stats.hits, stats.misses, stats.skipped) == (
        hits, 2 - hits if cache_sampled or not temperature else 0,
        0 if cache_sampled or not temperature else 2,
    )  # fmt: skip


def weather(city: str) -> str:
    """The weather in a city."""
    return city


def test_two_spellings_of_one_request_are_one() -> None:
    """What is sent counts, not how it was written: here a stop word, and a tool."""
    chat = CachedChat(LLMClient("openai"))
    tool = chat.inner.request("x", tools=[weather]).tools[0]
    chat.chat("How is the weather in Delft?", stop="END", tools=[weather])
    again = chat.chat("How is the weather in Delft?", stop=["END"], tools=(tool,), top_p=None)
    assert isinstance(again, CachedResult)


FORKED = """
import os, sys
from course_utils.llm.stores import SQLiteStore
from course_utils.llm.result import ChatResult
from course_utils.wire.reply import Usage
store = SQLiteStore(sys.argv[1])
answer = ChatResult("x", "stop", Usage(), "m", "p")
child = os.fork()
for number in range(50):
    store.put(f"{child > 0}-{number}", answer)
if not child:
    store.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(len(store))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_process_opens_the_file_anew(tmp_path: Path) -> None:
    """Parent and child write through one store, and both go on."""
    command = [sys.executable, "-c", FORKED, str(tmp_path / "cache.db")]
    done = subprocess.run(
        command, cwd=Path(__file__).parent.parent, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("100\n", "")


class City(BaseModel):
    """A city."""

    name: str
    people: int


def test_a_parsed_object_is_nobody_elses() -> None:
    """A hit has its own parsed object: changing one changes no other."""
    chat = CachedChat(LLMClient("openai"))
    first = chat.chat("Tell me about Delft.", schema=City)
    kept = first.parsed.name
    first.parsed.name = "changed"
    second = chat.chat("Tell me about Delft.", schema=City)
    second.parsed.name = "changed too"
    third = chat.chat("Tell me about Delft.", schema=City)
    assert isinstance(third, CachedResult)
    assert third.parsed == City(name=kept, people=first.parsed.people)


def test_an_answer_that_does_not_fit_is_asked_for_again(session: offline.Session) -> None:
    """A class with the same JSON schema that checks more takes no answer which it refuses."""
    cache = AnswerCache()
    CachedChat(LLMClient("openai"), cache).chat("Tell me about Delft.", schema=City)

    def refuse(city: City) -> City:
        raise ValueError("no city is good enough")

    strict = create_model(
        "City", __base__=City, __doc__=City.__doc__,
        __validators__={"refuse": model_validator(mode="after")(refuse)},
    )  # fmt: skip
    client = LLMClient("openai")
    assert client.request("x", schema=strict) == client.request("x", schema=City)
    with pytest.raises(SchemaError, match="no city is good enough"):
        CachedChat(client, cache).chat("Tell me about Delft.", schema=strict)
    assert calls(session) == 2


def test_two_models_in_one_cache_stay_apart() -> None:
    """The same question to another model is another question."""
    cache = AnswerCache()
    CachedChat(LLMClient("openai"), cache).chat("Hello")
    result = CachedChat(LLMClient("openai", tier="premium"), cache).chat("Hello")
    assert not isinstance(result, CachedResult)


def test_names_tell_two_servers_apart(session: offline.Session) -> None:
    """Two local servers with a model of one name are kept apart by names of one's own."""
    cache = AnswerCache()
    for name in ("laptop", "cluster", "laptop"):
        last = CachedChat(LLMClient("local"), cache, name=name).chat("Hello")
    assert isinstance(last, CachedResult)
    assert calls(session) == 2


def test_a_fallback_and_a_router_name_themselves(session: offline.Session) -> None:
    """Other models in them are another question; the same ones are the same."""
    cache = AnswerCache()
    first = Fallback(["openai", "local"]), RoutedClient("openai")
    for chat in (*first, Fallback(["openai", "local"]), RoutedClient("openai")):
        CachedChat(chat, cache).chat("What is the capital of France?")
    assert calls(session) == 2
    others = Fallback(["openai", "google"]), RoutedClient("openai", {"budget": LLMClient("local")})
    for chat in others:
        CachedChat(chat, cache).chat("What is the capital of France?")
    assert calls(session) == 4
    with pytest.raises(MessagesError, match="give it a name"):
        CachedChat(Fallback([Nameless()]))


class Nameless:
    """A client that says of no provider and model."""

    def chat(self, messages: Any, **options: Any) -> ChatResult:
        """A fixed answer."""
        return replace(ANSWER, content=f"{messages} {sorted(options)}")


def test_a_client_without_a_name_needs_one() -> None:
    """Two such clients could take each other's answers, so a name is asked for; then it works."""
    with pytest.raises(MessagesError, match="give it a name"):
        CachedChat(Nameless())
    chat = CachedChat(Nameless(), name="mine")
    chat.chat("Hello", anything=1)
    assert isinstance(chat.chat("Hello", anything=1), CachedResult)
    assert not isinstance(chat.chat("Hello", anything=2), CachedResult)


def test_async_calls_and_streams() -> None:
    """The async client is asked once for a call and a stream."""

    async def ask() -> list[Any]:
        chat = AsyncCachedChat(AsyncLLMClient("openai"))
        first = await chat.chat("Hello")
        events = [event async for event in chat.stream("Hello")]
        return [first, events[-1].result, chat.cache.stats.hits]

    first, second, hits = asyncio.run(ask())
    assert (second.content, hits, type(second)) == (first.content, 1, CachedResult)


def stores(tmp_path: Path, **settings: Any) -> list[MemoryStore | SQLiteStore]:
    """One store of each kind."""
    return [MemoryStore(**settings), SQLiteStore(tmp_path / "cache.db", **settings)]


def test_a_store_gives_back_the_whole_answer(tmp_path: Path) -> None:
    """Every field comes back, but the parsed object and the SDK's own."""
    for store in stores(tmp_path):
        store.put("k", replace(ANSWER, parsed=[1], raw=object()))
        assert store.get("k") == ANSWER
        assert store.get("other") is None


def test_old_answers_are_asked_for_again(tmp_path: Path) -> None:
    """An answer is fresh until its time is over, to the second."""
    clock = VirtualClock()
    for store in stores(tmp_path, ttl_s=60, clock=clock):
        store.put("k", ANSWER)
        clock.advance(59.5)
        assert store.get("k") == ANSWER
        clock.advance(0.5)
        assert store.get("k") is None


def test_purge_deletes_old_answers(tmp_path: Path) -> None:
    """Opening the file again frees the room of answers that are too old."""
    clock = VirtualClock()
    path = tmp_path / "cache.db"
    store = SQLiteStore(path, ttl_s=60, clock=clock)
    store.put("k", ANSWER)
    clock.advance(61)
    assert len(SQLiteStore(path, ttl_s=60, clock=clock)) == 0


def test_memory_is_bounded_and_forgets_the_least_used() -> None:
    """Against a plain list as the reference, in 2,000 random gets and puts."""
    rng = random.Random(1)
    store, order = MemoryStore(max_entries=8), []
    for _ in range(2_000):
        key = str(rng.randint(0, 15))
        hit = store.get(key) is not None
        assert hit == (key in order)
        if hit or rng.random() < 0.5:
            if key in order:
                order.remove(key)
            order.append(key)
            if not hit:
                store.put(key, ANSWER)
        del order[:-8]
    assert len(store) == 8


@pytest.mark.parametrize("settings", [{"max_entries": 0}, {"ttl_s": 0}, {"ttl_s": -5}])
def test_senseless_settings_are_refused(settings: dict[str, int]) -> None:
    """A cache of no entries, or in which nothing is ever fresh, is refused."""
    with pytest.raises(SettingError, match=r"give (1 or more|seconds above 0)"):
        MemoryStore(**settings)


def test_a_file_outlives_the_process(tmp_path: Path, session: offline.Session) -> None:
    """What one cache wrote, another one on the same file answers."""
    path = tmp_path / "cache.db"
    first = CachedChat(LLMClient("google"), AnswerCache(SQLiteStore(path))).chat("Hello")
    seen = calls(session)
    second = CachedChat(LLMClient("google"), AnswerCache(SQLiteStore(path))).chat("Hello")
    assert (second.content, calls(session)) == (first.content, seen)


def junk(path: Path) -> None:
    """Bytes that are no database."""
    path.write_bytes(random.Random(2).randbytes(9_000))


def foreign(path: Path) -> None:
    """A database of another program."""
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE mine (x)")
        other.execute("PRAGMA user_version = 1")


def another_version(path: Path) -> None:
    """A cache with columns that we do not know."""
    SQLiteStore(path).close()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 99")


def folder(path: Path) -> None:
    """A folder where the file should be."""
    path.mkdir()


@pytest.mark.parametrize("spoil", [junk, foreign, another_version, folder])
def test_a_file_that_is_no_cache_is_refused(spoil: Any, tmp_path: Path) -> None:
    """The error says what to do, the file is left as it was, and its name shows no folder."""
    path = tmp_path / "cache.db"
    spoil(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(CacheError, match="delete this file") as caught:
        SQLiteStore(path)
    assert str(tmp_path) not in str(caught.value)
    assert (path.read_bytes() if path.is_file() else None) == before


def test_a_missing_folder_is_said() -> None:
    """A file in a folder that there is not cannot be opened."""
    with pytest.raises(CacheError, match="a folder that you may write to"):
        SQLiteStore("/no/such/folder/cache.db")


def test_an_answer_is_never_lost_to_a_broken_file(tmp_path: Path) -> None:
    """Where the file breaks between two calls, the answer comes all the same, with a warning."""
    path = tmp_path / "cache.db"
    chat = CachedChat(LLMClient("openai"), AnswerCache(SQLiteStore(path)))
    chat.chat("Hello")
    with sqlite3.connect(path) as other:
        other.execute("DROP TABLE answers")
    result = chat.chat("Hello")
    assert result.content
    assert any("Not cached" in warning for warning in result.warnings)


def test_an_answer_that_cannot_be_read_counts_as_a_miss(tmp_path: Path) -> None:
    """A damaged row is asked for anew and written over."""
    path = tmp_path / "cache.db"
    chat = CachedChat(LLMClient("openai"), AnswerCache(SQLiteStore(path)))
    chat.chat("Hello")
    with sqlite3.connect(path) as other:
        other.execute("UPDATE answers SET result = '{'")
    assert not isinstance(chat.chat("Hello"), CachedResult)
    assert isinstance(chat.chat("Hello"), CachedResult)


# Answers of many pages: a kill nearly always comes in the middle of writing one.
LONG = "a long answer " * 20_000
WRITER = """
import sys
from course_utils.llm.result import ChatResult
from course_utils.llm.stores import SQLiteStore
from course_utils.wire.reply import Usage
store = SQLiteStore(sys.argv[1])
answer = ChatResult("a long answer " * 20_000, "stop", Usage(), "m", "p")
for number in range(10**9):
    store.put(f"{sys.argv[2]}-{number}", answer)
    print(number, flush=True)
"""


def test_a_kill_in_the_middle_of_a_write_leaves_a_whole_file(tmp_path: Path) -> None:
    """Five writers are killed while they write: the file is whole and has all that they told of."""
    path = tmp_path / "cache.db"
    root = Path(__file__).parent.parent
    told = {}
    for name in "abcde":
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), name],
            cwd=root, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(5 + 3 * len(told))]
        writer.send_signal(signal.SIGKILL)
        told[name] = int((lines + writer.stdout.read().splitlines())[-1])
        writer.wait()
        writer.stdout.close()
        with sqlite3.connect(path) as other:
            assert other.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    store = SQLiteStore(path)
    for name, last in told.items():
        found = [store.get(f"{name}-{number}") for number in range(last + 1)]
        assert all(answer is not None and answer.content == LONG for answer in found)
    assert len(store) <= sum(last + 2 for last in told.values())


def write_many(path: Path, name: str) -> None:
    """What one process writes."""
    store = SQLiteStore(path)
    for number in range(100):
        store.put(f"{name}-{number}", ANSWER)


def test_processes_and_threads_share_a_file(tmp_path: Path) -> None:
    """Four processes that make and fill the file at once, and four threads, lose no answer."""
    path = tmp_path / "cache.db"
    fresh = multiprocessing.get_context("spawn")
    workers = [fresh.Process(target=write_many, args=(path, f"p{n}")) for n in range(4)]
    for worker in workers:
        worker.start()
    store = SQLiteStore(path)
    threads = [
        threading.Thread(target=lambda n=n: [store.put(f"t{n}-{i}", ANSWER) for i in range(100)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for each in (*threads, *workers):
        each.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert len(store) == 800


def test_hashing_and_looking_up_take_microseconds(tmp_path: Path) -> None:
    """A fingerprint of a usual request costs less than 100 µs, a look-up in a file less than 300.

    Generous for a busy machine: alone they take some 15 and 20 µs.
    """
    store = SQLiteStore(tmp_path / "cache.db")
    store.put("k", ANSWER)

    def fastest(what: Any) -> float:
        took = []
        for _ in range(20):
            began = time.perf_counter()
            for _ in range(100):
                what()
            took.append((time.perf_counter() - began) / 100)
        return min(took)

    assert fastest(lambda: fingerprint(BASE, "p/m")) < 100e-6
    assert fastest(lambda: store.get("k")) < 300e-6
