"""This server beside what would be used instead, on the machine that runs it.

    python -m benchmarks.compare [--rounds N] [--json FILE] [--cache FOLDER]

Every system in turn, round by round and block by block within a round, so that whatever else the machine does hits all
of them; the table has medians with quartiles, and ours against one hand-written tool. All ask the same HTTP upstream,
in a process of its own, and are asked over stdio in the handshake revision 2025-11-25 by a client that costs nothing.
Only the ratios mean something elsewhere: milliseconds belong to one machine on one day.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks import upstream
from benchmarks.figures import Figures, percentile, table
from benchmarks.orders import UNIT, order_id
from benchmarks.pipe import ERA, Pipe
from benchmarks.surface import SEEN, size
from benchmarks.systems import ALONE, AUTOMATIC, BARE, OURS, Alone, System, all_systems

WARM_UP, BLOCKS, ONE_BY_ONE, TOGETHER, REFUNDS, MANY = 60, 6, 60, 128, 4, 100
COLD, START = "cold start to tools/list, ms", "cold start, processor ms"
P50, P99, PROCESSOR = "one order, p50, ms", "one order, p99, ms", "one order, processor ms"
RATE, ORDERS = "16 in flight, calls/s", "100 orders, ms"
READING, MEMORY = "peak memory, reading, MiB", "peak memory, after writes, MiB"
REFUND, REPLY = "refund, from reading to reading, ms", "reply with an order of five lines, bytes"
TOOLS, SEEN_BYTES = "tools", "what a model sees of the tools, bytes"
LIST_BYTES = "the whole tools/list reply, bytes"
NOT_ALIKE = frozenset({TOOLS, SEEN_BYTES, LIST_BYTES})
"""What a server with one tool is no measure for."""
FRESH = count(1)


def main() -> None:
    """Measure and print a table; with --json everything else too."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds, default 7")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure to this file")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(tempfile.gettempdir()) / "kustom-mcp-benchmarks",
        help="folder for the environments of the systems, kept for the next time",
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as state, upstream.running() as url:
        systems = all_systems(given.cache.resolve(), url, Path(state))
        figures = measure(systems, url, given.rounds)
    names = [ALONE, *(system.name for system in systems)]
    versions = {system.name: system.environment.versions for system in systems}
    print(f"{given.rounds} rounds, protocol {ERA}, Python {platform.python_version()}, {platform.system()}")
    print(f"mcp {versions[OURS]['mcp']}, fastmcp {versions[AUTOMATIC]['fastmcp']}; median (quartiles)\n")
    rows = figures.rows(names, BARE, OURS, NOT_ALIKE)
    print(table(["", *names, "ours / bare SDK"], rows))
    if given.json:
        found = {"rounds": given.rounds, "protocol": ERA, "figures": figures.as_json(), "versions": versions}
        given.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


def measure(systems: list[System], url: str, rounds: int) -> Figures:
    """All rounds. The first one fills file caches and is not counted."""
    figures = Figures()
    for system in systems:
        figures.add("installed, MiB", system.name, round(system.environment.mib, 1))
        figures.add("installed packages", system.name, system.environment.packages)
    alone = Alone(url)
    for number in range(rounds + 1):
        play(systems[:: 1 if number % 2 else -1], alone, figures if number else Figures())
    alone.close()
    return figures


def play(systems: list[System], alone: Alone, figures: Figures) -> None:
    """One round: start all, then measure them in blocks that take turns."""
    with ExitStack() as stack:
        pipes = [(system, stack.enter_context(system.start())) for system in systems]
        for system, pipe in pipes:
            start(system, pipe, figures)
        alone.latencies(ids(WARM_UP))
        taken: dict[str, list[float]] = {}
        for _ in range(BLOCKS):
            taken.setdefault(ALONE, []).extend(alone.latencies(ids(ONE_BY_ONE)))
            figures.add(RATE, ALONE, TOGETHER / alone.seconds(ids(TOGETHER), 16))
            for system, pipe in pipes:
                used = pipe.processor_ms()
                taken.setdefault(system.name, []).extend(pipe.latencies(reads(system, pipe, ONE_BY_ONE)))
                figures.add(PROCESSOR, system.name, (pipe.processor_ms() - used) / ONE_BY_ONE)
                figures.add(RATE, system.name, TOGETHER / pipe.seconds(reads(system, pipe, TOGETHER), 16))
        for name, values in taken.items():
            figures.add(P50, name, percentile(values, 0.5))
            figures.add(P99, name, percentile(values, 0.99))
        figures.add(ORDERS, ALONE, alone.seconds(ids(MANY), 8) * 1000)
        for system, pipe in pipes:
            figures.add(ORDERS, system.name, many(system, pipe))
            figures.add(READING, system.name, pipe.peak_mib())
            for _ in range(REFUNDS if system.refunds else 0):
                figures.add(REFUND, system.name, refund(system, pipe))
            if system.refunds:
                figures.add(MEMORY, system.name, pipe.peak_mib())


def start(system: System, pipe: Pipe, figures: Figures) -> None:
    """What is known once the tools are listed; then the first calls, which fill caches."""
    figures.add(COLD, system.name, pipe.listed_ms)
    figures.add(START, system.name, pipe.start_ms)
    tools = pipe.tools()
    figures.add(TOOLS, system.name, len(tools))
    figures.add(SEEN_BYTES, system.name, sum(map(seen, tools)))
    figures.add(LIST_BYTES, system.name, len(pipe.list_reply))
    figures.add(REPLY, system.name, pipe.reply_bytes(system.tool, {"order_id": order_id(5)}))
    pipe.latencies(reads(system, pipe, WARM_UP))


def many(system: System, pipe: Pipe) -> float:
    """Milliseconds for 100 orders: one call where there is a tool for it, else as many calls, eight in flight."""
    if system.name == OURS:
        return pipe.latencies([pipe.line("kustom_get_orders", {"order_ids": ids(MANY)})])[0]
    return pipe.seconds(reads(system, pipe, MANY), 8) * 1000


def refund(system: System, pipe: Pipe) -> float:
    """Milliseconds of a refund: read, preview, confirm, send, read. Without a gate: read, send, read."""
    asked = order_id(5, next(FRESH), captured=True)
    by_id: dict[str, Any] = {"order_id": asked}
    arguments = by_id | {"refunded_amount": UNIT}
    assert system.refunds is not None
    if system.name != OURS:
        calls = [(system.tool, by_id), (system.refunds, arguments), (system.tool, by_id)]
        return sum(sum(pipe.latencies([pipe.line(*each)])) for each in calls)
    taken = pipe.latencies([pipe.line(system.tool, by_id)])
    taken += pipe.latencies([pipe.line(system.refunds, arguments)])
    code = pipe.call(system.refunds, arguments)["structuredContent"]["confirm"]["code"]
    taken += pipe.latencies([pipe.line(system.refunds, arguments | {"confirm": code})])
    taken += pipe.latencies([pipe.line(system.tool, by_id)])
    after = pipe.call(system.tool, by_id)["structuredContent"]["order"]
    if after["refunded_amount"] != UNIT:
        raise RuntimeError("The refund was not made exactly once.")
    return sum(taken)


def ids(number: int) -> list[str]:
    """So many different orders of five lines."""
    return [order_id(5, each) for each in range(number)]


def reads(system: System, pipe: Pipe, number: int) -> list[bytes]:
    return [pipe.line(system.tool, {"order_id": asked}) for asked in ids(number)]


def seen(tool: dict[str, Any]) -> int:
    """Bytes that a model sees of a tool."""
    return size({name: tool[name] for name in SEEN if name in tool})


if __name__ == "__main__":
    main()
