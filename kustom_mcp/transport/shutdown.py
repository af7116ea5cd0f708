"""Shutdown by signals: the first one ends a server in good order, the second one at once."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

import anyio


async def end_on_signals(in_order: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Wait for SIGTERM and SIGINT. `in_order` runs once; a second signal, also while it runs, ends the process."""
    if sys.platform == "win32":
        return
    ending = False
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with anyio.create_task_group() as group:
            async for number in signals:
                if ending:
                    leave(128 + number)
                ending = True
                group.start_soon(in_order)


def leave(code: int) -> NoReturn:
    """End the process without joining a thread that may still be reading a terminal: it would never return."""
    os._exit(code)
