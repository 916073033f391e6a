"""The doors of the stand-in: one address for each provider, as each provider lays out its own."""

from __future__ import annotations

from dataclasses import dataclass

# The key that the stand-in takes. It opens nothing else, so it may stand in the open.
COURSE_KEY = "course-key-that-works-offline-only"


@dataclass(frozen=True, slots=True)
class Door:
    """One provider's entrance.

    `provider` is its name in the catalogue. Behind `prefix` come the paths that the provider has
    behind its base URL. `words` names its error messages; `needs_key` is false where nobody asks
    for a key; `openai_path` leads from the prefix to what OpenAI's client wants as base URL.
    """

    provider: str
    prefix: str
    words: str
    needs_key: bool = True
    openai_path: str = ""

    @property
    def base(self) -> str:
        """What the SDK that the course uses for this provider wants as base URL."""
        return self.prefix + self.openai_path


OPENAI = Door("openai", prefix="/openai/v1", words="openai")
ANTHROPIC = Door("anthropic", prefix="/anthropic", words="anthropic")
GOOGLE = Door("google", prefix="/google", words="google", openai_path="/v1beta/openai")
# Gemini's own format, behind the same address as the OpenAI-compatible paths.
GEMINI = Door("google", prefix="/google", words="gemini")
LOCAL = Door("local", prefix="/local/v1", words="local", needs_key=False)
DOORS = (OPENAI, ANTHROPIC, GOOGLE, LOCAL)


def door_of(path: str) -> Door | None:
    """The door through which a path leads. Google has two, and only one speaks OpenAI's format."""
    if path.startswith(GEMINI.prefix + "/") and "/openai/" not in path:
        return GEMINI
    return next((door for door in DOORS if path.startswith(door.prefix + "/")), None)
