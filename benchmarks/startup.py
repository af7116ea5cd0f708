"""Cold start over stdio: from the start of the process to the reply to `tools/list`.

Ours and a bare server of the SDK, in turn, round by round, so that whatever else the machine does hits both. Only the
ratio means something elsewhere: milliseconds belong to one machine on one day.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SYSTEMS = {
    "bare SDK server, one tool": [sys.executable, "-m", "benchmarks.bare"],
    "kustom-mcp, sandbox, 16 tools": [sys.executable, "-m", "kustom_mcp"],
}
CLIENT = {"name": "benchmark", "version": "1"}
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": CLIENT,
}
HELLO: dict[str, list[tuple[str, dict[str, Any] | None]]] = {
    "2025-11-25": [
        ("initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": CLIENT}),
        ("notifications/initialized", None),
        ("tools/list", {}),
    ],
    "2026-07-28": [("server/discover", {"_meta": META}), ("tools/list", {"_meta": META})],
}


@dataclass
class Times:
    """What one system took, milliseconds: to the first answer, to the list of tools; and of the processors, all in all.

    Processor time suffers less from neighbours than time on the clock. Where the platform does not tell, it is 0.
    """

    first: list[float] = field(default_factory=list[float])
    listed: list[float] = field(default_factory=list[float])
    processor: list[float] = field(default_factory=list[float])

    def figures(self) -> dict[str, float]:
        low, middle, high = statistics.quantiles(self.listed, n=4)
        figures = {
            "first answer": statistics.median(self.first),
            "tools/list": middle,
            "lower quartile": low,
            "upper quartile": high,
            "least": min(self.listed),
            "processor": statistics.median(self.processor),
        }
        return {name: round(value, 1) for name, value in figures.items()}


def start(command: list[str], era: str, settings: Mapping[str, str] | None = None) -> tuple[float, float, float]:
    """Start once; milliseconds to the first answer, to the list of tools, and of processor time until the end."""
    used = processor_time()
    env = {name: os.environ[name] for name in ("PATH", "HOME", "SYSTEMROOT") if name in os.environ}
    env |= settings or {}
    begin = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdin is not None
    assert process.stdout is not None
    taken: list[float] = []
    for number, (method, params) in enumerate(HELLO[era]):
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
        if params is not None:
            message |= {"id": number, "params": params}
        process.stdin.write(json.dumps(message).encode() + b"\n")
        process.stdin.flush()
        if params is not None:
            answer = json.loads(process.stdout.readline())
            taken.append((time.perf_counter() - begin) * 1000)
            assert "result" in answer, answer
    process.stdin.close()
    process.stdout.read()
    process.wait()
    return taken[0], taken[-1], processor_time() - used


def processor_time() -> float:
    """Milliseconds that all processes started so far have computed."""
    spent = os.times()
    return (spent.children_user + spent.children_system) * 1000


def measure(rounds: int, era: str) -> dict[str, Times]:
    """Every system once a round, in alternating order; a round before the first one warms the file cache."""
    times = {name: Times() for name in SYSTEMS}
    for number in range(rounds + 1):
        for name, command in list(SYSTEMS.items())[:: 1 if number % 2 else -1]:
            first, listed, processor = start(command, era)
            if number:
                times[name].first.append(first)
                times[name].listed.append(listed)
                times[name].processor.append(processor)
    return times


def main() -> None:
    """Measure and print: a table, or JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__)
    parser.add_argument("--rounds", type=int, default=21, help="starts of each system, at least 2, default 21")
    parser.add_argument("--era", choices=sorted(HELLO), default="2025-11-25", help="protocol revision")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    times = measure(given.rounds, given.era)
    bare, ours = times.values()
    figures = {name: each.figures() for name, each in times.items()}
    ratios = {
        "median": statistics.median(ours.listed) / statistics.median(bare.listed),
        "least": min(ours.listed) / min(bare.listed),
        "processor": statistics.median(ours.processor) / (statistics.median(bare.processor) or 1),
    }
    ratios = {name: round(ratio, 3) for name, ratio in ratios.items()}
    if given.json:
        print(json.dumps({"rounds": given.rounds, "era": given.era, "ms": figures, "ratios": ratios}))
        return
    columns = list(bare.figures())
    print(f"{given.rounds} rounds, {given.era}, milliseconds")
    print(f"{'':32}" + "".join(f"{column:>16}" for column in columns))
    for name, row in figures.items():
        print(f"{name:32}" + "".join(f"{row[column]:>16.1f}" for column in columns))
    print("ratio: " + ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items()))


if __name__ == "__main__":
    main()
