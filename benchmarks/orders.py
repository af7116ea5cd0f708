"""The invented orders of the benchmarks, and how to ask for one: an order id says what the order is like.

The first group of an id is the number of its lines, in decimal digits; a second group of `cccc` means captured and
ready to be refunded, `aaaa` authorized. So the upstream needs no store, and any number of different orders exist.
"""

from __future__ import annotations

from typing import Any

UNIT, TAX = 9990, 1998


def order_id(lines: int, number: int = 0, *, captured: bool = False) -> str:
    """The id of an order with so many lines; `number` makes it a different one."""
    return f"{lines:08d}-{'cccc' if captured else 'aaaa'}-4000-8000-{number:012d}"


def order(asked: str, refunds: list[dict[str, Any]]) -> dict[str, Any]:
    """The order of an id, with the refunds that have been made."""
    count, captured = int(asked[:8]), asked[9:13] == "cccc"
    total = count * UNIT
    lines = [
        {
            "reference": f"SKU-{number:05d}",
            "type": "physical",
            "name": f"Example towel number {number}, blue",
            "quantity": 1,
            "quantity_unit": "pcs",
            "unit_price": UNIT,
            "tax_rate": 2500,
            "total_amount": UNIT,
            "total_discount_amount": 0,
            "total_tax_amount": TAX,
            "product_url": f"https://shop.example/products/{number}",
            "image_url": f"https://shop.example/images/{number}.jpg",
        }
        for number in range(1, count + 1)
    ]
    address = {
        "given_name": "Testperson",
        "family_name": "Exempel",
        "street_address": "Exempelgatan 1",
        "postal_code": "11122",
        "city": "Exempelstad",
        "country": "SE",
        "email": "testperson@example.com",
        "phone": "+46700000000",
    }
    taken = {
        "capture_id": "11111111-2222-4333-8444-555555555555",
        "klarna_reference": "EXAMPLE1-1",
        "captured_amount": total,
        "captured_at": "2026-11-21T09:00:00.000Z",
        "description": "All of it",
        "order_lines": lines,
        "refunded_amount": sum(refund["refunded_amount"] for refund in refunds),
        "billing_address": address,
        "shipping_address": address,
        "shipping_info": [],
    }
    return {
        "order_id": asked,
        "status": "CAPTURED" if captured else "AUTHORIZED",
        "fraud_status": "ACCEPTED",
        "order_amount": total,
        "original_order_amount": total,
        "captured_amount": total if captured else 0,
        "refunded_amount": taken["refunded_amount"],
        "remaining_authorized_amount": 0 if captured else total,
        "purchase_currency": "SEK",
        "purchase_country": "SE",
        "locale": "sv-SE",
        "order_lines": lines,
        "merchant_reference1": "EXAMPLE-1001",
        "merchant_reference2": "",
        "klarna_reference": "EXAMPLE1",
        "customer": {"date_of_birth": "1970-01-01"},
        "billing_address": address,
        "shipping_address": address,
        "created_at": "2026-11-20T09:00:00.000Z",
        "expires_at": "2099-12-20T09:00:00.000Z",
        "captures": [taken] if captured else [],
        "refunds": refunds,
        "merchant_data": "",
        "initial_payment_method": {"type": "INVOICE", "description": "Invoice"},
        "shipping_info": [],
    }
