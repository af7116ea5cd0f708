"""Blocking work - files, a database - in threads beside the event loop, which nothing else uses.

Threads of its own, because the transports use the usual ones: a store that hangs must not hold up an answer. Work in a
thread cannot be stopped, so it bounds itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio
from anyio.lowlevel import RunVar

T = TypeVar("T")

THREADS = 16
_THREADS: RunVar[anyio.CapacityLimiter] = RunVar("kustom_mcp_aside")


async def in_thread(work: Callable[[], T], *, abandon: bool = False) -> T:
    """Run `work` in a thread. A cancelled caller still waits for its end, unless it may be abandoned."""
    try:
        threads = _THREADS.get()
    except LookupError:
        threads = anyio.CapacityLimiter(THREADS)
        _THREADS.set(threads)
    return await anyio.to_thread.run_sync(work, abandon_on_cancel=abandon, limiter=threads)
