"""Servers in processes of their own, spawned over stdio as a host does it, against one scripted upstream."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from tests.exams.scripted_upstream import Upstream
from tests.exams.story import Means, settings_for
from tests.support.advice import Listed
from tests.support.unhurried import PATIENCE


@dataclass
class Process:
    """A server process. `state` is its state directory."""

    client: Client
    state: Path
    _before: frozenset[int]

    def __post_init__(self) -> None:
        self._listed = Listed(self._tools)

    async def call(self, tool: str, arguments: Mapping[str, Any], /, **more: Any) -> dict[str, Any]:
        """Call a tool, named without its prefix; its structured content."""
        with anyio.fail_after(PATIENCE):
            answer = await self.client.call_tool(f"kustom_{tool}", {**arguments, **more})
        content: Any = answer.structured_content
        await self._listed.hold("", f"kustom_{tool}", content)
        return content

    async def _tools(self, _: str) -> list[dict[str, Any]]:
        return [tool.model_dump(by_alias=True) for tool in (await self.client.list_tools()).tools]

    def kill(self) -> None:
        """End it without a word to it. It is found by the audit file that it has begun."""
        (pid,) = writers(self.state) - self._before
        os.kill(pid, signal.SIGKILL)


def writers(state: Path) -> frozenset[int]:
    """The processes that have written an audit file here; names are `audit-<date>-<pid>-<random>.jsonl`."""
    return frozenset(int(path.stem.rsplit("-", 2)[1]) for path in (state / "audit").glob("audit-*.jsonl"))


@asynccontextmanager
async def spawned(upstream: Upstream, state: Path, means: Means = "code", **settings: str) -> AsyncGenerator[Process]:
    """A server process, until it is left or killed."""
    before = writers(state)
    env = {**settings_for(upstream, state, means), "KUSTOM_TIMEOUT": "600", **settings}
    program = StdioServerParameters(command=sys.executable, args=["-m", "kustom_mcp"], env=env)
    async with Client(stdio_client(program), mode="auto") as client:
        yield Process(client, state, before)
