"""Settlements are read beside the orders, on the same host, and only what was asked for is believed."""

from __future__ import annotations

import httpx2 as httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from kustom_mcp.api.endpoint import Read, contained, url_for
from kustom_mcp.api.endpoints import GET_ORDER
from kustom_mcp.api.errors import InvalidIdentifier, NotSent, ProtocolError
from kustom_mcp.api.settlements import (
    GET_PAYOUT,
    LIST_PAYOUTS,
    LIST_TRANSACTIONS,
    Payout,
    Payouts,
    PayoutTotals,
    Transaction,
    Transactions,
)
from tests.api.scripted import BASE, ORDER_ID, World, answer
from tests.support.settlements import described, schema

HOST = httpx.URL(BASE)
SALE = {"type": "SALE", "amount": 19900, "order_id": ORDER_ID, "payment_reference": "XISA93DJ"}


async def transactions(body: object, **asked: str) -> Transactions:
    world = World(answer(200, body))
    async with world.client:
        return await world.client.read(LIST_TRANSACTIONS, deadline=world.deadline, **asked)


async def test_a_list_is_asked_for_by_its_query_in_one_order_and_encoded() -> None:
    world = World(answer(200, {"payouts": [], "pagination": {"count": 0}}))
    asked = {"offset": "500", "size": "500", "start_date": "2026-01-31T00:00:00Z", "currency_code": "EUR"}
    async with world.client:
        assert await world.client.read(LIST_PAYOUTS, deadline=world.deadline, **asked) == Payouts.model_validate(
            {"pagination": {"count": 0}}
        )
    (request,) = world.network.requests
    assert str(request.url) == (
        f"{BASE}/settlements/v1/payouts?start_date=2026-01-31T00%3A00%3A00Z&currency_code=EUR&size=500&offset=500"
    )


def test_a_base_with_a_path_keeps_it() -> None:
    url = url_for(httpx.URL("http://127.0.0.1:8090/x/"), GET_PAYOUT, {"payment_reference": "XISA93DJ"})
    assert str(url) == "http://127.0.0.1:8090/x/settlements/v1/payouts/XISA93DJ"


@settings(deadline=None, max_examples=100)
@given(text=st.one_of(st.text(max_size=30), st.sampled_from(["..", "a&size=1", "1#", "a/b", "\u0661", "XISA93DJ\n"])))
def test_no_text_escapes_its_place_in_path_or_query(text: str) -> None:
    for endpoint, name in (
        (GET_PAYOUT, "payment_reference"),
        (LIST_TRANSACTIONS, "payment_reference"),
        (LIST_TRANSACTIONS, "order_id"),
        (LIST_PAYOUTS, "size"),
        (LIST_PAYOUTS, "end_date"),
    ):
        try:
            url = str(url_for(HOST, endpoint, {name: text}))
        except InvalidIdentifier:
            continue
        rest = endpoint.path.format(**{name: text}) + ("" if endpoint is GET_PAYOUT else f"?{name}={text}")
        assert url.replace("%3A", ":") == f"{BASE}/settlements/v1{rest}"


@pytest.mark.parametrize("query", ["", "x=1", "size", "size=0", "size=1&", "size=1&size=x", "order_id=1"])
def test_a_finished_query_that_is_not_the_endpoints_is_refused(query: str) -> None:
    with pytest.raises(InvalidIdentifier):
        contained(httpx.URL(f"{BASE}/settlements/v1/payouts?{query}"), HOST, LIST_PAYOUTS)


def test_what_an_endpoint_is_not_asked_for_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(TypeError):
        url_for(HOST, GET_ORDER, {"order_id": ORDER_ID, "size": "1"})
    with pytest.raises(TypeError, match="without a pattern: page"):
        Read("x", "/x", Payout, query=("page",))


@pytest.mark.parametrize(
    ("asked", "entry"),
    [
        ({"order_id": ORDER_ID}, SALE | {"order_id": ORDER_ID.replace("7", "8")}),
        ({"order_id": ORDER_ID}, {"type": "CHARGE", "amount": 1}),
        ({"payment_reference": "XISA93DJ"}, SALE | {"payment_reference": "ANOTHER1"}),
        ({"payment_reference": "XISA93DJ"}, {"type": "SALE", "amount": 1, "payment_reference": None}),
    ],
)
async def test_a_list_with_what_was_not_asked_for_is_not_believed(asked: dict[str, str], entry: object) -> None:
    with pytest.raises(ProtocolError) as caught:
        await transactions({"transactions": [SALE, entry], "pagination": {}}, **asked)
    assert caught.value.cause == f"another_{next(iter(asked))}"


async def test_letters_in_another_case_are_the_same_order() -> None:
    found = await transactions({"transactions": [SALE | {"order_id": ORDER_ID.upper()}]}, order_id=ORDER_ID)
    assert [entry.amount for entry in found.entries] == [19900]


async def test_another_payout_than_the_one_asked_for_is_not_believed() -> None:
    world = World(answer(200, {"payment_reference": "ANOTHER1"}))
    async with world.client:
        with pytest.raises(ProtocolError):
            await world.client.read(GET_PAYOUT, deadline=world.deadline, payment_reference="XISA93DJ")


async def test_a_reference_that_cannot_be_one_is_not_sent() -> None:
    world = World()
    async with world.client:
        with pytest.raises(NotSent):
            await world.client.read(GET_PAYOUT, deadline=world.deadline, payment_reference="../transactions")
    assert world.network.requests == []


def test_what_is_missing_null_or_new_is_read_kindly() -> None:
    body = b"""{"transactions": [
        {"type": "TIP", "amount": -5, "detailed_type": "NEW", "eco": 1, "payment_reference": null},
        {"type": "SALE", "amount": 1, "currency_code": "sek", "short_order_id": 17}], "pagination": {"total": 2}}"""
    tip, sale = LIST_TRANSACTIONS.parse(body).transactions
    assert (tip.type, tip.amount, tip.currency, tip.payment_reference) == ("TIP", -5, "", None)
    assert (sale.currency, sale.short_order_id) == ("SEK", "17")
    bare = GET_PAYOUT.parse(b'{"payment_reference": "A", "totals": {"sale_amount": null}}')
    assert bare == Payout(payment_reference="A", totals=PayoutTotals(sale_amount=0))
    assert bare.totals.settlement_amount is None
    assert LIST_PAYOUTS.parse(b'{"payouts": null}').payouts == []


@pytest.mark.parametrize("amount", ["1.5", '"100"', "true", "null"])
def test_an_amount_that_is_not_a_whole_number_makes_the_list_unreadable(amount: str) -> None:
    with pytest.raises(ValidationError):
        LIST_TRANSACTIONS.parse(f'{{"transactions": [{{"type": "SALE", "amount": {amount}}}]}}'.encode())


@pytest.mark.parametrize(
    ("model", "name"),
    [(Transaction, "Transaction"), (Payout, "Payout"), (PayoutTotals, "Totals")],
    ids=lambda part: str(part),
)
def test_the_models_have_the_names_of_the_description_and_require_no_more(model: type[BaseModel], name: str) -> None:
    known = schema(name)
    assert set(model.model_fields) <= set(known["properties"])
    assert {field for field, facts in model.model_fields.items() if facts.is_required()} <= set(known["required"])
    if model is PayoutTotals:
        assert set(model.model_fields) == set(known["properties"])


@pytest.mark.parametrize("endpoint", [LIST_PAYOUTS, GET_PAYOUT, LIST_TRANSACTIONS], ids=lambda found: found.name)
def test_the_calls_are_those_of_the_description(endpoint: Read[BaseModel]) -> None:
    call = described()["paths"][endpoint.path]["get"]
    assert call["operationId"] == endpoint.name
    assert {part["name"] for part in call["parameters"]} == {*endpoint.placeholders, *endpoint.query}
