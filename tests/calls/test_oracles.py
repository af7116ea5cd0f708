"""The oracles that every conversation is held to notice each kind of contradiction, and excuse none."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from kustom_mcp.calls.write import Call
from kustom_mcp.schema.result import Code, ToolError
from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.faults import Fault
from kustom_mcp.simulator.switches import Switches
from tests.calls.faults_of_a_write import ORDER
from tests.calls.gated_operations import REFUND, only, refunded, somebody
from tests.calls.quick import quickly
from tests.support.conversation import conversation
from tests.support.direct import ask
from tests.support.oracles import Effect, Ledger, Told, excuse, ledger_of

FLAG: dict[str, Any] = {**only(REFUND), "KUSTOM_CONFIRM": "flag"}


def told(said: str | None, *effects: Effect, by: str = "one", **more: Any) -> Told:
    """A refund that was answered so, and what it did."""
    arguments = {"order_id": "o", "refunded_amount": 100, **more}
    return Told("kustom_refund_order", arguments, {by}, effects=list(effects), said=said)


def wrong(*calls: Told) -> list[str]:
    """What is wrong with these calls, without the words that name them."""
    ledger = Ledger([effect for call in calls for effect in call.effects], list(calls))
    found = ledger.wrong()
    assert ledger.wrong() == found
    return [text.rpartition(", and ")[2].partition(":")[0] for text in found]


def refund(key: str | None = None) -> Effect:
    return Effect("refundOrder", "o", key or str(uuid.uuid4()))


@pytest.mark.parametrize("said", ["ok", "confirmation_required", "declined", "not_sent", "rejected", "already_applied"])
def test_what_was_done_and_said_not_to_be_is_wrong(said: str) -> None:
    assert wrong(told(said, refund())) == ["it was done"]
    assert wrong(told(said)) == []


def test_what_was_said_and_not_done_is_wrong() -> None:
    assert wrong(told("applied")) == ["it was not done"]
    assert wrong(told("applied", refund())) == wrong(told("unknown")) == wrong(told("unknown", refund())) == []


def test_one_effect_is_counted_for_one_answer() -> None:
    lost = told("unknown", refund())
    assert wrong(lost, told("applied", by="two")) == []
    assert wrong(lost, told("applied", by="two", currency="SEK")) == []
    assert wrong(told("unknown", refund()), told("applied", by="two"), told("applied", by="three")) == [
        "it was not done"
    ]
    assert wrong(told("unknown", refund()), told("applied", by="two", reference="R2")) == ["it was not done"]
    assert wrong(told("applied", refund()), told("applied", by="two")) == ["it was not done"]


def test_one_approval_has_one_effect_by_whichever_of_its_codes() -> None:
    first, second = told("unknown", refund()), told("applied", refund(), by="two")
    assert wrong(first, second) == []
    first.approvals.add("two")  # the code that it gave, by which the second call came
    assert wrong(first, second) == ["one approval has 2 effects"]


def test_one_key_has_one_effect() -> None:
    assert wrong(told("applied", refund("k")), told("applied", refund("k"), by="two")) == ["2 effects have the key k"]


def test_what_is_harmless_may_be_done_or_answered_more_than_once() -> None:
    again = [Effect("acknowledgeOrder", "o", "k") for _ in range(2)]
    tool, given = "kustom_acknowledge_order", {"order_id": "o"}
    first, second = Told(tool, given, set(), effects=again, said="applied"), Told(tool, given, set(), said="applied")
    assert wrong(first, second) == []
    assert wrong(second) == ["it was not done"]


def test_it_is_already_applied_only_where_something_like_it_is_there() -> None:
    call = told("already_applied")
    call.like_it = False
    assert wrong(call) == ["nothing like it is there"]
    first = told("applied")
    first.excused = "an invented reason"
    assert wrong(first, call) == []
    assert wrong(told("applied", refund()), call) == wrong(call, first) == ["nothing like it is there"]


async def _refuses(*_: Any, **__: Any) -> Any:
    raise ToolError(Code.BUSY, "An invented refusal after the write.", next_step="Wait.")


async def _denied() -> None:
    async with conversation(**FLAG) as talk:
        _, given = REFUND.begin(talk)
        assert (await talk.call(REFUND.tool, given, confirm=True))["outcome"] == "not_sent"


async def _believed(*, excused: bool) -> None:
    async with conversation(host=quickly, **FLAG) as talk:
        _, given = REFUND.begin(talk)
        talk.simulator.faults.add(Fault("POST", f"{ORDER}/refunds", "status", 201))
        talk.simulator.faults.add(Fault("GET", ORDER, "delay"))
        talk.simulator.faults.add(Fault("GET", ORDER, "status", 503, times=9))
        assert (await talk.call(REFUND.tool, given, confirm=True))["outcome"] == "applied"
        if excused:
            excuse(talk.simulator, "nothing can be read")


async def _twice() -> None:
    async with conversation(simulator=Simulator(switches=Switches(keys="forgotten")), **FLAG) as talk:
        order_id, given = REFUND.begin(talk)
        await talk.call(REFUND.tool, given, confirm=True)
        ask(talk.simulator, "POST", f"/orders/{order_id}/refunds", talk.sent[0][2], key=talk.writes[0].key)


async def test_a_server_that_denies_what_it_did_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Call, "applied", _refuses)
    with pytest.raises(AssertionError, match="said not_sent, and it was done"):
        await _denied()


async def test_an_answer_that_the_test_makes_untrue_is_found_out_unless_it_is_excused() -> None:
    with pytest.raises(AssertionError, match="said applied, and it was not done"):
        await _believed(excused=False)
    await _believed(excused=True)


async def test_a_key_that_an_upstream_forgets_and_carries_out_again_is_found_out() -> None:
    with pytest.raises(AssertionError, match="2 effects have the key"):
        await _twice()


async def test_what_somebody_else_does_meanwhile_is_no_doing_of_the_call() -> None:
    async with conversation(host=quickly, **only(REFUND)) as talk:
        order_id, given = REFUND.begin(talk)
        code = (await talk.call(REFUND.tool, given))["confirm"]["code"]
        somebody(talk, order_id, refunded(700))
        assert (await talk.call(REFUND.tool, given, confirm=code))["error"]["code"] == "STATE_CHANGED"
        ledger = ledger_of(talk.simulator)
        assert ([call.said for call in ledger.calls], [effect.call for effect in ledger.effects]) == (
            ["confirmation_required", "not_sent"],
            [None],
        )
