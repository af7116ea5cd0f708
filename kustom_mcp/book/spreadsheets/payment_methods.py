"""Rows of orders that were paid in another way than through Kustom, as exports of shops with several ways have them.

A row is one only if a column of payment methods says so: it names a provider of PROVIDERS, or what the operator has
named. A method that stands beside an order id anywhere in the file is doubted, and so is a row that names Kustom or
Klarna beside the other one: an order of Kustom must not be passed over as somebody else's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from kustom_mcp.text import letters_and_digits

_HEADERS = frozenset(
    {
        *("paymentmethod", "paymentmethodtitle", "paymentmethodcode", "paymentmethodname", "paymentmethodid"),
        *("paymentgateway", "paymentgatewayname", "paymentprovider", "gateway", "method"),
        *("betalningsmetod", "betalsatt", "betalsätt", "betalningssätt", "betalingsmetode", "betalingsmåte"),
        *("betalingsmåde", "maksutapa", "zahlungsart", "zahlungsmethode", "zahlungsweise", "betaalmethode"),
        *("betaalwijze", "modedepaiement", "moyendepaiement", "métododepago", "metodopago", "metododipagamento"),
    }
)
PROVIDERS = (
    *("paypal", "stripe", "adyen", "braintree", "mollie", "nets", "nexi", "dibs", "payex", "swedbankpay", "svea"),
    *("qliro", "walley", "collector", "resurs", "ledyer", "billmate", "avarda", "payson", "bambora", "worldline"),
    *("worldpay", "quickpay", "reepay", "frisbii", "onpay", "pensopay", "sumup", "izettle", "zettle", "zaver"),
    *("riverty", "afterpay", "clearpay", "affirm", "sezzle", "ratepay", "billie", "mondu", "unzer", "saferpay"),
    *("datatrans", "computop", "authorizenet", "cybersource", "shopifypayments", "amazonpay", "square"),
    *("checkmo", "cheque", "bacs", "bankdeposit", "cashondelivery"),
    *("purchaseorder", "moneyorder", "giftcard", "presentkort", "storecredit", "nachnahme", "vorkasse"),
)
"""Beginnings of names of methods that are never Kustom's. None that Kustom Checkout itself offers, such as cards
and bank transfers."""
_EXACTLY = frozenset({"manual", "cod", "cash", "check", "free", "bogus"})
_KUSTOMS = ("kustom", "klarna", "kco")
_BETWEEN = re.compile(r"[+,/;&|\n]")


@dataclass(frozen=True)
class OtherMethods:
    """The payment methods of a file that are not Kustom's.

    `places`: the columns of methods. `named`: methods, as letters and digits, that the operator says are not Kustom's.
    """

    places: tuple[int, ...] = ()
    named: frozenset[str] = frozenset()
    _beside: set[tuple[int, str]] = field(default_factory=set[tuple[int, str]])

    @classmethod
    def of(cls, headers: Sequence[str], named: Iterable[str]) -> OtherMethods:
        """Find the columns of methods by their headers."""
        places = tuple(place for place, cell in enumerate(headers) if letters_and_digits(cell) in _HEADERS)
        return cls(places, frozenset(map(letters_and_digits, named)))

    def beside_id(self, cells: Sequence[str]) -> None:
        """Note a row that has an order id: its methods are not surely others."""
        self._beside.update((place, method) for place, method in self._methods(cells))

    def has(self, cells: Sequence[str]) -> bool:
        """Return whether a row is of another method than Kustom's."""
        if not self.places:
            return False
        methods = self._methods(cells)
        if self.named.intersection(method for _, method in methods) or (not methods and "" in self.named):
            return True
        if any(kustoms in method for _, method in methods for kustoms in _KUSTOMS):
            return False
        return any(
            (place, method) not in self._beside and all(map(_is_other, _parts(cells[place])))
            for place, method in methods
        )

    def _methods(self, cells: Sequence[str]) -> list[tuple[int, str]]:
        """Return the methods of a row with their places, without empty ones."""
        found = [(place, letters_and_digits(cells[place])) for place in self.places if place < len(cells)]
        return [(place, method) for place, method in found if method]


def _parts(cell: str) -> list[str]:
    return [part for part in map(letters_and_digits, _BETWEEN.split(cell)) if part]


def _is_other(part: str) -> bool:
    return part in _EXACTLY or part.startswith(PROVIDERS)
