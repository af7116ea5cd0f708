"""Order, capture and refund ids as people and models give them, held to their shape before any request exists.

A near miss is answered precisely, because a model repairs `the last group has 11 characters, 12 expected` and cannot
repair `invalid`. Nothing here ever repeats the value.
"""

from __future__ import annotations

import re

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_PORTAL = re.compile(
    r"https://portal(?:\.playground)?\.kustom\.co/orders/list/"
    r"([0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})/?(?:\?merchantId=[0-9A-Za-z_-]{1,64})?"
)
_ENTRY = re.compile(r"[0-9A-Za-z-]{1,64}")
_REFERENCE = re.compile(r"[0-9A-Za-z#][0-9A-Za-z #_./-]{0,31}")
_GROUPS = (8, 4, 4, 4, 12)
_ORDINALS = ("first", "second", "third", "fourth", "last")

HOW_TO_FIND = (
    "Kustom itself finds an order by its order id only: copy the id, or the link, of the order in the Kustom portal, "
    "or look it up in the shop's own order page"
)


ASK_FOR = (
    "Ask for the order number, the order id or the link to the order in the Kustom portal, where people find it by an "
    "e-mail address"
)
"""The advice for an e-mail address."""


class IdentifierError(ValueError):
    """The value is not an id. The text is a sentence about the mistake, without the value."""


def order_id(value: str) -> str:
    """Return an order id in lower case, from an id or from a Kustom portal link to an order. IdentifierError
    otherwise."""
    link = _PORTAL.fullmatch(value)
    candidate = (link[1] if link else value).lower()
    if _UUID.fullmatch(candidate):
        return candidate
    raise IdentifierError(_what_is_wrong(value))


def entry_id(value: str) -> str:
    """Check a capture id or a refund id: 1 to 64 letters, digits and hyphens. IdentifierError otherwise."""
    if _ENTRY.fullmatch(value):
        return value
    raise IdentifierError("it must be 1 to 64 letters, digits and hyphens, as the order has it")


def _what_is_wrong(value: str) -> str:
    if not value.strip():
        return "it is empty: an order id has 5 groups between hyphens (8-4-4-4-12 characters)"
    if value != value.strip():
        return "it has white space before or after it"
    if "@" in value and "://" not in value:
        return f"this looks like an e-mail address, and no order can be found by one here. {ASK_FOR}"
    if "://" in value:
        return "of links, only a Kustom portal link that leads to one order is taken; send the order id itself"
    groups = value.split("-")
    looks_like_uuid = len(groups) == len(_GROUPS) or len(value) in (32, 36)
    if not looks_like_uuid and _REFERENCE.fullmatch(value):
        return f"this looks like a merchant reference or an order number of the shop. {HOW_TO_FIND}"
    if not value.isascii():
        return "it has characters that are not plain ASCII letters and digits"
    return _which_group(groups)


def _which_group(groups: list[str]) -> str:
    if len(groups) != len(_GROUPS):
        count = "1 group" if len(groups) == 1 else f"{len(groups)} groups"
        return f"it has {count} between hyphens, 5 expected (8-4-4-4-12 characters)"
    for ordinal, group, length in zip(_ORDINALS, groups, _GROUPS, strict=True):
        if len(group) != length:
            return f"the {ordinal} group has {len(group)} characters, {length} expected"
        if not re.fullmatch(r"[0-9A-Fa-f]*", group):
            return f"the {ordinal} group has a character other than 0-9 and a-f"
    return "it is not an order id"  # pragma: no cover - every group fitting means that the whole did
