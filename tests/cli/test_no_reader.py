"""The end of a command whose output goes nowhere: its reader has left, as `head` does, or the disk is full."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import pytest

from tests.support.unhurried import PATIENCE
from tests.transport.kustom import PROGRAM

COMMANDS = (
    "check",
    "tools",
    "tools --json",
    "audit",
    "audit export",
    "demo",
    "book status",
    "simulate --port 0",
    "install cursor --yes",
    "--help",
    "install --help",
    "--version",
)
SAMPLE = ("check", "tools", "--version")
"""The commands of the usual run."""
SOME_END_BY_THEMSELVES = {"demo": 0}
FULL = Path("/dev/full")


def ran(
    words: Sequence[str], home: Path, stdout: IO[bytes], *, both: bool = False, unbuffered: str = ""
) -> tuple[int, str]:
    """Exit code and stderr of a command that prints into `stdout`, `both` with stderr."""
    ended = subprocess.run(
        [*PROGRAM, *words],
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(home),
            "KUSTOM_STATE_DIR": str(home / "state"),
            "KUSTOM_ENVIRONMENT": "sandbox",
            "PYTHONUNBUFFERED": unbuffered,
        },
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stdout if both else subprocess.PIPE,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    return ended.returncode, ended.stderr or ""


@pytest.mark.parametrize(
    "words", [pytest.param(each, marks=[] if each in SAMPLE else pytest.mark.exam) for each in COMMANDS]
)
def test_a_command_that_nobody_reads_ends_without_a_word(words: str, tmp_path: Path) -> None:
    for both in (False, True):
        reading, writing = os.pipe()
        os.close(reading)
        with open(writing, "wb") as nobody:
            code, said = ran(words.split(), tmp_path, nobody, both=both)
        assert code == SOME_END_BY_THEMSELVES.get(words, 141)
        # An export says on stderr whose journal it is: stdout is for the rows alone.
        assert re.fullmatch("Environment: .*\n" if (words, both) == ("audit export", False) else "", said, re.DOTALL)


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("buffered", [pytest.param(True, marks=pytest.mark.exam), False])
def test_a_command_whose_output_finds_no_room_says_so_in_one_line(buffered: bool, tmp_path: Path) -> None:
    unbuffered = "" if buffered else "1"
    for words in COMMANDS if buffered else ("check", "tools", "demo", "simulate --port 0"):
        with FULL.open("wb") as full:
            code, said = ran(words.split(), tmp_path, full, unbuffered=unbuffered)
        assert (words, code) == (words, 1)
        assert said.endswith("kustom-mcp: The output cannot be written (No space left on device).\n")
        assert "Traceback" not in said
