"""Confirmation by code: a preview, its code, and one effect - whatever else comes back as a code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from kustom_mcp.simulator.faults import Fault
from tests.calls.gated_operations import (
    ADDRESS,
    ALL,
    AMOUNT,
    CANCEL,
    DUE_DATE,
    GATED,
    LUND,
    REFUND,
    RELEASE,
    VALUES,
    Case,
    amount,
    captured,
    name_of,
    only,
    refunded,
    somebody,
)
from tests.calls.quick import ALL as SERVER
from tests.calls.quick import Time
from tests.support.conversation import MODES, Mode, conversation, yes

EVERY = pytest.mark.parametrize("case", GATED, ids=name_of)


async def test_an_approval_that_was_carried_out_is_known_although_the_order_cannot_be_read() -> None:
    async with conversation(host=Time().run, **only(REFUND)) as talk:
        _, given = REFUND.begin(talk)
        code = (await talk.call(REFUND.tool, given))["confirm"]["code"]
        assert (await talk.call(REFUND.tool, given, confirm=code))["outcome"] == "applied"
        talk.mark()
        talk.simulator.faults.add(Fault("GET", "/orders/{order_id}", "status", status=503, times=9))
        again = await talk.call(REFUND.tool, given, confirm=code)
        unapproved = await talk.call(REFUND.tool, given)
        assert (again["outcome"], talk.sent) == ("already_applied", [])
        assert again["summary"] == (
            "This approval was carried out already. Nothing was sent by this call. The order could not be read just "
            "now."
        )
        assert (unapproved["outcome"], unapproved["error"]["code"]) == ("not_sent", "UPSTREAM_UNAVAILABLE")


async def test_a_long_pause_that_a_read_was_told_stops_no_approved_write_and_every_other_call() -> None:
    now = Time()
    async with conversation(host=now.run, **only(REFUND)) as talk:
        _, given = REFUND.begin(talk)
        code = (await talk.call(REFUND.tool, given))["confirm"]["code"]
        talk.app.client.cool_down.start(60.0)
        refused = await talk.call(REFUND.tool, given)
        assert (refused["outcome"], refused["error"]["code"]) == ("not_sent", "RATE_LIMITED")
        began = now.passed
        assert (await talk.call(REFUND.tool, given, confirm=code))["outcome"] == "applied"
        assert now.passed - began < 10
        assert talk.sent == REFUND.sent(talk, given["order_id"])


@EVERY
@pytest.mark.parametrize("mode", MODES)
async def test_a_preview_sends_nothing_and_its_code_sends_exactly_what_it_showed(case: Case, mode: Mode) -> None:
    async with conversation(mode, **only(case)) as talk:
        order_id, given = case.begin(talk)
        preview = await talk.call(case.tool, given)
        assert (preview["outcome"], talk.sent) == ("confirmation_required", [])
        done = await talk.call(case.tool, given, confirm=preview["confirm"]["code"])
        assert (done["outcome"], talk.sent) == ("applied", case.sent(talk, order_id))


@EVERY
async def test_the_same_code_again_is_already_applied_and_applies_nothing(case: Case) -> None:
    async with conversation(**only(case)) as talk:
        order_id, given = case.begin(talk)
        code = (await talk.call(case.tool, given))["confirm"]["code"]
        answers = [await talk.call(case.tool, given, confirm=code) for _ in range(3)]
        assert [answer["outcome"] for answer in answers] == ["applied", "already_applied", "already_applied"]
        assert talk.sent == case.sent(talk, order_id)


@EVERY
async def test_a_code_is_short_and_says_what_it_approves(case: Case) -> None:
    async with conversation(**only(case)) as talk:
        order_id, given = case.begin(talk)
        code = (await talk.call(case.tool, given))["confirm"]["code"]
        head, dot, tail = code.partition(f"-{order_id[:8]}.")
        assert (head, dot) == (case.first, f"-{order_id[:8]}.")
        assert len(code) <= 240
        assert tail.replace("-", "").replace("_", "").isalnum()


async def test_the_head_of_a_code_is_operation_amount_and_order() -> None:
    async with conversation(**SERVER) as talk:
        lines = [{"reference": "T", "name": "Towel", "quantity": 1, "total_amount": 19900}]
        order_id = talk.order(
            order_id="7849fd84-0000-4000-8000-00000000abcd",
            order_lines=lines,
            captures=[{"captured_amount": 19900}],
        )
        code = (await talk.call("refund_order", order_id=order_id, refunded_amount=19900))["confirm"]["code"]
        assert code.startswith("refund-199.00SEK-7849fd84.")


async def test_no_code_holds_anything_personal() -> None:
    """The head is all that can be read, and it never has a part of an address or a text."""
    async with conversation(**only(ADDRESS)) as talk:
        order_id, given = ADDRESS.begin(talk)
        code = (await talk.call(ADDRESS.tool, given))["confirm"]["code"]
        assert code.rpartition(".")[0] == f"change-address-{order_id[:8]}"
        assert not any(text in code for text in (*LUND.values(), "Testa", "Stockholm"))


def _cut(code: str) -> str:
    return code[:-1]


def _altered(code: str) -> str:
    return code[:-5] + ("A" if code[-5] != "A" else "B") + code[-4:]


def _cheaper(code: str) -> str:
    return "refund-1.00SEK-" + code.split("-", 2)[2]


def _other_bits(code: str) -> str:
    """Another spelling of the same bytes, where base64 leaves bits unused."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return code[:-1] + alphabet[alphabet.index(code[-1]) ^ 1]


SPOILT: dict[str, Callable[[str], Any]] = {
    "true": lambda _: True,
    "yes": lambda _: "yes",
    "the text true": lambda _: "true",
    "a number": lambda _: 1,
    "an object": lambda code: {"code": code},
    "a list": lambda code: [code],
    "a dot": lambda _: ".",
    "not ASCII": lambda _: "återbetala.ääää",
    "the head only": lambda code: code.rpartition(".")[0],
    "the tail only": lambda code: code.rpartition(".")[2],
    "cut": _cut,
    "longer": lambda code: code + "A",
    "too long": lambda code: code + "A" * 240,
    "padded": lambda code: code + "=",
    "altered": _altered,
    "other bits": _other_bits,
    "head swapped": _cheaper,
    "spaced": lambda code: f" {code}",
    "upper case": lambda code: code.upper(),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
async def test_what_is_not_a_code_never_executes_and_is_answered_with_a_fresh_one(spoil: Callable[[str], Any]) -> None:
    async with conversation(**only(REFUND)) as talk:
        order_id, given = REFUND.begin(talk)
        preview = await talk.call(REFUND.tool, given)
        answer = await talk.call(REFUND.tool, given, confirm=spoil(preview["confirm"]["code"]))
        assert (answer["outcome"], answer["error"]["code"], talk.sent) == ("not_sent", "CONFIRMATION_INVALID", [])
        assert (answer["error"]["field"], answer["error"]["retry"]) == ("confirm", "new_preview")
        assert answer["changes"] == preview["changes"]
        done = await talk.call(REFUND.tool, given, confirm=answer["confirm"]["code"])
        assert (done["outcome"], talk.sent) == ("applied", REFUND.sent(talk, order_id))


@pytest.mark.parametrize("nothing", [None, "", [], {}])
async def test_what_says_nothing_is_no_code_at_all(nothing: Any) -> None:
    async with conversation(**only(REFUND)) as talk:
        _, given = REFUND.begin(talk)
        preview = await talk.call(REFUND.tool, given, confirm=nothing)
        assert (preview["outcome"], talk.sent) == ("confirmation_required", [])


async def test_an_old_code_has_expired_and_the_fresh_one_works() -> None:
    now = Time()
    async with conversation(host=now.run, KUSTOM_CONFIRM_TTL="60", **only(REFUND)) as talk:
        order_id, given = REFUND.begin(talk)
        code = (await talk.call(REFUND.tool, given))["confirm"]["code"]
        now.pass_by(61)
        answer = await talk.call(REFUND.tool, given, confirm=code)
        assert (answer["outcome"], answer["error"]["code"], talk.sent) == ("not_sent", "CONFIRMATION_EXPIRED", [])
        assert (await talk.call(REFUND.tool, given, confirm=answer["confirm"]["code"]))["outcome"] == "applied"
        assert talk.sent == REFUND.sent(talk, order_id)


async def test_a_code_lives_as_long_as_the_setting_says() -> None:
    now = Time(start=1_800_000_000.0)
    async with conversation(host=now.run, KUSTOM_CONFIRM_TTL="60", **only(REFUND)) as talk:
        _, given = REFUND.begin(talk)
        confirm = (await talk.call(REFUND.tool, given))["confirm"]
        assert confirm["expires_at"] == "2027-01-15T08:01:00+00:00"
        now.pass_by(59)
        assert (await talk.call(REFUND.tool, given, confirm=confirm["code"]))["outcome"] == "applied"


OTHER_ARGUMENTS: tuple[tuple[Case, dict[str, Any]], ...] = (
    (REFUND, {"refunded_amount": 5001}),
    (REFUND, {"reference": "RET-2"}),
    (REFUND, {"description": "Returned"}),
    (REFUND, {"currency": "SEK"}),
    (AMOUNT, {"line_changes": [{"line": 1, "quantity": 0}]}),
    (ADDRESS, {"shipping_address": {**LUND, "city": "Malmö"}}),
    (DUE_DATE, {"number_of_days": 30}),
)


@pytest.mark.parametrize(("case", "other"), OTHER_ARGUMENTS, ids=name_of)
async def test_a_code_is_for_its_arguments_only(case: Case, other: dict[str, Any]) -> None:
    async with conversation(**only(case)) as talk:
        _, given = case.begin(talk)
        code = (await talk.call(case.tool, given))["confirm"]["code"]
        changed = given | other
        answer = await talk.call(case.tool, changed, confirm=code)
        assert (answer["outcome"], answer["error"]["code"], talk.sent) == ("not_sent", "CONFIRMATION_MISMATCH", [])
        assert ("changes" in answer) is (case is not DUE_DATE)
        done = await talk.call(case.tool, changed, confirm=answer["confirm"]["code"])
        assert (done["outcome"], len(talk.sent)) == ("applied", 1)


async def test_a_code_is_for_its_order_only() -> None:
    async with conversation(**only(REFUND)) as talk:
        (_, given), (_, other) = REFUND.begin(talk), REFUND.begin(talk)
        code = (await talk.call(REFUND.tool, given))["confirm"]["code"]
        answer = await talk.call(REFUND.tool, other, confirm=code)
        assert (answer["error"]["code"], talk.sent) == ("CONFIRMATION_MISMATCH", [])
        assert answer["confirm"]["code"].startswith(f"refund-50.00SEK-{other['order_id'][:8]}.")


async def test_a_code_is_for_its_tool_only() -> None:
    async with conversation(**SERVER) as talk:
        _, given = RELEASE.begin(talk)
        code = (await talk.call("release_remaining_authorization", given))["confirm"]["code"]
        answer = await talk.call("capture_order", given, captured_amount=6000, confirm=code)
        assert (answer["error"]["code"], talk.sent) == ("CONFIRMATION_MISMATCH", [])


PLAYGROUND: dict[str, Any] = {"KUSTOM_API_KEY": "kco_test_api_sandbox", "KUSTOM_USERNAME": "M100-anna", **SERVER}


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"KUSTOM_USERNAME": "M200-anna"}, id="merchant"),
        pytest.param({"KUSTOM_ENVIRONMENT": "sandbox"}, id="environment"),
        pytest.param({"KUSTOM_KEYS": "another invented key of thirty-two bytes"}, id="keys"),
    ],
)
async def test_a_code_is_for_its_merchant_environment_and_keys_only(other: dict[str, Any], tmp_path: Any) -> None:
    here: dict[str, Any] = PLAYGROUND | {"KUSTOM_STATE_DIR": str(tmp_path)}
    async with conversation(**here) as talk, conversation(simulator=talk.simulator, **here | other) as elsewhere:
        _, given = REFUND.begin(talk)
        code = (await talk.call(REFUND.tool, given))["confirm"]["code"]
        answer = await elsewhere.call(REFUND.tool, given, confirm=code)
        assert (answer["error"]["code"], elsewhere.sent) == ("CONFIRMATION_INVALID", [])
        assert "another one gave it" in answer["error"]["message"]
        made_up = await elsewhere.call(REFUND.tool, given, confirm="yes")
        assert "a preview gives one" in made_up["error"]["message"]
        assert (await talk.call(REFUND.tool, given, confirm=code))["outcome"] == "applied"


async def test_a_code_is_for_its_caller_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "demo-person-1")
    async with conversation(**only(REFUND)) as talk:
        monkeypatch.setenv("LOGNAME", "demo-person-2")
        async with conversation(simulator=talk.simulator, **only(REFUND)) as colleague:
            _, given = REFUND.begin(talk)
            code = (await talk.call(REFUND.tool, given))["confirm"]["code"]
            answer = await colleague.call(REFUND.tool, given, confirm=code)
            assert (answer["error"]["code"], talk.sent) == ("CONFIRMATION_INVALID", [])


async def test_a_code_works_on_another_replica_with_the_same_keys_and_while_keys_are_rotated() -> None:
    new: dict[str, Any] = {
        **only(REFUND),
        "KUSTOM_KEYS": f"a new invented key of thirty-two bytes,{SERVER['KUSTOM_KEYS']}",
    }
    async with conversation(**only(REFUND)) as talk, conversation(simulator=talk.simulator, **new) as replica:
        order_id, given = REFUND.begin(talk)
        code = (await talk.call(REFUND.tool, given))["confirm"]["code"]
        assert (await replica.call(REFUND.tool, given, confirm=code))["outcome"] == "applied"
        assert (await talk.call(REFUND.tool, given, confirm=code))["outcome"] == "already_applied"
        assert talk.sent == REFUND.sent(talk, order_id)
        fresh = (await replica.call(REFUND.tool, given))["confirm"]["code"]
        assert (await talk.call(REFUND.tool, given, confirm=fresh))["error"]["code"] == "CONFIRMATION_INVALID"


@EVERY
async def test_a_change_between_preview_and_confirmation_is_named_and_stops_the_write(case: Case) -> None:
    async with conversation(**only(case)) as talk:
        order_id, given = case.begin(talk)
        code = (await talk.call(case.tool, given))["confirm"]["code"]
        somebody(talk, order_id, case.change)
        answer = await talk.call(case.tool, given, confirm=code)
        assert (answer["outcome"], answer["error"]["code"], talk.sent) == ("not_sent", "STATE_CHANGED", [])
        assert answer["error"]["message"] == (
            f"The order has changed since this was approved ({case.says}). Nothing was sent."
        )
        assert (await talk.call(case.tool, given, confirm=answer["confirm"]["code"]))["outcome"] == "applied"
        assert len(talk.sent) == 1


IMPOSSIBLE_NOW = (
    (CANCEL, captured(12000), "status AUTHORIZED -> CAPTURED"),
    (AMOUNT, ("POST", "/cancel", None), "status AUTHORIZED -> CANCELLED"),
    (RELEASE, captured(6000), "status PART_CAPTURED -> CAPTURED"),
    (REFUND, refunded(12000), "refunded_amount 0.00 SEK -> 120.00 SEK"),
)


@pytest.mark.parametrize(("case", "change", "says"), IMPOSSIBLE_NOW, ids=name_of)
async def test_a_change_that_makes_it_impossible_is_named_as_a_change(case: Case, change: Any, says: str) -> None:
    async with conversation(**only(case)) as talk:
        order_id, given = case.begin(talk)
        code = (await talk.call(case.tool, given))["confirm"]["code"]
        somebody(talk, order_id, change)
        answer = await talk.call(case.tool, given, confirm=code)
        assert (answer["error"]["code"], talk.sent) == ("STATE_CHANGED", [])
        assert says in answer["error"]["message"]
        assert "confirm" not in answer


async def test_a_changed_line_stops_what_depends_on_lines() -> None:
    async with conversation(**only(AMOUNT)) as talk:
        order_id, given = AMOUNT.begin(talk)
        code = (await talk.call(AMOUNT.tool, given))["confirm"]["code"]
        talk.stored(order_id)["order_lines"][1]["name"] = "Teapot"
        answer = await talk.call(AMOUNT.tool, given, confirm=code)
        assert (answer["error"]["code"], talk.sent) == ("STATE_CHANGED", [])
        assert "its lines, its address or its entries were changed" in answer["error"]["message"]


async def test_an_equal_refund_of_somebody_else_is_a_change_and_is_told_by_its_reference() -> None:
    case = REFUND
    method, path, body = case.request
    async with conversation(**SERVER) as talk:
        order_id, given = case.begin(talk)
        code = (await talk.call(case.tool, given))["confirm"]["code"]
        somebody(talk, order_id, case.request)
        answer = await talk.call(case.tool, given, confirm=code)
        assert (answer["error"]["code"], "confirm" in answer, talk.sent) == ("STATE_CHANGED", True, [])
        named = {**given, "reference": "RMA-1"}
        code = (await talk.call(case.tool, named))["confirm"]["code"]
        somebody(talk, order_id, (method, path, {**body, "reference": "RMA-1"}))
        answer = await talk.call(case.tool, named, confirm=code)
        assert (answer["outcome"], talk.sent) == ("already_applied", [])
        made = next(one for one in talk.stored(order_id)["refunds"] if one.get("reference") == "RMA-1")
        there = f"The refund of 50.00 SEK is on the order: refund {made['refund_id']} of "
        assert answer["summary"].startswith(there)
        assert answer["next_step"].endswith("send it with another reference.")


@pytest.mark.parametrize("case", VALUES, ids=name_of)
async def test_what_somebody_else_has_done_already_is_not_done_again_and_not_claimed(case: Case) -> None:
    async with conversation(**SERVER) as talk:
        order_id, given = case.begin(talk)
        code = (await talk.call(case.tool, given))["confirm"]["code"]
        somebody(talk, order_id, case.request)
        answer = await talk.call(case.tool, given, confirm=code)
        assert (answer["outcome"], talk.sent) == ("already_applied", [])
        assert answer["summary"] == "The order is exactly as this would leave it. Nothing was sent by this call."


@pytest.mark.parametrize("case", [CANCEL, AMOUNT, ADDRESS], ids=name_of)
async def test_a_first_call_for_what_is_so_already_asks_nothing(case: Case) -> None:
    async with conversation(**only(case)) as talk:
        order_id, given = case.begin(talk)
        somebody(talk, order_id, case.request)
        answer = await talk.call(case.tool, given)
        assert (answer["outcome"], talk.sent, "confirm" in answer) == ("already_applied", [], False)
        assert answer["summary"].endswith("already. Nothing was sent by this call.")


async def test_two_codes_for_the_same_refund_on_the_same_facts_are_one_refund() -> None:
    async with conversation(**only(REFUND)) as talk:
        order_id, given = REFUND.begin(talk)
        codes = [(await talk.call(REFUND.tool, given))["confirm"]["code"] for _ in range(2)]
        assert codes[0] != codes[1]
        answers = [await talk.call(REFUND.tool, given, confirm=code) for code in codes]
        assert [answer["outcome"] for answer in answers] == ["applied", "already_applied"]
        assert talk.stored(order_id)["refunded_amount"] == 5000


async def test_going_to_and_fro_is_a_change_each_time() -> None:
    async with conversation(**SERVER) as talk:
        order_id, _ = AMOUNT.begin(talk)
        for quantity in (1, 2, 1, 2):
            changes = [{"line": 1, "quantity": quantity}]
            done = await talk.confirmed("update_order_amount", order_id=order_id, line_changes=changes)
            assert done["outcome"] == "applied"
            assert talk.stored(order_id)["order_amount"] == 2000 + quantity * 5000
        assert len({seen.key for seen in talk.writes}) == 4


@pytest.mark.parametrize(
    ("case", "back"),
    [(AMOUNT, amount(2, 1)), (ADDRESS, ("PATCH", "/customer-details", {"shipping_address": "before"}))],
    ids=name_of,
)
async def test_a_used_code_is_worth_nothing_after_the_order_was_changed_back(case: Case, back: Any) -> None:
    async with conversation(**only(case)) as talk:
        order_id, given = case.begin(talk)
        before = dict(talk.stored(order_id)["shipping_address"])
        code = (await talk.call(case.tool, given))["confirm"]["code"]
        assert (await talk.call(case.tool, given, confirm=code))["outcome"] == "applied"
        method, path, body = back
        somebody(talk, order_id, (method, path, body if case is AMOUNT else {"shipping_address": before}))
        talk.mark()
        answer = await talk.call(case.tool, given, confirm=code)
        assert (answer["outcome"], answer["error"]["code"], talk.sent) == ("not_sent", "CONFIRMATION_INVALID", [])
        assert (await talk.call(case.tool, given, confirm=answer["confirm"]["code"]))["outcome"] == "applied"
        assert len(talk.sent) == 1


async def test_a_code_that_met_an_effect_of_somebody_else_is_used_up_too() -> None:
    async with conversation(**only(AMOUNT)) as talk:
        order_id, given = AMOUNT.begin(talk)
        code = (await talk.call(AMOUNT.tool, given))["confirm"]["code"]
        somebody(talk, order_id, AMOUNT.request)
        assert (await talk.call(AMOUNT.tool, given, confirm=code))["outcome"] == "already_applied"
        somebody(talk, order_id, amount(2, 1))
        assert (await talk.call(AMOUNT.tool, given, confirm=code))["error"]["code"] == "CONFIRMATION_INVALID"
        assert talk.sent == []


async def test_fifty_redemptions_of_one_code_at_once_are_one_refund() -> None:
    async with conversation(**only(REFUND), KUSTOM_WRITES_PER_MINUTE="100") as talk:
        order_id, given = REFUND.begin(talk)
        code = (await talk.call(REFUND.tool, given))["confirm"]["code"]
        outcomes: list[str] = []

        async def redeem() -> None:
            outcomes.append((await talk.call(REFUND.tool, given, confirm=code))["outcome"])

        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(redeem)
        assert sorted(outcomes) == ["already_applied"] * 49 + ["applied"]
        assert (talk.sent, talk.stored(order_id)["refunded_amount"]) == (REFUND.sent(talk, order_id), 5000)


@pytest.mark.parametrize("case", [DUE_DATE, CANCEL], ids=name_of)
async def test_redemptions_at_once_are_one_effect_even_if_kustom_forgets_keys(case: Case) -> None:
    async with conversation(**only(case)) as talk:
        order_id, given = case.begin(talk)
        code = (await talk.call(case.tool, given))["confirm"]["code"]
        outcomes: list[str] = []

        async def redeem() -> None:
            outcomes.append((await talk.call(case.tool, given, confirm=code))["outcome"])

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(redeem)
        assert sorted(outcomes) == ["already_applied"] * 4 + ["applied"]
        assert talk.sent == case.sent(talk, order_id)


async def test_of_two_racing_amount_changes_one_is_told_that_the_order_changed() -> None:
    async with conversation(**SERVER) as talk:
        order_id, _ = AMOUNT.begin(talk)
        answers: dict[int, dict[str, Any]] = {}
        calls: dict[int, dict[str, Any]] = {
            quantity: {"order_id": order_id, "line_changes": [{"line": 1, "quantity": quantity}]} for quantity in (0, 1)
        }
        codes = {
            quantity: (await talk.call("update_order_amount", given))["confirm"]["code"]
            for quantity, given in calls.items()
        }

        async def change(quantity: int) -> None:
            answers[quantity] = await talk.call("update_order_amount", calls[quantity], confirm=codes[quantity])

        async with anyio.create_task_group() as group:
            for quantity in calls:
                group.start_soon(change, quantity)
        applied = [quantity for quantity, answer in answers.items() if answer["outcome"] == "applied"]
        (lost,) = [answer for answer in answers.values() if answer["outcome"] != "applied"]
        assert (len(applied), lost["error"]["code"]) == (1, "STATE_CHANGED")
        assert talk.stored(order_id)["order_amount"] == 2000 + applied[0] * 5000


async def test_two_changes_to_the_same_total_are_not_taken_for_each_other() -> None:
    """The lines tell them apart: the same references and quantities with prices shared out differently."""
    async with conversation(**SERVER) as talk:
        order_id, _ = AMOUNT.begin(talk)

        def lines(lamps: int) -> list[dict[str, Any]]:
            prices = {"A": lamps, "B": 10000 - lamps}
            return [
                {**stored, "unit_price": price, "total_amount": price, "quantity": 1, "total_tax_amount": price // 5}
                for stored in talk.stored(order_id)["order_lines"]
                for price in [prices[stored["reference"]]]
            ]

        given: dict[str, Any] = {"order_id": order_id, "order_amount": 10000, "order_lines": lines(9000)}
        code = (await talk.call("update_order_amount", given))["confirm"]["code"]
        somebody(talk, order_id, ("PATCH", "/authorization", {"order_amount": 10000, "order_lines": lines(8000)}))
        answer = await talk.call("update_order_amount", given, confirm=code)
        assert (answer["outcome"], answer.get("error", {}).get("code")) == ("not_sent", "STATE_CHANGED")


async def test_a_host_that_declares_no_forms_gets_codes_in_the_default_mode_and_a_host_with_forms_in_code_mode() -> (
    None
):

    async with (
        conversation(**only(REFUND)) as plain,
        conversation(person=yes, KUSTOM_CONFIRM="code", **only(REFUND)) as forms,
    ):
        for talk in (plain, forms):
            _, given = REFUND.begin(talk)
            assert "code" in (await talk.call(REFUND.tool, given))["confirm"]
            assert (talk.sent, talk.questions) == ([], [])


@pytest.mark.parametrize("order", [ALL], ids=["captured"])
async def test_null_means_that_no_code_was_given(order: dict[str, Any]) -> None:
    async with conversation(**SERVER) as talk:
        given = {"order_id": talk.order(**order, order_amount=12000), "refunded_amount": 5000, "confirm": None}
        assert (await talk.call("refund_order", given))["outcome"] == "confirmation_required"
