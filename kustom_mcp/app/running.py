"""The tool calls that run, so that the end of the process can wait for their answers."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import anyio


class RunningCalls:
    """The calls of one server, or of one of its shops."""

    def __init__(self) -> None:
        self._running: set[object] = set()
        self._ended: anyio.Event | None = None

    @contextmanager
    def running(self) -> Generator[None]:
        """Note that a call runs."""
        call = object()
        self._running.add(call)
        try:
            yield
        finally:
            self._running.discard(call)
            if self._ended is not None:
                self._ended.set()

    @property
    def count(self) -> int:
        """The number of calls that run."""
        return len(self._running)

    async def idle(self) -> None:
        """Wait until all calls that run now have ended."""
        now = set(self._running)
        while now & self._running:
            self._ended = anyio.Event()
            await self._ended.wait()
