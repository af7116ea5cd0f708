"""Writes in doubt: what is reported agrees with what Kustom has, and nothing happens twice."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import anyio
import pytest

from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.faults import Fault
from kustom_mcp.simulator.switches import Switches
from tests.calls.faults_of_a_write import ORDER, in_doubt, line_mended
from tests.calls.gated_operations import (
    ACKNOWLEDGE,
    ADDRESS,
    AMOUNT,
    CAPTURE,
    DUE_DATE,
    EXTENSION,
    GATED,
    READABLE,
    REFERENCES,
    REFUND,
    SEND_OUT,
    UNGATED,
    Case,
    amount,
    applications,
    name_of,
    only,
    refunded,
    somebody,
)
from tests.calls.quick import ALL as SERVER
from tests.calls.quick import Time, quickly
from tests.support.conversation import Mode, Talk, conversation, yes
from tests.support.sample import sampled
from tests.support.unhurried import PATIENCE

FLAG: dict[str, Any] = {**SERVER, "KUSTOM_CONFIRM": "flag"}
WRITES = (*GATED, *UNGATED)
SHOWN = tuple(case for case in WRITES if case.readable)
UNREADABLE = (DUE_DATE, SEND_OUT)
"""Nothing tells whether these happened, and they may not happen twice."""

EVERY = pytest.mark.parametrize("case", WRITES, ids=name_of)
EVERY_READABLE = pytest.mark.parametrize("case", READABLE, ids=name_of)
BEFORE = ("reset", "status 500", "status 503", "status 504", "status 408", "status 409")
AFTER = ("lose_response", "late_status 500", "late_status 409")


def _write(case: Case, fault: str, times: int = 1) -> Fault:
    """The fault for the case's own request."""
    method, path, _ = case.request
    kind, _, status = fault.partition(" ")
    return Fault(method, ORDER + path, kind, status=int(status or 0), times=times)


async def _do(talk: Talk, case: Case, given: dict[str, Any]) -> dict[str, Any]:
    return await talk.call(case.tool, given, **({"confirm": True} if case in GATED else {}))


@pytest.mark.parametrize(("forgets_keys", "case"), sampled(product([False, True], WRITES), 2), ids=name_of)
async def test_what_is_reported_agrees_with_what_happened(forgets_keys: bool, case: Case) -> None:
    sandbox, now = Simulator(switches=Switches(keys="forgotten" if forgets_keys else "kept")), Time()
    async with conversation(simulator=sandbox, host=now.run, **only(case, FLAG)) as talk:
        for fault in (*BEFORE, *AFTER, "truncate", "status 429", "delay"):
            for times in (1, 9):
                now.pass_by(600)
                talk.mark()
                _, given = case.begin(talk)
                sandbox.faults.clear()
                sandbox.faults.add(_write(case, fault, times))
                answer = await _do(talk, case, given)
                met = (fault, times, answer["outcome"], answer.get("error", {}).get("code"))
                assert met == (fault, times, *_expected(case, fault, times))
                assert len({seen.key for seen in talk.writes}) == 1, met
                if case is ACKNOWLEDGE and forgets_keys and fault in AFTER:
                    assert applications(talk) == len(talk.sent)  # harmless as often as it is sent
                else:
                    happened = {"applied": 1, "not_sent": 0}.get(answer["outcome"], int(fault in AFTER))
                    assert applications(talk) == happened, met


def _expected(case: Case, fault: str, times: int) -> tuple[str, str | None]:
    unknown = ("unknown", "OUTCOME_UNKNOWN")
    if fault in ("truncate", "delay"):
        return "applied", None  # any 2xx is applied
    if fault == "status 429":
        return ("applied", None) if times == 1 else ("not_sent", "RATE_LIMITED")
    if case in UNREADABLE:
        return unknown
    if times == 1 or (fault in AFTER and case is not ACKNOWLEDGE):
        return "applied", None
    return unknown


@pytest.mark.parametrize("fault", ["reset", "status 500"])
async def test_an_acknowledgement_is_resent_three_times_and_then_unknown(fault: str) -> None:
    async with conversation(host=quickly, **only(ACKNOWLEDGE)) as talk:
        _, given = ACKNOWLEDGE.begin(talk)
        talk.simulator.faults.add(_write(ACKNOWLEDGE, fault, 9))
        assert (await talk.call(ACKNOWLEDGE.tool, given))["outcome"] == "unknown"
        assert (len(talk.sent), len({seen.key for seen in talk.writes})) == (4, 1)


@pytest.mark.parametrize("case", UNREADABLE, ids=name_of)
@pytest.mark.parametrize("kind", ["lose_response", "reset"])
async def test_what_cannot_be_read_is_sent_once_and_stays_unknown(case: Case, kind: str) -> None:
    async with conversation(host=quickly, **only(case, FLAG)) as talk:
        _, given = case.begin(talk)
        talk.simulator.faults.add(_write(case, kind))
        for _ in range(3):
            answer = await _do(talk, case, given)
            assert (answer["outcome"], len(talk.sent)) == ("unknown", 1)
            assert "Look at the order in the Kustom portal" in answer["next_step"]


async def test_a_due_date_in_doubt_stays_unknown_whatever_comes_as_a_code() -> None:
    async with conversation(host=quickly, **only(DUE_DATE)) as talk:
        _, given = DUE_DATE.begin(talk)
        code = (await talk.call(DUE_DATE.tool, given))["confirm"]["code"]
        talk.simulator.faults.add(_write(DUE_DATE, "lose_response"))
        answer = await talk.call(DUE_DATE.tool, given, confirm=code)
        assert (answer["outcome"], "confirm" in answer) == ("unknown", False)
        again = await talk.call(DUE_DATE.tool, given, confirm=code)
        assert (again["outcome"], "confirm" in again) == ("unknown", False)
        for confirm in ("yes", None):
            again = await talk.call(DUE_DATE.tool, given, confirm=confirm)
            assert (again["outcome"], again["error"]["code"], "confirm" in again) == IN_DOUBT
        assert len(talk.sent) == 1


@EVERY_READABLE
@pytest.mark.parametrize(
    ("kind", "settled", "sent"), [("lose_response", "already_applied", 1), ("reset", "applied", 2)]
)
async def test_an_unknown_is_settled_by_its_code(case: Case, kind: str, settled: str, sent: int) -> None:
    async with conversation(host=quickly, **only(case)) as talk:
        order_id, given = case.begin(talk)
        code = (await talk.call(case.tool, given))["confirm"]["code"]
        in_doubt(talk, kind)
        answer = await talk.call(case.tool, given, confirm=code)
        assert (answer["outcome"], answer["error"]["code"]) == ("unknown", "OUTCOME_UNKNOWN")
        assert answer["error"]["retry"] == "after_resolve"
        assert answer["repeat"] == {"tool": talk.named(case.tool), "arguments": given}
        line_mended(talk)
        settle = answer["confirm"]["code"]
        assert settle != code
        outcomes = [(await talk.call(case.tool, given, confirm=settle))["outcome"] for _ in range(2)]
        assert outcomes == [settled, "already_applied"]
        assert talk.sent == case.sent(talk, order_id) * sent
        assert (applications(talk), len({seen.key for seen in talk.writes})) == (1, 1)
        assert talk.app.intents.unresolved() == []


@EVERY_READABLE
@pytest.mark.parametrize(("kind", "settled"), [("lose_response", "already_applied"), ("reset", "applied")])
async def test_an_unknown_is_settled_by_the_code_that_it_was_approved_with(case: Case, kind: str, settled: str) -> None:
    async with conversation(host=quickly, **only(case)) as talk:
        _, given = case.begin(talk)
        code = (await talk.call(case.tool, given))["confirm"]["code"]
        in_doubt(talk, kind)
        assert (await talk.call(case.tool, given, confirm=code))["outcome"] == "unknown"
        line_mended(talk)
        assert (await talk.call(case.tool, given, confirm=code))["outcome"] == settled
        assert (applications(talk), len({seen.key for seen in talk.writes})) == (1, 1)


@EVERY_READABLE
async def test_a_new_call_for_a_write_that_did_not_arrive_gets_the_code_that_sends_it_again(case: Case) -> None:
    async with conversation(host=quickly, **only(case)) as talk:
        _, given = case.begin(talk)
        code = (await talk.call(case.tool, given))["confirm"]["code"]
        in_doubt(talk, "reset")
        assert (await talk.call(case.tool, given, confirm=code))["outcome"] == "unknown"
        line_mended(talk)
        for confirm in (None, "yes"):
            refused = await talk.call(case.tool, given, confirm=confirm)
            assert (refused["outcome"], refused["error"]["code"]) == ("not_sent", "WRITE_IN_DOUBT")
            assert refused["repeat"]["tool"] == talk.named(case.tool)
        assert (await talk.call(case.tool, given, confirm=refused["confirm"]["code"]))["outcome"] == "applied"
        assert (applications(talk), len({seen.key for seen in talk.writes})) == (1, 1)


@EVERY_READABLE
@pytest.mark.parametrize("confirm", [None, "yes"])
async def test_a_new_call_for_a_write_that_did_arrive_finds_it(case: Case, confirm: str | None) -> None:
    async with conversation(host=quickly, **only(case)) as talk:
        _, given = case.begin(talk)
        code = (await talk.call(case.tool, given))["confirm"]["code"]
        in_doubt(talk, "lose_response")
        assert (await talk.call(case.tool, given, confirm=code))["outcome"] == "unknown"
        line_mended(talk)
        assert (await talk.call(case.tool, given, confirm=confirm))["outcome"] == "already_applied"
        assert (applications(talk), len(talk.sent)) == (1, 1)


@pytest.mark.parametrize(
    ("mode", "settings"),
    [("auto", {}), ("auto", {"KUSTOM_CONFIRM": "form"}), ("legacy", {}), ("legacy", {"KUSTOM_CONFIRM": "form"})],
)
@pytest.mark.parametrize(("kind", "settled"), [("lose_response", "already_applied"), ("reset", "applied")])
async def test_an_unknown_after_a_form_carries_a_code_unless_a_form_is_wanted(
    mode: Mode, settings: dict[str, Any], kind: str, settled: str
) -> None:
    async with conversation(mode, yes, host=quickly, **only(REFUND), **settings) as talk:
        _, given = REFUND.begin(talk)
        in_doubt(talk, kind, reads_before=2)
        answer = await talk.call(REFUND.tool, given)
        assert (answer["outcome"], "confirm" in answer) == ("unknown", not settings)
        line_mended(talk)
        if settings:
            asked = 2 if kind == "reset" else 1
            done = await talk.call(REFUND.tool, given)
            assert (done["outcome"], len(talk.questions), applications(talk)) == ("applied", asked, 1)
            return
        done = await talk.call(REFUND.tool, given, confirm=answer["confirm"]["code"])
        assert (done["outcome"], len(talk.questions), applications(talk)) == (settled, 1, 1)


async def test_a_code_that_settles_lives_a_day_and_does_nothing_else() -> None:
    now = Time()
    async with conversation(host=now.run, **only(REFUND)) as talk:
        _, given = REFUND.begin(talk)
        code = (await talk.call(REFUND.tool, given))["confirm"]["code"]
        in_doubt(talk, "reset")
        settle = (await talk.call(REFUND.tool, given, confirm=code))["confirm"]["code"]
        line_mended(talk)
        other = await talk.call(REFUND.tool, given | {"refunded_amount": 1}, confirm=settle)
        assert other["error"]["code"] == "WRITE_IN_DOUBT"
        now.pass_by(23.9 * 3600)
        expired = await talk.call(REFUND.tool, given, confirm=code)
        assert expired["outcome"] == "unknown"
        assert "This code has expired. Nothing more was sent." in expired["error"]["message"]
        assert (await talk.call(REFUND.tool, given, confirm=settle))["outcome"] == "applied"
        now.pass_by(3600)
        assert (await talk.call(REFUND.tool, given, confirm=settle))["error"]["code"] == "CONFIRMATION_EXPIRED"
        assert applications(talk) == 1


async def test_what_cannot_be_told_from_somebody_elses_change_stays_unknown() -> None:
    async with conversation(host=quickly, **only(REFUND)) as talk:
        order_id, given = REFUND.begin(talk)
        code = (await talk.call(REFUND.tool, given))["confirm"]["code"]
        in_doubt(talk, "reset")
        settle = (await talk.call(REFUND.tool, given, confirm=code))["confirm"]["code"]
        line_mended(talk)
        somebody(talk, order_id, refunded(700))
        talk.mark()
        for confirm in (settle, code):
            answer = await talk.call(REFUND.tool, given, confirm=confirm)
            assert (answer["outcome"], talk.sent) == ("unknown", [])
            assert answer["confirm"]["code"]
        answer = await talk.call(REFUND.tool, given)
        assert (answer["outcome"], answer["error"]["code"], "confirm" in answer) == IN_DOUBT
        assert talk.sent == []


@pytest.mark.parametrize("case", [AMOUNT, ADDRESS], ids=name_of)
@pytest.mark.parametrize("kind", ["lose_response", "reset"])
async def test_a_settled_approval_is_used_up_when_the_order_is_changed_back(case: Case, kind: str) -> None:
    """Even where Kustom would apply it again, and where it would answer with the stored success."""
    for forgets_keys in (False, True):
        sandbox = Simulator(switches=Switches(keys="forgotten" if forgets_keys else "kept"))
        async with conversation(simulator=sandbox, host=quickly, **only(case)) as talk:
            order_id, given = case.begin(talk)
            before = dict(talk.stored(order_id)["shipping_address"])
            code = (await talk.call(case.tool, given))["confirm"]["code"]
            in_doubt(talk, kind)
            settle = (await talk.call(case.tool, given, confirm=code))["confirm"]["code"]
            line_mended(talk)
            await talk.call(case.tool, given, confirm=settle)
            back = amount(2, 1) if case is AMOUNT else ("PATCH", "/customer-details", {"shipping_address": before})
            somebody(talk, order_id, back)
            talk.mark()
            for used in (settle, code):
                answer = await talk.call(case.tool, given, confirm=used)
                assert (answer["error"]["code"], talk.sent) == ("CONFIRMATION_INVALID", [])


async def test_a_write_in_doubt_that_cannot_be_sent_again_stays_in_doubt() -> None:
    """The limit refuses what is sent now, and says nothing about what was sent before."""
    async with conversation(host=quickly, **only(REFUND)) as talk:
        _, given = REFUND.begin(talk)
        code = (await talk.call(REFUND.tool, given))["confirm"]["code"]
        in_doubt(talk, "reset")
        settle = (await talk.call(REFUND.tool, given, confirm=code))["confirm"]["code"]
        line_mended(talk)
        talk.simulator.faults.add(_write(REFUND, "status 429", 9))
        answer = await talk.call(REFUND.tool, given, confirm=settle)
        assert answer["outcome"] == "unknown"
        line_mended(talk)
        talk.app.drain(0)
        stopped = await talk.call(REFUND.tool, given, confirm=settle)
        assert (stopped["outcome"], "shutting down. Nothing more was sent." in stopped["summary"]) == ("unknown", True)
        assert len(talk.app.intents.unresolved()) == 1
        talk.app.draining = False
        assert (await talk.call(REFUND.tool, given, confirm=answer["confirm"]["code"]))["outcome"] == "applied"
        assert (applications(talk), talk.app.intents.unresolved()) == (1, [])


async def test_a_settled_approval_stays_used_up_for_as_long_as_its_code_lives() -> None:
    now = Time()
    async with conversation(host=now.run, **only(AMOUNT)) as talk:
        order_id, given = AMOUNT.begin(talk)
        code = (await talk.call(AMOUNT.tool, given))["confirm"]["code"]
        in_doubt(talk, "lose_response")
        settle = (await talk.call(AMOUNT.tool, given, confirm=code))["confirm"]["code"]
        line_mended(talk)
        assert (await talk.call(AMOUNT.tool, given, confirm=settle))["outcome"] == "already_applied"
        somebody(talk, order_id, amount(2, 1))
        now.pass_by(23 * 3600)
        answer = await talk.call(AMOUNT.tool, given, confirm=settle)
        assert (answer["error"]["code"], applications(talk)) == ("CONFIRMATION_INVALID", 1)


async def test_a_resolved_refund_is_found_by_its_entry_after_another_was_made() -> None:
    async with conversation(host=quickly, **only(REFUND)) as talk:
        order_id, given = REFUND.begin(talk)
        code = (await talk.call(REFUND.tool, given))["confirm"]["code"]
        in_doubt(talk, "lose_response")
        settle = (await talk.call(REFUND.tool, given, confirm=code))["confirm"]["code"]
        line_mended(talk)
        assert (await talk.call(REFUND.tool, given, confirm=settle))["outcome"] == "already_applied"
        somebody(talk, order_id, refunded(700))
        answer = await talk.call(REFUND.tool, given, confirm=settle)
        assert (answer["outcome"], applications(talk)) == ("already_applied", 1)


IN_DOUBT = ("not_sent", "WRITE_IN_DOUBT", False)
SETTLED_BY_REPEATING = tuple(case for case in SHOWN if case not in READABLE)


@pytest.mark.parametrize(
    ("restarted", "kind", "case"),
    sampled(product([False, True], ["lose_response", "reset"], [*SETTLED_BY_REPEATING, REFUND, CAPTURE, AMOUNT]), 3),
    ids=name_of,
)
async def test_an_unknown_without_a_code_is_settled_by_the_identical_call(
    restarted: bool, kind: str, case: Case, tmp_path: Path
) -> None:
    sandbox = Simulator()
    settings: dict[str, Any] = {**only(case, FLAG), "KUSTOM_STATE_DIR": str(tmp_path)}
    async with conversation(simulator=sandbox, host=quickly, **settings) as talk:
        _, given = case.begin(talk)
        in_doubt(talk, kind)
        answer = await _do(talk, case, given)
        assert (answer["outcome"], "confirm" in answer) == ("unknown", False)
        line_mended(talk)
        if not restarted:
            assert (await _do(talk, case, given))["outcome"] == "applied"
    if restarted:
        async with conversation(simulator=sandbox, host=quickly, **settings) as again:
            assert (await _do(again, case, given))["outcome"] == "applied"
            assert again.app.intents.unresolved() == []
    assert (applications(talk), len({seen.key for seen in talk.writes})) == (1, 1)


async def test_an_unknown_is_settled_by_its_code_after_a_restart(tmp_path: Path) -> None:
    sandbox = Simulator()
    settings: dict[str, Any] = {**only(REFUND), "KUSTOM_STATE_DIR": str(tmp_path)}
    async with conversation(simulator=sandbox, host=quickly, **settings) as talk:
        _, given = REFUND.begin(talk)
        code = (await talk.call(REFUND.tool, given))["confirm"]["code"]
        in_doubt(talk, "lose_response")
        settle = (await talk.call(REFUND.tool, given, confirm=code))["confirm"]["code"]
        line_mended(talk)
    async with conversation(simulator=sandbox, **settings) as again:
        assert (await again.call(REFUND.tool, given, confirm=settle))["outcome"] == "already_applied"
    assert applications(talk) == 1


async def test_another_call_finds_out_what_became_of_an_open_intent_before_it_goes_on() -> None:
    async with conversation(host=quickly, **only(REFUND, FLAG)) as talk:
        _, given = REFUND.begin(talk)
        in_doubt(talk, "lose_response")
        assert (await _do(talk, REFUND, given))["outcome"] == "unknown"
        line_mended(talk)
        talk.simulator.faults.add(Fault("GET", ORDER, "status", 503, times=3))
        assert (await _do(talk, REFUND, given | {"refunded_amount": 700}))["error"]["code"] == "UPSTREAM_UNAVAILABLE"
        assert len(talk.app.intents.unresolved()) == 1
        line_mended(talk)
        assert (await _do(talk, REFUND, given | {"refunded_amount": 700}))["outcome"] == "applied"
        assert (talk.app.intents.unresolved(), applications(talk)) == ([], 2)


async def test_a_write_is_applied_even_if_the_order_cannot_be_read_afterwards() -> None:
    async with conversation(host=quickly, **only(REFUND, FLAG)) as talk:
        order_id, given = REFUND.begin(talk)
        talk.simulator.faults.add(Fault("GET", ORDER, "delay"))
        talk.simulator.faults.add(Fault("GET", ORDER, "reset", times=3))
        answer = await _do(talk, REFUND, given)
        assert answer["outcome"] == "applied"
        assert answer["warnings"][-1] == (
            "It was done, but the order could not be read again afterwards: read it before acting further."
        )
        assert talk.stored(order_id)["refunded_amount"] == 5000


async def test_a_2xx_that_the_order_contradicts_says_so_and_how_to_go_on() -> None:
    async with conversation(host=quickly, **only(REFERENCES, FLAG)) as talk:
        _, given = REFERENCES.begin(talk)
        talk.simulator.faults.add(Fault("PATCH", f"{ORDER}/merchant-references", "status", status=204))
        answer = await talk.call(REFERENCES.tool, given)
        assert (answer["outcome"], answer["error"]) == (
            "unknown",
            {
                "code": "OUTCOME_UNKNOWN",
                "message": "Kustom answered that this was done (HTTP 204), but the order still does not show it after "
                "5 seconds.",
                "retry": "same_call",
            },
        )
        assert answer["next_step"].startswith("Repeat this call with exactly the same arguments: it looks at the order")
        assert (await talk.call(REFERENCES.tool, given))["outcome"] == "applied"


async def test_an_extension_in_doubt_is_not_told_by_another_change_of_the_order() -> None:
    async with conversation(host=quickly, **only(EXTENSION)) as talk:
        order_id, given = EXTENSION.begin(talk)
        in_doubt(talk, "reset")
        assert (await talk.call(EXTENSION.tool, given))["outcome"] == "unknown"
        line_mended(talk)
        somebody(talk, order_id, ("POST", "/captures", {"captured_amount": 1000}))
        assert ((await talk.call(EXTENSION.tool, given))["outcome"], applications(talk)) == ("applied", 1)


async def test_a_write_in_flight_is_finished_and_recorded_although_its_caller_left() -> None:
    async with conversation("legacy", **only(REFUND, FLAG)) as talk:
        order_id, given = REFUND.begin(talk)
        talk.simulator.faults.add(Fault("POST", f"{ORDER}/refunds", "delay", seconds=0.05))
        with anyio.move_on_after(0.02) as left:
            await talk.call(REFUND.tool, given, confirm=True)
        assert left.cancelled_caught
        with anyio.fail_after(PATIENCE):
            await talk.app.idle()
        assert talk.stored(order_id)["refunded_amount"] == 5000
        assert (talk.app.audit.memory[-1]["event"], talk.app.audit.memory[-1]["outcome"]) == ("outcome", "applied")
        assert talk.app.intents.unresolved() == []
        assert (await talk.call(REFUND.tool, given, confirm=True))["outcome"] == "already_applied"


async def test_a_write_that_is_cut_at_the_drain_limit_stays_an_open_intent() -> None:
    async with conversation(**FLAG) as talk:
        _, given = REFUND.begin(talk)
        talk.simulator.faults.add(Fault("POST", f"{ORDER}/refunds", "delay", seconds=30))
        answers: list[dict[str, Any]] = []

        async def refund() -> None:
            answers.append(await talk.call(REFUND.tool, given, confirm=True))

        async with anyio.create_task_group() as group:
            group.start_soon(refund)
            while not talk.app.intents.unresolved():
                await anyio.lowlevel.checkpoint()
            await anyio.wait_all_tasks_blocked()
            talk.app.drain(0.01)
        assert [answer["outcome"] for answer in answers] == ["unknown"]
        (intent,) = talk.app.intents.unresolved()
        assert (intent.tool, intent.content["head"]) == (
            "kustom_refund_order",
            f"refund-50.00SEK-{given['order_id'][:8]}",
        )
