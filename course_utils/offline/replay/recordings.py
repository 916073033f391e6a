"""Recordings: what was asked and what is answered, in YAML files that a diff can show.

A file says its `source` once: `authored`, written by hand to the documented wire format, which no
model produced. Each of its `replies` names the provider and the model in whose place it speaks.

    source: authored
    written: 2026-11-23
    replies:
      - id: capital
        provider: openai
        model: standard          # a tier of the catalogue, or a model id
        messages:
          - user: What is the capital of France?
        text: Paris.
      - id: capital-again
        after: capital           # the conversation goes on where that reply ended
        messages:
          - user: And of Italy?
        text: Rome.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from course_utils.errors import CourseError, RecordingError
from course_utils.wire.catalogue import default_model
from course_utils.wire.reply import Choice
from course_utils.wire.request import Message, Request, Tool, ToolCall

SHIPPED = Path(__file__).parents[1] / "recordings"
_TIERS = ("budget", "standard", "premium")
_SOURCES = ("authored",)
# What a request may change without becoming another conversation.
_KNOBS = frozenset(
    [
        "max_tokens",
        "temperature",
        "top_p",
        "stop",
        "n",
        "seed",
        "stream",
        "reasoning_effort",
    ]
)
_REPLY_KEYS = frozenset(
    [
        "id",
        "after",
        "provider",
        "model",
        "messages",
        "tools",
        "text",
        "texts",
        "finish_reason",
        "refusal",
        "tool_calls",
    ]
)
_REQUEST_KEYS = _KNOBS | {"tool_choice", "json_mode", "json_schema"}


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded exchange. `name` is `file#id`, `written` the day on which it was authored."""

    name: str
    provider: str
    request: Request
    choices: tuple[Choice, ...]
    written: date

    def first(self, n: int) -> tuple[Choice, ...]:
        """As many choices as a request asks for; the recorded ones come round again."""
        return tuple(islice(cycle(self.choices), n))

    @property
    def created(self) -> int:
        """The reply's time stamp: noon, UTC, of the day on which it was written."""
        return int(datetime.combine(self.written, time(12), UTC).timestamp())


@dataclass(slots=True)
class Recordings:
    """All recordings, found by conversation."""

    _by_conversation: dict[str, list[Recording]] = field(default_factory=dict)
    _all: list[Recording] = field(default_factory=list)

    @classmethod
    def load(cls, *paths: Path) -> Recordings:
        """Read YAML files, or all of them in a folder.

        Raises RecordingError where a file cannot be read or does not say what it must.
        """
        recordings = cls()
        for path in paths:
            for file in sorted(path.glob("*.yaml")) if path.is_dir() else [path]:
                recordings.add(_read_file(file))
        return recordings

    def add(self, recordings: Iterable[Recording]) -> None:
        """Put more recordings beside those that are there."""
        for recording in recordings:
            key = conversation_key(recording.request)
            self._by_conversation.setdefault(key, []).append(recording)
            self._all.append(recording)

    def find(self, request: Request, provider: str) -> Recording | None:
        """The recording of this conversation that is nearest: same provider, model, knobs."""
        candidates = self._by_conversation.get(conversation_key(request), [])
        return max(candidates, key=lambda r: _closeness(r, request, provider), default=None)

    def nearest(self, request: Request) -> Recording | None:
        """The recording whose last question shares most words with this request's."""
        wanted = set(request.last_user_text.lower().split())
        return max(self._all, key=lambda r: _shared_words(r, wanted), default=None)

    def __iter__(self) -> Iterator[Recording]:
        return iter(self._all)


def conversation_key(request: Request) -> str:
    """A digest of what is asked: messages, tools and output shape, but no knobs."""
    messages = [
        (m.role, m.text.strip(), [(c.name, _plain_json(c.arguments)) for c in m.tool_calls])
        for m in request.messages
    ]
    tools = sorted(tool.name for tool in request.tools)
    shape = [tools, request.tool_choice, request.json_mode, request.json_schema]
    text = json.dumps([messages, shape], default=str, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain_json(arguments: str) -> str:
    """A call's arguments in one spelling: formats that send them as objects lose the spaces."""
    try:
        return json.dumps(json.loads(arguments), sort_keys=True)
    except ValueError:
        return arguments


def is_same(recording: Recording, request: Request, provider: str) -> bool:
    """Whether a recording was made of this very request, knobs included."""
    return _closeness(recording, request, provider) == (True, True, len(_KNOBS))


def _closeness(recording: Recording, request: Request, provider: str) -> tuple[bool, bool, int]:
    same_knobs = sum(getattr(recording.request, k) == getattr(request, k) for k in _KNOBS)
    return (
        recording.provider == provider,
        recording.request.model == request.model,
        same_knobs,
    )


def _shared_words(recording: Recording, wanted: set[str]) -> float:
    words = set(recording.request.last_user_text.lower().split())
    return len(words & wanted) / len(words | wanted or {""})


def _read_file(path: Path) -> list[Recording]:
    import yaml

    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_loader(yaml))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecordingError(path, f"it cannot be read ({_one_line(error)})") from error
    if not isinstance(content, dict) or content.get("source") not in _SOURCES:
        raise RecordingError(path, f"it must begin with 'source:', one of {', '.join(_SOURCES)}")
    if not isinstance(content.get("written"), date):
        raise RecordingError(path, "it must say 'written:' and a date such as 2026-11-23")
    return _read_replies(path, content)


def _loader(yaml: Any) -> Any:
    """The C loader, ten times faster, where PyYAML was built with it."""
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _read_replies(path: Path, content: Mapping[str, Any]) -> list[Recording]:
    done: dict[str, Recording] = {}
    for row in content.get("replies") or ():
        name = row.get("id", len(done)) if isinstance(row, dict) else row
        try:
            done[name] = _read_reply(f"{path.stem}#{name}", row, done, content["written"])
        except (CourseError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise RecordingError(path, f"reply {name!r}: {_one_line(error)}") from error
    return list(done.values())


def _read_reply(
    name: str, row: Mapping[str, Any], done: Mapping[str, Recording], written: date
) -> Recording:
    unknown = set(row) - _REPLY_KEYS - _REQUEST_KEYS
    if unknown:
        raise ValueError(f"there is no field {sorted(unknown)[0]!r}")
    before = done[row["after"]] if "after" in row else None
    provider = row.get("provider") or (before.provider if before else "openai")
    knobs: dict[str, Any] = {key: _frozen(row[key]) for key in _REQUEST_KEYS & set(row)}
    request = Request(
        model=_read_model(row, provider, before),
        messages=(*_told(before), *(_read_message(m) for m in row["messages"])),
        tools=tuple(Tool(tool_name) for tool_name in row.get("tools") or ()),
        **knobs,
    )
    return Recording(name, provider, request, _read_choices(row), written)


def _read_model(row: Mapping[str, Any], provider: str, before: Recording | None) -> str:
    if "model" not in row and before:
        return before.request.model
    named = row.get("model", "standard")
    return default_model(provider, named).id if named in _TIERS else str(named)


def _told(before: Recording | None) -> tuple[Message, ...]:
    """The conversation up to and with the reply of a recording."""
    if before is None:
        return ()
    answer = Message("assistant", before.choices[0].text, before.choices[0].tool_calls)
    return (*before.request.messages, answer)


def _read_message(row: Mapping[str, Any]) -> Message:
    """`user: text`, or for a tool's result `tool: text` with `for: call id`."""
    (role, text), *more = row.items()
    return Message(role, str(text), tool_call_id=dict(more).get("for"))


def _read_choices(row: Mapping[str, Any]) -> tuple[Choice, ...]:
    """The answer, or the several answers under `texts`."""
    calls = tuple(
        ToolCall(call["id"], call["name"], json.dumps(call["arguments"]))
        for call in row.get("tool_calls") or ()
    )
    return tuple(
        Choice(
            text=str(text).rstrip("\n"),
            finish_reason=row.get("finish_reason") or ("tool_calls" if calls else "stop"),
            tool_calls=calls,
            refusal=row.get("refusal"),
        )
        for text in row.get("texts") or [row.get("text", "")]
    )


def _frozen(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _one_line(error: BaseException) -> str:
    text = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
    return " ".join(text.split())
