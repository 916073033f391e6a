"""What both providers' batches have in common: how they are kept, and their lines."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from course_utils.offline.call import Answer, Call, Log
from course_utils.offline.endpoints.resources import json_answer
from course_utils.offline.routes import Visit


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


# Each look at a batch lets this much time pass.
STEP_S = 60

AnyBatch = TypeVar("AnyBatch", bound=_HasId)


@dataclass(frozen=True, slots=True)
class Shelf(Generic[AnyBatch]):
    """The batches of one `kind` in the store.

    `work` makes a batch's results where its time has come, `describe` is what the API shows of it.
    """

    kind: str
    work: Callable[[Visit, AnyBatch], AnyBatch]
    describe: Callable[[Visit, AnyBatch], Mapping[str, Any]]

    def worked(self, visit: Visit, batch: AnyBatch) -> AnyBatch:
        """The batch with what has come of it by now, and kept like that."""
        batch = self.work(visit, batch)
        visit.standin.store.put(self.kind, batch.id, batch)
        return batch

    def show(self, visit: Visit, batch: AnyBatch) -> Answer:
        """The batch as it stands."""
        return json_answer(visit, self.describe(visit, self.worked(visit, batch)))

    def look(self, visit: Visit, batch: AnyBatch) -> Answer:
        """The batch as it stands when some time has passed."""
        visit.standin.clock.advance(STEP_S)
        return self.show(visit, batch)

    def rows(self, visit: Visit) -> list[Mapping[str, Any]]:
        """All batches as they stand when some time has passed, newest first."""
        visit.standin.clock.advance(STEP_S)
        newest_first = reversed(list(visit.standin.store.list(self.kind)))
        return [self.describe(visit, self.worked(visit, batch)) for batch in newest_first]


def ask(visit: Visit, path: str, body: object) -> tuple[int, dict[str, Any]]:
    """The stand-in's own answer to a line of a batch: status and body.

    It goes through the visit's door with the visit's key, and into the log as a line of a batch.
    """
    if isinstance(body, dict) and "stream" in body:
        body = body | {"stream": False}
    call = Call("POST", path, "", visit.call.headers, json.dumps(body).encode())
    entry = Log(1).open(call, visit.door.provider)
    answer = visit.standin.respond_to_line(call, visit.door, entry)
    assert not isinstance(answer.chunks, AsyncIterator)
    entry.response_headers, entry.response_body = answer.headers, b"".join(answer.chunks)
    entry.is_complete = entry.is_batch = True
    visit.entry.lines.append(entry)
    return answer.status, json.loads(entry.response_body)
