"""What lesson 10 says of providers and of the toolkit, as of 2026-11-24, holds."""

import inspect
import json
import typing
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from anthropic.types import StopReason
from google import genai
from google.genai.types import FinishReason, GenerateContentResponseUsageMetadata

from course_utils import offline
from course_utils.llm import LLMClient, chat_with_fallback, route
from course_utils.llm.errors import AuthenticationError, BadRequestError
from course_utils.notebook import faults
from course_utils.wire.catalogue import Tier, default_model

AS_OF = date(2026, 11, 24)
RESULTS = Path(__file__).parents[1] / "benchmarks" / "toolkit.json"
ASKED: list[Any] = [{"role": "user", "content": "What is RAG?"}]
ORPHAN = {"role": "tool", "tool_call_id": "call_1", "content": "14 degrees"}
USED: tuple[tuple[str, Tier], ...] = (
    ("openai", "budget"),
    ("openai", "premium"),
    ("anthropic", "budget"),
    ("google", "budget"),
)


@pytest.fixture(autouse=True)
def session() -> Iterator[offline.Session]:
    """The stand-in, running."""
    yield offline.start()
    offline.stop()


def test_the_models_of_the_lesson_have_time_left() -> None:
    """None that the lesson calls is within 60 days of its end."""
    for provider, tier in USED:
        shutdown = default_model(provider, tier).shutdown
        assert shutdown is None or (shutdown - AS_OF).days > 60


def test_the_sdks_repeat_failed_calls_unless_told_not_to() -> None:
    """Both try twice more by default; max_retries=0 switches that off."""
    assert openai.DEFAULT_MAX_RETRIES == anthropic.DEFAULT_MAX_RETRIES == 2
    assert openai.OpenAI(max_retries=0).max_retries == 0


def test_the_headers_written_by_hand_are_those_of_the_sdks() -> None:
    """Both send the key as a bearer; Anthropic's SDK names the API's version as well."""
    for client in (openai.OpenAI(), anthropic.Anthropic()):
        assert client.auth_headers == {"Authorization": f"Bearer {client.api_key}"}
    assert anthropic.Anthropic().default_headers["anthropic-version"] == "2026-10-21"


def test_anthropic_demands_a_limit_and_takes_the_system_text_apart() -> None:
    """max_tokens has no default, and system is an argument of its own."""
    parameters = inspect.signature(anthropic.Anthropic().messages.create).parameters
    assert parameters["max_tokens"].default is inspect.Parameter.empty
    assert "system" in parameters


def test_the_finish_reasons_that_the_table_translates_exist() -> None:
    """Anthropic's words and Gemini's are those of their SDKs' types."""
    anthropics = {"end_turn", "stop_sequence", "max_tokens", "tool_use", "refusal"}
    assert anthropics <= set(typing.get_args(StopReason))
    assert {"STOP", "MAX_TOKENS", "SAFETY"} <= {reason.value for reason in FinishReason}


def test_gemini_counts_its_thoughts_apart() -> None:
    """The usage has a field for each."""
    fields = GenerateContentResponseUsageMetadata.model_fields
    assert {"candidates_token_count", "thoughts_token_count"} <= set(fields)


def test_geminis_roles_are_user_and_model() -> None:
    """A conversation with those two is taken."""
    turns = [("user", "What is RAG?"), ("model", "A search."), ("user", "And then?")]
    contents: Any = [{"role": role, "parts": [{"text": text}]} for role, text in turns]
    model = default_model("google", "budget").id
    assert genai.Client().models.generate_content(model=model, contents=contents).text


@pytest.mark.parametrize("setting", [{"max_tokens": 300}, {"temperature": 0.3}])
def test_openais_budget_model_refuses_what_tutorials_send(setting: dict[str, Any]) -> None:
    """The old name of the limit and a temperature are answered with a 400."""
    model = default_model("openai", "budget").id
    with pytest.raises(openai.BadRequestError):
        openai.OpenAI().chat.completions.create(model=model, messages=ASKED, **setting)


def test_the_catalogue_knows_the_quirks() -> None:
    """OpenAI's budget model has the limit's new name; only the local one takes a temperature."""
    assert default_model("openai", "budget").max_tokens_param == "max_completion_tokens"
    sampling = {p: default_model(p, "budget").sampling for p, _ in USED}
    assert "yes" not in sampling.values()
    assert default_model("local", "budget").sampling == "yes"


def test_internal_server_error_stands_for_500_and_above() -> None:
    """The SDK raises it for a 503."""
    model = default_model("openai", "budget").id
    with faults("503", provider="openai"), pytest.raises(openai.InternalServerError) as caught:
        openai.OpenAI(max_retries=0).chat.completions.create(model=model, messages=ASKED)
    assert caught.value.status_code == 503


@pytest.mark.parametrize("what", ["503", "429"])
def test_a_fallback_goes_on_where_another_model_can_help(what: str) -> None:
    """An outage and a rate limit are answered by the spare."""
    clients = [LLMClient("openai", tier="budget"), LLMClient("anthropic", tier="budget")]
    with faults(what, provider="openai"):
        assert chat_with_fallback(clients, ASKED).provider == "anthropic"


def test_a_fallback_hides_neither_a_401_nor_a_400() -> None:
    """A wrong key and a malformed request come through as errors."""
    clients = [LLMClient("openai", tier="budget"), LLMClient("anthropic", tier="budget")]
    with faults("401", provider="openai"), pytest.raises(AuthenticationError):
        chat_with_fallback(clients, ASKED)
    with pytest.raises(BadRequestError):
        chat_with_fallback(clients, [*ASKED, ORPHAN])


def test_the_router_sets_quotations_aside() -> None:
    """A word that hints at hard work counts in the task, and not in what it quotes."""
    quoted, asked = route("Translate into Dutch: 'Why not?'"), route("Why is the sky blue?")
    assert quoted.tier == "budget"
    assert asked.score > quoted.score


def test_the_report_has_what_the_lesson_reads() -> None:
    """Day, Python, versions, and five rows, in which less is better for our client as well."""
    report = json.loads(RESULTS.read_text(encoding="utf-8"))
    libraries = {"litellm", "any-llm-sdk", "langchain-openai", "aisuite", "openai"}
    assert date.fromisoformat(report["measured"])
    assert report["python"]
    assert libraries <= set(report["versions"])
    topics = ("raw SDK", "import of the client", "1,000 messages, never", "tool pair")
    rows = [row for row in report["rows"] if any(topic in row["what"] for topic in topics)]
    assert len(rows) == 5


def test_the_dearest_call_of_the_report_is_any_llms() -> None:
    """Its plain function makes a client for each call, which the lesson says of the highest one."""
    report = json.loads(RESULTS.read_text(encoding="utf-8"))
    peers = next(row for row in report["rows"] if row["what"].startswith("one call"))["peers"]
    assert max(peers, key=peers.get) == "any-llm"
