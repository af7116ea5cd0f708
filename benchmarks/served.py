"""Served over HTTP to many: ours, a hand-written tool on the bare SDK, and FastMCP's automatic server, side by side.

    python -m benchmarks.served --rounds 7 --json figures.json --cache FOLDER

Every round asks each system in turn, in changing order, for orders by 1, 16 and 64 concurrent callers, in the stateless
protocol of 2026-07-28. Behind all of them is the same `kustom-mcp simulate`, or with `--upstream minimal` the least
upstream that answers, so that the upstream is less of what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import callers, environments, upstream
from benchmarks.description import description
from benchmarks.figures import Figures, percentile, table
from benchmarks.soak import start_kustom
from benchmarks.systems import AUTOMATIC, BARE_BOTH, OURS
from benchmarks.upstream import ROOT
from kustom_mcp.simulator.demo_orders import demo_orders

AT_ONCE = (1, 16, 64)
CALLS = {1: 60, 16: 192, 64: 320}
PATIENCE = 30  # seconds


@dataclass
class Running:
    """A server that is up, and the requests that read orders from it."""

    name: str
    port: int
    tool: str

    def requests(self, ids: list[str], count: int) -> list[bytes]:
        host = f"127.0.0.1:{self.port}"
        made = [callers.request(host, self.tool, {"order_id": order_id}) for order_id in ids]
        return [made[number % len(made)] for number in range(count)]


@contextmanager
def started(name: str, tool: str, command: list[str], env: dict[str, str], port: int) -> Generator[Running]:
    """A server process on this port, once it answers."""
    kept = {word: os.environ[word] for word in ("PATH", "HOME", "SYSTEMROOT") if word in os.environ}
    process = subprocess.Popen(command, env=kept | env, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + PATIENCE
        while socket.socket().connect_ex(("127.0.0.1", port)):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{name} does not listen")
            time.sleep(0.1)
        yield Running(name, port, tool)
    finally:
        process.terminate()
        process.wait(PATIENCE)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def simulated() -> Generator[tuple[str, list[str]]]:
    """The simulator's URL, and the ids of orders in it."""
    process, url = start_kustom()
    try:
        yield url, [seed.order_id for seed in demo_orders() if seed.name == "authorized-sek"]
    finally:
        process.terminate()
        process.wait(PATIENCE)


@contextmanager
def minimal() -> Generator[tuple[str, list[str]]]:
    """The URL of the least upstream, and an order in it."""
    with upstream.running() as url:
        yield url, [f"00000005-0000-4000-8000-{number:012d}" for number in range(20)]


@contextmanager
def all_systems(cache: Path, url: str, state: Path) -> Generator[list[Running]]:
    """Every server, up at the same time; only one is asked at a time."""
    cache.mkdir(parents=True, exist_ok=True)
    described = cache / "openapi.json"
    described.write_text(json.dumps(description()), encoding="utf-8")
    ours, bare, automatic = environments.ours(cache), environments.bare(cache), environments.automatic(cache)
    settings = {
        "KUSTOM_ENVIRONMENT": "playground",
        "KUSTOM_API_URL": url,
        "KUSTOM_USERNAME": "PM10001-demo",
        "KUSTOM_API_KEY": "kco_test_api_sandbox",
        "KUSTOM_STATE_DIR": str(state),
    }
    here = ROOT / "benchmarks"
    with ExitStack() as stack:
        ports = [free_port() for _ in range(3)]
        serve = [ours.python, "-m", "kustom_mcp", "serve", "--http", "--port", str(ports[0])]
        hand = [bare.python, str(here / "one_tool.py"), url, str(ports[1])]
        made = [automatic.python, str(here / "automatic.py"), url, str(described), str(ports[2])]
        yield [
            stack.enter_context(started(OURS, "kustom_get_order", serve, settings, ports[0])),
            stack.enter_context(started(BARE_BOTH, "get_order", hand, {}, ports[1])),
            stack.enter_context(started(AUTOMATIC, "getOrder", made, {}, ports[2])),
        ]


def measure(systems: list[Running], ids: list[str], rounds: int) -> Figures:
    """Rounds, after one that only warms up."""
    figures = Figures()
    for number in range(rounds + 1):
        order = systems if number % 2 else systems[::-1]
        for at_once in AT_ONCE:
            for system in order:
                taken = asyncio.run(callers.run(system.port, system.requests(ids, CALLS[at_once]), at_once))
                if number:
                    who = f"{at_once} caller{'s' if at_once > 1 else ''}"
                    figures.add(f"{who}, calls/s", system.name, len(taken.calls) / taken.seconds)
                    figures.add(f"{who}, p50, ms", system.name, percentile(taken.calls, 0.5))
                    figures.add(f"{who}, p99, ms", system.name, percentile(taken.calls, 0.99))
        print(f"round {number} of {rounds}", file=sys.stderr, flush=True)
    return figures


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.served", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--upstream", choices=["simulator", "minimal"], default="simulator")
    parser.add_argument("--only", nargs="*", default=None, metavar="NAME", help="systems whose names begin like this")
    parser.add_argument("--json", type=Path, default=None, help="write all figures into this file as well")
    parser.add_argument("--cache", type=Path, required=True, help="folder for the environments of the systems")
    given = parser.parse_args()
    behind = simulated() if given.upstream == "simulator" else minimal()
    with (
        tempfile.TemporaryDirectory() as state,
        behind as (url, ids),
        all_systems(given.cache.resolve(), url, Path(state)) as systems,
    ):
        asked = [each for each in systems if not given.only or each.name.startswith(tuple(given.only))]
        figures = measure(asked, ids, given.rounds)
    names = [BARE_BOTH, OURS, AUTOMATIC]
    rows = figures.rows(names, BARE_BOTH, OURS, frozenset())
    for row in rows:
        mine, other = figures.median(row[0], OURS), figures.median(row[0], AUTOMATIC)
        row.append(f"{mine / other:.2f}" if mine and other else "")
    print(table(["", *names, "ours / bare SDK", "ours / FastMCP"], rows))
    if given.json:
        given.json.write_text(json.dumps(figures.as_json(), indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
