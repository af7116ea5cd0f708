"""The frame of every command of the order book: an app without a server, a way to stop it, and errors in words."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import anyio

from kustom_mcp.app.app import App
from kustom_mcp.app.telemetry import start
from kustom_mcp.book import BookUnavailable
from kustom_mcp.book.database import BookBusy
from kustom_mcp.book.sqlite import DAMAGED
from kustom_mcp.cli.stdout import UNHEARD
from kustom_mcp.settings.settings import ConfigError, Settings
from kustom_mcp.transport.shutdown import end_on_signals

T = TypeVar("T")

NOT_ALL = 1
UNUSABLE = 3
"""The book can be neither read nor written, so nothing was done, or not everything."""
BOOK_TRIES = 3
"""Attempts to use a book that others hold; each time that takes as long as the store is patient."""
TRY_EVERY = 1.0  # seconds
_FLUSH_SECONDS = 1.5  # seconds
INTERRUPTED = "interrupted"
NO_READER = "nobody reads the results any more"


def run_with_app(settings: Settings, telemetry: Mapping[str, str], work: Callable[[App], Awaitable[int]]) -> int:
    """Run work with an app, and return the exit code. ConfigError."""
    if settings.book_days == 0:
        raise ConfigError("KUSTOM_BOOK_DAYS", "It is 0, so there is no order book.")
    app = App.of(settings, telemetry=start(telemetry))
    try:
        return anyio.run(_run, app, work)
    except KeyboardInterrupt:  # where signals cannot be listened to, or before that
        note(f"{INTERRUPTED}; the same command goes on from there")
        return NOT_ALL


async def _run(app: App, work: Callable[[App], Awaitable[int]]) -> int:
    """Run work with an app, its problems put into words here, because a task group around would wrap them."""
    async with app.lifespan():
        try:
            return await work(app)
        except NoReader:
            return UNHEARD
        except BookBusy:
            note("the order book cannot be used (busy): another process holds it; run the same command again")
            return UNUSABLE
        except BookUnavailable as error:
            remedy = ", or delete the folder `book` there to begin a new one" if str(error).startswith(DAMAGED) else ""
            note(f"the order book cannot be used ({error}): look at {app.book.place}{remedy}")
            return UNUSABLE
        except ConfigError as error:
            problem = error
        finally:
            await app.flush_telemetry(_FLUSH_SECONDS)
    raise problem


@asynccontextmanager
async def stoppable(stop: Callable[[str], None]) -> AsyncGenerator[None]:
    """Let the first SIGINT or SIGTERM stop what is inside in good order, and the second end the process."""

    async def in_order() -> None:
        stop(INTERRUPTED)

    problem: Exception | None = None
    async with anyio.create_task_group() as group:
        group.start_soon(end_on_signals, in_order)
        try:
            yield
        except Exception as error:
            problem = error
        group.cancel_scope.cancel()
    if problem is not None:
        raise problem


class NoReader(Exception):
    """The reader of stdout has left, as `head` does; later results are dropped."""


def result(line: str) -> None:
    """Print a line on stdout, flushed, because a program may wait for it. NoReader."""
    try:
        print(line, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise NoReader from None


def stop_without_reader(say: Callable[[str], None], stop: Callable[[str], None]) -> Callable[[str], None]:
    """Wrap `say` so that it calls `stop` instead of raising NoReader."""

    def tell(line: str) -> None:
        try:
            say(line)
        except NoReader:
            stop(NO_READER)

    return tell


def note(sentence: str) -> None:
    """Print a line on stderr."""
    with suppress(BrokenPipeError):
        print(f"kustom-mcp: {sentence}", file=sys.stderr, flush=True)


async def patiently(use: Callable[[], Awaitable[T]]) -> T:
    """Use the book; where others hold it, say so once and try again. BookUnavailable."""
    for tries in range(1, BOOK_TRIES):
        with suppress(BookBusy):
            return await use()
        if tries == 1:
            note("another process holds the order book (busy): waiting for it")
        await anyio.sleep(TRY_EVERY)
    return await use()


def in_memory(app: App) -> None:
    """Print a warning where the book is in memory only."""
    if app.settings.state_path is None and app.store is None:
        note("the sandbox keeps its order book in memory, so it ends with this command; KUSTOM_STATE_DIR keeps it")
