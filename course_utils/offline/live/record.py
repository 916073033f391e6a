"""Record mode: exchanges with the real providers, kept verbatim in a YAML file.

The file is written whole or not at all, and holds no key, no cookie, and no id of an account.
"""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from course_utils.errors import RecordFileError
from course_utils.offline.call import Call, LoggedCall
from course_utils.offline.doors import Door
from course_utils.offline.live.privacy import Secrets
from course_utils.offline.replay.exchange import Exchange

FILE_VARIABLE = "COURSE_RECORD"
DEFAULT_FILE = "course_recording.yaml"
_HEAD = """\
# Exchanges with the real providers, as they were. Answers to the same requests come from here
# after start(recordings="{name}"). Keys, cookies and the ids of the account were taken out.
source: live
recorded: {day}
exchanges:
"""


@dataclass(frozen=True, slots=True)
class WholeAnswer:
    """An answer that has come to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Recorder:
    """Adds exchanges to a file; `today` dates them. Raises RecordFileError where it cannot."""

    path: Path
    today: Callable[[], date] = date.today
    _text: str = field(init=False)

    def __post_init__(self) -> None:
        self._text = self._begun() or _HEAD.format(name=self.path.name, day=self.today())
        if not os.access(self.path.parent, os.W_OK):
            raise RecordFileError(self.path, "its folder is missing or cannot be written to")

    def keep(
        self, call: Call, door: Door, entry: LoggedCall, answer: WholeAnswer, hide: Secrets
    ) -> None:
        """Write one exchange down, without what `hide` hides."""
        row = {
            "date": self.today(),
            "sdk": hide.hide(call.headers.get("user-agent", "unknown")),
            "model": entry.request.model if entry.request else None,
            "request": {
                "provider": door.provider,
                "method": call.method,
                "path": hide.hide(call.path.removeprefix(door.prefix)),
                "query": hide.hide_query(call.query),
                "headers": hide.of_request(call.headers),
                "body": _text_of(hide.hide(call.body)),
            },
            "response": {
                "status": answer.status,
                "headers": hide.of_response(answer.headers),
                **_told(hide.hide(answer.body), answer.headers),
            },
        }
        text = self._text + _yaml(row)
        _write_whole(self.path, text)
        self._text = text

    def _begun(self) -> str:
        """What the file holds already, which must be a recording of this kind."""
        from course_utils.offline.replay import vcr

        if not self.path.exists():
            return ""
        text = self.path.read_text(encoding="utf-8")
        if "\nsource: live\n" not in "\n" + text:
            raise RecordFileError(self.path, "it holds something else than recorded exchanges")
        vcr.read_file(self.path)
        return text


def file_to_record(chosen: str | os.PathLike[str] | None) -> Path:
    """The file that was chosen, by argument or environment, or one in the working folder."""
    return Path(chosen or os.environ.get(FILE_VARIABLE) or DEFAULT_FILE).resolve()


def _told(body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
    """The body of an answer; a stream event by event."""
    exchange = Exchange("", "", (), frozenset(), None, 200, headers, body)
    if exchange.is_stream:
        return {"events": [_text_of(event) for event in exchange.events]}
    return {"body": _text_of(body)}


def _text_of(body: bytes) -> object:
    """A body as text, or as base64 where it is none."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return {"base64_string": base64.b64encode(body).decode()}


def _yaml(row: Mapping[str, Any]) -> str:
    """One exchange as YAML, with long texts as blocks that a diff can show where they survive."""
    import yaml

    plain: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    blocks: Any = type("BlockDumper", (plain,), {})
    blocks.add_representer(str, _represent)
    text = ""
    for dumper in (blocks, plain):
        text = yaml.dump([row], Dumper=dumper, sort_keys=False, allow_unicode=True, width=10**9)
        # A block at the very end is followed by a mark that would end the whole file.
        text = text.removesuffix("...\n")
        if yaml.load(text, Loader=loader) == [row]:
            break
    return text


def _represent(dumper: Any, text: str) -> Any:
    plain = text.replace("\n", "").isprintable() and not text.startswith((" ", "\n"))
    block = "\n" in text and plain and " \n" not in text
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if block else None)


def _write_whole(path: Path, text: str) -> None:
    """Put a text into a file so that whoever looks finds the old one or the new one."""
    written = None
    try:
        with tempfile.NamedTemporaryFile(
            "w",
            dir=path.parent,
            prefix=f".{path.name}.",
            delete=False,
            encoding="utf-8",
            newline="",
        ) as file:
            written = file.name
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(written, path)
    except OSError as error:
        if written is not None:
            Path(written).unlink(missing_ok=True)
        raise RecordFileError(path, str(error)) from error
