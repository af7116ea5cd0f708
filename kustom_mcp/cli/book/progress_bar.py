"""The progress of a command on stderr: a bar on a terminal, else a line every ten seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from kustom_mcp.cli.book.runner import note

LINE_EVERY = 10.0  # seconds

Advance = Callable[[int, str], None]
"""Gets how much is done, and the counts in words."""


@contextmanager
def progress(total: int | None, unit: str) -> Generator[Advance]:
    """Show progress towards `total`; None where it is unknown."""
    if sys.stderr.isatty():
        with _bar(total, unit) as advance:
            yield advance
    else:
        yield _lines(total, unit)


def _lines(total: int | None, unit: str) -> Advance:
    shown = time.monotonic()

    def advance(done: int, counts: str) -> None:
        nonlocal shown
        if time.monotonic() - shown >= LINE_EVERY:
            shown = time.monotonic()
            note(f"{done:,}{f' of {total:,}' if total else ''} {unit}: {counts}")

    return advance


@contextmanager
def _bar(total: int | None, unit: str) -> Generator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(f"{unit}: {{task.fields[counts]}}"),
        TimeRemainingColumn(),
        console=Console(stderr=True, highlight=False),
        # What goes to the same terminal stands above the bar; what goes into a file or a pipe stays there.
        redirect_stdout=sys.stdout.isatty(),
        redirect_stderr=True,
    )
    with bar:
        task = bar.add_task("", total=total, counts="")
        yield lambda done, counts: bar.update(task, completed=done, counts=counts)
