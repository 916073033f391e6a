"""Record mode and the budget guard, against a second server that stands where a provider would."""

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import anthropic
import httpx2
import openai
import pytest
import yaml

from course_utils import notebook, offline
from course_utils.errors import RecordFileError
from course_utils.llm.costs import cost_usd
from course_utils.offline.call import CLOSED, Answer, Call, LoggedCall
from course_utils.offline.doors import COURSE_KEY, Door
from course_utils.offline.live.budget import BudgetGuard
from course_utils.offline.server import Server
from course_utils.offline.standin import StandIn
from course_utils.wire.catalogue import default_model

OWN_KEY = "sk-" + "proj-" + "PLANTED0keykeykey"  # in parts, so that no scanner takes it for real
HELLO = [{"role": "user", "content": "What is 1 + 1?"}]
# Each is unlike the others in form, and none of them may be found anywhere.
PLANTED = {
    "set-cookie": "__cf_bm=PLANTEDcookie.1; path=/; HttpOnly",
    "openai-organization": "plantedorganisation",
    "openai-project": "proj_PLANTEDproject",
    "x-request-id": "req_0000planted000",
    "anthropic-organization-id": "00000000-aaaa-planted-bbbb",
    "anthropic-workspace-id": "wrkspc_PLANTEDworkspace",
    "cf-ray": "8planted-AMS",
    "x-acme-account": "planted-account-7",
}
BODY = (
    '{"model": "m", "request_id": "planted1", "error": {"message": "Wrong key sk-PLANT****NTED. '
    "Organization plantedorganisation, org-PLANTEDother, wrkspc_PLANTEDworkspace, PLANTEDcookie.1, "
    f"key {OWN_KEY}, url ?key=PLANTEDquery, trace planted-account-7, "
    'x 00000000-aaaa-planted-bbbb"}}'
)

Alter = Callable[[Answer], Answer]


class Provider:
    """A provider that knows one key, and remembers how often it was asked."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.alter: Alter = lambda answer: answer
        self._standin = StandIn()

    async def answer(self, call: Call, door: Door, entry: LoggedCall) -> Answer:
        """What the stand-in itself would answer, altered as a test wants it."""
        self.calls.append(call)
        opened = {k: v.replace(OWN_KEY, COURSE_KEY) for k, v in call.headers.items()}
        call = Call(call.method, call.path, "", opened, call.body)
        return self.alter(await self._standin.answer(call, door, entry))


@pytest.fixture
def provider(lead_to: Callable[[str, str], None]) -> Iterator[Provider]:
    """The second server, with the student's keys and addresses leading to it."""
    provider = Provider()
    server = Server(provider)
    server.start()
    lead_to(server.url, OWN_KEY)
    yield provider
    offline.stop()
    server.stop()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the tests record."""
    return tmp_path / "live.yaml"


def ask(*, stream: bool = False, **more: object) -> httpx2.Response:
    """One call to OpenAI's door, as raw HTTP."""
    model = default_model("openai").id
    return httpx2.post(
        offline.session().base_url("openai") + "/chat/completions",
        headers={"authorization": f"Bearer {COURSE_KEY}"},
        json={"model": model, "messages": HELLO, "stream": stream} | more,
    )


def ask_claude() -> httpx2.Response:
    """One streamed call to Anthropic's door, as raw HTTP."""
    model = default_model("anthropic").id
    return httpx2.post(
        offline.session().base_url("anthropic") + "/v1/messages",
        headers={"x-api-key": COURSE_KEY, "anthropic-version": "2023-06-01"},
        json={"model": model, "messages": HELLO, "stream": True, "max_tokens": 50},
    )


def exchanges(file: Path) -> list[dict[str, object]]:
    """What a file holds, read as plain YAML."""
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert content["source"] == "live"
    return content["exchanges"]


def test_what_was_recorded_replays_byte_for_byte(provider: Provider, file: Path) -> None:
    """Offline, the recorded requests get the bytes that the provider sent, and it is not asked."""
    offline.start("record", recordings=file)
    live = [ask(), ask(stream=True), ask_claude(), ask(model="gpt-99")]
    offline.start("strict", recordings=file)
    again = [ask(), ask(stream=True), ask_claude(), ask(model="gpt-99")]
    assert [r.content for r in again] == [r.content for r in live]
    assert [r.status_code for r in again] == [200, 200, 200, 404]
    framing = {"content-length", "transfer-encoding"}
    assert [set(r.headers) - framing for r in again] == [set(r.headers) - framing for r in live]
    tiers = {entry.tier for entry in list(offline.session().server.log)[4:]}
    assert tiers == {"recorded"}
    assert len(provider.calls) == 4


def test_a_recorded_conversation_is_adapted_to_other_knobs(provider: Provider, file: Path) -> None:
    """What was recorded whole is answered as a stream too, and says that it was adapted."""
    offline.start("record", recordings=file)
    told = ask(temperature=1).json()["choices"][0]["message"]["content"]
    session = offline.start("strict", recordings=file)
    streamed = ask(stream=True)
    assert streamed.headers["x-course-tier"] == "adapted"
    entry = list(session.server.log)[-1]
    assert (entry.recording, entry.reply and entry.reply.text) == ("live#0", told)


def test_a_wrong_key_is_refused_before_a_replay(provider: Provider, file: Path) -> None:
    """The course's own recordings open to the course's key only, as the provider's door does."""
    offline.start("record", recordings=file)
    ask()
    offline.start("strict", recordings=file)
    client = openai.OpenAI(api_key="sk-wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        client.chat.completions.create(model=default_model("openai").id, messages=HELLO)


def test_a_recording_says_where_it_comes_from(provider: Provider, file: Path) -> None:
    """Each exchange has its date, the SDK with its version, and the model."""
    offline.start("record", recordings=file)
    openai.OpenAI().chat.completions.create(model=default_model("openai").id, messages=HELLO)
    (row,) = exchanges(file)
    assert row["model"] == default_model("openai").id
    assert row["sdk"] == f"OpenAI/Python {openai.__version__}"
    assert row["date"]


def test_no_secret_is_written_down(provider: Provider, file: Path) -> None:
    """Keys, cookies and ids, planted in headers, bodies and URLs, are in no file and no log."""

    def plant(answer: Answer) -> Answer:
        return Answer(401, answer.headers | PLANTED, (BODY.encode(),))

    provider.alter = plant
    session = offline.start("record", recordings=file)
    got = httpx2.post(
        session.base_url("openai") + "/chat/completions?key=PLANTEDquery",
        headers={
            "Authorization": f"Bearer {COURSE_KEY}",
            "OpenAI-Organization": "plantedorganisation",
            "OpenAI-Project": "proj_PLANTEDproject",
            "Cookie": "session=PLANTEDsession",
            "X-Acme-Token": "PLANTEDtoken",
        },
        json={"model": "m", "messages": [{"role": "user", "content": f"{BODY} PLANTEDtoken"}]},
    )
    assert OWN_KEY in got.text
    assert len(exchanges(file)) == 1
    for text in (file.read_text(encoding="utf-8"), repr(list(session.server.log))):
        assert "planted" not in text.lower()
        assert COURSE_KEY not in text


def test_what_was_hidden_still_matches(provider: Provider, file: Path) -> None:
    """A request that carried an id is found again, whatever stands where the id was."""
    offline.start("record", recordings=file)
    said = [{"role": "user", "content": "I am org-A1B2C3D4E5 and ask for 1 + 1"}]
    live = ask(messages=said)
    assert "A1B2C3D4E5" not in file.read_text(encoding="utf-8")
    offline.start("strict", recordings=file)
    assert ask(messages=said).status_code == live.status_code


@pytest.mark.parametrize("ends", [CLOSED, "whole"])
def test_a_cut_stream_is_not_recorded(provider: Provider, file: Path, ends: str) -> None:
    """A stream that broke off, or ended too early, is in no file; the next whole one is."""

    def cut(answer: Answer) -> Answer:
        return Answer(answer.status, answer.headers, iter(list(answer.chunks)[:3]), ends)

    offline.start("record", recordings=file)
    provider.alter = cut
    try:
        assert b"[DONE]" not in ask(stream=True).content
    except httpx2.TransportError:
        assert ends == CLOSED
    assert not file.exists()
    provider.alter = lambda answer: answer
    ask(stream=True)
    assert len(exchanges(file)) == 1


def test_a_client_that_hangs_up_leaves_no_recording(provider: Provider, file: Path) -> None:
    """What the client did not wait for to its end is not kept."""
    waiting = asyncio.Event()

    async def slowly(answer: Answer) -> AsyncIterator[bytes]:
        for chunk in list(answer.chunks)[:2]:
            yield chunk
        await waiting.wait()

    provider.alter = lambda answer: Answer(answer.status, answer.headers, slowly(answer))
    offline.start("record", recordings=file)
    client = openai.OpenAI(max_retries=0)
    stream = client.chat.completions.create(
        model=default_model("openai").id, messages=HELLO, stream=True
    )
    next(iter(stream))
    stream.close()
    provider.alter = lambda answer: answer
    ask()
    assert len(exchanges(file)) == 1


def test_a_file_is_replaced_and_never_half_written(provider: Provider, file: Path) -> None:
    """Whoever has the file open keeps the old one whole; no other file is left beside it."""
    offline.start("record", recordings=file)
    ask()
    with file.open(encoding="utf-8") as old:
        ask(stream=True)
        assert len(yaml.safe_load(old)["exchanges"]) == 1
    assert len(exchanges(file)) == 2
    assert list(file.parent.iterdir()) == [file]


def test_recording_goes_on_in_the_same_file(provider: Provider, file: Path) -> None:
    """A second session adds to what the first has recorded."""
    for _ in range(2):
        offline.start("record", recordings=file)
        ask()
    assert len(exchanges(file)) == 2


def test_a_foreign_file_is_not_overwritten(provider: Provider, file: Path) -> None:
    """A file that holds something else is refused before any call is made."""
    file.write_text("source: authored\n")
    with pytest.raises(RecordFileError, match=r"live\.yaml.*something else"):
        offline.start("record", recordings=file)
    with pytest.raises(RecordFileError, match="folder is missing"):
        offline.start("record", recordings=file.parent / "missing" / "x.yaml")


def test_a_file_that_cannot_be_written_stops_no_call(
    provider: Provider, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The student gets the answer, and a warning that it was not kept; nothing is left behind."""
    offline.start("record", recordings=file)
    file.mkdir()
    with caplog.at_level(logging.WARNING):
        assert ask().status_code == 200
    assert "Nothing can be recorded into live.yaml" in caplog.text
    assert list(file.parent.iterdir()) == [file]


def test_the_file_comes_from_the_environment(
    provider: Provider, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """COURSE_RECORD names the file where start() does not, and else it is in the working folder."""
    monkeypatch.setenv("COURSE_RECORD", str(file))
    assert offline.start("record").recording_into == file
    monkeypatch.delenv("COURSE_RECORD")
    monkeypatch.chdir(file.parent)
    assert offline.start("record").recording_into == file.parent / "course_recording.yaml"


def test_a_recorded_stream_is_not_held_back(provider: Provider, file: Path) -> None:
    """The first chunk reaches the client while the provider has not sent the second."""
    goes_on = threading.Event()

    async def held(answer: Answer) -> AsyncIterator[bytes]:
        for number, chunk in enumerate(answer.chunks):
            if number == 1:
                await asyncio.to_thread(goes_on.wait)
            yield chunk

    provider.alter = lambda answer: Answer(answer.status, answer.headers, held(answer))
    offline.start("record", recordings=file)
    stream = iter(
        openai.OpenAI().chat.completions.create(
            model=default_model("openai").id, messages=HELLO, stream=True
        )
    )
    first = next(stream)
    goes_on.set()
    assert first.choices
    assert list(stream)
    assert len(exchanges(file)) == 1


def test_a_call_that_could_pass_the_budget_is_not_made(provider: Provider) -> None:
    """It is refused once, in the provider's shape, with what it could cost and what is left."""
    session = offline.start("live", guard=BudgetGuard(0.0001, cost_usd))
    with pytest.raises(openai.RateLimitError, match=r"could cost up to .* USD .* max tokens"):
        openai.OpenAI().chat.completions.create(model=default_model("openai").id, messages=HELLO)
    with pytest.raises(anthropic.RateLimitError, match="budget"):
        anthropic.Anthropic().messages.create(
            model=default_model("anthropic").id, messages=HELLO, max_tokens=5000
        )
    assert provider.calls == []
    assert session.server.log.last_number == 2


def test_the_budget_counts_what_calls_have_cost(provider: Provider) -> None:
    """Calls pass while there is room, each at its own price, and then no more."""
    guard = BudgetGuard(1.0, cost_usd)
    session = offline.start("live", guard=guard)
    limit = {"max_completion_tokens": 100}
    assert ask(**limit).status_code == 200
    (entry,) = session.server.log
    assert entry.reply is not None
    price = cost_usd(default_model("openai"), entry.reply.usage)
    assert guard.spent_usd == pytest.approx(price)
    assert guard.open_usd == pytest.approx(0)
    guard.limit_usd = guard.spent_usd + price / 2
    refused = ask(**limit)
    assert refused.status_code == 429
    assert refused.json()["error"]["type"] == "course_error"
    assert refused.headers["x-should-retry"] == "false"
    assert len(provider.calls) == 1


def test_calls_side_by_side_share_the_budget(provider: Provider) -> None:
    """What one call may cost is set aside before another one is let through."""
    once = BudgetGuard(1.0, cost_usd)
    offline.start("live", guard=once)
    call = Call("POST", "/openai/v1/chat/completions", "", {}, b"{}")
    ask(max_completion_tokens=100)
    entry = list(offline.session().server.log)[-1]
    most = once.reserve(call, entry.request, "openai")
    guard = BudgetGuard(most * 2.5, cost_usd)
    offline.start("live", guard=guard)

    released = threading.Event()

    async def held(answer: Answer) -> AsyncIterator[bytes]:
        await asyncio.to_thread(released.wait)
        for chunk in answer.chunks:
            yield chunk

    async def ask_five() -> list[int]:
        body = json.loads(provider.calls[0].body)
        url = offline.session().base_url("openai") + "/chat/completions"
        key = {"authorization": f"Bearer {COURSE_KEY}"}
        async with httpx2.AsyncClient(headers=key) as client:
            asked = [client.post(url, json=body) for _ in range(5)]
            statuses = []
            for answered in asyncio.as_completed(asked):
                statuses.append((await answered).status_code)
                if len(statuses) == 3:
                    released.set()
        return statuses

    provider.alter = lambda answer: Answer(answer.status, answer.headers, held(answer))
    assert asyncio.run(ask_five()) == [429, 429, 429, 200, 200]


def test_a_call_without_a_price_is_refused_under_a_budget(provider: Provider) -> None:
    """What the course cannot price, it cannot keep within a budget."""
    offline.start("live", guard=BudgetGuard(5.0, cost_usd))
    assert "no price" in ask(model="gpt-99").json()["error"]["message"]
    assert provider.calls == []


def test_reading_is_free_under_a_budget(provider: Provider) -> None:
    """A list of models costs nothing, and passes an empty purse."""
    offline.start("live", guard=BudgetGuard(0.0, cost_usd))
    assert openai.OpenAI().models.list().data


def test_start_takes_a_budget(provider: Provider) -> None:
    """start("live", budget_usd=...) guards the notebook, also after the setup cell's second run."""
    for _ in range(2):
        notebook.start("live", budget_usd=0.0)
        assert ask().status_code == 429
    notebook.start("live")
    assert ask().status_code == 200


def test_start_says_what_is_recorded(provider: Provider, file: Path) -> None:
    """The greeting of record mode names the cost and the file."""
    assert "Each is kept in live.yaml." in repr(notebook.start("record", recordings=file))


def test_the_log_is_a_list_and_a_frame(provider: Provider) -> None:
    """log() is gone through call by call, and frame() has a row for each."""
    notebook.start()
    ask()
    ask(model="gpt-99")
    calls = notebook.log()
    assert [call.number for call in calls] == [1, 2]
    frame = calls.frame()
    assert list(frame.index) == [1, 2]
    assert list(frame["status"]) == [200, 404]
    assert frame.loc[1, "prompt_tokens"] == calls[0].reply.usage.prompt_tokens
    assert frame["prompt_tokens"].isna().tolist() == [False, True]
    assert notebook.log()._repr_html_().count("<tr") == 4
