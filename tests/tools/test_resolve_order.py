"""kustom_resolve_order: what became of the writes on an order that had no outcome, and the way out of a doubt."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.faults import Fault
from kustom_mcp.simulator.switches import Switches
from tests.calls.faults_of_a_write import ORDER, in_doubt, line_mended
from tests.calls.gated_operations import (
    ACKNOWLEDGE,
    DUE_DATE,
    EVERYTHING,
    REFUND,
    SEND_OUT,
    UNGATED,
    Case,
    applications,
    name_of,
    refunded,
    somebody,
)
from tests.calls.quick import Time
from tests.support.conversation import Talk, conversation

RESOLVE = "resolve_order"
SHOPPER: dict[str, Any] = {"refunded_amount": 5000, "reference": "RMA-1"}


@asynccontextmanager
async def doubtful(
    fault: str, time: Time | None = None, simulator: Simulator | None = None, **settings: str
) -> AsyncGenerator[tuple[Talk, str]]:
    """A refund of 50.00 SEK whose answer never came, and whose order could not be read."""
    wanted: dict[str, Any] = {**EVERYTHING, **settings}
    async with conversation(host=(time or Time()).run, simulator=simulator, **wanted) as talk:
        order_id, _ = REFUND.begin(talk)
        code = (await talk.call(REFUND.tool, order_id=order_id, **SHOPPER))["confirm"]["code"]
        in_doubt(talk, fault)
        answer = await talk.call(REFUND.tool, order_id=order_id, **SHOPPER, confirm=code)
        assert answer["outcome"] == "unknown"
        line_mended(talk)
        talk.mark()
        yield talk, order_id


def told(write: dict[str, Any]) -> dict[str, Any]:
    """A write without what changes from run to run."""
    return {name: value for name, value in write.items() if name not in ("since", "asked_by", "confirm", "repeat")}


async def test_most_orders_have_nothing_to_resolve() -> None:
    async with conversation(**EVERYTHING) as talk:
        order_id, _ = REFUND.begin(talk)
        answer = await talk.call(RESOLVE, order_id=order_id)
        assert (answer["outcome"], answer["writes"], answer.get("next_step")) == ("ok", [], None)
        assert "nothing to resolve" in answer["summary"]


async def test_a_refund_that_was_done_is_found_by_its_entry_and_told_to_everybody() -> None:
    async with doubtful("lose_response") as (talk, order_id):
        (made,) = talk.stored(order_id)["refunds"]
        answer = await talk.call(RESOLVE, order_id=order_id)
        (write,) = answer["writes"]
        assert told(write) == {
            "operation": "refund",
            "amount": 5000,
            "tool": "kustom_refund_order",
            "state": "done",
            "entry_id": made["refund_id"],
        }
        assert (talk.sent, "unresolved_writes" in answer["order"]) == ([], False)
        assert talk.app.intents.unresolved() == []


async def test_a_look_at_the_order_finds_it_too() -> None:
    async with doubtful("lose_response") as (talk, order_id):
        assert "unresolved_writes" not in (await talk.call("get_order", order_id=order_id))["order"]
        assert talk.app.intents.unresolved() == []


async def test_a_refund_that_is_absent_gives_the_call_that_sends_it_once() -> None:
    async with doubtful("reset") as (talk, order_id):
        (left,) = (await talk.call("get_order", order_id=order_id))["order"]["unresolved_writes"]
        assert told(left) == {"operation": "refund", "amount": 5000, "tool": "kustom_refund_order"}
        answer = await talk.call(RESOLVE, order_id=order_id)
        (write,) = answer["writes"]
        assert (write["state"], talk.sent) == ("absent", [])
        assert write["repeat"] == {"tool": "kustom_refund_order", "arguments": {"order_id": order_id, **SHOPPER}}
        again = write["repeat"]
        for outcome in ("applied", "already_applied"):
            done = await talk.call(again["tool"], again["arguments"], confirm=write["confirm"]["code"])
            assert done["outcome"] == outcome
        assert (applications(talk), len({seen.key for seen in talk.writes})) == (1, 1)


async def test_what_shows_only_in_the_second_look_is_done_and_recorded() -> None:
    """A second after the first: one look is not enough to call a write absent."""
    time, looked = Time(), list[float]()
    sandbox = Simulator(switches=Switches(effect="late:30"))
    async with doubtful("lose_response", time, sandbox) as (talk, order_id):

        async def sleep(seconds: float) -> None:
            looked.append(seconds)
            sandbox.advance(30)

        talk.app.sleep = sleep
        answer = await talk.call(RESOLVE, order_id=order_id)
        (write,) = answer["writes"]
        assert (write["state"], "repeat" in write, "confirm" in write, looked) == ("done", False, False, [1.0])
        assert (talk.sent, talk.app.intents.unresolved()) == ([], [])


@pytest.mark.parametrize(("since", "waits"), [(0.5, 1.0), (2.0, 0.0)])
async def test_a_look_of_a_moment_ago_is_not_the_first_of_two(since: float, waits: float) -> None:
    time = Time()
    async with doubtful("reset", time) as (talk, order_id):
        await talk.call("get_order", order_id=order_id)
        time.pass_by(since)
        began = time.passed
        refused = await talk.call(REFUND.tool, order_id=order_id, **SHOPPER)
        assert (refused["error"]["code"], "confirm" in refused, time.passed - began) == ("WRITE_IN_DOUBT", True, waits)


@pytest.mark.parametrize("mode", ["code", "form", "flag"])
@pytest.mark.parametrize("case", [case for case in UNGATED if case is not SEND_OUT], ids=name_of)
async def test_a_tool_without_a_gate_is_called_again_without_a_code(case: Case, mode: str) -> None:
    wanted: dict[str, Any] = {**EVERYTHING, "KUSTOM_CONFIRM": mode}
    async with conversation(host=Time().run, **wanted) as talk:
        order_id, given = case.begin(talk)
        if case is ACKNOWLEDGE:  # is sent again by itself
            talk.simulator.faults.add(Fault("POST", f"{ORDER}/acknowledge", "reset", times=4))
        else:
            in_doubt(talk, "reset")
        assert (await talk.call(case.tool, given))["outcome"] == "unknown"
        line_mended(talk)
        answer = await talk.call(RESOLVE, order_id=order_id)
        (write,) = answer["writes"]
        state = "not_readable" if case is ACKNOWLEDGE else "absent"
        assert (write["state"], "confirm" in write, "`repeat`" in answer["next_step"]) == (state, False, True)
        assert write["repeat"] == {"tool": f"kustom_{case.tool}", "arguments": given}
        done = await talk.call(write["repeat"]["tool"], write["repeat"]["arguments"])
        assert (done["outcome"], len({seen.key for seen in talk.writes})) == ("applied", 1)
        assert talk.app.intents.unresolved() == []


async def test_an_acknowledgement_that_was_done_is_never_called_absent() -> None:
    async with conversation(host=Time().run, **EVERYTHING) as talk:
        order_id, given = ACKNOWLEDGE.begin(talk)
        talk.simulator.faults.add(Fault("POST", f"{ORDER}/acknowledge", "lose_response", times=4))
        assert (await talk.call(ACKNOWLEDGE.tool, given))["outcome"] == "unknown"
        line_mended(talk)
        (write,) = (await talk.call(RESOLVE, order_id=order_id))["writes"]
        assert write["state"] == "not_readable"


async def test_an_entry_that_cannot_be_told_is_never_a_reason_to_send() -> None:
    async with doubtful("reset") as (talk, order_id):
        somebody(talk, order_id, refunded(5000))
        talk.mark()
        (write,) = (await talk.call(RESOLVE, order_id=order_id))["writes"]
        assert (write["state"], "repeat" in write, "confirm" in write) == ("uncertain", False, False)
        refused = await talk.call(REFUND.tool, order_id=order_id, **SHOPPER)
        assert (refused["error"]["code"], "confirm" in refused) == ("WRITE_IN_DOUBT", False)
        assert "may be it, and cannot be told" in refused["next_step"]
        assert talk.sent == []


async def test_a_code_sends_nothing_and_gives_no_other_while_an_entry_cannot_be_told() -> None:
    async with doubtful("reset") as (talk, order_id):
        (write,) = (await talk.call(RESOLVE, order_id=order_id))["writes"]
        somebody(talk, order_id, refunded(5000))
        answer = await talk.call(REFUND.tool, order_id=order_id, **SHOPPER, confirm=write["confirm"]["code"])
        assert (answer["outcome"], "confirm" in answer, "repeat" in answer, talk.sent) == ("unknown", False, False, [])


async def test_an_entry_that_cannot_be_told_ends_the_row_of_looks_that_found_nothing() -> None:
    async with doubtful("reset") as (talk, order_id):
        for looks in (1, 2, 0):
            if not looks:
                somebody(talk, order_id, refunded(5000))
            await talk.call("get_order", order_id=order_id)
            assert [one.looks for one in talk.app.intents.unresolved()] == [looks]


@pytest.mark.parametrize("writes", ["deny", "preview"])
async def test_a_reader_is_told_and_gets_no_code(writes: str, tmp_path: Path) -> None:
    sandbox = Simulator()
    kept: dict[str, Any] = {"KUSTOM_STATE_DIR": str(tmp_path)}
    async with doubtful("reset", simulator=sandbox, **kept) as (_, order_id):
        pass
    reader: dict[str, Any] = {**EVERYTHING, **kept, "KUSTOM_WRITES": writes}
    async with conversation(host=Time().run, simulator=sandbox, **reader) as talk:
        (write,) = (await talk.call(RESOLVE, order_id=order_id))["writes"]
        assert (write["state"], "repeat" in write, "confirm" in write) == ("absent", False, False)


async def test_a_refund_in_doubt_refuses_refunds_and_nothing_else() -> None:
    async with doubtful("reset") as (talk, order_id):
        answer = await talk.call("update_merchant_references", order_id=order_id, merchant_reference1="X")
        assert answer["outcome"] == "applied"
        refused = await talk.call(REFUND.tool, order_id=order_id, refunded_amount=1)
        assert (refused["outcome"], refused["error"]["code"]) == ("not_sent", "WRITE_IN_DOUBT")
        assert refused["error"]["retry"] == "after_resolve"
        assert refused["order"]["unresolved_writes"][0]["amount"] == 5000


async def test_an_absent_refund_is_closed_as_not_seen_after_a_day_and_then_is_a_new_wish() -> None:
    time = Time()
    async with doubtful("reset", time) as (talk, order_id):
        assert (await talk.call(RESOLVE, order_id=order_id))["writes"][0]["state"] == "absent"
        time.pass_by(24 * 3600 + 1)
        assert (await talk.call(RESOLVE, order_id=order_id))["writes"][0]["state"] == "not_seen"
        preview = await talk.call(REFUND.tool, order_id=order_id, **SHOPPER)
        assert preview["outcome"] == "confirmation_required"
        assert "was not seen on the order for a day" in preview["warnings"][0]
        done = await talk.call(REFUND.tool, order_id=order_id, **SHOPPER, confirm=preview["confirm"]["code"])
        assert done["outcome"] == "applied"
        keys = [seen.key for seen in talk.writes]
        assert len(keys) == len(set(keys)) == 1
        assert keys[0] not in [one.key for one in talk.app.intents.unresolved()]


async def test_a_code_that_comes_after_the_day_closes_nothing_and_is_still_unknown() -> None:
    time = Time()
    async with doubtful("reset", time) as (talk, order_id):
        (write,) = (await talk.call(RESOLVE, order_id=order_id))["writes"]
        time.pass_by(24 * 3600 + 1)
        late = await talk.call(REFUND.tool, order_id=order_id, **SHOPPER, confirm=write["confirm"]["code"])
        assert (late["outcome"], "has expired. Nothing more was sent." in late["summary"]) == ("unknown", True)
        assert (len(talk.app.intents.unresolved()), "confirm" in late, talk.sent) == (1, False, [])


async def test_one_look_is_not_enough_to_close_what_nobody_has_looked_for_in_its_day() -> None:
    time = Time()
    async with doubtful("reset", time) as (talk, order_id):
        time.pass_by(24 * 3600 + 1)
        for left in (True, False):
            seen = await talk.call("get_order", order_id=order_id)
            assert ("unresolved_writes" in seen["order"]) is left
        assert [one.outcome for one in talk.app.intents.of_order(talk.app.account, order_id)] == ["not_seen"]


@pytest.mark.parametrize("case", [SEND_OUT, DUE_DATE], ids=name_of)
async def test_what_no_order_shows_is_never_known_after_a_day_and_never_sent_again(case: Case) -> None:
    time = Time()
    async with conversation(host=time.run, **EVERYTHING) as talk:
        order_id, given = case.begin(talk)
        code = None if case is SEND_OUT else (await talk.call(case.tool, given))["confirm"]["code"]
        in_doubt(talk, "reset")
        assert (await talk.call(case.tool, given, **({"confirm": code} if code else {})))["outcome"] == "unknown"
        line_mended(talk)
        for passed, state in ((0, "not_readable"), (24 * 3600 - 2, "not_readable"), (3, "never_known")):
            time.pass_by(passed)
            (write,) = (await talk.call(RESOLVE, order_id=order_id))["writes"]
            assert (write["state"], "repeat" in write, "confirm" in write) == (state, False, False)


@pytest.mark.parametrize(("outcome", "state"), [("done", "done"), ("not_done", "not_seen")])
async def test_what_was_closed_is_told_for_thirty_days(outcome: str, state: str) -> None:
    time = Time()
    async with doubtful("reset", time) as (talk, order_id):
        (intent,) = talk.app.intents.unresolved()
        talk.app.intents.close(intent.account, intent.key, outcome)
        for days, told_of in ((0, 1), (29.9, 1), (0.2, 0)):
            time.pass_by(days * 24 * 3600)
            answer = await talk.call(RESOLVE, order_id=order_id)
            assert [write["state"] for write in answer["writes"]] == [state] * told_of
            assert (answer["outcome"], answer.get("next_step")) == ("ok", None)
