"""OpenAI's files: uploaded, listed, read and deleted."""

from __future__ import annotations

import hashlib
import itertools
import re
from dataclasses import dataclass
from functools import partial
from typing import Any

from tornado.httputil import HTTPFile, HTTPInputError, parse_body_arguments

from course_utils.offline import ids
from course_utils.offline.call import Answer
from course_utils.offline.endpoints.resources import (
    bytes_answer,
    json_answer,
    kept,
    page,
    param,
    query,
)
from course_utils.offline.routes import Visit
from course_utils.wire.fields import MalformedRequestError

KIND = "file"
_PURPOSES = ("fine-tune", "assistants", "batch", "user_data", "vision", "evals")
_MOST_LISTED = 10_000
# "By default, files with purpose=batch expire after 30 days" (SDK 3.54).
_BATCH_FILE_LIFE_S = 30 * 86_400


@dataclass(frozen=True, slots=True)
class File:
    """A file with its content. Times are in seconds since 1970 (UTC)."""

    id: str
    filename: str
    purpose: str
    content: bytes
    created_at: int
    expires_at: int | None = None


def upload(visit: Visit) -> Answer:
    """Keep a file that was sent as a form, with the fields `file` and `purpose`."""
    fields, sent = _form(visit)
    purpose = fields.get("purpose", "")
    if not visit.standin.lenient:
        _check(visit, purpose, sent.filename)
    life = fields.get("expires_after[seconds]", "")
    life_s = int(life) if life.isdecimal() else None
    return json_answer(visit, describe(keep(visit, sent.filename, purpose, sent.body, life_s)))


def keep(
    visit: Visit, filename: str, purpose: str, content: bytes, life_s: int | None = None
) -> File:
    """Store a file; its id follows from what is in it, so that a second run sees the same id."""
    if life_s is None and purpose == "batch":
        life_s = _BATCH_FILE_LIFE_S
    now = visit.standin.clock.now
    file_id = _new_id(visit, f"{filename}\0{purpose}\0", content)
    file = File(file_id, filename, purpose, content, now, life_s and now + life_s)
    visit.standin.store.put(KIND, file.id, file)
    return file


def list_files(visit: Visit) -> Answer:
    """All files, or those for one purpose, newest first unless the query asks otherwise."""
    asked = query(visit)
    files = visit.standin.store.list(KIND)
    rows = [describe(f) for f in files if asked.get("purpose", f.purpose) == f.purpose]
    if asked.get("order") != "asc":
        rows.reverse()
    return json_answer(visit, {"object": "list"} | page(rows, asked, _MOST_LISTED))


def retrieve_file(visit: Visit) -> Answer:
    """What is known of a file."""
    return json_answer(visit, describe(find(visit, param(visit, "id"))))


def read_file(visit: Visit) -> Answer:
    """A file's content, byte for byte."""
    file = find(visit, param(visit, "id"))
    headers = {
        "Content-Type": "application/octet-stream",
        "Content-Disposition": f'attachment; filename="{_printable(file.filename)}"',
    }
    return bytes_answer(visit, file.content, headers)


def delete_file(visit: Visit) -> Answer:
    """Forget a file."""
    file = find(visit, param(visit, "id"))
    visit.standin.store.delete(KIND, file.id)
    return json_answer(visit, {"object": "file", "deleted": True, "id": file.id})


def find(visit: Visit, file_id: str) -> File:
    """The file; refused where there is none."""
    now = visit.standin.clock.now
    invent = partial(File, file_id, "upload", "assistants", b"", now)
    return kept(visit, KIND, File, file_id, "no_file", invent)


def describe(file: File) -> dict[str, Any]:
    """A file as the API shows it, its fields in the order of real traffic of 2026."""
    return {
        "object": "file",
        "id": file.id,
        "purpose": file.purpose,
        "filename": file.filename,
        "bytes": len(file.content),
        "created_at": file.created_at,
        "expires_at": file.expires_at,
        "status": "processed",
        "status_details": None,
    }


def _form(visit: Visit) -> tuple[dict[str, str], HTTPFile]:
    """The fields of a form and the file in it; malformed where there is no file."""
    arguments: dict[str, list[bytes]] = {}
    files: dict[str, list[HTTPFile]] = {}
    kind = visit.call.headers.get("content-type", "")
    try:
        parse_body_arguments(kind, visit.call.body, arguments, files)
    except (HTTPInputError, ValueError) as error:
        raise MalformedRequestError("file", "file", None) from error
    if "file" not in files:
        raise MalformedRequestError("file", "file", None)
    fields = {name: values[-1].decode(errors="replace") for name, values in arguments.items()}
    return fields, files["file"][0]


def _check(visit: Visit, purpose: str, filename: str) -> None:
    if not purpose:
        raise MalformedRequestError("purpose", "string", None)
    if purpose not in _PURPOSES:
        raise visit.refused("bad_purpose", value=purpose, known=list(_PURPOSES))
    if purpose == "batch" and not filename.endswith(".jsonl"):
        raise visit.refused("not_jsonl")


def _new_id(visit: Visit, name: str, content: bytes) -> str:
    seed = hashlib.sha256(name.encode() + content).hexdigest()
    candidates = ("file-" + ids.alnum(f"{seed}{i}", 22) for i in itertools.count())
    return next(each for each in candidates if visit.standin.store.get(KIND, each) is None)


def _printable(filename: str) -> str:
    """A file's name as it may stand in a header: no quotes, no line ends."""
    return re.sub(r"[^ !#-\[\]-~]", "_", filename)
