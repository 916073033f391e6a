"""Cassettes: verbatim exchanges, found by their request and replayed byte for byte.

Two requests are the same when their method, their address and their canonical JSON body are.
Several answers to one request are played in their order; after the last, the last again. Where
several files hold the request, that one is played whose client is most like the one that asks (the
library, its version, sync or async), and else the one that was played last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from course_utils.errors import RecordingError
from course_utils.offline.call import RECORDED, Answer, Call, LoggedCall, without_secrets
from course_utils.offline.headers import TIER_HEADER
from course_utils.offline.reading import read_reply, read_request
from course_utils.offline.replay import vcr
from course_utils.offline.replay.exchange import Exchange, at_home, canonical, plain_path, query_of
from course_utils.wire.codec import Codec
from course_utils.wire.reply import Reply


@dataclass(slots=True)
class Cassettes:
    """All verbatim exchanges, and how far each has been played. Not for several threads.

    `problems` says of each file in a folder why it could not be used.
    """

    problems: list[str] = field(default_factory=list)
    _by_address: dict[tuple[str, str], list[Exchange]] = field(default_factory=dict)
    # By identity: files in two folders may have the same name.
    _played: set[int] = field(default_factory=set)
    _file: dict[int, int] = field(default_factory=dict)
    _last_file: int = -1
    _read: dict[int, tuple[Reply | None, list[bytes]]] = field(default_factory=dict)

    @classmethod
    def load(cls, *paths: Path) -> Cassettes:
        """Read the files that hold verbatim exchanges, named or in folders.

        Raises RecordingError for a file that is named; in a folder it becomes a problem.
        """
        cassettes = cls()
        for path in paths:
            for file in vcr.verbatim_files(path):
                try:
                    cassettes.add(vcr.read_file(file))
                except RecordingError as error:
                    if not path.is_dir():
                        raise
                    cassettes.problems.append(str(error))
        return cassettes

    def add(self, exchanges: Iterable[Exchange]) -> None:
        """Put more exchanges, those of one file, behind those that are there."""
        number = len(self._file)
        for exchange in exchanges:
            self._file[id(exchange)] = number
            for path in exchange.paths:
                address = exchange.method, plain_path(path)
                self._by_address.setdefault(address, []).append(exchange)

    def find(self, call: Call) -> Exchange | None:
        """The exchange whose turn it is to answer a call; None where there is none."""
        if not self._by_address:
            return None
        there = self._by_address.get((call.method, plain_path(call.path)))
        if not there:
            return None
        request, query = canonical(call.body), query_of(call.query)
        fitting = [e for e in there if e.request == request]
        fitting = fitting or [e for e in there if e.fits(request)]
        # A POST says in its body what it wants; a GET has nothing but its query.
        fitting = [e for e in fitting if e.query == query] or (
            fitting if call.method == "POST" else []
        )
        if not fitting:
            return None
        found = fitting[0] if len(fitting) == 1 else self._whose_turn(fitting, call)
        self._played.add(id(found))
        self._last_file = self._file[id(found)]
        return found

    def _whose_turn(self, fitting: list[Exchange], call: Call) -> Exchange:
        """Which of several exchanges with the same request answers: see the module's text."""
        likeness: dict[int, tuple[int, bool]] = {}
        for exchange in fitting:
            file, like = self._file[id(exchange)], exchange.likeness(call.headers, call.body)
            likeness[file] = max(like, likeness.get(file, like))
        most_alike = max(likeness.values())
        twins = [e for e in fitting if likeness[self._file[id(e)]] == most_alike]
        waiting = [exchange for exchange in twins if id(exchange) not in self._played]
        here = [e for e in waiting or twins if self._file[id(e)] == self._last_file]
        if not waiting:
            return (here or twins)[-1]
        again = [e for e in here or waiting if e.is_sent_again(call.headers)]
        return max(again, key=lambda e: len(e.asked_with)) if again else (here or waiting)[0]

    def replay(self, exchange: Exchange, call: Call, codec: Codec, entry: LoggedCall) -> Answer:
        """The recorded answer, as it was; streams go out event by event."""
        if id(exchange) not in self._read:
            stream, body = exchange.is_stream, exchange.body
            reply = read_reply(body, codec, status=exchange.status, stream=stream)
            self._read[id(exchange)] = reply, exchange.events if stream else []
        entry.reply, events = self._read[id(exchange)]
        entry.tier, entry.status, entry.recording = RECORDED, exchange.status, exchange.name
        entry.request = read_request(call.body, codec)
        headers = at_home(exchange.headers, call.headers.get("host", "")) | {TIER_HEADER: RECORDED}
        entry.response_headers = without_secrets(headers)
        chunks = iter(events) if exchange.is_stream else (exchange.body,)
        return Answer(exchange.status, headers, chunks)

    def __iter__(self) -> Iterator[Exchange]:
        return iter({id(e): e for there in self._by_address.values() for e in there}.values())

    def __len__(self) -> int:
        return len(list(iter(self)))


def authored_files(*paths: Path) -> list[Path]:
    """The YAML files, named or in folders, that hold no verbatim exchanges."""
    files = (file for p in paths for file in (sorted(p.glob("*.yaml")) if p.is_dir() else [p]))
    return [file for file in files if not vcr.is_verbatim(file)]
