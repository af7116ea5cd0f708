"""The answers of Kustom's that public material leaves open, each a switch with the plausible answers.

The first value of a switch is the sandbox's own assumption; the others let a client be tried under another one
(`simulate --assume NAME=VALUE`, `POST /sandbox/assume`). Values are texts, since that is how they are given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Literal, get_args, get_type_hints

LATE: Final = re.compile(r"late:([0-9]{1,6}(?:\.[0-9]{1,3})?)")


def _switch(assumed: str, about: str) -> Any:
    return field(default=assumed, metadata={"about": about})


@dataclass(frozen=True, slots=True)
class Switches:
    """The value of each switch. A field is a switch, but for `max_body`."""

    keys: Literal["kept", "forgotten"] = _switch(
        "kept", "A repeat with the same idempotency key gets the first answer, or has its effect again."
    )
    entries: Literal["verbatim", "trimmed", "without_lines", "without_id", "reordered"] = _switch(
        "verbatim",
        "Captures and refunds are read back as they were sent; with blanks at the ends of texts removed; without their "
        "lines; without their ids; or newest first, with their lines in reverse.",
    )
    effect: str = _switch(
        "at_once", "A write is seen by the next read, or only by reads so many seconds after it (late:2.5)."
    )
    full_refund: Literal["CAPTURED", "CLOSED"] = _switch("CAPTURED", "The status of a captured order that is refunded.")
    release: Literal["CAPTURED", "CLOSED"] = _switch("CAPTURED", "The status after a release of the remainder.")
    part_captured_expiry: Literal["EXPIRED", "PART_CAPTURED"] = _switch(
        "EXPIRED", "The status of a part-captured order whose time has passed. Nothing remains either way."
    )
    line_sums: Literal["accepted", "refused"] = _switch(
        "accepted", "Order lines that do not add up to the amount of the request."
    )
    order_lines: Literal["required", "optional"] = _switch(
        "required", "A changed authorization without lines gets 400, or (Klarna) wipes the lines."
    )
    equal_amount: Literal["accepted", "refused"] = _switch(
        "accepted", "A changed authorization with the amount that the order has: 204, or 403 NOT_ALLOWED."
    )
    second_acknowledge: Literal["accepted", "refused"] = _switch(
        "accepted", "An order that is acknowledged already, acknowledged again: 204, or 403 NOT_ALLOWED."
    )
    shipments: Literal["appended", "once"] = _switch(
        "appended", "A shipment that is there already, added again: it is there twice, or once."
    )
    numbers: Literal["refused", "as_texts"] = _switch(
        "refused", "A number where a text belongs, such as merchant_reference1: 400, or taken as its digits."
    )
    return_fee_markets: Literal["15", "8"] = _switch(
        "15", "The countries with return fees: those of Kustom's page, or the eight of its WooCommerce plugin."
    )
    zero_return_fee: Literal["accepted", "refused"] = _switch(
        "accepted",
        "A return fee of 0 where several captures or a part would allow no fee, in a country with return fees.",
    )
    limits: Literal["400", "422"] = _switch(
        "400", "A body that breaks a limit: 400 INVALID_REQUEST_PARAMETERS or (Klarna) 422 UNPROCESSABLE_ENTITY."
    )
    malformed_order_id: Literal["404", "400"] = _switch(
        "404", "An order id without UUID shape: 404 NO_SUCH_ORDER or 400 INVALID_REQUEST_PARAMETERS."
    )
    transactions: Literal["positive", "signed"] = _switch(
        "positive", "Settlement transactions that reduce a payout have positive amounts, or negative ones."
    )
    max_body: int = 8 * 1024 * 1024
    """Largest request body in bytes; above it the answer is 413."""

    @property
    def late_by(self) -> float:
        """The seconds after which a write is seen by reads."""
        found = LATE.fullmatch(self.effect)
        return float(found[1]) if found else 0.0

    def assume(self, given: Mapping[str, str]) -> Switches:
        """Return a copy with these values. ValueError, with the possible values."""
        for name, value in given.items():
            if name not in VALUES:
                raise ValueError(f"there is no such assumption; there are {', '.join(VALUES)}")
            if not (LATE.fullmatch(value) or value == "at_once" if name == "effect" else value in VALUES[name]):
                raise ValueError(f"{name} is one of {', '.join(VALUES[name])}")
        changed: dict[str, Any] = dict(given)
        return replace(self, **changed)

    def values(self) -> dict[str, str]:
        """The value of each switch, by name."""
        return {name: getattr(self, name) for name in VALUES}


ABOUT: Final[Mapping[str, str]] = {
    each.name: each.metadata["about"] for each in fields(Switches) if "about" in each.metadata
}
"""By switch: what it decides, in a sentence."""

_HINTS: Final = get_type_hints(Switches)
VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    name: get_args(_HINTS[name]) or ("at_once", "late:SECONDS") for name in ABOUT
}
"""By switch: the values that it takes, the assumed one first."""
