"""Signatures of webhooks: by the example of the specification and plain HMAC, never by what the server signs."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.events import MERCHANT, SECRET, Outbox, OutgoingEvent
from kustom_mcp.transport.webhooks.signature import signed_id
from tests.transport.webhooks import hearing

NEW, OLD, OTHERS = (f"whsec_{letter * 32}" for letter in "NOX")
KNOWN = [Webhook(NEW), Webhook(OLD)]
BODY = b'{"type":"order.created"}'
EXAMPLE = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330)
"""Secret, id and time of the example that the specification and most of its libraries print."""


def verified(headers: dict[str, str], body: bytes = BODY) -> bool:
    name = signed_id(body, headers.items(), KNOWN)
    assert name is None or name in headers.values()
    return name is not None


def test_these_tests_sign_as_the_specification_does() -> None:
    made = hearing.signature(b'{"test": 2432232314}', *EXAMPLE)
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(st.text().map(str.encode), st.sampled_from([NEW, OLD]), st.from_regex(r"[!-~]{1,40}", fullmatch=True))
def test_what_was_signed_with_either_secret_is_signed_alone_or_among_others(
    body: bytes, secret: str, name: str
) -> None:
    headers = hearing.signed(body, secret, name=name)
    assert verified(headers, body)
    assert verified({key.title(): value for key, value in headers.items()}, body)
    good = headers["webhook-signature"]
    bad = hearing.signed(body, OTHERS, name=name)["webhook-signature"]
    for several in (
        f"{bad} {good}",
        f"{good} {bad}",
        f"v1a,{good[3:]} {good}",
        f"v1 ,, v1,é  {good}",
        f"v1,{'A' * 9} {good}",
    ):
        assert verified({**headers, "webhook-signature": several}, body)


@given(st.text(min_size=1, max_size=50).map(str.encode), st.integers(0, 10**6))
def test_a_body_that_differs_by_one_bit_is_not_signed(body: bytes, place: int) -> None:
    index, bit = divmod(place % (8 * len(body)), 8)
    other = body[:index] + bytes([body[index] ^ 1 << bit]) + body[index + 1 :]
    assert not verified(hearing.signed(body, NEW), other)


def test_each_of_the_three_headers_is_needed_once_and_signed() -> None:
    good = hearing.signed(BODY, NEW)
    assert verified(good)
    for name in good:
        others = [(key, value) for key, value in good.items() if key != name]
        assert not signed_id(BODY, others, KNOWN)
        assert not signed_id(BODY, [*good.items(), (name, good[name])], KNOWN)
    assert not verified(good | {"webhook-id": "msg_2"})
    assert not verified(good | {"webhook-timestamp": str(int(time.time()) - 100)})
    assert not verified(hearing.signed(BODY, OTHERS))
    assert not signed_id(BODY, good.items(), [])


@pytest.mark.parametrize("late", [400, 10**6, -400, -(10**6)])
def test_what_was_signed_too_long_ago_or_ahead_of_our_clock_is_not_signed(late: int) -> None:
    assert not verified(hearing.signed(BODY, NEW, late=late))
    assert verified(hearing.signed(BODY, NEW, late=200 if late > 0 else -200))


@given(st.binary(max_size=40), *[st.text(max_size=60)] * 3)
def test_whatever_stands_in_the_headers_is_no_fault_of_ours(body: bytes, name: str, at: str, signatures: str) -> None:
    now = str(int(time.time()))
    for moment in (at, now):
        headers = {"webhook-id": name, "webhook-timestamp": moment, "webhook-signature": f"{signatures} v1,{'A' * 43}="}
        assert not verified(headers, body)


MALFORMED = ["", "1.5", "1e9", "nan", "inf", "-1", " 1", "٣" * 10, "9" * 12, "9" * 400, "2026-11-28T10:00:00Z"]


@pytest.mark.parametrize("at", MALFORMED, ids=repr)
def test_a_time_that_is_none_is_refused_however_it_is_signed(at: str) -> None:
    made = hearing.signature(BODY, NEW, "msg_1", at)
    assert not verified({"webhook-id": "msg_1", "webhook-timestamp": at, "webhook-signature": made})


def test_the_sandbox_signs_as_the_specification_does_and_names_events_as_kustom_does() -> None:
    simulator = Simulator(clock=lambda: datetime(2026, 11, 28, 9, 48, 16, 680_000, UTC))
    simulator.outbox = Outbox()
    order_id = simulator.store.records()[0].order["order_id"]
    sent = [simulator.outbox.add(kind, order_id, simulator.store.now(), {}) for kind in ("order.created",) * 2]
    assert len({event.id for event in sent}) == 2
    for event in sent:
        assert re.fullmatch(r"kevt_[0-9A-Za-z]{22}", event.id)
        assert json.loads(event.body) == {
            "id": event.id,
            "merchant_id": MERCHANT,
            "timestamp": "2026-11-28T09:48:16.680000000Z",
            "type": "order.created",
            "data": {"order_id": order_id},
        }
        headers = event.headers(datetime.now(UTC))
        assert headers["webhook-signature"] == hearing.signature(
            event.body, SECRET, headers["webhook-id"], headers["webhook-timestamp"]
        )
        assert signed_id(event.body, headers.items(), [Webhook(SECRET)])
    assert OutgoingEvent("kevt_1", "push", order_id, b"").headers(datetime.now(UTC)) == {}
