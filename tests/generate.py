"""Writes what is derived from the code: the tool list, tables, conversations and the drawing of the rooms in documents,
`.env.example`, the snapshots of the tools, the policy of the order card.

    uv run python -m tests.generate

A table that is typed twice is wrong in one place sooner or later, so the documents hold the output of this program
between two comments, and the tests compare. The snapshots put every change of what a model sees into the diff.
"""

from __future__ import annotations

import ast
import json
import re
import tomllib
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from textwrap import fill
from typing import Any

import grimp

from kustom_mcp.api import order_rules
from kustom_mcp.api.models import STATUSES
from kustom_mcp.calls import card
from kustom_mcp.money import show
from kustom_mcp.schema.result import MEANINGS
from kustom_mcp.server.prompts import PROMPTS
from kustom_mcp.server.tool_list import FILE, encoded
from kustom_mcp.settings.environment import FIRST, SettingRow, env_example, table
from kustom_mcp.settings.settings import Settings
from kustom_mcp.simulator.behaviours import marked
from kustom_mcp.simulator.demo_orders import demo_orders
from kustom_mcp.simulator.states import PERMISSIONS
from kustom_mcp.simulator.switches import ABOUT, VALUES
from kustom_mcp.tools.catalog import CATALOG
from kustom_mcp.tools.tool import Operation
from tests.support.programs import PROGRAMS
from tests.support.transcripts import transcript
from tests.support.worked_examples import EXAMPLES, Example

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "kustom_mcp"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
"""Everything that people read. Any of them may hold generated parts and conversations."""
ENV_EXAMPLE = ROOT / ".env.example"
SURFACE = ROOT / "tests" / "surface"
LISTING = PACKAGE / FILE
CARD = PACKAGE / card.FILE
LIFECYCLE = PACKAGE / "data" / "reference" / "order-lifecycle.md"
QUALIFIED = {
    ("updateAuthorization", "PART_CAPTURED"): "not below captured",
    ("updateCustomerDetails", "AUTHORIZED"): "after a risk check",
    ("extendAuthorizationTime", "AUTHORIZED"): "if eligible",
    ("extendAuthorizationTime", "PART_CAPTURED"): "if eligible",
    ("captureOrder", "AUTHORIZED"): "up to remaining",
    ("captureOrder", "PART_CAPTURED"): "up to remaining",
    ("refundOrder", "PART_CAPTURED"): "up to captured less refunded",
    ("refundOrder", "CAPTURED"): "up to captured less refunded",
    ("refundOrder", "CLOSED"): "while captured exceeds refunded",
}
"""Conditions for a yes in the lifecycle's table, by operation and state."""

TELEMETRY = SettingRow("OTEL_*", "-", "Standard OpenTelemetry settings, when the extra `otel` is installed.")

WIDTH = 118  # of the drawing of the rooms

_PART = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_TRANSCRIPT = re.compile(r"(<!-- transcript: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def kind(tool: Operation) -> str:
    """Effect of a tool on an order, in a word."""
    return "confirmed" if tool.effect.gated else "writes" if tool.writes else "reads"


def snapshot(tool: Operation) -> str:
    """A tool as `tools/list` gives it, for a diff."""
    return _json(tool.wire())


def document(path: Path) -> str:
    """A document with its tables and conversations made anew. KeyError for one that is not known."""
    text = _PART.sub(lambda found: f"{found[1]}{PARTS[found[2]]()}\n{found[3]}", path.read_text(encoding="utf-8"))
    return _TRANSCRIPT.sub(lambda found: f"{found[1]}{transcript(found[2])}\n{found[3]}", text)


def files() -> dict[Path, Callable[[], str]]:
    """Every generated file, and how what belongs into it is made."""
    snapshots = {SURFACE / f"{name}.json": partial(snapshot, tool) for name, tool in CATALOG.items()}
    return {
        ENV_EXAMPLE: env_example,
        LISTING: encoded,
        CARD: lambda: with_policy(with_labels(CARD.read_text(encoding="utf-8"))),
        LIFECYCLE: lambda: with_permissions(LIFECYCLE.read_text(encoding="utf-8")),
        **{path: partial(document, path) for path in DOCUMENTS},
        **snapshots,
    }


def with_labels(page: str) -> str:
    """The order card's page with its words for the tools that `can` offers."""
    labels = "".join(f"  {tool.name}: {json.dumps(tool.label)},\n" for tool in CATALOG.values() if tool.offered)
    return re.sub(
        r"(^const TOOLS = \{\n).*?(^\};)", lambda found: found[1] + labels + found[2], page, flags=re.M | re.S
    )


def with_permissions(text: str) -> str:
    """The lifecycle's text with a row for every tool that writes, as far as the table of permissions knows it."""
    rows = [
        " | ".join(["| " + tool.name, *(_possible(tool.endpoint.name, state) for state in STATUSES)]) + " |\n"
        for tool in CATALOG.values()
        if tool.writes and tool.endpoint.name in order_rules.PERMISSIONS
    ]
    return re.sub(r"(^\| all reads .*?\n)(?:\|.*?\n)*", lambda found: found[1] + "".join(rows), text, flags=re.M)


def _possible(operation: str, state: str) -> str:
    """A cell: yes or no, on what it depends, and in brackets where Kustom does not document it."""
    cell = order_rules.PERMISSIONS[operation][state]
    said = ", ".join(filter(None, ("no" if cell.error_code else "yes", QUALIFIED.get((operation, state)))))
    return said if cell.mark in order_rules.DOCUMENTED else f"({said})"


def with_policy(page: str) -> str:
    """The card's page with the hashes of its script and style, as they are sent, in its policy, which lets nothing else
    run."""
    for element in ("script", "style"):
        (inside,) = re.findall(rf"^<{element}>(.*?)^</{element}>$", card.served(page), re.MULTILINE | re.DOTALL)
        found = b64encode(sha256(inside.encode()).digest()).decode()
        page = re.sub(rf"{element}-src 'sha256-[^']*'", f"{element}-src 'sha256-{found}'", page)
    return page


def refund_rules() -> str:
    """What refunds by lines pay, by rule, each with an order."""

    def said(example: Example, total: int) -> str:
        return show(total, example.currency).partition(" ")[0]

    def refunds(example: Example) -> str:
        steps: list[str] = []
        for step in example.steps:
            goods = ", ".join(_pieces(example.lines[number - 1], count) for number, count in step.quantities.items())
            cut = "".join(f" for {said(example, total)}" for total in step.totals.values())
            fee = f", fee {said(example, step.fee)}" if step.fee else ""
            steps.append(f"{goods}{cut}{fee}: {said(example, step.pays)}")
        return "; then ".join(steps)

    def ordered(example: Example) -> str:
        return ", ".join(
            f"{_pieces(line, line['quantity'])} {said(example, line['total_amount'])}" for line in example.lines
        )

    rows = [(example.rule, f"{example.name}: {ordered(example)}", refunds(example)) for example in EXAMPLES]
    return _table(("rule", "order", "refunds pay"), rows)


def _pieces(line: Mapping[str, Any], count: int) -> str:
    return line["name"] if count == line["quantity"] == 1 else f"{count} x {line['name']}"


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _settings(start: int, end: int | None) -> str:
    rows = [*table(), TELEMETRY][start:end]
    return _table(("setting", "default", "meaning"), [(f"`{row.name}`", row.default, row.meaning) for row in rows])


def _tools() -> str:
    rows = [
        (f"`{tool.name}`", tool.description.partition(". ")[0].rstrip(".") + ".", kind(tool), tool.toolset)
        for tool in CATALOG.values()
    ]
    return _table(("tool", "what it is for", "", "toolset"), rows)


def _tools_by_kind() -> str:
    """The names alone, a row for a toolset; one that is off by default says so."""
    kinds = ("reads", "writes", "confirmed")
    on = Settings.model_fields["tools"].default
    rows = [
        [
            f"`{toolset}`" if toolset in on else f"`{toolset}` (off)",
            *(", ".join(f"`{tool.name}`" for tool in tools if kind(tool) == wanted) for wanted in kinds),
        ]
        for toolset in dict.fromkeys(tool.toolset for tool in CATALOG.values())
        for tools in [[tool for tool in CATALOG.values() if tool.toolset == toolset]]
    ]
    return _table(("toolset", *kinds), rows)


def _prompts() -> str:
    return _table(("prompt", "job"), [(f"`{prompt.name}`", prompt.description or "") for prompt in PROMPTS.listing()])


def _codes() -> str:
    groups: dict[tuple[str, str], list[str]] = {}
    for code, meaning in MEANINGS.items():
        groups.setdefault((meaning.outcome, meaning.retry), []).append(code.value)
    rows = [(f"`{outcome}`", f"`{retry}`", ", ".join(codes)) for (outcome, retry), codes in groups.items()]
    return _table(("outcome", "retry", "codes"), rows)


def _demo_orders() -> str:
    rows = [
        (f"`{seed.name}`", f"`{seed.order_id}`", str(seed.order["status"]), str(seed.order["purchase_currency"]))
        for seed in demo_orders()
    ]
    return _table(("name", "order id", "status", "currency"), rows)


def _assumed() -> str:
    """The assumed behaviours as a list; those of the permission table after the others."""
    behaviours = marked("assumed")
    permissions = [item for item in behaviours if item.name.partition(".")[0] in PERMISSIONS]
    others = [item for item in behaviours if item not in permissions]
    return "\n".join(f"- {item.sentence}" for item in [*others, *permissions])


def _programs() -> str:
    """What programs send, and the outcome: one row for each request."""
    rows = ["| program | sends | outcome | sure |", "| --- | --- | --- | --- |"]
    for program in PROGRAMS:
        for place, sent in enumerate(program.sends):
            name = "" if place else program.name
            rows.append(
                f"| {name} | `{f'{sent.method} {sent.path}'.strip()}`: {sent.about} | {sent.answer} | {sent.sure} |"
            )
    return "\n".join(rows)


def _assumptions() -> str:
    """The switches, each with its values, the assumed one first."""
    rows = [(f"`{name}`", ", ".join(f"`{value}`" for value in VALUES[name]), about) for name, about in ABOUT.items()]
    return _table(("name", "values", "what it decides"), rows)


def _rooms() -> str:
    """The rooms from top to bottom as the contract has them, each with what it is for and the rooms that it imports."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    floors = [[name.strip(" ()") for name in re.split("[|:]", layer)] for layer in layers]
    rooms = [name for floor in floors for name in floor]
    wide = max(map(len, rooms)) + 2
    drawn: list[str] = []
    for floor in floors:
        drawn.append("-" * WIDTH)
        for room in floor:
            below = [name for name in rooms if name in _imported()[room] - {room}]
            lines = [_purpose(room), *([f"-> {', '.join(below)}"] if below else [])]
            drawn += [fill(line, WIDTH, initial_indent=" " * wide, subsequent_indent=" " * wide) for line in lines]
            drawn[-len(lines)] = room.ljust(wide) + drawn[-len(lines)][wide:]
    return "\n".join(["```text", *drawn, "-" * WIDTH, "```"])


def _purpose(room: str) -> str:
    """The first line of a room's docstring."""
    path = PACKAGE / room / "__init__.py"
    text = ast.get_docstring(ast.parse((path if path.exists() else PACKAGE / f"{room}.py").read_text(encoding="utf-8")))
    return (text or "").partition("\n")[0].replace("`", "")


@cache
def _imported() -> dict[str, set[str]]:
    """The rooms that each room imports."""
    graph = grimp.build_graph(PACKAGE.name, cache_dir=None)
    rooms = {module.partition(".")[2] for module in graph.find_children(PACKAGE.name)}
    for room in rooms:
        graph.squash_module(f"{PACKAGE.name}.{room}")
    found = {room: graph.find_modules_directly_imported_by(f"{PACKAGE.name}.{room}") for room in rooms}
    return {room: {name.partition(".")[2] for name in names} for room, names in found.items()}


PARTS: dict[str, Callable[[], str]] = {
    "refund-rules": refund_rules,
    "first-settings": lambda: _settings(0, FIRST),
    "settings": lambda: _settings(FIRST, None),
    "tools": _tools,
    "tools-by-kind": _tools_by_kind,
    "prompts": _prompts,
    "codes": _codes,
    "demo-orders": _demo_orders,
    "assumed": _assumed,
    "assumptions": _assumptions,
    "programs": _programs,
    "rooms": _rooms,
}


def main() -> None:
    """Write every generated file, and remove snapshots of tools that are gone."""
    wanted = files()
    SURFACE.mkdir(exist_ok=True)
    for path in SURFACE.glob("*.json"):
        if path not in wanted:
            path.unlink()
    for path, made in wanted.items():
        path.write_text(made(), encoding="utf-8")


if __name__ == "__main__":
    main()
