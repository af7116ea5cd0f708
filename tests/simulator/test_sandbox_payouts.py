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
    check("/payouts/summary", ask(server, "/payouts/summary?start_date=2026-01-01&end_date=2026-03-02"))
    check("/payouts/summary", ask(server, "/payouts/summary"))
    check("/payouts/{payment_reference}", ask(server, "/payouts/NOBODY"))
    check("/payouts", ask(server, "/payouts?size=501"))
    check("/transactions", ask(server, "/transactions?offset=-1"))


@pytest.mark.parametrize(
    ("target", "status"),
    [
        *((f"/payouts?{wrong}", 400) for wrong in ("size=0", "size=501", "size=x", "offset=-1", "start_date=monday")),
        *(("/transactions?size=501", 400), ("/payouts/NOBODY", 404), ("/payouts/summary", 400), ("/elsewhere", 404)),
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
    sale, *fees = everything(server, f"/transactions?order_id={order['order_id']}")
    assert (sale["type"], sale["amount"], "payment_reference" in sale) == ("SALE", 19900, False)
    assert [(fee["detailed_type"], fee["amount"], fee["vat_amount"]) for fee in fees] == [
        ("PURCHASE_FEE_FIXED", 200, 50),
        ("PURCHASE_FEE_PERCENTAGE", 494, 124),
    ]
    assert list(everything(server, "/payouts")) == []
    server.advance(timedelta(days=1, hours=18).total_seconds())
    (payout,) = everything(server, "/payouts")
    assert payout["totals"]["settlement_amount"] == 19900 - 694 - 174
    assert {entry["payment_reference"] for entry in everything(server, "/transactions")} == {
        payout["payment_reference"]
    }


def test_a_day_ends_at_23_59_cet() -> None:
    server = Simulator(clock=lambda: NOON, seeds=())
    for minute in ("22:58:59", "22:59:00"):
        server.add_order({"order_amount": 100, "captures": [{"captured_at": f"2026-02-20T{minute}Z"}]})
    days = [payout["payout_date"] for payout in everything(server, "/payouts")]
    assert days == ["2026-02-22T06:00:00.000Z", "2026-02-23T06:00:00.000Z"]


def test_a_dispute_takes_the_sale_back_and_costs_a_fee_once() -> None:
    server = Simulator(clock=lambda: NOON, seeds=())
    record = server.add_order({"order_amount": 19900, "captures": [{"captured_at": stamp(NOON)}]})
    record.disputed_at(NOON)
    record.disputed_at(NOON)
    *_, back, fee = everything(server, "/transactions")
    assert (back["type"], back["amount"], back["capture_id"]) == ("REVERSAL", 19900, "")
    assert (fee["detailed_type"], fee["amount"], fee["vat_amount"]) == ("DISPUTE_FEE", 1500, 375)
    server.advance(timedelta(days=2).total_seconds())
    (payout,) = everything(server, "/payouts")
    debt = 694 + 174 + 1500 + 375
    assert payout["totals"]["settlement_amount"] == 0
    assert payout["totals"]["deposit_amount"] == payout["totals"]["closing_debt_balance_amount"] == debt


def test_the_sums_of_a_period_are_those_of_its_payouts() -> None:
    server = simulator(orders=200)
    period = "start_date=2026-02-01&end_date=2026-02-20"
    found = list(everything(server, f"/payouts?{period}&size=500"))
    summary = {
        entry["summary_settlement_currency"]: entry for entry in ask(server, f"/payouts/summary?{period}").json()
    }
    assert set(summary) == {payout["currency_code"] for payout in found}
    for currency, entry in summary.items():
        own = [payout for payout in found if payout["currency_code"] == currency]
        for name in ("sale", "return", "reversal", "fee", "tax", "repay", "settlement"):
            assert entry[f"summary_total_{name}_amount"] == sum(one["totals"][f"{name}_amount"] for one in own)
        assert (entry["summary_payout_date_start"], entry["summary_payout_date_end"]) == (
            own[0]["payout_date"],
            own[-1]["payout_date"],
        )
    (one,) = ask(server, f"/payouts/summary?{period}&currency_code=sek").json()
    assert one == summary["SEK"]


HOURS = st.integers(0, 400)
TOTALS = {"SALE": "sale_amount", "RETURN": "return_amount", "REVERSAL": "reversal_amount", "FEE": "fee_amount"}
SHOPS = st.lists(
    st.tuples(
        st.sampled_from(["SEK", "EUR"]),
        st.lists(st.tuples(HOURS, st.integers(1, 300_000)), min_size=1, max_size=3),
        st.lists(st.tuples(HOURS, st.integers(1, 300_000)), max_size=2),
        st.none() | HOURS,
    ),
    max_size=6,
)


@settings(deadline=None, max_examples=60)
@given(shop=SHOPS, signed=st.booleans())
def test_transactions_add_up_to_the_totals_and_these_to_what_is_paid_out(shop: list[Any], signed: bool) -> None:
    server = Simulator(clock=lambda: NOON, switches=Switches(transactions="signed" if signed else "positive"), seeds=())
    for currency, captures, refunds, disputed in shop:
        record = server.add_order(
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
        if disputed is not None:
            record.disputed_at(NOON - timedelta(hours=disputed))
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
        for kind, total in TOTALS.items():
            assert sum(abs(entry["amount"]) for entry in inside if entry["type"] == kind) == totals[total]
        assert sum(abs(entry.get("vat_amount", 0)) for entry in inside) == totals["tax_amount"]
        assert all((entry["amount"] < 0) is (signed and entry["type"] != "SALE") for entry in inside if entry["amount"])
        taken = ("return_amount", "reversal_amount", "fee_amount", "tax_amount")
        earned = totals["sale_amount"] - sum(totals[name] for name in taken)
        assert totals["settlement_amount"] == earned - totals["repay_amount"] + totals["deposit_amount"] >= 0
        assert totals["opening_debt_balance_amount"] == debts[payout["currency_code"]]
        debts[payout["currency_code"]] = totals["closing_debt_balance_amount"]
    assert all(debt >= 0 for debt in debts.values())
