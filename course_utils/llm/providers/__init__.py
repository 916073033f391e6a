"""The drivers: one module a provider's SDK."""

from __future__ import annotations

import functools
from importlib import import_module
from typing import Any

from course_utils.llm.providers.driver import Address, Answer, Driver, Reader

__all__ = ["Address", "Answer", "Driver", "Reader", "driver_of"]

# Ollama and other local servers speak OpenAI's format.
_MODULES = {"openai": "openai", "local": "openai", "anthropic": "anthropic", "google": "google"}


@functools.cache
def driver_of(provider: str) -> Driver:
    """The driver for a provider of the catalogue."""
    module = import_module(f"course_utils.llm.providers.{_MODULES[provider]}")
    driver: Any = module.driver(provider)
    return driver  # type: ignore[no-any-return]
