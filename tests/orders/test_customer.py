"""Whose order it is: e-mail addresses and postal codes as people type them, against the order as Kustom has it."""

from __future__ import annotations

from typing import Any

import pytest

from kustom_mcp.api.models import Address, Order
from kustom_mcp.orders.customer import fits

ORDER: dict[str, Any] = {"order_id": "c963cfe0-afae-2a3b-b909-6a04e7d80068", "status": "AUTHORIZED"}


def order(billing: dict[str, Any] | None = None, shipping: dict[str, Any] | None = None) -> Order:
    addresses = {"billing_address": billing, "shipping_address": shipping}
    return Order.model_validate(ORDER | {name: address for name, address in addresses.items() if address is not None})


@pytest.mark.parametrize(
    ("stored", "typed"),
    [
        ("Anna@Example.com", "  anna@example.COM\n"),
        ("åsa@example.com", "A\u030aSA@example.com"),
        ("anna@example.com", "anna@\u200bexample.com"),
        ("STRASSE@example.com", "straße@example.com"),
        ("anna@xn--mller-kva.example", "anna@Müller.example"),
        ("anna+tag@example.com", "anna+tag@example.com"),
    ],
)
def test_an_email_fits_however_it_is_written(stored: str, typed: str) -> None:
    assert fits(order({"email": stored}), typed, None)
    assert fits(order({"email": "x@example.com"}, {"email": stored}), typed, None)


@pytest.mark.parametrize(
    "typed",
    [
        *("", " ", "@", "anna", "anna@", "@example.com", "anna@example.co", "ann@example.com", "an na@example.com"),
        *("anna@example.com,eva@example.com", "anna@example.com@", "*@example.com", "\ud800@example.com", "a" * 400),
    ],
)
def test_another_email_does_not_fit(typed: str) -> None:
    assert not fits(order({"email": "anna@example.com", "postal_code": "11122"}), typed, None)


@pytest.mark.parametrize(
    ("country", "stored", "typed"),
    [
        ("SE", "11122", "111 22"),
        ("SE", "111 22", "se-11122"),
        ("GB", "SW1A 1AA", "sw1a1aa"),
        ("NL", "1234 AB", " 1234ab "),
        ("PL", "00-950", "00950"),
        ("LV", "LV-1010", "1010"),
        ("DE", "10115", "１０１１５"),
        ("IS", "101", "101"),
        (None, "11122", "11122"),
    ],
)
def test_a_postal_code_fits_with_and_without_blanks(country: str | None, stored: str, typed: str) -> None:
    assert fits(order({"postal_code": stored, "country": country}), None, typed)


@pytest.mark.parametrize("typed", ["", "  ", "--", "11", "1112", "111223", "SE", "DE-11122", "%", "\ud800"])
def test_another_postal_code_does_not_fit(typed: str) -> None:
    assert not fits(order({"postal_code": "11122", "country": "SE"}), None, typed)


def test_nothing_fits_an_order_without_it_and_all_that_is_given_must_agree() -> None:
    without = [
        order(),
        order({}),
        order({"email": "", "postal_code": ""}),
        order({"email": "none", "postal_code": "-"}),
    ]
    assert not any(fits(each, email, code) for each in without for email in ("", "none") for code in (None, "", "-"))
    assert not any(fits(each, None, code) for each in without for code in (None, "", "-"))
    anna = order({"email": "anna@example.com", "postal_code": "11122"})
    tried = [("anna@example.com", "11122"), ("anna@example.com", "11123"), ("eva@example.com", "11122"), (None, None)]
    assert [fits(anna, *each) for each in tried] == [True, False, False, False]
    assert isinstance(anna.billing_address, Address)
