"""The lines of a batch: in the log and on the bill, beyond rate limits, within reach of faults."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from course_utils import faults, limits, notebook, offline
from course_utils.llm.costs import cost_usd
from course_utils.offline.call import LoggedCall
from course_utils.offline.doors import COURSE_KEY
from course_utils.wire.catalogue import Band, Price, default_model, find_model, models
from course_utils.wire.reply import Usage

GPT, CLAUDE = default_model("openai").id, default_model("anthropic").id
QUESTIONS = ("What is an API?", "What is a token?")
CHAT = "/v1/chat/completions"


@pytest.fixture(autouse=True)
def session() -> Iterator[offline.Session]:
    """A stand-in of its own for each test."""
    yield offline.start()
    offline.stop()


def messages(question: str) -> Any:
    """A conversation of one question."""
    return [{"role": "user", "content": question}]


def finished_at_openai(client: openai.OpenAI, *bodies: dict[str, Any]) -> Any:
    """A batch of chat completions, polled until its end."""
    lines = [
        {"custom_id": str(i), "method": "POST", "url": CHAT, "body": body}
        for i, body in enumerate(bodies)
    ]
    content = "\n".join(map(json.dumps, lines)).encode()
    file = client.files.create(file=("lines.jsonl", content), purpose="batch")
    batch: Any = client.batches.create(
        input_file_id=file.id, endpoint=CHAT, completion_window="24h"
    )
    while batch.status != "completed":
        batch = client.batches.retrieve(batch.id)
    return batch


def finished_at_anthropic(client: anthropic.Anthropic, *questions: str) -> list[Any]:
    """The results of a batch of messages."""
    params = {"model": CLAUDE, "max_tokens": 60}
    requests: Any = [
        {"custom_id": str(i), "params": params | {"messages": messages(question)}}
        for i, question in enumerate(questions)
    ]
    batch = client.messages.batches.create(requests=requests)
    while batch.processing_status != "ended":
        batch = client.messages.batches.retrieve(batch.id)
    return list(client.messages.batches.results(batch.id))


def lines_of(session: offline.Session) -> list[LoggedCall]:
    """The lines of batches in the log."""
    return [call for call in session.server.log if call.is_batch]


def results_of(client: openai.OpenAI, file_id: str | None) -> list[Any]:
    """The responses in an output or error file."""
    assert file_id is not None
    rows = client.files.content(file_id).iter_lines()
    return [json.loads(row)["response"] for row in rows]


def test_openais_lines_are_in_the_log_once(session: offline.Session) -> None:
    """Each line has its own entry with question, answer and usage, however often it is polled."""
    client = openai.OpenAI(max_retries=0)
    batch = finished_at_openai(
        client, *({"model": GPT, "messages": messages(text)} for text in QUESTIONS)
    )
    client.batches.retrieve(batch.id)
    client.batches.list()
    lines = lines_of(session)
    assert [line.request.last_user_text for line in lines if line.request] == list(QUESTIONS)
    replies = [line.reply for line in lines if line.reply]
    assert sum(reply.usage.total_tokens for reply in replies) == batch.usage.total_tokens
    answers = [row["body"] for row in results_of(client, batch.output_file_id)]
    assert [json.loads(line.response_body) for line in lines] == answers
    numbers = [call.number for call in session.server.log]
    assert numbers == sorted(set(numbers))


def test_anthropics_lines_are_in_the_log(session: offline.Session) -> None:
    """So do the requests of a message batch, without the key that they went with."""
    results = finished_at_anthropic(anthropic.Anthropic(max_retries=0), *QUESTIONS)
    lines = lines_of(session)
    assert [result.result.message.content[0].text for result in results] == [
        line.reply.text for line in lines if line.reply
    ]
    kept = [{**line.request_headers, "body": line.request_body} for line in lines]
    assert COURSE_KEY not in str(kept)
    assert "***" in str(kept[0])


def test_lines_cost_what_the_batch_api_asks_for() -> None:
    """The meter and the log price a line at half of what the same call costs alone."""
    client = openai.OpenAI(max_retries=0)
    body: dict[str, Any] = {"model": GPT, "messages": messages(QUESTIONS[0])}
    client.chat.completions.create(**body)
    finished_at_openai(client, body)
    alone, line = notebook.log().frame().query("model == @GPT")["live_usd"]
    assert line == pytest.approx(alone / 2)
    assert float(notebook.meter().rows[-1][5]) == pytest.approx(alone * 1.5, abs=1e-6)


def test_prices_in_a_batch() -> None:
    """A batch's share holds for the cache and for every band; without a price nothing changes."""
    price = Price(2.0, 10.0, 0.2, 2.5, 1.0, 5.0, (Band(100, 4.0, 15.0),))
    assert price.in_batch() == Price(1.0, 5.0, 0.1, 1.25, bands=(Band(100, 2.0, 7.5),))
    plain = Price(2.0, 10.0)
    assert plain.in_batch() == plain
    batched = [model.price for model in models() if model.price.batch_input is not None]
    assert all(p.in_batch().input == p.batch_input for p in batched)
    assert all(p.in_batch().output == p.batch_output for p in batched)
    assert cost_usd(find_model(GPT), Usage(10, 10)) > 0


def test_lines_do_not_count_against_rate_limits(session: offline.Session) -> None:
    """A batch of more lines than a minute allows calls is answered, and leaves the minute whole."""
    client = openai.OpenAI(max_retries=0)
    body: dict[str, Any] = {"model": GPT, "messages": messages(QUESTIONS[0])}
    with limits(rpm=1):
        batch = finished_at_openai(client, *[body] * 3)
        assert (batch.request_counts.completed, batch.request_counts.failed) == (3, 0)
        assert len(finished_at_anthropic(anthropic.Anthropic(max_retries=0), *QUESTIONS)) == 2
        assert client.chat.completions.create(**body)
        with pytest.raises(openai.RateLimitError):
            client.chat.completions.create(**body)


@pytest.mark.parametrize(
    ("fault", "status"),
    [("400", 400), ("403", 403), ("404", 404), ("500", 500), ("503", 503), ("529", 529)],
)
def test_errors_on_demand_end_in_the_error_file(
    session: offline.Session, fault: str, status: int
) -> None:
    """A fault for the batch's model befalls as many of its lines as it may, and not its polls."""
    client = openai.OpenAI(max_retries=0)
    body: dict[str, Any] = {"model": GPT, "messages": messages(QUESTIONS[0])}
    with faults([None, fault], model=GPT) as plan:
        batch = finished_at_openai(client, *[body] * 3)
    assert (batch.request_counts.completed, batch.request_counts.failed) == (2, 1)
    (bad,) = results_of(client, batch.error_file_id)
    assert bad["status_code"] == status
    assert bad["body"]["error"]["message"]
    assert [line.fault for line in lines_of(session)] == [None, fault, None]
    assert plan.hits == 1


def test_errors_on_demand_are_errored_results_at_anthropic(session: offline.Session) -> None:
    """So at Anthropic, where the result names the error's type."""
    with faults([None, "529"], model=CLAUDE):
        good, bad = finished_at_anthropic(anthropic.Anthropic(max_retries=0), *QUESTIONS)
    assert good.result.type == "succeeded"
    assert bad.result.error.error.type == "overloaded_error"


def test_a_model_that_refuses_or_is_cut_off_does_so_in_a_batch() -> None:
    """What befalls the model itself shows in the line's answer."""
    client = openai.OpenAI(max_retries=0)
    body: dict[str, Any] = {"model": GPT, "messages": messages(QUESTIONS[0])}
    with faults(["refusal", "length"], model=GPT):
        batch = finished_at_openai(client, *[body] * 2)
    refused, cut = (row["body"]["choices"][0] for row in results_of(client, batch.output_file_id))
    assert refused["message"]["refusal"]
    assert cut["finish_reason"] == "length"


@pytest.mark.parametrize("fault", ["429", "408", "slow", "dropped", "html", "clean_end"])
def test_what_only_a_waiting_client_meets_does_not_befall_a_line(fault: str) -> None:
    """A rate limit, or a connection's fault, is not used up by a line of a batch."""
    client = openai.OpenAI(max_retries=0)
    with faults(fault, model=GPT, times=1) as plan:
        batch = finished_at_openai(client, {"model": GPT, "messages": messages(QUESTIONS[0])})
    assert (batch.request_counts.failed, plan.hits) == (0, 0)


def test_the_wire_view_shows_what_travelled(session: offline.Session) -> None:
    """The last exchange is the poll, and not a line that the server answered to itself."""
    finished_at_openai(openai.OpenAI(max_retries=0), {"model": GPT, "messages": messages("Hi")})
    assert repr(notebook.show_wire()).startswith("GET /openai/v1/batches/")
