"""The systems that are compared, each as a command, its environment variables and the name of its order tool."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import httpx2 as httpx

from benchmarks import environments
from benchmarks.description import description
from benchmarks.environments import Environment
from benchmarks.pipe import Pipe
from benchmarks.upstream import ROOT, path_of

T = TypeVar("T")

OURS = "kustom-mcp"
BARE = "bare SDK, one tool"
BARE_BOTH = "bare SDK, one tool, structured too"
AUTOMATIC = "FastMCP from OpenAPI"
ALONE = "the HTTP call alone"


@dataclass(frozen=True)
class System:
    """How to start a server, and which of its tools reads an order."""

    name: str
    environment: Environment
    command: list[str]
    tool: str
    refunds: str | None = None
    env: dict[str, str] = field(default_factory=dict[str, str])

    def start(self) -> Pipe:
        """Start it; ready when it has listed its tools."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "SYSTEMROOT") if name in os.environ}
        return Pipe(self.command, kept | self.env)


def ours(environment: Environment, url: str, state: Path) -> System:
    """This server, pointed at the upstream; a state directory of its own."""
    settings = {
        "KUSTOM_ENVIRONMENT": "playground",
        "KUSTOM_API_URL": url,
        "KUSTOM_USERNAME": "user",
        "KUSTOM_API_KEY": "kco_test_api_sandbox",
        "KUSTOM_STATE_DIR": str(state),
        "KUSTOM_WRITES_PER_MINUTE": "10000",
    }
    command = [environment.python, "-m", "kustom_mcp"]
    return System(OURS, environment, command, "kustom_get_order", "kustom_refund_order", settings)


def all_systems(cache: Path, url: str, state: Path) -> list[System]:
    """Every server; the environments are made where they are missing."""
    described = cache / "openapi.json"
    cache.mkdir(parents=True, exist_ok=True)
    described.write_text(json.dumps(description()), encoding="utf-8")
    bare, automatic = environments.bare(cache), environments.automatic(cache)
    here = ROOT / "benchmarks"
    return [
        System(BARE, bare, [bare.python, str(here / "one_tool.py"), url], "get_order"),
        System(BARE_BOTH, bare, [bare.python, str(here / "one_tool.py"), url, "both"], "get_order"),
        ours(environments.ours(cache), url, state),
        System(
            AUTOMATIC,
            automatic,
            [automatic.python, str(here / "automatic.py"), url, str(described)],
            "getOrder",
            "refundOrder",
        ),
    ]


class Alone:
    """The same HTTP call without any server: what no server that uses this HTTP client can be faster than."""

    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        self._client = httpx.AsyncClient(base_url=url, auth=("user", "kco_test_api_sandbox"), trust_env=False)

    def close(self) -> None:
        self._run(self._client.aclose())
        self._runner.close()

    def latencies(self, ids: list[str]) -> list[float]:
        """Milliseconds of each read, one after the other, JSON parsed."""
        return self._run(self._one_by_one(ids))

    def seconds(self, ids: list[str], at_once: int) -> float:
        """How long all these reads take with so many in flight."""
        return self._run(self._together(ids, at_once))

    def _run(self, work: Awaitable[T]) -> T:
        async def waited() -> T:
            return await work

        return self._runner.run(waited())

    async def _one_by_one(self, ids: list[str]) -> list[float]:
        taken: list[float] = []
        for asked in ids:
            begin = time.perf_counter()
            await self._read(asked)
            taken.append((time.perf_counter() - begin) * 1000)
        return taken

    async def _together(self, ids: list[str], at_once: int) -> float:
        left = iter(ids)

        async def worker() -> None:
            for asked in left:
                await self._read(asked)

        begin = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(at_once)))
        return time.perf_counter() - begin

    async def _read(self, asked: str) -> None:
        response = await self._client.get(path_of(asked))
        response.raise_for_status()
        response.json()
