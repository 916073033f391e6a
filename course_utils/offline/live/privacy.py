"""What must never be written down: keys, cookies, and the ids of an account and its requests."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote, unquote

from course_utils.offline.replay.exchange import REDACTED

# Headers of a request that say how it was asked, and not by whom.
_TELLING = re.compile(
    r"accept|content-type|user-agent|(anthropic|openai)-(version|beta)"
    r"|x-stainless-(lang|package-version|runtime|runtime-version|helper|helper-method)",
    re.IGNORECASE,
)
# Headers of an answer whose values are the same for every account, or are its limits. Those of all
# others are taken out, and their names stay.
_HARMLESS = re.compile(
    r"content-(type|length|disposition|security-policy)|date|server|vary|via|age|allow|alt-svc"
    r"|cache-control|expires|pragma|connection|transfer-encoding|content-encoding|x-course-tier"
    r"|retry-after(-ms)?|x-should-retry|(x|anthropic)-ratelimit-.*|strict-transport-security"
    r"|openai-(processing-ms|version|model)|anthropic-version|x-openai-proxy-wasm"
    r"|cf-cache-status|x-robots-tag|x-(content-type|frame)-options|x-xss-protection"
    r"|referrer-policy|permissions-policy|access-control-.*|x-envoy-upstream-service-time"
    r"|server-timing",
    re.IGNORECASE,
)
_COOKIES = re.compile(r"(set-)?cookie2?", re.IGNORECASE)
# Headers whose value, wherever else it stands, is a secret too.
_IDENTIFYING = re.compile(
    r".*(key|token|auth|cookie|organi[sz]ation|project|account|workspace|user|request-id"
    r"|trace|session|cf-ray).*",
    re.IGNORECASE,
)
# The forms of keys and ids, as they stand in bodies: `sk-...`, `org-...`, `req_...`, a Bearer, and
# who logs in to a URL. What has neither a digit nor a capital is a word, such as org-structure.
_FORMS = re.compile(
    r"\b(?:sk|gsk|xai|hf|pk|rk)[-_](?=[\w*.-]*[A-Z0-9*])[\w*.-]{8,}|\bAIza[\w-]{16,}"
    r"|\bya29\.[\w.-]{8,}|\b(?:org|proj|wrkspc|acct|req|user)[-_](?=[a-z]*[A-Z0-9])[A-Za-z0-9]{8,}"
    r"|\bprojects/[\w-]+|\bproject_number:\d+|(?<=Bearer )[\w.~+/=-]{8,}|(?<=://)[^/\s\"@]+(?=@)"
)
# As JSON, and as JSON that is quoted inside of JSON.
_FIELDS = re.compile(
    r'(\\*"(?:organi[sz]ation|(?:organi[sz]ation|org|project|account|workspace|request)_?[iI]d)\\*"'
    r'\s*:\s*\\*")[^"\\]{2,}'
)
_QUERY = re.compile(r"(?i)(^|&|\?)((?:[\w$.-]*(?:key|token|auth|secret|signature))=)[^&\s\"']*")
_SHORTEST = 6
_WORDS = {"Bearer", "bearer", "default", "unknown"}
_Text = TypeVar("_Text", str, bytes)


@dataclass(frozen=True, slots=True)
class Secrets:
    """Texts that are taken out wherever they stand, besides all that has the form of a secret."""

    known: frozenset[str] = frozenset()

    def and_of(self, headers: Iterable[tuple[str, str]]) -> Secrets:
        """These, and the values of the headers that identify somebody."""
        found = {part for name, value in headers for part in _identifying_parts(name, value)}
        return Secrets(self.known | {part for part in found if len(part) >= _SHORTEST})

    def and_of_query(self, query: str) -> Secrets:
        """These, and the keys and tokens that a query carries."""
        values = {unquote(found[0].partition("=")[2]) for found in _QUERY.finditer(query)}
        return Secrets(self.known | {value for value in values if len(value) >= _SHORTEST})

    def hide(self, text: _Text) -> _Text:
        """A text, or the bytes of one, without them. A text without any comes back unchanged."""
        if isinstance(text, bytes):
            # Every byte survives the way there and back, even where it is no UTF-8.
            return self.hide(text.decode("utf-8", "surrogateescape")).encode(
                "utf-8", "surrogateescape"
            )
        for secret in sorted(self.known, key=len, reverse=True):
            text = text.replace(secret, REDACTED).replace(quote(secret, safe=""), REDACTED)
        return _FIELDS.sub(rf"\1{REDACTED}", _FORMS.sub(REDACTED, text))

    def hide_query(self, query: str) -> str:
        """A query, or a URL, without the values of keys and tokens."""
        return self.hide(_QUERY.sub(rf"\1\2{REDACTED}", query))

    def of_request(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers of a request that a recording keeps."""
        return {k: self.hide(v) for k, v in headers.items() if _TELLING.fullmatch(k)}

    def for_log(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers of a request for the log: every name, and no value that identifies."""
        return {
            name: REDACTED if _is_identifying(name) and value != "***" else self.hide(value)
            for name, value in headers.items()
        }

    def of_response(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers of an answer: every name but the cookies', and the harmless values."""
        return {
            name: self.hide(value) if _HARMLESS.fullmatch(name) else REDACTED
            for name, value in headers.items()
            if not _COOKIES.fullmatch(name)
        }


def _is_identifying(name: str) -> bool:
    plain = _TELLING.fullmatch(name) or _HARMLESS.fullmatch(name)
    return _IDENTIFYING.fullmatch(name) is not None and not plain


def _identifying_parts(name: str, value: str) -> set[str]:
    """The secrets in a header: a token without its scheme, and the values of cookies."""
    if not _is_identifying(name):
        return set()
    if name.lower() == "set-cookie":
        value = value.partition(";")[0]
    parts = {part.partition("=")[2] or part for part in re.split(r"[\s;,]+", value)}
    return ({value} | parts) - _WORDS
