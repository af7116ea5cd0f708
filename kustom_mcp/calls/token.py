"""Confirmation tokens: sealed codes, and the claims that bind one approval to what a person saw.

A code is `head.tail`. The head is for people: a host's own approval dialog shows the arguments of a call, so the
operation, the amount and the order must be readable in it. The tail holds `TokenClaims`, packed and sealed with
AES-GCM; the head is authenticated with it. Packed binary, because the same facts as JSON would not fit into 240
characters.

The claims pin the arguments, the order's state before, its state afterwards, and the idempotency key. They are digests
and amounts only: no personal data, and no secret.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MAX_LENGTH = 240
STATUSES: tuple[str, ...] = ("", "AUTHORIZED", "PART_CAPTURED", "CAPTURED", "CANCELLED", "EXPIRED", "CLOSED")
NO_TRACE = bytes(16)
"""The `after` of an operation whose effect cannot be read anywhere."""

_VERSION = 2
_WITHOUT_ENTRIES = 1
"""The version before, whose codes are still good where they resolve a write in doubt."""
_NONCE = 12
_FIXED = struct.Struct(">BBIB16s16s16s16s")


class Purpose(IntEnum):
    """The use that a token is for. A token for one purpose is refused for another."""

    CODE = 0
    FORM = 1
    RESOLVE = 2
    CARD = 3


class TokenError(Exception):
    """The text is no code of this server: altered, foreign, cut, or simply `true`."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Status and amounts before, so that a later difference can be named and not only noticed. Minor units."""

    status: str
    order_amount: int
    captured_amount: int
    refunded_amount: int
    remaining_authorized_amount: int


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """One approval. `arguments`, `before`, `after`: digests of the call and of the order; `expires`: unix seconds."""

    purpose: Purpose
    expires: int
    key: UUID
    arguments: bytes
    before: bytes
    after: bytes
    figures: Figures
    amount: int = 0
    """The amount of the capture or refund, in minor units; 0 for every other operation."""
    alike: int = 0
    """The number of entries on the order that looked like this one before it was made."""


def digest(facts: Any) -> bytes:
    """A digest of 16 bytes of a JSON value; the same value gives the same bytes in every process."""
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()[:16]


def intent_key(*facts: Any, salt: bytes) -> UUID:
    """The idempotency key of an intent: plain SHA-256, no secret and no caller, so that colleagues and replicas
    agree."""
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return UUID(bytes=hashlib.sha256(text.encode() + b"\x00" + salt).digest()[:16], version=4)


def derive(secret: bytes, label: str) -> bytes:
    """A 32-byte key for one purpose from an operator's secret."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"kustom-mcp/" + label.encode()).derive(secret)


class TokenSealer:
    """The sealing of claims and the opening of codes. `secrets` newest first: the first seals, each opens.
    `bound_to`: the account."""

    def __init__(self, secrets: Sequence[bytes], *, bound_to: str) -> None:
        self._ring = [AESGCM(derive(secret, "confirmation")) for secret in secrets]
        self._records = [AESGCM(derive(secret, "intent")) for secret in secrets]
        self._bound_to = bound_to.encode()

    def seal(self, head: str, claims: TokenClaims, *, caller: str) -> str:
        """Seal claims as a code of at most 240 characters."""
        nonce = os.urandom(_NONCE)
        sealed = self._ring[0].encrypt(nonce, _pack(claims), self._context(head, caller))
        return f"{head}.{base64.urlsafe_b64encode(nonce + sealed).decode().rstrip('=')}"

    def open(self, code: str, *, caller: str) -> TokenClaims:
        """Open a code. TokenError when it was not sealed by this ring, for this caller, under this head."""
        head, dot, tail = code.rpartition(".")
        if not dot or len(code) > MAX_LENGTH or not code.isascii():
            raise TokenError
        try:
            raw = base64.b64decode(tail + "=" * (-len(tail) % 4), altchars=b"-_", validate=True)
        except ValueError:
            raise TokenError from None
        if base64.urlsafe_b64encode(raw).decode().rstrip("=") != tail:
            raise TokenError
        for key in self._ring:
            try:
                return _unpack(key.decrypt(raw[:_NONCE], raw[_NONCE:], self._context(head, caller)))
            except (InvalidTag, ValueError):
                continue
        raise TokenError

    def seal_text(self, text: str, *, about: str) -> str:
        """Seal a text for the store. `about`: what it belongs to."""
        nonce = os.urandom(_NONCE)
        sealed = self._records[0].encrypt(nonce, text.encode("utf-8", "surrogatepass"), self._context(about, ""))
        return base64.b64encode(nonce + sealed).decode()

    def open_text(self, sealed: str, *, about: str) -> str:
        """Open a text of the store. TokenError when it was not sealed by this ring, about this."""
        try:
            raw = base64.b64decode(sealed, validate=True)
        except ValueError:
            raise TokenError from None
        for key in self._records:
            with contextlib.suppress(InvalidTag, ValueError):
                return key.decrypt(raw[:_NONCE], raw[_NONCE:], self._context(about, "")).decode(
                    "utf-8", "surrogatepass"
                )
        raise TokenError

    def _context(self, head: str, caller: str) -> bytes:
        return b"\x00".join((head.encode(), self._bound_to, caller.encode("utf-8", "surrogatepass")))


def _pack(claims: TokenClaims) -> bytes:
    figures = claims.figures
    status = STATUSES.index(figures.status) if figures.status in STATUSES else 0
    fixed = _FIXED.pack(
        _VERSION,
        claims.purpose,
        claims.expires,
        status,
        claims.key.bytes,
        claims.arguments,
        claims.before,
        claims.after,
    )
    return fixed + b"".join(
        _varint(amount)
        for amount in (
            figures.order_amount,
            figures.captured_amount,
            figures.refunded_amount,
            figures.remaining_authorized_amount,
            claims.amount,
            claims.alike,
        )
    )


def _unpack(packed: bytes) -> TokenClaims:
    if packed[:1] not in (bytes([_VERSION]), bytes([_WITHOUT_ENTRIES])):
        raise TokenError  # another release may pack other things, in another length
    status: int
    _, purpose, expires, status, key, arguments, before, after = _FIXED.unpack_from(packed)
    amounts: list[int] = []
    at = _FIXED.size
    for _ in range(4 if packed[0] == _WITHOUT_ENTRIES else 6):
        amount, at = _read_varint(packed, at)
        amounts.append(amount)
    figures = Figures(STATUSES[status], *amounts[:4])
    return TokenClaims(Purpose(purpose), expires, UUID(bytes=key), arguments, before, after, figures, *amounts[4:])


def _varint(number: int) -> bytes:
    """Zigzag varint: amounts are small, and a negative one must not fail."""
    rest = number << 1 if number >= 0 else (-number << 1) - 1
    out = bytearray()
    while rest > 0x7F:
        out.append(0x80 | rest & 0x7F)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def _read_varint(packed: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = packed[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return (value >> 1 if not value & 1 else -((value + 1) >> 1)), at
