"""Quantities of a line in captures, less refunds: lines recognised, quantities counted, prices, refusals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kustom_mcp.api import order_rules as rules
from kustom_mcp.api.models import Order
from kustom_mcp.orders.line_selection import Built, Pick, changed, from_lines, must_be_left, refunded
from kustom_mcp.orders.refundable import BY_AMOUNT, SECOND, UNCAPTURED, WHOLE, Refundable
from kustom_mcp.schema.result import ToolError
from kustom_mcp.simulator.app import Simulator
from tests.support.direct import ask

Line = dict[str, Any]


def shirt(price: int, quantity: int = 1, **more: Any) -> Line:
    """One article number, at whatever price."""
    total = quantity * price
    line = {"reference": "SHIRT", "name": "Shirt", "quantity": quantity, "unit_price": price, "tax_rate": 2500}
    return line | {"total_amount": total, "total_tax_amount": total // 5} | more


MUG = shirt(1000, 4) | {"reference": "MUG", "name": "Mug"}
SHIPPING = shirt(500) | {"reference": "SHIP", "name": "Parcel", "type": "shipping_fee"}


def order(
    *lines: Line, captures: Sequence[Sequence[Line]] = (), refunds: Sequence[Sequence[Line]] = (), **fields: Any
) -> Order:
    """An order of these lines; captures and refunds by the lines that they name, amounts as they add up."""

    def entries(name: str, named: Sequence[Sequence[Line]]) -> list[dict[str, Any]]:
        return [{name: sum(line.get("total_amount", 0) for line in entry), "order_lines": [*entry]} for entry in named]

    ordered = sum(line.get("total_amount", 0) for line in lines)
    held = entries("captured_amount", captures)
    captured = sum(entry["captured_amount"] for entry in held)
    return Order.model_validate(
        {
            "order_id": "00000000-0000-4000-8000-000000000001",
            "status": "PART_CAPTURED",
            "purchase_currency": "SEK",
            "order_amount": ordered,
            "original_order_amount": ordered,
            "captured_amount": captured,
            "remaining_authorized_amount": ordered - captured,
            "order_lines": [*lines],
            "captures": held,
            "refunds": entries("refunded_amount", refunds),
            **fields,
        }
    )


def counted(held: Order) -> list[tuple[int, int]]:
    """Captured and refunded quantity of each line."""
    return [(seen["captured"], seen["refunded"]) for seen in Refundable(held).view()]


def refused(call: Callable[..., object], *args: Any) -> tuple[str, str | None, str, str | None]:
    with pytest.raises(ToolError) as caught:
        call(*args)
    return caught.value.code, caught.value.field, caught.value.sentence, caught.value.next_step


# Which line is meant


@pytest.mark.parametrize(
    ("lines", "captured", "expected"),
    [
        ([shirt(500), shirt(900)], shirt(900), [0, 1]),
        ([shirt(500), shirt(900)], {"reference": "SHIRT", "quantity": 1, "total_amount": 900}, [0, 1]),
        ([shirt(500), shirt(500, name="Red")], shirt(500, name="Red"), [0, 1]),
        ([shirt(500), shirt(500, tax_rate=600)], shirt(500, tax_rate=600), [0, 1]),
        ([shirt(500), shirt(500, type="digital")], shirt(500, type="digital"), [0, 1]),
        ([shirt(500, 2), shirt(500, 1)], shirt(500, 3), [2, 1]),
        ([shirt(500, 2), shirt(500, 1)], shirt(500, 1), [0, 1]),
        ([shirt(500, 2), shirt(500, 3)], shirt(500, 1), [1, 0]),
        ([shirt(500, 2), shirt(500, 1)], shirt(500, 9), [2, 7]),
        ([shirt(500)], shirt(700, name="Blouse"), [1]),
        ([shirt(500), MUG], {"name": "Mug", "quantity": 3}, [0, 3]),
        ([shirt(500), {"name": "Mug", "quantity": 4}], MUG, [0, 4]),
        ([shirt(500), MUG], {"reference": "LAMP", "name": "Mug", "quantity": 3}, [0, 0]),
        ([shirt(500), MUG], {"quantity": 3}, [0, 0]),
        ([shirt(500), MUG], {"reference": "MUG"}, [0, 0]),
    ],
)
def test_a_captured_line_is_recognised_by_what_it_is(lines: list[Line], captured: Line, expected: list[int]) -> None:
    assert [captured for captured, _ in counted(order(*lines, captures=[[captured]]))] == expected


def test_a_line_that_may_be_one_of_two_at_different_prices_is_neither() -> None:
    held = order(shirt(500), shirt(900), MUG, captures=[[{"reference": "SHIRT", "quantity": 1}, MUG]])

    unclear = {"captured": 0, "refunded": 0, "by_lines": False}
    assert Refundable(held).view()[:2] == [{"line": 1, **unclear}, {"line": 2, **unclear}]
    assert counted(held)[2] == (4, 0)
    assert refused(refunded, held, [(2, 1)]) == (
        "ACTION_NOT_ALLOWED",
        "lines[0].line",
        "It cannot be told what was captured or refunded of line 2: other lines have its reference or name at another "
        "price.",
        BY_AMOUNT,
    )


def test_more_of_a_line_than_is_left_of_the_order_is_not_promised_by_lines() -> None:
    held = order(MUG, captures=[[MUG]], refunded_amount=2500)
    assert Refundable(held).view() == [
        {"line": 1, "captured": 4, "refunded": 0, "left": 4, "unit_price": 1000, "by_lines": False, "left_amount": 1500}
    ]
    assert refunded(held, [(1, 1)]).amount == 1000
    assert refunded(held, [(1, 4)]).amount == 4000  # which is above what is left, and refused for that


def test_a_piece_that_a_refund_by_lines_would_refuse_is_not_promised_by_lines() -> None:
    dear, cheap = shirt(2500) | {"total_amount": 2501}, shirt(2500, 4) | {"total_amount": 9999}
    sent = [dear, shirt(2500, 3) | {"total_amount": 7499, "total_tax_amount": 1500}]
    held = order(cheap, dear, captures=[[cheap], [dear]], refunds=[sent])

    left = Refundable(held).view()[0]
    assert left == {
        "line": 1, "captured": 4, "refunded": 3, "left": 1, "unit_price": 2499, "by_lines": False, "left_amount": 2500
    }  # fmt: skip
    assert refused(refunded, held, [(1, 1)]) == (
        "ACTION_NOT_ALLOWED",
        "lines[0].line",
        "A part of the price of line 1 could not be told from another line of the order afterwards.",
        BY_AMOUNT,
    )


def test_refunds_are_recognised_by_the_captured_price_after_the_order_was_repriced() -> None:
    held = order(shirt(1500, 2), captures=[[shirt(1000, 2)]], refunds=[[shirt(1000)]])

    assert counted(held) == [(2, 1)]
    (line,) = refunded(held, [(1, 1)]).order_lines
    assert (line["unit_price"], line["total_amount"], line["total_tax_amount"]) == (1000, 1000, 200)


def test_a_return_fee_is_no_goods() -> None:
    fee = {"type": "return_fee", "name": "Mug", "quantity": 1, "unit_price": -500, "total_amount": -500}

    assert counted(order(MUG, captures=[[MUG]], refunds=[[MUG | {"quantity": 1, "total_amount": 1000}, fee]])) == [
        (4, 1)
    ]


# What is left, and what it costs


def test_lines_that_are_alike_are_refunded_as_one_whichever_number_is_named() -> None:
    held = order(shirt(500), shirt(500), captures=[[shirt(500, 2)]], refunds=[[shirt(500)]])

    assert [refunded(held, [(number, 1)]).amount for number in (1, 2)] == [500, 500]
    assert refused(refunded, held, [(1, 1), (2, 1)])[:3] == (
        "ACTION_NOT_ALLOWED",
        "lines[1].quantity",
        "0 of line 2 are left to refund: 2 captured, 2 of them refunded already.",
    )


def test_what_two_captures_hold_of_a_line_is_one_line() -> None:
    half = shirt(500, 1, total_amount=501, total_tax_amount=100)
    held = order(shirt(500, 2, total_amount=1001), captures=[[half], [shirt(500)]])

    (line,) = refunded(held, [(1, 2)]).order_lines
    assert line == shirt(500, 2, total_amount=1001, total_tax_amount=200)


def test_a_discount_on_the_captured_line_is_kept() -> None:
    held = order(MUG, captures=[[MUG | {"total_amount": 3600, "total_discount_amount": 400, "total_tax_amount": 720}]])

    (line,) = refunded(held, [(1, 1)]).order_lines
    assert (line["total_amount"], line["total_discount_amount"], line["total_tax_amount"]) == (900, 100, 180)
    after = order(MUG, captures=[held.captures[0].model_dump()["order_lines"]], refunds=[[line]])
    (rest,) = refunded(after, [(1, 3)]).order_lines
    assert (rest["total_amount"], rest["total_discount_amount"], rest["total_tax_amount"]) == (2700, 300, 540)


def test_what_was_taken_off_the_price_is_not_refunded_again() -> None:
    cheaper = MUG | {"quantity": 0, "total_amount": 400, "total_tax_amount": 80}
    held = order(MUG, captures=[[MUG]], refunds=[[cheaper]])

    assert refunded(held, [(1, 4)]).amount == 3600


def test_goods_that_were_made_cheaper_come_back_first_for_what_is_left_of_them() -> None:
    cheaper = order(
        MUG, captures=[[MUG]], refunds=[[MUG | {"quantity": 2, "total_amount": 300, "total_tax_amount": 60}]]
    )

    assert [refunded(cheaper, [(1, count)]).amount for count in (1, 2, 3, 4)] == [850, 1700, 2700, 3700]
    (line,) = refunded(cheaper, [(1, 1)]).order_lines
    assert (line["total_amount"], line["total_discount_amount"], line["total_tax_amount"]) == (850, 150, 170)


def test_a_refunded_line_without_a_price_counts_at_the_captured_one() -> None:
    held = order(MUG, captures=[[MUG]], refunds=[[{"reference": "MUG", "quantity": 1}]])

    assert refunded(held, [(1, 3)]).amount == 3000


def test_tax_that_captures_do_not_name_is_not_made_up() -> None:
    bare = {name: value for name, value in MUG.items() if name != "total_tax_amount"}
    half = bare | {"quantity": 2, "total_amount": 2000}

    (line,) = refunded(order(MUG, captures=[[half], [half]]), [(1, 3)]).order_lines
    assert line == bare | {"quantity": 3, "total_amount": 3000}


def test_a_unit_price_that_captures_do_not_name_is_not_made_up() -> None:
    bare = {name: value for name, value in MUG.items() if name != "unit_price"}
    half = bare | {"quantity": 2, "total_amount": 2000, "total_tax_amount": 400}

    (line,) = refunded(order(MUG, captures=[[half], [half]]), [(1, 4)]).order_lines
    assert line == bare


def test_an_uneven_line_says_what_a_part_of_it_comes_to() -> None:
    held = order(shirt(333, 3, total_amount=1000), captures=[[shirt(333, 3, total_amount=1000)]])

    assert refunded(held, [(1, 1)]).notes == ["Line 1 does not divide evenly: 1 of 3 come to 3.33 SEK."]


def test_a_discount_line_goes_back_with_the_goods_that_are_picked() -> None:
    voucher = shirt(-1000, type="discount") | {"reference": "V", "name": "Voucher"}
    held = order(MUG, voucher, captures=[[MUG, voucher]])

    assert refunded(held, [(1, 4), (2, 1)]).amount == 3000
    assert refused(refunded, held, [(2, 1)])[0] == "INVALID_ARGUMENT"


# What is refused


HALF = [MUG | {"quantity": 2, "total_amount": 2000}]


@pytest.mark.parametrize(
    ("held", "picks", "field", "message", "hint"),
    [
        (
            order(MUG, captures=[[MUG]], refunds=[[MUG]]),
            [(1, 1)],
            "quantity",
            "0 of line 1 are left to refund: 4 captured, 4 of them refunded already.",
            SECOND,
        ),
        (
            order(MUG, captures=[[MUG]], refunds=[[MUG | {"quantity": 3}]]),
            [(1, 2)],
            "quantity",
            "1 of line 1 is left to refund: 4 captured, 3 of them refunded already.",
            f"Send quantity 1 or less for this line. {SECOND}",
        ),
        (
            order(MUG, captures=[HALF]),
            [(1, 3)],
            "quantity",
            "2 of line 1 are left to refund: 2 captured, none of them refunded.",
            f"Send quantity 2 or less for this line. {UNCAPTURED}",
        ),
        (
            order(MUG, SHIPPING, captures=[[SHIPPING]]),
            [(1, 1)],
            "line",
            "No capture holds line 1: 0 of it are left to refund.",
            UNCAPTURED,
        ),
        (
            order(MUG, captures=[[shirt(4000)]]),
            [(1, 1)],
            "line",
            "No capture holds line 1: 0 of it are left to refund.",
            BY_AMOUNT,
        ),
        (
            order(MUG, captured_amount=2000, captures=[[]]),
            [(1, 1)],
            "line",
            "Captures of this order name no lines, so what they hold of line 1 is not known.",
            BY_AMOUNT,
        ),
        (
            order(MUG, captured_amount=2000),
            [(1, 1)],
            "line",
            "Captures of this order name no lines, so what they hold of line 1 is not known.",
            BY_AMOUNT,
        ),
        (
            order(MUG, SHIPPING, captures=[HALF, []]),
            [(1, 3)],
            "quantity",
            "2 of line 1 are left to refund: 2 captured, none of them refunded, and captures that name no lines may "
            "hold more.",
            BY_AMOUNT,
        ),
        (
            order(MUG, captures=[[{"reference": "MUG", "quantity": 4}]]),
            [(1, 1)],
            "line",
            "The captures say no price for line 1.",
            BY_AMOUNT,
        ),
        (
            order(shirt(900, 2), captures=[[shirt(900)], [shirt(500)]]),
            [(1, 1)],
            "quantity",
            "Line 1 was captured at different prices, so what some of the 2 that are left cost cannot be told.",
            BY_AMOUNT,
        ),
        (
            order(MUG, captures=[[MUG]], refunds=[[MUG | {"quantity": 1}]]),
            [(1, 1)],
            "line",
            "0.00 SEK of line 1 is left to refund.",
            SECOND,
        ),
    ],
)
def test_what_is_not_left_of_a_line_is_refused_with_what_is(
    held: Order, picks: list[tuple[int, int]], field: str, message: str, hint: str
) -> None:
    assert refused(refunded, held, picks) == ("ACTION_NOT_ALLOWED", f"lines[0].{field}", message, hint)


def test_all_that_is_left_is_refunded_even_where_it_was_captured_at_different_prices() -> None:
    assert refunded(order(shirt(900, 2), captures=[[shirt(900)], [shirt(500)]]), [(1, 2)]).amount == 1400


def test_pieces_whose_captured_totals_differ_by_their_rounding_alone_have_one_price() -> None:
    # Three pieces for 26.01 and three for 26.00, captured in parts: 8.67 and 8.68 each, and 17.33 for two.
    bought = [{**shirt(900, 3), "total_amount": total, "total_discount_amount": 100} for total in (2601, 2600)]
    for line in bought:
        line["total_tax_amount"] = 520
    books = Books(bought)
    assert [books.capture(picks) for picks in ([(1, 1), (2, 2)], [(2, 2), (1, 1)])] == [True, True]
    assert [books.refund([(number, 1)]) for number in (1, 2, 1, 2, 1, 2)] == [True] * 6
    assert books.stored["refunded_amount"] == books.stored["captured_amount"] == 5201


@pytest.mark.parametrize("captures", [[[]], [[], []], []])
def test_captures_without_lines_that_are_the_whole_order_hold_its_lines(captures: list[list[Line]]) -> None:
    held = order(MUG, SHIPPING, captured_amount=4500, captures=captures)

    built = refunded(held, [(1, 2)])
    assert (built.amount, built.notes) == (2000, [WHOLE])


@pytest.mark.parametrize(
    "fields",
    [
        {"captured_amount": 4400},
        {"captured_amount": 4500, "order_amount": 4600},
        {"captured_amount": 4500, "original_order_amount": 4600},
        {"captured_amount": 4500, "original_order_amount": 0},
        {"captured_amount": 4600, "order_amount": 4600, "original_order_amount": 4600},
    ],
)
def test_captures_without_lines_that_are_not_the_whole_unchanged_order_hold_nothing_that_is_known(fields: Any) -> None:
    held = order(MUG, SHIPPING, captures=[[]], **fields)

    assert refused(refunded, held, [(1, 1)])[2].startswith("Captures of this order name no lines")


VOUCHER = shirt(-1000, type="discount") | {"reference": "V", "name": "Voucher"}
THREE_BACK = order(
    MUG, SHIPPING, VOUCHER, captures=[[MUG, VOUCHER]], refunds=[[MUG | {"quantity": 3, "total_amount": 3000}]]
)
TWINS = order(shirt(500), shirt(500), shirt(500), captures=[[shirt(500, 3)]], refunds=[[shirt(500)]])


@pytest.mark.parametrize(
    ("held", "lines", "field", "message", "hint"),
    [
        (
            THREE_BACK,
            [MUG | {"quantity": 2}],
            "[0].quantity",
            "1 of line 1 is left to refund: 4 captured, 3 of them refunded already.",
            f"Send quantity 1 or less for this line. {SECOND}",
        ),
        (
            THREE_BACK,
            [MUG | {"quantity": 1}, MUG | {"quantity": 1}],
            "[1].quantity",
            "0 of line 1 are left to refund: 4 captured, 4 of them refunded already.",
            SECOND,
        ),
        *(
            (
                order(MUG, captures=[[MUG]], refunds=[[MUG]]),
                [MUG | {"quantity": 1, "total_amount": 1000} | more],
                "[0].quantity",
                "0 of line 1 are left to refund: 4 captured, 4 of them refunded already.",
                SECOND,
            )
            for more in (
                *({"quantity": 0}, {"type": "discount"}, {"type": "gift_card"}),
                *({"reference": written} for written in (" MUG ", "mug", "M-UG", "M\u2011UG", "\uff2dUG\u200b")),
            )
        ),
        (THREE_BACK, [SHIPPING], "[0]", "No capture holds line 2: 0 of it are left to refund.", UNCAPTURED),
        (
            TWINS,
            [shirt(500), shirt(500, 2)],
            "[1].quantity",
            "1 of line 1 is left to refund: 3 captured, 2 of them refunded already.",
            f"Send quantity 1 or less for this line. {SECOND}",
        ),
        (
            order(MUG, captured_amount=4000, captures=[[]], refunds=[[MUG | {"quantity": 3}]]),
            [MUG],
            "[0].quantity",
            "1 of line 1 is left to refund: 4 captured, 3 of them refunded already.",
            f"Send quantity 1 or less for this line. {SECOND}",
        ),
    ],
)
def test_goods_that_are_not_left_are_refused_in_kustoms_own_format_too(
    held: Order, lines: list[Line], field: str, message: str, hint: str
) -> None:
    assert refused(must_be_left, held, lines) == ("ACTION_NOT_ALLOWED", f"order_lines{field}", message, hint)


def test_more_than_is_left_because_a_share_is_missing_is_refused_with_the_call_that_would_do() -> None:
    off = VOUCHER | {"unit_price": -800, "total_amount": -800, "total_tax_amount": -160}
    held = order(MUG, off, captures=[[MUG, off]])
    assert refused(must_be_left, held, [MUG], 4000) == (
        "ACTION_NOT_ALLOWED",
        "order_lines",
        "40.00 SEK is asked for, and 32.00 SEK are left to refund.",
        "Line 2 (discount) belongs to the whole order and is not in order_lines: the share of these goods is "
        '-8.00 SEK. With lines the server adds it. Call again with lines [{"line": 1, "quantity": 4}] instead of '
        "order_lines and amount.",
    )
    assert refunded(held, [(1, 4)]).amount == 3200
    twins = order(shirt(500), shirt(500), off, captures=[[shirt(500), shirt(500), off]])
    assert '[{"line": 1, "quantity": 2}] instead' in str(refused(must_be_left, twins, [shirt(500), shirt(500)], 1000))
    paid = order(MUG, off, captures=[[MUG, off]], refunded_amount=1000)
    assert refused(must_be_left, paid, [MUG], 4000)[3] == (
        "Line 2 (discount) belongs to the whole order and is not in order_lines: the share of these goods is "
        "-8.00 SEK. With lines the server adds it. With all that was refunded before, 22.00 SEK can go back. "
        f"{BY_AMOUNT}"
    )


FEE = {"type": "return_fee", "name": "Mug", "quantity": 1, "unit_price": -500, "total_amount": -500}


@pytest.mark.parametrize(
    ("held", "lines", "warnings"),
    [
        (THREE_BACK, [MUG | {"quantity": 1, "total_amount": 1000}, VOUCHER, VOUCHER, FEE, shirt(700)], []),
        (TWINS, [shirt(500), shirt(500)], []),
        (
            order(MUG, captures=[[]], captured_amount=1),
            [MUG],
            ["Captures of this order name no lines, so it was not checked what is refunded already."],
        ),
        (
            order(shirt(500), shirt(900), MUG, captures=[[shirt(500), shirt(900), MUG]]),
            [MUG, {"reference": "SHIRT", "quantity": 7}],
            [
                "Order line 2 may be one of several lines of the order: it was not checked what is refunded of it "
                "already."
            ],
        ),
    ],
)
def test_lines_in_kustoms_own_format_that_cannot_be_compared_are_warned_of(
    held: Order, lines: list[Line], warnings: list[str]
) -> None:
    assert must_be_left(held, lines) == warnings


# What an amount change must leave


KEPT = "Captured goods are not taken off but refunded, with kustom_refund_order. Ask the person first."


@pytest.mark.parametrize(
    ("held", "changes", "message"),
    [
        (order(MUG, SHIPPING, captures=[HALF]), [(1, 1)], "Captures hold 2 of line 1, so at least 2 must stay"),
        (order(MUG, SHIPPING, captures=[HALF]), [(1, 0)], "Captures hold 2 of line 1, so at least 2 must stay"),
        (
            order(shirt(500), shirt(900), captures=[[shirt(900)]]),
            [(2, 0)],
            "Captures hold 1 of line 2, so at least 1 must stay",
        ),
        (
            order(shirt(500), shirt(500), MUG, captures=[[shirt(500)]]),
            [(1, 0), (2, 0)],
            "Captures hold 1 of lines 1, 2 together, so at least 1 must stay",
        ),
        (
            order(shirt(500), shirt(900), MUG, captures=[[{"reference": "SHIRT", "quantity": 2}]]),
            [(1, 0)],
            "Captures hold 2 of lines 1, 2 together, so at least 2 must stay",
        ),
    ],
)
def test_less_than_captures_hold_of_a_line_does_not_stay(
    held: Order, changes: list[tuple[int, int]], message: str
) -> None:
    code, field, said, hint = refused(changed, held, changes)
    assert (code, said, hint) == ("ACTION_NOT_ALLOWED", f"{message} in the order.", KEPT)
    assert (field or "").startswith("line_changes")


@pytest.mark.parametrize(
    ("held", "changes"),
    [
        (order(MUG, SHIPPING, captures=[HALF]), [(1, 2)]),
        (order(MUG, SHIPPING, captures=[HALF]), [(2, 0)]),
        (order(shirt(500), shirt(900), captures=[[shirt(900)]]), [(1, 0)]),
        (order(shirt(500), shirt(500), captures=[[shirt(500)]]), [(1, 0)]),
        (order(MUG | {"quantity": 1, "total_amount": 1000}, captures=[HALF]), [(1, 1)]),
    ],
)
def test_what_no_capture_holds_may_go(held: Order, changes: list[tuple[int, int]]) -> None:
    assert changed(held, changes).amount > 0


# Any order, any captures, any refunds: the sandbox keeps the books


class Books:
    """One order in the sandbox. What is asked of it in our name it must not have to refuse."""

    def __init__(self, lines: list[Line]) -> None:
        self.simulator = Simulator(seeds=())
        self.bought = lines
        self.path = f"/orders/{self.simulator.add_order({'order_lines': lines}).order['order_id']}"

    @property
    def stored(self) -> dict[str, Any]:
        return ask(self.simulator, "GET", self.path).json()

    @property
    def order(self) -> Order:
        return Order.model_validate(self.stored)

    def post(self, call: str, body: dict[str, Any]) -> int:
        """A write, by us or by somebody else; what the sandbox refuses has not happened."""
        return ask(self.simulator, "PATCH" if call == "authorization" else "POST", f"{self.path}/{call}", body).status

    def refund(self, picks: Sequence[Pick]) -> bool:
        """Refund by lines, as the tool does. Whether anything was sent."""
        return self._ours("refundOrder", "refunds", "refunded_amount", lambda order: refunded(order, picks))

    def capture(self, picks: Sequence[Pick]) -> bool:
        """Capture by lines, as the tool does."""
        return self._ours(
            "captureOrder",
            "captures",
            "captured_amount",
            lambda order: from_lines(order, picks),
        )

    def _ours(self, operation: str, call: str, amount: str, build: Callable[[Order], Built]) -> bool:
        order = self.order
        try:
            built = build(order)
        except ToolError:
            return False
        if rules.refused_here(operation, order, built.amount):
            return False
        assert self.post(call, {amount: built.amount, "order_lines": built.order_lines}) == 201
        if call == "refunds":
            self._balance(built.order_lines)
        return True

    def _balance(self, paid: Sequence[Line]) -> None:
        """Of nothing that this refund names has more come back than was captured, in number or in money."""
        order = self.stored
        assert order["refunded_amount"] <= order["captured_amount"]
        captured: list[Line] = [line for capture in order["captures"] for line in capture["order_lines"]]
        returned: list[Line] = [line for refund in order["refunds"] for line in refund["order_lines"]]
        for line in paid:
            held = [one for one in captured or self.bought if one["reference"] == line["reference"]]
            back = [one for one in returned if one["reference"] == line["reference"]]
            prices = [one["unit_price"] for one in held if "unit_price" in one]
            assert not prices or line["unit_price"] <= max(prices) + 1
            if line["quantity"] <= sum(one["quantity"] for one in at_price(held, line)):
                held, back = at_price(held, line), at_price(back, line)  # else pieces of several prices, on average
            for name in ("quantity", "total_amount"):
                assert figure(back, name) <= figure(held, name), (line, name)


def at_price(lines: Sequence[Line], like: Line) -> list[Line]:
    return [line for line in lines if line.get("unit_price") == like["unit_price"]]


def figure(lines: Sequence[Line], name: str) -> int:
    return sum(line.get(name, 0) for line in lines)


@st.composite
def goods(draw: st.DrawFn) -> Line:
    """A line of one of three articles at one of three prices, rounded as shops round, with a discount or without."""
    quantity, price = draw(st.sampled_from([1, 2, 3, 4, 12])), draw(st.sampled_from([333, 500, 900]))
    reference = draw(st.sampled_from("ABC"))
    discount = draw(st.sampled_from([0, 0, 100]))
    total = quantity * price - discount + draw(st.sampled_from([0, 0, 1]))
    line = {"reference": reference, "name": f"Article {reference}", "quantity": quantity, "unit_price": price}
    line |= {"tax_rate": 2500, "total_amount": total, "total_tax_amount": total // 5}
    return line | {"total_discount_amount": discount} if discount else line


def part(line: Line, quantity: int, how: str) -> Line:
    """A part of a line as somebody else's program sends it."""
    if how == "bare":
        return {name: line[name] for name in ("reference", "name")} | {"quantity": quantity}
    total = line["total_amount"] * quantity // line["quantity"]
    sent = {**line, "quantity": quantity, "total_amount": total, "total_tax_amount": total // 5}
    sent.pop("total_discount_amount", None)
    return sent if how == "priced" else {name: value for name, value in sent.items() if name != "tax_rate"}


PICKS = st.lists(
    st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=3, unique_by=lambda pick: pick[0]
)
FORMS = st.sampled_from(["priced", "without tax", "bare"])
STEPS = st.one_of(
    st.tuples(st.just("refund"), PICKS),
    st.tuples(st.just("capture"), PICKS),
    st.tuples(st.sampled_from(["captures", "refunds"]), PICKS, FORMS),
    st.tuples(st.sampled_from(["captures", "refunds"]), st.none() | st.integers(1, 2000)),
    st.tuples(st.just("reprice"), st.integers(1, 4)),
)
"""Our steps by lines; steps of others by lines of theirs, by an amount, by all that is left, and to a price."""


def do(books: Books, step: tuple[Any, ...]) -> None:
    lines: list[Line] = books.stored["order_lines"]
    call: str
    picks: list[Pick]
    match step:
        case ("refund", picks):
            books.refund(picks)
        case ("capture", picks):
            books.capture(picks)
        case (call, picks, how):
            picked = [(lines[number - 1], quantity) for number, quantity in picks if number <= len(lines)]
            amount = sum(part(line, quantity, "priced")["total_amount"] for line, quantity in picked)
            sent = [part(line, quantity, how) for line, quantity in picked]
            books.post(call, {f"{call[:-1]}d_amount": amount, "order_lines": sent})
        case ("reprice", place):
            dear = [dearer(line) if number == place else line for number, line in enumerate(lines, start=1)]
            total = sum(line["total_amount"] for line in dear)
            books.post("authorization", {"order_amount": total, "order_lines": dear})
        case (call, amount):
            left = books.stored["remaining_authorized_amount"]
            books.post(call, {"captured_amount" if call == "captures" else "refunded_amount": amount or left or 1})
        case _:
            raise AssertionError(step)


def dearer(line: Line) -> Line:
    total = line["total_amount"] + 50 * line["quantity"]
    return {**line, "unit_price": line["unit_price"] + 50, "total_amount": total, "total_tax_amount": total // 5}


@given(lines=st.lists(goods(), min_size=1, max_size=4), story=st.lists(STEPS, min_size=2, max_size=12))
@settings(max_examples=150, deadline=None)
def test_never_more_of_a_line_is_refunded_than_was_captured(lines: list[Line], story: list[tuple[Any, ...]]) -> None:
    books = Books(lines)
    for step in story:
        do(books, step)


@given(
    lines=st.lists(goods(), min_size=1, max_size=3),
    captures=st.lists(PICKS, max_size=4),
    refunds=st.lists(PICKS, max_size=4),
)
@settings(max_examples=100, deadline=None)
def test_refunding_everything_by_lines_pays_exactly_what_was_captured(
    lines: list[Line], captures: list[list[Pick]], refunds: list[list[Pick]]
) -> None:
    books = Books(lines)
    for picks in captures:
        books.capture(picks)
    for picks in refunds:
        books.refund(picks)
    for number, line in enumerate(lines, start=1):
        while books.refund([(number, 1)]):
            assert line["quantity"]
    known = Refundable(books.order)
    assert not [one for one in known.goods if one.left]
    assert books.stored["refunded_amount"] == books.stored["captured_amount"]


@given(lines=st.lists(goods(), min_size=1, max_size=3), refunds=st.lists(PICKS, max_size=6))
@settings(max_examples=60, deadline=None)
def test_an_order_captured_as_a_whole_without_lines_is_refunded_by_its_lines(
    lines: list[Line], refunds: list[list[Pick]]
) -> None:
    books = Books(lines)
    books.post("captures", {"captured_amount": sum(line["total_amount"] for line in lines)})
    for picks in [*refunds, *([(number, 1)] for number, line in enumerate(lines, 1) for _ in range(line["quantity"]))]:
        books.refund(picks)
    assert books.stored["refunded_amount"] == books.stored["captured_amount"]
