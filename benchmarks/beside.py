"""A confirmed refund and the reading of an order, as the tree is now beside an earlier commit.

    uv run python -m benchmarks.beside REVISION [--rounds N] [--cache FOLDER] [--json]

Both servers run over stdio, each with a state directory of its own, and ask the same minimal upstream. They take turns
round by round, and within a round refund by refund, so that whatever else the machine does hits both; the order of the
two changes with each round, and the first round only warms. A confirmed refund is the call with the code; its preview
is measured apart. Only the ratios mean something elsewhere. Where `strace` is installed, what one confirmed refund
waits for the disk is counted as well: calls of fsync and fdatasync.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import environments, upstream
from benchmarks.figures import Figures, table
from benchmarks.orders import UNIT, order_id
from benchmarks.pipe import Pipe
from benchmarks.systems import System, ours

NOW = "now"
READS, REFUNDS, TRACED = 20, 10, 9
READ, READ_PROCESSOR = "reading an order, ms", "reading an order, processor ms"
PREVIEW, CONFIRMED = "a preview of a refund, ms", "a confirmed refund, ms"
PROCESSOR = "preview and confirmed refund, processor ms"
FRESH = count(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revision", help="the commit to compare with")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "kustom-mcp-benchmarks")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cache = options.cache.resolve()
    made = {options.revision: environments.earlier(cache, options.revision), NOW: environments.ours(cache)}
    with tempfile.TemporaryDirectory() as state, upstream.running() as url:
        systems = [replace(ours(one, url, Path(state) / name), name=name) for name, one in made.items()]
        began = os.getloadavg()[0]
        figures = measure(systems, options.rounds)
        ended = os.getloadavg()[0]
        waits = {system.name: waits_for_disk(system) for system in systems} if shutil.which("strace") else {}
    found = {"load": [began, ended], "rounds": options.rounds, "figures": figures.as_json(), "waits for disk": waits}
    if options.json:
        print(json.dumps(found, indent=1))
        return
    print(f"{options.rounds} rounds, load {began:.1f} to {ended:.1f}; median (quartiles)\n")
    rows = figures.rows(list(made), options.revision, NOW, frozenset())
    if waits:
        rows.append(["waits for the disk, one confirmed refund", *(str(waits[name]) for name in made), ""])
    print(table(["", *made, f"now / {options.revision}"], rows))


def measure(systems: list[System], rounds: int) -> Figures:
    """All rounds; the first one is not counted."""
    figures = Figures()
    with ExitStack() as stack:
        pipes = [(system, stack.enter_context(system.start())) for system in systems]
        for number in range(rounds + 1):
            play(pipes[:: 1 if number % 2 else -1], figures if number else Figures())
    return figures


def play(pipes: list[tuple[System, Pipe]], figures: Figures) -> None:
    """One round: some reads and some refunds of each, in turn."""
    for system, pipe in pipes:
        used = pipe.processor_ms()
        lines = [pipe.line(system.tool, {"order_id": order_id(5, number)}) for number in range(READS)]
        figures.add(READ, system.name, median(pipe.latencies(lines)))
        figures.add(READ_PROCESSOR, system.name, (pipe.processor_ms() - used) / READS)
    used = {system.name: pipe.processor_ms() for system, pipe in pipes}
    taken: dict[str, list[tuple[float, float]]] = {system.name: [] for system, _ in pipes}
    for _ in range(REFUNDS):
        for system, pipe in pipes:
            taken[system.name].append(refund(system, pipe))
    for system, pipe in pipes:
        previews, confirmed = zip(*taken[system.name], strict=True)
        figures.add(PREVIEW, system.name, median(previews))
        figures.add(CONFIRMED, system.name, median(confirmed))
        figures.add(PROCESSOR, system.name, (pipe.processor_ms() - used[system.name]) / REFUNDS)


def refund(system: System, pipe: Pipe) -> tuple[float, float]:
    """Milliseconds of the preview of a refund, and of the call with its code."""
    assert system.refunds is not None
    arguments: dict[str, Any] = {"order_id": order_id(5, next(FRESH), captured=True), "refunded_amount": UNIT}
    preview, answer = pipe.timed(system.refunds, arguments)
    code = answer["structuredContent"]["confirm"]["code"]
    confirmed, answer = pipe.timed(system.refunds, arguments | {"confirm": code})
    if answer["structuredContent"]["outcome"] != "applied":
        raise RuntimeError(f"The refund was not made: {answer['structuredContent']}")
    return preview, confirmed


def waits_for_disk(system: System) -> int:
    """How often a confirmed refund waits until what it wrote is on the disk: the median of some, because now and then
    SQLite moves its log into its file as well."""
    assert system.refunds is not None
    waited: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        seen = Path(folder) / "seen"
        traced = ["strace", "-f", "-qq", "-e", "trace=fsync,fdatasync", "-e", "signal=none", "-o", str(seen)]
        with replace(system, command=[*traced, *system.command]).start() as pipe:
            for _ in range(TRACED):
                fresh: dict[str, Any] = {"order_id": order_id(5, next(FRESH), captured=True), "refunded_amount": UNIT}
                code = pipe.call(system.refunds, fresh)["structuredContent"]["confirm"]["code"]
                before = seen.read_text().count("sync(")
                pipe.call(system.refunds, fresh | {"confirm": code})
                waited.append(seen.read_text().count("sync(") - before)
    return int(median(waited))


if __name__ == "__main__":
    main()
