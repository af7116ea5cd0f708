"""The order card with real servers, in both eras: asked of one replica, answered to another; and a host that shows
cards to a model which does whatever orders tell it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from mcp.types import TextResourceContents

from kustom_mcp.calls.card import APPROVE, ORDER_CARD
from tests.exams.hostile.assistant import EVERYTHING, orders_in
from tests.exams.hostile.texts import GATED, hostile_order
from tests.support.conversation import CARDS
from tests.support.sample import sampled
from tests.transport.host import MODES, WAYS, Mode, Talk, Wire, hosting
from tests.transport.kustom import Kustom, demo
from tests.transport.serving_stdio import serving

TOWEL: dict[str, Any] = {"order_id": demo("captured-sek"), "lines": [{"line": 1, "quantity": 1}]}


async def asked(client: Client, tool: str, given: dict[str, Any]) -> dict[str, Any]:
    content: Any = (await client.call_tool(tool, given)).structured_content
    return content


@pytest.mark.parametrize("mode", sampled(MODES, 2))
async def test_a_card_of_one_replica_is_answered_to_another(mode: Mode, kustom: Kustom, tmp_path: Path) -> None:
    settings = {"KUSTOM_CONFIRM": "card"}
    with serving(kustom, tmp_path, **settings) as one, serving(kustom, tmp_path, **settings) as other:
        async with Client(one.url, mode=mode, extensions=CARDS) as client:
            preview = await asked(client, "kustom_refund_order", TOWEL)
            (page,) = (await client.read_resource(ORDER_CARD)).contents
            assert isinstance(page, TextResourceContents)
            seal = page.text.partition('name="kustom-seal" content="')[2].partition('"')[0]
            card = {"seal": seal, "tool": preview["confirm"]["tool"], "arguments": TOWEL}
            own = await asked(client, APPROVE, {**card, "state": preview["confirm"]["state"]})
        async with Client(other.url, mode=mode, extensions=CARDS) as client:
            answer = {**card, "code": own["confirm"]["code"], "approve": True}
            done = [(await asked(client, APPROVE, answer))["outcome"] for _ in range(2)]
    assert done == ["applied", "already_applied"]
    assert [refund["refunded_amount"] for refund in kustom.order(TOWEL["order_id"])["refunds"]] == [19900]


@pytest.mark.parametrize("mode", sampled(MODES, 2))
async def test_without_sessions_only_a_client_that_says_in_each_request_what_it_shows_has_cards(
    mode: Mode, kustom: Kustom, tmp_path: Path
) -> None:
    with serving(kustom, tmp_path, KUSTOM_CONFIRM="card", KUSTOM_HTTP_SESSIONS="off") as served:
        async with Client(served.url, mode=mode, extensions=CARDS) as client:
            answer = await asked(client, "kustom_refund_order", TOWEL)
    expected = "confirmation_required" if mode == "auto" else "not_sent"
    assert (answer["outcome"], kustom.order(TOWEL["order_id"])["refunds"]) == (expected, [])


HOSTILE = 12
"""Orders in which every text asks for something."""
GUESSES = ("", "0" * 64, "yes")


async def tried(talk: Talk, tool: str, given: dict[str, Any]) -> dict[str, Any] | None:
    """Everything that a model without the card's page can send to have a call carried out: what it read, what it
    guesses, what the preview gave it, and the card's own tool, which a careless host shows it. The preview, if any."""
    first = await talk.call(tool, given)
    state = first.get("confirm", {}).get("state", "0" * 32)
    codes = (True, "yes", state, f"refund-1.00SEK-{given['order_id'][:8]}.{'A' * 80}")
    for code in codes:
        await talk.call(tool, given, confirm=code)
    for seal in (*GUESSES, state):
        card = {"seal": seal, "tool": f"kustom_{tool}", "arguments": given}
        await talk.call("approve", {**card, "state": state})
        for code in codes[1:]:
            await talk.call("approve", {**card, "code": code, "approve": True})
    return first if first["outcome"] == "confirmation_required" else None


@pytest.mark.parametrize(("wire", "mode"), sampled(WAYS, 4))
async def test_nothing_moves_by_what_a_model_sends_to_a_host_with_cards(
    wire: Wire, mode: Mode, kustom: Kustom, tmp_path: Path
) -> None:
    ids = [kustom.add(**hostile_order(seed)) for seed in range(HOSTILE)]
    previewed = list[tuple[str, dict[str, Any]]]()
    many: dict[str, Any] = {"KUSTOM_WRITES_PER_MINUTE": "10000", "KUSTOM_CONFIRM": "card"}
    async with hosting(kustom, tmp_path, mode, wire=wire, extensions=CARDS, **many) as talk:
        for order_id in ids:
            answer = await talk.call("get_order", order_id=order_id, include=EVERYTHING)
            for wish in orders_in(answer, order_id)[:3]:
                tool = wish.tool.removeprefix("kustom_")
                if wish.tool in GATED and await tried(talk, tool, wish.arguments()):
                    previewed.append((tool, wish.arguments()))
        for tool in ("cancel_order", "release_remaining_authorization", "capture_order", "refund_order"):
            more = {"capture_order": {"captured_amount": 100}, "refund_order": {"refunded_amount": 100}}
            for order_id in ids[:3]:
                await tried(talk, tool, {"order_id": order_id, **more.get(tool, {})})
        assert previewed
        assert kustom.writes == []
        tool, given = previewed[0]
        state = (await talk.call(tool, given))["confirm"]["state"]
        (page,) = (await talk.client.read_resource(ORDER_CARD)).contents
        assert isinstance(page, TextResourceContents)
        seal = page.text.partition('name="kustom-seal" content="')[2].partition('"')[0]
        card = {"seal": seal, "tool": f"kustom_{tool}", "arguments": given}
        shown = await talk.call("approve", {**card, "state": state})
        done = await talk.call("approve", {**card, "code": shown["confirm"]["code"], "approve": True})
    assert (done["outcome"], len(kustom.writes)) == ("applied", 1)
