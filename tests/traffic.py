"""Reads recorded exchanges of public repositories, which judge our wire formats.

They are not part of the project: where the folder is absent, `all_exchanges` is empty and the tests
that need it are skipped. Formats: VCR cassettes as YAML (Python's and Ruby's) and as JSON, inline
snapshots, bare bodies; a body may be text, bytes, base64, gzip, or parsed JSON.
"""

import base64
import functools
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
EXCHANGES = DATA / "exchanges"
needs_exchanges = pytest.mark.skipif(
    not (EXCHANGES / "MANIFEST.json").exists(), reason="no recorded traffic on this machine"
)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One recorded exchange. `row` is its line in the manifest; header names are lower case.

    `request` and `response` are the bodies; `parsed` says that the recorder kept the values of the
    response's JSON and not its text. `url` is empty where only the response was kept.
    """

    row: Mapping[str, Any] = field(repr=False)
    request: bytes
    response: bytes
    request_headers: Mapping[str, str]
    headers: Mapping[str, str]
    parsed: bool = False
    url: str = ""

    @property
    def name(self) -> str:
        """The cassette and the place in it."""
        return f"{self.row['local']}[{self.row['index']}]"

    @property
    def status(self) -> int:
        """The HTTP status of the response."""
        return int(self.row["status"])

    @property
    def features(self) -> frozenset[str]:
        """What the manifest says that the exchange shows, such as `stream` or `tools`."""
        return frozenset(self.row["features"])

    def request_json(self) -> Any:
        """The request's body; None where the recording keeps none."""
        return json.loads(self.request) if self.request else None

    def response_json(self) -> Any:
        """The response's body."""
        return json.loads(self.response)


class _Loader(yaml.CSafeLoader):
    """Ruby writes bytes as `!binary`."""


_Loader.add_constructor("!binary", lambda loader, node: base64.b64decode(node.value))


@functools.cache
def all_exchanges() -> tuple[Exchange, ...]:
    """Every exchange of the manifest, in its order."""
    manifest = EXCHANGES / "MANIFEST.json"
    if not manifest.exists():
        return ()
    rows = json.loads(manifest.read_text(encoding="utf-8"))["interactions"]
    return tuple(_exchange(row) for row in rows)


def exchanges(endpoint: str, provider: str | None = None, status: int = 200) -> list[Exchange]:
    """The exchanges of one endpoint (the end of its path), provider and status."""
    return [
        exchange
        for exchange in all_exchanges()
        if exchange.row["endpoint"].endswith(endpoint)
        and exchange.row["provider"] == (provider or exchange.row["provider"])
        and exchange.status == status
    ]


def _exchange(row: Mapping[str, Any]) -> Exchange:
    interaction = _interactions(row["local"])[row["index"]]
    request = interaction.get("request") or {}
    response = interaction.get("response", interaction)
    return Exchange(
        row,
        _body(request),
        _body(response),
        _headers(request),
        _headers(response),
        "parsed_body" in response or isinstance(_content(response), dict),
        request.get("uri") or request.get("url") or "",
    )


@functools.cache
def _interactions(local: str) -> list[Any]:
    path = EXCHANGES / local
    if path.suffix in (".bin", ".txt"):
        return [{"response": {"body": path.read_bytes()}}]
    text = path.read_text(encoding="utf-8")
    # The loader is a safe one.
    file = json.loads(text) if path.suffix == ".json" else yaml.load(text, _Loader)
    if isinstance(file, list):
        return file
    return file.get("interactions") or file.get("http_interactions") or [file]


def _content(message: Mapping[str, Any]) -> Any:
    """The body as the recorder wrote it."""
    for key in ("parsed_body", "body", "content"):
        if message.get(key) is not None:
            content = message[key]
            break
    else:
        return b""
    if isinstance(content, dict) and "base64_string" in content:
        return base64.b64decode(content["base64_string"])
    if isinstance(content, dict) and "string" in content and set(content) <= {"string", "encoding"}:
        return content["string"] or b""
    return content


def _body(message: Mapping[str, Any]) -> bytes:
    content = _content(message)
    if isinstance(content, str):
        content = content.encode()
    if isinstance(content, bytes):
        packed = content[:2] == b"\x1f\x8b"
        return zlib.decompressobj(31).decompress(content) if packed else content
    return json.dumps(content, ensure_ascii=False).encode()


def _headers(message: Mapping[str, Any]) -> dict[str, str]:
    pairs = message.get("headers") or {}
    return {
        name.lower(): value if isinstance(value, str) else ", ".join(map(str, value))
        for name, value in pairs.items()
    }
