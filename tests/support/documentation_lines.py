"""An order line as Kustom's documentation prints it."""

from typing import Any

TOMATOES: dict[str, Any] = {
    "type": "physical",
    "reference": "123050",
    "name": "Tomatoes",
    "quantity": 10,
    "quantity_unit": "kg",
    "tax_rate": 2500,
}
"""Without prices."""
