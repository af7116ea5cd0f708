"""Budgets in bytes and counts, as data in `budgets.json`: what a model reads, what a host transfers, what is installed.

Only what does not depend on the machine is compared here. A budget that is passed is raised in the file on purpose,
with a reason in the commit, or the cause is mended.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from kustom_mcp.calls.policy import DEFAULT_TOOLSETS
from kustom_mcp.schema.result import compact
from kustom_mcp.tools.catalog import CATALOG
from tests.generate import ROOT
from tests.support.conversation import conversation, demo

BUDGETS: dict[str, Any] = json.loads((Path(__file__).parent / "budgets.json").read_text(encoding="utf-8"))
MODEL_SEES = ("name", "description", "inputSchema")
CAPTURED = "captured-sek"
OPEN = "authorized-sek"
SHIPMENT = [{"shipping_company": "DHL SE", "shipping_method": "Home", "tracking_number": "1234567890"}]
NO_SUCH = "00000000-0000-4000-8000-000000000000"


def size(value: Any) -> int:
    """Bytes of a value as compact JSON."""
    return len(compact(value).encode())


def model_view(name: str) -> int:
    """The text of a tool that a model reads."""
    tool = CATALOG[name].wire()
    return size({part: tool[part] for part in MODEL_SEES})


@pytest.mark.parametrize("name", CATALOG)
def test_a_tool_keeps_to_its_bytes_in_the_list(name: str) -> None:
    assert model_view(name) <= BUDGETS["tool_model_view"][name]


def test_the_list_keeps_to_its_bytes() -> None:
    default = sum(model_view(name) for name, tool in CATALOG.items() if tool.toolset in DEFAULT_TOOLSETS)
    assert default <= BUDGETS["model_view_of_default_tools"]
    assert sum(map(model_view, CATALOG)) <= BUDGETS["model_view_of_all_tools"]
    assert size([tool.wire() for tool in CATALOG.values()]) <= BUDGETS["list_of_all_tools"]


async def replies() -> dict[str, int]:
    """The size of each tool's typical answer, in bytes of structured content."""
    sizes: dict[str, int] = {}
    async with conversation(KUSTOM_TOOLS="all") as talk:

        async def reply(name: str, **arguments: Any) -> dict[str, Any]:
            answer = await talk.call(name, arguments)
            assert "error" not in answer
            sizes[name] = size(answer)
            return answer

        captured, opened = demo(CAPTURED), demo(OPEN)
        capture_id = cast("str", talk.stored(captured)["captures"][0]["capture_id"])
        await reply("kustom_get_order", order_id=opened)
        await reply("kustom_get_orders", order_ids=[opened, captured, demo("part-captured-eur")])
        await reply("kustom_find_orders", expires_before="2100-01-01", limit=3)
        await reply("kustom_acknowledge_order", order_id=opened)
        await reply("kustom_update_order_amount", order_id=opened, line_changes=[{"line": 1, "quantity": 1}])
        await reply("kustom_update_merchant_references", order_id=opened, merchant_reference2="second")
        await reply("kustom_update_customer_details", order_id=opened, shipping_address={"city": "Uppsala"})
        await reply("kustom_add_shipping_info", order_id=opened, shipping_info=SHIPMENT)
        await reply("kustom_cancel_order", order_id=opened)
        await reply("kustom_extend_authorization", order_id=opened)
        await reply("kustom_release_remaining_authorization", order_id=demo("part-captured-eur"))
        await reply("kustom_capture_order", order_id=opened, lines=[{"line": 1, "quantity": 1}])
        await reply("kustom_list_captures", order_id=captured)
        await reply("kustom_get_capture", order_id=captured, capture_id=capture_id)
        await reply(
            "kustom_add_capture_shipping_info", order_id=captured, capture_id=capture_id, shipping_info=SHIPMENT
        )
        await reply("kustom_refund_order", order_id=captured, lines=[{"line": 1, "quantity": 1}])
        refund_id = cast("str", talk.stored(demo("partly-refunded-pln"))["refunds"][0]["refund_id"])
        await reply("kustom_resolve_order", order_id=demo(OPEN))
        await reply("kustom_list_activity")
        await reply("kustom_get_refund", order_id=demo("partly-refunded-pln"), refund_id=refund_id)
        await reply("kustom_list_transactions", order_id=demo("partly-refunded-pln"))
        await reply("kustom_list_payouts", currency="SEK", limit=5)
        invoiced = demo("business-sek")
        capture_id = cast("str", talk.stored(invoiced)["captures"][0]["capture_id"])
        await reply("kustom_trigger_send_out", order_id=invoiced, capture_id=capture_id)
        await reply("kustom_get_due_date_options", order_id=invoiced, capture_id=capture_id)
        await reply("kustom_extend_due_date", order_id=invoiced, capture_id=capture_id, number_of_days=14)
        sizes["an error"] = size(await talk.call("kustom_get_order", order_id=NO_SUCH))
    return sizes


async def test_a_typical_reply_keeps_to_its_bytes() -> None:
    sizes = await replies()
    assert set(sizes) == set(BUDGETS["typical_reply"]) == {*CATALOG, "an error"}
    over = {name: (found, BUDGETS["typical_reply"][name]) for name, found in sizes.items()}
    assert {name: pair for name, pair in over.items() if pair[0] > pair[1]} == {}


def test_starting_imports_no_more_modules() -> None:
    program = "import sys, kustom_mcp.cli.serve; print(len(sys.modules))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert int(found.stdout) <= BUDGETS["imported_modules"]


@pytest.mark.parametrize(
    "credentials", [{}, {"KUSTOM_API_KEY": "kco_test_api_invented", "KUSTOM_ENVIRONMENT": "playground"}]
)
def test_starting_without_records_does_not_load_the_database(credentials: dict[str, str], tmp_path: Path) -> None:
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    asked = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
    ]
    found = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "kustom_mcp"],
        input="".join(f"{json.dumps(message)}\n" for message in asked),
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **credentials},
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert [json.loads(line)["id"] for line in found.stdout.splitlines()] == [1, 2]
    assert "kustom_mcp.state.intents" in found.stderr
    assert re.findall(r"\bsqlalchemy\b.*", found.stderr) == []


def packages(name: str, extras: frozenset[str] = frozenset()) -> set[str]:
    """Distributions that installing one brings on this machine, itself included."""
    found: set[str] = {canonicalize_name(name)}
    for needed in map(Requirement, metadata.requires(name) or ()):
        wanted = [needed.marker is None or needed.marker.evaluate({"extra": extra}) for extra in extras or {""}]
        if any(wanted):
            found |= packages(needed.name, frozenset(needed.extras))
    return found


def test_no_more_packages_are_installed() -> None:
    locked = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert len(packages("kustom-mcp")) <= BUDGETS["packages"]
    assert len(re.findall(r"^[A-Za-z0-9._-]+==", locked, re.MULTILINE)) <= BUDGETS["locked_packages"]
