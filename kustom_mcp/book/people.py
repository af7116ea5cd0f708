"""People of orders as keyed digests, so that an order is found by an e-mail address, a phone, or a name with its
postal code.

A digest is 64 bits of an HMAC-SHA256 with a random key of the account. The key stands apart from the book: in a folder
of its own in the state directory, or in a table of its own in the database of KUSTOM_STORE. A copy of the book alone
tells nobody's address; with the key one can try addresses, so digests are personal data all the same.

Texts are compared as people write them: an e-mail address without case, a phone in E.164 by the country of its address
or order, a name without accents, case and order together with the postal code.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import re
import secrets
import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from kustom_mcp.api.models import Address, Order
from kustom_mcp.book.database import BookTransaction
from kustom_mcp.state.private_files import private_directory, put_first

KEY_BYTES = 32
MARKETS = ("SE", "NO", "DK", "FI", "DE", "AT", "NL", "BE", "FR", "ES", "IT", "PT", "PL", "GB", "IE", "CH", "US")
"""Countries in which a phone without one is looked for."""
_LONGEST = 255
_BASE = str.maketrans({"ø": "o", "æ": "ae", "œ": "oe", "đ": "d", "ł": "l", "ð": "d", "þ": "th", "ı": "i"})
_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+")
_IN_BRACKETS = re.compile(r"<([^<>]*@[^<>]*)>")
_AROUND = " \t\r\n\"'<>()[],;:"
_UNTIL_LETTERS = re.compile(r"(?<=[0-9])[^A-Za-z0-9]*[A-Za-z].*", re.DOTALL)
"""What follows the first letter after a digit."""
_POSTAL_PREFIX = re.compile(r"^[a-z]{1,2}[- ]+(?=[0-9])")


class KeyLost(Exception):
    """The digests in the book were made with another key."""


class Sought(NamedTuple):
    """A person that is looked for. Each part narrows further."""

    email: str | None = None
    phone: str | None = None
    name: str | None = None
    postal_code: str | None = None

    @property
    def given(self) -> bool:
        """Return whether any part of a person is given."""
        return any(part is not None for part in self)


NOBODY = Sought()


class PeopleDigests:
    """The digests of one account. `on`: whether the operator has them kept. `directory`: the folder of the key; None
    where it is kept in the shared store, or in memory."""

    def __init__(self, *, on: bool, account: str, directory: Path | None, shared: bool) -> None:
        self.on = on
        self.lost = False
        """Whether the digests in the book were made with another key."""
        self._account = account
        self._directory = directory
        self._shared = shared
        self._key: bytes | None = None
        self._known = False
        """Whether the book says with which key its digests were made."""

    def load(self, change: Callable[[Callable[[BookTransaction], bytes]], bytes]) -> None:
        """Load the key, made now if there is none. `change`: runs work in a transaction of the book. Blocks. OSError,
        BookUnavailable."""
        if self.on and self._key is None:
            self._key = change(self._shared_key) if self._shared else self._own_key()

    def warm_up(self) -> None:
        """Import the library of phone numbers, which takes a moment that no read shall wait for. Blocks."""
        if self.on:
            _phone("+46", None)

    def compare(self, tx: BookTransaction, account: int) -> None:
        """Compare the key with that of the digests in the book."""
        if self.on and not self._known and self._key is not None:
            found = tx.rows("SELECT people FROM book_accounts WHERE account = :account", {"account": account})
            known = found[0][0] if found else None
            self.lost = known is not None and int(known) != _digest(self._key, "check", "")
            self._known = known is not None

    def record(self, tx: BookTransaction, account: int) -> None:
        """Compare it, and note it as the key of the digests where there are none yet."""
        self.compare(tx, account)
        if self.on and not self._known and self._key is not None:
            which = {"check": _digest(self._key, "check", ""), "account": account}
            tx.rows("UPDATE book_accounts SET people = :check WHERE account = :account", which)
            self._known = True

    def begin_anew(self) -> None:
        """Compare the key again with the next use: the digests are gone."""
        self._known = self.lost = False

    def of(self, order: Order) -> frozenset[int] | None:
        """Return the digests of the people in an order; None where none are kept."""
        if not self.on or self.lost or self._key is None:
            return None
        key = self._key
        return frozenset(_digest(key, kind, text) for kind, text in traits(order))

    def sought(self, person: Sought) -> list[list[int]]:
        """Return the digests of a person that is looked for: of each list one has to fit. KeyLost; ValueError names an
        argument that cannot be one."""
        if self.lost or self._key is None:
            raise KeyLost
        key, wanted = self._key, list[list[int]]()
        if person.email is not None:
            addresses = emails(person.email)
            if not addresses:
                raise ValueError("email")
            wanted.append([_digest(key, "email", address) for address in addresses])
        if person.phone is not None:
            numbers = phones(person.phone)
            if not numbers:
                raise ValueError("phone")
            wanted.append([_digest(key, "phone", number) for number in numbers])
        if person.name is not None and person.postal_code is not None:
            name, place = _name(person.name), _postal(person.postal_code)
            if not name or not place:
                raise ValueError("name" if not name else "postal_code")
            wanted.append([_digest(key, "name", f"{name}\n{place}")])
        return wanted

    def _shared_key(self, tx: BookTransaction) -> bytes:
        which = {"account": self._account, "key": secrets.token_hex(KEY_BYTES)}
        tx.rows("INSERT INTO people_keys VALUES (:account, :key) ON CONFLICT (account) DO NOTHING", which)
        return bytes.fromhex(tx.rows("SELECT secret FROM people_keys WHERE account = :account", which)[0][0])

    def _own_key(self) -> bytes:
        if self._directory is None:
            return secrets.token_bytes(KEY_BYTES)
        path = self._directory / f"{hashlib.sha256(self._account.encode()).hexdigest()[:16]}.key"
        with contextlib.suppress(FileNotFoundError):
            return _read(path)
        private_directory(path.parent)
        put_first(path, secrets.token_hex(KEY_BYTES).encode())
        return _read(path)


def traits(order: Order) -> set[tuple[str, str]]:
    """Return what people can be told by, in the form in which it is compared. Personal data: never kept or shown."""
    found: set[tuple[str, str]] = set()
    for address in (order.billing_address, order.shipping_address):
        if address is not None:
            found.update(_of_address(address, order.purchase_country))
    return found


def emails(text: str) -> list[str]:
    """Return an e-mail address in the forms in which an order may have it; none where this is no address. It is taken
    out of `mailto:` and of `Name <address>`, as mail programs copy it."""
    inside = _IN_BRACKETS.search(text[:_LONGEST])
    address = _email(inside[1] if inside else text).strip(_AROUND)
    if address.startswith("mailto:"):  # a link may go on with a subject
        address = address.removeprefix("mailto:").partition("?")[0]
    address = address.lstrip(_AROUND).rstrip(f"{_AROUND}.")
    if not _ADDRESS.fullmatch(address):
        return []
    local, _, host = address.rpartition("@")
    forms = [address]
    for encoding, decoding in (("idna", "ascii"), ("ascii", "idna")):  # both ways of writing a host such as börsen.dk
        with contextlib.suppress(UnicodeError):
            forms.append(f"{local}@{host.encode(encoding).decode(decoding)}")
    return list(dict.fromkeys(forms))


def phones(text: str) -> list[str]:
    """Return a phone in E.164: with its country, or else for each market in which it is a number."""
    known = _phone(text, None)
    if known:
        return [known]
    return list(dict.fromkeys(number for market in MARKETS if (number := _phone(text, market, strict=True))))


def _of_address(address: Address, country: str | None) -> Iterator[tuple[str, str]]:
    email = _email(address.email)
    if email:
        yield "email", email
    if address.phone:
        regions = [region.strip().upper() for region in (address.country, country) if region]
        numbers = {number for region in regions if (number := _phone(address.phone, region))}
        for number in numbers or {_phone(address.phone, None)} - {None}:
            yield "phone", str(number)
    place = _postal(address.postal_code)
    for name in (f"{address.given_name or ''} {address.family_name or ''}", address.organization_name):
        if place and (plain := _name(name)):
            yield "name", f"{plain}\n{place}"


def _email(text: str | None) -> str:
    return unicodedata.normalize("NFKC", _visible(text)).strip().casefold()


def _visible(text: str | None) -> str:
    """Return a text without characters that nobody sees, which copying brings along."""
    short = (text or "")[:_LONGEST]
    return short if short.isascii() else "".join(mark for mark in short if unicodedata.category(mark) != "Cf")


def _name(text: str | None) -> str:
    words = "".join(mark if mark.isalnum() else " " for mark in _plain(text)).split()
    return " ".join(sorted(words))


def _postal(text: str | None) -> str:
    return "".join(mark for mark in _POSTAL_PREFIX.sub("", _plain(text)) if mark.isalnum())


def _plain(text: str | None) -> str:
    """Return a text without accents and case."""
    folded = _visible(text).strip().casefold()
    if folded.isascii():
        return folded
    folded = unicodedata.normalize("NFKD", folded)
    return "".join(mark for mark in folded if not unicodedata.combining(mark)).translate(_BASE)


@lru_cache(256)
def _phone(text: str, region: str | None, *, strict: bool = False) -> str | None:
    """Return a phone in E.164. `strict`: only a number that can be one there."""
    from phonenumbers import NumberParseException, PhoneNumberFormat, format_number, is_valid_number, parse

    short = _UNTIL_LETTERS.split(text.strip()[:64])[0]  # they would be read as digits: +46 70 174 06 11 (mobil)
    if short.startswith("00"):
        short = f"+{short[2:]}"
    try:
        number = parse(short, region)
    except NumberParseException:
        return None
    return None if strict and not is_valid_number(number) else format_number(number, PhoneNumberFormat.E164)


def _digest(key: bytes, kind: str, text: str) -> int:
    made = hmac.digest(key, f"{kind}\0{text}".encode("utf-8", "surrogatepass"), "sha256")
    return int.from_bytes(made[:8], signed=True)


def _read(path: Path) -> bytes:
    """Read a key. FileNotFoundError; OSError where it is none."""
    try:
        key = bytes.fromhex(path.read_text("ascii"))
    except (UnicodeDecodeError, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise OSError("the file of the key is damaged")
    return key
