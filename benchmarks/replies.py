"""The size of each tool's typical reply: structured content in bytes, and the line on the wire.

    python -m benchmarks.replies [--json FILE]

Asked of the real server with its embedded sandbox. A gated tool has two replies: the preview, and the outcome. The
line on the wire holds the structured content twice, once as text, as the protocol recommends. Times in the replies
make a difference of a byte or two from day to day, nothing else does.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.figures import table
from benchmarks.pipe import Pipe
from benchmarks.surface import size
from kustom_mcp.simulator.demo_orders import demo_orders

ENVELOPE = 40
"""About what JSON-RPC adds to a result."""
Arguments = dict[str, Any]
Reply = tuple[str, str, int, int]
"""Tool, outcome, bytes of structured content, bytes on the wire."""

LINE_1 = [{"line": 1, "quantity": 1}]
SHIPPED: Arguments = {"shipping_info": [{"shipping_company": "Example Post", "tracking_number": "EX123456789"}]}


def main() -> None:
    """Ask and print a table, or write JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replies", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file")
    given = parser.parse_args()
    with Pipe([sys.executable, "-m", "kustom_mcp"], {"KUSTOM_TOOLS": "all"}) as pipe:
        found = [reply for tool, arguments in calls(pipe) for reply in replies(pipe, tool, arguments)]
    rows = [[tool, outcome, f"{content:,}", f"{wire:,}"] for tool, outcome, content, wire in found]
    print(table(["tool", "outcome", "structured content", "on the wire"], rows))
    if given.json:
        names = ("tool", "outcome", "structured", "wire")
        given.json.write_text(json.dumps([dict(zip(names, each, strict=True)) for each in found], indent=1))


def replies(pipe: Pipe, tool: str, arguments: Arguments) -> list[Reply]:
    """The reply of a call; where it asks for a confirmation, that of the confirmed call as well."""
    result = pipe.call(tool, arguments)
    content = result["structuredContent"]
    reply = (tool, content["outcome"], size(content), size(result) + ENVELOPE)
    if "confirm" not in content:
        return [reply]
    return [reply, *replies(pipe, tool, arguments | {"confirm": content["confirm"]["code"]})]


def calls(pipe: Pipe) -> list[tuple[str, Arguments]]:
    """A typical call of each tool, on demo orders that allow it."""
    ids = {seed.name: seed.order_id for seed in demo_orders()}

    def of(name: str, **more: Any) -> Arguments:
        return {"order_id": ids[name], **more}

    captured = of("captured-sek", include=["captures"])
    capture = pipe.call("kustom_get_order", captured)["structuredContent"]["third_party"]["captures"][0]["capture_id"]
    refunded = of("partly-refunded-pln", include=["refunds"])
    refund = pipe.call("kustom_get_order", refunded)["structuredContent"]["third_party"]["refunds"][0]["refund_id"]
    on_capture = of("captured-sek", capture_id=capture)
    return [
        ("kustom_get_order", of("authorized-sek")),
        ("kustom_get_order", of("authorized-sek", include=["lines", "customer", "shipping", "captures", "refunds"])),
        ("kustom_get_orders", {"order_ids": list(ids.values())[:10]}),
        ("kustom_acknowledge_order", of("expiring-soon-sek")),
        ("kustom_update_order_amount", of("authorized-sek", line_changes=[{"line": 1, "quantity": 0}])),
        ("kustom_update_merchant_references", of("authorized-sek", merchant_reference1="EXAMPLE-1")),
        ("kustom_update_customer_details", of("authorized-sek", shipping_address={"street_address": "Exempelgatan 2"})),
        ("kustom_add_shipping_info", of("authorized-sek", **SHIPPED)),
        ("kustom_cancel_order", of("expiring-soon-sek")),
        ("kustom_extend_authorization", of("authorized-sek")),
        ("kustom_release_remaining_authorization", of("part-captured-eur")),
        ("kustom_capture_order", of("digital-sek", lines=LINE_1)),
        ("kustom_list_captures", of("captured-sek")),
        ("kustom_get_capture", on_capture),
        ("kustom_add_capture_shipping_info", on_capture | SHIPPED),
        ("kustom_refund_order", of("captured-sek", lines=LINE_1)),
        ("kustom_get_refund", of("partly-refunded-pln", refund_id=refund)),
        ("kustom_list_transactions", of("partly-refunded-pln")),
        ("kustom_list_payouts", {}),
        ("kustom_trigger_send_out", on_capture),
        ("kustom_get_due_date_options", on_capture),
        ("kustom_extend_due_date", on_capture | {"number_of_days": 14}),
    ]


if __name__ == "__main__":
    main()
