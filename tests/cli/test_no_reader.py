"""What a command leaves when whoever read its output has gone, as `kustom-mcp check | head -1` does: nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.unhurried import PATIENCE
from tests.transport.kustom import PROGRAM

COMMANDS = (
    "check",
    "tools",
    "tools --json",
    "audit",
    "demo",
    "book status",
    "simulate --port 0",
    "install cursor --yes",
    "--help",
    "install --help",
    "--version",
)
SOME_END_BY_THEMSELVES = {"demo": 0, "book status": 1}


def left(words: list[str], home: Path, *, both: bool) -> tuple[int, str]:
    """Exit code and stderr of a command on whose stdout, or on both, nobody has ever listened."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as nobody:
        ran = subprocess.run(
            [*PROGRAM, *words],
            env={"PATH": "/usr/bin:/bin", "HOME": str(home), "KUSTOM_STATE_DIR": str(home / "state")},
            stdin=subprocess.DEVNULL,
            stdout=nobody,
            stderr=nobody if both else subprocess.PIPE,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
    return ran.returncode, ran.stderr or ""


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_that_nobody_reads_ends_without_a_word(words: str, tmp_path: Path) -> None:
    for both in (False, True):
        code, said = left(words.split(), tmp_path, both=both)
        assert (said, code) == ("", SOME_END_BY_THEMSELVES.get(words, 141))
