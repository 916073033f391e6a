"""Routes: which function answers which method and path, and what it gets to work with."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from course_utils.offline import ids, strict_json, words
from course_utils.offline.call import REFUSED, Answer, Call, LoggedCall
from course_utils.offline.doors import Door
from course_utils.offline.headers import (
    COURSE_ERROR,
    DO_NOT_RETRY,
    TIER_HEADER,
    response_headers,
)
from course_utils.offline.refusals import RefusedError
from course_utils.wire.codec import Codec
from course_utils.wire.reply import Refusal

if TYPE_CHECKING:
    from course_utils.offline.standin import StandIn


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint. `path` comes after the door's prefix; `{name}` in it takes one segment.

    `codec` gives errors their shape, and model calls their format. `refusal_headers` are the
    headers of its errors, made from a seed and the status; without them they are the provider's
    usual ones. Where `is_open`, nobody looks at the key.
    """

    method: str
    door: Door
    path: str
    codec: Codec
    handle: Callable[[Visit], Answer]
    refusal_headers: Callable[[str, int], dict[str, str]] | None = None
    is_open: bool = False

    def refuse(self, refusal: Refusal, entry: LoggedCall, seed: str) -> Answer:
        """The answer to a call that is refused, noted in the log's `entry`."""
        entry.tier, entry.status, entry.refusal = REFUSED, refusal.status, refusal
        entry.reply = entry.recording = None
        headers = self._headers(seed, refusal.status) | {TIER_HEADER: REFUSED}
        if refusal.type == COURSE_ERROR:
            headers |= DO_NOT_RETRY
        body = self.codec.write_error(refusal, ids.request_id(self.door.provider, seed))
        return Answer(refusal.status, headers, (body,))

    def _headers(self, seed: str, status: int) -> dict[str, str]:
        if self.refusal_headers is not None:
            return self.refusal_headers(seed, status)
        return response_headers(self.door.provider, seed, status=status)


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
    """All routes, found by method and path. HEAD is answered where GET is."""

    def __init__(self, *routes: Route) -> None:
        self._routes = routes
        fixed = (route for route in routes if "{" not in route.path)
        self._fixed = {(route.method, route.door.prefix + route.path): route for route in fixed}

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """The route of a call and the named segments of its path; None where there is none."""
        method = "GET" if method == "HEAD" else method
        fixed = self._fixed.get((method, path))
        if fixed is not None:
            return fixed, {}
        for route in self._routes:
            if route.method == method and (match := _match(route, path)):
                return route, match.groupdict()
        return None

    def methods(self, path: str) -> list[str]:
        """The methods that a path takes, in the order of the alphabet; none for an unknown path."""
        taken = {route.method for route in self._routes if _match(route, path)}
        return sorted(taken | {"HEAD"} if "GET" in taken else taken)


def _match(route: Route, path: str) -> re.Match[str] | None:
    return _pattern(route.door.prefix + route.path).fullmatch(path)


@functools.cache
def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(path)))
