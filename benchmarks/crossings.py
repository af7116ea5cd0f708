"""How often one confirmed refund crosses from one module of ours into another, and from one room into another.

    uv run python -m benchmarks.crossings
    uv run python -m benchmarks.crossings --pairs 20      # the most travelled borders as well

A reader who follows a refund through the code crosses the same borders. Counted with `sys.setprofile` while the second
call of a refund runs (the one with the code) against the embedded sandbox: each entry into a function counts once,
wherever it waits in between, if the nearest function of ours above it lives elsewhere. The simulator is not ours to
cross into: what it does on its own is left out. The figures are the same on every machine.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

import anyio
from mcp.client import Client

from kustom_mcp.app.app import App
from kustom_mcp.server.handlers import build_server
from kustom_mcp.settings.environment import load
from kustom_mcp.simulator.demo_orders import demo_orders

PACKAGE = "kustom_mcp."
SIMULATOR = "kustom_mcp.simulator"


class Crossings:
    """Counts, while it watches: `modules` entered, and the pairs of modules between which a call went."""

    def __init__(self) -> None:
        self.modules: set[str] = set()
        self.pairs: Counter[tuple[str, str]] = Counter()
        self._begun: set[int] = set()
        self._kept: list[FrameType] = []

    @contextmanager
    def watching(self) -> Generator[None]:
        """Count what happens in this thread meanwhile."""
        sys.setprofile(self._saw)
        try:
            yield
        finally:
            sys.setprofile(None)
            self._kept.clear()

    def _saw(self, frame: FrameType, event: str, _: Any) -> None:
        module = _module(frame)
        if event != "call" or module is None or not self._first(frame):
            return
        self.modules.add(module)
        above = frame.f_back
        while above is not None and _module(above) is None:
            above = above.f_back
        before = _module(above) if above is not None else None
        if before is not None and before != module:
            self.pairs[before, module] += 1

    def _first(self, frame: FrameType) -> bool:
        """Whether this is the start of the function, and not a coroutine that goes on."""
        if not frame.f_code.co_flags & (_COROUTINE | _GENERATOR | _ASYNC_GENERATOR):
            return True
        if id(frame) in self._begun:
            return False
        self._begun.add(id(frame))
        self._kept.append(frame)  # so that no other frame takes its place and its number
        return True

    def rooms(self) -> Counter[tuple[str, str]]:
        """The pairs of rooms: the first part of a module's name below the package."""
        pairs: Counter[tuple[str, str]] = Counter()
        for (source, target), times in self.pairs.items():
            ends = source.split(".")[1], target.split(".")[1]
            if ends[0] != ends[1]:
                pairs[ends] += times
        return pairs


_GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x200


def _module(frame: FrameType) -> str | None:
    """The module of ours that this function belongs to. What a comprehension or the import system runs is none."""
    code: CodeType = frame.f_code
    name = frame.f_globals.get("__name__")
    if not isinstance(name, str) or not name.startswith(PACKAGE) or name.startswith(SIMULATOR):
        return None
    return None if code.co_name in ("<module>", "__getattr__") else name


async def refund() -> Crossings:
    """The crossings of the second call of a refund."""
    counted = Crossings()
    app = App.of(load({"KUSTOM_ENVIRONMENT": "sandbox", "KUSTOM_CONFIRM": "code"}).settings)
    order_id = next(seed.order_id for seed in demo_orders() if seed.name == "captured-sek")
    arguments: dict[str, Any] = {"order_id": order_id, "lines": [{"line": 1, "quantity": 1}]}
    async with Client(build_server(app)) as client:
        preview = await client.call_tool("kustom_refund_order", arguments)
        assert preview.structured_content is not None
        arguments["confirm"] = preview.structured_content["confirm"]["code"]
        with counted.watching():
            done = await client.call_tool("kustom_refund_order", arguments)
        assert done.structured_content is not None
        assert done.structured_content["outcome"] == "applied", done.structured_content
    return counted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=0, metavar="N", help="the N most travelled borders as well")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    counted = anyio.run(refund)
    figures = {
        "modules entered": len(counted.modules),
        "crossings between modules": counted.pairs.total(),
        "crossings between rooms": counted.rooms().total(),
    }
    print(json.dumps(figures) if options.json else "\n".join(f"{times:>5}  {name}" for name, times in figures.items()))
    for (source, target), times in counted.pairs.most_common(options.pairs):
        print(f"{times:>5}  {source.removeprefix(PACKAGE)} -> {target.removeprefix(PACKAGE)}")


if __name__ == "__main__":
    main()
