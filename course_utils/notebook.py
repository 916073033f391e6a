"""What a notebook calls: the stand-in and the views, put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from course_utils import offline
from course_utils.errors import NoSuchCallError

if TYPE_CHECKING:
    from course_utils.offline.call import LoggedCall
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


def start(mode: str | None = None, port: int = 0) -> Started:
    """Start the course's stand-in for the providers, or change its mode.

    After it, `OpenAI()` and `Anthropic()` need no argument. `mode` is "offline" (the default),
    "strict" or "live"; live sends your calls to the real providers with your own keys.

    Raises UnknownModeError and PortTakenError.
    """
    session = offline.start(mode, port)
    _show_tiers(session)
    return Started(_GREETINGS.get(session.mode) or _live_greeting(session))


def _live_greeting(session: offline.Session) -> str:
    from course_utils.wire.catalogue import providers

    with_key = [p.name for p in providers() if p.key_env is None or p.key_env in session.own_keys]
    without = [f"{p.name} ({p.key_env})" for p in providers() if p.name not in with_key]
    missing = f" No key is set for {', '.join(without)}." if without else ""
    return f"Live: calls go to {', '.join(with_key)}, and cost money.{missing}"


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


def log() -> list[LoggedCall]:
    """The calls so far, oldest first. Raises NotStartedError."""
    return list(offline.session().server.log)


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
    calls = log()
    if not calls:
        raise NoSuchCallError("in this notebook")
    return exchange(calls[-1])


def _last_call_to(provider: str) -> LoggedCall:
    for call in reversed(log()):
        if call.provider == provider and call.reply and not (call.request and call.request.stream):
            return call
    raise NoSuchCallError(f"to {provider!r}")
