"""Replicas of the server over HTTP, without sessions: every call goes to one of them by chance."""

from __future__ import annotations

import asyncio
import random
import re
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx2 as httpx

from benchmarks.callers import META

PATIENCE = 60  # seconds
_LISTENING = re.compile(rb"listening on (http://\S+)\n")


class Replicas:
    """`calls` counts the calls of all; `pid` is the first one's."""

    def __init__(self, processes: list[asyncio.subprocess.Process], urls: list[str], http: httpx.AsyncClient) -> None:
        self.pid, self.calls = processes[0].pid, 0
        self._urls = urls
        self._http = http
        self._chance = random.Random(1)

    @classmethod
    @asynccontextmanager
    async def started(cls, settings: dict[str, str], count: int) -> AsyncGenerator[Replicas]:
        """So many servers with these settings."""
        env = {**settings, "KUSTOM_HTTP_SESSIONS": "off"}
        async with AsyncExitStack() as stack, httpx.AsyncClient(timeout=PATIENCE, trust_env=False) as http:
            started = [await stack.enter_async_context(_server(env)) for _ in range(count)]
            yield cls([process for process, _ in started], [url for _, url in started], http)

    async def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Call a tool, named without its prefix, on any of them; its structured content."""
        self.calls += 1
        name = f"kustom_{tool}"
        headers = {
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": "2026-07-28",
            "mcp-method": "tools/call",
            "mcp-name": name,
        }
        params = {"name": name, "arguments": arguments, "_meta": META}
        message = {"jsonrpc": "2.0", "id": self.calls, "method": "tools/call", "params": params}
        answer = await self._http.post(self._chance.choice(self._urls), headers=headers, json=message)
        return answer.raise_for_status().json()["result"]["structuredContent"]


@asynccontextmanager
async def _server(env: dict[str, str]) -> AsyncGenerator[tuple[asyncio.subprocess.Process, str]]:
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "kustom_mcp", "serve", "--http", "--port", "0"], env=env, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        while not (found := _LISTENING.search(line := await process.stderr.readline())):
            if not line:
                raise RuntimeError("a replica did not start")
        reading = asyncio.create_task(process.stderr.read())
        yield process, found[1].decode()
        process.terminate()
        await asyncio.wait_for(process.wait(), PATIENCE)
        print((await reading).decode(), end="", file=sys.stderr)
    finally:
        if process.returncode is None:
            process.kill()
