"""The SDKs' clients, each built once and shared.

To build one costs 40 ms (it loads the machine's certificates), and its connections are worth
keeping too. What professionals use: one client for the whole program, as the SDKs' own pages say.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any
from weakref import WeakKeyDictionary

from course_utils.llm.providers import Address, driver_of

_lock = threading.Lock()
_sdks: dict[Address, Any] = {}
# Connections belong to the event loop that opened them, so each loop has its own clients.
_async_sdks: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Address, Any]] = WeakKeyDictionary()


def connection(address: Address) -> Any:
    """The SDK's client for an address, the same one for all threads."""
    sdk = _sdks.get(address)
    if sdk is None:
        with _lock:
            if address not in _sdks:
                _sdks[address] = driver_of(address.provider).connect(address)
            sdk = _sdks[address]
    return sdk


def async_connection(address: Address) -> Any:
    """The SDK's asynchronous client for an address, within the running event loop."""
    loop = asyncio.get_running_loop()
    with _lock:
        sdks = _async_sdks.setdefault(loop, {})
        if address not in sdks:
            sdks[address] = driver_of(address.provider).connect_async(address)
        return sdks[address]
