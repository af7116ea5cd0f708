"""The server as a process with two pipes and nothing between: bytes in, lines out.

Every line that comes out is held to be one JSON-RPC message, whatever went in.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from tests.support.unhurried import PATIENCE
from tests.transport.kustom import PROGRAM, Playground

Era = Literal["2025-11-25", "2026-07-28"]
ERAS: tuple[Era, ...] = ("2025-11-25", "2026-07-28")

Json = Any
LONGEST = 64 * 1024 * 1024

_CLIENT = {"name": "tests", "version": "1"}
_META: dict[str, Json] = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
    "io.modelcontextprotocol/clientInfo": _CLIENT,
}
HANDSHAKE = [
    {
        "jsonrpc": "2.0",
        "id": "hello",
        "method": "initialize",
        "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": _CLIENT},
    },
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
]


def request(number: Json, method: str, params: Json = None, era: Era = "2025-11-25") -> dict[str, Json]:
    """A request. On 2026-07-28 each carries the version and what the client can do: forms."""
    meta: dict[str, Json] = {"_meta": _META} if era == "2026-07-28" else {}
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": {**(params or {}), **meta}}


def call(number: Json, tool: str, arguments: Json, era: Era = "2025-11-25", **more: Json) -> dict[str, Json]:
    """A `tools/call`; the tool is named without its prefix."""
    return request(number, "tools/call", {"name": f"kustom_{tool}", "arguments": arguments, **more}, era)


def lines(messages: Iterable[Json]) -> bytes:
    """Messages as they go into the pipe."""
    return b"".join(json.dumps(message).encode() + b"\n" for message in messages)


class Pipe:
    """A running server. `answers` has everything that came out so far, by the id of its request; `stderr` is there once
    it has ended."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        out: asyncio.StreamReader,
        listening: asyncio.ReadTransport,
    ) -> None:
        assert process.stdin is not None
        self._process = process
        self._in = process.stdin
        self._out = out
        self._listening = listening
        self.stderr = ""
        self.answers: dict[Json, dict[str, Json]] = {}

    async def put(self, data: bytes) -> None:
        """Bytes as they are."""
        self._in.write(data)
        await self._in.drain()

    async def send(self, *messages: Json) -> None:
        await self.put(lines(messages))

    async def answer(self, number: Json) -> dict[str, Json]:
        """Wait for the answer to a request, whatever else comes first."""
        async with asyncio.timeout(PATIENCE):
            while number not in self.answers:
                line = await self._out.readline()
                assert line, "the server has ended"
                self._keep(line)
        return self.answers[number]

    async def asked(self) -> dict[str, Json]:
        """Wait for a form, whatever else comes first."""
        async with asyncio.timeout(PATIENCE):
            while True:
                line = await self._out.readline()
                assert line, "the server has ended"
                if json.loads(line).get("method") == "elicitation/create":
                    return json.loads(line)
                self._keep(line)

    async def result(self, *messages: Json) -> dict[str, Json]:
        """Send and wait for the last one's structured content."""
        await self.send(*messages)
        answer = await self.answer(messages[-1]["id"])
        return answer["result"]["structuredContent"]

    def end(self, how: signal.Signals | None) -> None:
        """End the server by a signal, or without one by the end of its stdin."""
        if how is None:
            self.close()
        else:
            self.signal(how)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def close(self) -> None:
        """End its stdin, as a host does that goes away."""
        self._in.close()

    def vanish(self) -> None:
        """Close both pipes, as the kernel does for a host that was killed."""
        self._in.close()
        self._listening.close()

    async def wait(self) -> int:
        """Wait for the end without listening; the exit code."""
        async with asyncio.timeout(PATIENCE):
            return await self._process.wait()

    async def ended(self) -> int:
        """Wait for the end; the exit code. What came out meanwhile is in `answers`."""
        async with asyncio.timeout(PATIENCE):
            for line in (await self._out.read()).splitlines():
                self._keep(line)
            return await self._process.wait()

    def _keep(self, line: bytes) -> None:
        message = json.loads(line)
        assert message["jsonrpc"] == "2.0"
        assert "\n" not in line.decode().rstrip("\n")
        self.answers[message.get("id")] = message


async def until(done: Callable[[], bool]) -> None:
    """Wait until something is so."""
    limit = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < limit
        await asyncio.sleep(0.02)


@asynccontextmanager
async def spawned(
    kustom: Playground, state: Path, without: str = "", *, program: Sequence[str] = PROGRAM, **settings: str
) -> AsyncGenerator[Pipe, None]:
    """A server process in an environment that has nothing but the settings. `without`: one that it does not get."""
    env = {**kustom.settings, "KUSTOM_STATE_DIR": str(state), "KUSTOM_TOOLS": "all", **settings}
    env.pop(without, None)
    ours, theirs = os.pipe()
    out = asyncio.StreamReader(limit=LONGEST)
    listening, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(out), os.fdopen(ours, "rb")
    )
    with tempfile.TemporaryFile("w+") as stderr:
        with os.fdopen(theirs, "wb") as stdout:
            process = await asyncio.create_subprocess_exec(
                *program, stdin=asyncio.subprocess.PIPE, stdout=stdout, stderr=stderr, env=env
            )
        pipe = Pipe(process, out, listening)
        try:
            yield pipe
        finally:
            listening.close()
            if process.returncode is None:
                process.kill()
            await process.communicate()
            stderr.seek(0)
            pipe.stderr = stderr.read()
