"""The endpoints that hold things: models, embeddings, files, batches, moderations, counts."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from course_utils import offline
from course_utils.offline.doors import COURSE_KEY
from course_utils.offline.server import Server
from course_utils.offline.standin import StandIn
from course_utils.wire.catalogue import default_model

GPT, CLAUDE = default_model("openai").id, default_model("anthropic").id
EMBEDDER = "text-embedding-3-small"
HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


def ask_openai(session: offline.Session, provider: str = "openai", **more: Any) -> openai.OpenAI:
    """A client that refuses a body that its types do not fit."""
    return openai.OpenAI(
        base_url=session.base_url(provider),
        api_key=COURSE_KEY,
        max_retries=0,
        _strict_response_validation=True,
        **more,
    )


def ask_anthropic() -> anthropic.Anthropic:
    """A client that refuses a body that its types do not fit."""
    return anthropic.Anthropic(max_retries=0, _strict_response_validation=True)


def embed(session: offline.Session, *texts: str, **more: Any) -> list[list[float]]:
    """The vectors of some texts."""
    arguments = {"model": EMBEDDER, "input": list(texts), "encoding_format": "float"} | more
    return [row.embedding for row in ask_openai(session).embeddings.create(**arguments).data]


def cosine(a: list[float], b: list[float]) -> float:
    """How near two vectors are, 1 for the same direction."""
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)


# Models


@pytest.mark.parametrize("provider", ["openai", "google", "local"])
def test_models_are_listed_and_found(session: offline.Session, provider: str) -> None:
    """Each OpenAI-speaking door lists the course's model and finds it by its id."""
    client, wanted = ask_openai(session, provider), default_model(provider).id
    listed = {model.id.removeprefix("models/") for model in client.models.list()}
    assert wanted in listed
    assert client.models.retrieve(wanted).id.removeprefix("models/") == wanted


def test_models_that_are_shut_down_are_not_listed(session: offline.Session) -> None:
    """A model past its last day is neither listed nor found."""
    client = ask_openai(session)
    assert "gpt-4" not in {model.id for model in client.models.list()}
    with pytest.raises(openai.NotFoundError, match="The model 'gpt-4' does not exist") as caught:
        client.models.retrieve("gpt-4")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_anthropics_models_come_in_pages() -> None:
    """Anthropic's list follows its own pages, and each model says its limits."""
    client = ask_anthropic()
    all_at_once = [model.id for model in client.models.list(limit=1000).data]
    assert [model.id for model in client.models.list(limit=2)] == all_at_once
    model = client.models.retrieve(CLAUDE)
    assert model.max_tokens == default_model("anthropic").max_output_tokens
    with pytest.raises(anthropic.NotFoundError, match="model: claude-99"):
        client.models.retrieve("claude-99")


# Embeddings


@pytest.mark.parametrize(("model", "size"), [(EMBEDDER, 1536), ("text-embedding-3-large", 3072)])
def test_embeddings_have_the_models_size_and_length_one(
    session: offline.Session, model: str, size: int
) -> None:
    """A vector is as long as the model's vectors are, and of norm 1."""
    (vector,) = embed(session, "The cat purrs.", model=model)
    assert len(vector) == size
    assert math.hypot(*vector) == pytest.approx(1, abs=1e-5)


def test_base64_and_decimals_say_the_same(session: offline.Session) -> None:
    """The SDK's default, base64, decodes to the vector that is sent as decimals."""
    (decimals,) = embed(session, "The cat purrs.")
    client = openai.OpenAI(base_url=session.base_url("openai"), api_key=COURSE_KEY)
    default = client.embeddings.create(model=EMBEDDER, input="The cat purrs.")
    assert default.data[0].embedding == pytest.approx(decimals, abs=1e-7)
    sent = json.loads(offline.session().server.log.since(0)[-1].response_body)
    assert isinstance(sent["data"][0]["embedding"], str)


def test_similar_texts_are_nearer_than_others(session: offline.Session) -> None:
    """A text is nearest to the one that says the same in similar words."""
    cat, cats, refund, refunds = embed(
        session,
        "My cat sleeps on the sofa all day.",
        "All day long the cats are sleeping on a sofa.",
        "How do I get a refund for my order?",
        "I would like my order refunded.",
    )
    assert cosine(cat, cats) > 0.5 > 0.3 > cosine(cat, refund)
    assert cosine(refund, refunds) > cosine(refund, cats) + 0.1


def test_shorter_dimensions_are_the_beginning_made_a_unit(session: offline.Session) -> None:
    """`dimensions` cuts the full vector and makes its length 1 again."""
    (full,), (short,) = embed(session, "A text"), embed(session, "A text", dimensions=64)
    assert math.hypot(*short) == pytest.approx(1, abs=1e-5)
    assert cosine(full[:64], short) == pytest.approx(1, abs=1e-5)


def test_tokens_are_embedded_as_their_text(session: offline.Session) -> None:
    """A list of token ids has the vector, and the price, of the text that they spell."""
    import tiktoken

    text = "Tokens are numbers."
    ids = tiktoken.get_encoding("cl100k_base").encode(text)
    reply = ask_openai(session).embeddings.create(
        model=EMBEDDER, input=ids, encoding_format="float"
    )
    assert [reply.data[0].embedding] == embed(session, text)
    assert reply.usage.prompt_tokens == len(ids)


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"model": "nonexistent"}, 404, "The model `nonexistent` does not exist"),
        ({"model": GPT}, 403, "not allowed to generate embeddings"),
        ({"input": []}, 400, "'$.input' is invalid"),
        ({"input": [""]}, 400, "'$.input' is invalid"),
        ({"input": [10**9]}, 400, "'$.input' is invalid"),
        ({"input": [100256]}, 400, "'$.input' is invalid"),  # a gap among the tokens' numbers
        ({"input": [[5], [-1]]}, 400, "'$.input' is invalid"),
        ({"input": "word " * 9000}, 400, "maximum context length is 8192 tokens"),
        ({"dimensions": 5000}, 400, "Invalid value for 'dimensions' = 5000"),
        ({"model": "text-embedding-ada-002", "dimensions": 5}, 400, "specifying dimensions"),
    ],
)
def test_embeddings_are_refused(
    session: offline.Session, changes: dict[str, Any], status: int, words: str
) -> None:
    """What OpenAI's embeddings endpoint refuses is refused with its status and words."""
    with pytest.raises(openai.APIStatusError) as caught:
        ask_openai(session).embeddings.create(**({"model": EMBEDDER, "input": "x"} | changes))
    assert caught.value.status_code == status
    assert words in caught.value.message


# Files


def upload(session: offline.Session, content: bytes, name: str = "lines.jsonl") -> Any:
    """A file for a batch."""
    return ask_openai(session).files.create(file=(name, content), purpose="batch")


def test_a_file_comes_back_as_it_was_sent(session: offline.Session) -> None:
    """Upload, list, retrieve, read and delete one file."""
    client, content = ask_openai(session), b'{"a": 1}\r\n\xff\x00'
    file = upload(session, content)
    assert (file.bytes, file.filename, file.status) == (len(content), "lines.jsonl", "processed")
    assert client.files.retrieve(file.id) == file
    assert file in list(client.files.list(purpose="batch"))
    assert file not in list(client.files.list(purpose="vision"))
    assert client.files.content(file.id).read() == content
    assert client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError, match="No such File object"):
        client.files.retrieve(file.id)


def test_lists_come_in_pages(session: offline.Session) -> None:
    """Walking through a list page by page sees each file once, the newest first."""
    client = ask_openai(session)
    new = [upload(session, b"%d" % i).id for i in range(5)]
    walked = [file.id for file in client.files.list(limit=2)]
    assert walked[:5] == new[::-1]
    assert len(walked) == len(set(walked))


@pytest.mark.parametrize(
    ("purpose", "name", "words"),
    [("poetry", "a.jsonl", "is not one of"), ("batch", "a.txt", "Must be .jsonl")],
)
def test_files_are_refused(session: offline.Session, purpose: Any, name: str, words: str) -> None:
    """An unknown purpose, and a batch file that is no JSONL, are 400."""
    with pytest.raises(openai.BadRequestError, match=words):
        ask_openai(session).files.create(file=(name, b"x"), purpose=purpose)


def test_the_same_upload_has_the_same_id_in_each_run() -> None:
    """Two servers give a file the same id, though the form's boundary is random."""
    ids = []
    for _ in range(2):
        server = Server(StandIn())
        server.start()
        client = openai.OpenAI(base_url=f"{server.url}/openai/v1", api_key=COURSE_KEY)
        ids.append(client.files.create(file=("a.jsonl", b"{}"), purpose="batch").id)
        server.stop()
    assert ids[0] == ids[1]


# OpenAI's batches


def line(name: str, endpoint: str = "/v1/chat/completions", **body: Any) -> dict[str, Any]:
    """One line of a batch file."""
    return {
        "custom_id": name,
        "method": "POST",
        "url": endpoint,
        "body": {"model": GPT, "messages": HELLO} | body,
    }


def batch_of(session: offline.Session, *lines: Any, endpoint: Any = "/v1/chat/completions") -> Any:
    """A batch of some lines."""
    content = "\n".join(each if isinstance(each, str) else json.dumps(each) for each in lines)
    return ask_openai(session).batches.create(
        input_file_id=upload(session, content.encode()).id,
        endpoint=endpoint,
        completion_window="24h",
        metadata={"lesson": "batch"},
    )


def polled(session: offline.Session, batch: Any) -> list[Any]:
    """The batch at each look until it is over."""
    seen = [batch]
    while seen[-1].status not in ("completed", "failed", "cancelled"):
        seen.append(ask_openai(session).batches.retrieve(batch.id))
        assert len(seen) < 10
    return seen


def rows_of(session: offline.Session, file_id: str) -> list[Any]:
    """The lines of an output or error file."""
    return [json.loads(row) for row in ask_openai(session).files.content(file_id).iter_lines()]


def test_a_batch_goes_through_its_states(session: offline.Session) -> None:
    """Each look at a batch shows the next state, with the moments of those that have begun."""
    seen = polled(session, batch_of(session, line("a"), line("b")))
    assert [batch.status for batch in seen] == [
        "validating", "in_progress", "finalizing", "completed",
    ]  # fmt: skip
    last = seen[-1]
    assert last.created_at < last.in_progress_at < last.finalizing_at < last.completed_at
    assert (last.request_counts.completed, last.request_counts.total) == (2, 2)
    assert last.metadata == {"lesson": "batch"}
    assert seen[1].completed_at is None


def test_a_batchs_output_is_what_the_endpoint_answers(session: offline.Session) -> None:
    """A line of the output file holds the answer that the same call has alone."""
    last = polled(session, batch_of(session, line("a"), line("b", messages=HELLO * 2)))[-1]
    rows = rows_of(session, last.output_file_id)
    alone = ask_openai(session).chat.completions.create(model=GPT, messages=HELLO)
    assert [row["custom_id"] for row in rows] == ["a", "b"]
    body = rows[0]["response"]["body"]
    assert body["choices"][0]["message"]["content"] == alone.choices[0].message.content
    assert last.usage.total_tokens == sum(
        row["response"]["body"]["usage"]["total_tokens"] for row in rows
    )
    assert last.error_file_id is None


def test_a_refused_line_is_in_the_error_file(session: offline.Session) -> None:
    """A line that the endpoint refuses does not stop the others."""
    last = polled(session, batch_of(session, line("good"), line("bad", model="gpt-99")))[-1]
    (good,) = rows_of(session, last.output_file_id)
    (bad,) = rows_of(session, last.error_file_id)
    assert (good["custom_id"], bad["custom_id"]) == ("good", "bad")
    assert bad["response"]["status_code"] == 404
    assert bad["response"]["body"]["error"]["code"] == "model_not_found"
    assert (last.request_counts.completed, last.request_counts.failed) == (1, 1)


def test_a_batch_of_embeddings_holds_vectors(session: offline.Session) -> None:
    """A batch works for the other endpoints too."""
    asked = line("a", "/v1/embeddings") | {"body": {"model": EMBEDDER, "input": "x"}}
    last = polled(session, batch_of(session, asked, endpoint="/v1/embeddings"))[-1]
    (row,) = rows_of(session, last.output_file_id)
    assert len(row["response"]["body"]["data"][0]["embedding"]) == 1536


@pytest.mark.parametrize(
    ("lines", "code", "number"),
    [
        ([line("a"), "{not json"], "invalid_json_line", 2),
        ([line("a"), line("a")], "duplicate_custom_id", 2),
        ([line("a", "/v1/embeddings")], "url_mismatch", 1),
        ([{"custom_id": "a"}], "missing_required_parameter", 1),
        ([""], "empty_file", None),
    ],
)
def test_a_bad_file_fails_the_batch(
    session: offline.Session, lines: list[Any], code: str, number: int | None
) -> None:
    """What is wrong inside the file shows after validation, with its line."""
    batch = batch_of(session, *lines)
    assert batch.status == "validating"
    last = polled(session, batch)[-1]
    assert last.status == "failed"
    assert (last.errors.data[0].code, last.errors.data[0].line) == (code, number)


def test_a_cancelled_batch_keeps_what_was_done(session: offline.Session) -> None:
    """Cancelling shows cancelling, then cancelled; finished lines stay in the output."""
    client, batch = ask_openai(session), batch_of(session, line("a"), line("b"))
    assert client.batches.retrieve(batch.id).status == "in_progress"
    assert client.batches.cancel(batch.id).status == "cancelling"
    last = client.batches.retrieve(batch.id)
    assert last.status == "cancelled"
    assert [row["custom_id"] for row in rows_of(session, last.output_file_id)] == ["a"]
    with pytest.raises(openai.APIStatusError, match="Cannot cancel a batch"):
        client.batches.cancel(batch.id)


def test_batches_are_refused(session: offline.Session) -> None:
    """Unknown ids, endpoints and windows are refused when the batch is made."""
    client = ask_openai(session)
    with pytest.raises(openai.NotFoundError, match="No batch found with id 'batch_x'"):
        client.batches.retrieve("batch_x")
    asked: dict[str, Any] = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
    with pytest.raises(openai.NotFoundError, match="No such File object"):
        client.batches.create(input_file_id="file-x", **asked)
    with pytest.raises(openai.BadRequestError, match="Value must be '24h'"):
        client.batches.create(input_file_id="file-x", **(asked | {"completion_window": "1h"}))


def test_batches_are_listed_newest_first(session: offline.Session) -> None:
    """The list shows the newest batch first."""
    batches = [batch_of(session, line("a")).id for _ in range(2)]
    assert [batch.id for batch in ask_openai(session).batches.list(limit=2).data] == batches[::-1]


# Stored chat completions


def test_a_stored_completion_can_be_read_again(session: offline.Session) -> None:
    """Only what was asked to be stored is kept; it can be labelled, listed and deleted."""
    chats = ask_openai(session).chat.completions
    lost = chats.create(model=GPT, messages=HELLO)
    kept = chats.create(model=GPT, messages=HELLO, store=True, metadata={"a": "b"})
    assert chats.retrieve(kept.id).choices == kept.choices
    assert chats.update(kept.id, metadata={"c": "d"}).metadata == {"c": "d"}
    assert [chat.id for chat in chats.list()] == [kept.id]
    loose = openai.OpenAI(base_url=session.base_url("openai"), api_key=COURSE_KEY)
    assert [m.content for m in loose.chat.completions.messages.list(kept.id)] == ["Hello"]
    assert chats.delete(kept.id).deleted
    for gone in (lost.id, kept.id):
        with pytest.raises(openai.NotFoundError):
            chats.retrieve(gone)


# Completions


def test_old_completions_are_refused_or_answered(session: offline.Session) -> None:
    """OpenAI's endpoint names the one to use instead; a local server still completes a text."""
    with pytest.raises(openai.NotFoundError, match="Did you mean to use v1/chat/completions"):
        ask_openai(session).completions.create(model=GPT, prompt="Hello")
    local = ask_openai(session, "local").completions
    asked: dict[str, Any] = {"model": default_model("local").id, "prompt": ["One", "Two"]}
    whole = local.create(**asked, max_tokens=5, echo=True)
    # Real streams say null until the end, which the SDK's own type does not know.
    loose = openai.OpenAI(base_url=session.base_url("local"), api_key="any")
    chunks = list(loose.completions.create(**asked, max_tokens=5, echo=True, stream=True))
    for choice in whole.choices:
        parts = [c.choices[0] for c in chunks if c.choices[0].index == choice.index]
        assert "".join(part.text for part in parts) == choice.text
        assert parts[-1].finish_reason == choice.finish_reason == "length"
    assert [choice.text[:3] for choice in whole.choices] == ["One", "Two"]


@pytest.mark.parametrize(
    ("changes", "param"),
    [({"n": 10**18}, "n"), ({"n": 0}, "n"), ({"stop": [["x"]]}, "stop"), ({"stop": {}}, "stop"),
     ({"prompt": ["x"] * 200}, "prompt")],
)  # fmt: skip
def test_old_completions_are_bounded(
    session: offline.Session, changes: dict[str, Any], param: str
) -> None:
    """Answers without end, and what is no list of texts, are refused by the field's name."""
    body = {"model": default_model("local").id, "prompt": "Hi"} | changes
    with pytest.raises(openai.BadRequestError, match=param):
        ask_openai(session, "local").post("/completions", body=body, cast_to=object)


# Compaction


def test_compaction_keeps_the_users_words_and_seals_the_rest(session: offline.Session) -> None:
    """A compacted conversation is the user's messages and one sealed item."""
    client = openai.OpenAI(base_url=session.base_url("openai"), api_key=COURSE_KEY)
    first = client.responses.create(model=GPT, input="Hello")
    short = client.responses.compact(model=GPT, input="And goodbye", previous_response_id=first.id)
    assert [item.type for item in short.output] == ["message", "message", "compaction"]
    assert short.usage.input_tokens > 5
    sent: Any = [item.to_dict(warnings=False) for item in short.output]
    assert client.responses.create(model=GPT, input=[*sent, *HELLO]).output_text


# Moderations


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("I will kill you", "violence"),
        ("I will kill you", "harassment"),
        ("I want to hurt myself", "self-harm"),
        ("How do I hotwire a car?", "illicit"),
        ("Have a nice day", None),
        ("How do I kill a process that you started?", None),
    ],
)
def test_moderation_flags_by_category(
    session: offline.Session, text: str, category: str | None
) -> None:
    """A text is flagged in the category that its words belong to, or not at all."""
    (result,) = ask_openai(session).moderations.create(input=text).results
    found = {name for name, yes in result.categories.model_dump(by_alias=True).items() if yes}
    scores = result.category_scores.model_dump(by_alias=True)
    assert result.flagged == (category is not None)
    assert (category in found) if category else not found
    assert all((scores[name] > 0.5) == (name in found) for name in scores)


# Anthropic


def test_count_tokens_equals_the_usage() -> None:
    """The count of a request is what its usage says."""
    client = ask_anthropic()
    asked: dict[str, Any] = {"model": CLAUDE, "messages": HELLO, "system": "Be brief."}
    counted = client.messages.count_tokens(**asked).input_tokens
    assert counted == client.messages.create(max_tokens=20, **asked).usage.input_tokens > 5
    with pytest.raises(anthropic.NotFoundError, match="model: claude-99"):
        client.messages.count_tokens(model="claude-99", messages=HELLO)


def requests(*names: str, **changes: Any) -> Any:
    """Some requests of a batch, all alike."""
    params = {"model": CLAUDE, "max_tokens": 20, "messages": HELLO} | changes
    return [{"custom_id": name, "params": params} for name in names]


def ended(batch_id: str) -> Any:
    """A batch of Anthropic's at its end."""
    for _ in range(5):
        batch = ask_anthropic().messages.batches.retrieve(batch_id)
        if batch.processing_status == "ended":
            return batch
    raise AssertionError("the batch never ends")


def test_anthropics_batch_ends_with_a_result_for_each_request() -> None:
    """Results hold the message that the same call has alone, or the error that it has."""
    batches = ask_anthropic().messages.batches
    batch = batches.create(requests=requests("good") + requests("bad", model="claude-99"))
    assert (batch.processing_status, batch.request_counts.processing) == ("in_progress", 2)
    counts = ended(batch.id).request_counts
    assert (counts.processing, counts.succeeded, counts.errored) == (0, 1, 1)
    good, bad = batches.results(batch.id)
    alone = ask_anthropic().messages.create(model=CLAUDE, max_tokens=20, messages=HELLO)
    assert (good.custom_id, good.result.message.content) == ("good", alone.content)
    assert bad.result.error.error.message == "model: claude-99"


def test_anthropics_batch_is_cancelled_and_deleted() -> None:
    """A batch that is cancelled at once ends with nothing done, and can then be deleted."""
    batches = ask_anthropic().messages.batches
    batch = batches.create(requests=requests("a", "b"))
    with pytest.raises(anthropic.BadRequestError):
        batches.delete(batch.id)
    assert batches.cancel(batch.id).processing_status == "canceling"
    assert ended(batch.id).request_counts.canceled == 2
    assert {row.result.type for row in batches.results(batch.id)} == {"canceled"}
    assert batches.delete(batch.id).type == "message_batch_deleted"
    with pytest.raises(anthropic.NotFoundError):
        batches.retrieve(batch.id)


def test_anthropics_results_come_only_at_the_end() -> None:
    """A batch in progress has no address of results, and asking for them is an error."""
    batches = ask_anthropic().messages.batches
    batch = batches.create(requests=requests("early"))
    assert batch.results_url is None
    with pytest.raises(anthropic.AnthropicError, match="results_url"):
        batches.results(batch.id)
    with pytest.raises(anthropic.BadRequestError, match="at least 1 item"):
        batches.create(requests=[])


# Lenient


@pytest.fixture
def lenient() -> Iterator[str]:
    """The address of a stand-in that knows every key, model and id."""
    server = Server(StandIn(lenient=True))
    server.start()
    yield server.url
    server.stop()


def test_lenient_knows_every_key_model_and_id(lenient: str) -> None:
    """No key, model or id is unknown to the lenient stand-in, and no quirk is refused."""
    client = openai.OpenAI(base_url=f"{lenient}/openai/v1", api_key="any", max_retries=0)
    reply = client.chat.completions.create(
        model="made-up", messages=HELLO, max_tokens=5, temperature=0.5
    )
    assert reply.model == "made-up"
    assert client.models.retrieve("made-up").id == "made-up"
    assert client.files.retrieve("file-x").id == "file-x"
    assert client.batches.cancel("batch_x").id == "batch_x"
    claude = anthropic.Anthropic(base_url=f"{lenient}/anthropic", api_key="any", max_retries=0)
    assert claude.messages.create(model="made-up", max_tokens=5, messages=HELLO).content
    assert claude.messages.batches.retrieve("made-up").id == "made-up"


def test_lenient_does_not_answer_without_end(lenient: str) -> None:
    """More choices than any provider gives are refused by a lenient server too."""
    client = openai.OpenAI(base_url=f"{lenient}/openai/v1", api_key="any", max_retries=0)
    with pytest.raises(openai.BadRequestError, match="<= 128"):
        client.chat.completions.create(model="any", messages=HELLO, n=10**18)


def test_lenient_still_refuses_what_is_no_request(lenient: str) -> None:
    """A body that does not fit the format stays an error."""
    client = openai.OpenAI(base_url=f"{lenient}/openai/v1", api_key="any", max_retries=0)
    bad: Any = "Hello"
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="made-up", messages=bad)


# Real traffic

EXCHANGES = Path(__file__).resolve().parents[2] / "shared" / "data" / "exchanges"
RUBY = EXCHANGES / "crmne__ruby_llm/spec/fixtures/vcr_cassettes"
OPENAI_BATCH = (
    "batch_with_openai_gpt-5-nano_answers_staged_chats_and_appends_the_answers_to_their"
    "_conversations.yml"
)
ANTHROPIC_BATCH = "batch_with_anthropic_claude-haiku-4-5_cancels_a_running_batch.yml"
needs_traffic = pytest.mark.skipif(not RUBY.exists(), reason="the recorded exchanges are not here")


def real_bodies(name: str, url: str) -> list[dict[str, Any]]:
    """The JSON bodies that a provider has sent from an address, in their order."""
    import yaml

    rows = yaml.safe_load((RUBY / name).read_text())["http_interactions"]
    sent = [row["response"]["body"]["string"] for row in rows if url in row["request"]["uri"]]
    return [json.loads(body) for body in sent if body.startswith("{") and body.count("\n{") == 0]


def last_body(count_back: int = 1) -> dict[str, Any]:
    """The JSON body that the stand-in has sent last, or before that."""
    sent = [call for call in offline.session().server.log if not call.is_batch]
    body: dict[str, Any] = json.loads(sent[-count_back].response_body)
    return body


@needs_traffic
def test_files_and_batches_have_the_keys_of_real_ones(session: offline.Session) -> None:
    """A file, and a batch in each of its states, have the fields of OpenAI's own, in order."""
    (file,) = real_bodies(OPENAI_BATCH, "/v1/files")[:1]
    real = {body["status"]: body for body in real_bodies(OPENAI_BATCH, "/v1/batches")}
    batch = batch_of(session, line("a"))
    assert list(last_body(2)) == list(file)
    ours = {"validating": last_body()}
    while "completed" not in ours:
        ask_openai(session).batches.retrieve(batch.id)
        ours[last_body()["status"]] = last_body()
    for status, body in real.items():
        assert list(ours[status]) == list(body)
        assert {k for k, v in ours[status].items() if v is None and k != "metadata"} == {
            k for k, v in body.items() if v is None and k != "metadata"
        }
        for part in ("request_counts", "usage"):
            assert list(ours[status][part]) == list(body[part])


@needs_traffic
def test_anthropics_batch_has_the_keys_of_a_real_one() -> None:
    """A batch that is made, then cancelled, has the fields of Anthropic's own, in order."""
    made, cancelled = real_bodies(ANTHROPIC_BATCH, "/v1/messages/batches")[:2]
    batches = ask_anthropic().messages.batches
    batch = batches.create(requests=requests("0"))
    for real in (made, cancelled):
        ours = last_body()
        assert list(ours) == list(real)
        assert ours["processing_status"] == real["processing_status"]
        assert ours["request_counts"] == real["request_counts"]
        assert {k for k in ours if ours[k] is None} == {k for k in real if real[k] is None}
        batches.cancel(batch.id)
