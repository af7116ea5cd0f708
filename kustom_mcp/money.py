"""Money as the API has it, an `int` of minor units plus a currency, and the text, ceilings and tax made from it.

No float ever touches an amount, and a currency that is not three letters is never guessed at: its amount is shown in
minor units. Ceilings accept only codes that exist, because a typing error there would switch a protection off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

# ISO 4217: the codes in use and some that were just retired, by the digits after the decimal point.
_DIGITS: dict[int, str] = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY "
    "COP CRC CUC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HRK HTG HUF "
    "IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK "
    "MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE "
    "SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR "
    "ZMW ZWG ZWL",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_EXPONENTS: dict[str, int] = {code: digits for digits, codes in _DIGITS.items() for code in codes.split()}
_LONGEST = 18  # digits of an amount; Kustom's own limit has 9


def exponent(currency: str) -> int:
    """Digits after the decimal point (ISO 4217), whatever the letters' case; 2 for a currency that is not listed."""
    return _EXPONENTS.get(currency.upper(), 2)


def show(amount: int, currency: str) -> str:
    """`amount` minor units for a person: "1,000.00 SEK"; "1,000 minor units" when `currency` is not three letters."""
    code = _code(currency)
    return f"{_major(amount, exponent(code), ',')} {code}" if code else f"{amount:,} minor units"


def plain(amount: int, currency: str) -> str:
    """`amount` minor units as one word, for the head of a code: "1000.00SEK"; "100000minor" without a currency."""
    code = _code(currency)
    return f"{_major(amount, exponent(code), '')}{code}" if code else f"{amount}minor"


def minor(major: Decimal, currency: str) -> int | None:
    """Minor units of an amount in major units (99.90 SEK is 9990).

    None when the amount has more decimals than the currency, is not finite or longer than 18 digits, or when the
    currency is not three letters. The arithmetic is exact.
    """
    if not _code(currency) or not major.is_finite() or major.adjusted() > _LONGEST:
        return None
    sign, digits, power = major.as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    shift = int(power) + exponent(currency)
    if shift < 0:
        kept, lost = text[:shift], text[shift:]
        if lost.strip("0"):
            return None
        text, shift = kept, 0
    value = int(text) * 10**shift if text else 0
    return -value if sign else value


def tax_of(total: int, tax_rate: int) -> int:
    """The tax inside `total` minor units: total - total x 10000 / (10000 + tax_rate), half a unit away from zero.

    `tax_rate` is percent times 100 (2500 is 25 %), at least 0: ValueError otherwise. The rule is Kustom's (K).
    """
    if tax_rate < 0:
        raise ValueError("A tax rate cannot be negative.")
    divisor = 10000 + tax_rate
    tax = (2 * abs(total) * tax_rate + divisor) // (2 * divisor)
    return -tax if total < 0 else tax


@dataclass(frozen=True, slots=True)
class Ceilings:
    """The highest amount by currency, in minor units. `others`: of each currency without an entry, None for nothing."""

    by_currency: Mapping[str, int] = field(default_factory=dict[str, int])
    others: int | None = None

    @classmethod
    def parse(cls, text: str) -> Ceilings:
        """Read `SEK:500000,EUR:50000,*:0`, where `*` is every other currency. ValueError says which entry is wrong."""
        found: dict[str, int] = {}
        for number, entry in enumerate(text.split(","), start=1):
            name, colon, amount = (part.strip() for part in entry.partition(":"))
            code = name.upper()
            if not colon or (code != "*" and code not in _EXPONENTS):
                raise ValueError(
                    f"Entry {number} must be a currency code or *, a colon and an amount, like SEK:500000."
                )
            if not (amount.isascii() and amount.isdigit() and len(amount) <= _LONGEST):
                raise ValueError(
                    f"The amount of entry {number} must be whole minor units, like 500000 for 5,000.00 SEK."
                )
            if code in found:
                raise ValueError(f"Entry {number} names a currency a second time.")
            found[code] = int(amount)
        others = found.pop("*", None)
        return cls(found, others)

    def within(self, other: Ceilings) -> Ceilings:
        """The lower of both for each currency."""
        named = {*self.by_currency, *other.by_currency}
        lower = {currency: min(self.limit(currency), other.limit(currency)) for currency in sorted(named)}
        return Ceilings(
            lower, None if None in (self.others, other.others) else min(self.others or 0, other.others or 0)
        )

    def limit(self, currency: str) -> int:
        """The ceiling for `currency` in minor units: 0 for one that is not named, and for none at all."""
        return self.by_currency.get(currency.upper(), self.others or 0) if currency else 0


def _code(currency: str) -> str:
    return currency.upper() if len(currency) == 3 and currency.isascii() and currency.isalpha() else ""


def _major(amount: int, digits: int, separator: str) -> str:
    whole, rest = divmod(abs(amount), 10**digits)
    sign = "-" if amount < 0 else ""
    number = f"{whole:,}".replace(",", separator)
    return f"{sign}{number}.{rest:0{digits}d}" if digits else f"{sign}{number}"
