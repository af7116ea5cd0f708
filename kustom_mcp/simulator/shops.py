"""The orders of the built-in shops: Sweden, Norway and Finland, each in its own currency. All of them are invented.

Order numbers run on over the shops, as where one warehouse serves them: order 1004 is in one of the three.
"""

from typing import Any, Final

from kustom_mcp.simulator.demo_orders import demo_orders
from kustom_mcp.simulator.drafts import Json
from kustom_mcp.simulator.seeds import Seed, addressed, item, person, shipping

_COUNTRIES: Final[dict[str, tuple[str, str, int, Json]]] = {
    "sweden": ("SEK", "SE", 2500, person("Testa", "Testsson", "Exempelgatan 1", "11122", "Stockholm", "SE")),
    "norway": ("NOK", "NO", 2500, person("Kari", "Eksempel", "Prøvegata 3", "0150", "Oslo", "NO", phone="+4700000000")),
    "finland": (
        *("EUR", "FI", 2550),
        person("Maija", "Esimerkki", "Esimerkkikatu 2", "00100", "Helsinki", "FI", phone="+358400000000"),
    ),
}
"""Currency, country, tax rate and customer of each shop."""

_ORDERS: Final = (
    ("sweden", "1001", "5c1d0f3a-58a1-4b7e-9c52-0a6d1e3f1001", "AUTHORIZED"),
    ("norway", "1002", "5c1d0f3a-58a1-4b7e-9c52-0a6d1e3f1002", "AUTHORIZED"),
    ("finland", "1003", "5c1d0f3a-58a1-4b7e-9c52-0a6d1e3f1003", "CAPTURED"),
    ("norway", "1004", "5c1d0f3a-58a1-4b7e-9c52-0a6d1e3f1004", "CAPTURED"),
    ("sweden", "1005", "5c1d0f3a-58a1-4b7e-9c52-0a6d1e3f1005", "CAPTURED"),
    ("finland", "1006", "5c1d0f3a-58a1-4b7e-9c52-0a6d1e3f1006", "AUTHORIZED"),
    ("sweden", "1007", "5c1d0f3a-58a1-4b7e-9c52-0a6d1e3f1007", "CANCELLED"),
    ("norway", "1008", "5c1d0f3a-58a1-4b7e-9c52-0a6d1e3f1008", "AUTHORIZED"),
    ("finland", "1009", "5c1d0f3a-58a1-4b7e-9c52-0a6d1e3f1009", "AUTHORIZED"),
)
"""Shop, number, id and status of each."""
_PRICES: Final = {"SEK": (49900, 4900), "NOK": (52900, 5900), "EUR": (4590, 490)}
"""Of the blanket and of its delivery, minor units."""
_STORIES: Final = {
    "AUTHORIZED": "Nothing captured yet.",
    "CAPTURED": "Sent and captured in full.",
    "CANCELLED": "Cancelled before anything was captured.",
}


def orders_of(shop: str) -> tuple[Seed, ...]:
    """Return the orders of a built-in shop; the usual demo orders for any other."""
    if shop not in _COUNTRIES:
        return demo_orders()
    return tuple(
        _seed(shop, number, order_id, status, days_old=2 + len(_ORDERS) - index)
        for index, (of, number, order_id, status) in enumerate(_ORDERS)
        if of == shop
    )


def _seed(shop: str, number: str, order_id: str, status: str, days_old: int) -> Seed:
    currency, country, tax_rate, customer = _COUNTRIES[shop]
    price, fee = _PRICES[currency]
    lines = [item("BLANKET-01", "Wool blanket", 2, price, tax_rate), shipping(fee, tax_rate)]
    order: dict[str, Any] = {
        "order_id": order_id,
        "status": status,
        "purchase_currency": currency,
        "purchase_country": country,
        "order_lines": lines,
        "merchant_reference1": number,
        **addressed(customer),
    }
    if status == "CAPTURED":
        shipment = {
            "shipping_company": "PostNord",
            "shipping_method": "Home",
            "tracking_number": f"{country}00{number}",
        }
        order["captures"] = [
            {"captured_amount": 2 * price + fee, "order_lines": lines, "shipping_info": [shipment]},
        ]
    return Seed(f"order-{number}", _STORIES[status], order, days_old)
