"""Details of a request as the person who approves reads them: all of it, and never the same of two that differ."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kustom_mcp.api.field_limits import PARTS
from kustom_mcp.api.models import Order
from kustom_mcp.orders.details import LINES_SHOWN, details
from kustom_mcp.schema.result import compact
from tests.calls.gated_operations import GATED, Case, name_of, only
from tests.calls.quick import ALL as SERVER
from tests.support.conversation import conversation, no

Json = dict[str, Any]

ID = "7849fd84-65d4-4d6a-83c4-59f4b1b1a9d0"
BLANKET: Json = {"reference": "B-1", "name": "Blanket", "quantity": 1, "unit_price": 50000, "total_amount": 50000}
CHAIR: Json = {"reference": "C-1", "name": "Chair", "quantity": 1, "unit_price": 30000, "total_amount": 30000}
TOWELS: Json = {"reference": "T-1", "name": "Towel", "quantity": 4, "unit_price": 19900, "total_amount": 79600}
ADDRESS: Json = {
    "given_name": "Testa",
    "family_name": "Testsson",
    "street_address": "Exempelgatan 1",
    "postal_code": "11122",
    "city": "Stockholm",
    "country": "SE",
    "email": "testa@example.com",
}
ORDER: Json = {
    "order_id": ID,
    "status": "AUTHORIZED",
    "order_amount": 80000,
    "purchase_currency": "SEK",
    "merchant_reference1": "SE-20451",
    "order_lines": [BLANKET, CHAIR, TOWELS],
    "shipping_address": ADDRESS,
}
HEAD = f'Order "SE-20451", id {ID}: '


def told(action: str, body: Json, order: Json = ORDER, pii: Any = "on_request", **ids: str) -> list[str]:
    """The details of a request, without what they say first."""
    ids = {"order_id": ID, **ids}
    found = details(f"kustom_{action}", action, ids, body, Order.model_validate(order), pii)
    assert found[0].startswith("Order ")
    return found[1:]


def without_check(sentences: list[str]) -> list[str]:
    """The sentences before the digest, which must be the last one."""
    assert sentences[-1].startswith("check ")
    return sentences[:-1]


GIFT: Json = {"reference": "G-1", "name": "Gift card", "type": "gift_card", "quantity": 1, "total_amount": 79900}


def test_a_swap_and_a_new_price_are_told_although_the_amount_stays() -> None:
    body = {"order_amount": 80000, "order_lines": [GIFT, CHAIR | {"unit_price": 100, "total_amount": 100}, TOWELS]}
    assert without_check(told("update-amount", body)) == [
        'Line 1 is removed: quantity 1, total 500.00 SEK, "Blanket".',
        'Line 2 changes: quantity 1, total 300.00 SEK -> 1.00 SEK, unit price 300.00 SEK -> 1.00 SEK, "Chair".',
        'New line: quantity 1, total 799.00 SEK, type gift_card, "Gift card".',
    ]


CHANGED: dict[str, tuple[Json, str]] = {
    "name": ({"name": "Gift card"}, 'Line 2 changes: quantity 1, total 300.00 SEK, "Gift card" instead of "Chair".'),
    "reference": ({"reference": "X"}, 'Line 2 changes: quantity 1, total 300.00 SEK, also reference, "Chair".'),
    "tax": (
        {"tax_rate": 2500, "total_tax_amount": 6000},
        'Line 2 changes: quantity 1, total 300.00 SEK, also tax_rate, total_tax_amount, "Chair".',
    ),
    "discount": (
        {"total_discount_amount": 500, "total_amount": 29500},
        'Line 2 changes: quantity 1, total 300.00 SEK -> 295.00 SEK, discount not given -> 5.00 SEK, "Chair".',
    ),
    "quantity": (
        {"quantity": 3, "total_amount": 90000},
        'Line 2 changes: quantity 1 -> 3, total 300.00 SEK -> 900.00 SEK, "Chair".',
    ),
    "a link": (
        {"product_url": "https://Evil.example.com./x"},
        'Line 2 changes: quantity 1, total 300.00 SEK, product link to evil.example.com, "Chair".',
    ),
    "a field that nobody knows": (
        {"new_field": 1},
        'Line 2 changes: quantity 1, total 300.00 SEK, also other fields, "Chair".',
    ),
    "no total": (
        {"total_amount": None},
        'Line 2 changes: quantity 1, total 300.00 SEK -> not given, "Chair".',
    ),
}


@pytest.mark.parametrize(("change", "said"), CHANGED.values(), ids=CHANGED)
def test_whatever_changes_in_a_line_is_told(change: Json, said: str) -> None:
    body = {"order_amount": 80000, "order_lines": [BLANKET, CHAIR | change, TOWELS]}
    assert without_check(told("update-amount", body)) == [said]


def test_a_zero_or_an_empty_text_in_place_of_a_field_left_out_is_no_change() -> None:
    same = {"tax_rate": 0, "total_tax_amount": 0, "total_discount_amount": 0, "quantity_unit": "", "image_url": None}
    body = {"order_amount": 80000, "order_lines": [BLANKET, CHAIR | same, TOWELS]}
    assert without_check(told("update-amount", body)) == []
    changed = {"quantity": 2, "total_amount": 60000}
    body = {"order_amount": 110000, "order_lines": [BLANKET, CHAIR | same | changed, TOWELS]}
    assert without_check(told("update-amount", body)) == [
        'Line 2 changes: quantity 1 -> 2, total 300.00 SEK -> 600.00 SEK, "Chair".'
    ]


def test_the_tax_that_follows_a_new_total_is_not_worth_a_word() -> None:
    taxed = {"tax_rate": 2500, "total_tax_amount": 6000}
    order = ORDER | {"order_lines": [CHAIR | taxed]}
    new = CHAIR | taxed | {"quantity": 2, "total_amount": 60000}
    said = 'Line 1 changes: quantity 1 -> 2, total 300.00 SEK -> 600.00 SEK, "Chair".'
    body: Json = {"order_amount": 60000, "order_lines": [new | {"total_tax_amount": 12000}]}
    assert without_check(told("update-amount", body, order)) == [said]
    body = {"order_amount": 60000, "order_lines": [new | {"total_tax_amount": 11}]}
    assert without_check(told("update-amount", body, order)) == [said.replace(', "', ', also total_tax_amount, "')]


def test_lines_in_another_order_and_lines_that_trade_names_are_told() -> None:
    body: Json = {"order_amount": 80000, "order_lines": [TOWELS, BLANKET, CHAIR]}
    assert without_check(told("update-amount", body)) == ["The lines come in another order."]
    body["order_lines"] = [BLANKET | {"name": "Chair"}, CHAIR | {"name": "Blanket"}, TOWELS]
    assert without_check(told("update-amount", body)) == [
        'Line 1 changes: quantity 1, total 500.00 SEK, "Chair" instead of "Blanket".',
        'Line 2 changes: quantity 1, total 300.00 SEK, "Blanket" instead of "Chair".',
    ]


def test_one_change_in_the_last_of_many_lines_is_the_only_one_told() -> None:
    many = [CHAIR | {"reference": f"R-{n}", "name": f"Chair {n}"} for n in range(300)]
    order = ORDER | {"order_lines": many}
    body = {"order_amount": 80000, "order_lines": [*many[:-1], many[-1] | {"unit_price": 1, "total_amount": 1}]}
    assert without_check(told("update-amount", body, order)) == [
        'Line 300 changes: quantity 1, total 300.00 SEK -> 0.01 SEK, unit price 300.00 SEK -> 0.01 SEK, "Chair 299".'
    ]


TAKEN: dict[str, tuple[Json, str]] = {
    "a part": (TOWELS | {"quantity": 1, "total_amount": 19900}, 'Line 3: 1 of 4, total 199.00 SEK, "Towel".'),
    "all of it": (CHAIR, 'Line 2: 1 of 1, total 300.00 SEK, "Chair".'),
    "another price": (
        CHAIR | {"unit_price": 1, "total_amount": 1},
        'Line 2: 1 of 1, total 0.01 SEK, unit price 0.01 SEK instead of 300.00 SEK, "Chair".',
    ),
    "another name": (CHAIR | {"name": "Sofa"}, 'Line 2: 1 of 1, total 300.00 SEK, "Sofa" instead of "Chair".'),
    "another link": (
        CHAIR | {"image_url": "https://evil.example.com/x.png", "product_url": "javascript:x"},
        "Line 2: 1 of 1, total 300.00 SEK, product link to no host that can be read, picture to evil.example.com, "
        '"Chair".',
    ),
    "something else": (GIFT, 'Not in the order: quantity 1, total 799.00 SEK, type gift_card, "Gift card".'),
    "a fee": (
        {"type": "return_fee", "name": "Fee", "quantity": 1, "total_amount": -4900},
        'Return fee kept back: 49.00 SEK, "Fee".',
    ),
    "by name alone, without prices": (
        {"name": "Chair", "quantity": 1},
        'Line 2: 1 of 1, total not given, unit price not given instead of 300.00 SEK, "Chair".',
    ),
}


@pytest.mark.parametrize("moved", ["captured_amount", "refunded_amount"])
@pytest.mark.parametrize(("line", "said"), TAKEN.values(), ids=TAKEN)
def test_every_line_that_is_captured_or_refunded_is_told(line: Json, said: str, moved: str) -> None:
    assert without_check(told("capture", {moved: 100, "order_lines": [line]})) == [said]


def test_lines_that_are_alike_are_told_as_such() -> None:
    order = ORDER | {"order_lines": [CHAIR, CHAIR | {"unit_price": 100, "total_amount": 100}, CHAIR, CHAIR, CHAIR]}
    body = {"captured_amount": 30000, "order_lines": [CHAIR]}
    assert without_check(told("capture", body, order)) == [
        'Line 1 or 3 or 4 or another: 1 of 1, total 300.00 SEK, "Chair".'
    ]


def test_beyond_twenty_lines_those_that_are_as_in_the_order_are_summed_up() -> None:
    many = [CHAIR | {"reference": f"R-{n}", "name": f"Chair {n}"} for n in range(1, 31)]
    order = ORDER | {"order_lines": many}
    first = {"captured_amount": 1, "order_lines": many[:LINES_SHOWN]}
    assert len(without_check(told("capture", first, order))) == LINES_SHOWN
    some = [*many[:19], *many[20:24], many[25] | {"total_amount": 1}, many[0]]
    assert without_check(told("capture", {"captured_amount": 1, "order_lines": some}, order)) == [
        'Line 26: 1 of 1, total 0.01 SEK, "Chair 26".',
        'Line 1: 1 of 1, total 300.00 SEK, "Chair 1".',
        "Lines 1-19, 21-24 as the order has them: 23 lines, together 6,900.00 SEK.",
    ]


def test_texts_shipments_and_the_delay_are_told_in_quotes() -> None:
    parcel = {
        "shipping_company": "PostNord SE",
        "shipping_method": "Home",
        "tracking_number": "0034",
        "tracking_uri": "https://evil.example.com:8443/x",
        "return_shipping_company": "DHL SE",
        "return_tracking_number": "77",
        "return_tracking_uri": "HTTPS://TRACK.example.com./y",
    }
    body: Json = {
        "captured_amount": 100,
        "description": 'Pay "now"\nat once\u202e',
        "reference": "R",
        "shipping_delay": 300,
    }
    said = ["The customer reads: \"Pay 'now' at once\".", 'Reference: "R".']
    assert without_check(told("capture", body)) == [*said, "Shipping delay: 300 days."]
    assert without_check(told("capture", body | {"shipping_info": [parcel, {"tracking_number": "1"}]})) == [
        *said,
        'Shipment: carrier "PostNord SE", method "Home", number "0034", link to evil.example.com, '
        'return carrier "DHL SE", return number "77", return link to track.example.com.',
        'Shipment: number "1".',
        "Shipping delay: 300 days.",
    ]
    assert told("capture", {"captured_amount": 100, "description": "Tack"}) == ['The customer reads: "Tack".']
    assert told("update-amount", {"order_amount": 1, "description": "Tack"}) == ['Description: "Tack".']


def test_the_first_sentence_names_the_order_and_what_is_done_to_it() -> None:
    for action, body, said in (
        ("cancel", {}, "cancel"),
        ("release", {}, "release"),
        ("capture", {"captured_amount": 19900}, "capture 199.00 SEK"),
        ("refund", {"refunded_amount": 19900}, "refund 199.00 SEK"),
        ("update-amount", {"order_amount": 100}, "amount 800.00 SEK -> 1.00 SEK"),
        ("extend-due-date-14days", {"number_of_days": 14}, "due date of capture c-1 + 14 days"),
    ):
        ids = {"order_id": ID, "capture_id": "c-1"}
        assert details("t", action, ids, body, Order.model_validate(ORDER), "masked") == [f"{HEAD}{said}."]
    nameless = Order.model_validate({name: value for name, value in ORDER.items() if name != "merchant_reference1"})
    first = f"Order without a number of the shop, id {ID}: cancel."
    assert details("t", "cancel", {}, {}, nameless, "masked") == [first]
    long = Order.model_validate(ORDER | {"merchant_reference1": "9" * 255})
    head, check = details("t", "cancel", {}, {}, long, "masked")
    assert len(head) < 120
    assert check.startswith("check ")


def test_an_address_is_told_old_and_new() -> None:
    body: Json = {"shipping_address": {"city": "Lund", "country": "SE", "email": "", "region": "Skåne", "title": ""}}
    assert told("change-address", body) == [
        'Given name: "Testa", stays.',
        'Family name: "Testsson", stays.',
        "Title: none -> cleared.",
        'Street address: "Exempelgatan 1", stays.',
        'Postal code: "11122", stays.',
        'City: "Stockholm" -> "Lund".',
        'Region: none -> "Skåne".',
        'Country: "SE", sent as it is.',
        'Email: "testa@example.com" -> cleared.',
    ]
    masked = told("change-address", {"shipping_address": {"city": "Stockholm", "postal_code": "11122"}}, pii="masked")
    assert masked == [
        'Given name: "T***", stays.',
        'Family name: "T***", stays.',
        'Street address: "E***", stays.',
        'Postal code: "11***" -> "11122".',
        'City: "S***" -> "Stockholm".',
        'Country: "SE", stays.',
        'Email: "t***@***", stays.',
    ]


# ---------------------------------------------------------------------------------------- never the same


TEXTS = (
    "a",
    "A",
    "b",
    "",
    " a",
    "a ",
    "a\u200b",
    "a\n",
    'a"',
    "a'",
    "a“",
    "x" * 34,
    "x" * 40 + "1",
    "x" * 40 + "2",
    "\u202ea",
)
NUMBERS = (0, 1, -1, 100, 19900)
SHIPMENT: Json = dict.fromkeys(PARTS["ShippingInfo"], "a") | {
    "tracking_uri": "https://example.com/1",
    "return_tracking_uri": "https://example.com/1",
}
LINE: Json = {
    **dict.fromkeys(PARTS["OrderLine"], "a"),
    **dict.fromkeys(("quantity", "unit_price", "tax_rate"), 1),
    **dict.fromkeys(("total_amount", "total_discount_amount", "total_tax_amount"), 1),
    "product_identifiers": dict.fromkeys(PARTS["ProductIdentifiers"], "a"),
}
BODIES: dict[str, Json] = {
    "capture": {
        "captured_amount": 100,
        "description": "a",
        "reference": "a",
        "order_lines": [LINE, CHAIR],
        "shipping_info": [SHIPMENT, {"tracking_number": "a"}],
        "shipping_delay": 1,
    },
    "capture without lines": {
        "captured_amount": 100,
        "description": "a",
        "reference": "a",
        "shipping_info": [SHIPMENT | {"tracking_uri": "https://example.com/1"}, {"tracking_number": "a"}],
        "shipping_delay": 1,
    },
    "refund": {"refunded_amount": 100, "description": "a", "reference": "a", "order_lines": [LINE, TOWELS]},
    "refund of an amount": {"refunded_amount": 100, "description": "a", "reference": "a"},
    "update-amount": {"order_amount": 100, "description": "a", "order_lines": [LINE, BLANKET, CHAIR]},
    "change-address": {"shipping_address": dict.fromkeys(PARTS["Address"], "a")},
    "change-address in part": {"shipping_address": {"city": "Stockholm"}},
    "extend-due-date": {"number_of_days": 14},
}


def variants(value: Any) -> Iterator[Any]:
    """The value with one field changed, left out or added, at any depth; lists also in another order and twice."""
    if isinstance(value, dict):
        fields = cast("Json", value)
        for name, item in fields.items():
            for other in variants(item):
                yield fields | {name: other}
            yield {key: kept for key, kept in fields.items() if key != name}
    elif isinstance(value, list):
        items = cast("list[Any]", value)
        for index, item in enumerate(items):
            for other in variants(item):
                yield [*items[:index], other, *items[index + 1 :]]
        yield from (items[::-1], items[:-1], [*items, items[-1]])
    elif isinstance(value, str):
        yield from (text for text in TEXTS if text != value)
        yield from (f"{value}/x", f"{value}#", "https://evil.example.com")
    else:
        yield from (number for number in NUMBERS if number != value)


@pytest.mark.parametrize("pii", ["on_request", "masked"])
@pytest.mark.parametrize("name", BODIES)
def test_two_requests_that_differ_anywhere_never_read_the_same(name: str, pii: str) -> None:
    body = BODIES[name]
    needed = {"captured_amount", "refunded_amount", "order_amount", "number_of_days"} & body.keys()
    read: dict[str, Any] = {}
    for other in [body, *variants(body)]:
        if not needed <= other.keys():
            continue
        said = json.dumps(told(name.partition(" ")[0], other, pii=pii, capture_id="c"))
        first = json.dumps(
            details("t", name, {"order_id": ID, "capture_id": "c"}, other, Order.model_validate(ORDER), "masked")[0]
        )
        same = read.setdefault(said + first, other)
        assert same == other, said
    assert len(read) > 4


TEXT = st.one_of(st.sampled_from(TEXTS), st.text(max_size=60))
NUMBER = st.sampled_from(NUMBERS)
SOME_LINE = st.fixed_dictionaries(
    {"name": TEXT, "quantity": NUMBER},
    optional={
        "reference": TEXT,
        "type": st.sampled_from(("physical", "gift_card")),
        "unit_price": NUMBER,
        "tax_rate": NUMBER,
        "total_amount": NUMBER,
        "total_tax_amount": NUMBER,
        "product_url": TEXT,
    },
)
LINES = st.lists(st.one_of(SOME_LINE, st.sampled_from((BLANKET, CHAIR, TOWELS))), min_size=1, max_size=25)
SOME_SHIPMENT = st.fixed_dictionaries({}, optional=dict.fromkeys(PARTS["ShippingInfo"], TEXT))
CAPTURE = st.fixed_dictionaries(
    {"captured_amount": NUMBER},
    optional={
        "order_lines": LINES,
        "description": TEXT,
        "reference": TEXT,
        "shipping_delay": NUMBER,
        "shipping_info": st.lists(SOME_SHIPMENT, min_size=1, max_size=3),
    },
)
CHANGE = st.fixed_dictionaries({"order_amount": NUMBER, "order_lines": LINES}, optional={"description": TEXT})
MOVE = st.fixed_dictionaries(
    {"shipping_address": st.fixed_dictionaries({}, optional=dict.fromkeys(PARTS["Address"], TEXT))}
)


@given(st.sampled_from(("capture", "update-amount", "change-address")), st.data())
@settings(max_examples=300, deadline=None)
def test_no_two_requests_read_the_same(action: str, data: st.DataObject) -> None:
    strategy = {"capture": CAPTURE, "update-amount": CHANGE, "change-address": MOVE}[action]
    one, other = data.draw(strategy), data.draw(strategy)
    if one == other:
        return
    whole: list[list[str]] = []
    for body in (one, other):
        sentences = details(f"kustom_{action}", action, {"order_id": ID}, body, Order.model_validate(ORDER), "masked")
        assert all(len(sentence.splitlines()) == 1 for sentence in sentences)
        whole.append(sentences)
    assert whole[0] != whole[1]


# ---------------------------------------------------------------------------------------- where they are shown


@pytest.mark.parametrize("case", GATED, ids=name_of)
async def test_the_form_and_the_preview_tell_the_same_and_it_is_what_is_sent(case: Case) -> None:
    async with conversation(KUSTOM_CONFIRM="code", **only(case)) as talk:
        order_id, given = case.begin(talk)
        before = Order.model_validate(deepcopy(talk.stored(order_id)))
        preview = await talk.call(case.tool, given)
        async with conversation(person=no, simulator=talk.simulator, **only(case)) as forms:
            await forms.call(case.tool, given)
            (question,) = forms.questions
        assert "\n".join(preview["details"]) in question
        assert (await talk.call(case.tool, given, confirm=preview["confirm"]["code"]))["outcome"] == "applied"
        ((_, _, body),) = talk.sent
        action = case.first.rsplit("-", 1)[0] if case.tool not in ("update_customer_details", "extend_due_date") else ""
        ids = {name: given[name] for name in ("order_id", "capture_id") if name in given}
        sent = details(f"kustom_{case.tool}", action, ids, body or {}, before, "on_request")
        assert preview["details"][1:] == sent[1:]


async def test_more_than_a_preview_can_show_is_refused_and_what_fits_fits() -> None:
    names = "ж" * 60
    lines = [
        CHAIR | {"reference": f"R-{n}", "name": f"{n} {names}", "quantity": 2, "total_amount": 60000}
        for n in range(1000)
    ]
    async with conversation(KUSTOM_CONFIRM="code", **SERVER) as talk:
        order_id = talk.order(order_lines=lines, purchase_currency="SEK")
        sizes: list[int] = []
        for count in (50, 100, 130, 150, 400, 1000):
            changes = [{"line": n, "quantity": 1} for n in range(1, count + 1)]
            for tool, given in (
                ("update_order_amount", {"line_changes": changes}),
                ("capture_order", {"lines": changes}),
            ):
                answer = await talk.call(tool, {"order_id": order_id, **given})
                sizes.append(len(compact(answer).encode()))
                if count > 300:
                    assert (answer["outcome"], answer["error"]["code"]) == ("not_sent", "INVALID_ARGUMENT")
                    assert "more than one preview can show" in answer["summary"]
        assert max(sizes) < 40_000
        whole = [{"line": n, "quantity": 2} for n in range(1, 1001)]
        answer = await talk.call("capture_order", order_id=order_id, lines=whole)
        assert answer["details"][1] == "Lines 1-1000 as the order has them: 1000 lines, together 600,000.00 SEK."
        assert talk.sent == []
