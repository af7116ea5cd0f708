"""An event loop whose clock runs only while nothing works: what a deadline sees does not depend on the machine.

While any task can go on, the clock stands. When all wait, for a timer or for a peer in this process, it moves towards
the next timer, in small steps between which whatever is on its way can arrive: so five seconds of waiting take a
few hundredths, and work that a busy machine is slow at takes none. While a thread works, it moves at a small part of
the pace of real time, so that a store which hangs is still given up.

A peer in another process works without our seeing it: tests that talk to one take the usual loop. Code that reads a
clock of its own is given `anyio.current_time`.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from anyio._backends._asyncio import WorkerThread

PATIENCE = 120.0
"""Seconds that a test waits for what has to come. Against a hang only: nothing is measured by it."""
LOOK = 0.002
"""Real seconds for something to arrive before the clock moves."""
STEP = 0.1
"""Seconds by which it moves at once."""
PACE_OF_THREADS = 0.05
"""Seconds by which it moves for each real one in which a thread works."""


class Unhurried(asyncio.SelectorEventLoop):
    """The usual loop with this clock."""

    def __init__(self) -> None:
        super().__init__(_Waiting(self))
        self._now = time.monotonic()
        self._lent = 0

    def time(self) -> float:
        return self._now

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        future = super().run_in_executor(executor, func, *args)
        self._lent += 1
        future.add_done_callback(self._given_back)
        return future

    def _given_back(self, _: object) -> None:
        self._lent -= 1

    @property
    def threads_work(self) -> bool:
        """Return whether a thread works whose result this loop waits for."""
        return self._lent > 0 or any(
            isinstance(thread, WorkerThread) and thread.loop is self and thread not in thread.idle_workers
            for thread in threading.enumerate()
        )


class _Waiting(selectors.BaseSelector):
    """Waits as the selector of the platform does, and moves the clock."""

    def __init__(self, loop: Unhurried) -> None:
        self._loop = loop
        self._real = selectors.DefaultSelector()

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return self._real.select(timeout)
        working = self._loop.threads_work
        began = time.monotonic()
        ready = self._real.select(LOOK)
        if not ready:
            self._loop.move(min(timeout, (time.monotonic() - began) * PACE_OF_THREADS if working else STEP))
        return ready
