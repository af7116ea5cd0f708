"""Credentials that an answer repeats: none of them is in what the client passes on, however they are written."""

from __future__ import annotations

import base64
import html
import json
import quopri
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from kustom_mcp.api.endpoint import Read
from kustom_mcp.api.endpoints import CAPTURE_ORDER, GET_ORDER
from kustom_mcp.api.errors import OmsError, OutcomeUnknown, ProtocolError, Refused, Unavailable
from kustom_mcp.api.reconcile import Written
from kustom_mcp.api.redaction import ERROR_BYTES, LEFT_OUT, Redactor
from kustom_mcp.api.settlements import LIST_TRANSACTIONS
from tests.api.scripted import APPROVED, CAPTURE_ID, ORDER_ID, Pieces, World, answer, order_json, refused

SECRET = "Zq8vKp3-tRw9Xy_LmN4bQs7HdJf2GcTa6VeU0iOk5PrBx.WnYzDl"
KEY = f"kco_test_api_{SECRET}"
PAIR = f"M1-abc:{KEY}"
HEADER = f"Basic {base64.b64encode(PAIR.encode()).decode()}"
NOT_FOR_MODELS = {"header": HEADER, "pair": PAIR, "key": KEY, "most of the key": SECRET[3:40]}

Writing = Callable[[str], str]


def _base64(text: str, before: int = 0, after: int = 0) -> str:
    return base64.b64encode(b"x" * before + text.encode() + b"y" * after).decode()


def _hex(text: str, between: str = "", before: str = "") -> str:
    return between.join(f"{before}{byte:02x}" for byte in text.encode())


def _between(separator: str, each: int = 1) -> Writing:
    return lambda text: separator.join(text[at : at + each] for at in range(0, len(text), each))


_BOLD = {chr(at + 65): chr(0x1D400 + at) for at in range(26)} | {chr(at + 97): chr(0x1D41A + at) for at in range(26)}

WRITINGS: dict[str, Writing] = {
    "as it is": str,
    "upper case": str.upper,
    "other case": str.swapcase,
    "full-width": lambda text: "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text),
    "base64": _base64,
    "base64 without padding": lambda text: _base64(text).rstrip("="),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64, a byte later": lambda text: _base64(text, 1, 1),
    "base64, two bytes later": lambda text: _base64(text, 2, 5),
    "base64, in lines": lambda text: base64.encodebytes(text.encode()).decode(),
    "base64 of UTF-16": lambda text: base64.b64encode(text.encode("utf-16-le")).decode(),
    "base64 twice": lambda text: _base64(_base64(text)),
    "percent, where needed": lambda text: quote(text, safe=""),
    "percent, everywhere": lambda text: _hex(text, before="%"),
    "percent, capitals": lambda text: _hex(text, before="%").upper(),
    "percent twice": lambda text: quote(_hex(text, before="%"), safe=""),
    "percent, UTF-16": lambda text: "".join(f"%u{ord(char):04x}" for char in text),
    "percent of base64": lambda text: _hex(_base64(text), before="%"),
    "hex": _hex,
    "hex, capitals": lambda text: _hex(text).upper(),
    "hex, in mixed case": lambda text: "".join(
        char.upper() if number % 2 else char for number, char in enumerate(_hex(text))
    ),
    "hex with colons": lambda text: _hex(text, ":"),
    "hex with 0x": lambda text: _hex(text, ", ", "0x"),
    "hex with \\x": lambda text: _hex(text, before="\\x"),
    "hex of base64": lambda text: _hex(_base64(text)),
    "JSON": lambda text: "".join(f"\\u{ord(char):04x}" for char in text),
    "JSON twice": lambda text: json.dumps("".join(f"\\u{ord(char):04X}" for char in text)),
    "JSON, bold letters": lambda text: json.dumps("".join(_BOLD.get(char, char) for char in text)),
    "octal": lambda text: "".join(f"\\{ord(char):03o}" for char in text),
    "backslashes": lambda text: "".join(char if char.isalnum() else f"\\{char}" for char in text),
    "HTML": lambda text: html.escape(f"<b>{text}</b>"),
    "HTML, decimal": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "HTML, hexadecimal": lambda text: "".join(f"&#x{ord(char):X};" for char in text),
    "quoted-printable": lambda text: quopri.encodestring(text.encode()).decode(),
    "quoted-printable, everywhere": lambda text: _hex(text, before="=").upper(),
    "blanks between": _between(" "),
    "line breaks": _between("\r\n", 7),
    "zero-width between": _between("\u200b"),
    "joiners and marks": _between("\u2060\u034f", 3),
    "soft hyphens": _between("\u00ad", 5),
    "hyphens": _between("-", 4),
    "quotes and commas": _between('", "'),
}

around = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


async def reading(world: World, endpoint: Read[Any] = GET_ORDER, **path: str) -> Any:
    async with world.client as client:
        return await client.read(endpoint, deadline=world.deadline, **(path or {"order_id": ORDER_ID}))


async def capturing(world: World) -> Written:
    async with world.client as client:
        return await client.write(
            CAPTURE_ORDER, APPROVED, deadline=world.deadline, body={"captured_amount": 100}, order_id=ORDER_ID
        )


def refusal_of(*steps: Any) -> OmsError:
    """The error or answer that a read ends in."""
    with pytest.raises(OmsError) as caught:
        anyio.run(reading, World(*steps, api_key=KEY))
    return caught.value


@pytest.mark.parametrize("what", NOT_FOR_MODELS)
@pytest.mark.parametrize("writing", WRITINGS)
def test_a_message_that_repeats_credentials_is_left_out_however_it_writes_them(what: str, writing: str) -> None:
    written = WRITINGS[writing](NOT_FOR_MODELS[what])

    @settings(max_examples=5, deadline=None, database=None)
    @given(around, around)
    def never(before: str, after: str) -> None:
        error = refusal_of(refused(400, "BAD_VALUE", f"{before} {written} {after}", "Amount too high."))
        assert isinstance(error, Refused)
        assert (error.error_code, error.correlation_id) == ("BAD_VALUE", "c-1")
        assert error.messages == (LEFT_OUT, "Amount too high.")

    never()


@pytest.mark.parametrize("writing", ["as it is", "base64", "base64 for URLs", "hex, capitals", "percent, everywhere"])
def test_neither_code_nor_correlation_id_of_body_or_header_repeats_credentials(writing: str) -> None:
    for secret in NOT_FOR_MODELS.values():
        written = WRITINGS[writing](secret)
        error = refusal_of(
            answer(403, {"error_code": "NOT_ALLOWED", "correlation_id": written}, klarna_correlation_id="c-2")
        )
        assert isinstance(error, Refused)
        assert (error.error_code, error.correlation_id) == ("NOT_ALLOWED", "c-2")
        for status in (400, 401, 403, 404, 429, 503):
            body = {"error_code": f"A{SECRET.upper()}".translate({ord(sign): "_" for sign in "-."}), written: written}
            error = refusal_of(*[answer(status, body, klarna_correlation_id=written) for _ in range(3)])
            assert isinstance(error, Refused | Unavailable)
            assert (error.correlation_id, getattr(error, "error_code", None)) == (None, None)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(
        ["as it is", "base64", "base64, a byte later", "base64, two bytes later", "hex", "percent, everywhere"]
    ),
    st.data(),
)
def test_a_part_that_a_cut_has_left_is_left_out_too(writing: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(SECRET) - 12))
    written = WRITINGS[writing](SECRET[start : data.draw(st.integers(start + 12, len(SECRET)))])
    error = refusal_of(refused(400, "BAD_VALUE", written))
    assert isinstance(error, Refused)
    assert error.messages == (LEFT_OUT,)


def test_what_begins_before_the_limit_of_a_message_and_ends_behind_it_is_left_out() -> None:
    for place in range(200, 260, 5):
        error = refusal_of(refused(400, "BAD_VALUE", "plain words " * (place // 12) + " " + HEADER))
        assert isinstance(error, Refused)
        assert error.messages == (LEFT_OUT,)


def test_what_is_scattered_over_several_messages_is_left_out() -> None:
    parts = [SECRET[at : at + 6] for at in range(0, len(SECRET), 6)]
    error = refusal_of(refused(400, "BAD_VALUE", *parts))
    assert isinstance(error, Refused)
    assert error.messages == ()


HARMLESS = [
    "A key starts with kco_live_api_ or kco_test_api_.",
    "Merchant M1-abc may not do this.",
    "Captured amount 100000 is higher than remaining authorized amount 5000.",
    f"Order {ORDER_ID} not found.",
    "Not allowed in this field are 100 %, \\u12, \\x and &#; or =Z at the end \\",
]


@pytest.mark.parametrize("message", HARMLESS, ids=ascii)
def test_a_message_without_credentials_is_passed_on_as_it_is(message: str) -> None:
    error = refusal_of(refused(400, "BAD_VALUE", message))
    assert isinstance(error, Refused)
    assert error.messages == (message[:255],)


@settings(deadline=None)
@given(st.text(max_size=300), st.binary(max_size=200))
def test_any_text_can_be_searched(text: str, data: bytes) -> None:
    redactor = Redactor("M1-abc", KEY)
    assert not redactor.holds(text)
    assert not redactor.holds(data.decode("latin-1"))
    assert redactor.holds(f"{text} {KEY} {data.decode('latin-1')}")


def test_of_an_error_that_is_not_the_apis_own_nothing_is_read() -> None:
    for body in (
        b"<html>" + HEADER.encode(),
        b"[" * 2000,
        b'{"error_code": "X"',
        b'{"a":' * 2000,
        b"{" + b" " * ERROR_BYTES,
    ):
        response = answer(400, klarna_correlation_id="c-2")
        response.stream = Pieces(body)
        error = refusal_of(response)
        assert isinstance(error, Refused)
        assert (error.error_code, error.correlation_id, error.messages) == (None, "c-2", ())


@pytest.mark.parametrize("writing", ["as it is", "base64", "hex", "JSON", "percent, everywhere", "HTML, decimal"])
async def test_a_good_answer_loses_the_texts_that_repeat_credentials_and_nothing_else(writing: str) -> None:
    written = WRITINGS[writing](PAIR)
    lines = [{"name": written, "quantity": 1}, {"name": "Towel", "quantity": 2}]
    body = order_json(merchant_reference1=written, merchant_reference2="SE-1", order_lines=lines, tags=[written, "a"])
    order = await reading(World(answer(200, body), api_key=KEY))
    assert (order.merchant_reference1, order.merchant_reference2) == (None, "SE-1")
    assert [(line.name, line.quantity) for line in order.order_lines] == [(None, 1), ("Towel", 2)]
    assert order.model_extra == {"tags": [LEFT_OUT, "a"]}
    sale = {"type": "SALE", "amount": 1, "order_id": ORDER_ID, "payment_reference": written, "capture_id": CAPTURE_ID}
    found = await reading(
        World(answer(200, {"transactions": [sale], "pagination": {}}), api_key=KEY),
        LIST_TRANSACTIONS,
        order_id=ORDER_ID,
    )
    assert [(one.payment_reference, one.capture_id) for one in found.transactions] == [(None, CAPTURE_ID)]
    with pytest.raises(ProtocolError):
        await reading(World(answer(200, {"order_id": written}), api_key=KEY))


async def test_what_was_written_is_not_named_by_credentials() -> None:
    for written in (_hex(KEY)[:64], HEADER, SECRET[:20].replace("_", "-")):
        named = {"Capture_Id": written, "Location": f"/x/captures/{written}", "klarna_correlation_id": written}
        assert await capturing(World(answer(201, **named), api_key=KEY)) == Written(201)
    with pytest.raises(OutcomeUnknown) as doubt:
        await capturing(World(answer(503, {"error_code": "X"}, klarna_correlation_id=HEADER), api_key=KEY))
    assert (doubt.value.correlation_id, doubt.value.error_code) == (None, "X")


async def test_keys_that_were_changed_meanwhile_are_left_out_as_well() -> None:
    keys = [f"kco_test_api_{SECRET[at:]}{SECRET[:at]}"[:40] for at in range(0, 50, 10)]
    using = iter(keys)
    good = [answer(200, order_json()) for _ in keys[1:]]
    world = World(*good, refused(400, "BAD_VALUE", *keys[2:], "Odd."), api_key=lambda: SecretStr(next(using)))
    async with world.client as client:
        for _ in good:
            await client.read(GET_ORDER, deadline=world.deadline, order_id=ORDER_ID)
        with pytest.raises(Refused) as caught:
            await client.read(GET_ORDER, deadline=world.deadline, order_id=ORDER_ID)
    assert caught.value.messages == (*[LEFT_OUT] * 3, "Odd.")
