"""stdout before and after it carries the protocol: prints of a library at import go to stderr, never to the host.

The SDK keeps stray output off the wire while it serves. What is printed before that, or waits in a buffer until the
process ends, is kept off here. Imported first of all, so it imports next to nothing itself.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import cast

UNHEARD = 141
"""The exit code where the reader has left: what shells say where SIGPIPE ends a program."""
UNWRITTEN = 1
_NO_ROOM = frozenset(getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EIO") if hasattr(errno, name))
_OPTION = "--env-file"
_kept: list[int] = []
"""The real stdout, while descriptor 1 is stderr."""


def serves_stdio(argv: Sequence[str]) -> bool:
    """Return whether arguments ask for MCP over stdio: no command or `serve`, and no option but the settings file."""
    words = iter(argv)
    for word in words:
        name, given, _ = word.partition("=")
        if name == _OPTION:
            if not given:
                next(words, None)
        elif word != "serve":
            return False
    return True


def divert() -> None:
    """Point descriptor 1 at stderr, and let SIGINT end the process without a word until somebody listens to it. Best
    effort: descriptors that cannot be moved stay as they are."""
    if sys.platform != "win32" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        real = os.dup(1)
    except OSError:
        return
    if real <= 2:  # stdin or stderr is closed, and a copy must not take its place
        os.close(real)
        return
    _kept.append(real)
    _to_stderr()


def restore() -> None:
    """Give descriptor 1 back to the protocol; text that was printed meanwhile goes to stderr."""
    if _kept:
        _flush()
        real = _kept.pop()
        os.dup2(real, 1)
        os.close(real)


def end() -> None:
    """Send unflushed prints of libraries to stderr after the protocol has ended."""
    _to_stderr()
    _flush()


def flush() -> None:
    """Flush stdout and stderr, so that the error for a reader who has left or a full disk comes here. OSError."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, ValueError):  # none, or closed
            continue


def is_broken_pipe(error: BaseException) -> bool:
    """Return whether an error means only that stdout or stderr has no reader any more."""
    return _is_all(error, lambda one: isinstance(one, BrokenPipeError))


def is_unwritten(error: BaseException) -> bool:
    """Return whether an error means only that stdout leads into a file that takes no more, such as on a full disk.

    An error of another file has its name, or was put into words where that file is written.
    """
    return _is_all(error, lambda one: isinstance(one, OSError) and one.filename is None and one.errno in _NO_ROOM)


def unheard() -> int:
    """Discard what the interpreter would still print, and return the exit code."""
    _discard_rest()
    return UNHEARD


def unwritten(error: BaseException) -> int:
    """Report that the output could not be written, and return the exit code."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    reason = error.strerror if isinstance(error, OSError) else None
    with suppress(AttributeError, OSError, ValueError):
        print(f"kustom-mcp: The output cannot be written ({reason}).", file=sys.stderr, flush=True)
    _discard_rest()
    return UNWRITTEN


def _is_all(error: BaseException, kind: Callable[[BaseException], bool]) -> bool:
    """Return whether an error, or all that is in a group of them, is of a kind."""
    if isinstance(error, BaseExceptionGroup):
        return all(_is_all(one, kind) for one in cast("BaseExceptionGroup[BaseException]", error).exceptions)
    return kind(error)


def _discard_rest() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, ValueError):
            continue
        except OSError:
            os.dup2(nowhere, stream.fileno())


def _to_stderr() -> None:
    try:
        os.dup2(2, 1)
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)


def _flush() -> None:
    try:
        sys.stdout.flush()
    except (AttributeError, OSError, ValueError):  # none, nobody who reads it, or closed
        return
