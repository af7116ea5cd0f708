"""kustom_find_orders: which orders of those that this server knows; fresh, in scope, never more sure than it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from kustom_mcp.app.app import App
from kustom_mcp.book.writing import forget
from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.faults import Fault
from tests.support.conversation import conversation, demo

PLAYGROUND = {"KUSTOM_API_KEY": "kco_test_api_sandbox", "KUSTOM_USERNAME": "M1-demo"}
"""The server believes that this is the playground, so it knows only what it has read."""


def ids(answer: dict[str, Any]) -> list[str]:
    return [row["order_id"] for row in answer["orders"]]


def strangers(app: App) -> None:
    """As outside the sandbox: nobody announces orders."""
    app.simulator = None


def later(seconds: float) -> Any:
    def change(app: App) -> None:
        app.wall = lambda: datetime.now(UTC).timestamp() + seconds
        strangers(app)

    return change


async def test_what_was_read_is_found_by_what_a_person_has() -> None:
    async with conversation(host=strangers) as talk:
        order_id = demo("documentation-tomatoes")
        assert (await talk.call("find_orders", min_remaining=0))["coverage"] == {"known": 0, "sources": {}, "stale": 0}
        await talk.call("get_order", order_id=order_id)
        for known_by in ("15632423", order_id[:8], order_id, order_id[:8].upper()):
            assert ids(await talk.call("find_orders", reference=known_by)) == [order_id]
        part = await talk.call("find_orders", reference="2423")
        assert [(row["order_id"], row["match"]) for row in part["orders"]] == [(order_id, "part")]
        none = await talk.call("find_orders", reference="1563")
        assert none["orders"] == none["totals"] == []
        assert none["summary"] == "0 of the 1 order I know match."
        assert "not that there is none" in none["next_step"]


async def test_a_reference_that_only_resembles_another_comes_after_it_and_is_marked() -> None:
    async with conversation(simulator=Simulator(seeds=())) as talk:
        like = [talk.order(merchant_reference1=name) for name in ("#SE-204/51", "se20451")]
        one = talk.order(klarna_reference=" se-20451")
        talk.order(merchant_reference1="SE-2045")
        found = await talk.call("find_orders", reference="SE-20451 ")
        assert [row["match"] for row in found["orders"]] == ["exact", "part", "part"]
        assert (ids(found)[0], set(ids(found)[1:])) == (one, set(like))
        assert found["summary"] == (
            "3 of the 4 orders I know match, 1 of them exactly; the others only resemble what was asked for."
        )
        assert "ask the person which one is meant" in found["next_step"]
        assert sum(group["orders"] for group in found["totals"]) == 3


@pytest.mark.parametrize(("asked", "match"), [("SANDBOX81", "part"), ("sandbox8-1", "exact"), ("SANDBOX8-1", "exact")])
async def test_what_is_called_otherwise_is_never_taken_for_what_was_asked(asked: str, match: str) -> None:
    async with conversation(simulator=Simulator(seeds=())) as talk:
        order_id = talk.order(klarna_reference="SANDBOX8-1")
        found = await talk.call("find_orders", reference=asked)
        assert [(row["order_id"], row["match"]) for row in found["orders"]] == [(order_id, match)]
        exact = match == "exact"
        assert ("next_step" in found, found["summary"]) == (
            (False, "1 of the 1 order I know matches.")
            if exact
            else (True, "None of the 1 order I know has exactly this reference or id; 1 resembles it.")
        )


@pytest.mark.parametrize(
    ("part", "match"), [(slice(None), "exact"), (slice(8), "part"), (slice(-7, None), "part")], ids=str
)
async def test_only_a_whole_id_is_an_exact_match(part: slice, match: str) -> None:
    async with conversation() as talk:
        order_id = demo("documentation-tomatoes")
        found = await talk.call("find_orders", reference=order_id[part].upper())
        assert [(row["order_id"], row["match"]) for row in found["orders"]] == [(order_id, match)]


async def test_pages_go_on_from_exact_matches_to_those_that_resemble_them() -> None:
    async with conversation(simulator=Simulator(seeds=())) as talk:
        names = ("A-1", "a1", "A 1", "a-1", "A/1")
        by_id = {talk.order(merchant_reference1=name, created_at=f"2026-11-1{n}T00:00:00Z"): name
                 for n, name in enumerate(names)}  # fmt: skip
        shown: list[str] = []
        more: dict[str, Any] | None = {}
        while more is not None:
            page = await talk.call("find_orders", reference="A-1", limit=1, **more)
            shown += [by_id[order_id] for order_id in ids(page)]
            more = {"cursor": page["next_cursor"]} if "next_cursor" in page else None
        assert shown == ["a-1", "A-1", "A/1", "A 1", "a1"]


async def test_refunds_since_a_day_are_found_and_what_their_sums_count_is_said() -> None:
    async with conversation(host=strangers) as talk:
        order_id = demo("captured-sek")
        await talk.call("get_order", order_id=order_id)
        today = f"{datetime.now(ZoneInfo('Europe/Stockholm')):%Y-%m-%d}"
        assert ids(await talk.call("find_orders", refunded_from=today)) == []
        await talk.confirmed("refund_order", order_id=order_id, refunded_amount=100)
        found = await talk.call("find_orders", refunded_from=today, currency="SEK")
        assert ids(found) == [order_id]
        assert found["totals"][0]["refunded_amount"] == talk.stored(order_id)["refunded_amount"] == 100
        assert found["summary"] == (
            "The period may be incomplete: it is not known since when I know every order. 1 of the 1 order I know "
            "matches. Amounts are of whole orders: they count captures and refunds of other times, too."
        )


async def test_what_was_written_is_known_as_it_is_now() -> None:
    async with conversation(host=strangers) as talk:
        order_id = demo("authorized-sek")
        await talk.confirmed("cancel_order", order_id=order_id)
        (row,) = (await talk.call("find_orders", status="CANCELLED"))["orders"]
        assert row["order_id"] == order_id
        assert (await talk.call("find_orders", status="AUTHORIZED"))["orders"] == []


async def test_an_open_order_that_was_read_long_ago_is_read_again_first() -> None:
    async with conversation(host=strangers) as talk:
        order_id = demo("authorized-sek")
        await talk.call("get_order", order_id=order_id)
        await talk.call("get_order", order_id=demo("captured-sek"))
        talk.stored(order_id)["merchant_reference1"] = "NEW-1"
        talk.mark()
        assert ids(await talk.call("find_orders", min_remaining=0, max_age=10_000)) != []
        assert talk.requests == []
        found = await talk.call("find_orders", min_remaining=0, max_age=0)
        assert [seen.path.rpartition("/")[2] for seen in talk.requests] == [order_id]
        assert {row["third_party"]["merchant_reference1"] for row in found["orders"]} >= {"NEW-1"}


async def test_what_cannot_be_read_again_is_marked() -> None:
    async with conversation(host=later(0)) as talk:
        order_id = demo("authorized-sek")
        await talk.call("get_order", order_id=order_id)
        talk.app.wall = lambda: datetime.now(UTC).timestamp() + 7200
        talk.simulator.faults.add(Fault("GET", "/orders/{order_id}", "status", status=404, times=9))
        found = await talk.call("find_orders", min_remaining=0)
        assert [(row["order_id"], row["stale"]) for row in found["orders"]] == [(order_id, True)]
        assert found["coverage"]["stale"] == 1
        assert "1 of those shown could not be read again and may have changed" in found["summary"]


async def test_pages_follow_one_another_and_a_cursor_belongs_to_its_search() -> None:
    async with conversation() as talk:
        seen: list[str] = []
        more: dict[str, Any] = {}
        for _ in range(20):
            answer = await talk.call(
                "find_orders", min_remaining=0, limit=2, order_by="remaining_authorized_amount", **more
            )
            seen += ids(answer)
            if "next_cursor" not in answer:
                break
            more = {"cursor": answer["next_cursor"]}
        everything = await talk.call("find_orders", min_remaining=0, limit=50, order_by="remaining_authorized_amount")
        assert seen == ids(everything)
        assert len(set(seen)) == len(seen) == everything["coverage"]["known"]
        wrong: list[tuple[str, dict[str, Any]]] = [
            (more["cursor"], {"status": "CAPTURED"}),
            ("made up", {}),
            ("bnVsbA", {}),
        ]
        for cursor, other in wrong:
            refused = await talk.call("find_orders", other, cursor=cursor, order_by="remaining_authorized_amount")
            assert refused["error"]["field"] == "cursor"


async def test_out_of_scope_nothing_is_counted() -> None:
    mine = demo("captured-sek")
    async with conversation(KUSTOM_ORDER_SCOPE=mine) as talk:
        found = await talk.call("find_orders", min_remaining=0)
        assert ids(found) == [mine]
        assert found["coverage"]["known"] == sum(found["coverage"]["sources"].values()) == 1
        assert sum(group["orders"] for group in found["totals"]) == 1
        assert (await talk.call("find_orders", reference=demo("authorized-sek")))["orders"] == []


async def test_what_expires_is_what_can_still_be_captured() -> None:
    async with conversation() as talk:
        soon = (datetime.now(UTC) + timedelta(days=3)).isoformat()
        assert ids(await talk.call("find_orders", expires_before=soon)) == [demo("expiring-soon-sek")]


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        *(("expires_before", "friday"), ("limit", 51), ("limit", 0), ("no_tracking", "yes")),
        *(("ever_disputed", False), ("to_capture", False), ("unresolved", False), ("reference", ["a"] * 51)),
    ],
)
async def test_an_argument_of_another_kind_is_refused(argument: str, value: Any) -> None:
    async with conversation() as talk:
        refused = await talk.call("find_orders", {argument: value})
        assert (refused["error"]["code"], refused["error"]["field"]) == ("INVALID_ARGUMENT", argument)
        assert talk.requests == []


async def test_a_status_that_is_none_is_refused_by_its_place() -> None:
    async with conversation() as talk:
        refused = await talk.call("find_orders", status=["CAPTURED", "captured"])
        assert (refused["error"]["code"], refused["error"]["field"]) == ("INVALID_ARGUMENT", "status[1]")


async def test_an_invoice_number_finds_its_own_order_and_no_other() -> None:
    async with conversation(simulator=Simulator(seeds=())) as talk:
        one = talk.order(klarna_reference="SANDBOX8", captured_amount=100)
        talk.order(klarna_reference="SANDBOX81")
        found = await talk.call("find_orders", reference="sandbox8-1")
        assert [(row["order_id"], row["match"]) for row in found["orders"]][:1] == [(one, "exact")]
        assert {row["match"] for row in found["orders"][1:]} <= {"part"}


async def test_references_of_captures_and_refunds_are_found() -> None:
    captures = [{"captured_amount": 500, "reference": "INV-77"}]
    refunds = [{"refunded_amount": 100, "reference": "RMA-9"}]
    async with conversation(simulator=Simulator(seeds=())) as talk:
        one = talk.order(captures=captures, refunds=refunds)
        talk.order(merchant_reference1="INV-771")
        for reference in ("inv-77", "RMA-9 "):
            found = await talk.call("find_orders", reference=reference)
            assert [(row["order_id"], row["match"]) for row in found["orders"]] == [(one, "exact")]
            assert (
                "1 of those shown has it as the reference of a capture or refund, not as its own." in found["summary"]
            )
        assert "capture or refund" not in (await talk.call("find_orders", reference="INV-771"))["summary"]
        for amount in (500, 100):
            assert ids(await talk.call("find_orders", amount=amount)) == [one]


async def test_a_list_of_references_tells_which_have_no_match() -> None:
    async with conversation(simulator=Simulator(seeds=())) as talk:
        made = {talk.order(merchant_reference1=f"SE-{number}") for number in range(30001, 30004)}
        found = await talk.call("find_orders", reference=["SE-30001", "none", "se-30002", "SE-30003", "30009"])
        assert set(ids(found)) == made
        assert found["summary"].endswith("Of the 5 references these have no match: number 2, 5 of the list.")


async def test_a_day_is_a_day_of_the_shop_also_where_summer_time_ends() -> None:
    """The days 2026-10-25 (25 hours) and 2026-03-29 (23 hours) in Stockholm."""
    async with conversation(simulator=Simulator(seeds=())) as talk:
        inside = ["2026-10-24T22:00:00Z", "2026-10-25T22:59:59Z", "2026-03-28T23:00:00Z", "2026-03-29T21:59:59Z"]
        outside = ["2026-10-24T21:59:59Z", "2026-10-25T23:00:00Z", "2026-03-28T22:59:59Z", "2026-03-29T22:00:00Z"]
        made = [talk.order(created_at=moment) for moment in (*inside, *outside)]
        days = [("2026-10-25", "2026-10-26"), ("2026-03-29", "2026-03-30")]
        found: set[str] = set()
        for first, end in days:
            found |= set(ids(await talk.call("find_orders", created_from=first, created_before=end)))
        assert found == set(made[:4])


async def test_a_row_has_the_dates_of_the_last_capture_and_refund() -> None:
    async with conversation(simulator=Simulator(seeds=())) as talk:
        captures = [{"captured_amount": 500, "captured_at": f"2026-11-{day}T10:00:00.000Z"} for day in (12, 10)]
        refunds = [{"refunded_amount": 100, "refunded_at": "2026-11-13T10:00:00.000Z"}]
        one = talk.order(created_at="2026-11-09T10:00:00.000Z", captures=captures, refunds=refunds)
        for row in (
            (await talk.call("find_orders", min_remaining=0))["orders"][0],
            (await talk.call("get_orders", order_ids=[one]))["orders"][0],
        ):
            dates = [row[name][:10] for name in ("created_at", "captured_at", "refunded_at")]
            assert dates == ["2026-11-09", "2026-11-12", "2026-11-13"]


async def test_an_order_with_a_write_in_doubt_is_found_and_no_other() -> None:
    async with conversation(host=strangers) as talk:
        order_id = demo("authorized-sek")
        await talk.call("get_order", order_id=demo("captured-sek"))
        assert (await talk.call("find_orders", unresolved=True))["orders"] == []
        preview = await talk.call("cancel_order", order_id=order_id)
        talk.simulator.faults.add(Fault("POST", "/orders/{order_id}/cancel", "status", status=500, times=9))
        answer = await talk.call("cancel_order", order_id=order_id, confirm=preview["confirm"]["code"])
        assert answer["outcome"] == "unknown"
        found = await talk.call("find_orders", unresolved=True, max_age=10**8)
        assert ids(found) == [order_id]


@pytest.mark.parametrize("readable", [True, False])
async def test_an_order_with_a_write_in_doubt_that_the_book_does_not_know_is_not_passed_over(readable: bool) -> None:
    async with conversation(host=strangers) as talk:
        order_id, known = demo("authorized-sek"), demo("captured-sek")
        preview = await talk.call("cancel_order", order_id=order_id)
        talk.simulator.faults.add(Fault("POST", "/orders/{order_id}/cancel", "status", status=500, times=9))
        await talk.call("cancel_order", order_id=order_id, confirm=preview["confirm"]["code"])
        await talk.call("get_order", order_id=known)
        await talk.app.book.change(lambda tx, account: forget(tx, account, [order_id]))
        if not readable:
            talk.simulator.faults.add(Fault("GET", f"/orders/{order_id}", "status", status=404, times=99))
        found = await talk.call("find_orders", unresolved=True)
        if readable:
            assert ids(found) == [order_id]
            return
        assert ids(found) == []
        assert found["summary"].startswith(f"1 order with a write in doubt is not in the order book: {order_id}.")
        assert "kustom_resolve_order" in found["next_step"]
