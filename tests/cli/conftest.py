"""The command line, run with exactly the settings that a test gives."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kustom_mcp.cli.parser import run
from tests.cli.desk import Desk
from tests.transport.kustom import Kustom, simulating


@dataclass(frozen=True)
class Ran:
    """Traces of a command: exit code, stdout, stderr."""

    code: int | str | None
    out: str
    err: str

    @property
    def told(self) -> str:
        """Stdout after its first line, which names the account; "" where nothing was said at all."""
        first, _, rest = self.out.partition("\n")
        assert not self.out or re.fullmatch("Environment: (sandbox|(playground|production), merchant .+)", first), (
            self.out
        )
        return rest


Command = Callable[..., Ran]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command: arguments as on a shell, settings as keywords."""
    for name in [name for name in os.environ if name.upper().startswith("KUSTOM_")]:
        monkeypatch.delenv(name)

    def ran(*argv: str, **settings: str) -> Ran:
        with monkeypatch.context() as environment:
            for name, value in settings.items():
                environment.setenv(name, value)
            try:
                code = run(argv)
            except SystemExit as left:
                code = left.code
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return ran


@pytest.fixture(scope="session")
def kustom() -> Iterator[Kustom]:
    """The simulator on a port, in a process of its own."""
    with simulating() as simulator:
        yield simulator


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A computer with an empty home, and a person who says yes."""
    return Desk(tmp_path / "home")
