"""Work that blocks - files, a database - done aside of the event loop, in threads that nothing else uses.

Threads of its own, because the transports use the usual ones: a store that hangs must not hold up an answer. What runs
in a thread cannot be stopped, so it bounds itself; `within` only bounds how long its caller waits for it.
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
    """Run it in a thread. Nobody who waits can leave before it is done, unless it may be abandoned."""
    try:
        threads = _THREADS.get()
    except LookupError:
        threads = anyio.CapacityLimiter(THREADS)
        _THREADS.set(threads)
    return await anyio.to_thread.run_sync(work, abandon_on_cancel=abandon, limiter=threads)
