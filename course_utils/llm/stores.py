"""Where cached answers are kept: in memory, or in an SQLite file.

What professionals use: the library diskcache for a file, Redis for many machines. Both take any
value by pickle; this file is JSON, so that opening somebody else's cache runs none of their code.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any, Protocol

from course_utils.llm.clock import Clock, SystemClock
from course_utils.llm.errors import CacheError, SettingError
from course_utils.llm.result import ChatResult
from course_utils.wire.reply import Usage
from course_utils.wire.request import ToolCall

# Marks an SQLite file as ours, and which columns it has.
_APPLICATION_ID = 0x4C4C4D43
_VERSION = 1
# So long a process waits for another one that writes.
_BUSY_S = 10.0
# In place of the process that has the file open.
_CLOSED = -1


class Store(Protocol):
    """Keeps answers by key. It does not know what a key is made of, nor what is worth keeping."""

    def get(self, key: str) -> ChatResult | None:
        """The answer, None where there is none or it is too old. Raises CacheError."""

    def put(self, key: str, result: ChatResult) -> None:
        """Keep an answer, without its `parsed` and `raw`. Raises CacheError."""


class MemoryStore:
    """Answers of this process; the one that was used longest ago makes room.

    Args:
        max_entries: how many are kept.
        ttl_s: how many seconds an answer counts as fresh; None for ever.
        clock: what tells the time.
    """

    def __init__(
        self, max_entries: int = 1_000, *, ttl_s: float | None = None, clock: Clock | None = None
    ) -> None:
        if max_entries < 1:
            raise SettingError(f"A cache of {max_entries} entries keeps nothing: give 1 or more.")
        _check_ttl(ttl_s)
        self._max_entries = max_entries
        self._ttl_s = ttl_s
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, tuple[float, ChatResult]] = OrderedDict()

    def get(self, key: str) -> ChatResult | None:
        """The answer, None where there is none or it is too old."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            if self._ttl_s is not None and self._clock.time() - entry[0] >= self._ttl_s:
                del self._entries[key]
                return None
            self._entries.move_to_end(key)
            return entry[1]

    def put(self, key: str, result: ChatResult) -> None:
        """Keep an answer."""
        with self._lock:
            self._entries[key] = self._clock.time(), _bare(result)
            self._entries.move_to_end(key)
            if len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)

    def __len__(self) -> int:
        return len(self._entries)


class SQLiteStore:
    """Answers in a file that threads and processes share, and that outlives them.

    A write is there as a whole or not at all, also where the process is killed in the middle.

    Args:
        path: the file; it is made where there is none.
        ttl_s: how many seconds an answer counts as fresh; None for ever.
        clock: what tells the time.

    Raises CacheError where the file is damaged, or is something else.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        ttl_s: float | None = None,
        clock: Clock | None = None,
    ) -> None:
        _check_ttl(ttl_s)
        self.path = Path(path)
        self._ttl_s = ttl_s
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._inherited: list[sqlite3.Connection] = []
        self._open = self._connect()
        self._pid = os.getpid()
        self.purge()

    def get(self, key: str) -> ChatResult | None:
        """The answer, None where there is none or it is too old. Raises CacheError."""
        rows = self._run("SELECT result FROM answers WHERE key = ? AND stored > ?", key, self._old)
        return None if not rows else self._read(rows[0][0])

    def put(self, key: str, result: ChatResult) -> None:
        """Keep an answer. Raises CacheError."""
        values = key, self._clock.time(), _write(result)
        self._run("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", *values)

    def purge(self) -> None:
        """Delete the answers that are too old. Raises CacheError."""
        if self._ttl_s is not None:
            self._run("DELETE FROM answers WHERE stored <= ?", self._old)

    def close(self) -> None:
        """Close the file; it opens again at the next use."""
        with self._lock:
            if self._pid == os.getpid():
                self._open.close()
            self._pid = _CLOSED

    def __len__(self) -> int:
        return int(self._run("SELECT count(*) FROM answers")[0][0])

    @property
    def _old(self) -> float:
        """Answers of this moment or before are too old, in seconds since 1970."""
        return float("-inf") if self._ttl_s is None else self._clock.time() - self._ttl_s

    def _run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._connection().execute(statement, values).fetchall()
            except sqlite3.Error as error:
                raise self._unusable(str(error)) from error

    def _connection(self) -> sqlite3.Connection:
        """The connection of this process: a forked one may neither use nor close its parent's."""
        if self._pid != os.getpid():
            if self._pid != _CLOSED:
                self._inherited.append(self._open)
            self._open = self._connect()
            self._pid = os.getpid()
        return self._open

    def _connect(self) -> sqlite3.Connection:
        try:
            # Autocommit; threads take turns by our own lock.
            connection = sqlite3.connect(
                self.path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
            self._prepare(connection)
        except sqlite3.Error as error:
            raise self._unusable(str(error)) from error
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Make the table in a new file; refuse a file of something else."""
        connection.execute("BEGIN IMMEDIATE")
        ((application,),) = connection.execute("PRAGMA application_id").fetchall()
        ((version,),) = connection.execute("PRAGMA user_version").fetchall()
        ((tables,),) = connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
        if tables and application != _APPLICATION_ID:
            raise self._unusable("it is a database of another program")
        if tables and version != _VERSION:
            raise self._unusable(f"it has the columns of version {version}, not of {_VERSION}")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS answers "
            "(key TEXT PRIMARY KEY, stored REAL NOT NULL, result TEXT NOT NULL) WITHOUT ROWID"
        )
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {_VERSION}")
        connection.execute("COMMIT")
        # Readers go on while one writes, and a killed writer leaves the file whole.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")

    def _read(self, text: str) -> ChatResult:
        try:
            return _result(json.loads(text))
        except (ValueError, TypeError, KeyError) as error:
            raise self._unusable(f"an answer in it cannot be read ({error})") from error

    def _unusable(self, problem: str) -> CacheError:
        return CacheError(
            f"The cache {self.path.name} cannot be used: {problem}. Give another file name in a "
            f"folder that you may write to, or delete this file with those ending in -wal and "
            f"-shm: its answers will be asked for, and paid for, once more."
        )


def _check_ttl(ttl_s: float | None) -> None:
    if ttl_s is not None and ttl_s <= 0:
        raise SettingError(
            f"With ttl_s={ttl_s} no answer is ever fresh: give seconds above 0, or None."
        )


def _write(result: ChatResult) -> str:
    usage = result.usage
    return json.dumps(
        {name: getattr(result, name) for name in _PLAIN}
        | {
            "usage": {name: getattr(usage, name) for name in Usage.__slots__},
            "tool_calls": [(call.id, call.name, call.arguments) for call in result.tool_calls],
        },
        ensure_ascii=False,
        default=dict,
    )


def _result(row: dict[str, Any]) -> ChatResult:
    usage, calls = Usage(**row.pop("usage")), row.pop("tool_calls")
    tool_calls = tuple(ToolCall(*call) for call in calls)
    warnings, thoughts = tuple(row.pop("warnings")), tuple(row.pop("thoughts"))
    return ChatResult(
        **row, usage=usage, tool_calls=tool_calls, warnings=warnings, thoughts=thoughts
    )


def _bare(result: ChatResult) -> ChatResult:
    """The answer without what somebody may still change: the SDK's object and the parsed one."""
    kept = {name: getattr(result, name) for name in (*_PLAIN, "usage", "tool_calls")}
    return ChatResult(**kept)


_PLAIN = tuple(
    name for name in ChatResult.__slots__ if name not in ("usage", "tool_calls", "parsed", "raw")
)
