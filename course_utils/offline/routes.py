"""Routes: which function answers which method and path, and what it gets to work with."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from course_utils.offline import strict_json, words
from course_utils.offline.call import Answer, Call, LoggedCall
from course_utils.offline.doors import Door
from course_utils.offline.refusals import RefusedError
from course_utils.wire.codec import Codec

if TYPE_CHECKING:
    from course_utils.offline.standin import StandIn


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint. `path` comes after the door's prefix; `{name}` in it takes one segment.

    `codec` gives errors their shape, and model calls their format.
    """

    method: str
    door: Door
    path: str
    codec: Codec
    handle: Callable[[Visit], Answer]


@dataclass(frozen=True, slots=True)
class Visit:
    """One call on its route. `params` are the named segments of its path; `seed` is what ids are
    made from, the same for the same call sent for the same time."""

    call: Call
    route: Route
    params: Mapping[str, str]
    entry: LoggedCall
    seed: str
    standin: StandIn

    @property
    def door(self) -> Door:
        """The provider's door."""
        return self.route.door

    def json(self) -> Mapping[str, Any]:
        """The body as a JSON object. Raises RefusedError where it is none."""
        try:
            body = strict_json.read(self.call.body)
        except ValueError as error:
            raise self.refused("not_json", problem=error) from error
        if not isinstance(body, dict):
            raise self.refused("not_json", problem="an object is expected")
        return body

    def refused(self, kind: str, **facts: object) -> RefusedError:
        """The provider's refusal of one kind, to be raised."""
        return RefusedError(words.refusal(self.door.words, kind, **facts))


class Routes:
    """All routes, found by method and path."""

    def __init__(self, *routes: Route) -> None:
        self._routes = routes

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """The route of a call and the named segments of its path; None where there is none."""
        for route in self._routes:
            if route.method == method:
                match = _pattern(route.door.prefix + route.path).fullmatch(path)
                if match:
                    return route, match.groupdict()
        return None


@functools.cache
def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(path)))
