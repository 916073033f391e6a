"""Every error that the course raises on purpose.

Each message says what happened, why, and what to do next.

    CourseError
    ├── UnknownModelError         no such model id in the catalogue
    │   └── RetiredModelError     a model that the provider has switched off for good
    ├── UnknownProviderError      no such provider in the catalogue
    ├── UnknownEncodingError      no such tiktoken encoding in the course
    ├── VocabularyError           a token vocabulary cannot be unpacked
    ├── RecordingError            a recording file cannot be used
    ├── RecordFileError           nothing can be recorded into a file
    ├── UnknownModeError          no such mode of the stand-in
    ├── PortTakenError            another program listens where the stand-in should
    ├── NotStartedError           the stand-in is asked for before start()
    ├── NoSuchCallError           a call is to be shown that was never made
    ├── UnknownFaultError         no such failure of the stand-in
    └── ExerciseError             an exercise's source or name is wrong
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path


class CourseError(Exception):
    """Base of all errors of the course: catch this one to catch them all."""


class UnknownModelError(CourseError):
    """No model of that name is in the catalogue.

    Attributes:
        model: the id that was asked for.
        nearest: known ids most like it, best first; may be empty.
    """

    def __init__(self, model: str, nearest: Sequence[str] = (), message: str | None = None) -> None:
        self.model = model
        self.nearest = tuple(nearest)
        advice = f"did you mean {_either(nearest)}?" if nearest else "check its spelling."
        super().__init__(
            message or f"There is no model {model!r} in the course's catalogue: {advice}"
        )

    @classmethod
    def for_tier(cls, tier: str, known: Sequence[str]) -> UnknownModelError:
        """Make the error for a tier that no provider has."""
        return cls(tier, known, f"There is no tier {tier!r}: choose {_either(known)}.")


class RetiredModelError(UnknownModelError):
    """The provider has switched the model off for good.

    Attributes:
        shutdown: since when, None where the day is not known.
        successor: the replacement that the provider names, if any.
        nearest: the successor, else the course's own model at that provider.
    """

    def __init__(
        self, model: str, shutdown: date | None, successor: str | None, current: str
    ) -> None:
        self.shutdown = shutdown
        self.successor = successor
        since = f"since {shutdown.isoformat()}" if shutdown else "and no longer listed"
        advice = successor or current
        message = f"The model {model!r} is retired {since}: use {advice!r} instead."
        super().__init__(model, (advice,), message)


class UnknownProviderError(CourseError):
    """No provider of that name is in the catalogue.

    Attributes:
        provider: the name that was asked for.
        known: the names there are.
    """

    def __init__(self, provider: str, known: Sequence[str]) -> None:
        self.provider = provider
        self.known = tuple(known)
        super().__init__(f"The course knows no provider {provider!r}: choose {_either(known)}.")


class UnknownEncodingError(CourseError):
    """The course carries no tiktoken encoding of that name."""

    def __init__(self, encoding: str, known: Sequence[str]) -> None:
        self.encoding = encoding
        super().__init__(
            f"The course carries no encoding {encoding!r}: choose {_either(known)}. "
            f"find_model(...).encoding says which one a model uses."
        )


class VocabularyError(CourseError):
    """A token vocabulary is damaged, or there is no folder to unpack it to."""


class RecordingError(CourseError):
    """A recording file cannot be read, or does not say what it must."""

    def __init__(self, path: Path, problem: str) -> None:
        self.path = path
        super().__init__(
            f"The recording {path.name} cannot be used: {problem}. Mend the file, or bring the "
            f"course's own back with 'git checkout -- {path.name}' in its folder."
        )


class RecordFileError(CourseError):
    """A file cannot take the exchanges that are to be recorded."""

    def __init__(self, path: Path, problem: str) -> None:
        self.path = path
        super().__init__(
            f"Nothing can be recorded into {path.name}: {problem}. Choose another file, as in "
            f"start('record', recordings='my_recording.yaml')."
        )


class UnknownModeError(CourseError):
    """The stand-in has no such mode."""

    def __init__(self, mode: str, known: Sequence[str]) -> None:
        super().__init__(
            f"There is no mode {mode!r}: choose {_either(known)}, as in start('live')."
        )


class PortTakenError(CourseError):
    """Another program listens on the port that was asked for."""

    def __init__(self, port: int) -> None:
        super().__init__(
            f"Port {port} is taken by another program: leave the port out to get a free one, "
            f"or choose another number."
        )


class NotStartedError(CourseError):
    """The stand-in does not run yet."""

    def __init__(self) -> None:
        super().__init__(
            "The offline stand-in is not running in this kernel: run the setup cell at the top of "
            "the notebook first, the one with start()."
        )


class NoSuchCallError(CourseError):
    """A call is to be shown that was never made, or was refused."""

    def __init__(self, which: str) -> None:
        super().__init__(
            f"There is no answered call {which} yet: run the cells above that make it, "
            f"then this one again."
        )


class UnknownFaultError(CourseError):
    """There is no failure, or no way to write one, of that name."""

    def __init__(self, what: str, name: str, known: Sequence[str]) -> None:
        super().__init__(f"There is no {what} {name!r}: choose {_either(known)}.")


class ExerciseError(CourseError):
    """An exercise is asked for that does not exist, or its source cannot be used."""


def _either(names: Sequence[str]) -> str:
    """Join ``names`` as a choice: ``'a', 'b' or 'c'``."""
    *first, last = [repr(name) for name in names]
    return f"{', '.join(first)} or {last}" if first else last
