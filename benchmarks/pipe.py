"""The smallest client: raw JSON-RPC lines over the pipes of a process, so that no client's work is measured.

It speaks the handshake revision 2025-11-25, which today's hosts speak. It declares nothing, so a server that wants to
ask a person gives codes instead.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ERA = "2025-11-25"
ENVELOPE = 60
"""Bytes at the start of an answer that hold `jsonrpc`, `id`, and whether it is a `result`."""
HELLO = {"protocolVersion": ERA, "capabilities": {}, "clientInfo": {"name": "benchmark", "version": "1"}}


def message(number: int, method: str, params: dict[str, Any]) -> bytes:
    """A request as the line that goes over the pipe."""
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode() + b"\n"


class Pipe:
    """A server process and the conversation with it. `listed_ms`: from its start to the reply to `tools/list`."""

    def __init__(self, command: Sequence[str], env: dict[str, str]) -> None:
        self._number = 1
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        begin = time.perf_counter()
        self._process = subprocess.Popen(
            command,
            env=env,
            cwd=tempfile.gettempdir(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self._ask(message(0, "initialize", HELLO))
        self._in.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
        self.list_reply = self._ask(message(1, "tools/list", {}))
        self.listed_ms = (time.perf_counter() - begin) * 1000
        self.start_ms = self.processor_ms()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._in.close()
        self._out.read()
        self._process.wait(10)
        self._errors.close()

    def tools(self) -> list[dict[str, Any]]:
        """What was listed."""
        return json.loads(self.list_reply)["result"]["tools"]

    def line(self, tool: str, arguments: dict[str, Any]) -> bytes:
        """The next call of a tool, ready to be sent."""
        self._number += 1
        return message(self._number, "tools/call", {"name": tool, "arguments": arguments})

    def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Call a tool and read its answer."""
        return json.loads(self._ask(self.line(tool, arguments)))["result"]

    def timed(self, tool: str, arguments: dict[str, Any]) -> tuple[float, dict[str, Any]]:
        """Call a tool; the milliseconds that it took, and its answer."""
        line = self.line(tool, arguments)
        begin = time.perf_counter()
        answer = self._ask(line)
        return (time.perf_counter() - begin) * 1000, json.loads(answer)["result"]

    def reply_bytes(self, tool: str, arguments: dict[str, Any]) -> int:
        """The size of the line that answers a call."""
        return len(self._ask(self.line(tool, arguments)))

    def latencies(self, lines: Iterable[bytes]) -> list[float]:
        """Milliseconds of each call, one after the other."""
        taken: list[float] = []
        for line in lines:
            begin = time.perf_counter()
            self._ask(line)
            taken.append((time.perf_counter() - begin) * 1000)
        return taken

    def seconds(self, lines: Sequence[bytes], at_once: int) -> float:
        """How long all these calls take with so many in flight."""
        begin, sent = time.perf_counter(), 0
        for answered in range(len(lines)):
            while sent < len(lines) and sent - answered < at_once:
                self._in.write(lines[sent])
                sent += 1
            self._in.flush()
            self._answer()
        return time.perf_counter() - begin

    def peak_mib(self) -> float:
        """The most memory that the process has held so far."""
        return _status(self._process.pid, "VmHWM") / 1024

    def processor_ms(self) -> float:
        """Processor time of all threads so far. It suffers less from neighbours than time on the clock."""
        threads = Path(f"/proc/{self._process.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e6

    def _ask(self, line: bytes) -> bytes:
        self._in.write(line)
        self._in.flush()
        return self._answer()

    def _answer(self) -> bytes:
        """The next line that answers a request; notifications are passed over. An error is an error here too."""
        while line := self._out.readline():
            if b'"id":' in line[:ENVELOPE]:
                if b'"result":' not in line[:ENVELOPE] or b'"isError":true' in line:
                    raise RuntimeError(f"The server answered {line[:500].decode()}")
                return line
        self._errors.seek(0)
        raise RuntimeError(f"The server has ended: {self._errors.read().decode(errors='replace')[-2000:]}")


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    return 0
