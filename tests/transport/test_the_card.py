"""The order card's approval over HTTP, in both eras: asked of one replica, answered to another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from mcp.types import TextResourceContents

from kustom_mcp.calls.card import APPROVE, ORDER_CARD
from tests.support.conversation import CARDS
from tests.support.sample import sampled
from tests.transport.host import MODES, Mode
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
