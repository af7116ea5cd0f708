"""The proof that somebody is the customer of an order: its e-mail address, or its postal code.

Compared with the order as Kustom has it, and as people type: without case, without blanks, composed or decomposed. The
address of the bill and the address of the delivery are both the customer's.
"""

from __future__ import annotations

import contextlib
import unicodedata

from kustom_mcp.api.models import Address, Order
from kustom_mcp.text import clean

LONGEST = 320
"""Characters of an e-mail address, and of anything that is compared."""
SHORTEST_CODE = 3
"""Letters and digits of a postal code."""


def fits(order: Order, email: str | None, postal_code: str | None) -> bool:
    """Return whether all that is given agrees with the order; never where nothing is given."""
    addresses = [address for address in (order.billing_address, order.shipping_address) if address is not None]
    proofs = list[bool]()
    if email is not None:
        typed = normal_email(email)
        proofs.append(bool(typed) and any(normal_email(address.email or "") == typed for address in addresses))
    if postal_code is not None:
        proofs.append(any(_same_code(address, order.purchase_country, postal_code) for address in addresses))
    return bool(proofs) and all(proofs)


def normal_email(typed: str) -> str:
    """Return an e-mail address as it is compared; "" for a text that is none."""
    text = unicodedata.normalize("NFC", clean(typed, LONGEST).strip()).casefold()
    name, at, host = text.rpartition("@")
    if not name or not host or "@" in name or any(mark.isspace() for mark in text):
        return ""
    with contextlib.suppress(UnicodeError):  # else compared as it is written
        host = host.encode("idna").decode()
    return f"{name}{at}{host}"


def normal_code(typed: str) -> str:
    """Return a postal code as it is compared, letters and digits only; "" for one that is too short."""
    text = unicodedata.normalize("NFKC", typed[:LONGEST]).casefold()
    code = "".join(mark for mark in text if mark.isalnum())
    return code if len(code) >= SHORTEST_CODE else ""


def _same_code(address: Address, bought_in: str | None, typed: str) -> bool:
    """Return whether a postal code is that of an address. The code of the country may stand before it (SE-111 22)."""
    country = (address.country or bought_in or "").casefold()
    there, given = normal_code(address.postal_code or ""), normal_code(typed)

    def bare(code: str) -> str:
        rest = code.removeprefix(country)
        return rest if rest[:1].isdigit() and len(rest) >= SHORTEST_CODE else code

    return bool(there) and bool(given) and bare(there) == bare(given)
