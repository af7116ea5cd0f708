"""Advice that fits its reader: no tool that the caller does not have, and nothing of the shop's side for a customer."""

from __future__ import annotations

import pytest

from kustom_mcp.calls.advice import SEE_PORTAL, fit
from kustom_mcp.calls.messages import not_shown_yet
from kustom_mcp.calls.policy import HAND_OVER
from kustom_mcp.schema.result import Result
from kustom_mcp.simulator.faults import Fault
from tests.support.conversation import conversation, demo

DOUBT = "Call kustom_resolve_order to see whether it happened. The Kustom portal shows it. Do not start a new one."

NONE = set[str]()


@pytest.mark.parametrize(
    ("step", "off", "customer", "left"),
    [
        (DOUBT, {"kustom_resolve_order"}, False, "The Kustom portal shows it. Do not start a new one."),
        (DOUBT, {"kustom_get_order"}, False, DOUBT),
        (DOUBT, NONE, True, f"{DOUBT[:53]} Do not start a new one. {HAND_OVER}"),
        ("Repeat it once; if it stays so, tell the operator.", NONE, True, f"Repeat it once. {HAND_OVER}"),
        ("Ask the operator; wait. Then call again.", NONE, True, f"Wait. Then call again. {HAND_OVER}"),
        ("Read it with kustom_get_order.", {"kustom_get_order"}, False, SEE_PORTAL),
    ],
)  # fmt: skip
def test_parts_that_do_not_fit_are_left_out(step: str, off: set[str], customer: bool, left: str) -> None:
    result = Result("unknown", "An invented outcome.", next_step=step)
    fit(result, off.__contains__, customer=customer)
    assert result.next_step == left


def test_a_warning_keeps_its_fact_and_loses_a_tool_that_is_off() -> None:
    fact = "An earlier kustom_refund_order of 1.00 SEK, sent 2026-11-29, has no outcome: it may have been done."
    result = Result("confirmation_required", "", warnings=[f"{fact} kustom_resolve_order finds out what became of it."])
    fit(result, {"kustom_refund_order", "kustom_resolve_order"}.__contains__, customer=False)
    assert result.warnings == [fact]
    nothing = Result("ok", "", next_step="Find it out with kustom_resolve_order.")
    fit(nothing, {"kustom_resolve_order"}.__contains__, customer=False)
    assert nothing.next_step is None


async def test_a_server_with_one_tool_advises_no_other() -> None:
    """The conversation holds each answer to the tools that are listed."""
    taken, ended = demo("captured-sek"), demo("cancelled-eur")
    given = {"order_id": taken, "refunded_amount": 100, "reference": "R-1"}
    async with conversation(KUSTOM_TOOLS="kustom_refund_order", KUSTOM_CONFIRM="flag") as talk:
        wrong_id = await talk.call("refund_order", order_id="SE-20451", refunded_amount=100)
        assert "kustom_" not in wrong_id["next_step"]
        nothing = await talk.call("refund_order", order_id=ended, refunded_amount=100)
        assert nothing["next_step"].startswith("Nothing more can be done with this order here.")
        talk.simulator.faults.add(Fault("POST", "/orders/{order_id}/refunds", "reset", times=9))
        await talk.call("refund_order", given, confirm=True)
        other = await talk.call("refund_order", given | {"reference": "R-2"}, confirm=True)
        assert other["error"]["code"] == "WRITE_IN_DOUBT"
        assert other["next_step"] == "Tell the person that it is not certain yet."


async def test_a_rehearsal_is_not_told_to_confirm() -> None:
    given = {"order_id": demo("captured-sek"), "refunded_amount": 100}
    async with conversation(KUSTOM_WRITES="preview", KUSTOM_CONFIRM="code") as talk:
        assert "It ends here" in (await talk.call("refund_order", given))["next_step"]


@pytest.mark.parametrize(("entry", "another"), [("refund", True), (None, False)])
def test_another_reference_is_advised_only_where_there_is_one(entry: str | None, *, another: bool) -> None:
    _, step = not_shown_yet(None, entry=entry)
    assert step.startswith("Read the order again in a minute.")
    assert ("send it with another reference" in step) is another
