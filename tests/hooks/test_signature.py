"""Whether a webhook is signed: any body, both encodings, two secrets, and what only looks like a signature."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kustom_mcp.hooks.signature import Encoding, signed

NEW, OLD, OTHERS = "the-new-secret-0123", "the-old-secret-0123", "somebody-elses-secret"
BODY = b'{"type":"order.created"}'


def made(body: bytes, secret: str, encoding: Encoding = "hex") -> str:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    return digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()


@given(st.binary(max_size=300), st.sampled_from(["hex", "base64"]), st.sampled_from([NEW, OLD]))
def test_what_was_signed_with_either_secret_is_signed_in_any_usual_form(
    body: bytes, encoding: Encoding, secret: str
) -> None:
    good = made(body, secret, encoding)
    safe = good.replace("+", "-").replace("/", "_").rstrip("=") if encoding == "base64" else good.upper()
    bad = made(body, OTHERS, encoding)
    for given_ in ([good], [f"sha256={good}"], [f"v1={safe}"], [f" {good} "], [f"{bad},{good}"], [bad, good]):
        assert signed(body, given_, [NEW, OLD], encoding)


@given(st.binary(min_size=1, max_size=100), st.integers(0, 10**6), st.sampled_from(["hex", "base64"]))
def test_a_body_that_differs_by_one_bit_is_not_signed(body: bytes, place: int, encoding: Encoding) -> None:
    index, bit = divmod(place % (8 * len(body)), 8)
    other = body[:index] + bytes([body[index] ^ 1 << bit]) + body[index + 1 :]
    assert not signed(other, [made(body, NEW, encoding)], [NEW], encoding)


GOOD = made(BODY, NEW)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [""],
        ["sha256="],
        [GOOD[:-1]],
        [GOOD + "0"],
        [GOOD[:-1] + "g"],
        [f"sha256=={GOOD}"],
        [made(BODY, OTHERS)],
        [made(BODY, NEW, "base64")],
        [",".join([made(BODY, OTHERS)] * 4 + [GOOD])],
        ["\u0660" * 64],
    ],
    ids=repr,
)
def test_anything_else_is_no_signature(headers: list[str]) -> None:
    assert signed(BODY, [GOOD], [NEW], "hex")
    assert not signed(BODY, headers, [NEW], "hex")


def test_without_a_secret_nothing_is_signed() -> None:
    assert not signed(BODY, [GOOD], [], "hex")
