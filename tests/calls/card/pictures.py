"""The pictures of the card in the documents: the real card with demo orders, in Chromium.

    uv run python -m tests.calls.card.pictures

Run it when the card changes, and reduce the files to a palette afterwards, as `pngquant` does: they may have 60 kB. No
test compares them, because machines have different fonts.
"""

from __future__ import annotations

from typing import Any

import anyio

from tests.calls.card.showing import browsing
from tests.generate import ROOT
from tests.support.conversation import CARDS, conversation, demo

ORDER: dict[str, Any] = {"order_id": demo("part-captured-eur")}
REFUND: dict[str, Any] = {
    "order_id": demo("captured-sek"),
    "lines": [{"line": 2, "quantity": 2}],
    "description": "Two soaps came back",
}
NARROW: dict[str, Any] = {"viewport": {"width": 460, "height": 1600}}
"""So that the words can be read where a picture stands beside text."""
WIDE: dict[str, Any] = {"viewport": {"width": 880, "height": 1600}}
PICTURES: dict[str, tuple[str, dict[str, Any], str, dict[str, Any]]] = {
    "card-order": ("get_order", ORDER, "card.more !== null", NARROW),
    "card-refund": (
        "refund_order",
        REFUND,
        "card.more !== null && document.querySelector('#yes')?.disabled === false",
        NARROW,
    ),
    "card-list": (
        "find_orders",
        {"currency": "SEK", "order_by": "expires_at"},
        "document.querySelector('.orders') !== null",
        WIDE,
    ),
    "card-payouts": ("list_payouts", {"currency": "SEK"}, "document.querySelector('.days') !== null", WIDE),
}


async def main() -> None:
    """Write each picture into `docs/`."""
    with browsing() as browser:
        for name, (tool, given, ready, view) in PICTURES.items():
            async with conversation(extensions=CARDS, KUSTOM_CONFIRM="card", KUSTOM_TOOLS="all") as talk:
                await browser.show(talk, tool, given, **view)
                await browser.until(ready)
                await browser.do("shot", path=str(ROOT / "docs" / f"{name}.png"))


if __name__ == "__main__":
    anyio.run(main)
