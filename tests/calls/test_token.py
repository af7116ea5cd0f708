"""Codes and keys alone: what is sealed comes back, for the same ring, caller and head, and for nobody else."""

from __future__ import annotations

import base64
import string
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as some

from kustom_mcp.calls.token import (
    MAX_LENGTH,
    STATUSES,
    Figures,
    Purpose,
    TokenClaims,
    TokenError,
    TokenSealer,
    derive,
    digest,
    intent_key,
)

SECRET = b"an invented secret of at least 32 bytes"
OTHER = b"another secret of 32 bytes and some more"
BOX = TokenSealer([SECRET], bound_to="sandbox\x00M100")
HEAD = "refund-199.00SEK-7849fd84"

sixteen = some.binary(min_size=16, max_size=16)
amounts = some.integers(-(2**63), 2**63)
pledges = some.builds(
    TokenClaims,
    some.sampled_from(Purpose),
    some.integers(0, 2**32 - 1),
    some.uuids(version=4),
    sixteen,
    sixteen,
    sixteen,
    some.builds(Figures, some.sampled_from(STATUSES), amounts, amounts, amounts, amounts),
)
FIGURES = Figures("CAPTURED", 1, 2, 3, 4)
PLEDGE = TokenClaims(Purpose.CODE, 1_800_000_000, UUID(int=4), b"a" * 16, b"b" * 16, b"c" * 16, FIGURES)
values: Any = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(max_size=5),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
brief = settings(deadline=None, max_examples=60)


@given(pledges, some.text(max_size=10))
@brief
def test_what_is_sealed_is_opened(pledge: TokenClaims, caller: str) -> None:
    code = BOX.seal(HEAD, pledge, caller=caller)
    assert BOX.open(code, caller=caller) == pledge
    assert len(code) <= MAX_LENGTH


@given(pledges, some.text(string.printable, min_size=0, max_size=250), some.data())
@brief
def test_nothing_else_is_opened(pledge: TokenClaims, text: str, data: some.DataObject) -> None:
    code = BOX.seal(HEAD, pledge, caller="a")
    at = data.draw(some.integers(0, len(code) - 1))
    other = data.draw(some.sampled_from(string.ascii_letters + string.digits + "-_.=")) if at else "R"
    altered = code[:at] + other + code[at + 1 :]
    for wrong in {text, altered, code[:at], code[at + 1 :], code + other} - {code}:
        with pytest.raises(TokenError):
            BOX.open(wrong, caller="a")


@pytest.mark.parametrize(
    ("box", "caller"),
    [
        (TokenSealer([OTHER], bound_to="sandbox\x00M100"), "a"),
        (TokenSealer([SECRET], bound_to="sandbox\x00M200"), "a"),
        (TokenSealer([SECRET], bound_to="production\x00M100"), "a"),
        (BOX, "b"),
        (BOX, ""),
    ],
    ids=["ring", "merchant", "environment", "caller", "nobody"],
)
def test_a_code_is_bound_to_ring_merchant_environment_and_caller(box: TokenSealer, caller: str) -> None:
    code = BOX.seal(HEAD, PLEDGE, caller="a")
    with pytest.raises(TokenError):
        box.open(code, caller=caller)


def test_the_newest_key_seals_and_every_key_opens() -> None:
    ring = TokenSealer([OTHER, SECRET], bound_to="sandbox\x00M100")
    assert ring.open(BOX.seal(HEAD, PLEDGE, caller="a"), caller="a") == PLEDGE
    with pytest.raises(TokenError):
        BOX.open(ring.seal(HEAD, PLEDGE, caller="a"), caller="a")


def test_a_status_that_is_not_known_is_left_out() -> None:
    odd = replace(PLEDGE, figures=Figures("ODD", 1, 2, 3, 4))
    assert BOX.open(BOX.seal(HEAD, odd, caller="a"), caller="a").figures == Figures("", 1, 2, 3, 4)


def test_a_caller_with_a_broken_name_is_a_caller() -> None:
    assert BOX.open(BOX.seal(HEAD, PLEDGE, caller="\udcff"), caller="\udcff") == PLEDGE


def test_a_code_of_another_version_is_no_code() -> None:
    """A code of an older release, sealed with the same ring: a first byte that this one does not know."""
    key = AESGCM(derive(SECRET, "confirmation"))
    context = b"\x00".join((HEAD.encode(), b"sandbox\x00M100", b"a"))
    for packed in (b"\x63" + bytes(80), b"short", b""):
        tail = base64.urlsafe_b64encode(bytes(12) + key.encrypt(bytes(12), packed, context)).decode().rstrip("=")
        with pytest.raises(TokenError):
            BOX.open(f"{HEAD}.{tail}", caller="a")


@given(values)
@brief
def test_a_digest_is_sixteen_bytes_and_the_same_for_the_same_value(value: Any) -> None:
    assert len(digest(value)) == 16
    assert digest({"a": value, "b": 1}) == digest({"b": 1, "a": value})


def test_keys_differ_by_every_fact_and_by_salt_and_are_plain_uuids() -> None:
    """The vectors pin the recipe: replicas of different releases must agree on it."""
    keys = [
        intent_key("sandbox", "M1", "t", {"order_id": "o"}, None, [1], salt=b""),
        intent_key("sandbox", "M1", "t", {"order_id": "o"}, None, [2], salt=b""),
        intent_key("sandbox", "M1", "t", {"order_id": "p"}, None, [1], salt=b""),
        intent_key("sandbox", "M2", "t", {"order_id": "o"}, None, [1], salt=b""),
        intent_key("sandbox", "M1", "t", {"order_id": "o"}, None, [1], salt=b"s"),
    ]
    assert len(set(keys)) == len(keys)
    assert {key.version for key in keys} == {4}
    assert keys[0] == intent_key("sandbox", "M1", "t", {"order_id": "o"}, None, [1], salt=b"")
    assert str(intent_key("a", salt=b"")) == "13a718d4-cf26-4e87-9c1c-f8fe89e4281d"


def test_a_secret_gives_another_key_for_each_purpose() -> None:
    assert len({derive(SECRET, "confirmation"), derive(SECRET, "request-state"), derive(OTHER, "confirmation")}) == 3
    assert len(derive(SECRET, "confirmation")) == 32


def test_a_pledge_made_for_one_purpose_is_never_taken_for_another() -> None:
    assert len(Purpose) == len(Purpose.__members__) == 4
