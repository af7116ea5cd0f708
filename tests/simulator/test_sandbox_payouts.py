"""Payouts of the simulator: as described, page by page, and adding up to the unit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.crowd import invented_orders
from kustom_mcp.simulator.demo_orders import demo_orders
from kustom_mcp.simulator.drafts import stamp
from kustom_mcp.simulator.faults import Fault
from kustom_mcp.simulator.switches import Switches
from kustom_mcp.simulator.wire import Request, Response
from tests.support.direct import credentials
from tests.support.settlements import check

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
PREFIX = "/settlements/v1"

Json = dict[str, Any]


def simulator(*, orders: int = 0, signed: bool = False) -> Simulator:
    seeds = (*demo_orders(), *invented_orders(orders))
    return Simulator(
        clock=lambda: NOON, switches=Switches(transactions="signed" if signed else "positive"), seeds=seeds
    )


def ask(server: Simulator, target: str, method: str = "GET") -> Response:
    return server.handle(Request(method, PREFIX + target, {"Authorization": credentials(), "Host": "sandbox.test"}))


def everything(server: Simulator, target: str) -> Iterator[Json]:
    """All entries of a list, following `next`."""
    name = target.partition("?")[0].strip("/")
    while target:
        page = ask(server, target).json()
        yield from page[name]
        target = page["pagination"].get("next", "").removeprefix(f"http://sandbox.test{PREFIX}")


def test_every_kind_of_answer_is_as_described() -> None:
    server = simulator()
    listed = ask(server, "/payouts")
    check("/payouts", listed)
    payout = listed.json()["payouts"][0]
    one = ask(server, f"/payouts/{payout['payment_reference']}")
    assert one.json() == payout
    check("/payouts/{payment_reference}", one)
    check("/transactions", ask(server, "/transactions?size=500"))
    check("/payouts/{payment_reference}", ask(server, "/payouts/NOBODY"))
    check("/payouts", ask(server, "/payouts?size=501"))
    check("/transactions", ask(server, "/transactions?offset=-1"))


@pytest.mark.parametrize(
    ("target", "status"),
    [
        *((f"/payouts?{wrong}", 400) for wrong in ("size=0", "size=501", "size=x", "offset=-1", "start_date=monday")),
        *(("/transactions?size=501", 400), ("/payouts/NOBODY", 404), ("/payouts/summary", 404), ("/elsewhere", 404)),
        *(("/transactions?payment_reference=NOBODY", 200), ("/transactions?order_id=nobody", 200)),
    ],
)
def test_what_does_not_fit_is_refused_and_what_is_unknown_has_no_transactions(target: str, status: int) -> None:
    answer = ask(simulator(), target)
    assert answer.status == status
    assert ("error_code" in answer.json()) is (status >= 400)
    if status == 200:
        assert answer.json() == {"transactions": [], "pagination": {"count": 0, "total": 0, "offset": 0}}


def test_nothing_but_a_read_with_credentials_is_answered() -> None:
    server = simulator()
    assert ask(server, "/payouts", "POST").status == 404
    assert server.handle(Request("GET", f"{PREFIX}/payouts")).status == 401
    server.faults.add(Fault("GET", f"{PREFIX}/payouts", "status", status=403))
    assert server.faults.take("GET", ("ordermanagement", "v1", "payouts")) is None
    assert server.faults.take("GET", ("settlements", "v1", "payouts")) is not None


@pytest.mark.parametrize("size", [1, 7, 500])
def test_the_pages_hold_every_payout_once(size: int) -> None:
    server = simulator()
    whole = ask(server, "/payouts?size=500").json()["payouts"]
    assert list(everything(server, f"/payouts?size={size}")) == whole
    last = ask(server, f"/payouts?size={size}&offset={len(whole) - 1}").json()["pagination"]
    assert ("next" in last, "prev" in last, last["total"]) == (False, True, len(whole))


def test_payouts_are_found_by_day_and_currency() -> None:
    server = simulator()
    whole = list(everything(server, "/payouts"))
    day = whole[3]["payout_date"][:10]
    found = list(everything(server, f"/payouts?start_date={day}&end_date={day}T23:59:59Z"))
    assert found == [payout for payout in whole if payout["payout_date"][:10] == day]
    assert list(everything(server, f"/payouts?end_date={day}")) == [
        payout for payout in whole if payout["payout_date"][:10] < day
    ]
    assert {payout["currency_code"] for payout in everything(server, "/payouts?currency_code=sek")} == {"SEK"}


def test_hundreds_of_orders_make_payouts_to_page_through_and_the_same_ones_every_time() -> None:
    first, second = (list(everything(simulator(orders=500), "/payouts?size=500")) for _ in range(2))
    assert len(first) > 100
    assert first == second
    assert len({payout["payment_reference"] for payout in first}) == len(first)


def test_a_capture_is_paid_out_two_days_later() -> None:
    server = Simulator(clock=lambda: NOON, seeds=())
    order = server.add_order({"order_amount": 19900, "captures": [{"captured_at": stamp(NOON)}]}).order
    (sale, fee) = everything(server, f"/transactions?order_id={order['order_id']}")
    assert (sale["type"], sale["amount"], fee["type"], "payment_reference" in sale) == ("SALE", 19900, "FEE", False)
    assert list(everything(server, "/payouts")) == []
    server.advance(timedelta(days=1, hours=18).total_seconds())
    (payout,) = everything(server, "/payouts")
    assert payout["totals"]["settlement_amount"] == 19900 - fee["amount"] - fee["vat_amount"]
    assert {entry["payment_reference"] for entry in everything(server, "/transactions")} == {
        payout["payment_reference"]
    }


HOURS = st.integers(0, 400)
SHOPS = st.lists(
    st.tuples(
        st.sampled_from(["SEK", "EUR"]),
        st.lists(st.tuples(HOURS, st.integers(1, 300_000)), min_size=1, max_size=3),
        st.lists(st.tuples(HOURS, st.integers(1, 300_000)), max_size=2),
    ),
    max_size=6,
)


@settings(deadline=None, max_examples=60)
@given(shop=SHOPS, signed=st.booleans())
def test_transactions_add_up_to_the_totals_and_these_to_what_is_paid_out(shop: list[Any], signed: bool) -> None:
    server = Simulator(clock=lambda: NOON, switches=Switches(transactions="signed" if signed else "positive"), seeds=())
    for currency, captures, refunds in shop:
        server.add_order(
            {
                "purchase_currency": currency,
                "order_amount": sum(amount for _, amount in captures),
                "captures": [
                    {"captured_at": stamp(NOON - timedelta(hours=hours)), "captured_amount": amount, "order_lines": []}
                    for hours, amount in captures
                ],
                "refunds": [
                    {"refunded_at": stamp(NOON - timedelta(hours=hours)), "refunded_amount": amount, "order_lines": []}
                    for hours, amount in refunds
                ],
            }
        )
    listed = list(everything(server, "/transactions?size=500"))
    orders = [record.order["order_id"] for record in server.store.records()]
    by_order = [entry for order in orders for entry in everything(server, f"/transactions?order_id={order}")]
    assert by_order == listed
    debts = {"SEK": 0, "EUR": 0}
    for payout in everything(server, "/payouts?size=500"):
        reference, totals = payout["payment_reference"], payout["totals"]
        inside = list(everything(server, f"/transactions?payment_reference={reference}"))
        assert inside == [entry for entry in listed if entry.get("payment_reference") == reference]
        assert {entry["currency_code"] for entry in inside} == {payout["currency_code"]}
        for kind, total in (("SALE", "sale_amount"), ("RETURN", "return_amount"), ("FEE", "fee_amount")):
            assert sum(abs(entry["amount"]) for entry in inside if entry["type"] == kind) == totals[total]
        assert sum(abs(entry.get("vat_amount", 0)) for entry in inside) == totals["tax_amount"]
        assert all((entry["amount"] < 0) is (signed and entry["type"] != "SALE") for entry in inside if entry["amount"])
        earned = totals["sale_amount"] - totals["return_amount"] - totals["fee_amount"] - totals["tax_amount"]
        assert totals["settlement_amount"] == earned - totals["repay_amount"] + totals["deposit_amount"] >= 0
        assert totals["opening_debt_balance_amount"] == debts[payout["currency_code"]]
        debts[payout["currency_code"]] = totals["closing_debt_balance_amount"]
    assert all(debt >= 0 for debt in debts.values())
