"""stdout before and after it carries the protocol: prints of a library at import go to stderr, never to the host.

The SDK keeps stray output off the wire while it serves. What is printed before that, or waits in a buffer until the
process ends, is kept off here. Imported first of all, so it imports next to nothing itself.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import cast

_OPTION = "--env-file"
_kept: list[int] = []
"""The real stdout, while descriptor 1 is stderr."""


def serves_stdio(argv: Sequence[str]) -> bool:
    """Whether these arguments ask for MCP over stdio: no command or `serve`, and no option but the settings file."""
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
    """Flush stdout and stderr, so that the error for a reader who has left comes here. BrokenPipeError."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            raise
        except (AttributeError, OSError, ValueError):  # none, closed, or a full disk, of which the interpreter tells
            continue


def is_broken_pipe(error: BaseException) -> bool:
    """Return whether an error means only that stdout or stderr has no reader any more."""
    if isinstance(error, BaseExceptionGroup):
        return cast("BaseExceptionGroup[BaseException]", error).split(BrokenPipeError)[1] is None
    return isinstance(error, BrokenPipeError)


def unheard() -> int:
    """Let the interpreter's last words go nowhere too. The exit code: what shells say where SIGPIPE ends a program."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(nowhere, stream.fileno())
        except (AttributeError, OSError, ValueError):
            continue
    return 141


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
