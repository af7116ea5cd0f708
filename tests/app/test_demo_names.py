"""The names of the sandbox's demo orders, which are as good as their ids wherever a person would type one."""

from __future__ import annotations

import json

from mcp.types import TextResourceContents

from tests.support.conversation import conversation, demo

CAPTURED = demo("captured-sek")


async def test_a_name_is_as_good_as_an_id() -> None:
    async with conversation() as talk:
        by_id = await talk.call("get_order", order_id=CAPTURED)
        for name in ("captured-sek", " Captured-SEK "):
            assert (await talk.call("get_order", order_id=name))["order"] == by_id["order"]
        rows = (await talk.call("get_orders", order_ids=["captured-sek", demo("authorized-sek")]))["orders"]
        assert [row["order_id"] for row in rows] == [CAPTURED, demo("authorized-sek")]
        rows = (await talk.call("get_orders", order_ids='["captured-sek"]'))["orders"]
        assert [row["order_id"] for row in rows] == [CAPTURED]
        found = (await talk.call("find_orders", reference="captured-sek"))["orders"]
        assert [row["order_id"] for row in found] == [CAPTURED]
        page = await talk.client.read_resource("kustom://orders/captured-sek")
    (text,) = [part.text for part in page.contents if isinstance(part, TextResourceContents)]
    assert json.loads(text)["order"]["order_id"] == CAPTURED


async def test_a_code_for_a_name_approves_the_same_call_by_id() -> None:
    async with conversation() as talk:
        preview = await talk.call("refund_order", order_id="captured-sek", refunded_amount=100)
        code = preview["confirm"]["code"]
        done = await talk.call("refund_order", order_id=CAPTURED, refunded_amount=100, confirm=code)
        assert (done["outcome"], done["order"]["refunded_amount"]) == ("applied", 100)


async def test_other_texts_are_no_names() -> None:
    async with conversation() as talk:
        assert (await talk.call("get_order", order_id="captured-sek-2"))["error"]["code"] == "INVALID_IDENTIFIER"
