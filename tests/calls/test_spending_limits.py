"""KUSTOM_MAX_DAILY and KUSTOM_WRITES_PER_MINUTE as a client meets them: refused in time, counted once, never in the
way of reading.
"""

from __future__ import annotations

import sqlite3
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from kustom_mcp.app.app import App
from kustom_mcp.calls.policy import Policy
from kustom_mcp.schema.result import ToolError
from kustom_mcp.server.handlers import TOOL_FACTS
from kustom_mcp.settings.environment import load
from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.faults import Fault
from kustom_mcp.state.audit_log import AuditLog
from kustom_mcp.state.database import Store
from kustom_mcp.state.spending_limits import DAY, SpendingLimits
from tests.support.conversation import MODES, Talk, conversation, demo, write, yes

NOON = 1_767_355_200.0  # 2026-01-02 12:00 UTC
REFUNDS = "/orders/{order_id}/refunds"
ORDER = "/orders/{order_id}"
UNKNOWN = ("unknown", "OUTCOME_UNKNOWN")


class Clock:
    """The time of day, which a test moves."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now

    def host(self, app: App) -> None:
        app.wall = self


def paid(talk: Talk, currency: str = "SEK") -> str:
    """A captured order of 10,000.00."""
    line = {"name": "Lamp", "quantity": 1, "unit_price": 1_000_000, "tax_rate": 0, "total_amount": 1_000_000}
    return talk.order(
        status="CAPTURED",
        purchase_currency=currency,
        order_amount=1_000_000,
        captured_amount=1_000_000,
        remaining_authorized_amount=0,
        captures=[{"captured_amount": 1_000_000}],
        order_lines=[line | {"total_tax_amount": 0}],
    )


async def refund(talk: Talk, order: str, amount: int, **more: Any) -> dict[str, Any]:
    """Preview and, where there is one, confirm."""
    arguments = {"order_id": order, "refunded_amount": amount, **more}
    preview = await talk.call("refund_order", arguments)
    if preview["outcome"] != "confirmation_required":
        return preview
    return await talk.call("refund_order", arguments, confirm=preview["confirm"]["code"])


def refusal(answer: dict[str, Any]) -> tuple[str, str]:
    return answer["outcome"], answer["error"]["code"]


def code(answer: dict[str, Any]) -> str:
    return str(answer["confirm"]["code"])


async def test_splitting_a_refund_does_not_pass_the_ceiling() -> None:
    clock = Clock()
    async with conversation(KUSTOM_MAX_DAILY="SEK:100000", host=clock.host) as talk:
        order = paid(talk)
        for _ in range(2):
            assert (await refund(talk, order, 40_000))["outcome"] == "applied"
            clock.now += 60
        talk.mark()
        refused = await refund(talk, order, 30_000)
        assert refused["error"] == {
            "code": "LIMIT_EXCEEDED",
            "message": "The refunds of 24 hours may come to 1,000.00 SEK here (KUSTOM_MAX_DAILY), and 200.00 SEK of "
            "that is left. There is room for this amount from 2026-01-03 12:00 UTC on, if no other comes first. "
            "Nothing was sent.",
            "field": "refunded_amount",
            "retry": "never",
        }
        assert refused["next_step"] == (
            "Do not split the amount to get around this. Wait, or ask the person to do it in the Kustom portal."
        )
        assert (refused["outcome"], talk.sent) == ("not_sent", [])
        assert (await refund(talk, order, 20_000))["outcome"] == "applied"
        assert refusal(await refund(talk, order, 1)) == ("not_sent", "LIMIT_EXCEEDED")
        clock.now = NOON + DAY
        assert (await refund(talk, order, 40_000))["outcome"] == "applied"
        assert refusal(await refund(talk, order, 1)) == ("not_sent", "LIMIT_EXCEEDED")


async def test_more_than_a_whole_day_may_hold_is_never_possible() -> None:
    async with conversation(KUSTOM_MAX_DAILY="*:500") as talk:
        refused = await refund(talk, paid(talk), 501)
        assert refused["error"]["message"] == (
            "The refunds of 24 hours may come to 5.00 SEK here (KUSTOM_MAX_DAILY), and 5.00 SEK of that is left. "
            "This amount alone is above it. Nothing was sent."
        )


async def test_a_person_is_not_asked_for_what_has_no_room() -> None:
    for mode in MODES:
        async with conversation(mode, yes, KUSTOM_MAX_DAILY="SEK:1000") as talk:
            order = paid(talk)
            assert refusal(await refund(talk, order, 1001)) == ("not_sent", "LIMIT_EXCEEDED")
            assert (talk.questions, talk.sent) == ([], [])
            assert (await refund(talk, order, 1000))["outcome"] == "applied"
            assert len(talk.questions) == 1


async def test_two_previews_reserve_nothing_and_the_second_approval_finds_no_room() -> None:
    async with conversation(KUSTOM_MAX_DAILY="SEK:1000") as talk:
        calls = [{"order_id": paid(talk), "refunded_amount": 600} for _ in range(2)]
        codes = [(await talk.call("refund_order", call))["confirm"]["code"] for call in calls]
        first = await talk.call("refund_order", calls[0], confirm=codes[0])
        talk.mark()
        second = await talk.call("refund_order", calls[1], confirm=codes[1])
        assert (first["outcome"], refusal(second)) == ("applied", ("not_sent", "LIMIT_EXCEEDED"))
        assert talk.sent == []
        events = [line["event"] for line in talk.app.audit.memory]
        assert events == ["preview", "preview", "intent", "outcome", "intent", "withdrawn", "refused"]


async def test_refunds_captures_and_currencies_have_a_ceiling_each_and_others_of_0() -> None:
    async with conversation(KUSTOM_MAX_DAILY="SEK:1000,EUR:500") as talk:
        assert (await refund(talk, paid(talk), 1000))["outcome"] == "applied"
        assert (await refund(talk, paid(talk, "EUR"), 500))["outcome"] == "applied"
        other = await talk.call("refund_order", {"order_id": paid(talk, "NOK"), "refunded_amount": 1})
        assert refusal(other) == ("not_sent", "LIMIT_EXCEEDED")
        assert "may come to 0.00 NOK here (KUSTOM_MAX_DAILY)" in other["error"]["message"]
        capture = {"order_id": demo("authorized-sek"), "captured_amount": 1000}
        assert (await talk.confirmed("capture_order", capture))["outcome"] == "applied"
        refused = await talk.call("capture_order", capture)
        assert refusal(refused) == ("not_sent", "LIMIT_EXCEEDED")
        assert refused["error"]["field"] == "captured_amount"
        assert "captures of 24 hours" in refused["error"]["message"]


async def test_an_order_amount_is_not_limited_by_the_day() -> None:
    async with conversation(KUSTOM_MAX_DAILY="*:0") as talk:
        change = {"order_id": demo("authorized-sek"), "line_changes": [{"line": 1, "quantity": 1}]}
        assert (await talk.confirmed("update_order_amount", change))["outcome"] == "applied"


async def test_a_definite_refusal_gives_the_money_back() -> None:
    async with conversation(KUSTOM_MAX_DAILY="SEK:1000") as talk:
        order = paid(talk)
        talk.simulator.faults.add(Fault("POST", REFUNDS, "status", status=403))
        assert (await refund(talk, order, 1000))["outcome"] == "rejected"
        assert (await refund(talk, order, 1000, reference="again"))["outcome"] == "applied"
        assert refusal(await refund(talk, order, 1)) == ("not_sent", "LIMIT_EXCEEDED")


def without_news(talk: Talk, kind: str) -> None:
    """The next refund ends in `kind`, and after the read before it the order cannot be read."""
    talk.simulator.faults.add(Fault("GET", ORDER, "delay", seconds=0))
    talk.simulator.faults.add(Fault("GET", ORDER, "status", status=500, times=100))
    talk.simulator.faults.add(Fault("POST", REFUNDS, kind))


@pytest.mark.parametrize(("kind", "ends"), [("lose_response", "already_applied"), ("reset", "applied")])
async def test_an_unknown_outcome_stays_reserved_and_settling_it_does_not_count_twice(kind: str, ends: str) -> None:
    async with conversation(KUSTOM_MAX_DAILY="SEK:1000", KUSTOM_TIMEOUT="1") as talk:
        order = paid(talk)
        call = {"order_id": order, "refunded_amount": 700}
        preview = await talk.call("refund_order", call)
        without_news(talk, kind)
        unknown = await talk.call("refund_order", call, confirm=code(preview))
        talk.simulator.faults.clear()
        assert unknown["outcome"] == "unknown"
        assert refusal(await refund(talk, paid(talk), 301)) == ("not_sent", "LIMIT_EXCEEDED")
        settled = await talk.call("refund_order", call, confirm=code(unknown))
        assert settled["outcome"] == ends
        assert talk.stored(order)["refunded_amount"] == 700
        assert (await refund(talk, order, 300))["outcome"] == "applied"
        assert refusal(await refund(talk, order, 1)) == ("not_sent", "LIMIT_EXCEEDED")


async def test_a_settling_call_that_sends_nothing_gives_nothing_back_of_what_may_have_moved(tmp_path: Path) -> None:
    async with conversation(KUSTOM_MAX_DAILY="SEK:1000", KUSTOM_TIMEOUT="1", KUSTOM_STATE_DIR=str(tmp_path)) as talk:
        order = paid(talk)
        call = {"order_id": order, "refunded_amount": 700}
        preview = await talk.call("refund_order", call)
        without_news(talk, "reset")
        unknown = await talk.call("refund_order", call, confirm=code(preview))
        talk.simulator.faults.clear()
        talk.app.drain(60)
        assert refusal(await talk.call("refund_order", call, confirm=code(unknown))) == UNKNOWN
        talk.app.draining = False
        talk.app.audit = AuditLog(None, "/dev/full")
        assert refusal(await talk.call("refund_order", call, confirm=code(unknown))) == UNKNOWN
        talk.app.audit = AuditLog(None)
        assert refusal(await refund(talk, paid(talk), 301)) == ("not_sent", "LIMIT_EXCEEDED")
        assert (await talk.call("refund_order", call, confirm=code(unknown)))["outcome"] == "applied"


@pytest.mark.parametrize("confirm", ["flag", "code"])
async def test_a_refusal_of_a_resend_gives_nothing_back_for_a_day(confirm: str) -> None:
    """Kustom may refuse it because the first sending was done: then the money has moved."""
    clock = Clock()
    settings: dict[str, Any] = {"KUSTOM_MAX_DAILY": "SEK:1000", "KUSTOM_TIMEOUT": "1", "KUSTOM_CONFIRM": confirm}
    async with conversation(host=clock.host, **settings) as talk:
        order = paid(talk)
        call = {"order_id": order, "refunded_amount": 700}
        other: dict[str, Any] = {"confirm": True} if confirm == "flag" else {}
        means = other or {"confirm": code(await talk.call("refund_order", call))}
        without_news(talk, "reset")
        assert refusal(await talk.call("refund_order", call, **means)) == UNKNOWN
        for status, told in ((403, "REFUND_NOT_ALLOWED"), (400, None), (401, None), (429, None)):
            talk.simulator.faults.clear()
            at_once = {"Retry-After": "0"}
            talk.simulator.faults.add(
                Fault("POST", REFUNDS, "status", status=status, code=told, times=9, headers=at_once)
            )
            assert refusal(await talk.call("refund_order", call, **means)) == UNKNOWN
            talk.simulator.faults.clear()
            assert refusal(await refund(talk, paid(talk), 301, **other)) == ("not_sent", "LIMIT_EXCEEDED")
        clock.now += DAY + 1
        assert refusal(await refund(talk, order, 301, **other)) == ("not_sent", "WRITE_IN_DOUBT")  # one look
        assert (await refund(talk, order, 301, **other))["outcome"] == "applied"


async def test_a_resend_that_is_refused_in_the_same_call_gives_nothing_back_either() -> None:
    async with conversation(KUSTOM_MAX_DAILY="SEK:1000") as talk:
        order = paid(talk)
        talk.simulator.faults.add(Fault("POST", REFUNDS, "reset"))
        talk.simulator.faults.add(Fault("POST", REFUNDS, "status", status=403, code="REFUND_NOT_ALLOWED"))
        assert refusal(await refund(talk, order, 700)) == UNKNOWN
        assert refusal(await refund(talk, paid(talk), 301)) == ("not_sent", "LIMIT_EXCEEDED")


async def test_what_this_server_does_not_send_is_given_back() -> None:
    async with conversation(KUSTOM_MAX_DAILY="SEK:1000", KUSTOM_AUDIT_LOG="/dev/full") as talk:
        for _ in range(2):
            assert refusal(await refund(talk, paid(talk), 1000)) == ("not_sent", "AUDIT_UNAVAILABLE")
        assert talk.sent == []
    async with conversation(KUSTOM_MAX_DAILY="SEK:1000") as talk:
        call = {"order_id": paid(talk), "refunded_amount": 1000}
        preview = await talk.call("refund_order", call)
        talk.app.drain(60)
        assert refusal(await talk.call("refund_order", call, confirm=code(preview))) == ("not_sent", "BUSY")
        talk.app.draining = False
        assert (await refund(talk, paid(talk), 1000))["outcome"] == "applied"


async def test_money_that_cannot_be_given_back_stays_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Store.file(tmp_path / "store.sqlite3", patience=0.1)
    policy = Policy(load({"KUSTOM_MAX_DAILY": "SEK:1000"}).settings, TOOL_FACTS, SpendingLimits(store))
    body, now = {"refunded_amount": 1000}, NOON
    move = policy.move(UUID(int=1), body, "SEK")
    policy.taking("me", move, now, 0.0)(lambda _: None, "a write")
    with closing(sqlite3.connect(tmp_path / "store.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await policy.give_back(move)
        other.execute("ROLLBACK")
    assert [record.getMessage() for record in caplog.records] == [
        "money that did not move stays counted for a day: the limits cannot be written"
    ]
    with pytest.raises(ToolError, match="LIMIT_EXCEEDED"):
        await policy.room_today(UUID(int=2), body, "SEK", now, 0.0)
    store.close()


async def test_a_restart_and_another_server_of_the_same_directory_go_on_counting(tmp_path: Path) -> None:
    simulator = Simulator()

    def server() -> AbstractAsyncContextManager[Talk]:
        return conversation(
            simulator=simulator,
            KUSTOM_MAX_DAILY="SEK:1000",
            KUSTOM_STATE_DIR=str(tmp_path),
            KUSTOM_WRITES_PER_MINUTE="3",
        )

    async with server() as talk:
        order = paid(talk)
        assert (await refund(talk, order, 400))["outcome"] == "applied"
        async with server() as other:
            assert (await refund(other, order, 400))["outcome"] == "applied"
            assert refusal(await refund(talk, order, 400)) == ("not_sent", "LIMIT_EXCEEDED")
    async with server() as talk:
        assert (await refund(talk, order, 200))["outcome"] == "applied"
        limited = await talk.call("acknowledge_order", order_id=order)
        assert refusal(limited) == ("not_sent", "RATE_LIMITED")
        assert 1 <= limited["error"]["retry_after_seconds"] <= 60


async def test_writes_above_the_rate_wait_and_reads_do_not() -> None:
    clock = Clock()
    async with conversation(KUSTOM_WRITES_PER_MINUTE="2", host=clock.host) as talk:
        order = demo("authorized-sek")
        for _ in range(2):
            assert (await talk.call("acknowledge_order", order_id=order))["outcome"] == "applied"
            clock.now += 20.5
        talk.mark()
        refused = await talk.call("acknowledge_order", order_id=order)
        assert refused["error"] == {
            "code": "RATE_LIMITED",
            "message": "This server sends at most 2 writes a minute (KUSTOM_WRITES_PER_MINUTE). Nothing was sent.",
            "retry": "later",
            "retry_after_seconds": 19,
        }
        assert refused["next_step"] == "Wait 19 seconds, then repeat the call."
        assert talk.sent == []
        assert (await talk.call("get_order", order_id=order))["outcome"] == "ok"
        clock.now += refused["error"]["retry_after_seconds"]
        assert (await talk.call("acknowledge_order", order_id=order))["outcome"] == "applied"
        assert talk.sent == [write("POST", f"/orders/{order}/acknowledge")]


async def test_without_counts_writes_are_refused_and_reads_go_on(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite3").mkdir()
    async with conversation(KUSTOM_STATE_DIR=str(tmp_path), KUSTOM_MAX_DAILY="*:1000") as talk:
        order = paid(talk)
        for tool, arguments in (("acknowledge_order", {}), ("refund_order", {"refunded_amount": 1})):
            refused = await talk.call(tool, {"order_id": order, **arguments})
            assert refusal(refused) == ("not_sent", "AUDIT_UNAVAILABLE")
            assert refused["error"]["message"] == (
                "This server cannot write or read its own records, so it sends no writes. Nothing was sent."
            )
            assert "the state directory" in refused["next_step"]
        assert talk.sent == []
        assert (await talk.call("get_order", order_id=order))["outcome"] == "ok"
        (tmp_path / "store.sqlite3").rmdir()
        assert (await talk.call("acknowledge_order", order_id=order))["outcome"] == "applied"


async def test_counts_that_stay_locked_are_busy(tmp_path: Path) -> None:
    def impatient(app: App) -> None:
        app.use(Store.file(tmp_path / "store.sqlite3", patience=0.1))

    async with conversation(KUSTOM_STATE_DIR=str(tmp_path), host=impatient) as talk:
        order = demo("authorized-sek")
        assert (await talk.call("acknowledge_order", order_id=order))["outcome"] == "applied"
        talk.mark()
        with closing(sqlite3.connect(tmp_path / "store.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            refused = await talk.call("acknowledge_order", order_id=order)
            assert (await talk.call("get_order", order_id=order))["outcome"] == "ok"
        assert (refusal(refused), talk.sent) == (("not_sent", "AUDIT_UNAVAILABLE"), [])
        assert (await talk.call("acknowledge_order", order_id=order))["outcome"] == "applied"


async def test_the_file_of_records_names_no_person(tmp_path: Path) -> None:
    async with conversation(KUSTOM_STATE_DIR=str(tmp_path), KUSTOM_MAX_DAILY="*:100000") as talk:
        order = demo("captured-sek")
        answer = await refund(talk, order, 100, description="For Nils Nilsson")
        assert answer["outcome"] == "applied"
    assert b"Nils" not in (tmp_path / "store.sqlite3").read_bytes()


async def test_what_moved_before_a_ceiling_was_set_counts(tmp_path: Path) -> None:
    simulator, state = Simulator(), str(tmp_path)
    async with conversation(KUSTOM_STATE_DIR=state, simulator=simulator) as talk:
        order = paid(talk)
        assert (await refund(talk, order, 80_000))["outcome"] == "applied"
    async with conversation(KUSTOM_STATE_DIR=state, KUSTOM_MAX_DAILY="SEK:100000", simulator=simulator) as talk:
        answer = await refund(talk, order, 30_000)
        assert refusal(answer) == ("not_sent", "LIMIT_EXCEEDED")
        assert "200.00 SEK of that is left" in answer["error"]["message"]
        assert (await refund(talk, order, 20_000))["outcome"] == "applied"
