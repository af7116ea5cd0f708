"""The scenes of `demo --shops`: three built-in shops in one server, each in its own currency."""

from __future__ import annotations

from kustom_mcp import money
from kustom_mcp.cli.demo.tour import Guide
from kustom_mcp.cli.demo.transcript import amount

SETTINGS = {"KUSTOM_SHOPS_FILE": "sandbox"}
NUMBER = "1004"


async def in_which_shop(guide: Guide) -> None:
    """Scene 1: find an order, and the shop that it is in."""
    guide.scene(
        "1. In which shop?",
        "One server, three merchant accounts: Sweden, Norway and Finland, in their currencies. Nobody has to know the "
        "shop of an order: each answer says which one it is about.",
    )
    guide.person(f"Where is order {NUMBER}, and in which shop?")
    rows = (await guide.call("kustom_find_orders", {"reference": NUMBER}, "ok"))["orders"]
    guide.need(len(rows) == 1, f"one order has the number {NUMBER}")
    guide.seen.orders[NUMBER] = order_id = str(rows[0]["order_id"])
    asked = {"order_id": order_id, "include": ["captures"]}
    seen = await guide.call("kustom_get_order", asked, "ok", details=("lines",))
    guide.need(seen["shop"] == rows[0]["shop"] == "norway", "the order is in the shop norway")
    parcel = seen["third_party"]["captures"][0]["shipping_info"][0]
    guide.assistant(
        f"In the shop {seen['shop']}. It is {seen['order']['status']}, {amount(seen, 'captured_amount')}, and is with "
        f"{parcel['shipping_company']} under the number {parcel['tracking_number']}."
    )


async def refund_there(guide: Guide) -> None:
    """Scene 2: a refund names its shop to the person, and its code is worth nothing in another shop."""
    guide.scene(
        "2. A write goes to exactly one shop",
        "What a person approves names the shop by its title. The code belongs to the account of that shop: sent with "
        "another one it approves nothing.",
    )
    guide.person(f"One blanket of {NUMBER} has come back. Refund it.")
    refund = {"order_id": guide.order(NUMBER), "lines": [{"line": 1, "quantity": 1}]}
    preview = await guide.call("kustom_refund_order", refund, "confirmation_required")
    guide.need('Shop: "Nordisk Hem Norge", sandbox.' in preview["details"], "a person is told the shop")
    guide.assistant("It is in Norway, as the first line says. Shall I do this?")
    guide.person("Yes.")
    approved = {**refund, "confirm": preview["confirm"]["code"]}
    guide.assistant("(names the wrong shop at first)")
    await guide.call("kustom_refund_order", {**approved, "shop": "sweden"}, "rejected", code="NOT_FOUND")
    done = await guide.call("kustom_refund_order", approved, "applied")
    guide.need(done["shop"] == "norway", "the refund was made in Norway")


async def over_all_shops(guide: Guide) -> None:
    """Scene 3: a question about all shops at once."""
    guide.scene(
        "3. A question about all shops",
        "Totals are per shop and currency: what cannot be added up is not added up.",
    )
    guide.person("What have we not captured yet?")
    found = await guide.call("kustom_find_orders", {"to_capture": True}, "ok")
    left: dict[str, tuple[str, int]] = {}
    for row in found["orders"]:
        _, so_far = left.get(row["shop"], ("", 0))
        left[row["shop"]] = (row["purchase_currency"], so_far + row["remaining_authorized_amount"])
    guide.need(len(left) == 3, "each of the three shops has such orders")
    told = "; ".join(f"{shop} {money.show(total, currency)}" for shop, (currency, total) in left.items())
    guide.assistant(f"{told}.")


SCENES = (in_which_shop, refund_there, over_all_shops)
