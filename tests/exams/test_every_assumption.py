"""Every gated tool under every answer to an open question: what is reported agrees with what happened.

The sandbox assumes one answer of each; the product must be right under all (`simulator.switches`). An outcome that
nobody can know may be unknown, but never wrong, and nothing happens twice. DECIDES has, for each question, a
conversation that takes another course by its answer, so that none of them is asked in vain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.faults import Fault
from kustom_mcp.simulator.switches import VALUES, Switches
from tests.calls.gated_operations import (
    ACKNOWLEDGE,
    GATED,
    HALF,
    MUG,
    RELEASE,
    UNGATED,
    Case,
    Request,
    applications,
    line,
    name_of,
    only,
)
from tests.calls.gated_operations import (
    ALL as CAPTURED,
)
from tests.calls.quick import ALL, Time
from tests.support.conversation import Talk, conversation

pytestmark = pytest.mark.exam

FLAG = {**ALL, "KUSTOM_CONFIRM": "flag"}
CHOICES = [
    (name, value)
    for name, values in VALUES.items()
    for value in ((*values[:1], "late:1", "late:60") if name == "effect" else values)
]
FAULTS = ("", "lose_response", "reset", "status 500", "late_status 503")

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
NO_FEE = {"type": "return_fee", "name": "Return fee", "quantity": 1, "unit_price": 0, "total_amount": 0}
REFUNDS: Request = ("POST", "/refunds", {})


@dataclass(frozen=True)
class Decision:
    """A conversation whose course a question decides: the outcome and then the status of the order, by its answer."""

    name: str
    case: Case
    courses: Mapping[str, tuple[str, str]]


def refund(name: str, order: Mapping[str, Any], **arguments: Any) -> Case:
    return Case("refund_order", order, arguments, name, REFUNDS)


TWO = {"captures": [{"captured_amount": 2000}, {"captured_amount": 10000}]}
OTHER_GOODS = Case(
    "update_order_amount",
    {},
    {"order_amount": 12000, "order_lines": [line({**MUG, "name": "Jug"}, 6)]},
    "",
    ("PATCH", "/authorization", {}),
)
OTHER_SUM = Case(
    "capture_order", {}, {"captured_amount": 5000, "order_lines": [line(MUG, 1)]}, "", ("POST", "/captures", {})
)
GONE = {**HALF, "created_at": "2026-02-02T12:00:00Z", "expires_at": "2026-03-02T12:15:00Z"}
"""It is added at 12:10 and has expired at 12:20, when the call comes."""
ACKNOWLEDGED = Case("acknowledge_order", HALF, {}, "", ACKNOWLEDGE.request)
DECIDES = (
    Decision(
        "full_refund",
        refund("", CAPTURED, refunded_amount=12000),
        {"CAPTURED": ("applied", "CAPTURED"), "CLOSED": ("applied", "CLOSED")},
    ),
    Decision("release", RELEASE, {"CAPTURED": ("applied", "CAPTURED"), "CLOSED": ("applied", "CLOSED")}),
    Decision(
        "part_captured_expiry",
        refund("", GONE, refunded_amount=1000),
        {"EXPIRED": ("not_sent", "EXPIRED"), "PART_CAPTURED": ("applied", "PART_CAPTURED")},
    ),
    Decision("line_sums", OTHER_SUM, {"accepted": ("applied", "PART_CAPTURED"), "refused": ("rejected", "AUTHORIZED")}),
    Decision(
        "equal_amount", OTHER_GOODS, {"accepted": ("applied", "AUTHORIZED"), "refused": ("rejected", "AUTHORIZED")}
    ),
    Decision(
        "return_fee_markets",
        refund("", {**CAPTURED, "purchase_country": "IT"}, lines=[{"line": 1, "quantity": 1}], return_fee=500),
        {"15": ("applied", "CAPTURED"), "8": ("rejected", "CAPTURED")},
    ),
    Decision(
        "zero_return_fee",
        refund("", TWO, refunded_amount=2000, order_lines=[line(MUG, 1), NO_FEE]),
        {"accepted": ("applied", "CAPTURED"), "refused": ("rejected", "CAPTURED")},
    ),
    Decision(
        "second_acknowledge",
        ACKNOWLEDGED,
        {"accepted": ("applied", "PART_CAPTURED"), "refused": ("rejected", "PART_CAPTURED")},
    ),
)
SHOWN_ONLY = ("keys", "entries", "effect", "shipments")
"""These decide what is read back or what a repeat does, and no outcome where nothing goes wrong."""
NEVER_ASKED = {
    "order_lines": "an amount change has lines",
    "numbers": "texts are sent as texts",
    "limits": "what breaks a limit is refused here",
    "malformed_order_id": "an id has the form of one before it is sent",
    "transactions": "settlements are only read: tests/tools/test_list_transactions.py",
}
"""No write can meet these."""
UNASKED = ("keys", "effect", "second_acknowledge", "shipments")
"""What matters to a tool without a gate, too."""


def test_every_question_has_a_conversation_that_it_decides_or_a_reason_why_not() -> None:
    decided = [decision.name for decision in DECIDES]
    assert sorted([*decided, *SHOWN_ONLY, *NEVER_ASKED]) == sorted(VALUES)
    for decision in DECIDES:
        assert set(decision.courses) == set(VALUES[decision.name])
        assert len(set(decision.courses.values())) == len(decision.courses)


@pytest.mark.parametrize(
    ("case", "name", "value"),
    [(case, name, value) for name, value in CHOICES for case in (*GATED, *(UNGATED if name in UNASKED else ()))],
    ids=lambda each: name_of(each) or each,
)
async def test_what_is_reported_agrees_with_what_happened_whatever_kustom_does(
    case: Case, name: str, value: str
) -> None:
    await hold(case, Switches().assume({name: value}), "applied")


@pytest.mark.parametrize(
    ("decision", "value"),
    [(decision, value) for decision in DECIDES for value in decision.courses],
    ids=lambda each: each.name if isinstance(each, Decision) else each,
)
async def test_a_question_decides_the_course_and_never_the_truth(decision: Decision, value: str) -> None:
    outcome, status = decision.courses[value]
    talk, order_id = await hold(decision.case, Switches().assume({decision.name: value}), outcome)
    assert talk.stored(order_id)["status"] == status


async def test_an_acknowledgement_whose_repeat_is_refused_is_never_called_refused() -> None:
    await hold(ACKNOWLEDGE, Switches(keys="forgotten", second_acknowledge="refused"), "applied")


async def hold(case: Case, switches: Switches, outcome: str) -> tuple[Talk, str]:
    """Hold the call to the truth under each fault, and without one to its outcome; the talk and that order's id."""
    now, plain = Time(start=NOON.timestamp()), ""
    sandbox = Simulator(clock=lambda: datetime.fromtimestamp(now.wall(), UTC), switches=switches)
    gate = {"confirm": True} if case.tool in {each.tool for each in GATED} else {}
    idle = case.tool == "acknowledge_order"  # to do it again changes nothing, so it may be sent again
    async with conversation(simulator=sandbox, host=now.run, **only(case, FLAG)) as talk:
        for fault in FAULTS:
            now.pass_by(600)
            talk.mark()
            order_id, given = case.begin(talk)
            now.pass_by(600)
            sandbox.faults.clear()
            kind, _, status = fault.partition(" ")
            if kind:
                template = f"/orders/{{order_id}}{case.request[1]}"
                sandbox.faults.add(Fault(case.request[0], template, kind, status=int(status or 0)))
            answer = await talk.call(case.tool, given, **gate)
            story = fault, answer["outcome"], answer.get("error")
            happened = min(applications(talk), 1) if idle else applications(talk)
            tell(answer["outcome"], happened, doubt=bool(fault or switches.late_by), story=story)
            if not fault:
                plain = order_id
                if not switches.late_by:
                    assert answer["outcome"] == outcome, story
    return talk, plain


def tell(outcome: str, happened: int, *, doubt: bool, story: object) -> None:
    """Hold an outcome to how often it happened."""
    if outcome == "applied":
        assert happened == 1, story
    elif outcome == "unknown":
        assert happened <= 1, story
        assert doubt, story
    else:
        assert happened == 0, story
