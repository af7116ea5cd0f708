"""Idempotency keys: one intent has one key wherever it is made, and another intent has another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.faults import Fault
from tests.calls.faults_of_a_write import ORDER
from tests.calls.gated_operations import (
    ADDRESS,
    AMOUNT,
    CANCEL,
    CAPTURE,
    CAPTURE_SHIPMENT,
    DUE_DATE,
    EXTENSION,
    REFERENCES,
    REFUND,
    RELEASE,
    SEND_OUT,
    SHIPMENT,
    Case,
    name_of,
)
from tests.calls.quick import ALL as SERVER
from tests.calls.quick import KEYS, quickly
from tests.support.conversation import Person, Talk, conversation, demo, yes

SAME_KEY = (CANCEL, RELEASE, CAPTURE, REFUND, EXTENSION, SHIPMENT, CAPTURE_SHIPMENT)
NEW_KEY = (AMOUNT, ADDRESS, REFERENCES, SEND_OUT, DUE_DATE)
ORDER_ID = "7849fd84-0000-4000-8000-00000000abcd"
IN_THE_SANDBOX: list[tuple[str, str, dict[str, Any]]] = [
    ("update_order_amount", "authorized-sek", {"line_changes": [{"line": 1, "quantity": 1}]}),
    ("update_customer_details", "authorized-sek", {"shipping_address": {"city": "Lund"}}),
    ("cancel_order", "authorized-sek", {}),
    ("release_remaining_authorization", "part-captured-eur", {}),
    ("capture_order", "authorized-sek", {"lines": [{"line": 1, "quantity": 1}]}),
    ("refund_order", "captured-sek", {"lines": [{"line": 1, "quantity": 1}]}),
]
ANNA: dict[str, Any] = {
    **SERVER,
    "KUSTOM_CONFIRM": "flag",
    "KUSTOM_API_KEY": "kco_test_api_sandbox",
    "KUSTOM_USERNAME": "M100-anna",
}
BERT: dict[str, Any] = {
    **ANNA,
    "KUSTOM_USERNAME": "M100-bert",
    "KUSTOM_KEYS": "a colleague's own key of 32 bytes or more",
}


async def _key(case: Case, settings: dict[str, Any], state: Path, **more: Any) -> str:
    """The key of this operation, asked for on the same facts in a world of its own."""
    given: dict[str, Any] = {**settings, "KUSTOM_STATE_DIR": str(state)}
    async with conversation(**given) as talk:
        _pin(talk, case)
        captures = talk.stored(ORDER_ID)["captures"]
        arguments: dict[str, Any] = {"order_id": ORDER_ID, **case.arguments, **more}
        if "capture_id" in arguments:
            arguments["capture_id"] = captures[0]["capture_id"]
        confirm = {"confirm": True} if case.change[0] else {}
        assert (await talk.call(case.tool, arguments, **confirm))["outcome"] == "applied"
        (seen,) = talk.writes
        assert seen.key is not None
        return seen.key


def _pin(talk: Talk, case: Case) -> None:
    lines = [{"reference": "A", "name": "Lamp", "quantity": 2, "unit_price": 5000, "total_amount": 10000}]
    lines.append({"reference": "B", "name": "Mug", "quantity": 1, "unit_price": 2000, "total_amount": 2000})
    talk.order(
        order_id=ORDER_ID,
        order_lines=lines,
        created_at="2026-11-20T08:00:00.000Z",
        expires_at="2026-12-18T00:00:00.000Z",
        **case.order,
    )


@pytest.mark.parametrize("case", SAME_KEY, ids=name_of)
async def test_two_colleagues_with_other_secrets_have_the_same_key_for_the_same_intent(
    case: Case, tmp_path: Path
) -> None:
    keys = {await _key(case, ANNA, tmp_path / "a"), await _key(case, BERT, tmp_path / "b")}
    assert len(keys) == 1


@pytest.mark.parametrize("case", NEW_KEY, ids=name_of)
async def test_where_a_state_can_come_back_every_approval_has_its_own_key(case: Case, tmp_path: Path) -> None:
    keys = {await _key(case, ANNA, tmp_path / "a"), await _key(case, ANNA, tmp_path / "b")}
    assert len(keys) == 2


async def test_codes_forms_and_flags_make_the_same_key() -> None:
    keys: set[str | None] = set()
    ways: tuple[tuple[Person | None, dict[str, Any]], ...] = (
        (None, {}),
        (yes, {}),
        (None, {"KUSTOM_CONFIRM": "flag"}),
    )
    for person, settings in ways:
        async with conversation(person=person, **SERVER, **settings) as talk:
            _pin(talk, REFUND)
            given = {"order_id": ORDER_ID, **REFUND.arguments}
            if person is None and not settings:
                await talk.confirmed(REFUND.tool, given)
            else:
                await talk.call(REFUND.tool, given, **({"confirm": True} if settings else {}))
            keys |= {seen.key for seen in talk.writes}
    assert len(keys) == 1


async def test_another_intent_has_another_key(tmp_path: Path) -> None:
    merchant: dict[str, Any] = {**ANNA, "KUSTOM_USERNAME": "M200-anna"}
    keys = [
        await _key(REFUND, ANNA, tmp_path / "1"),
        await _key(REFUND, ANNA, tmp_path / "2", refunded_amount=5001),
        await _key(REFUND, ANNA, tmp_path / "3", reference="R-2"),
        await _key(REFUND, ANNA, tmp_path / "4", description="Returned"),
        await _key(REFUND, merchant, tmp_path / "5"),
        await _key(REFUND, {**SERVER, "KUSTOM_CONFIRM": "flag"}, tmp_path / "6"),
        await _key(CAPTURE, ANNA, tmp_path / "7"),
    ]
    assert len(set(keys)) == len(keys)


async def test_the_currency_is_a_check_and_no_other_intent(tmp_path: Path) -> None:
    keys = {await _key(REFUND, ANNA, tmp_path / "1"), await _key(REFUND, ANNA, tmp_path / "2", currency="sek")}
    assert len(keys) == 1


async def test_the_same_refund_on_other_facts_is_another_intent() -> None:
    async with conversation(**SERVER) as talk:
        _, given = REFUND.begin(talk)
        for _ in range(2):
            assert (await talk.confirmed(REFUND.tool, given))["outcome"] == "applied"
        assert len({seen.key for seen in talk.writes}) == 2


async def test_two_servers_that_share_nothing_refund_once_on_the_same_facts(tmp_path: Path) -> None:
    """Both previews are of the same state, and neither server knows what the other has sent."""
    sandbox = Simulator()
    settings: dict[str, Any] = {**ANNA, "KUSTOM_CONFIRM": "code"}
    async with (
        conversation(simulator=sandbox, KUSTOM_STATE_DIR=str(tmp_path / "a"), **settings) as a,
        conversation(simulator=sandbox, KUSTOM_STATE_DIR=str(tmp_path / "b"), **settings) as b,
    ):
        order_id, given = REFUND.begin(a)
        codes = [(await talk.call(REFUND.tool, given))["confirm"]["code"] for talk in (a, b)]
        assert (await a.call(REFUND.tool, given, confirm=codes[0]))["outcome"] == "applied"
        record = sandbox.store.find(order_id)
        assert record is not None
        answer = await b.call(REFUND.tool, given, confirm=codes[1])
        assert (answer["outcome"], record.order["refunded_amount"]) == ("already_applied", 5000)


def _texts(directory: Path) -> list[str]:
    return [path.read_text() for path in directory.rglob("*.json*")]


async def test_no_secret_is_in_anything_that_leaves(tmp_path: Path) -> None:
    settings: dict[str, Any] = {**ANNA, "KUSTOM_CONFIRM": "code", "KUSTOM_STATE_DIR": str(tmp_path)}
    async with conversation(**settings) as talk:
        _, given = REFUND.begin(talk)
        preview = await talk.call(REFUND.tool, given)
        await talk.call(REFUND.tool, given, confirm=preview["confirm"]["code"])
    written = _texts(tmp_path)
    assert any("refund" in text for text in written)
    for text in (str(preview), *written):
        assert KEYS not in text
        assert "kco_test_api_sandbox" not in text


async def test_a_refusal_does_not_change_the_key_and_says_how_to_ask_anew() -> None:
    async with conversation(host=quickly, KUSTOM_CONFIRM="flag", **SERVER) as talk:
        _, given = REFUND.begin(talk)
        for _ in range(2):
            talk.simulator.faults.add(Fault("POST", f"{ORDER}/refunds", "status", status=403, code="NOT_ALLOWED"))
            answer = await talk.call(REFUND.tool, given, confirm=True)
            assert (answer["outcome"], answer["error"]["code"]) == ("rejected", "ACTION_NOT_ALLOWED")
            assert "a different reference or description makes it a new request" in answer["next_step"]
        assert len({seen.key for seen in talk.writes}) == 1
        assert (await talk.call(REFUND.tool, given, confirm=True, reference="R-2"))["outcome"] == "applied"
        assert len({seen.key for seen in talk.writes}) == 2


@pytest.mark.parametrize(("tool", "order", "arguments"), IN_THE_SANDBOX, ids=[tool for tool, *_ in IN_THE_SANDBOX])
async def test_a_code_of_the_sandbox_is_good_in_the_next_process(
    tool: str, order: str, arguments: dict[str, Any]
) -> None:
    """Some frameworks start a server for each call, and each has a sandbox of its own with the same orders."""
    call = {"order_id": demo(order), **arguments}
    async with conversation() as first:
        code = (await first.call(tool, call))["confirm"]["code"]
    async with conversation() as second:
        assert (await second.call(tool, call, confirm=code))["outcome"] == "applied"
        assert len(second.sent) == 1
    async with conversation(KUSTOM_KEYS=KEYS) as other:
        assert (await other.call(tool, call, confirm=code))["error"]["code"] == "CONFIRMATION_INVALID"
