"""What a notebook calls: the stand-in and the views, put together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING

from course_utils import offline
from course_utils.errors import NoSuchCallError

if TYPE_CHECKING:
    from course_utils.offline.limits import Budget
    from course_utils.offline.live.budget import BudgetGuard
    from course_utils.offline.plans import Plan
    from course_utils.offline.standin import StandIn
    from course_utils.show.call import LoggedCall
    from course_utils.show.call_log import CallLog
    from course_utils.show.table import Table
    from course_utils.show.wire_view import Exchange

_GREETINGS = {
    offline.OFFLINE: "Offline: answers come from recordings, or from a simulator that says so. "
    "No key, no network, no cost.",
    offline.STRICT: "Strict: answers come from recordings only; a request without one is an error.",
}


@dataclass(frozen=True, slots=True)
class Started:
    """What start() answers: the mode, in one sentence."""

    sentence: str

    def __repr__(self) -> str:
        return self.sentence


def start(
    mode: str | None = None,
    port: int = 0,
    *,
    recordings: str | PathLike[str] | None = None,
    budget_usd: float | None = None,
) -> Started:
    """Start the course's stand-in for the providers, or change its mode.

    After it, `OpenAI()` and `Anthropic()` need no argument. `mode` is "offline" (the default),
    "strict", "live" or "record"; live sends your calls to the real providers with your own keys,
    and record keeps what they answer in the file `recordings`. In the other modes `recordings` is
    a file or folder to answer from besides the course's own.

    `budget_usd` is what this notebook may spend live, in USD, since its kernel was started: a
    call that could pass it is refused before it is made.

    Raises UnknownModeError, PortTakenError, RecordingError and RecordFileError.
    """
    session = offline.start(mode, port, recordings=recordings, guard=_guard(budget_usd))
    _show_tiers(session)
    greeting = _GREETINGS.get(session.mode) or _live_greeting(session)
    return Started(" ".join([greeting, *session.problems]))


_guarded: BudgetGuard | None = None


def _guard(budget_usd: float | None) -> BudgetGuard | None:
    """The guard of this kernel, which remembers what was spent when the setup cell is run again."""
    global _guarded
    if budget_usd is None:
        return None
    from course_utils.llm.costs import cost_usd
    from course_utils.offline.live.budget import BudgetGuard

    if _guarded is None:
        _guarded = BudgetGuard(budget_usd, cost_usd)
    _guarded.limit_usd = budget_usd
    return _guarded


def _live_greeting(session: offline.Session) -> str:
    from course_utils.wire.catalogue import providers

    with_key = [p.name for p in providers() if p.key_env is None or p.key_env in session.own_keys]
    without = [f"{p.name} ({p.key_env})" for p in providers() if p.name not in with_key]
    missing = f" No key is set for {', '.join(without)}." if without else ""
    kept = ""
    if session.recording_into is not None:
        kept = f" Each is kept in {session.recording_into.name}."
    mode = session.mode.capitalize()
    return f"{mode}: calls go to {', '.join(with_key)}, and cost money.{kept}{missing}"


_shown: offline.Session | None = None


def _show_tiers(session: offline.Session) -> None:
    """Put the tier line under the cells of this notebook, once a session."""
    global _shown
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return
    shell = get_ipython()
    if shell is None or _shown is session:
        return
    from course_utils.show.tier_line import TierLine

    TierLine(session.server.log.since).install(shell)
    _shown = session


def door(provider: str) -> dict[str, str]:
    """Base URL and key of a provider's door, for OpenAI(**door("google")).

    Raises NotStartedError and UnknownProviderError.
    """
    from course_utils.offline.doors import COURSE_KEY

    return {"base_url": offline.session().base_url(provider), "api_key": COURSE_KEY}


@contextmanager
def faults(
    what: str | int | Sequence[str | int | None],
    *,
    times: int | None = None,
    rate: float = 1.0,
    seed: int = 0,
    provider: str | None = None,
    model: str | None = None,
    retry_after: float | None = None,
    retry_after_as: str = "seconds",
    wait_s: float = 0.5,
) -> Iterator[Plan]:
    """Let calls fail while the with-block runs: `with faults("429", retry_after=2, times=2): …`.

    `what` is one failure, such as "503" or "cut_stream", or a schedule: one entry a call, None
    for a call that goes well. `times` is how often it happens (one failure: at each call, a
    schedule: once); `rate` is its probability at each call, drawn with `seed`. `provider` and
    `model` limit it to their calls. `retry_after` is in seconds and written into the answer as
    "seconds", "ms" or "date"; `wait_s` is how long slow, timeout and stalled_stream
    take, and slow_stream until its first event; the others follow at a hundred a second.

    The lines of a batch fail like calls, with what a batch can show: an error in its file, a
    refusal, a cut answer. Name their `model`, or the poll that has them answered fails first.

    In live mode the calls inside the block stay on your computer: a real provider cannot be told
    to fail.

    Raises UnknownFaultError, UnknownProviderError and NotStartedError.
    """
    from course_utils.offline.plans import plan

    standin = _standin(provider)
    planned = plan(
        what,
        times=times,
        rate=rate,
        seed=seed,
        provider=provider,
        model=model,
        retry_after=retry_after,
        retry_after_as=retry_after_as,
        wait_s=wait_s,
    )
    standin.faults.add(planned)
    try:
        yield planned
    finally:
        standin.faults.remove(planned)


@contextmanager
def limits(
    rpm: int | None = None,
    tpm: int | None = None,
    *,
    provider: str | None = None,
    model: str | None = None,
) -> Iterator[Budget]:
    """Give each model so many requests and tokens a minute while the with-block runs.

    What exceeds them is refused as the provider refuses it (429), and the provider's own headers
    count down. `provider` and `model` limit it to their calls. In live mode the calls inside the
    block stay on your computer.

    Raises UnknownProviderError and NotStartedError.
    """
    from course_utils.offline.limits import Budget

    standin = _standin(provider)
    budget = Budget(rpm, tpm, provider, model)
    standin.limits.add(budget)
    try:
        yield budget
    finally:
        standin.limits.remove(budget)


def _standin(provider: str | None) -> StandIn:
    """The stand-in, once it is clear that it has the provider's door."""
    session = offline.session()
    if provider is not None:
        session.base_url(provider)
    return session.standin


def log() -> CallLog:
    """The calls so far, oldest first; log().frame() has them as a DataFrame.

    Raises NotStartedError.
    """
    from course_utils.show.call_log import CallLog

    return CallLog(offline.session().server.log)


def meter() -> Table:
    """Calls, tokens and what they would have cost live. Raises NotStartedError."""
    from course_utils.show.meter import meter

    return meter(log())


def show_wire(*providers: str) -> Exchange | Table:
    """The last call as it travelled, as HTTP text.

    With providers named, their last calls field by field, side by side, differences marked.

    Raises NotStartedError and NoSuchCallError.
    """
    from course_utils.show.wire_view import exchange, side_by_side

    if providers:
        return side_by_side([_last_call_to(provider) for provider in providers])
    calls = [call for call in log() if not call.is_batch]
    if not calls:
        raise NoSuchCallError("in this notebook")
    return exchange(calls[-1])


def _last_call_to(provider: str) -> LoggedCall:
    for call in reversed(log()):
        streamed = call.request is not None and call.request.stream
        if call.provider == provider and call.reply and not (streamed or call.is_batch):
            return call
    raise NoSuchCallError(f"to {provider!r}")
