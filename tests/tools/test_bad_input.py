"""Answers to bad input: a code, the field, what to do next; nothing sent, and never an echo of the value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest

from kustom_mcp.schema.result import ToolError
from kustom_mcp.tools.catalog import CATALOG
from tests.support.conversation import MODES, Mode, Talk, conversation, demo

CANARY = "kanarie4711"
NUMBER = 198_765_432_1
OPEN, TAKEN = demo("authorized-sek"), demo("captured-sek")
SHORT = "c963cfe0-afae-2a3b-b909-6a04e7d8006"
WIDE = OPEN.replace("9", "９", 1)
ADDRESS = {"city": "Stockholm"}


class Bad(NamedTuple):
    """One bad call. `canary` must appear nowhere in the answer, `says` must."""

    tool: str
    arguments: Mapping[str, Any]
    code: str
    field: str | None
    canary: str = CANARY
    says: str = ""

    def on(self, field: str) -> Bad:
        """Return the same call, refused for another field."""
        return self._replace(field=field)


def identifier(value: Any, says: str = "", canary: str = CANARY) -> Bad:
    return Bad("get_order", {"order_id": value}, "INVALID_IDENTIFIER", "order_id", canary, says)


def captured(value: Any, code: str = "INVALID_ARGUMENT", says: str = "", canary: str = str(NUMBER), **more: Any) -> Bad:
    arguments = {"order_id": OPEN, "captured_amount": value, **more}
    return Bad("capture_order", arguments, code, "captured_amount", canary, says)


def refunded(value: Any, code: str = "INVALID_ARGUMENT", says: str = "", canary: str = str(NUMBER)) -> Bad:
    arguments = {"order_id": TAKEN, "refunded_amount": value}
    return Bad("refund_order", arguments, code, "refunded_amount", canary, says)


def tracked(uri: Any, says: str = "shipping_info[1].tracking_uri: it") -> Bad:
    arguments = {"order_id": OPEN, "shipping_info": [{"tracking_number": "1"}, {"tracking_uri": uri}]}
    return Bad("add_shipping_info", arguments, "INVALID_ARGUMENT", "shipping_info[1].tracking_uri", CANARY, says)


def lines(count: int) -> list[dict[str, int]]:
    return [{"line": 1, "quantity": 1}] * count


WHOLE = "captured_amount must be a whole number of minor units"

REFUSED_UNREAD: dict[str, list[Bad]] = {
    "an id with a path in it": [
        identifier(f"{OPEN}/cancel#{CANARY}"),
        identifier(f"../{CANARY}/{OPEN}"),
        identifier(f"{OPEN}%2Fcancel{CANARY}"),
        Bad("acknowledge_order", {"order_id": f"{OPEN}/cancel#{CANARY}"}, "INVALID_IDENTIFIER", "order_id"),
        Bad(
            "get_capture",
            {"order_id": TAKEN, "capture_id": f"../{CANARY}"},
            "INVALID_IDENTIFIER",
            "capture_id",
        ),
        Bad(
            "get_refund",
            {"order_id": TAKEN, "refund_id": f"{CANARY}?x"},
            "INVALID_IDENTIFIER",
            "refund_id",
        ),
        Bad(
            "get_capture",
            {"order_id": TAKEN, "capture_id": CANARY * 6},
            "INVALID_IDENTIFIER",
            "capture_id",
        ),
    ],
    "an id with a full-width digit": [
        identifier(WIDE, canary=WIDE),
        Bad("get_capture", {"order_id": TAKEN, "capture_id": f"９{CANARY}"}, "INVALID_IDENTIFIER", "capture_id"),
    ],
    "an id with white space around it": [
        identifier(f"{OPEN}\n", "white space", canary=OPEN),
        identifier(f" {OPEN}", "white space", canary=OPEN),
        Bad("get_capture", {"order_id": TAKEN, "capture_id": f"{CANARY}\n"}, "INVALID_IDENTIFIER", "capture_id"),
    ],
    "an id that is nearly one": [
        identifier(" ", "order_id: it is empty: an order id has 5 groups between hyphens", canary="' '"),
        identifier(f"{CANARY}, {'x' * 40}", "it has 1 group between hyphens, 5 expected"),
        identifier(SHORT, "the last group has 11 characters, 12 expected", canary=SHORT),
        identifier(f"{OPEN[:-1]}g", "the last group has a character other than 0-9 and a-f", canary=OPEN[:-1]),
        identifier(OPEN.replace("-", ""), "5 expected (8-4-4-4-12 characters)", canary=OPEN.replace("-", "")),
    ],
    "an e-mail address in place of an id": [identifier(f"{CANARY}@example.com", "Ask for the order number")],
    "a merchant reference in place of an id": [
        identifier(f"SE-{CANARY}", "merchant reference"),
        identifier("SE-20451", "With kustom_find_orders an order is found", canary="20451"),
    ],
    "an id that is no text": [
        identifier(NUMBER, canary=str(NUMBER)),
        identifier(True),
        identifier([OPEN], canary=OPEN),
    ],
    "a link that only looks like the portal": [
        identifier(f"https://portal.kustom.co.{CANARY}.example/orders/list/{OPEN}"),
        identifier(f"https://portal.kustom.co@{CANARY}.example/orders/list/{OPEN}"),
        identifier(f"http://portal.kustom.co/orders/list/{OPEN}?merchantId={CANARY}"),
        identifier(f"https://portal.kustom.co/orders/list/{OPEN}/cancel/{CANARY}"),
        identifier(f"https://portal.kustom.co/orders/list/{OPEN}#{CANARY}"),
        identifier(f"https://portal.kustom.co/orders/list/{OPEN}?merchantId=M1&next={CANARY}"),
        identifier(f"https://portal.kustom.co:8443/orders/list/{OPEN}?{CANARY}"),
        identifier(f"{CANARY} https://portal.kustom.co/orders/list/{OPEN}"),
    ],
    "an unknown argument": [
        Bad("refund_order", {"order_id": TAKEN, "amout": CANARY}, "UNKNOWN_ARGUMENT", "amout", says="refunded_amount"),
        Bad(
            "cancel_order",
            {"order_id": OPEN, "confirmed": CANARY},
            "UNKNOWN_ARGUMENT",
            "confirmed",
        ),
        Bad(
            "get_order", {"order_id": OPEN, "confirm": CANARY}, "UNKNOWN_ARGUMENT", "confirm", says="order_id, include"
        ),
        Bad("get_order", {"order_id": OPEN, f"{CANARY}!": 1}, "UNKNOWN_ARGUMENT", None),
        Bad("get_order", {"order_id": OPEN, CANARY * 100_000: 1}, "UNKNOWN_ARGUMENT", None),
        Bad(
            "capture_order",
            {"order_id": OPEN, "lines": [{"line": 1, "quantity": 1, "qty": CANARY}]},
            "UNKNOWN_ARGUMENT",
            "lines[0].qty",
        ),
        Bad(
            "update_customer_details",
            {"order_id": OPEN, "shipping_address": {"street": CANARY}},
            "UNKNOWN_ARGUMENT",
            "shipping_address.street",
            says="street_address",
        ),
    ],
    "a missing argument": [
        Bad("get_order", {}, "INVALID_ARGUMENT", "order_id", says="order_id is missing"),
        Bad("add_shipping_info", {"order_id": OPEN}, "INVALID_ARGUMENT", "shipping_info"),
        Bad("capture_order", {"order_id": OPEN, "lines": [{"line": 1}]}, "INVALID_ARGUMENT", "lines[0].quantity"),
    ],
    "a boolean or a text for an amount": [
        captured(True, says=WHOLE),
        captured(str(NUMBER), says=WHOLE),
        captured("all", says=WHOLE),
        captured([NUMBER], says=WHOLE),
        refunded(False),
        refunded(f"{NUMBER} SEK"),
        Bad(
            "update_order_amount",
            {"order_id": OPEN, "order_amount": str(NUMBER)},
            "INVALID_ARGUMENT",
            "order_amount",
            str(NUMBER),
        ),
        Bad(
            "capture_order",
            {"order_id": OPEN, "lines": [{"line": True, "quantity": 1}]},
            "INVALID_ARGUMENT",
            "lines[0].line",
        ),
    ],
    "a fraction": [
        captured(1987.65, says="9990 means 99.90", canary="1987"),
        captured(1987.65, says="that is 198765.", canary="1987.65", currency="SEK"),
        captured(1987.0, says="that is 1987.", canary="1987.0", currency="JPY"),
        captured(19.875, says=WHOLE, canary="1987", currency="SEK"),
        captured(1.0, says=WHOLE),
        refunded(99.9, says="whole number of minor units"),
        Bad(
            "extend_due_date",
            {"order_id": TAKEN, "capture_id": "x", "number_of_days": 14.5},
            "INVALID_ARGUMENT",
            "number_of_days",
            "14.5",
        ),
    ],
    "not a number": [captured("NaN"), captured("Infinity")],
    "an amount that no order has": [
        captured(-NUMBER, "AMOUNT_OUT_OF_RANGE"),
        captured(NUMBER, "AMOUNT_OUT_OF_RANGE"),
        captured(10**30, "AMOUNT_OUT_OF_RANGE", canary="0" * 20),
        captured(-(10**30), "AMOUNT_OUT_OF_RANGE", canary="0" * 20),
        captured(0, "AMOUNT_OUT_OF_RANGE", says="0 never means everything"),
        refunded(0, "AMOUNT_OUT_OF_RANGE", says="0 never means everything"),
        refunded(-NUMBER, "AMOUNT_OUT_OF_RANGE"),
        Bad(
            "update_order_amount",
            {"order_id": OPEN, "order_amount": -NUMBER},
            "AMOUNT_OUT_OF_RANGE",
            "order_amount",
            str(NUMBER),
        ),
    ],
    "nothing where something is needed": [
        Bad("get_order", {"order_id": None}, "INVALID_ARGUMENT", "order_id", says="is missing: null was sent"),
        Bad("get_order", {"order_id": ""}, "INVALID_ARGUMENT", "order_id", says="is missing: it was sent empty"),
        Bad("get_orders", {"order_ids": [None, ""]}, "INVALID_ARGUMENT", "order_ids", says="it was sent empty"),
        Bad("get_orders", {"order_ids": [None, CANARY]}, "INVALID_IDENTIFIER", "order_ids[1]"),
        Bad("get_order", {"order_id": OPEN, CANARY * 1000: None}, "UNKNOWN_ARGUMENT", None),
    ],
    "blanks where the customer reads a text": [
        captured(100, description=" \u200b", canary="200b").on("description"),
        captured(100, reference="\u00a0", canary="a0").on("reference"),
        Bad(
            "add_shipping_info",
            {"order_id": OPEN, "shipping_info": [{"shipping_company": " ", "tracking_number": "1"}]},
            "INVALID_ARGUMENT",
            "shipping_info[0].shipping_company",
            says="no visible character; write what the customer shall read, or leave it out",
        ),
    ],
    "a field that is set and cleared": [
        Bad(
            "update_merchant_references",
            {"order_id": OPEN, "merchant_reference2": CANARY, "clear": ["merchant_reference2"]},
            "INVALID_ARGUMENT",
            "clear",
            says="merchant_reference2 is given a value and named in clear as well",
        ),
        Bad(
            "update_customer_details",
            {"order_id": OPEN, "shipping_address": {"region": CANARY}, "clear": ["phone", "region"]},
            "INVALID_ARGUMENT",
            "clear",
        ),
        Bad(
            "update_customer_details",
            {"order_id": OPEN, "clear": ["phone", CANARY]},
            "INVALID_ARGUMENT",
            "clear[1]",
            says="street_address2",
        ),
        Bad("update_merchant_references", {"order_id": OPEN, "clear": [CANARY]}, "INVALID_ARGUMENT", "clear[0]"),
    ],
    "more than anybody needs": [
        Bad("capture_order", {"order_id": OPEN, "lines": lines(10_000)}, "INVALID_ARGUMENT", "lines", says="1000"),
        Bad("get_orders", {"order_ids": [OPEN] * 10_000}, "INVALID_ARGUMENT", "order_ids", says="100"),
        Bad("get_orders", {"order_ids": []}, "INVALID_ARGUMENT", "order_ids"),
        Bad("add_shipping_info", {"order_id": OPEN, "shipping_info": []}, "INVALID_ARGUMENT", "shipping_info"),
        Bad("add_shipping_info", {"order_id": OPEN, "shipping_info": [{}]}, "INVALID_ARGUMENT", "shipping_info"),
        Bad(
            "update_customer_details",
            {"order_id": OPEN, "shipping_address": {}},
            "INVALID_ARGUMENT",
            "shipping_address",
        ),
    ],
    "five megabytes of text": [
        captured(1000, description=CANARY * 500_000)._replace(field="description", canary=CANARY, says="255"),
        captured(CANARY * 500_000, canary=CANARY),
        identifier(CANARY * 500_000),
        identifier("-" * 5_000_000, canary="-----"),
        Bad(
            "update_merchant_references",
            {"order_id": OPEN, "merchant_reference1": CANARY * 500_000},
            "INVALID_ARGUMENT",
            "merchant_reference1",
        ),
        Bad("capture_order", {"order_id": OPEN, "lines": CANARY * 500_000}, "INVALID_ARGUMENT", "lines"),
    ],
    "an object as a text that does not keep the rules": [
        Bad(
            "capture_order",
            {"order_id": OPEN, "lines": json.dumps([{"line": 1, "quantity": "1", "x": CANARY}])},
            "UNKNOWN_ARGUMENT",
            "lines[0].x",
        ),
        Bad("capture_order", {"order_id": OPEN, "lines": f'[{{"line": {CANARY}'}, "INVALID_ARGUMENT", "lines"),
        Bad("capture_order", {"order_id": OPEN, "lines": f'"{CANARY}"'}, "INVALID_ARGUMENT", "lines"),
        Bad("capture_order", {"order_id": OPEN, "lines": "[" * 100_000}, "INVALID_ARGUMENT", "lines", "[[["),
        Bad(
            "update_customer_details",
            {"order_id": OPEN, "shipping_address": json.dumps([CANARY])},
            "INVALID_ARGUMENT",
            "shipping_address",
        ),
    ],
    "a tracking link that is none": [
        tracked(f"https://{CANARY}:secret@track.example.com/1"),
        tracked(f"javascript:alert('{CANARY}')"),
        tracked(f"data:text/html,{CANARY}"),
        tracked(f"//track.example.com/{CANARY}"),
        tracked(f"https:///{CANARY}"),
        tracked(f"https://track.example.com/{CANARY}\n"),
        tracked(f"https://track.example.com:99999/{CANARY}"),
        tracked(f"https://track.example.com\\.{CANARY}.example/"),
        tracked(f"https://tráck.example.com/{CANARY}"),
        tracked(f"https://track%2eexample.com/{CANARY}"),
        tracked(f"https://track.example.com/{CANARY * 200}", says="1024"),
        Bad(
            "add_capture_shipping_info",
            {"order_id": TAKEN, "capture_id": "c", "shipping_info": [{"return_tracking_uri": f"ftp://{CANARY}"}]},
            "INVALID_ARGUMENT",
            "shipping_info[0].return_tracking_uri",
        ),
        Bad(
            "capture_order",
            {"order_id": OPEN, "captured_amount": 1000, "shipping_info": [{"tracking_uri": f"ftp://{CANARY}"}]},
            "INVALID_ARGUMENT",
            "shipping_info[0].tracking_uri",
        ),
    ],
    "a link in a text that the customer sees": [
        captured(1000, description=f"See https://{CANARY}.example")._replace(field="description", canary=CANARY),
        captured(1000, description=f"See www.{CANARY}.example/x")._replace(field="description", canary=CANARY),
        Bad(
            "refund_order",
            {"order_id": TAKEN, "refunded_amount": 100, "description": f"http://{CANARY}"},
            "INVALID_ARGUMENT",
            "description",
        ),
        Bad(
            "update_order_amount",
            {
                "order_id": OPEN,
                "line_changes": [{"line": 1, "quantity": 1}],
                "description": f"//{CANARY}.com/x www.x.com",
            },
            "INVALID_ARGUMENT",
            "description",
        ),
        captured(1000, reference=f"bit.ly/{CANARY}")._replace(field="reference", canary=CANARY),
        Bad(
            "refund_order",
            {"order_id": TAKEN, "refunded_amount": 100, "reference": f"www.{CANARY}.example"},
            "INVALID_ARGUMENT",
            "reference",
        ),
        *(
            Bad("update_merchant_references", {"order_id": OPEN, name: f"{CANARY}.com"}, "INVALID_ARGUMENT", name)
            for name in ("merchant_reference1", "merchant_reference2")
        ),
        *(
            Bad(
                "add_shipping_info",
                {"order_id": OPEN, "shipping_info": [{name: f"{CANARY}.example/x"}]},
                "INVALID_ARGUMENT",
                f"shipping_info[0].{name}",
            )
            for name in ("shipping_company", "tracking_number", "return_shipping_company", "return_tracking_number")
        ),
    ],
    "a value that Kustom does not know": [
        Bad(
            "get_order", {"order_id": OPEN, "include": [CANARY]}, "INVALID_ARGUMENT", "include[0]", says="merchant_data"
        ),
        Bad(
            "add_shipping_info",
            {"order_id": OPEN, "shipping_info": [{"shipping_method": CANARY}]},
            "INVALID_ARGUMENT",
            "shipping_info[0].shipping_method",
            says="PickUpStore",
        ),
        captured(1000, currency=CANARY)._replace(field="currency", canary=CANARY, says="three letters"),
        Bad(
            "update_customer_details",
            {"order_id": OPEN, "shipping_address": {"country": CANARY}},
            "INVALID_ARGUMENT",
            "shipping_address.country",
            says="two letters",
        ),
        Bad(
            "update_customer_details",
            {"order_id": OPEN, "shipping_address": {"postal_code": CANARY}},
            "INVALID_ARGUMENT",
            "shipping_address.postal_code",
            says="10",
        ),
    ],
    "nothing that says how much": [
        Bad("update_merchant_references", {"order_id": OPEN}, "INVALID_ARGUMENT", "merchant_reference1"),
        Bad("update_customer_details", {"order_id": OPEN, "clear": []}, "INVALID_ARGUMENT", "shipping_address"),
    ],
}
"""Refused by the arguments alone: not even a read leaves."""


def line(reference: str, total: int, **more: Any) -> dict[str, Any]:
    return {
        "reference": reference,
        "name": reference,
        "quantity": 1,
        "unit_price": total,
        "total_amount": total,
        **more,
    }


REFUSED_AFTER_READING: dict[str, list[Bad]] = {
    "a currency that is not the order's": [
        captured(1000, "CURRENCY_MISMATCH", "SEK", "EUR", currency="EUR")._replace(field="currency"),
        Bad(
            "refund_order",
            {"order_id": TAKEN, "refunded_amount": 100, "currency": "nok"},
            "CURRENCY_MISMATCH",
            "currency",
            "NOK",
            "SEK",
        ),
        Bad(
            "update_order_amount",
            {"order_id": OPEN, "line_changes": [{"line": 1, "quantity": 1}], "currency": "PLN"},
            "CURRENCY_MISMATCH",
            "currency",
            "PLN",
            "SEK",
        ),
    ],
    "lines that do not add up": [
        captured(1234, "LINES_MISMATCH", "499.00", canary=CANARY, lines=[{"line": 1, "quantity": 1}]),
        Bad(
            "update_order_amount",
            {"order_id": OPEN, "order_amount": 99_999, "order_lines": [line("MUG-04", 51_600)]},
            "LINES_MISMATCH",
            "order_lines",
            says="516.00",
        ),
        Bad(
            "update_order_amount",
            {
                "order_id": OPEN,
                "order_amount": 51_600,
                "order_lines": [{**line(CANARY, 51_600), "quantity": 3}],
            },
            "LINES_MISMATCH",
            "order_lines[0]",
        ),
        Bad(
            "update_order_amount",
            {"order_id": OPEN, "order_amount": 1, "line_changes": [{"line": 2, "quantity": 3}]},
            "LINES_MISMATCH",
            "order_amount",
        ),
    ],
    "lines that the order does not have": [
        Bad(
            "capture_order",
            {"order_id": OPEN, "lines": [{"line": 6, "quantity": 1}]},
            "INVALID_ARGUMENT",
            "lines[0].line",
        ),
        Bad(
            "capture_order",
            {"order_id": OPEN, "lines": [{"line": 1, "quantity": 3}]},
            "INVALID_ARGUMENT",
            "lines[0].quantity",
        ),
        Bad(
            "update_order_amount",
            {"order_id": OPEN, "line_changes": [{"line": 9, "quantity": 1}]},
            "INVALID_ARGUMENT",
            "line_changes[0].line",
        ),
        Bad(
            "capture_order",
            {"order_id": OPEN, "lines": [{"line": 1, "quantity": 1}] * 2},
            "INVALID_ARGUMENT",
            "lines[1].line",
        ),
    ],
    "nothing that says how much, or two things": [
        Bad("capture_order", {"order_id": OPEN}, "INVALID_ARGUMENT", "captured_amount", says="send captured_amount"),
        Bad("capture_order", {"order_id": OPEN, "lines": []}, "INVALID_ARGUMENT", "captured_amount"),
        *(captured(none, says="send captured_amount") for none in (None, "", float("nan"), float("inf"))),
        Bad("refund_order", {"order_id": TAKEN}, "INVALID_ARGUMENT", "refunded_amount"),
        Bad("update_order_amount", {"order_id": OPEN}, "INVALID_ARGUMENT", "line_changes"),
        Bad("update_order_amount", {"order_id": OPEN, "order_amount": 100}, "INVALID_ARGUMENT", "line_changes"),
        Bad(
            "capture_order",
            {"order_id": OPEN, "lines": [{"line": 1, "quantity": 1}], "order_lines": [line(CANARY, 100)]},
            "INVALID_ARGUMENT",
            "lines",
        ),
        Bad(
            "capture_order",
            {"order_id": OPEN, "order_lines": [{"name": CANARY, "quantity": 1}]},
            "INVALID_ARGUMENT",
            "captured_amount",
        ),
        Bad(
            "capture_order",
            {"order_id": OPEN, "captured_amount": 100, "order_lines": [{"reference": CANARY, "quantity": 1}]},
            "INVALID_ARGUMENT",
            "order_lines[0].name",
        ),
        Bad(
            "capture_order",
            {"order_id": OPEN, "order_lines": [line(CANARY, -100)]},
            "AMOUNT_OUT_OF_RANGE",
            "captured_amount",
        ),
    ],
}


async def refused(talk: Talk, bad: Bad) -> dict[str, Any]:
    """Make the bad call, and hold the answer to what every refusal promises."""
    what = f"{bad.tool} {str(dict(bad.arguments))[:200]}"
    answer = await talk.call(bad.tool, bad.arguments)
    assert answer["outcome"] == "not_sent", what
    error = answer["error"]
    assert (error["code"], error.get("field"), error["retry"]) == (bad.code, bad.field, "never"), (what, answer)
    assert answer.get("next_step"), (what, answer)
    assert "othing was sent" in error["message"], (what, answer)
    told = json.dumps(answer, ensure_ascii=False)
    assert bad.canary not in told, (what, answer)
    assert bad.says in told, (what, answer)
    assert len(told) < 4_000, what
    assert talk.sent == [], what
    return answer


@pytest.mark.parametrize("kind", REFUSED_UNREAD)
async def test_what_is_wrong_in_itself_is_refused_before_a_request_exists(kind: str) -> None:
    async with conversation(KUSTOM_TOOLS="all") as talk:
        for bad in REFUSED_UNREAD[kind]:
            answer = await refused(talk, bad)
            assert set(answer) == {"outcome", "environment", "summary", "next_step", "error"}
            assert talk.requests == []


@pytest.mark.parametrize("kind", REFUSED_AFTER_READING)
async def test_what_does_not_fit_the_order_is_refused_after_reading_it(kind: str) -> None:
    async with conversation() as talk:
        for bad in REFUSED_AFTER_READING[kind]:
            answer = await refused(talk, bad)
            assert answer["order"]["order_id"] == bad.arguments["order_id"]


async def test_handshake_clients_get_the_same_refusals() -> None:
    answers: list[list[dict[str, Any]]] = []
    cases = [bad for kind, several in REFUSED_UNREAD.items() if "megabytes" not in kind for bad in several]
    for mode in MODES:
        async with conversation(mode, KUSTOM_TOOLS="all") as talk:
            answers.append([await talk.call(bad.tool, bad.arguments) for bad in cases])
    assert answers[0] == answers[1]


@pytest.mark.parametrize("mode", MODES)
async def test_a_code_for_other_arguments_executes_nothing_and_brings_a_fresh_preview(mode: Mode) -> None:
    async with conversation(mode) as talk:
        preview = await talk.call("capture_order", order_id=OPEN, captured_amount=4900)
        code = preview["confirm"]["code"]
        answer = await talk.call("capture_order", order_id=OPEN, captured_amount=49900, confirm=code)
        assert (answer["outcome"], answer["error"]) == (
            "not_sent",
            {
                "code": "CONFIRMATION_MISMATCH",
                "message": "This code was given for another call: operation, order or arguments differ. "
                "Nothing was sent.",
                "field": "confirm",
                "retry": "new_preview",
            },
        )
        assert answer["changes"][0] == {"field": "captured_amount", "before": 0, "after": 49900}
        assert code not in json.dumps(answer)
        assert talk.sent == []


@pytest.mark.parametrize("confirm", [True, "yes", CANARY * 500_000, 1, {"code": CANARY}, f"capture-49.00SEK-{CANARY}."])
async def test_what_is_no_code_executes_nothing(confirm: Any) -> None:
    async with conversation() as talk:
        answer = await talk.call("capture_order", order_id=OPEN, captured_amount=4900, confirm=confirm)
        assert (answer["outcome"], answer["error"]["code"]) == ("not_sent", "CONFIRMATION_INVALID")
        assert answer["confirm"]["code"].startswith("capture-49.00SEK-c963cfe0.")
        assert CANARY not in json.dumps(answer)
        assert talk.sent == []


async def test_a_mistyped_confirm_names_confirm() -> None:
    async with conversation() as talk:
        answer = await talk.call("cancel_order", order_id=OPEN, confrim=CANARY)
        assert "Did you mean confirm?" in answer["error"]["message"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_not_a_number_is_refused_where_a_transport_lets_it_through(value: float) -> None:
    with pytest.raises(ToolError) as caught:
        CATALOG["kustom_capture_order"].parse({"order_id": OPEN, "captured_amount": value, "currency": "SEK"})
    assert (caught.value.code, caught.value.field) == ("INVALID_ARGUMENT", "captured_amount")
    assert "whole number of minor units" in caught.value.message


async def test_every_tool_refuses_an_order_id_with_a_path() -> None:
    async with conversation(KUSTOM_TOOLS="all") as talk:
        for tool in set(talk.schemas) - {"kustom_find_orders", "kustom_list_payouts"}:  # they take none
            name, value = ("order_ids", [f"{OPEN}/x"]) if tool == "kustom_get_orders" else ("order_id", f"{OPEN}/x")
            others = {
                "capture_id": "c",
                "refund_id": "r",
                "number_of_days": 1,
                "shipping_info": [{"tracking_number": "1"}],
                "shipping_address": ADDRESS,
            }
            needed = {tool.name: tool for tool in (await talk.client.list_tools()).tools}[tool].input_schema
            arguments = {key: other for key, other in others.items() if key in needed.get("required", ())} | {
                name: value
            }
            answer = await talk.call(tool, arguments)
            assert answer["error"]["code"] == "INVALID_IDENTIFIER"
            assert answer["error"]["field"].startswith(name)
        assert talk.requests == []


@pytest.mark.parametrize(
    "link",
    [
        f"https://portal.kustom.co/orders/list/{OPEN}",
        f"https://portal.kustom.co/orders/list/{OPEN.upper()}/?merchantId=M123456",
        f"https://portal.playground.kustom.co/orders/list/{OPEN}?merchantId=PM-1_2",
        OPEN.upper(),
    ],
)
async def test_a_portal_link_and_capital_letters_are_taken_for_the_id(link: str) -> None:
    async with conversation() as talk:
        answer = await talk.call("get_order", order_id=link)
        assert answer["order"]["order_id"] == OPEN
        assert [seen.path for seen in talk.requests] == [f"/ordermanagement/v1/orders/{OPEN}"]


async def test_an_object_sent_as_a_json_text_is_read() -> None:
    async with conversation() as talk:
        as_text = {
            "order_id": OPEN,
            "lines": json.dumps([{"line": 1, "quantity": 1}]),
            "shipping_info": json.dumps([{"tracking_number": "1"}]),
        }
        as_value = {
            "order_id": OPEN,
            "lines": [{"line": 1, "quantity": 1}],
            "shipping_info": [{"tracking_number": "1"}],
        }
        preview = await talk.call("capture_order", as_text)
        answer = await talk.call("capture_order", as_value, confirm=preview["confirm"]["code"])
        assert answer["outcome"] == "applied"


PART_OF_ONE: list[tuple[str, dict[str, Any], str]] = [
    ("refund_order", {"lines": [{"line": 1, "quantity": 0.5}]}, "quantity 1 with total_amount"),
    ("refund_order", {"order_lines": [{"quantity": 0.5, "total_amount": 100}]}, "refunded_amount without lines"),
    ("capture_order", {"lines": [{"line": 1, "quantity": 0.5}]}, "captured_amount without lines"),
    ("update_order_amount", {"line_changes": [{"line": 1, "quantity": 1.5}]}, "unit_price"),
    ("update_order_amount", {"line_changes": [{"line": 1, "unit_price": 3333.5}]}, "whole minor units"),
    ("refund_order", {"lines": [{"line": 1, "quantity": 1, "total_amount": 9.5}]}, "whole minor units"),
    ("refund_order", {"lines": [{"line": 1, "quantity": 1}], "return_fee": 49.5}, "whole minor units"),
    ("refund_order", {"lines": [{"line": 1.5, "quantity": 1}]}, "Correct the argument"),
]


@pytest.mark.parametrize(("tool", "given", "would_do"), PART_OF_ONE)
async def test_a_fraction_is_answered_with_the_call_that_would_do(
    tool: str, given: dict[str, Any], would_do: str
) -> None:
    async with conversation() as talk:
        answer = await talk.call(tool, given, order_id=TAKEN)
        assert (answer["outcome"], answer["error"]["code"], talk.requests) == ("not_sent", "INVALID_ARGUMENT", [])
        assert would_do in answer["next_step"]


async def test_a_text_argument_that_looks_like_json_stays_a_text() -> None:
    async with conversation() as talk:
        await talk.call("update_merchant_references", order_id=OPEN, merchant_reference1='["a"]')
        assert talk.sent[0][2] == {"merchant_reference1": '["a"]'}


async def test_tracking_links_name_hosts_that_the_operator_listed() -> None:
    refused_links = [
        f"https://{CANARY}.example/1",
        "https://track.example.com.evil.example/1",
        "https://evil.example/?track.example.com",
        "https://xtrack.example.com/1",
    ]
    async with conversation(KUSTOM_TRACKING_HOSTS="track.example.com,dhl.example") as talk:
        for uri in refused_links:
            for tool, more in (
                ("add_shipping_info", {}),
                ("add_capture_shipping_info", {"capture_id": "c"}),
                ("capture_order", {"captured_amount": 1000}),
            ):
                given = {"order_id": OPEN, "shipping_info": [{"tracking_uri": uri}], **more}
                bad = Bad(
                    tool, given, "NOT_PERMITTED", "shipping_info[0].tracking_uri", CANARY, "KUSTOM_TRACKING_HOSTS"
                )
                await refused(talk, bad)
        good = [{"tracking_uri": "https://TRACK.example.com/1", "return_tracking_uri": "http://dhl.example:8080/?q=1"}]
        answer = await talk.call("add_shipping_info", order_id=OPEN, shipping_info=good)
        assert answer["outcome"] == "applied"
