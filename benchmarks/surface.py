"""The size of the surface, in bytes: what a model sees of the tools, and the `tools/list` reply as it is on the wire.

A model sees name, description and input schema; hosts keep the rest. Counted as compact JSON in UTF-8, asked of the
real server over stdio. Sizes do not depend on the machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Any

from benchmarks.startup import META, ROOT

SEEN = ("name", "description", "inputSchema")
BUDGETS: dict[str, Any] = json.loads((ROOT / "tests" / "budgets.json").read_text(encoding="utf-8"))
"""Bytes: the most that it may be."""


def size(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def ask(tools: str) -> tuple[list[dict[str, Any]], int]:
    """The tools that a server with this KUSTOM_TOOLS lists, and the bytes of the line that it wrote."""
    request = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}}
    answer = subprocess.run(
        [sys.executable, "-m", "kustom_mcp"],
        cwd=ROOT,
        env={"KUSTOM_TOOLS": tools},
        input=json.dumps(request).encode() + b"\n",
        capture_output=True,
        check=True,
    ).stdout.strip()
    return json.loads(answer)["result"]["tools"], len(answer)


def rows(tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The parts of each tool: `seen` is what a model sees."""
    return [
        {
            "tool": tool["name"],
            "seen": size({name: tool[name] for name in SEEN}),
            "description": size(tool["description"]),
            "input": size(tool["inputSchema"]),
            "output": size(tool["outputSchema"]),
            "all": size(tool),
        }
        for tool in tools
    ]


def main() -> None:
    """Measure and print: tables, or JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.surface", description=__doc__)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    (default, default_reply), (everything, whole_reply) = ask("orders,captures,refunds"), ask("all")
    per_tool = rows(everything)
    totals = {
        f"what a model sees, {len(default)} default tools": (
            sum(row["seen"] for row in rows(default)),
            BUDGETS["model_view_of_default_tools"],
        ),
        f"what a model sees, all {len(everything)} tools": (
            sum(row["seen"] for row in per_tool),
            BUDGETS["model_view_of_all_tools"],
        ),
        f"tools/list reply, {len(default)} default tools": (default_reply, BUDGETS["list_of_all_tools"]),
        f"tools/list reply, all {len(everything)} tools": (whole_reply, BUDGETS["list_of_all_tools"]),
    }
    if given.json:
        sizes = {name: total for name, (total, _) in totals.items()}
        print(json.dumps({"totals": sizes, "tools": per_tool}))
        return
    print(f"{'bytes':42}{'now':>8}{'most':>8}")
    for name, (total, most) in totals.items():
        print(f"{name:42}{total:>8}{most:>8}{'' if total <= most else '  over'}")
    columns = [name for name in per_tool[0] if name != "tool"]
    print(f"\n{'':42}" + "".join(f"{column:>12}" for column in columns))
    for row in per_tool:
        print(f"{row['tool']:42}" + "".join(f"{row[column]:>12}" for column in columns))


if __name__ == "__main__":
    main()
