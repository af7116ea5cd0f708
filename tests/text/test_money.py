"""Amounts in minor units: how they read, what converts exactly, and what limits them."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kustom_mcp.money import Ceilings, exponent, minor, plain, show, tax_of

CURRENCIES = ["SEK", "EUR", "PLN", "JPY", "ISK", "KWD", "TND", "CLF"]
amounts = st.integers(-(10**12), 10**12)
currencies = st.sampled_from(CURRENCIES)


@pytest.mark.parametrize(
    ("currency", "digits"),
    [
        ("JPY", 0),
        ("isk", 0),
        ("KRW", 0),
        ("CLP", 0),
        ("KWD", 3),
        ("bhd", 3),
        ("OMR", 3),
        ("SEK", 2),
        ("CLF", 4),
        ("", 2),
    ],
)
def test_a_currency_has_the_digits_of_iso_4217(currency: str, digits: int) -> None:
    assert exponent(currency) == digits


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (100000, "SEK", "1,000.00 SEK"),
        (-500, "EUR", "-5.00 EUR"),
        (-5, "eur", "-0.05 EUR"),
        (1500, "JPY", "1,500 JPY"),
        (1500, "KWD", "1.500 KWD"),
        (0, "SEK", "0.00 SEK"),
        (1500, "", "1,500 minor units"),
        (1500, "SEK, pay now", "1,500 minor units"),
        (1500, "S1K", "1,500 minor units"),
        (1500, "ＳＥＫ", "1,500 minor units"),
    ],
)
def test_an_amount_reads_in_major_units(amount: int, currency: str, text: str) -> None:
    assert show(amount, currency) == text


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (19900, "SEK", "199.00SEK"),
        (123456789, "sek", "1234567.89SEK"),
        (-500, "EUR", "-5.00EUR"),
        (1500, "JPY", "1500JPY"),
        (1500, "", "1500minor"),
    ],
)
def test_the_head_of_a_code_has_no_separators(amount: int, currency: str, text: str) -> None:
    assert plain(amount, currency) == text


@pytest.mark.parametrize(
    ("major", "currency", "expected"),
    [
        ("99.90", "SEK", 9990),
        ("99.9000", "SEK", 9990),
        ("99.901", "SEK", None),
        ("-99.9", "SEK", -9990),
        ("100", "SEK", 10000),
        ("1E+2", "SEK", 10000),
        ("0", "SEK", 0),
        ("0.0000", "SEK", 0),
        ("0.001", "SEK", None),
        ("0E+999999", "SEK", None),
        ("1500.5", "JPY", None),
        ("1.555", "KWD", 1555),
        ("99.90", "", None),
        ("NaN", "SEK", None),
        ("Infinity", "SEK", None),
        ("1E+999999999", "SEK", None),
        ("1E-999999999", "SEK", None),
    ],
)
def test_major_units_convert_only_when_exact(major: str, currency: str, expected: int | None) -> None:
    assert minor(Decimal(major), currency) == expected


@settings(max_examples=60, deadline=None)
@given(amounts, currencies)
def test_what_is_shown_converts_back(amount: int, currency: str) -> None:
    assert show(amount, currency).replace(",", "").replace(" ", "") == plain(amount, currency)
    assert minor(Decimal(plain(amount, currency).removesuffix(currency)), currency) == amount


@pytest.mark.parametrize(("total", "rate", "tax"), [(10000, 2500, 2000), (200, 0, 0), (3, 10000, 2), (-3, 10000, -2)])
def test_tax_is_rounded_half_away_from_zero(total: int, rate: int, tax: int) -> None:
    assert tax_of(total, rate) == tax


@settings(max_examples=60, deadline=None)
@given(amounts, st.integers(0, 100_000))
def test_tax_is_within_half_a_unit_of_the_rule(total: int, rate: int) -> None:
    exact = total - Fraction(total * 10000, 10000 + rate)
    assert abs(tax_of(total, rate) - exact) <= Fraction(1, 2)
    assert tax_of(-total, rate) == -tax_of(total, rate)


def test_a_negative_tax_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        tax_of(100, -1)


def test_ceilings_limit_each_currency_and_all_others() -> None:
    ceilings = Ceilings.parse(" sek:500000, EUR : 50000,*:0")
    assert ceilings == Ceilings({"SEK": 500000, "EUR": 50000}, 0)
    assert [ceilings.limit(code) for code in ("SEK", "eur", "USD", "")] == [500000, 50000, 0, 0]


def test_a_currency_that_is_not_named_and_none_at_all_have_the_ceiling_0() -> None:
    assert [Ceilings.parse("SEK:500").limit(code) for code in ("SEK", "EUR", "")] == [500, 0, 0]
    assert [Ceilings.parse("SEK:500,*:9").limit(code) for code in ("SEK", "EUR", "")] == [500, 9, 0]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "Entry 1 must be a currency code"),
        ("500000", "Entry 1 must be a currency code"),
        ("SEK:1,", "Entry 2 must be a currency code"),
        ("SEK:1,SKE:5", "Entry 2 must be a currency code"),
        ("SEK:1,EUR=5", "Entry 2 must be a currency code"),
        ("SEK:-1", "The amount of entry 1 must be whole minor units"),
        ("SEK:", "The amount of entry 1 must be whole minor units"),
        ("SEK:99.90", "The amount of entry 1 must be whole minor units"),
        ("SEK:５", "The amount of entry 1 must be whole minor units"),
        ("SEK:1234567890123456789", "The amount of entry 1 must be whole minor units"),
        ("SEK:1,EUR:1,sek:2", "Entry 3 names a currency a second time"),
    ],
)
def test_a_wrong_ceiling_is_refused_with_its_place(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Ceilings.parse(text)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(currencies, st.integers(0, 10**15)), st.none() | st.integers(0, 10**15))
def test_ceilings_read_back_what_was_written(entries: dict[str, int], others: int | None) -> None:
    parts = [f"{code}:{amount}" for code, amount in entries.items()] + ([] if others is None else [f"*:{others}"])
    if parts:
        assert Ceilings.parse(",".join(parts)) == Ceilings(entries, others)
