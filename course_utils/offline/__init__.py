"""The stand-in for the providers: a real HTTP server on loopback that answers from recordings."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from course_utils.errors import NotStartedError, UnknownModeError, UnknownProviderError

if TYPE_CHECKING:
    from course_utils.offline.doors import Door
    from course_utils.offline.server import Answers, Server

OFFLINE, STRICT, LIVE = "offline", "strict", "live"
MODES = (OFFLINE, STRICT, LIVE)
MODE_VARIABLE = "COURSE_MODE"


@dataclass(slots=True)
class Session:
    """The running stand-in of this process, and the mode it is in."""

    server: Server
    mode: str

    def base_url(self, provider: str) -> str:
        """What OpenAI's or Anthropic's SDK wants as base URL to reach a provider."""
        return self.server.url + _door(provider).base

    @property
    def own_keys(self) -> frozenset[str]:
        """The providers for which the student has a key, by the names of the variables."""
        return frozenset(_own)


_session: Session | None = None
# The student's own keys and base URLs, as they were before start() set the course's.
_own: dict[str, str] = {}


def start(mode: str | None = None, port: int = 0) -> Session:
    """Start the stand-in, or change the mode of the one that runs.

    Sets the environment variables that the SDKs read, so that `OpenAI()` and `Anthropic()` find
    it. `mode` is offline, strict or live; without one COURSE_MODE decides, and else it is offline.

    Raises UnknownModeError and PortTakenError.
    """
    global _session
    mode = mode or os.environ.get(MODE_VARIABLE) or OFFLINE
    if mode not in MODES:
        raise UnknownModeError(mode, MODES)
    if _session is None:
        _keep_own_environment()
    answers = _answers(mode)
    if _session is None:
        from course_utils.offline.server import Server

        server = Server(answers)
        server.start(port)
        _session = Session(server, mode)
    else:
        _session.server.answers = answers
        _session.mode = mode
    _point_sdks_at(_session)
    return _session


def stop() -> None:
    """Stop the stand-in and give the environment its own keys back."""
    global _session
    if _session is not None:
        _session.server.stop()
        _session = None
        for variable in _variables():
            os.environ.pop(variable, None)
        os.environ.update(_own)
        _own.clear()


def session() -> Session:
    """The running stand-in; NotStartedError where there is none."""
    if _session is None:
        raise NotStartedError
    return _session


def _answers(mode: str) -> Answers:
    if mode == LIVE:
        from course_utils.offline.upstream import Upstream

        return Upstream(_own)
    from course_utils.offline.standin import StandIn

    return StandIn(strict=mode == STRICT)


def _point_sdks_at(session: Session) -> None:
    """Set what the SDKs read. A key of the student's own is kept aside and never sent offline."""
    from course_utils.offline.doors import COURSE_KEY
    from course_utils.wire import catalogue, tokens

    for provider in catalogue.providers():
        if provider.base_url_env:
            os.environ[provider.base_url_env] = session.server.url + _door(provider.id).prefix
        if provider.key_env:
            os.environ[provider.key_env] = COURSE_KEY
    tokens.provide_vocabulary()


def _keep_own_environment() -> None:
    _own.update({name: os.environ[name] for name in _variables() if os.environ.get(name)})


def _variables() -> list[str]:
    """The environment variables that the SDKs read."""
    from course_utils.wire import catalogue

    names = [name for p in catalogue.providers() for name in (p.key_env, p.base_url_env)]
    return [name for name in names if name]


def _door(provider: str) -> Door:
    from course_utils.offline.doors import DOORS

    for door in DOORS:
        if door.provider == provider:
            return door
    raise UnknownProviderError(provider, [door.provider for door in DOORS])
