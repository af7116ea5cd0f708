"""When the records fail: writes stop while nothing is sent yet, and what was done is told all the same."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from kustom_mcp.app.app import App
from kustom_mcp.calls.confirmation import operating_user
from kustom_mcp.simulator.app import Simulator
from kustom_mcp.state.account import Account
from kustom_mcp.state.audit_log import AuditLog, AuditUnavailable
from kustom_mcp.state.database import Store
from kustom_mcp.state.intents import Intent, Intents
from tests.calls.faults_of_a_write import in_doubt, line_mended
from tests.calls.gated_operations import DUE_DATE, EVERYTHING, REFUND, SEND_OUT, only
from tests.calls.quick import ALL, quickly
from tests.support.conversation import conversation
from tests.support.unhurried import PATIENCE

FLAG: dict[str, Any] = {**ALL, "KUSTOM_CONFIRM": "flag"}


def _full() -> AuditUnavailable:
    return AuditUnavailable(OSError(28, "an invented full disk"))


class NoAudit(AuditLog):
    def record(self, event: Mapping[str, Any]) -> None:
        raise _full()


class NoOutcomes(AuditLog):
    def record(self, event: Mapping[str, Any]) -> None:
        if event["event"] != "intent":
            raise _full()


class NotSent(Intents):
    def send(self, connection: Any, new: Intent, *, seen: int | None, harmless: bool = False) -> None:
        raise _full()


class NotClosed(Intents):
    def close(self, account: str, key: str, outcome: str, **_: Any) -> None:
        raise _full()


class NotFound(Intents):
    def of_order(self, account: Account, order_id: str, former: Sequence[str] = ()) -> list[Intent]:
        raise _full()


class Slow:
    """A disk that answers when it is told to."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.answers = threading.Event()
        self.ended = threading.Event()

    def wait(self) -> None:
        self.asked.set()
        assert self.answers.wait(PATIENCE)


class SlowAudit(AuditLog):
    def __init__(self, disk: Slow) -> None:
        super().__init__(None)
        self.disk = disk

    @property
    def blocks(self) -> bool:
        return True

    def record(self, event: Mapping[str, Any]) -> None:
        if event["event"] == "intent":
            self.disk.wait()
        self.memory.append(dict(event))


class SentSlowly(Intents):
    def __init__(self, store: Store, disk: Slow) -> None:
        super().__init__(store)
        self.disk, self.blocks = disk, True

    def send(self, connection: Any, new: Intent, *, seen: int | None, harmless: bool = False) -> None:
        self.disk.wait()
        super().send(connection, new, seen=seen, harmless=harmless)

    def lease(self, account: str, order_id: str, holder: str, seconds: float) -> float:
        return 0.0

    def release(self, account: str, order_id: str, holder: str) -> None:
        return None


class ClosedSlowly(SentSlowly):
    def send(self, connection: Any, new: Intent, *, seen: int | None, harmless: bool = False) -> None:
        Intents.send(self, connection, new, seen=seen, harmless=harmless)

    def close(self, account: str, key: str, outcome: str, **more: Any) -> None:
        self.disk.wait()
        try:
            super().close(account, key, outcome, **more)
        finally:
            self.disk.ended.set()


def _with(**parts: Any) -> Callable[[App], None]:
    """Replace parts of the app; a kind of intents is made for the app's store."""

    def change(app: App) -> None:
        for name, part in parts.items():
            setattr(app, name, part(app.records) if name == "intents" else part)

    return change


STOPPED = {
    "audit": _with(audit=NoAudit(None)),
    "intent": _with(intents=NotSent),
    "open intents": _with(intents=NotFound),
}
GOES_ON = {
    "outcome": _with(audit=NoOutcomes(None)),
    "settled intent": _with(intents=NotClosed),
}


@pytest.mark.parametrize("host", STOPPED.values(), ids=STOPPED)
async def test_no_write_leaves_without_a_record(host: Callable[[App], None]) -> None:
    async with conversation(host=host, **only(REFUND, FLAG)) as talk:
        _, given = REFUND.begin(talk)
        answer = await talk.call(REFUND.tool, given, confirm=True)
        assert (answer["outcome"], answer["error"]["code"], talk.sent) == ("not_sent", "AUDIT_UNAVAILABLE", [])


@pytest.mark.parametrize("host", GOES_ON.values(), ids=GOES_ON)
async def test_a_write_that_was_done_is_told_although_its_record_is_lost(host: Callable[[App], None]) -> None:
    async with conversation(host=host, **only(REFUND, FLAG)) as talk:
        order_id, given = REFUND.begin(talk)
        assert (await talk.call(REFUND.tool, given, confirm=True))["outcome"] == "applied"
        assert talk.stored(order_id)["refunded_amount"] == 5000


async def test_nothing_leaves_before_it_is_written_down_and_meanwhile_others_are_served() -> None:
    disk = Slow()
    async with conversation(host=_with(audit=SlowAudit(disk)), **FLAG) as talk:
        order_id, given = REFUND.begin(talk)
        async with asyncio.TaskGroup() as group:
            refund = group.create_task(talk.call(REFUND.tool, given, confirm=True))
            await asyncio.to_thread(disk.asked.wait)
            assert (await talk.call("get_order", order_id=order_id))["outcome"] == "ok"
            assert talk.sent == []
            disk.answers.set()
        assert (refund.result()["outcome"], len(talk.sent)) == ("applied", 1)


async def test_a_caller_that_leaves_while_it_is_written_down_does_not_leave_an_intent_behind() -> None:
    disk = Slow()
    async with conversation(host=_with(intents=partial(SentSlowly, disk=disk)), **only(REFUND, FLAG)) as talk:
        order_id, given = REFUND.begin(talk)
        async with anyio.create_task_group() as group:
            group.start_soon(partial(talk.call, REFUND.tool, given, confirm=True))
            await asyncio.to_thread(disk.asked.wait)
            group.cancel_scope.cancel()
            disk.answers.set()
        await talk.app.idle()
        assert (talk.stored(order_id)["refunded_amount"], talk.app.intents.unresolved()) == (5000, [])


async def test_what_was_done_is_told_although_its_record_hangs_while_the_server_ends() -> None:
    disk = Slow()
    async with conversation(host=_with(intents=partial(ClosedSlowly, disk=disk)), **only(REFUND, FLAG)) as talk:
        order_id, given = REFUND.begin(talk)
        async with asyncio.TaskGroup() as group:
            refund = group.create_task(talk.call(REFUND.tool, given, confirm=True))
            await asyncio.to_thread(disk.asked.wait)
            talk.app.drain(0)
        assert (refund.result()["outcome"], talk.stored(order_id)["refunded_amount"]) == ("applied", 5000)
        disk.answers.set()
        assert await asyncio.to_thread(disk.ended.wait, PATIENCE)  # its thread uses the store, which is closed next


async def test_no_record_holds_what_a_person_typed() -> None:
    async with conversation(host=quickly, **ALL) as talk:
        _, given = REFUND.begin(talk)
        typed = {"description": "Typed by Testa", "reference": "Testa-1"}
        code = (await talk.call(REFUND.tool, given, **typed))["confirm"]["code"]
        in_doubt(talk, "lose_response")
        assert (await talk.call(REFUND.tool, given, **typed, confirm=code))["outcome"] == "unknown"
        line_mended(talk)
        address = {"given_name": "Testa", "city": "Testa by"}
        await talk.call("update_customer_details", order_id=given["order_id"], shipping_address=address)
        (kept,) = talk.app.intents.journal([talk.app.account.name])
        assert {"preview", "intent", "outcome"} <= {record.get("event") for record in talk.app.audit.memory}
        assert "Typed by" not in str([kept, *talk.app.audit.memory])
        assert "Testa by" not in str([kept, *talk.app.audit.memory])
        assert kept.content["reference"] == "Testa-1"  # the shop's own
        assert code not in str([kept, *talk.app.audit.memory])


@pytest.mark.parametrize("case", [DUE_DATE, SEND_OUT], ids=["extend_due_date", "trigger_send_out"])
async def test_the_record_of_a_write_names_its_key_its_reason_and_its_outcome(case: Any) -> None:
    async with conversation(**only(case, FLAG)) as talk:
        _, given = case.begin(talk)
        await talk.call(case.tool, given, **({"confirm": True} if case is DUE_DATE else {}))
        (seen,) = talk.writes
        intent, outcome = list(talk.app.audit.memory)[-2:]
        assert (intent["event"], intent["key"], outcome["event"], outcome["key"]) == (
            "intent",
            seen.key,
            "outcome",
            seen.key,
        )
        assert (intent["approval"].partition(":")[0], outcome["outcome"]) == (
            "approved by flag" if case is DUE_DATE else "needs no approval",
            "applied",
        )


async def test_who_asked_and_approved_first_is_told_although_somebody_else_sends_it_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sandbox = Simulator()
    kept: dict[str, Any] = {**EVERYTHING, "KUSTOM_STATE_DIR": str(tmp_path)}
    monkeypatch.setenv("LOGNAME", "first-person")
    async with conversation(host=quickly, simulator=sandbox, **kept) as talk:
        order_id, given = REFUND.begin(talk)
        code = (await talk.call(REFUND.tool, given))["confirm"]["code"]
        in_doubt(talk, "reset")
        assert (await talk.call(REFUND.tool, given, confirm=code))["outcome"] == "unknown"
        line_mended(talk)
    monkeypatch.setenv("LOGNAME", "second-person")
    async with conversation(host=quickly, simulator=sandbox, **kept) as talk:
        for fault, outcome in (("reset", "unknown"), (None, "applied")):
            (write,) = (await talk.call("resolve_order", order_id=order_id))["writes"]
            assert write["asked_by"] == "first-person"
            if fault:
                in_doubt(talk, fault)
            again = await talk.call(REFUND.tool, given, confirm=write["confirm"]["code"])
            assert again["outcome"] == outcome
            line_mended(talk)
            (row,) = (await talk.call("list_activity", order_id=order_id))["activity"]
            assert (row["outcome"], row["asked_by"], row["approved_by"]) == (outcome, "first-person", "first-person")
        (intent,) = talk.app.intents.of_order(talk.app.account, order_id)
        assert (intent.content["caller"], intent.content["approved_by"], intent.attempts) == (
            *("first-person", "first-person"),
            3,
        )
    lines = [
        json.loads(line) for file in sorted((tmp_path / "audit").iterdir()) for line in file.read_text().splitlines()
    ]
    sent = [(line["caller"], line["approved_by"]) for line in lines if line["event"] == "intent"]
    assert sent == [("first-person", "first-person")] * 3


async def test_of_a_write_that_did_nothing_the_next_approver_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It goes back to approved and keeps its key, but not who approved it."""
    sandbox = Simulator()
    kept: dict[str, Any] = {**EVERYTHING, "KUSTOM_STATE_DIR": str(tmp_path)}
    given: dict[str, Any] = {}
    for person, fault, outcome in (("first-person", "status 403", "rejected"), ("second-person", None, "applied")):
        monkeypatch.setenv("LOGNAME", person)
        async with conversation(host=quickly, simulator=sandbox, **kept) as talk:
            given = given or REFUND.begin(talk)[1]
            code = (await talk.call(REFUND.tool, given))["confirm"]["code"]
            if fault:
                in_doubt(talk, fault)
            assert (await talk.call(REFUND.tool, given, confirm=code))["outcome"] == outcome
            line_mended(talk)
            (row,) = (await talk.call("list_activity", order_id=given["order_id"]))["activity"]
            assert (row["outcome"], row["asked_by"], row["approved_by"]) == (outcome, person, person)


def test_the_caller_on_stdio_is_the_user_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "demo-person")
    assert operating_user() == "demo-person"


def test_a_user_without_a_name_is_a_caller_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError

    monkeypatch.setattr("getpass.getuser", nobody)
    assert operating_user().isalnum()
