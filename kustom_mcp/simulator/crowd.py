"""A few hundred invented orders of the past sixty days, for questions over many orders. The same ones in every run.

As in a shop: most have been captured within days, some were cancelled or refunded, some wait, and of those older than
an authorization lives the ones that were not captured have expired.
"""

import random
from typing import Final
from uuid import UUID

from kustom_mcp.simulator.drafts import AUTHORIZATION_DAYS
from kustom_mcp.simulator.seeds import Seed, item, shipping

DAYS: Final = 60
MOST: Final = 10_000

_GOODS: Final = (
    ("BLANKET-1", "Wool blanket", 49900),
    ("MUG-04", "Stoneware mug", 12900),
    ("TOWEL-1", "Linen towel", 19900),
    ("CHAIR-02", "Oak chair", 185000),
    ("CANDLE-2", "Beeswax candle", 7900),
)
_CURRENCIES: Final = ("SEK", "SEK", "SEK", "EUR", "EUR", "NOK", "DKK", "PLN")
_YOUNG: Final = {"AUTHORIZED": 45, "PART_CAPTURED": 5, "CAPTURED": 38, "CLOSED": 4, "CANCELLED": 8}
_OLD: Final = {"EXPIRED": 6, "CAPTURED": 76, "CLOSED": 10, "CANCELLED": 8}


def invented_orders(count: int) -> tuple[Seed, ...]:
    """Invent so many orders, newest first, evenly over the days."""
    chance = random.Random(60)
    return tuple(_order(number, number * DAYS // count, chance) for number in range(count))


def _order(number: int, days_old: int, chance: random.Random) -> Seed:
    shares = _YOUNG if days_old < AUTHORIZATION_DAYS - 1 else _OLD
    status = chance.choices(list(shares), list(shares.values()))[0]
    lines = [item(reference, name, chance.randint(1, 3), price) for reference, name, price in chance.sample(_GOODS, 2)]
    order = {
        "order_id": str(UUID(int=chance.getrandbits(128))),
        "status": status,
        "purchase_currency": chance.choice(_CURRENCIES),
        "merchant_reference1": f"WEB-{30_000 + number}",
        "order_lines": [*lines, shipping(4900)],
    }
    if status == "PART_CAPTURED":
        order["captured_amount"] = lines[0]["total_amount"]
    return Seed(f"invented-{number + 1}", "One of many invented orders.", order, days_old)
