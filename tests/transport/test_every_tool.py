"""Every tool once, over every wire and in both eras, with a code and with a form. The simulator says what happened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kustom_mcp.tools.catalog import CATALOG
from tests.transport.host import WAYS, Person, Talk, hosting, yes
from tests.transport.kustom import Kustom, demo

TOMATOES = demo("documentation-tomatoes")
BLANKETS = demo("authorized-sek")
LAMP = demo("part-captured-eur")
SOCKS = demo("two-captures-nok")
TOWEL = demo("captured-sek")
KETTLE = demo("partly-refunded-pln")
TENT = demo("expiring-soon-sek")
ALBUM = demo("digital-sek")
UNKNOWN = "00000000-0000-4000-8000-000000000000"

SHIPMENT = {
    "shipping_company": "DHL DE",
    "shipping_method": "Home",
    "tracking_number": "001",
    "tracking_uri": "https://tracking.example.com/001",
}
WRITES = [
    ("POST", "acknowledge", None),
    ("PATCH", "merchant-references", {"merchant_reference1": "SE-1", "merchant_reference2": "web-1"}),
    ("PATCH", "customer-details", {"shipping_address": {"city": "Lund", "postal_code": "22100"}}),
    ("POST", "shipping-info", {"shipping_info": [SHIPMENT]}),
    ("POST", "extend-authorization-time", None),
    ("POST", "cancel", None),
    ("POST", "release-remaining-authorization", None),
]


async def _look_after_orders(talk: Talk) -> list[str]:
    """The reads, and the writes on orders; the outcome of each."""
    answers = [
        await talk.call("get_order", order_id=BLANKETS, include=["lines", "customer", "shipping", "merchant_data"]),
        await talk.call("get_orders", order_ids=[TOWEL, BLANKETS, UNKNOWN, TOMATOES]),
        await talk.call("acknowledge_order", order_id=BLANKETS),
        await talk.agreed(
            "update_order_amount", order_id=BLANKETS, line_changes=[{"line": 2, "quantity": 3}], currency="sek"
        ),
        await talk.call(
            "update_merchant_references", order_id=BLANKETS, merchant_reference1="SE-1", merchant_reference2="web-1"
        ),
        await talk.agreed(
            "update_customer_details", order_id=BLANKETS, shipping_address={"city": "Lund", "postal_code": "22100"}
        ),
        await talk.call("add_shipping_info", order_id=BLANKETS, shipping_info=[SHIPMENT]),
        await talk.call("extend_authorization", order_id=TENT),
        await talk.agreed("cancel_order", order_id=ALBUM),
        await talk.agreed("release_remaining_authorization", order_id=SOCKS),
    ]
    return [answer["outcome"] for answer in answers]


async def _capture_and_refund(talk: Talk, kustom: Kustom) -> list[str]:
    """The captures, the refunds, and Klarna's own; the outcome of each."""
    (capture, *_) = kustom.order(SOCKS)["captures"]
    this = {"order_id": SOCKS, "capture_id": capture["capture_id"]}
    (refund,) = kustom.order(KETTLE)["refunds"]
    options = await talk.call("get_due_date_options", this)
    answers = [
        await talk.agreed(
            "capture_order",
            order_id=LAMP,
            lines=[{"line": 2, "quantity": 1}],
            description="One chair",
            reference="DE-5001-2",
            shipping_info=[SHIPMENT],
        ),
        await talk.call("list_captures", order_id=SOCKS),
        await talk.call("get_capture", this),
        await talk.call("add_capture_shipping_info", this, shipping_info=[SHIPMENT]),
        await talk.agreed(
            "refund_order", order_id=TOWEL, refunded_amount=19900, lines=[{"line": 1, "quantity": 1}], reference="RET-1"
        ),
        await talk.call("get_refund", order_id=KETTLE, refund_id=refund["refund_id"]),
        await talk.call("list_transactions", order_id=KETTLE),
        await talk.call("list_payouts", currency="PLN"),
        await talk.call("trigger_send_out", this),
        options,
        await talk.agreed("extend_due_date", this, number_of_days=options["options"][0]["number_of_days"]),
    ]
    return [answer["outcome"] for answer in answers]


def _as_expected(kustom: Kustom) -> None:
    """Facts that must hold at Kustom afterwards."""
    blankets = kustom.order(BLANKETS)
    assert [line["quantity"] for line in blankets["order_lines"]] == [2, 3, 1, 1, 1]
    assert blankets["order_amount"] == sum(line["total_amount"] for line in blankets["order_lines"]) == 159200 - 12900
    assert (blankets["merchant_reference1"], blankets["merchant_reference2"]) == ("SE-1", "web-1")
    assert (blankets["shipping_address"]["city"], blankets["shipping_address"]["given_name"]) == ("Lund", "Testa")
    assert blankets["shipping_info"] == [SHIPMENT]
    statuses = kustom.listed()
    assert (statuses[ALBUM], statuses[SOCKS], statuses[TOWEL]) == ("CANCELLED", "CAPTURED", "CAPTURED")
    assert kustom.order(SOCKS)["remaining_authorized_amount"] == 0
    assert [capture["captured_amount"] for capture in kustom.order(LAMP)["captures"]] == [24900, 18500]
    (refund,) = kustom.order(TOWEL)["refunds"]
    assert (refund["refunded_amount"], refund["reference"]) == (19900, "RET-1")
    assert [line["reference"] for line in refund["order_lines"]] == ["TOWEL-1"]
    writes = kustom.writes
    assert [write for write in writes if write in WRITES] == WRITES
    assert sorted(path.rpartition("/")[2] for _, path, _ in writes) == sorted(
        [path for _, path, _ in WRITES]
        + ["authorization", "captures", "refunds", "shipping-info", "trigger-send-out", "extend-due-date"]
    )


@pytest.mark.parametrize("person", [None, pytest.param(yes, marks=pytest.mark.exam)], ids=["codes", "forms"])
async def test_every_tool_does_the_same_and_says_the_same_over_every_wire_in_both_eras(
    person: Person | None, kustom: Kustom, tmp_path: Path
) -> None:
    said: list[list[str]] = []
    for wire, mode in WAYS:
        kustom.reset()
        async with hosting(kustom, tmp_path / wire / mode, mode, person, wire) as talk:
            assert len((await talk.client.list_tools()).tools) == len(CATALOG)
            assert await _look_after_orders(talk) == ["ok", "ok", *["applied"] * 8]
            assert await _capture_and_refund(talk, kustom) == [
                *["applied", "ok", "ok", "applied", "applied", "ok", "ok", "ok", "applied", "ok", "applied"]
            ]
            assert len(talk.questions) == (7 if person else 0)
            _as_expected(kustom)
            said.append([*talk.comparable, *talk.questions])
    assert said == [said[0]] * 4


NOT_SENT: list[tuple[str, dict[str, Any], str]] = [
    ("get_order", {"order_id": TOWEL, "includes": ["lines"]}, "UNKNOWN_ARGUMENT"),
    ("get_order", {}, "INVALID_ARGUMENT"),
    ("get_order", {"order_id": f"{TOWEL}/cancel#"}, "INVALID_IDENTIFIER"),
    ("get_order", {"order_id": f"{TOWEL}\n"}, "INVALID_IDENTIFIER"),
    ("get_order", {"order_id": TOWEL[:-1]}, "INVALID_IDENTIFIER"),
    ("get_order", {"order_id": TOWEL.replace("5", "\uff15")}, "INVALID_IDENTIFIER"),
    ("get_order", {"order_id": "SE-19977"}, "INVALID_IDENTIFIER"),
    ("get_orders", {"order_ids": []}, "INVALID_ARGUMENT"),
    ("get_orders", {"order_ids": [f"00000000-0000-4000-8000-{n:012}" for n in range(101)]}, "INVALID_ARGUMENT"),
    ("get_capture", {"order_id": TOWEL, "capture_id": "../refunds"}, "INVALID_IDENTIFIER"),
    ("refund_order", {"order_id": TOWEL}, "INVALID_ARGUMENT"),
    ("refund_order", {"order_id": TOWEL, "refunded_amount": 0}, "AMOUNT_OUT_OF_RANGE"),
    ("refund_order", {"order_id": TOWEL, "refunded_amount": -1}, "AMOUNT_OUT_OF_RANGE"),
    ("refund_order", {"order_id": TOWEL, "refunded_amount": 10**15}, "AMOUNT_OUT_OF_RANGE"),
    ("refund_order", {"order_id": TOWEL, "refunded_amount": "100"}, "INVALID_ARGUMENT"),
    ("refund_order", {"order_id": TOWEL, "refunded_amount": True}, "INVALID_ARGUMENT"),
    ("refund_order", {"order_id": TOWEL, "refunded_amount": 99.9, "currency": "SEK"}, "INVALID_ARGUMENT"),
    ("refund_order", {"order_id": TOWEL, "refunded_amount": 100, "currency": "EUR"}, "CURRENCY_MISMATCH"),
    ("refund_order", {"order_id": TOWEL, "refunded_amount": 100, "amout": 1}, "UNKNOWN_ARGUMENT"),
    ("refund_order", {"order_id": TOWEL, "refunded_amount": 100, "description": "www.example.com"}, "INVALID_ARGUMENT"),
    (
        "refund_order",
        {"order_id": TOWEL, "refunded_amount": 99, "lines": [{"line": 1, "quantity": 1}]},
        "LINES_MISMATCH",
    ),
    ("refund_order", {"order_id": BLANKETS, "refunded_amount": 100}, "ACTION_NOT_ALLOWED"),
    ("capture_order", {"order_id": BLANKETS, "captured_amount": 159201}, "ACTION_NOT_ALLOWED"),
    ("capture_order", {"order_id": BLANKETS}, "INVALID_ARGUMENT"),
    ("update_order_amount", {"order_id": BLANKETS, "order_amount": 100}, "INVALID_ARGUMENT"),
    (
        "update_order_amount",
        {
            "order_id": TOMATOES,
            "order_amount": 5400,
            "order_lines": [{"reference": "123050", "quantity": 9, "total_amount": 5399}],
        },
        "LINES_MISMATCH",
    ),
    ("update_merchant_references", {"order_id": BLANKETS}, "INVALID_ARGUMENT"),
    ("update_customer_details", {"order_id": BLANKETS, "shipping_address": {}}, "INVALID_ARGUMENT"),
    ("add_shipping_info", {"order_id": BLANKETS, "shipping_info": []}, "INVALID_ARGUMENT"),
    ("add_shipping_info", {"order_id": BLANKETS, "shipping_info": [{"tracking_uri": "ftp://a"}]}, "INVALID_ARGUMENT"),
    ("cancel_order", {"order_id": TOWEL}, "ACTION_NOT_ALLOWED"),
    ("release_remaining_authorization", {"order_id": BLANKETS}, "ACTION_NOT_ALLOWED"),
    ("get_order", {"order_id": UNKNOWN}, "NOT_FOUND"),
]
TAKEN: list[tuple[str, dict[str, Any], str]] = [
    ("get_order", {"order_id": TOWEL.upper()}, "ok"),
    ("get_order", {"order_id": f"https://portal.playground.kustom.co/orders/list/{TOWEL}"}, "ok"),
    ("refund_order", {"order_id": TOWEL, "lines": '[{"line": 1, "quantity": 1}]'}, "confirmation_required"),
    (
        "update_order_amount",
        {"order_id": TOMATOES, "order_amount": 5400, "order_lines": [{"reference": "123050", "quantity": 9}]},
        "confirmation_required",
    ),
]


async def test_bad_arguments_are_refused_alike_over_every_wire_and_nothing_is_sent(
    kustom: Kustom, tmp_path: Path
) -> None:
    said: list[list[str]] = []
    got: list[tuple[str, dict[str, Any], str]] = []
    for wire, mode in WAYS:
        async with hosting(kustom, tmp_path / wire / mode, mode, wire=wire) as talk:
            answers = [(tool, arguments, await talk.call(tool, arguments)) for tool, arguments, _ in NOT_SENT + TAKEN]
            said.append(talk.comparable)
        for tool, arguments, answer in answers:
            got.append((tool, arguments, answer["error"]["code"] if "error" in answer else answer["outcome"]))
    assert got == [*NOT_SENT, *TAKEN] * 4
    assert said == [said[0]] * 4
    assert kustom.writes == []
