"""kustom_list_activity: who asked for what, why, who approved it, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from kustom_mcp.app.app import App
from kustom_mcp.calls.policy import Principal
from kustom_mcp.schema.result import compact
from kustom_mcp.state.audit_log import AuditUnavailable
from kustom_mcp.state.intents import Intent, Intents
from tests.calls.faults_of_a_write import ORDER, fault, in_doubt, line_mended
from tests.calls.quick import ALL, Time
from tests.support.conversation import Talk, conversation, demo
from tests.transport.http.callers import TOWEL, callers

LIST = "list_activity"
CAPTURED, OPEN = demo("captured-sek"), demo("authorized-sek")
WHY = "Came back, too small"


def told(row: dict[str, Any]) -> dict[str, Any]:
    """A row without its time and its person."""
    return {name: value for name, value in row.items() if name not in ("time", "asked_by", "approved_by")}


async def refund(talk: Talk, amount: int, **more: Any) -> dict[str, Any]:
    await talk.app.sleep(1)
    return await talk.confirmed(
        "refund_order", order_id=CAPTURED, refunded_amount=amount, reference=f"R{amount}", **more
    )


async def listed(talk: Talk, **given: Any) -> list[dict[str, Any]]:
    """All rows, page by page."""
    answer = await talk.call(LIST, given)
    rows = list(answer["activity"])
    while "next_cursor" in answer:
        answer = await talk.call(LIST, given, cursor=answer["next_cursor"])
        rows += answer["activity"]
    return rows


async def test_a_journal_without_writes_says_what_is_not_in_it() -> None:
    async with conversation(**ALL) as talk:
        answer = await talk.call(LIST)
        assert (answer["outcome"], answer["activity"], talk.requests) == ("ok", [], [])
        assert "the Kustom portal is not in it" in answer["summary"]


async def test_activity_says_who_did_what_why_and_with_which_outcome() -> None:
    async with conversation(host=Time().run, **ALL) as talk:
        paid = await refund(talk, 5000, reason=WHY)
        talk.simulator.faults.add(fault("POST", f"{ORDER}/refunds", "status 403"))
        refused = await refund(talk, 700)
        assert refused["outcome"] == "rejected"
        await talk.app.sleep(1)
        await talk.call("update_merchant_references", order_id=OPEN, merchant_reference1="SE-9")
        await talk.app.sleep(1)
        code = (await talk.call("cancel_order", order_id=OPEN))["confirm"]["code"]
        in_doubt(talk, "reset")
        assert (await talk.call("cancel_order", order_id=OPEN, confirm=code))["outcome"] == "unknown"
        line_mended(talk)
        talk.mark()
        answer = await talk.call(LIST)
        assert [told(row) for row in answer["activity"]] == [
            {
                "operation": "cancel",
                "order_id": OPEN,
                "outcome": "unknown",
                "amount": 159200,
                "currency": "SEK",
                "means": "code",
            },
            {
                "operation": "update_merchant_references",
                "order_id": OPEN,
                "outcome": "applied",
                "third_party": {"reference": "SE-9"},
            },
            {
                "operation": "refund",
                "order_id": CAPTURED,
                "outcome": "rejected",
                "amount": 700,
                "currency": "SEK",
                "means": "code",
                "third_party": {"reference": "R700"},
            },
            {
                "operation": "refund",
                "order_id": CAPTURED,
                "outcome": "applied",
                "amount": 5000,
                "currency": "SEK",
                "entry_id": paid["refund"]["refund_id"],
                "means": "code",
                "third_party": {"reference": "R5000", "reason": WHY},
            },
        ]
        people = {(row["asked_by"], row.get("approved_by")) for row in answer["activity"]}
        (user,) = {asked for asked, _ in people}
        assert people == {(user, user), (user, None)}  # the references needed no approval
        assert "kustom_resolve_order" in answer["next_step"]
        assert talk.requests == []


async def test_activity_is_narrowed_by_order_operation_person_and_time() -> None:
    async with conversation(host=Time().run, **ALL) as talk:
        for amount in (100, 200, 300):
            await refund(talk, amount)
        await talk.app.sleep(1)
        await talk.confirmed("cancel_order", order_id=OPEN)
        rows = await listed(talk)
        user, at = rows[0]["asked_by"], rows[0]["time"]
        assert [row["operation"] for row in rows] == ["cancel", *["refund"] * 3]
        refunds = rows[1:]
        for word in ("refund", "Refund", "kustom_refund_order", "refund_order"):
            assert await listed(talk, operation=word) == refunds
        assert await listed(talk, order_id=OPEN) == rows[:1]
        assert await listed(talk, order_id=CAPTURED, operation="cancel") == []
        assert await listed(talk, person=user.upper()) == rows
        for nobody in ("somebody else", user + '"', "%", "_" * len(user)):
            assert await listed(talk, person=nobody) == []
        assert await listed(talk, **{"from": "2000-01-01", "before": "2100-01-01"}) == rows
        assert await listed(talk, before="2000-01-01") == []
        assert await listed(talk, **{"from": "2100-01-01"}) == []
        assert at.endswith("+00:00")


async def test_pages_together_are_the_whole() -> None:
    async with conversation(host=Time().run, **ALL) as talk:
        for amount in range(100, 105):
            await refund(talk, amount)
        answer = await talk.call(LIST, limit=2)
        assert [row["amount"] for row in answer["activity"]] == [104, 103]
        assert [row["amount"] for row in await listed(talk, limit=2)] == [104, 103, 102, 101, 100]
        other = await talk.call(LIST, operation="refund", cursor=answer["next_cursor"])
        assert (other["error"]["code"], other["error"]["field"]) == ("INVALID_ARGUMENT", "cursor")
        for made_up in ("x", "nan,x.y", answer["next_cursor"].replace(",", ",x")):
            assert (await talk.call(LIST, limit=2, cursor=made_up))["error"]["code"] == "INVALID_ARGUMENT"


async def test_an_operation_that_is_none_is_named_with_those_that_are() -> None:
    async with conversation(**ALL) as talk:
        error = await talk.call(LIST, operation="refnd")
        assert (error["outcome"], error["error"]["field"]) == ("not_sent", "operation")
        assert "Did you mean refund?" in error["error"]["message"]
        assert "capture" in error["next_step"]


@pytest.mark.parametrize(("limit", "most"), [(None, 9_000), (50, 40_000)])
async def test_long_reasons_make_shorter_pages(limit: int | None, most: int) -> None:
    """Two hundred characters of four bytes in every row."""

    def many(app: App) -> None:
        for number in range(60):
            app.intents.close(app.account.name, _sent(app, number), "applied", entry=f"{number:036}")

    async with conversation(host=many, **ALL) as talk:
        given = {} if limit is None else {"limit": limit}
        answer = await talk.call(LIST, given)
        assert len(compact(answer).encode()) <= most
        assert "there are more" in answer["summary"]
        assert [row["amount"] for row in await listed(talk, **given)] == list(range(60, 0, -1))


def _sent(app: App, number: int) -> str:
    """Put a refund with the longest of all texts into the store; its key."""
    content = {"caller": "a" * 80, "approved_by": "a" * 80, "means": "code", "amount": number + 1, "currency": "SEK"}
    content |= {"reason": "\N{GRINNING FACE}" * 200, "reference": "\N{GRINNING FACE}" * 255}
    new = Intent(
        account=app.account.name,
        key=f"{number:032}",
        digest="",
        tool="kustom_refund_order",
        order_id=CAPTURED,
        content=content,
    )
    app.records.run(lambda connection: app.intents.send(connection, new, seen=None))
    return new.key


async def test_a_caller_sees_the_orders_that_exist_for_it() -> None:
    """Two callers, one narrowed to an order, one who only reads; and a customer, to whom the journal is closed."""
    other = demo("partly-refunded-pln")
    async with callers(KUSTOM_CONFIRM="flag") as these:
        these.admit("buyer", Principal("buyer", orders=frozenset({TOWEL}), source="customer"))
        for order_id in (TOWEL, other):
            given = {"order_id": order_id, "refunded_amount": 100, "confirm": True}
            assert (await these.call("all", "refund_order", given))["outcome"] == "applied"
        seen = {who: await these.call(who, LIST, {}) for who in ("all", "reader", "customer", "nobody", "buyer")}
        hidden = await these.call("customer", LIST, {"order_id": other})
        unknown = await these.call("customer", LIST, {"order_id": "00000000-0000-4000-8000-000000000000"})
    orders = {who: [row["order_id"] for row in answer.get("activity", [])] for who, answer in seen.items()}
    assert orders == {"all": [other, TOWEL], "reader": [other, TOWEL], "customer": [TOWEL], "nobody": [], "buyer": []}
    assert {row["asked_by"] for row in seen["customer"]["activity"]} == {"all"}
    assert seen["buyer"]["error"]["code"] == "NOT_PERMITTED"
    assert hidden == unknown
    assert hidden["error"]["code"] == "NOT_FOUND"


class _Unread(Intents):
    def journal(self, accounts: Sequence[str], **_: Any) -> list[Intent]:
        raise AuditUnavailable(OSError(5, "an invented damaged file"))


async def test_a_journal_that_cannot_be_read_is_never_an_empty_one() -> None:
    async with conversation(host=lambda app: setattr(app, "intents", _Unread(app.records)), **ALL) as talk:
        answer = await talk.call(LIST)
        assert (answer["outcome"], answer["error"]["code"]) == ("not_sent", "AUDIT_UNAVAILABLE")
        assert "activity" not in answer


async def test_another_merchants_records_of_version_one_are_not_shown() -> None:
    """The name of their account may have been shared, so they may be anybody's."""

    def left(app: App) -> None:
        _sent(app, 1)
        app.account = replace(app.account, merchant="PM99999", shared=(app.account.merchant,))

    async with conversation(host=left, **ALL) as talk:
        assert await listed(talk) == []
