"""Order lines: what parts of a line cost, complete lists, lines sent in part, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kustom_mcp.api.models import Order
from kustom_mcp.money import tax_of
from kustom_mcp.orders.line_amounts import agree, check_change, check_entry, part_of
from kustom_mcp.orders.line_matching import inherit
from kustom_mcp.orders.line_selection import Built, changed, from_lines
from kustom_mcp.orders.refundable import Refundable
from kustom_mcp.orders.third_party import third_party
from kustom_mcp.schema.result import ToolError
from tests.support.documentation_lines import TOMATOES

Line = dict[str, Any]

MUG: Line = {
    "type": "physical",
    "reference": "MUG-1",
    "name": "Blue mug",
    "quantity": 3,
    "quantity_unit": "pcs",
    "unit_price": 4000,
    "tax_rate": 2500,
    "total_amount": 10000,
    "total_discount_amount": 2000,
    "total_tax_amount": 2000,
    "merchant_data": "shelf 4",
    "gift_note": {"text": "for you"},
}
SHIPPING: Line = {
    "type": "shipping_fee",
    "reference": "SHIP",
    "name": "Parcel",
    "quantity": 1,
    "unit_price": 4900,
    "tax_rate": 2500,
    "total_amount": 4900,
    "total_tax_amount": 980,
}
VOUCHER: Line = {
    "type": "discount",
    "reference": "VOUCHER",
    "name": "Voucher",
    "quantity": 1,
    "unit_price": -1000,
    "tax_rate": 2500,
    "total_amount": -1000,
    "total_tax_amount": -200,
}
ROUNDED: Line = {
    "type": "physical",
    "reference": "ROUND",
    "name": "Rounded by the shop",
    "quantity": 2,
    "unit_price": 5000,
    "tax_rate": 2500,
    "total_amount": 10007,
    "total_tax_amount": 2005,
}


def order(*lines: Line, amount: int | None = None, **fields: Any) -> Order:
    total = sum(line.get("total_amount", 0) for line in lines)
    return Order.model_validate(
        {
            "order_id": "00000000-0000-4000-8000-000000000001",
            "status": "AUTHORIZED",
            "purchase_currency": "sek",
            "order_amount": total if amount is None else amount,
            "order_lines": [*lines],
            **fields,
        }
    )


def captured(line: Line, *quantities: int) -> dict[str, Any]:
    """The fields of an order of which a line was captured in parts, one after another."""
    captures: list[dict[str, Any]] = []
    for quantity in quantities:
        before = order(line, captures=captures)
        captures.append({"order_lines": from_lines(before, [(1, quantity)]).order_lines})
    return {"captures": captures}


def without(line: Line, *names: str) -> Line:
    return {name: value for name, value in line.items() if name not in names}


def refused(call: Callable[..., object], *args: Any, **named: Any) -> tuple[str, str | None, str, str | None]:
    with pytest.raises(ToolError) as caught:
        call(*args, **named)
    error = caught.value
    assert str(error) == f"{error.code}: {error.message}"
    return error.code, error.field, error.sentence, error.next_step


def text_of(lines: object) -> str:
    return json.dumps(lines, ensure_ascii=True, sort_keys=True)


# Lines that are picked by number


def test_a_whole_line_keeps_its_stored_amounts_and_only_fields_that_kustom_takes() -> None:
    built = from_lines(order(MUG, SHIPPING), [(2, 1), (1, 3)])

    assert built == Built([SHIPPING, without(MUG, "gift_note")], 14900, [])


def test_a_part_of_a_line_is_scaled_with_its_discount_and_tax() -> None:
    built = from_lines(order(MUG), [(1, 1)])

    part = without(MUG, "gift_note") | {
        "quantity": 1,
        "total_amount": 3333,
        "total_discount_amount": 667,
        "total_tax_amount": 667,
    }
    assert built == Built([part], 3333, ["Line 1 does not divide evenly: 1 of 3 come to 33.33 SEK."])


def test_half_a_unit_of_discount_is_rounded_so_that_the_part_still_adds_up() -> None:
    pair = SHIPPING | {"quantity": 2, "unit_price": 100, "total_discount_amount": 1, "total_amount": 199}

    (part,) = from_lines(order(pair), [(1, 1)]).order_lines

    assert (part["unit_price"], part["total_discount_amount"], part["total_amount"]) == (100, 0, 100)


def test_parts_taken_one_after_another_add_up_to_the_stored_line() -> None:
    amounts = [from_lines(order(MUG, **captured(MUG, *[1] * before)), [(1, 1)]).amount for before in range(3)]

    assert amounts == [3333, 3334, 3333]


def test_a_part_beyond_what_is_left_costs_what_the_last_units_cost() -> None:
    assert from_lines(order(MUG, **captured(MUG, 2)), [(1, 2)]).amount == 6667


def test_a_whole_line_with_rounding_by_the_shop_is_sent_as_it_is() -> None:
    assert from_lines(order(ROUNDED), [(1, 2)]) == Built([ROUNDED], 10007, [])


def test_a_line_without_a_total_is_priced_by_quantity_and_unit_price() -> None:
    bare = without(MUG, "total_amount", "gift_note")

    assert from_lines(order(bare), [(1, 3)]) == Built([bare | {"total_amount": 10000}], 10000, [])
    assert from_lines(order(bare), [(1, 1)]).order_lines[0]["total_amount"] == 3333


def test_goods_and_their_voucher_are_picked_together() -> None:
    built = from_lines(order(SHIPPING, VOUCHER), [(1, 1), (2, 1)])

    assert built == Built([SHIPPING, VOUCHER], 3900, [])


@pytest.mark.parametrize(
    ("lines", "picks", "field", "message"),
    [
        ([MUG], [(2, 1)], "lines[0].line", "There is no such line: the order has lines 1 to 1."),
        ([MUG], [(0, 1)], "lines[0].line", "There is no such line: the order has lines 1 to 1."),
        ([], [(1, 1)], "lines[0].line", "There is no such line: the order has no lines."),
        ([MUG], [(1, 1), (1, 1)], "lines[1].line", "Line 1 is named twice."),
        ([MUG], [(1, 4)], "lines[0].quantity", "Line 1 has a quantity of 3: send a quantity from 1 to 3."),
        ([MUG], [(1, 0)], "lines[0].quantity", "Line 1 has a quantity of 3: send a quantity from 1 to 3."),
        ([MUG], [(1, -1)], "lines[0].quantity", "Line 1 has a quantity of 3: send a quantity from 1 to 3."),
        (
            [without(MUG, "total_amount", "unit_price")],
            [(1, 1)],
            "lines[0].line",
            "Kustom holds line 1 without prices, so nothing can be computed from it.",
        ),
        (
            [without(MUG, "quantity")],
            [(1, 1)],
            "lines[0].line",
            "Kustom holds line 1 without a quantity, so no part of it can be computed.",
        ),
        (
            [MUG, VOUCHER],
            [(2, 1)],
            "lines",
            "The lines come to -10.00 SEK; only an amount above zero can be captured or refunded.",
        ),
    ],
)
def test_picks_that_the_order_cannot_meet_are_refused(
    lines: list[Line], picks: list[tuple[int, int]], field: str, message: str
) -> None:
    assert refused(from_lines, order(*lines), picks)[:3] == ("INVALID_ARGUMENT", field, message)


@pytest.mark.parametrize(
    ("lines", "hint"),
    [
        (
            [MUG | {"quantity": 2, "total_amount": 1200}, VOUCHER],
            "Name more of the goods together with the discount: all that is left comes to 2.00 SEK. Or send "
            "captured_amount without lines.",
        ),
        (
            [MUG | {"quantity": 0.5, "total_amount": 1200}, MUG | {"total_amount": 0}, VOUCHER],
            "Pick the goods that a discount belongs to as well, or send an amount without lines.",
        ),
    ],
)
def test_a_discount_above_the_goods_named_with_it_is_refused_with_what_is_left(lines: list[Line], hint: str) -> None:
    with pytest.raises(ToolError) as caught:
        from_lines(order(*lines), [(len(lines), 1)])
    assert (caught.value.code, caught.value.next_step) == ("INVALID_ARGUMENT", hint)


# The complete list of an amount change


def test_a_change_keeps_every_field_of_every_line() -> None:
    built = changed(order(MUG, SHIPPING, VOUCHER), [(1, 6), (3, 0)])

    doubled = MUG | {
        "quantity": 6,
        "total_amount": 20000,
        "total_discount_amount": 4000,
        "total_tax_amount": 4000,
    }
    note = "Line 1 does not divide evenly: 6 of it come to 200.00 SEK."
    assert built == Built([doubled, SHIPPING], 24900, [note])


def test_a_change_to_a_smaller_quantity_satisfies_our_own_check() -> None:
    held = order(MUG, ROUNDED | {"total_amount": 10002, "total_tax_amount": 2001})
    built = changed(held, [(1, 1), (2, 1)])

    assert (built.amount, check_change(held, built.amount, built.order_lines)) == (8334, [])


def test_an_enlarged_line_has_the_tax_of_its_new_total_not_a_multiple_of_a_rounded_one() -> None:
    held = order(SHIPPING | {"unit_price": 103, "total_amount": 103, "total_tax_amount": 21})

    built = changed(held, [(1, 20)])

    enlarged = SHIPPING | {"unit_price": 103, "quantity": 20, "total_amount": 2060, "total_tax_amount": 412}
    assert built == Built([enlarged], 2060, [])


@pytest.mark.parametrize(
    ("held", "changes", "refusal"),
    [
        (
            order(MUG, amount=10001),
            [(1, 1)],
            (
                "LINES_MISMATCH",
                "line_changes",
                "The lines of this order add up to 100.00 SEK, but its amount is 100.01 SEK, so a new total cannot be "
                "computed from them.",
                "Ask the person for the new total and send order_amount with the complete order_lines.",
            ),
        ),
        (
            order(MUG),
            [(1, 0)],
            (
                "INVALID_ARGUMENT",
                "line_changes",
                "No line would remain.",
                "To end the order use kustom_cancel_order; an order with captures is refunded instead.",
            ),
        ),
        (
            order(SHIPPING, VOUCHER),
            [(1, 0)],
            (
                "INVALID_ARGUMENT",
                "line_changes",
                "The lines that would remain come to -10.00 SEK, which is less than nothing.",
                "Change the discount or gift card lines as well.",
            ),
        ),
        (
            order(MUG),
            [(1, -1)],
            (
                "INVALID_ARGUMENT",
                "line_changes[0].quantity",
                "A quantity cannot be negative or a fraction.",
                "Send the new quantity of the line, or 0 to remove it.",
            ),
        ),
        (
            order(MUG),
            [(7, 1)],
            (
                "INVALID_ARGUMENT",
                "line_changes[0].line",
                "There is no such line: the order has lines 1 to 1.",
                "Read the order with kustom_get_order: it numbers the lines from 1.",
            ),
        ),
    ],
)
def test_changes_that_cannot_be_computed_are_refused(
    held: Order, changes: list[tuple[int, int]], refusal: tuple[str, str, str, str]
) -> None:
    assert refused(changed, held, changes) == refusal


# What captures took


def test_a_quantity_beyond_what_is_left_to_capture_is_a_warning() -> None:
    built = from_lines(order(MUG, SHIPPING, **captured(MUG, 2)), [(1, 2), (2, 1)])

    assert built.notes[-1] == "Line 1: 2 asked for, but the captures so far leave 1 to capture."


def test_an_amount_given_as_well_must_be_what_the_lines_come_to() -> None:
    agree(None, 100, "SEK")
    agree(100, 100, "SEK")
    assert refused(agree, 10000, 100000, "SEK", field="captured_amount") == (
        "LINES_MISMATCH",
        "captured_amount",
        "The lines come to 1,000.00 SEK, but the amount sent is 100.00 SEK.",
        "Send the lines without an amount, or with 100000, or correct the quantities.",
    )


# Lines in Kustom's own format


def test_a_line_inherits_what_was_left_out_but_no_amount_and_no_quantity() -> None:
    sent = {"reference": "MUG-1", "quantity": 2, "total_amount": 8000, "name": None}

    assert inherit(order(MUG, SHIPPING), [sent]) == [
        {
            "type": "physical",
            "reference": "MUG-1",
            "name": "Blue mug",
            "quantity": 2,
            "quantity_unit": "pcs",
            "tax_rate": 2500,
            "total_amount": 8000,
            "merchant_data": "shelf 4",
            "gift_note": {"text": "for you"},
        }
    ]


def test_a_line_that_says_the_same_as_the_stored_one_is_sent_as_stored() -> None:
    stored = MUG | {"total_discount_amount": 0, "tax_rate": 0, "total_tax_amount": 0}
    for left_out in ("total_discount_amount", "tax_rate", "total_tax_amount"):
        sent = without(stored, left_out)
        assert inherit(order(stored), [sent]) == [stored]
        assert inherit(order(sent), [stored | {"image_url": ""}]) == [sent]
        assert inherit(order(stored, stored), [sent, sent]) == [stored, stored]
    discounted = MUG | {"total_discount_amount": 100}
    assert inherit(order(discounted), [MUG]) == [MUG]


def test_a_reference_of_two_lines_or_of_none_inherits_nothing() -> None:
    unknown = {"reference": "OTHER", "quantity": 1}
    double = {"reference": "MUG-1", "quantity": 1}

    assert inherit(order(MUG, MUG, SHIPPING), [unknown, double]) == [unknown, double]


def test_a_text_that_was_changed_is_sent_as_it_was_written() -> None:
    (line,) = inherit(order(MUG), [{"reference": "MUG-1", "quantity": 3, "name": "Red mug", "quantity_unit": ""}])

    assert (line["name"], line["quantity_unit"]) == ("Red mug", "")


def test_shortened_and_cleaned_texts_become_the_stored_ones() -> None:
    hidden = MUG | {"reference": "MUG\u200b-1", "name": "Mug \u202e" + "very " * 40 + "blue"}
    held = order(hidden, SHIPPING)
    seen = third_party(held, frozenset(), "on_request")["order_lines"][0]

    (line,) = inherit(held, [{"reference": seen["reference"], "name": seen["name"], "quantity": 1}])

    assert seen["reference"] == "MUG-1"
    assert len(seen["name"]) <= 60
    assert (line["reference"], line["name"]) == (hidden["reference"], hidden["name"])


def test_texts_inside_an_object_become_the_stored_ones_one_by_one() -> None:
    held = order(MUG | {"product_identifiers": {"brand": "Cup\u200bs", "color": "blue", "size": None}})

    (line,) = inherit(held, [{"reference": "MUG-1", "product_identifiers": {"brand": "Cups", "color": "red"}}])

    assert line["product_identifiers"] == {"brand": "Cup\u200bs", "color": "red"}


def test_a_shortened_text_that_fits_different_lines_is_refused() -> None:
    long = "A name that goes on and on until nobody reads it any more, in "
    one, other = (
        without(MUG, "reference") | {"name": long + "blue"},
        without(MUG, "reference") | {"name": long + "pink"},
    )
    held = order(one, other)
    seen = third_party(held, frozenset(), "on_request")["order_lines"][1]

    assert refused(inherit, held, [{"name": seen["name"], "quantity": 1}]) == (
        "INVALID_ARGUMENT",
        "order_lines[0]",
        "The texts of order line 1 are shortened, and several lines of the order fit them.",
        "Read the order with include lines and send the whole texts, or use line_changes.",
    )


def test_lines_that_look_alike_are_told_apart_by_their_other_fields() -> None:
    first = without(MUG, "reference") | {"merchant_data": "a\u200b"}
    second = without(MUG, "reference") | {"merchant_data": "b\u200b"}

    assert inherit(order(first, second), [second | {"merchant_data": "b"}]) == [second]


# Checks


def test_the_documented_short_form_is_passed_on_with_a_warning() -> None:
    held = order(TOMATOES | {"unit_price": 600, "total_amount": 6000}, amount=6000)

    assert inherit(held, [TOMATOES]) == [TOMATOES]
    assert check_change(held, 6000, [TOMATOES]) == ["Order line 1 without complete prices could not be checked."]


def test_lines_of_an_amount_change_must_add_up_exactly() -> None:
    assert check_change(order(MUG, SHIPPING), 14900, [MUG, SHIPPING]) == []
    assert refused(check_change, order(MUG, SHIPPING), 14899, [MUG, SHIPPING]) == (
        "LINES_MISMATCH",
        "order_lines",
        "The order lines add up to 149.00 SEK, but order_amount is 148.99 SEK.",
        "Kustom replaces the whole list, so a line that is left out is gone. Use line_changes instead: the server "
        "keeps the other lines and computes the total. Or correct the complete order_lines.",
    )


def test_an_empty_list_is_refused_unless_the_order_has_no_lines() -> None:
    assert refused(check_change, order(MUG), 0, [])[:2] == ("INVALID_ARGUMENT", "order_lines")
    assert check_change(order(amount=100), 50, []) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"total_amount": 10004},
            "Order line 1 does not add up: 3 x 40.00 SEK less a discount of 20.00 SEK is 100.00 SEK, but total_amount "
            "says 100.04 SEK.",
        ),
        (
            {"total_discount_amount": None},
            "Order line 1 does not add up: 3 x 40.00 SEK less a discount of 0.00 SEK is 120.00 SEK, but total_amount "
            "says 100.00 SEK.",
        ),
        (
            {"total_tax_amount": 2002},
            "Order line 1 has the wrong tax: its tax_rate makes 20.00 SEK of 100.00 SEK, but total_tax_amount says "
            "20.02 SEK.",
        ),
    ],
)
def test_a_line_that_breaks_its_own_arithmetic_is_refused(change: Line, message: str) -> None:
    line = MUG | change

    found = refused(check_change, order(MUG), line["total_amount"], [line])

    assert found[:3] == ("LINES_MISMATCH", "order_lines[0]", message)
    assert check_entry(order(MUG), line["total_amount"], [line]) == [message]


@pytest.mark.parametrize("change", [{"total_amount": 10003}, {"total_tax_amount": 2001}, {"tax_rate": -1}])
def test_a_unit_per_piece_and_one_for_tax_are_rounding(change: Line) -> None:
    line = MUG | change

    assert check_change(order(MUG), line["total_amount"], [line]) == []


def test_a_line_with_the_stored_figures_is_taken_whatever_the_shop_rounded() -> None:
    assert check_change(order(ROUNDED, SHIPPING), 10007, [ROUNDED | {"name": "New name"}]) == [
        "Line 2 of the order is removed: the new list does not have it."
    ]


def test_a_line_with_a_new_reference_is_changed_and_not_removed() -> None:
    renamed = [MUG | {"reference": "MUG-2"}, SHIPPING, SHIPPING | {"reference": "R-2", "name": "Other"}]

    assert check_change(order(MUG, SHIPPING, ROUNDED), 19800, renamed) == [
        "Line 3 of the order is removed: the new list does not have it."
    ]


def test_a_capture_or_refund_whose_lines_differ_brings_warnings_only() -> None:
    fee = {"type": "return_fee", "name": "Return fee", "quantity": 1, "unit_price": 500, "total_amount": 500}

    assert check_entry(order(MUG), 100, []) == []
    assert check_entry(order(MUG), 10000, [MUG]) == []
    assert check_entry(order(MUG), 9000, [MUG, fee, SHIPPING | {"total_amount": None}]) == [
        "Order line 3 without complete prices could not be checked.",
        "Order line 2 is a return fee above zero: Kustom expects a negative amount.",
        "Order line 3 has no reference that is in the order: Kustom cannot allocate it to an item.",
    ]
    assert check_entry(order(MUG), 9000, [MUG]) == [
        "The order lines add up to 100.00 SEK, but the amount is 90.00 SEK."
    ]


def test_many_differences_are_counted_not_listed() -> None:
    warnings = check_entry(order(MUG), 0, [{"quantity": 1, "unit_price": 0, "total_amount": 0}] * 30)

    assert warnings[-1] == "25 more order lines have such a difference."
    assert len(warnings) == 6
    bare = check_entry(order(TOMATOES), 0, [TOMATOES] * 22)
    assert bare == [
        f"Order lines {', '.join(map(str, range(1, 21)))} and 2 more without complete prices could not be checked."
    ]


# What holds for every line


@st.composite
def lines(draw: st.DrawFn) -> Line:
    """A line as shops make them: exact, rounded, negative, discounted, with or without tax."""
    quantity = draw(st.integers(1, 40))
    price = draw(st.integers(-20000, 20000))
    discount = draw(st.integers(0, 3000))
    total = quantity * price - discount + draw(st.sampled_from([0, 0, 0, 1, -1, 7]))
    rate = draw(st.sampled_from([0, 600, 1200, 2500]))
    tax = tax_of(total, rate) + draw(st.sampled_from([0, 0, 0, 1, -1, 50]))
    line: Line = {
        "reference": draw(st.sampled_from(["A", "B", "C", "\u200bA", "D" * 80, ""])),
        "name": draw(st.text(max_size=80)),
        "quantity": quantity,
        "unit_price": price,
        "total_amount": total,
        "tax_rate": rate,
        "total_tax_amount": tax,
        "extra": draw(st.dictionaries(st.text(max_size=3), st.text(max_size=3) | st.integers(), max_size=2)),
    }
    if discount:
        line["total_discount_amount"] = discount
    return line


AMOUNTS = ("total_amount", "total_discount_amount", "total_tax_amount")


@settings(deadline=None, max_examples=60)
@given(lines(), st.lists(st.integers(1, 12), min_size=1, max_size=8))
def test_parts_never_exceed_the_whole_and_add_up_to_it(line: Line, sizes: list[int]) -> None:
    ends = [min(sum(sizes[: count + 1]), line["quantity"]) for count in range(len(sizes))] + [line["quantity"]]
    starts = [0, *ends[:-1]]

    parts = [part_of(line, start, end) for start, end in zip(starts, ends, strict=True) if end > start]

    for name in (*AMOUNTS, "quantity"):
        assert sum(part.get(name, 0) for part in parts) == line.get(name, 0)
    for part in parts:
        assert part["total_amount"] * line["total_amount"] >= 0
        assert abs(part["total_amount"]) <= abs(line["total_amount"])


@settings(deadline=None, max_examples=60)
@given(lines(), st.integers(0, 39), st.integers(0, 39))
def test_a_part_of_an_exact_line_is_exact(line: Line, some: int, more: int) -> None:
    done = some % line["quantity"]
    size = 1 + more % (line["quantity"] - done)
    exact = line["quantity"] * line["unit_price"] - line.get("total_discount_amount", 0)
    line |= {"total_amount": exact, "total_tax_amount": tax_of(exact, line["tax_rate"])}
    goods = SHIPPING | {"reference": "goods", "unit_price": 10**8, "total_amount": 10**8}

    before = [{"order_lines": [part_of(line, 0, done)]}] if done else []
    part = from_lines(order(line, goods, captures=before), [(1, size), (2, 1)]).order_lines[0]

    discount = part.get("total_discount_amount", 0)
    assert part["total_amount"] == size * line["unit_price"] - discount
    assert 0 <= discount <= line.get("total_discount_amount", 0)
    assert abs(part["total_tax_amount"] - tax_of(part["total_amount"], line["tax_rate"])) <= 1
    assert part["total_amount"] * exact >= 0
    assert abs(part["total_amount"]) <= abs(exact)


@settings(deadline=None, max_examples=60)
@given(st.lists(lines(), min_size=1, max_size=5))
def test_whole_lines_come_to_the_sum_of_the_lines(many: list[Line]) -> None:
    total = sum(line["total_amount"] for line in many)
    assume(total > 0)

    built = from_lines(order(*many), [(number, line["quantity"]) for number, line in enumerate(many, start=1)])

    assert built == Built([without(line, "extra") for line in many], total, [])


@settings(deadline=None, max_examples=60)
@given(st.lists(lines(), min_size=1, max_size=5))
def test_a_change_to_the_same_quantities_changes_nothing(many: list[Line]) -> None:
    total = sum(line["total_amount"] for line in many)
    assume(total >= 0)

    built = changed(order(*many), [(number, line["quantity"]) for number, line in enumerate(many, start=1)])

    assert text_of(built.order_lines) == text_of(many)
    assert (built.amount, built.notes) == (total, [])


@settings(deadline=None, max_examples=60)
@given(st.lists(lines(), min_size=1, max_size=5))
def test_our_own_whole_view_sent_back_gives_the_stored_lines_byte_for_byte(many: list[Line]) -> None:
    held = order(*many)
    view = cast("list[Line]", third_party(held, frozenset({"lines"}), "masked")["order_lines"])

    assert text_of(inherit(held, [without(line, "line") for line in view])) == text_of(many)


# Prices, and what belongs to the whole order


CAMPAIGN: Line = VOUCHER | {"reference": "OFF", "name": "Campaign"}
LAMP: Line = (
    SHIPPING
    | {"reference": "LAMP", "name": "Lamp", "type": "physical", "unit_price": 30000}
    | {
        "total_amount": 30000,
        "total_tax_amount": 6000,
    }
)


def test_a_new_price_changes_total_and_tax_and_keeps_the_discount_and_what_is_not_known() -> None:
    built = changed(order(MUG, SHIPPING), [(1, 3)], {1: 3000})

    assert built.order_lines == [MUG | {"unit_price": 3000, "total_amount": 7000, "total_tax_amount": 1400}, SHIPPING]
    assert (built.amount, built.notes) == (11900, ["Line 1 keeps its discount of 20.00 SEK."])


def test_a_new_price_and_a_new_quantity_go_together() -> None:
    built = changed(order(LAMP | {"quantity": 2, "total_amount": 60000}, SHIPPING), [(1, 1)], {1: 20000})

    assert (built.order_lines[0]["quantity"], built.order_lines[0]["total_amount"], built.amount) == (1, 20000, 24900)


@pytest.mark.parametrize(
    ("held", "number", "price", "sentence"),
    [
        (order(MUG), 1, 100, "turns what is charged and what is taken off around"),
        (order(LAMP, CAMPAIGN), 2, 100, "turns what is charged and what is taken off around"),
        (order(LAMP, MUG | {"quantity": 0.5, "total_amount": 0}), 2, 4001, "a fraction of a minor unit"),
    ],
)
def test_a_price_that_cannot_be_is_refused(held: Order, number: int, price: int, sentence: str) -> None:
    quantity = held.order_lines[number - 1].quantity or 0
    code, field, said, _ = refused(changed, held, [(number, quantity)], {number: price})

    assert (code, field) == ("INVALID_ARGUMENT", "line_changes[0].unit_price")
    assert sentence in said


TO_A_UNIT = ((1, 201), (2, 400), (1, 199))


def test_what_belongs_to_the_whole_order_stays_and_is_named_where_goods_change() -> None:
    held = order(LAMP, MUG, CAMPAIGN)

    assert changed(held, [(1, 0)]).notes == [
        "Line 3 (discount) stays at -10.00 SEK; in proportion to the goods it would be -2.50 SEK: change "
        "that line as well if it should follow."
    ]
    assert changed(held, [(1, 0), (3, 1)], {3: -250}).amount == 9750
    assert changed(order(LAMP, MUG, CAMPAIGN | {"type": "gift_card"}), [(1, 0)]).notes == []


def test_a_capture_names_the_share_that_it_leaves_behind() -> None:
    held = order(LAMP, MUG, CAMPAIGN)

    assert from_lines(held, [(1, 1)]).notes == [
        "Line 3 (discount) of -10.00 SEK is not in this capture: the share of these goods is -7.50 SEK. Name the line "
        "as well to capture it with them."
    ]
    assert from_lines(held, [(1, 1), (3, 1)]).notes == []
    share = CAMPAIGN | {"unit_price": -750, "total_amount": -750}
    assert Refundable(held).left_behind_by([LAMP]) == from_lines(held, [(1, 1)]).notes
    assert Refundable(held).left_behind_by([LAMP, share]) == []


def test_a_discount_that_was_captured_in_shares_is_captured_to_the_end() -> None:
    share = CAMPAIGN | {"unit_price": -750, "total_amount": -750, "total_tax_amount": -150}
    held = order(LAMP, MUG, CAMPAIGN, captures=[{"order_lines": [LAMP, share]}])

    built = from_lines(held, [(2, 3), (3, 1)])

    assert [line["total_amount"] for line in built.order_lines] == [10000, -250]
    assert (built.order_lines[1]["total_tax_amount"], built.notes) == (-50, [])


def test_lines_that_are_alike_by_way_of_another_are_captured_one_by_one_to_the_unit() -> None:
    lines = [LAMP | {"quantity": count, "unit_price": 199, "total_amount": total} for count, total in TO_A_UNIT]
    captures: list[dict[str, Any]] = []
    for number in (2, 1, 3, 2):
        captures.append({"order_lines": from_lines(order(*lines, captures=captures), [(number, 1)]).order_lines})
    assert sum(entry["order_lines"][0]["total_amount"] for entry in captures) == 800


def test_lines_that_are_alike_are_captured_one_by_one_to_the_unit() -> None:
    pair = LAMP | {"quantity": 2, "unit_price": 500, "total_amount": 1001}
    one = LAMP | {"quantity": 1, "unit_price": 500, "total_amount": 500}
    for story in ([1, 1, 2], [1, 2, 1], [2, 1, 1]):
        captures: list[dict[str, Any]] = []
        for number in story:
            built = from_lines(order(pair, one, captures=captures), [(number, 1)])
            captures.append({"order_lines": built.order_lines})
        assert sum(entry["order_lines"][0]["total_amount"] for entry in captures) == 1501
