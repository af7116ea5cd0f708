"""When the records fail: writes stop while nothing is sent yet, and what was done is told all the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from kustom_mcp.app import App
from kustom_mcp.audit import Audit, AuditUnavailable
from kustom_mcp.gate import operating_user
from kustom_mcp.intents import Intents, Remembered
from tests.conversation import conversation
from tests.gate.mishaps import in_doubt, line_mended
from tests.gate.operations import DUE_DATE, REFUND, SEND_OUT, only
from tests.gate.quick import ALL, quickly

FLAG: dict[str, Any] = {**ALL, "KUSTOM_CONFIRM": "flag"}


def _full() -> AuditUnavailable:
    return AuditUnavailable(OSError(28, "an invented full disk"))


class NoAudit(Audit):
    def record(self, event: Mapping[str, Any]) -> None:
        raise _full()


class NoOutcomes(Audit):
    def record(self, event: Mapping[str, Any]) -> None:
        if event["event"] != "intent":
            raise _full()


class NotOpened(Intents):
    def open(self, intent: Mapping[str, Any], id: str) -> None:
        raise _full()


class NotClosed(Intents):
    def close(self, id: str) -> None:
        raise _full()


class NotFound(Intents):
    def find(self, digest: str) -> dict[str, Any] | None:
        raise _full()


class NotRemembered(Remembered):
    def remember(self, digest: str, facts: Mapping[str, Any], until: float) -> None:
        raise _full()


class NotRecalled(Remembered):
    def recall(self, digest: str, now: float) -> dict[str, Any] | None:
        raise _full()


def _with(**parts: Any) -> Callable[[App], None]:
    def change(app: App) -> None:
        for name, part in parts.items():
            setattr(app, name, part)

    return change


STOPPED = {
    "audit": _with(audit=NoAudit(None)),
    "intent": _with(intents=NotOpened(None)),
    "open intents": _with(intents=NotFound(None)),
    "carried-out calls": _with(remembered=NotRecalled(None)),
}
GOES_ON = {
    "outcome": _with(audit=NoOutcomes(None)),
    "settled intent": _with(intents=NotClosed(None)),
    "memory": _with(remembered=NotRemembered(None)),
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
        records = [*talk.app.audit.memory, *talk.app.intents.all()]
        assert {"preview", "intent", "outcome", None} <= {record.get("event") for record in records}
        assert "Testa" not in str(records)
        assert code not in str(records)


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
        assert (intent["reason"].partition(":")[0], outcome["outcome"]) == (
            "approved by flag" if case is DUE_DATE else "needs no approval",
            "applied",
        )


def test_the_caller_on_stdio_is_the_user_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "demo-person")
    assert operating_user() == "demo-person"


def test_a_user_without_a_name_is_a_caller_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError

    monkeypatch.setattr("getpass.getuser", nobody)
    assert operating_user().isalnum()
