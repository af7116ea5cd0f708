"""`kustom-mcp serve --http` as a process of its own, on any free port of this machine."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.unhurried import PATIENCE
from tests.transport.kustom import PROGRAM, Playground

_LISTENING = re.compile(r"kustom-mcp: listening on (http://\S+)/mcp\n")


@dataclass
class Served:
    """A running server. `before`: what it said before it listened; `stderr`: what it has said since, at its end."""

    process: subprocess.Popen[str]
    base: str
    before: list[str]
    said: list[str] = field(default_factory=list[str])

    @property
    def url(self) -> str:
        return f"{self.base}/mcp"

    @property
    def stderr(self) -> str:
        return "".join(self.said)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        """Wait for the end; the exit code."""
        self.said.append(self.process.communicate(timeout=PATIENCE)[1])
        return self.process.returncode


@contextmanager
def serving(
    kustom: Playground | None, state: Path, *words: str, program: Sequence[str] = PROGRAM, **settings: str
) -> Generator[Served]:
    """A server over HTTP against the simulator, or the embedded sandbox. It is ended by SIGTERM, and must end well."""
    given = {**(kustom.settings if kustom else {}), "KUSTOM_STATE_DIR": str(state), "KUSTOM_TOOLS": "all", **settings}
    process = subprocess.Popen(
        [*program, "serve", "--http", "--port", "0", *words],
        env={"PATH": "/usr/bin:/bin", **given},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    served = None
    try:
        assert process.stderr is not None
        before = list[str]()
        while not (found := _LISTENING.fullmatch(line := process.stderr.readline())):
            before.append(line)
            assert line, before
        served = Served(process, found[1], before)
        yield served
    finally:
        if process.poll() is None:
            process.terminate()
        if served is not None and not served.said:
            assert (served.ended(), served.stderr) == (0, "")
        process.communicate(timeout=PATIENCE)
