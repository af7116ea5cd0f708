"""Every gated tool under every answer to an open question: what is reported agrees with what happened.

The sandbox assumes one answer of each; the product must be right under all (`simulator.switches`). An outcome that
nobody can know may be unknown, but never wrong, and nothing happens twice.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.faults import Fault
from kustom_mcp.simulator.switches import VALUES, Switches
from tests.calls.gated_operations import GATED, Case, applications, name_of, only
from tests.calls.quick import ALL, Time
from tests.support.conversation import conversation

pytestmark = pytest.mark.exam

FLAG = {**ALL, "KUSTOM_CONFIRM": "flag"}
OTHERS = [
    (name, value)
    for name, values in VALUES.items()
    for value in (("late:1", "late:60") if name == "effect" else values[1:])
]
FAULTS = ("", "lose_response", "reset", "status 500", "late_status 503")


@pytest.mark.parametrize("case", GATED, ids=name_of)
@pytest.mark.parametrize(("name", "value"), OTHERS)
async def test_what_is_reported_agrees_with_what_happened_whatever_kustom_does(
    case: Case, name: str, value: str
) -> None:
    now = Time()
    switches = Switches().assume({name: value})
    sandbox = Simulator(clock=lambda: datetime.fromtimestamp(now.wall(), UTC), switches=switches)
    async with conversation(simulator=sandbox, host=now.run, **only(case, FLAG)) as talk:
        for fault in FAULTS:
            now.pass_by(600)
            talk.mark()
            _, given = case.begin(talk)
            now.pass_by(600)
            sandbox.faults.clear()
            kind, _, status = fault.partition(" ")
            if kind:
                template = f"/orders/{{order_id}}{case.request[1]}"
                sandbox.faults.add(Fault(case.request[0], template, kind, status=int(status or 0)))
            answer = await talk.call(case.tool, given, confirm=True)
            story = fault, answer["outcome"], answer.get("error")
            happened = applications(talk)
            if answer["outcome"] == "applied":
                assert happened == 1, story
            elif answer["outcome"] == "unknown":
                assert happened <= 1, story
                assert fault or switches.late_by, story
            else:
                assert happened == 0, story
            if not fault and not switches.late_by:
                assert answer["outcome"] == "applied", story
