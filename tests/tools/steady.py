"""A conversation at a fixed time, orders in every state, and the parts that the tests of all tools share."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any, Literal

from kustom_mcp.app.app import App
from kustom_mcp.simulator.app import Simulator
from tests.support.conversation import Mode, Person, Talk, conversation

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
STATUSES = ("AUTHORIZED", "PART_CAPTURED", "CAPTURED", "CANCELLED", "EXPIRED", "CLOSED")
NOBODY = "00000000-0000-0000-0000-000000000000"

Verdict = Literal["applied", "already", "here", "there"]
"""The fate of an operation in a state: refused `here` without sending, or `there` by Kustom, or done."""

OF_A_CAPTURE: dict[str, Verdict] = {
    "AUTHORIZED": "here",
    "PART_CAPTURED": "applied",
    "CAPTURED": "applied",
    "CANCELLED": "here",
    "EXPIRED": "there",
    "CLOSED": "applied",
}
"""Verdicts of what is done to a capture, also of an order that has none."""

TEN_CUPS = {"reference": "CUP", "name": "Cup", "quantity": 10, "unit_price": 1000, "tax_rate": 2500}
DHL = {
    "shipping_company": "DHL US",
    "shipping_method": "Home",
    "tracking_number": "63456415674545679874",
    "tracking_uri": "http://shipping.example/findmypackage?63456415674545679874",
    "return_shipping_company": "DHL US",
    "return_tracking_number": "93456415674545679888",
    "return_tracking_uri": "http://shipping.example/findmypackage?93456415674545679888",
}
"""The shipment of Kustom's documentation, with its return tracking."""

NOT_FOUND = {
    "outcome": "rejected",
    "environment": "sandbox",
    "summary": "There is no order with this id for these credentials. Nothing was changed.",
    "next_step": "This is the sandbox, which knows only its demo orders: read the resource "
    "kustom://reference/demo-orders.",
    "error": {
        "code": "NOT_FOUND",
        "message": "There is no order with this id for these credentials. Nothing was changed.",
        "retry": "never",
    },
}
"""The one answer for an order that does not exist, or is out of scope."""


def steady(
    mode: Mode = "auto", person: Person | None = None, *, tools: str = "all", **settings: Any
) -> AbstractAsyncContextManager[Talk]:
    """A conversation in which it is always NOW."""

    def stop_time(app: App) -> None:
        app.wall = NOW.timestamp

    simulator = Simulator(clock=lambda: NOW)
    return conversation(mode, person, simulator=simulator, host=stop_time, KUSTOM_TOOLS=tools, **settings)


def without(answer: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """An answer but for some of its parts."""
    return {name: part for name, part in answer.items() if name not in names}


def in_state(talk: Talk, status: str, **given: Any) -> str:
    """An order of ten cups for 100.00 SEK, half of it captured where a part is."""
    return talk.order(status=status, order_lines=[TEN_CUPS], purchase_currency="SEK", **given)


def first_capture(talk: Talk, order_id: str) -> str:
    """The id of an order's first capture, or one that cannot exist."""
    captures = talk.stored(order_id)["captures"]
    return captures[0]["capture_id"] if captures else "no-such-capture"


async def facts(talk: Talk, order_id: str) -> dict[str, Any]:
    """The answer of kustom_get_order about an order now."""
    return (await talk.call("get_order", order_id=order_id))["order"]


async def summed_up(talk: Talk, order_id: str) -> str:
    """The sentence in which kustom_get_order sums an order up now."""
    return (await talk.call("get_order", order_id=order_id))["summary"]


async def in_every_state(
    talk: Talk,
    tool: str,
    verdicts: Mapping[str, Verdict],
    *,
    capture: bool = False,
    given: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> None:
    """Try an operation on an order in every state, confirming with a code. `given`: more of the orders."""
    assert tuple(verdicts) == STATUSES
    for status, verdict in verdicts.items():
        order_id = in_state(talk, status, **(given or {}))
        call = {"order_id": order_id, **arguments}
        if capture:
            call["capture_id"] = first_capture(talk, order_id)
        talk.mark()
        answer = await talk.call(tool, call)
        if answer["outcome"] == "confirmation_required":
            answer = await talk.call(tool, call, confirm=answer["confirm"]["code"])
        assert ended(answer, talk) == verdict, (status, answer)


def ended(answer: Mapping[str, Any], talk: Talk) -> str:
    """The verdict that an answer stands for; what was sent must fit it."""
    count = len(talk.sent)
    if answer["outcome"] in ("applied", "already_applied"):
        assert count == (1 if answer["outcome"] == "applied" else 0)
        return "applied" if count else "already"
    error = answer["error"]
    assert (error["code"], error["retry"]) == ("ACTION_NOT_ALLOWED", "never")
    assert answer["order"]["status"]
    assert answer["next_step"]
    if answer["outcome"] == "not_sent":
        assert (count, "upstream" in error) == (0, False)
        return "here"
    assert (answer["outcome"], count, error["upstream"]["status"]) == ("rejected", 1, 403)
    return "there"
