"""Orders as shops really send them, with what captures hold and what refunds of parts pay: one rule each.

The figures were worked out by hand. The product is held to them, and the table of the documentation is made of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kustom_mcp.money import tax_of

Line = dict[str, Any]


def line(name: str, total: int, rate: int = 2500, quantity: int = 1, **more: Any) -> Line:
    """A line of an order; `total` in minor units, of all pieces."""
    made = {"reference": name.upper(), "name": name, "type": "physical", "quantity": quantity, "tax_rate": rate}
    made |= {"unit_price": total // quantity, "total_amount": total, "total_tax_amount": tax_of(total, rate)}
    return made | more


@dataclass(frozen=True)
class Step:
    """A refund by lines: quantity by line number, what is paid in all for some, the fee, and what it must pay.

    `shares`: the total of each share that goes along, by the name of its line.
    """

    quantities: Mapping[int, int]
    pays: int
    shares: Mapping[str, int] = field(default_factory=dict[str, int])
    totals: Mapping[int, int] = field(default_factory=dict[int, int])
    fee: int = 0


@dataclass(frozen=True)
class Example:
    """`captures`: lines of each; None for one of everything. `portal`: lines of refunds that others made before."""

    name: str
    rule: str
    lines: Sequence[Line]
    steps: Sequence[Step]
    captures: Sequence[Sequence[Line]] | None = None
    portal: Sequence[Sequence[Line]] = ()
    currency: str = "SEK"


COAT, SHIRT = line("Coat", 50000), line("Shirt", 30000)
CAMPAIGN = line("Campaign", -16000, type="discount")
SHIPPING = line("Shipping", 4900, type="shipping_fee")
LAMP = line("Lamp", 30000)
GIFT_CARD = line("Gift card", -10000, 0, type="gift_card")
BOOK = line("Book", 10600, 600)
THIRDS = line("Cup", 10000, quantity=3)

EXAMPLES: Sequence[Example] = (
    Example(
        "20 % off as a discount line",
        "A line of the whole order goes with goods as a share in proportion to their prices.",
        (COAT, SHIRT, CAMPAIGN),
        (Step({1: 1}, 40000, {"Campaign": -10000}), Step({2: 1}, 24000, {"Campaign": -6000})),
    ),
    Example(
        "... the other way round",
        "The order of the parts does not matter.",
        (COAT, SHIRT, CAMPAIGN),
        (Step({2: 1}, 24000, {"Campaign": -6000}), Step({1: 1}, 40000, {"Campaign": -10000})),
    ),
    Example(
        "coupons by tax rate (WooCommerce)",
        "One with a tax rate of its own belongs to the goods at that rate.",
        (
            COAT,
            BOOK,
            line("Coupon", -5000, type="discount"),
            line("Coupon", -530, 600, type="discount"),
        ),
        (Step({2: 1}, 10070, {"Coupon": -530}), Step({1: 1}, 45000, {"Coupon": -5000})),
    ),
    Example(
        "free shipping as a discount",
        "One that takes a shipping line back belongs to that.",
        (COAT, SHIPPING, line("Free shipping", -4900, type="discount")),
        (Step({1: 1}, 50000),),
    ),
    Example(
        "a negative shipping line (Magento)",
        "Any line below zero is one of the whole order, whatever its type.",
        (COAT, SHIRT, SHIPPING, line("Shipping discount", -1600, type="shipping_fee")),
        (Step({1: 1}, 49000, {"Shipping discount": -1000}), Step({2: 1, 3: 1}, 34300, {"Shipping discount": -600})),
    ),
    Example(
        "a gift card (Shopify)",
        "A gift card's share is not money: the preview says that it is to be given back in the shop.",
        (LAMP, GIFT_CARD),
        (Step({1: 1}, 20000, {"Gift card": -10000}),),
    ),
    Example(
        "a gift card that paid the shipping, too",
        "What goods alone cannot bear is borne by shipping and fees as well.",
        (LAMP, SHIPPING, line("Gift card", -31410, 0, type="gift_card")),
        (Step({1: 1}, 3000, {"Gift card": -27000}), Step({2: 1}, 490, {"Gift card": -4410})),
    ),
    Example(
        "store credit on several goods",
        "All goods bear it, whatever their tax.",
        (COAT, BOOK, line("Credit", -6060, 0, type="store_credit")),
        (Step({2: 1}, 9540, {"Credit": -1060}), Step({1: 1}, 45000, {"Credit": -5000})),
    ),
    Example(
        "sales tax (United States)",
        "Sales tax goes back with the goods.",
        (line("Jacket", 10000, 0), line("Cap", 4000, 0), line("Tax", 1120, 0, type="sales_tax")),
        (Step({1: 1}, 10800, {"Tax": 800}), Step({2: 1}, 4320, {"Tax": 320})),
        currency="USD",
    ),
    Example(
        "sales tax and a discount",
        "Several lines of the whole order have a share each.",
        (
            line("Jacket", 10000, 0),
            line("Cap", 5000, 0),
            line("Promo", -1500, 0, type="discount"),
            line("Tax", 1080, 0, type="sales_tax"),
        ),
        (Step({2: 1}, 4860, {"Promo": -500, "Tax": 360}), Step({1: 1}, 9720, {"Promo": -1000, "Tax": 720})),
        currency="USD",
    ),
    Example(
        "three for 100.00",
        "What does not divide evenly: the last takes what rounding left.",
        (THIRDS,),
        (Step({1: 1}, 3333), Step({1: 1}, 3334), Step({1: 1}, 3333)),
    ),
    Example(
        "25.5 % (Finland)",
        "Tax is computed of all that was paid by then, so that it adds up too.",
        (line("Kettle", 9990, 2550, 3), line("Alennus", -999, 2550, type="discount")),
        (Step({1: 2}, 5994, {"Alennus": -666}), Step({1: 1}, 2997, {"Alennus": -333})),
        currency="EUR",
    ),
    Example(
        "a discount on the line itself",
        "A discount that the line has is in its price.",
        (line("Mug", 36000, quantity=4, unit_price=10000, total_discount_amount=4000),),
        (Step({1: 1}, 9000), Step({1: 3}, 27000)),
    ),
    Example(
        "a bundle",
        "Lines that cost nothing come back for nothing.",
        (line("Set", 40000), line("Cup in set", 0), line("Plate in set", 0, quantity=2)),
        (Step({1: 1, 2: 1, 3: 2}, 40000),),
    ),
    Example(
        "shipping",
        "Shipping is a line like any other, and goes back only where it is named; it bears no share.",
        (COAT, SHIRT, SHIPPING, CAMPAIGN),
        (Step({1: 1, 3: 1}, 44900, {"Campaign": -10000}),),
    ),
    Example(
        "a surcharge",
        "So is a surcharge.",
        (COAT, line("Invoice fee", 2900, type="surcharge"), line("Campaign", -5000, type="discount")),
        (Step({1: 1}, 45000, {"Campaign": -5000}), Step({2: 1}, 2900)),
    ),
    Example(
        "a deposit that was paid before",
        "A deposit is taken off like any discount.",
        (line("Bicycle", 100000, quantity=2), line("Deposit", -20000, 0, type="discount")),
        (Step({1: 1}, 40000, {"Deposit": -10000}), Step({1: 1}, 40000, {"Deposit": -10000})),
    ),
    Example(
        "captured before a price was raised",
        "The captured price counts, never the present one.",
        (line("Chair", 30000, quantity=2),),
        (Step({1: 1}, 10000), Step({1: 1}, 10000)),
        captures=((line("Chair", 20000, quantity=2),),),
    ),
    Example(
        "two parcels, the whole discount with the first",
        "All goods that are captured bear what is captured of it, whichever capture has it.",
        (COAT, SHIRT, CAMPAIGN),
        (Step({1: 1}, 40000, {"Campaign": -10000}), Step({2: 1}, 24000, {"Campaign": -6000})),
        captures=((COAT, CAMPAIGN), (SHIRT,)),
    ),
    Example(
        "a price reduction, then a return",
        "total_amount is what is paid for a line in all; below its price it is a price reduction, and the goods stay "
        "returnable for the rest.",
        (COAT, SHIRT, CAMPAIGN),
        (Step({1: 1}, 5000, totals={1: 5000}), Step({1: 1}, 35000, {"Campaign": -10000})),
    ),
    Example(
        "a total_amount of all that was paid",
        "At most the price less the share; then the goods have come back.",
        (COAT, SHIRT, CAMPAIGN),
        (Step({1: 1}, 40000, totals={1: 40000}), Step({2: 1}, 24000, {"Campaign": -6000})),
    ),
    Example(
        "a return fee",
        "A return fee is kept back: what is paid is the lines and shares less the fee.",
        (COAT, SHIRT, CAMPAIGN),
        (Step({1: 1}, 35100, {"Campaign": -10000}, fee=4900),),
    ),
    Example(
        "refunded in the portal without its share",
        "A share that an earlier refund has missed goes with the next goods: all together get what was paid.",
        (COAT, SHIRT, CAMPAIGN),
        (Step({2: 1}, 14000, {"Campaign": -16000}),),
        portal=((COAT,),),
    ),
    Example(
        "one article on two lines",
        "Lines are told apart by reference, name, price and tax.",
        (line("Shirt", 30000), line("Shirt", 50000)),
        (Step({2: 1}, 50000), Step({1: 1}, 30000)),
    ),
)
