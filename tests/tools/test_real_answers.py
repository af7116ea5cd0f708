"""Answers as recorded ones are, not as the description promises: everything is read, and a change loses nothing."""

from __future__ import annotations

from typing import Any

from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.switches import Switches
from tests.support.conversation import OURS, conversation

LINE: dict[str, Any] = {
    "type": "package",
    "reference": "",
    "name": "Pallet",
    "quantity": 2,
    "quantity_unit": "",
    "unit_price": 500,
    "tax_rate": 2500,
    "total_amount": 1000,
    "total_discount_amount": 0,
    "total_tax_amount": 200,
    "bundle": {"id": 7},
}
ODD: dict[str, Any] = {
    "order_amount": 1900,
    "order_lines": [LINE, {**LINE, "type": "voucher", "reference": "V", "quantity": 1, "total_amount": 1000}],
    "status": "PART_CAPTURED",
    "fraud_status": "STOPPED",
    "created_at": "2026-11-20T10:00:00+00:00",
    "expires_at": "2026-12-18T01:00:00+01:00",
    "customer": {"type": "person"},
    "initial_payment_method": {"type": "PAY_BY_CARRIER_PIGEON", "description": None},
    "selected_shipping_option": {
        "id": "1",
        "tos_id": "tos-77",
        "carrier": "DHL",
        "location": {"name": "Kiosk at the corner"},
        "selected_addons": [],
    },
    "captures": [
        {
            "captured_amount": 900,
            "captured_at": "2026-11-21T10:00:00+00:00",
            "description": "",
            "order_lines": [],
            "shipping_info": None,
            "shipping_address": None,
        }
    ],
    "refunds": [{"refunded_amount": 100, "refunded_at": "2026-11-22T10:00:00Z", "description": "", "order_lines": []}],
    "shipping_info": None,
}


async def test_an_order_as_recorded_ones_are_is_read_with_everything_that_it_says() -> None:
    simulator = Simulator(seeds=(), switches=Switches(entries="without_id"))
    order_id = simulator.add_order(ODD).order["order_id"]
    include = ["lines", "customer", "shipping", "captures", "refunds"]
    async with conversation(simulator=simulator) as talk:
        shown = await talk.call("get_order", order_id=order_id, include=include)
        assert (shown["outcome"], shown["order"]["status"]) == ("ok", "PART_CAPTURED")
        typed = shown["third_party"]
        assert typed["selected_shipping_option"]["tos_id"] == "tos-77"
        assert typed["selected_shipping_option"]["location"]["name"] == "Kiosk at the corner"
        assert [line["type"] for line in typed["order_lines"]] == ["package", "voucher"]
        assert "refund_id" not in str(shown.get("refunds"))
        (row,) = (await talk.call("get_orders", order_ids=[order_id]))["orders"]
        assert (row["captured_amount"], row["refunded_amount"], row["fraud_status"]) == (900, 100, "STOPPED")
        captures = await talk.call("list_captures", order_id=order_id)
        assert captures["captures"][0]["captured_amount"] == 900
        back = await talk.call("refund_order", order_id=order_id, refunded_amount=100)
        assert (back["outcome"], back["changes"][0]["after"]) == ("confirmation_required", 200)


async def test_an_unknown_status_is_read_and_leaves_to_kustom_what_no_rule_forbids() -> None:
    simulator = Simulator(seeds=())
    order_id = simulator.add_order(ODD | {"status": "UNDER_REVIEW"}).order["order_id"]
    async with conversation(simulator=simulator) as talk:
        shown = await talk.call("get_order", order_id=order_id)
        assert (shown["outcome"], shown["order"]["status"]) == ("ok", "UNDER_REVIEW")
        assert shown["order"]["cannot"] == []
        most = {offered["tool"]: offered["max_amount"] for offered in shown["order"]["can"] if "max_amount" in offered}
        assert most == {"kustom_capture_order": 1000, "kustom_refund_order": 800}  # what is left, and no more


async def test_a_preview_says_what_is_known_of_an_order_in_an_unknown_status() -> None:
    simulator = Simulator(seeds=())
    order_id = simulator.add_order(ODD | {"status": "UNDER_REVIEW"}).order["order_id"]
    unknown = "The status UNDER_REVIEW is none that is known here: Kustom decides whether this is possible."
    async with conversation(simulator=simulator) as talk:
        order = talk.stored(order_id)
        order["fraud_status"] = "ACCEPTED"
        order |= {"captured_amount": 0, "refunded_amount": 0, "remaining_authorized_amount": 0}
        back = await talk.call("refund_order", order_id=order_id, refunded_amount=300)
        assert back["warnings"][:2] == [unknown, _left("refund", order)]
        assert "owed" not in str(back)
        taken = await talk.call("capture_order", order_id=order_id, captured_amount=300)
        assert taken["warnings"][:2] == [unknown, _left("capture", order)]
        order |= {"captured_amount": 1000, "refunded_amount": 200, "remaining_authorized_amount": 300}
        for tool, amount in (("refund_order", "refunded_amount"), ("capture_order", "captured_amount")):
            fitting = await talk.call(tool, {"order_id": order_id, amount: 300})
            assert fitting["warnings"][0] == unknown
            assert "left to" not in str(fitting["warnings"])
        order["status"] = "CAPTURED"
        assert unknown not in (await talk.call("refund_order", order_id=order_id, refunded_amount=300))["warnings"]


def _left(what: str, order: dict[str, Any]) -> str:
    return f"The order shows 0.00 {order['purchase_currency']} left to {what}: Kustom may refuse more."


async def test_a_changed_amount_keeps_every_field_of_the_lines_that_stay() -> None:
    simulator = Simulator(seeds=())
    other = {**LINE, "reference": "B", "name": "Box", "colour": ["red"]}
    order_id = simulator.add_order({"order_lines": [LINE, other], "order_amount": 2000}).order["order_id"]
    async with conversation(simulator=simulator, KUSTOM_CONFIRM="flag") as talk:
        changes = [{"line": 1, "quantity": 1}]
        done = await talk.call("update_order_amount", order_id=order_id, line_changes=changes, confirm=True)
        assert done["outcome"] == "applied"
        halved = {**LINE, "quantity": 1, "total_amount": 500, "total_tax_amount": 100}
        assert talk.writes[0].body == {"order_amount": 1500, "order_lines": [halved, other]}


async def test_a_package_is_captured_and_refunded_as_it_is_written() -> None:
    simulator = Simulator(seeds=())
    line = {name: value for name, value in LINE.items() if name != "bundle"} | {"reference": "PALLET"}
    order_id = simulator.add_order({"order_lines": [line], "order_amount": 1000}).order["order_id"]
    async with conversation(simulator=simulator, KUSTOM_CONFIRM="flag") as talk:
        lines: dict[str, Any] = {"order_id": order_id, "order_lines": [line], "confirm": True}
        assert (await talk.call("capture_order", lines, captured_amount=1000))["outcome"] == "applied"
        assert (await talk.call("refund_order", lines, refunded_amount=1000))["outcome"] == "applied"
        assert [seen.body for seen in talk.writes] == [
            {name: 1000, "order_lines": [line], "reference": OURS} for name in ("captured_amount", "refunded_amount")
        ]
