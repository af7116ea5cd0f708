"""How cost grows with what is asked for and with what has been kept: linear or better is the claim.

    python -m benchmarks.scale [--rounds N] [--json FILE]

Our own server from this environment, against the upstream of the comparison. Each row is the median of all rounds at
the smaller and at the larger size; `power` is the exponent that joins them: 0 is constant, 1 linear, 2 quadratic.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from itertools import count, pairwise
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import systems, upstream
from benchmarks.environments import Environment
from benchmarks.figures import table
from benchmarks.orders import UNIT, order_id
from benchmarks.pipe import Pipe
from kustom_mcp.state.database import Store
from kustom_mcp.state.intents import Intent, Intents

CALLS, KEPT, AUDIT_LINES = 30, 1000, 1_000_000
LINEAR = 1.15
"""The largest exponent that still counts as linear: measurements are not exact."""
FRESH = count(1)


class Series(NamedTuple):
    """What grows, its sizes, and milliseconds at each, one value a round."""

    what: str
    sizes: list[int]
    taken: list[list[float]]

    def medians(self) -> list[float]:
        return [statistics.median(values) for values in self.taken]

    def power(self) -> float:
        """The steepest growth between neighbouring sizes. From nothing to something counts as from one."""
        points = list(zip(self.sizes, self.medians(), strict=True))
        return max(math.log(b / a) / math.log(m / max(n, 1)) for (n, a), (m, b) in pairwise(points))

    def row(self) -> list[str]:
        cells = [f"{size:,}: {value:,.1f}" for size, value in zip(self.sizes, self.medians(), strict=True)]
        power = self.power()
        return [self.what, *cells, *[""] * (3 - len(cells)), f"{power:.2f}", "yes" if power <= LINEAR else "NO"]


def main() -> None:
    """Measure and print a table; with --json the milliseconds of every round."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds, default 5")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure to this file")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, upstream.running() as url:
        found = measure(url, Path(folder), given.rounds)
    print(f"{given.rounds} rounds, milliseconds\n")
    print(table(["", "size: ms", "size: ms", "size: ms", "power", "linear or better"], [each.row() for each in found]))
    if given.json:
        given.json.write_text(json.dumps([each._asdict() for each in found], indent=1), encoding="utf-8")


def measure(url: str, folder: Path, rounds: int) -> list[Series]:
    """Every series, its sizes in turn within each round."""
    with server(url, folder / "asked") as pipe:
        found = [
            series("default view, lines of the order", [5, 100, 1000], rounds, lambda size: view(pipe, size, [])),
            series("every line in full, lines", [5, 100, 1000], rounds, lambda size: view(pipe, size, ["lines"])),
            series("kustom_get_orders, orders", [1, 10, 100], rounds, lambda size: orders(pipe, size)),
            series("256 calls, in flight", [1, 16, 64], rounds, lambda size: in_flight(pipe, size)),
            series("a preview, lines refunded", [5, 100, 1000], rounds, lambda size: preview(pipe, size)),
        ]
    with server(url, folder / "kept") as pipe:
        found.append(by_kept("a refund, codes given before", pipe, rounds, lambda _: give_codes(pipe)))
    with server(url, folder / "remembered") as pipe:
        found.append(
            by_kept(
                "a refund, calls remembered", pipe, rounds, lambda kept: remember(folder / "remembered/applied", kept)
            )
        )
    with server(url, folder / "intents") as pipe:
        found.append(by_kept("a refund, open intents", pipe, rounds, lambda kept: leave_open(folder / "intents", kept)))
    (folder / "empty.jsonl").touch()
    write_audit(folder / "full.jsonl")
    files = {0: folder / "empty.jsonl", AUDIT_LINES: folder / "full.jsonl"}
    found.append(series("cold start, lines of audit", list(files), rounds, lambda size: start(url, files[size])))
    found.append(series("first refund, lines of audit", list(files), rounds, lambda size: first(url, files[size])))
    return found


def series(what: str, sizes: list[int], rounds: int, once: Callable[[int], float]) -> Series:
    """A round before the first one warms caches and is not counted."""
    taken: list[list[float]] = [[] for _ in sizes]
    for number in range(rounds + 1):
        for place, size in enumerate(sizes):
            value = once(size)
            if number:
                taken[place].append(value)
    return Series(what, sizes, taken)


def by_kept(what: str, pipe: Pipe, rounds: int, keep: Callable[[int], None]) -> Series:
    """A refund before and after a thousand things are kept, twice: growth shows between one and two thousand."""
    refund(pipe)
    taken: list[list[float]] = []
    for times in range(3):
        if times:
            keep(KEPT * times)
        taken.append([refund(pipe) for _ in range(rounds * 4)])
    return Series(what, [0, KEPT, 2 * KEPT], taken)


def server(url: str, state: Path, **settings: str) -> Pipe:
    """Our server from this environment; `state` is its own directory."""
    here = Environment(sys.executable, 0, 0, {})
    system = systems.ours(here, url, state)
    system.env.update(settings)
    return system.start()


def view(pipe: Pipe, lines: int, include: list[str]) -> float:
    arguments = {"order_id": order_id(lines), "include": include}
    return statistics.median(pipe.latencies([pipe.line("kustom_get_order", arguments) for _ in range(CALLS)]))


def orders(pipe: Pipe, number: int) -> float:
    arguments = {"order_ids": [order_id(5, each) for each in range(number)]}
    return statistics.median(pipe.latencies([pipe.line("kustom_get_orders", arguments) for _ in range(5)]))


def in_flight(pipe: Pipe, at_once: int) -> float:
    lines = [pipe.line("kustom_get_order", {"order_id": order_id(5, each)}) for each in range(256)]
    return pipe.seconds(lines, at_once) * 1000


def preview(pipe: Pipe, lines: int) -> float:
    """A refund of every line of an order, up to the question."""
    picks = [{"line": number, "quantity": 1} for number in range(1, lines + 1)]
    arguments = {"order_id": order_id(lines, captured=True), "lines": picks}
    return statistics.median(pipe.latencies([pipe.line("kustom_refund_order", arguments) for _ in range(5)]))


def refund(pipe: Pipe) -> float:
    """Milliseconds of preview and confirmed refund of an order of its own."""
    arguments = {"order_id": order_id(5, next(FRESH), captured=True), "refunded_amount": UNIT}
    begin = time.perf_counter()
    code = pipe.call("kustom_refund_order", arguments)["structuredContent"]["confirm"]["code"]
    pipe.call("kustom_refund_order", arguments | {"confirm": code})
    return (time.perf_counter() - begin) * 1000


def give_codes(pipe: Pipe) -> None:
    """A thousand more codes."""
    for _ in range(KEPT):
        arguments = {"order_id": order_id(5, next(FRESH), captured=True), "refunded_amount": UNIT}
        pipe.latencies([pipe.line("kustom_refund_order", arguments)])


def remember(folder: Path, kept: int) -> None:
    """So many records as the server keeps them, of other calls."""
    folder.mkdir(parents=True, exist_ok=True)
    until = time.time() + 3600
    for number in range(kept):
        record: dict[str, Any] = {"until": until, "facts": {}, "digest": f"{number:064x}", "expires": until}
        (folder / f"{number:064x}.json").write_text(json.dumps(record), encoding="utf-8")


def leave_open(state: Path, kept: int) -> None:
    """So many writes without an outcome, of other calls."""
    store = Store.file(state / "store.sqlite3")
    intents = Intents(store, state=state)
    for number in range(len(intents.unresolved()), kept):
        new = Intent(account="", key=str(uuid.uuid4()), digest=f"{number:064x}", tool="", order_id="")
        store.run(lambda connection, new=new: intents.send(connection, new, seen=None))
    store.close()


def write_audit(path: Path) -> None:
    line = json.dumps({"time": "2026-11-23T09:00:00.000+00:00", "event": "outcome", "tool": "kustom_refund_order"})
    with path.open("w", encoding="utf-8") as file:
        for _ in range(AUDIT_LINES // 1000):
            file.write(f"{line}\n" * 1000)


def start(url: str, audit: Path) -> float:
    with tempfile.TemporaryDirectory() as state, server(url, Path(state), KUSTOM_AUDIT_LOG=str(audit)) as pipe:
        return pipe.listed_ms


def first(url: str, audit: Path) -> float:
    with tempfile.TemporaryDirectory() as state, server(url, Path(state), KUSTOM_AUDIT_LOG=str(audit)) as pipe:
        return refund(pipe)


if __name__ == "__main__":
    main()
