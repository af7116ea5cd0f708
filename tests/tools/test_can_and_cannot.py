"""`can` and `cannot` agree with what Kustom documents and with what the tools then do, for every demo order and every
gated tool.

What is expected is typed here from the description of the API, not taken from our own tables: those could be wrong
together.
"""

from __future__ import annotations

from typing import Any

import pytest

from kustom_mcp.simulator.demo_orders import demo_orders
from kustom_mcp.simulator.seeds import Seed
from tests.support.conversation import Talk, demo
from tests.tools.steady import STATUSES, TEN_CUPS, facts, first_capture, steady

# Permission by state, as the description of the API has it (its section 4.3): a verdict, then how well it is known.
# S, K and KL are documented by Kustom or Klarna, A by Kustom's help (articles 272001 and 272002, found later); I is
# inferred, D nobody's word.
DESCRIBED = {
    # AUTHORIZED, PART_CAPTURED, CAPTURED, CANCELLED, EXPIRED, CLOSED
    "kustom_update_order_amount": ("yes:K", "yes:KL", "no:K", "no:K", "no:K", "no:I"),
    "kustom_update_customer_details": ("yes:K", "no:A", "no:A", "no:A", "no:A", "no:A"),
    "kustom_cancel_order": ("yes:K", "no:K", "no:K", "no:D", "no:D", "no:KL"),
    "kustom_release_remaining_authorization": ("no:KL", "yes:K", "no:KL", "no:KL", "no:D", "no:D"),
    "kustom_capture_order": ("yes:K", "yes:K", "no:K", "no:KL", "no:KL", "no:KL"),
    "kustom_refund_order": ("no:KL", "yes:K", "yes:K", "no:KL", "no:A", "yes:K"),
}
DOCUMENTED = ("S", "K", "KL", "A")
AMOUNTS = {"kustom_capture_order": "captured_amount", "kustom_refund_order": "refunded_amount"}


def described(tool: str, order: dict[str, Any]) -> tuple[str, str]:
    """The verdict and its mark for an order as it is; captures and refunds need something that is left (K)."""
    verdict, mark = DESCRIBED[tool][STATUSES.index(order["status"])].split(":")
    left = {
        "kustom_capture_order": order["remaining_authorized_amount"],
        "kustom_refund_order": order["captured_amount"] - order["refunded_amount"],
    }
    return ("no", "K") if verdict == "yes" and left.get(tool) == 0 else (verdict, mark)


def lower(stored: dict[str, Any]) -> dict[str, Any]:
    """An amount change that asks for less, of goods that no capture holds: to raise an amount is another question."""
    lines = stored["order_lines"]
    captured = sum(line["quantity"] for capture in stored["captures"] for line in capture["order_lines"])
    number, line = next(
        ((n, line) for n, line in enumerate(lines, 1) if line["quantity"] > 1 and line["quantity"] > captured),
        (len(lines), lines[-1]),
    )
    if len(lines) > 1 or line["quantity"] > 1:
        return {"line_changes": [{"line": number, "quantity": line["quantity"] - 1}]}
    cheaper = {name: line[name] for name in ("reference", "name", "quantity", "tax_rate")}
    cheaper |= {"unit_price": line["unit_price"] - 100, "total_amount": line["total_amount"] - 100}
    return {"order_amount": cheaper["total_amount"], "order_lines": [cheaper]}


def arguments(stored: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """A reasonable call of every gated tool for this order."""
    return {
        "kustom_update_order_amount": lower(stored),
        "kustom_update_customer_details": {"shipping_address": {"city": "Teststad"}},
        "kustom_cancel_order": {},
        "kustom_release_remaining_authorization": {},
        "kustom_capture_order": {"captured_amount": 1},
        "kustom_refund_order": {"refunded_amount": 1},
    }


async def tried(talk: Talk, tool: str, given: dict[str, Any], order_id: str) -> tuple[str, int]:
    """Call and confirm: how it ends, and how many writes have left. The sandbox is as before afterwards."""
    talk.mark()
    answer = await talk.call(tool, given, order_id=order_id)
    if answer["outcome"] == "confirmation_required":
        assert talk.sent == []
        answer = await talk.call(tool, given, order_id=order_id, confirm=answer["confirm"]["code"])
    ended = answer["outcome"], len(talk.sent)
    if answer["outcome"] in ("not_sent", "rejected"):
        assert answer["error"]["code"] == "ACTION_NOT_ALLOWED"
    talk.simulator.reset()
    return ended


@pytest.mark.parametrize("seed", demo_orders(), ids=lambda seed: seed.name)
async def test_what_can_be_done_is_accepted_and_what_kustom_refuses_is_never_asked(seed: Seed) -> None:
    async with steady() as talk:
        order_id = seed.order_id
        order = await facts(talk, order_id)
        can = {entry["tool"] for entry in order["can"]}
        cannot = {entry["tool"]: entry["why"] for entry in order["cannot"]}
        for tool, given in arguments(talk.stored(order_id)).items():
            verdict, mark = described(tool, order)
            assert (tool in can, tool in cannot) == (verdict == "yes", verdict == "no"), tool
            ended = await tried(talk, tool, given, order_id)
            if verdict == "yes":
                assert ended == ("applied", 1), tool
            elif mark in DOCUMENTED:
                assert ended in (("not_sent", 0), ("already_applied", 0)), tool
            else:  # Kustom decides
                assert ended in (("rejected", 1), ("already_applied", 0)), tool


@pytest.mark.parametrize("seed", demo_orders(), ids=lambda seed: seed.name)
async def test_the_most_that_can_be_moved_is_what_is_taken(seed: Seed) -> None:
    async with steady() as talk:
        order = await facts(talk, seed.order_id)
        for entry in order["can"]:
            if "max_amount" not in entry:
                continue
            tool, most = entry["tool"], entry["max_amount"]
            assert most > 0
            field = AMOUNTS[tool]
            assert await tried(talk, tool, {field: most}, seed.order_id) == ("applied", 1)
            above = await talk.call(tool, {field: most + 1}, order_id=seed.order_id)
            assert (above["outcome"], above["error"]["code"]) == ("not_sent", "ACTION_NOT_ALLOWED")
            assert above["error"]["field"] == field


@pytest.mark.parametrize("seed", demo_orders(), ids=lambda seed: seed.name)
async def test_a_due_date_that_can_be_extended_is(seed: Seed) -> None:
    async with steady() as talk:
        order = await facts(talk, seed.order_id)
        given = {"capture_id": first_capture(talk, seed.order_id), "number_of_days": 14}
        if "kustom_extend_due_date" in {entry["tool"] for entry in order["can"]}:
            assert await tried(talk, "kustom_extend_due_date", given, seed.order_id) == ("applied", 1)


@pytest.mark.parametrize("seed", demo_orders(), ids=lambda seed: seed.name)
async def test_an_authorization_that_can_be_extended_is(seed: Seed) -> None:
    async with steady() as talk:
        possible = {entry["tool"] for entry in (await facts(talk, seed.order_id))["can"]}
        answer = await talk.call("extend_authorization", order_id=seed.order_id)
        accepted = "kustom_extend_authorization" in possible
        assert (answer["outcome"] in ("applied", "already_applied")) is accepted


@pytest.mark.parametrize(
    ("tool", "given"),
    [
        ("kustom_capture_order", {"captured_amount": 1000}),
        ("kustom_cancel_order", {}),
        ("kustom_update_order_amount", {"line_changes": [{"line": 1, "quantity": 9}]}),
        ("kustom_update_customer_details", {"shipping_address": {"city": "Teststad"}}),
    ],
)
async def test_past_its_expiry_nothing_is_offered_and_what_is_confirmed_is_sent_with_a_warning(
    tool: str, given: dict[str, Any]
) -> None:
    async with steady() as talk:
        order_id = talk.order(order_lines=[TEN_CUPS], expires_at="2026-03-01T00:00:00Z")
        order = await facts(talk, order_id)
        assert (order["status"], order["can"]) == ("AUTHORIZED", [])
        preview = await talk.call(tool, given, order_id=order_id)
        assert preview["warnings"][0] == (
            "The authorization ended on 2026-03-01 by its date, although the status is AUTHORIZED: Kustom may refuse."
        )
        answer = await talk.call(tool, given, order_id=order_id, confirm=preview["confirm"]["code"])
        assert (answer["outcome"], len(talk.sent)) == ("applied", 1)


async def test_what_a_status_forbids_is_refused_before_a_person_is_asked() -> None:
    def asked(question: str) -> Any:
        raise AssertionError(question)

    async with steady(person=asked) as talk:
        for seed in demo_orders():
            order = await facts(talk, seed.order_id)
            for tool, given in arguments(talk.stored(seed.order_id)).items():
                verdict, mark = described(tool, order)
                if verdict == "no" and mark in DOCUMENTED:
                    answer = await talk.call(tool, given, order_id=seed.order_id)
                    assert answer["outcome"] in ("not_sent", "already_applied"), (seed.name, tool)
        assert (talk.sent, talk.questions) == ([], [])


async def test_a_refusal_by_status_says_what_may_be_done_instead() -> None:
    async with steady() as talk:
        answer = await talk.call(
            "update_customer_details", order_id=demo("captured-sek"), shipping_address={"city": "Teststad"}
        )
        assert answer["error"]["message"] == "The order is fully captured. Nothing was sent."
        assert answer["next_step"] == (
            "Nothing here can do this. Tell the person: ask the carrier to redirect the parcel."
        )


async def test_nothing_is_released_twice() -> None:
    async with steady() as talk:
        order_id = talk.order(status="PART_CAPTURED", order_amount=1000, remaining_authorized_amount=0)
        answer = await talk.call("release_remaining_authorization", order_id=order_id)
        assert (answer["outcome"], talk.sent) == ("already_applied", [])


async def test_tools_that_are_switched_off_are_named_among_what_cannot_be_done() -> None:
    async with steady(tools="orders") as talk:
        order = await facts(talk, demo_orders()[0].order_id)
        why = {entry["tool"]: entry["why"] for entry in order["cannot"]}
        assert "KUSTOM_TOOLS" in why["kustom_capture_order"]
        assert "KUSTOM_TOOLS" in why["kustom_refund_order"]
        assert "kustom_capture_order" not in {entry["tool"] for entry in order["can"]}
