"""Texts of error answers: sentences pass, whatever could be our credentials in an unknown encoding is withheld."""

from __future__ import annotations

import ast
import base64
import codecs
import gzip
import json
import random
import re
import string
import uuid
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

import kustom_mcp.simulator
from kustom_mcp.api.endpoints import GET_ORDER
from kustom_mcp.api.errors import OmsError, Refused
from kustom_mcp.api.plain_words import is_id, is_plain, strangeness
from kustom_mcp.api.responses import WITHHELD
from kustom_mcp.simulator import limits
from tests.api.scripted import ORDER_ID, World, answer, refused

USERNAME = "PM12345-support"
ALPHABETS = (string.ascii_letters + string.digits, string.ascii_letters + string.digits + "-_", string.ascii_lowercase)
_DRAWN = random.Random(20260412)
KEYS = [
    "kco_live_api_" + "".join(_DRAWN.choice(alphabet) for _ in range(24)) for alphabet in ALPHABETS for _ in range(8)
]

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def _base58(text: str) -> str:
    number, found = int.from_bytes(text.encode()), ""
    while number:
        number, digit = divmod(number, 58)
        found = _BASE58[digit] + found
    return found


def _bytes(form: str, between: str) -> Callable[[str], str]:
    return lambda text: between.join(format(byte, form) for byte in text.encode())


def _uuids(text: str) -> str:
    held = text[::-1].encode().ljust(48)
    return " ".join(str(uuid.UUID(bytes=held[start : start + 16])) for start in (0, 16, 32))


UNKNOWN_TO_REDACTION: dict[str, Callable[[str], str]] = {
    "reversed, as UUIDs": _uuids,
    "list of bytes": lambda text: str(list(text.encode())),
    "Node's Buffer": lambda text: json.dumps({"type": "Buffer", "data": list(text.encode())}),
    "decimals and hyphens": _bytes("d", "-"),
    "octal": _bytes("o", " "),
    "bits": _bytes("08b", " "),
    "bits in one": _bytes("08b", ""),
    "chr()": lambda text: "+".join(f"chr({ord(char)})" for char in text),
    "one large number": lambda text: str(int.from_bytes(text.encode())),
    "base32": lambda text: base64.b32encode(text.encode()).decode(),
    "base32 in fours": lambda text: " ".join(_in_pieces(base64.b32encode(text.encode()).decode(), 4)),
    "base58": _base58,
    "base85": lambda text: base64.b85encode(text.encode()).decode(),
    "Ascii85": lambda text: base64.a85encode(text.encode()).decode(),
    "uuencode": lambda text: codecs.encode(text.encode()[:45], "uu").decode(),
    "gzip, base64": lambda text: base64.b64encode(gzip.compress(text.encode())).decode(),
    "zlib, base64": lambda text: base64.b64encode(zlib.compress(text.encode())).decode(),
    "gzip, hexadecimal": lambda text: gzip.compress(text.encode()).hex(),
    "zlib, base32": lambda text: base64.b32encode(zlib.compress(text.encode())).decode(),
    "reversed": lambda text: text[::-1],
    "reversed, pairs": lambda text: " ".join(_in_pieces(text[::-1], 2)),
    "reversed, threes": lambda text: " ".join(_in_pieces(text[::-1], 3)),
    "reversed, letters in lines": lambda text: "\n".join(text[::-1]),
    "rot13": lambda text: codecs.encode(text, "rot13"),
    "x between": "x".join,
    "accents between": lambda text: "".join(f"{char}\u0301" for char in text),
    "other script": lambda text: "".join(chr(0x4E00 + ord(char)) for char in text),
    "braille": lambda text: "".join(chr(0x2800 + ord(char)) for char in text),
    "tags": lambda text: "".join(chr(0xE0000 + ord(char)) for char in text),
    "dots and dashes": lambda text: _bytes("08b", " ")(text).translate({ord("0"): ".", ord("1"): "-"}),
    "blanks and tabs": lambda text: _bytes("08b", "")(text).translate({ord("0"): " ", ord("1"): "\t"}),
}

ORDINARY = (
    "Captured amount 100000 is higher than remaining authorized amount 5000.",
    "Captured amount is higher than the remaining authorized amount. The capture is not possible.",
    f"Order {ORDER_ID} not found.",
    f"Order {ORDER_ID[:-1]} not found, shipping info not added",  # Kustom's own sample has a digit too few
    "The authorization expired at 2026-11-28T00:00:00.000Z.",
    "order_lines[12].unit_price: must be less than or equal to 200000000",
    "Bad value: order_lines[1].total_tax_amount; expected 3990 but was 3992",
    "Merchant PM12345 may not do this.",
    "Invalid value for purchase_currency: SEK",
    "Billing address is not allowed to be updated for account orders",
    "The capture with id 4ba29b50-be7b-44f5-a492-113e6a865e22 cannot be refunded.",
    "Refund is not allowed: requested 19900 but only 9900 of 39900 SEK remain",
    'Unrecognized field "refnd_amount" (class com.klarna.ordermanagement.RefundRequest), not marked as ignorable',
    "JSON parse error: Unexpected character ('}' (code 125)): was expecting double-quote at line: 1, column: 45",
    "klarna_reference U2X4WPFX-1 is unknown",
    "Article SKU-1001 (EAN 4006381333931) is not part of the order",
    "Rate limit exceeded: 200 requests per second. Retry after 30 s.",
    'shippingAddress.country must match "[A-Z]{2}"',
    "Beloppet är högre än det återstående reserverade beloppet.",
    "Beløpet er høyere enn det gjenstående reserverte beløpet.",
    "Maksu on jo hyvitetty, palautus ei ole mahdollinen.",
    "Der Betrag ist höher als der verbleibende autorisierte Betrag.",
    "A key starts with kco_live_api_ or kco_test_api_.",
    "Update not allowed.",
)
"""Messages as APIs give them; no others of Kustom's are known than those that the documentation tells."""

FILLED = ("19900", ORDER_ID, "order_lines[3].total_amount", "PART_CAPTURED", "releaseRemainingAuthorization", "SEK")


def _in_pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def refusal(*messages: str, code: str = "BAD_VALUE", correlation_id: str = "c-1") -> Refused:
    async def read() -> None:
        world = World(refused(400, code, *messages, correlation_id=correlation_id), api_key=KEYS[0])
        async with world.client as client:
            await client.read(GET_ORDER, deadline=world.deadline, order_id=ORDER_ID)

    with pytest.raises(OmsError) as caught:
        anyio.run(read)
    assert isinstance(caught.value, Refused)
    return caught.value


@pytest.mark.parametrize("encoding", UNKNOWN_TO_REDACTION)
def test_a_key_in_an_encoding_that_nobody_thought_of_is_not_plain(encoding: str) -> None:
    encode = UNKNOWN_TO_REDACTION[encoding]
    passed: list[tuple[str, ...]] = []
    for key in KEYS:
        for secret in (key, key[13:], f"Basic {base64.b64encode(f'{USERNAME}:{key}'.encode()).decode()}"):
            written = encode(secret)
            for texts in (
                (written,),
                (f"The header of the request was {written} and that is not valid for the order.",),
                ("Captured amount is too high.", written),
                tuple(_in_pieces(written, 6)),
                tuple(_in_pieces(written, 11)),
            ):
                passed += [texts] if is_plain(*texts) else []
    assert passed == []


def test_ordinary_messages_pass_as_they_are() -> None:
    assert {text: strangeness([text]) for text in ORDINARY if not is_plain(text)} == {}
    for text in ORDINARY:
        assert refusal(text, correlation_id=ORDER_ID).messages == (text,)


def _said_by_the_simulator() -> Iterator[str]:
    """All sentences in its code, with values of each kind in the place of others, and all that its limits say."""
    for path in sorted(Path(kustom_mcp.simulator.__file__).parent.glob("*.py")):
        tree = ast.parse(path.read_text())
        documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            if id(node) in documents or id(node) in parts:
                continue
            if isinstance(node, ast.JoinedStr):
                for value in FILLED:
                    yield _filled(node, value)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
    for rule in vars(limits).values():
        if isinstance(rule, limits.Shape):
            yield from _problems(rule, "")


def _filled(text: ast.JoinedStr, value: str) -> str:
    """The text with a value in the place of those that nothing stands before."""
    found = ""
    for part in text.values:
        found += str(part.value) if isinstance(part, ast.Constant) else "" if found.endswith(value) else value
    return found


def _problems(rule: Any, where: str) -> Iterator[str]:
    wrong: list[Any] = [None, "?" * 2000, 10**30, -(10**30), {}, [None] * 1001]
    for value in wrong:
        yield from rule.problems(value, where)
    if isinstance(rule, limits.Shape):
        for name, inner in rule.fields.items():
            yield from _problems(inner, f"{where}.{name}" if where else name)
    if isinstance(rule, limits.Items):
        yield from _problems(rule.of, f"{where}[17]")


def test_all_that_the_sandbox_can_say_passes() -> None:
    sentences = {text for text in _said_by_the_simulator() if re.search("[a-z]{2} [a-z]{2}", text)}
    assert len(sentences) > 150
    assert {text: strangeness([text]) for text in sorted(sentences) if not is_plain(text)} == {}


def test_as_many_refusals_of_limits_as_there_are_lines_pass() -> None:
    lines = [{"name": "x" * 256, "quantity": -1, "unit_price": 10**9 + n} for n in range(40)]
    said = list(limits.REFUND.problems({"refunded_amount": 0, "order_lines": lines}, ""))
    assert len(said) == 121
    assert refusal(*said).messages == tuple(said[:10])


def test_a_message_that_is_not_plain_is_withheld_and_the_others_are_not() -> None:
    written = UNKNOWN_TO_REDACTION["base32"](KEYS[0])
    error = refusal("Amount too high.", f"Header: {written}", *["m" * 300] * 2)
    assert error.messages == ("Amount too high.", *[WITHHELD] * 3)
    assert (error.error_code, error.correlation_id) == ("BAD_VALUE", "c-1")
    assert is_plain(WITHHELD)


def test_what_begins_before_the_limit_of_a_message_is_withheld_whole() -> None:
    assert refusal("plain words " * 20 + UNKNOWN_TO_REDACTION["base85"](KEYS[0])).messages == (WITHHELD,)


def test_messages_that_are_plain_one_by_one_are_withheld_where_together_they_are_not() -> None:
    pieces = _in_pieces(KEYS[0][13:][::-1], 6)
    assert all(map(is_plain, pieces))
    assert refusal(*pieces).messages == (WITHHELD,)
    assert refusal(*pieces[1:], correlation_id=pieces[0]).messages == (WITHHELD,)


@pytest.mark.parametrize(
    ("code", "kept"),
    [("CAPTURE_NOT_ALLOWED", True), ("PSD2_REQUIRED", True), (UNKNOWN_TO_REDACTION["base32"](KEYS[0])[:60], False)],
)
def test_an_error_code_is_made_of_words(code: str, kept: bool) -> None:
    assert refusal("Odd.", code=code).error_code == (code if kept else None)


def test_a_correlation_id_has_the_form_of_one() -> None:
    for known in (ORDER_ID, "7849fd84-cae9-4df1-a7f2-11234567890", "c-1", "not-a-uuid", "request-2026-04"):
        assert is_id(known)
        assert refusal("Odd.", correlation_id=known).correlation_id == known
    for encode in (base64.b32encode, base64.b85encode, base64.b16encode, base64.b64encode):
        written = encode(KEYS[0].encode()[:25]).decode()[:40]
        assert not is_id(written)
        error = refusal("Odd.", correlation_id=written)
        assert (error.correlation_id, error.messages) == (None, ("Odd.",))


async def test_neither_has_the_id_of_an_answer_without_the_apis_body() -> None:
    written = base64.b32encode(KEYS[0].encode()).decode()
    world = World(*[answer(503, klarna_correlation_id=written) for _ in range(3)], api_key=KEYS[0])
    async with world.client as client:
        with pytest.raises(OmsError) as caught:
            await client.read(GET_ORDER, deadline=world.deadline, order_id=ORDER_ID)
    assert getattr(caught.value, "correlation_id", "none at all") is None
