"""What the stand-in keeps between calls: responses, files, batches, each under its own id."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from threading import Lock
from typing import Any

_MOST = 1000


class Store:
    """Resources by kind and id. Of each kind it keeps the newest `most` and forgets the oldest.

    Calls with long bodies are answered in threads of their own, so it is safe to use from several.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._lock = Lock()
        self._kinds: defaultdict[str, dict[str, Any]] = defaultdict(dict)

    def put(self, kind: str, id: str, value: Any) -> None:
        """Keep `value`; one of the same kind and id is replaced and stays in its place."""
        with self._lock:
            shelf = self._kinds[kind]
            shelf[id] = value
            if len(shelf) > self._most:
                del shelf[next(iter(shelf))]

    def get(self, kind: str, id: str) -> Any | None:
        """The resource, or None where there is none, or no longer."""
        return self._kinds[kind].get(id)

    def delete(self, kind: str, id: str) -> bool:
        """Forget a resource; whether there was one."""
        return self._kinds[kind].pop(id, None) is not None

    def list(self, kind: str) -> Iterator[Any]:
        """All resources of a kind, oldest first."""
        return iter(list(self._kinds[kind].values()))
