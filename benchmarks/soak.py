"""Many mixed calls with faults, one server or replicas: does it ever tell what is not so, do it twice, or grow?

    python -m benchmarks.soak --calls 10000 --faults 0.05
    python -m benchmarks.soak --replicas 2 --minutes 10 --faults 0.02

Each story has an order of its own, so that what was really done to it can be counted in the simulator's log when a
round is over. Two oracles: what was reported agrees with the truth, and an intent is applied at most once. The figures
of the process are for Linux; elsewhere they are 0. The exit code is 1 when an oracle was violated.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2 as httpx

from benchmarks.replicas import Replicas
from benchmarks.soaking import ROUND, Intent, Server, Story, violations

KEY = "kco_test_api_sandbox"
AT_ONCE = 4
GROWTH = 1.25
"""The memory at the end may be so many times that after the first tenth."""


@dataclass
class Size:
    """What a process holds at a moment."""

    calls: int
    rss_mib: float
    descriptors: int
    threads: int

    def __str__(self) -> str:
        return (
            f"after {self.calls:>6} calls: {self.rss_mib:6.1f} MiB, {self.descriptors} descriptors, "
            f"{self.threads} threads"
        )


def size(pid: int, calls: int) -> Size:
    """From /proc; zeros where there is none."""
    if not Path(f"/proc/{pid}/status").exists():
        return Size(calls, 0, 0, 0)
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = {name: value.split()[0] for name, _, value in (line.partition(":") for line in lines) if value.split()}
    descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return Size(calls, int(status["VmRSS"]) / 1024, descriptors, int(status["Threads"]))


@dataclass
class Run:
    """What happened so far. `found` are violations, in words."""

    server: Server | Replicas
    kustom: httpx.AsyncClient
    chance: random.Random
    faults: float
    outcomes: Counter[str] = field(default_factory=Counter[str])
    applied: int = 0
    intents: int = 0
    found: list[str] = field(default_factory=list[str])
    sizes: list[Size] = field(default_factory=list[Size])

    async def round(self) -> None:
        """Tell some stories at the same time, hold them to the log, and start Kustom afresh."""
        stories = [
            Story(self.server, self.kustom, random.Random(self.chance.random()), self.faults) for _ in range(ROUND)
        ]
        waiting = iter(stories)

        async def tell() -> None:
            for story in waiting:
                await story.tell()

        await asyncio.gather(*(tell() for _ in range(AT_ONCE)))
        log: list[dict[str, Any]] = (await self.kustom.get("/sandbox/requests")).json()
        told: list[Intent] = [intent for story in stories for intent in story.intents]
        for intent in told:
            count = intent.applied(log)
            self.applied += count
            self.found += violations(intent, count)
        self.intents += len(told)
        for story in stories:
            self.outcomes.update(story.outcomes)
        self.sizes.append(size(self.server.pid, self.server.calls))
        (await self.kustom.post("/sandbox/reset")).raise_for_status()


def start_kustom() -> tuple[subprocess.Popen[str], str]:
    """`kustom-mcp simulate` as a process, and its URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "kustom_mcp", "simulate", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    return process, process.stdout.readline().removeprefix("listening on ").strip()


async def soak(given: argparse.Namespace, url: str, state: Path) -> Run:
    """Rounds until there were so many calls, or so many minutes have passed."""
    settings = {
        "KUSTOM_ENVIRONMENT": "playground",
        "KUSTOM_API_URL": url,
        "KUSTOM_USERNAME": "PM10001-demo",
        "KUSTOM_API_KEY": KEY,
        "KUSTOM_TOOLS": "all",
        "KUSTOM_STATE_DIR": str(state),
        "KUSTOM_WRITES_PER_MINUTE": "10000",
        "KUSTOM_TIMEOUT": "5",
        **({"KUSTOM_STORE": given.store} if given.store else {}),
    }
    begin = time.monotonic()
    system = Replicas.started(settings, given.replicas) if given.replicas else Server.started(settings)
    async with (
        httpx.AsyncClient(base_url=url, auth=("demo", KEY), timeout=30, trust_env=False) as kustom,
        system as server,
    ):
        run = Run(server, kustom, random.Random(given.seed), given.faults)
        run.sizes.append(size(server.pid, 0))
        while server.calls < given.calls or time.monotonic() < begin + given.minutes * 60:
            await run.round()
        return run


def report(run: Run, seconds: float, left: int) -> bool:
    """Print what happened; whether all is well."""
    print(f"{run.server.calls} calls in {seconds:.0f} s, {run.intents} intents, {run.applied} applied")
    print("outcomes: " + ", ".join(f"{name} {count}" for name, count in sorted(run.outcomes.items())))
    print(f"intents left open: {left}")
    warm, middle = run.sizes[max(1, len(run.sizes) // 10)], run.sizes[len(run.sizes) // 2]
    for when in (run.sizes[0], warm, middle, run.sizes[-1]):
        print(when)
    end = run.sizes[-1]
    flat = end.rss_mib <= warm.rss_mib * GROWTH and end.threads <= warm.threads + 4
    flat = flat and end.descriptors <= warm.descriptors + 8
    print("flat: " + ("yes" if flat else "NO"))
    print(f"violations: {len(run.found)}")
    for sentence in run.found[:20]:
        print(f"  {sentence}")
    return flat and not run.found


def main() -> int:
    """Soak and report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--faults", type=float, default=0.05, help="part of the calls that meet a fault")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=0, help="go on for at least so long")
    parser.add_argument("--replicas", type=int, default=0, help="so many `serve --http` in turn, instead of stdio")
    parser.add_argument("--store", default="", help="postgresql://... for the replicas; else they share a directory")
    given = parser.parse_args()
    process, url = start_kustom()
    begin = time.monotonic()
    try:
        with tempfile.TemporaryDirectory() as state:
            run = asyncio.run(soak(given, url, Path(state)))
            intents = Path(state) / "intents"
            left = len(list(intents.iterdir())) if intents.exists() else 0
            return 0 if report(run, time.monotonic() - begin, left) else 1
    finally:
        process.terminate()
        process.wait(10)


if __name__ == "__main__":
    sys.exit(main())
