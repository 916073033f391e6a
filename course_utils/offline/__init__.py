"""The stand-in for the providers: a real HTTP server on loopback that answers from recordings."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from course_utils.errors import NotStartedError, UnknownModeError, UnknownProviderError

if TYPE_CHECKING:
    from pathlib import Path

    from course_utils.offline.doors import Door
    from course_utils.offline.live.budget import BudgetGuard
    from course_utils.offline.server import Answers, Server
    from course_utils.offline.standin import StandIn

OFFLINE, STRICT, LIVE, RECORD = "offline", "strict", "live", "record"
MODES = (OFFLINE, STRICT, LIVE, RECORD)
MODE_VARIABLE = "COURSE_MODE"
# A key that an SDK reads before the provider's other one (google-genai 3.4).
_READ_FIRST = {"GEMINI_API_KEY": "GOOGLE_API_KEY"}


@dataclass(slots=True)
class Session:
    """The running stand-in of this process, and the mode it is in."""

    server: Server
    mode: str

    def base_url(self, provider: str) -> str:
        """What OpenAI's or Anthropic's SDK wants as base URL to reach a provider."""
        return self.server.url + _door(provider).base

    @property
    def standin(self) -> StandIn:
        """What answers offline; in live mode, only while failures or limits are rehearsed."""
        answers: Any = self.server.answers
        found: StandIn = getattr(answers, "standin", answers)
        return found

    @property
    def recording_into(self) -> Path | None:
        """The file that record mode writes; None in other modes."""
        recorder = getattr(self.server.answers, "recorder", None)
        return recorder.path if recorder else None

    @property
    def problems(self) -> list[str]:
        """Why files in a folder of recordings could not be used, of those that have been read."""
        # Recordings of one's own are read by start(), the course's at the first call.
        cassettes = getattr(self.server.answers, "__dict__", {}).get("cassettes")
        return list(cassettes.problems) if cassettes else []

    @property
    def own_keys(self) -> frozenset[str]:
        """The providers for which the student has a key, by the names of the variables."""
        return frozenset(_as_read(_own))


_session: Session | None = None
# The student's own keys and base URLs, as they were before start() set the course's.
_own: dict[str, str] = {}


def start(
    mode: str | None = None,
    port: int = 0,
    *,
    recordings: str | os.PathLike[str] | None = None,
    guard: BudgetGuard | None = None,
) -> Session:
    """Start the stand-in, or change the mode of the one that runs.

    Sets the environment variables that the SDKs read, so that `OpenAI()` and `Anthropic()` find
    it. `mode` is offline, strict, live or record; without one COURSE_MODE decides, and else it is
    offline. `recordings` is a file or folder to answer from besides the course's own; in record
    mode it is the file to write (else COURSE_RECORD, else one in the working folder). The `guard`
    keeps live calls within a budget.

    Raises UnknownModeError, PortTakenError, RecordingError and RecordFileError.
    """
    global _session
    mode = mode or os.environ.get(MODE_VARIABLE) or OFFLINE
    if mode not in MODES:
        raise UnknownModeError(mode, MODES)
    if _session is None:
        _keep_own_environment()
    answers = _answers(mode, recordings, guard)
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


def _answers(
    mode: str, recordings: str | os.PathLike[str] | None, guard: BudgetGuard | None
) -> Answers:
    if mode in (LIVE, RECORD):
        from course_utils.offline.live.record import Recorder, file_to_record
        from course_utils.offline.live.upstream import Upstream

        recorder = Recorder(file_to_record(recordings)) if mode == RECORD else None
        return Upstream(_as_read(_own), guard, recorder)
    from course_utils.offline.standin import StandIn

    if recordings is None:
        return StandIn(strict=mode == STRICT)
    return StandIn.with_recordings(recordings, strict=mode == STRICT)


def _point_sdks_at(session: Session) -> None:
    """Set what the SDKs read. A key of the student's own is kept aside and never sent offline."""
    from course_utils.offline.doors import COURSE_KEY
    from course_utils.wire import catalogue, tokens

    for provider in catalogue.providers():
        if provider.base_url_env:
            os.environ[provider.base_url_env] = session.server.url + _door(provider.id).prefix
        if provider.key_env:
            os.environ[provider.key_env] = COURSE_KEY
    for name in _own.keys() & set(_READ_FIRST.values()):
        os.environ[name] = COURSE_KEY
    tokens.provide_vocabulary()


def _keep_own_environment() -> None:
    _own.update({name: os.environ[name] for name in _variables() if os.environ.get(name)})


def _variables() -> list[str]:
    """The environment variables that the SDKs read."""
    from course_utils.wire import catalogue

    names = [name for p in catalogue.providers() for name in (p.key_env, p.base_url_env)]
    return [name for name in (*names, *_READ_FIRST.values()) if name]


def _as_read(own: dict[str, str]) -> dict[str, str]:
    """The environment with the key that an SDK reads first under the provider's own name too."""
    first = {name: own[other] for name, other in _READ_FIRST.items() if other in own}
    return own | first


def _door(provider: str) -> Door:
    from course_utils.offline.doors import DOORS

    for door in DOORS:
        if door.provider == provider:
            return door
    raise UnknownProviderError(provider, [door.provider for door in DOORS])
