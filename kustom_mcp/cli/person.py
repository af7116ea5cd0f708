"""Questions to the person at the terminal. Where none is there, or none answers (Ctrl-D), the answer is None."""

from __future__ import annotations

import sys


def answer_to(question: str, *, secret: bool = False) -> str | None:
    """Return the line that the person types; a secret one is not shown."""
    if not sys.stdin.isatty():
        return None
    try:
        if secret:
            from getpass import getpass

            return getpass(question)
        return input(question)
    except EOFError:
        print()
        return None


def is_yes(answer: str | None) -> bool:
    """Return whether an answer is y or yes."""
    return (answer or "").strip().lower() in ("y", "yes")


def agrees(question: str) -> bool | None:
    """Return whether the person says yes; None where nobody answers."""
    answer = answer_to(question)
    return None if answer is None else is_yes(answer)
