"""Demo orders of everyday life: one and more for every status, in SEK, EUR, PLN, JPY and ISK."""

from typing import Any, Final

from kustom_mcp.simulator.goods import Seed, addressed, discount, item, person, shipping

_STOCKHOLM: Final = addressed(person("Testa", "Testsson", "Exempelgatan 1", "11122", "Stockholm", "SE"))
_MALMO: Final = addressed(person("Demo", "Demosson", "Provvägen 7", "21120", "Malmö", "SE"))
_BERLIN: Final = addressed(person("Max", "Beispiel", "Musterstraße 12", "10115", "Berlin", "DE", phone="+49300000000"))
_WARSAW: Final = addressed(
    person("Jan", "Przykładowy", "ul. Testowa 5", "00-001", "Warszawa", "PL", phone="+48220000000")
)
_OSLO: Final = addressed(person("Kari", "Eksempel", "Prøvegata 3", "0150", "Oslo", "NO", phone="+4700000000"))
_TOKYO: Final = addressed(person("Hanako", "Mihon", "Reidai 1-2-3", "100-0001", "Tokyo", "JP", phone="+81300000000"))
_REYKJAVIK: Final = addressed(
    person("Dæmi", "Prufudóttir", "Prufugata 4", "101", "Reykjavík", "IS", phone="+3540000000")
)

_BLANKET: Final = item("BLANKET-01", "Wool blanket", 2, 49900)
_MUG: Final = item("MUG-04", "Stoneware mug", 4, 12900)
_LAMP: Final = item("LAMP-11", "Desk lamp", 1, 24900, 1900)
_CHAIR: Final = item("CHAIR-02", "Oak chair", 2, 18500, 1900)


def _seed(name: str, story: str, order_id: str, status: str, currency: str, country: str, **more: Any) -> Seed:
    days_old, hours_left = more.pop("days_old", 2), more.pop("hours_left", None)
    order = {
        "order_id": order_id,
        "status": status,
        "purchase_currency": currency,
        "purchase_country": country,
    }
    return Seed(name, story, order | more, days_old, hours_left)


AUTHORIZED: Final = (
    _seed(
        "authorized-sek",
        "Nothing captured yet: several items, a discount and a shipping fee. Good for trying a change of lines.",
        "c963cfe0-afae-2a3b-b909-6a04e7d80068",
        "AUTHORIZED",
        "SEK",
        "SE",
        order_lines=[
            _BLANKET,
            _MUG,
            item("CANDLE-2", "Beeswax candle", 1, 7900),
            discount(5000),
            shipping(4900),
        ],
        merchant_reference1="SE-20451",
        merchant_reference2="web-9931",
        **_STOCKHOLM,
    ),
    _seed(
        "documentation-tomatoes",
        "Ten kilos of tomatoes, like the sample in Kustom's documentation.",
        "7849fd84-47dc-4919-a7ce-5d9a8e3c41b7",
        "AUTHORIZED",
        "PLN",
        "PL",
        locale="pl-PL",
        order_lines=[
            item(
                "123050",
                "Tomatoes",
                10,
                600,
                quantity_unit="kg",
                total_amount=6000,
                total_discount_amount=0,
                total_tax_amount=1200,
            )
        ],
        merchant_reference1="15632423",
        merchant_reference2="special order",
        **_WARSAW,
    ),
    _seed(
        "authorized-jpy",
        "A currency without decimals: 4980 is 4,980 yen. Paid by card, so the amount cannot be raised.",
        "d96e5adf-a2be-6e31-ac8b-e7d742840d2b",
        "AUTHORIZED",
        "JPY",
        "JP",
        order_lines=[
            item("TEA-100", "Sencha tea 100 g", 3, 1280, 800),
            item("CUP-7", "Tea cup", 1, 640, 1000),
            shipping(500, 1000),
        ],
        initial_payment_method={"type": "CARD", "description": "Card **** 4242"},
        merchant_reference1="JP-300118",
        **_TOKYO,
    ),
    _seed(
        "expiring-soon-sek",
        "Authorized, but the authorization ends within a day. It may be extended.",
        "e7ca430e-92ac-4d42-83d2-3c0bdf43efb2",
        "AUTHORIZED",
        "SEK",
        "SE",
        order_lines=[item("TENT-3", "Tent for three", 1, 249900), shipping(9900)],
        merchant_reference1="SE-20102",
        days_old=27,
        hours_left=20,
        **_MALMO,
    ),
    _seed(
        "pending-fraud-gbp",
        "The risk check has not been finished: fraud_status is PENDING. Wait before capturing.",
        "fe6c2b03-6820-212c-9959-935406e82a01",
        "AUTHORIZED",
        "GBP",
        "GB",
        fraud_status="PENDING",
        order_lines=[item("WATCH-9", "Wrist watch", 1, 18900, 2000), shipping(500, 2000)],
        merchant_reference1="GB-77120",
    ),
)

PART_CAPTURED: Final = (
    _seed(
        "part-captured-eur",
        "The lamp has been sent and captured, the chairs wait. The rest can be captured or released.",
        "7972a36d-51b3-4a6c-a005-0ed31a6e72b9",
        "PART_CAPTURED",
        "EUR",
        "DE",
        order_lines=[_LAMP, _CHAIR, shipping(590, 1900, "Versand")],
        captures=[
            {
                "captured_amount": 24900,
                "description": "Desk lamp sent",
                "reference": "DE-5001-1",
                "order_lines": [_LAMP],
                "shipping_info": [
                    {
                        "shipping_company": "DHL DE",
                        "shipping_method": "Home",
                        "tracking_number": "00340000000000000001",
                        "tracking_uri": "https://tracking.example.com/00340000000000000001",
                    }
                ],
            }
        ],
        merchant_reference1="DE-5001",
        days_old=5,
        **_BERLIN,
    ),
    _seed(
        "two-captures-nok",
        "Six of ten pairs of socks sent in two captures, paid later by invoice.",
        "332726d0-356a-6152-a977-a41b730bed9c",
        "PART_CAPTURED",
        "NOK",
        "NO",
        order_lines=[item("SOCK-42", "Wool socks", 10, 14900)],
        captures=[
            {"captured_amount": 59600, "order_lines": [item("SOCK-42", "Wool socks", 4, 14900)]},
            {"captured_amount": 29800, "order_lines": [item("SOCK-42", "Wool socks", 2, 14900)]},
        ],
        merchant_reference1="NO-8830",
        days_old=4,
        **_OSLO,
    ),
)

_CAPTURED_LINES: Final = [
    item("TOWEL-1", "Linen towel", 1, 19900),
    item("SOAP-3", "Olive soap", 3, 4900),
    item("BASKET-2", "Laundry basket", 1, 39900),
    shipping(4900),
]

FINISHED: Final = (
    _seed(
        "captured-sek",
        "Sent and captured in full. Good for refunding one item by its line.",
        "55e7d67e-ae6a-64a9-a89c-5bc7a0187b4d",
        "CAPTURED",
        "SEK",
        "SE",
        order_lines=_CAPTURED_LINES,
        captures=[
            {"captured_amount": 79400, "description": "Your order is on its way", "order_lines": _CAPTURED_LINES}
        ],
        merchant_reference1="SE-19977",
        days_old=9,
        **_STOCKHOLM,
    ),
    _seed(
        "captured-isk",
        "Captured in full, in a currency that is used without decimals. Paid by card.",
        "8491cabe-a0af-6356-97bc-c74d6d683cf8",
        "CAPTURED",
        "ISK",
        "IS",
        order_lines=[item("SWEATER-5", "Wool sweater", 1, 24900, 2400)],
        initial_payment_method={"type": "CARD", "description": "Card **** 1881"},
        merchant_reference1="IS-411",
        days_old=7,
        **_REYKJAVIK,
    ),
    _seed(
        "partly-refunded-pln",
        "Captured in full; one of two kettles has come back and been refunded.",
        "92bde31c-34d2-4a16-94da-f46767a9b05c",
        "CAPTURED",
        "PLN",
        "PL",
        order_lines=[item("KETTLE-1", "Kettle", 2, 15900, 2300), shipping(1500, 2300)],
        refunds=[
            {
                "refunded_amount": 15900,
                "description": "Returned kettle",
                "reference": "RET-118",
                "order_lines": [item("KETTLE-1", "Kettle", 1, 15900, 2300)],
            }
        ],
        merchant_reference1="PL-60233",
        days_old=14,
        **_WARSAW,
    ),
    _seed(
        "cancelled-eur",
        "Cancelled before anything was captured. Nothing can be done with it any more.",
        "1570bc62-1832-b9e2-b3aa-391808fc2081",
        "CANCELLED",
        "EUR",
        "DE",
        order_lines=[_CHAIR, shipping(590, 1900, "Versand")],
        merchant_reference1="DE-4970",
        days_old=6,
        **_BERLIN,
    ),
    _seed(
        "expired-sek",
        "Never captured, and its authorization has run out.",
        "4891a61b-c3b1-6366-b185-2ac840e05299",
        "EXPIRED",
        "SEK",
        "SE",
        order_lines=[_BLANKET],
        merchant_reference1="SE-18804",
        days_old=31,
        **_MALMO,
    ),
    _seed(
        "closed-eur",
        "Captured, refunded in full and closed.",
        "9fbba638-29d1-24e4-81bc-858eb0b4362e",
        "CLOSED",
        "EUR",
        "DE",
        order_lines=[_LAMP],
        merchant_reference1="DE-4711",
        days_old=25,
        **_BERLIN,
    ),
)

USUAL: Final = AUTHORIZED + PART_CAPTURED + FINISHED
