"""Two wishes of one amount are two effects: what was done is told by its entry, never by a sum."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kustom_mcp.api.models import Order
from kustom_mcp.calls.confirmation import Watch
from kustom_mcp.calls.doubt import State, look
from kustom_mcp.calls.token import digest
from kustom_mcp.orders.entries import EntryKind, id_of
from kustom_mcp.state.intents import Intent
from tests.calls.faults_of_a_write import in_doubt, line_mended
from tests.calls.gated_operations import CAPTURE, REFUND, Case, name_of, refunded, somebody
from tests.calls.quick import ALL as SERVER
from tests.calls.quick import Time
from tests.support.conversation import MODES, Mode, Talk, conversation

BLUE: dict[str, Any] = {"reference": "BLUE", "name": "Shirt", "quantity": 1, "unit_price": 19900, "total_amount": 19900}
RED: dict[str, Any] = {**BLUE, "reference": "RED"}
ENTRY_CASES = pytest.mark.parametrize("case", [REFUND, CAPTURE], ids=name_of)


def two_shirts(talk: Talk, tool: str) -> str:
    """An order of two shirts of one price, captured by line where they are to be refunded."""
    captured = {"captures": [{"captured_amount": 39800, "order_lines": [BLUE, RED]}]} if tool == "refund_order" else {}
    return talk.order(order_lines=[BLUE, RED], order_amount=39800, **captured)


@pytest.mark.parametrize("mode", MODES)
@ENTRY_CASES
async def test_two_approved_wishes_of_one_amount_are_two_effects(case: Case, mode: Mode) -> None:
    async with conversation(mode, **SERVER) as talk:
        order_id = two_shirts(talk, case.tool)
        wishes = [
            {"order_id": order_id, "lines": [{"line": number, "quantity": 1}], "reference": f"RMA-{number}"}
            for number in (1, 2)
        ]
        codes = [(await talk.call(case.tool, wish))["confirm"]["code"] for wish in wishes]
        assert (await talk.call(case.tool, wishes[0], confirm=codes[0]))["outcome"] == "applied"
        second = await talk.call(case.tool, wishes[1], confirm=codes[1])
        assert (second["outcome"], second["error"]["code"], len(talk.sent)) == ("not_sent", "STATE_CHANGED", 1)
        again = await talk.call(case.tool, wishes[1], confirm=second["confirm"]["code"])
        assert (again["outcome"], [body["reference"] for _, _, body in talk.sent]) == ("applied", ["RMA-1", "RMA-2"])


@ENTRY_CASES
async def test_an_entry_that_another_wish_has_made_is_not_taken_for_ours(case: Case) -> None:
    """It has our reference and our amount, and nothing that differs from ours."""
    async with conversation(**SERVER) as talk:
        _, given = case.begin(talk)
        wishes: list[dict[str, Any]] = [{**given, "reference": "RMA-1"} for _ in range(2)]
        wishes[1]["description"] = "Second parcel"
        codes = [(await talk.call(case.tool, wish))["confirm"]["code"] for wish in wishes]
        assert (await talk.call(case.tool, wishes[0], confirm=codes[0]))["outcome"] == "applied"
        second = await talk.call(case.tool, wishes[1], confirm=codes[1])
        assert (second["outcome"], second["error"]["code"], len(talk.sent)) == ("not_sent", "STATE_CHANGED", 1)


@ENTRY_CASES
async def test_an_entry_of_one_amount_by_somebody_else_is_not_taken_for_a_write_that_failed(case: Case) -> None:
    method, path, body = case.request
    async with conversation(host=Time().run, **SERVER) as talk:
        order_id, given = case.begin(talk)
        given = {**given, "reference": "RMA-1"}
        code = (await talk.call(case.tool, given))["confirm"]["code"]
        in_doubt(talk, "reset")
        unknown = await talk.call(case.tool, given, confirm=code)
        assert unknown["outcome"] == "unknown"
        line_mended(talk)
        somebody(talk, order_id, (method, path, {**body, "reference": "PORTAL"}))
        answer = await talk.call(case.tool, given, confirm=unknown["confirm"]["code"])
        assert (answer["outcome"], len(talk.sent)) == ("unknown", 1)


async def test_a_refund_in_doubt_is_found_by_its_entry_whatever_was_made_since() -> None:
    async with conversation(host=Time().run, **SERVER) as talk:
        order_id, given = REFUND.begin(talk)
        code = (await talk.call(REFUND.tool, given))["confirm"]["code"]
        in_doubt(talk, "lose_response")
        unknown = await talk.call(REFUND.tool, given, confirm=code)
        line_mended(talk)
        somebody(talk, order_id, refunded(500))
        answer = await talk.call(REFUND.tool, given, confirm=unknown["confirm"]["code"])
        made = next(one for one in talk.stored(order_id)["refunds"] if one["refunded_amount"] == 5000)
        assert (answer["outcome"], len(talk.sent)) == ("already_applied", 1)
        assert made["refund_id"] in answer["summary"]


async def test_a_preview_on_an_order_with_a_write_in_doubt_warns_of_it() -> None:
    async with conversation(host=Time().run, **SERVER) as talk:
        order_id, given = REFUND.begin(talk)
        code = (await talk.call(REFUND.tool, given))["confirm"]["code"]
        in_doubt(talk, "reset")
        assert (await talk.call(REFUND.tool, given, confirm=code))["outcome"] == "unknown"
        line_mended(talk)
        preview = await talk.call("update_customer_details", order_id=order_id, clear=["phone"])
        refused = await talk.call(REFUND.tool, {"order_id": order_id, "refunded_amount": 300})
        assert (refused["outcome"], refused["error"]["code"]) == ("not_sent", "WRITE_IN_DOUBT")
        assert "kustom_refund_order of 50.00 SEK" in refused["summary"]
        (left,) = refused["order"]["unresolved_writes"]
        assert (left["operation"], left["amount"], left["tool"]) == ("refund", 5000, "kustom_refund_order")
        assert preview["outcome"] in ("confirmation_required", "not_sent")


async def test_a_preview_says_nothing_of_writes_on_other_orders_or_with_an_outcome() -> None:
    async with conversation(host=Time().run, **SERVER) as talk:
        _, given = REFUND.begin(talk)
        code = (await talk.call(REFUND.tool, given))["confirm"]["code"]
        in_doubt(talk, "reset")
        assert (await talk.call(REFUND.tool, given, confirm=code))["outcome"] == "unknown"
        line_mended(talk)
        _, other = REFUND.begin(talk)
        assert "no outcome" not in str(await talk.call(REFUND.tool, other))
        assert (await talk.call(REFUND.tool, given, confirm=code))["outcome"] == "applied"
        assert "no outcome" not in str(await talk.call(REFUND.tool, {**given, "refunded_amount": 300}))


REFUND_WATCH = Watch(depends=lambda _: None, shows=lambda _: None, entry=EntryKind.REFUND)
SENT = Intent(
    account="a",
    key="11111111-1111-4111-8111-111111111111",
    digest="d",
    tool="kustom_refund_order",
    order_id="o",
    content={"amount": 500, "alike": 0, "entries": ["before"], "unnamed": 0, "before": "", "after": "11"},
)
OTHER = replace(SENT, key="22222222-2222-4222-8222-222222222222", outcome="applied", entry="theirs")


def _refund(id: str | None, amount: int = 500, reference: str | None = None) -> dict[str, Any]:
    entry: dict[str, Any] = {"refunded_amount": amount}
    entry |= {"refund_id": id} if id else {}
    return entry | ({"reference": reference} if reference else {})


@pytest.mark.parametrize(
    ("refunds", "state"),
    [
        ([], State.ABSENT),
        ([_refund("before")], State.ABSENT),
        ([_refund("new", 400, "RMA-1")], State.ABSENT),
        ([_refund("theirs")], State.ABSENT),
        ([_refund("theirs", reference="RMA-1")], State.ABSENT),
        ([_refund("new")], State.UNCERTAIN),
        ([_refund("new", reference="PORTAL")], State.UNCERTAIN),
        ([_refund(None)], State.UNCERTAIN),
        ([_refund("new", reference="RMA-1")], State.DONE),
        ([_refund(None, reference="RMA-1")], State.DONE),
        ([_refund("theirs", reference="RMA-1"), _refund("new", reference="RMA-1")], State.DONE),
    ],
)
def test_a_refund_in_doubt_is_told_by_new_entries_that_no_other_write_made(
    refunds: list[dict[str, Any]], state: State
) -> None:
    order = Order.model_validate({"order_id": "o", "status": "CAPTURED", "refunds": refunds})
    assert look(SENT, {"reference": "RMA-1"}, REFUND_WATCH, order, [SENT, OTHER]).state is state


def test_a_refund_in_doubt_is_told_from_those_like_it_that_were_there_before() -> None:
    one, two = (
        Order.model_validate({"order_id": "o", "status": "CAPTURED", "refunds": [_refund(None, reference="RMA-1")] * n})
        for n in (1, 2)
    )
    sent = replace(SENT, content={**SENT.content, "alike": 1, "unnamed": 1})
    assert look(sent, {"reference": "RMA-1"}, REFUND_WATCH, one, [sent]).state is State.ABSENT
    assert look(sent, {"reference": "RMA-1"}, REFUND_WATCH, two, [sent]).state is State.DONE


async def test_an_entry_like_ours_from_before_the_approval_does_not_carry_it_out() -> None:
    method, path, body = REFUND.request
    async with conversation(**SERVER) as talk:
        order_id, given = REFUND.begin(talk)
        somebody(talk, order_id, (method, path, {**body, "reference": "RMA-1"}))
        code = (await talk.call(REFUND.tool, given, reference="RMA-1"))["confirm"]["code"]
        somebody(talk, order_id, (method, path, {**body, "reference": "PORTAL"}))
        answer = await talk.call(REFUND.tool, given, reference="RMA-1", confirm=code)
        assert (answer["outcome"], answer["error"]["code"], len(talk.sent)) == ("not_sent", "STATE_CHANGED", 0)


@pytest.mark.parametrize(("amount", "state"), [(100, State.ABSENT), (200, State.DONE), (300, State.UNCERTAIN)])
def test_a_change_in_doubt_that_the_order_neither_shows_nor_excludes_is_uncertain(amount: int, state: State) -> None:
    watch = Watch(depends=lambda order: [order.order_amount], shows=lambda order: [order.order_amount])
    content = {"before": digest([100]).hex(), "after": digest([200]).hex()}
    sent = replace(SENT, tool="kustom_update_order_amount", content=content)
    order = Order.model_validate({"order_id": "o", "status": "AUTHORIZED", "order_amount": amount})
    assert look(sent, {}, watch, order, [sent]).state is state


@pytest.mark.parametrize(("recurs", "state"), [(True, State.DONE), (False, State.ABSENT)])
def test_a_value_that_is_set_anew_is_there_where_it_can_come_back(*, recurs: bool, state: State) -> None:
    watch = Watch(depends=lambda order: [order.order_amount], shows=lambda order: [order.order_amount], recurs=recurs)
    content = {"before": digest([100]).hex(), "after": digest([100]).hex()}
    order = Order.model_validate({"order_id": "o", "status": "AUTHORIZED", "order_amount": 100})
    assert look(replace(SENT, content=content), {}, watch, order, []).state is state


def test_of_entries_like_ours_the_newest_was_made_since() -> None:
    days = [("before", "02"), ("since", "03"), ("first", "01")]
    made = [_refund(name, reference="RMA-1") | {"refunded_at": f"2026-11-{day}T10:00:00Z"} for name, day in days]
    order = Order.model_validate({"order_id": "o", "status": "CAPTURED", "refunds": made})
    sent = replace(SENT, content={**SENT.content, "alike": 2})
    found = look(sent, {"reference": "RMA-1"}, REFUND_WATCH, order, [sent])
    assert (found.state, found.entry and id_of(found.entry)) == (State.DONE, "since")
