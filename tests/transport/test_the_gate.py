"""The gate over real stdio: every means of approval, every way in which an approval is none, in both eras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mcp.types import ElicitResult

from tests.support.sample import sampled
from tests.transport.host import MODES, Mode, hosting, yes
from tests.transport.kustom import Kustom, demo

both_eras = pytest.mark.parametrize("mode", sampled(MODES, 2))

TOWEL = demo("captured-sek")
BLANKETS = demo("authorized-sek")
TOMATOES = demo("documentation-tomatoes")
CANCELLED = demo("cancelled-eur")
ONE_TOWEL = {"order_id": TOWEL, "lines": [{"line": 1, "quantity": 1}]}
REFUND = ("POST", "refunds")


def refunded(kustom: Kustom) -> list[int]:
    return [refund["refunded_amount"] for refund in kustom.order(TOWEL)["refunds"]]


@both_eras
async def test_a_code_is_for_exactly_one_call_and_one_effect(mode: Mode, kustom: Kustom, tmp_path: Path) -> None:
    async with hosting(kustom, tmp_path, mode) as talk:
        preview = await talk.call("refund_order", ONE_TOWEL)
        code = preview["confirm"]["code"]
        other = await talk.call("cancel_order", order_id=BLANKETS)
        wrong = [
            await talk.call("refund_order", ONE_TOWEL, confirm=given)
            for given in (True, "yes", code[:-1], f"refund-1.00SEK-55e7d67e.{code.rpartition('.')[2]}", 1)
        ]
        foreign = [
            await talk.call("refund_order", ONE_TOWEL, reference="another", confirm=code),
            await talk.call("refund_order", ONE_TOWEL, confirm=other["confirm"]["code"]),
        ]
        nothing_yet = refunded(kustom)
        done = await talk.call("refund_order", ONE_TOWEL, confirm=code)
        again = await talk.call("refund_order", ONE_TOWEL, confirm=code)
        over = await talk.call("cancel_order", order_id=CANCELLED)
    assert preview["outcome"] == "confirmation_required"
    assert code.startswith("refund-199.00SEK-55e7d67e.")
    assert len(code) <= 240
    assert [answer["error"]["code"] for answer in wrong] == ["CONFIRMATION_INVALID"] * 5
    assert [answer["error"]["code"] for answer in foreign] == ["CONFIRMATION_MISMATCH"] * 2
    assert all(answer["changes"] == preview["changes"] and answer["confirm"] for answer in [*wrong, *foreign])
    assert nothing_yet == []
    assert (done["outcome"], again["outcome"], over["outcome"]) == ("applied", "already_applied", "already_applied")
    assert refunded(kustom) == [19900]
    assert [write[:2] for write in kustom.writes] == [REFUND]


@both_eras
async def test_an_order_that_changed_after_the_preview_is_not_touched(
    mode: Mode, kustom: Kustom, tmp_path: Path
) -> None:
    async with hosting(kustom, tmp_path, mode) as talk:
        preview = await talk.call("cancel_order", order_id=TOMATOES)
        kustom.change("POST", f"/orders/{TOMATOES}/captures", {"captured_amount": 1000})
        refused = await talk.call("cancel_order", order_id=TOMATOES, confirm=preview["confirm"]["code"])
        refund = await talk.call("refund_order", ONE_TOWEL)
        kustom.change("POST", f"/orders/{TOWEL}/refunds", {"refunded_amount": 100})
        changed = await talk.call("refund_order", ONE_TOWEL, confirm=refund["confirm"]["code"])
        kustom.change("POST", f"/orders/{BLANKETS}/cancel")
        over = await talk.call("cancel_order", order_id=BLANKETS)
    assert refused["error"]["code"] in ("STATE_CHANGED", "ACTION_NOT_ALLOWED")
    assert changed["error"]["code"] == "STATE_CHANGED"
    assert "refunded_amount 0.00 SEK -> 1.00 SEK" in changed["summary"]
    assert changed["confirm"]["code"] != refund["confirm"]["code"]
    assert over["outcome"] == "already_applied"
    assert refunded(kustom) == [100]
    assert kustom.listed()[TOMATOES] == "PART_CAPTURED"


NOT_YES = [
    ElicitResult(action="decline"),
    ElicitResult(action="cancel"),
    ElicitResult(action="accept", content={"approve": False}),
    ElicitResult(action="accept", content={"approve": "true"}),
    ElicitResult(action="accept", content={"confirm": True}),
    ElicitResult(action="accept"),
]


@both_eras
async def test_anything_but_an_explicit_yes_sends_nothing(mode: Mode, kustom: Kustom, tmp_path: Path) -> None:
    given = iter(NOT_YES)
    async with hosting(kustom, tmp_path, mode, lambda _: next(given)) as talk:
        answers = [await talk.call("refund_order", ONE_TOWEL) for _ in NOT_YES]
    assert [answer["outcome"] for answer in answers] == ["declined"] * len(NOT_YES)
    assert all("KUSTOM_CONFIRM=code" in answer["next_step"] and "confirm" not in answer for answer in answers)
    assert len(talk.questions) == len(NOT_YES)
    assert kustom.writes == []


@both_eras
async def test_a_person_is_asked_about_these_facts_only(mode: Mode, kustom: Kustom, tmp_path: Path) -> None:
    """The order changes while the person reads the form."""

    def slow(_: str) -> ElicitResult:
        kustom.change("POST", f"/orders/{TOWEL}/refunds", {"refunded_amount": 100})
        return ElicitResult(action="accept", content={"approve": True})

    async with hosting(kustom, tmp_path, mode, slow) as talk:
        answer = await talk.call("refund_order", ONE_TOWEL)
    assert answer["error"]["code"] == "STATE_CHANGED"
    assert "confirm" not in answer
    assert refunded(kustom) == [100]


async def test_the_operator_says_by_which_means_and_a_code_outlives_process_and_era(
    kustom: Kustom, tmp_path: Path
) -> None:
    """Four processes without a common state; the keys that seal codes are given."""
    keys: dict[str, Any] = {"KUSTOM_KEYS": "k" * 32}
    async with hosting(kustom, tmp_path / "code", "legacy", yes, KUSTOM_CONFIRM="code", **keys) as talk:
        preview = await talk.call("refund_order", ONE_TOWEL)
    code = preview["confirm"]["code"]
    assert (preview["outcome"], talk.questions) == ("confirmation_required", [])
    async with hosting(kustom, tmp_path / "form", "auto", KUSTOM_CONFIRM="form") as talk:
        refused = [await talk.call("refund_order", ONE_TOWEL), await talk.call("refund_order", ONE_TOWEL, confirm=code)]
    assert refused[0]["error"]["code"] == "HUMAN_APPROVAL_UNAVAILABLE"
    assert refused[1]["error"]["code"] in ("HUMAN_APPROVAL_UNAVAILABLE", "CONFIRMATION_INVALID")
    assert not any("confirm" in answer for answer in refused)
    assert kustom.writes == []
    async with hosting(kustom, tmp_path / "new", "auto", yes, KUSTOM_CONFIRM="code", **keys) as talk:
        outcomes = [(await talk.call("refund_order", ONE_TOWEL, confirm=code))["outcome"] for _ in range(2)]
    assert (outcomes, talk.questions) == (["applied", "already_applied"], [])
    assert refunded(kustom) == [19900]
    async with hosting(kustom, tmp_path / "person", "legacy", yes, KUSTOM_CONFIRM="form") as talk:
        done = await talk.call("refund_order", order_id=TOWEL, refunded_amount=4900)
    assert (done["outcome"], len(talk.questions)) == ("applied", 1)
    assert refunded(kustom) == [19900, 4900]


@both_eras
async def test_a_flag_executes_once(mode: Mode, kustom: Kustom, tmp_path: Path) -> None:
    async with hosting(kustom, tmp_path, mode, KUSTOM_CONFIRM="flag") as talk:
        (tool,) = [tool for tool in (await talk.client.list_tools()).tools if tool.name == "kustom_refund_order"]
        previews = [await talk.call("refund_order", ONE_TOWEL, **given) for given in ({}, {"confirm": False})]
        text = await talk.call("refund_order", ONE_TOWEL, confirm="true")
        done = await talk.call("refund_order", ONE_TOWEL, confirm=True)
        again = await talk.call("refund_order", ONE_TOWEL, confirm=True)
        meant = await talk.call("refund_order", order_id=TOWEL, refunded_amount=4900, reference="RET-2", confirm=True)
    assert tool.input_schema["properties"]["confirm"]["type"] == "boolean"
    assert [(answer["outcome"], "confirm" in answer) for answer in previews] == [("confirmation_required", False)] * 2
    assert text["error"]["code"] == "INVALID_ARGUMENT"
    assert [answer["outcome"] for answer in (done, again, meant)] == ["applied", "already_applied", "applied"]
    assert refunded(kustom) == [19900, 4900]


async def test_the_same_wish_of_two_assistants_is_one_refund_and_a_change_back_is_a_new_one(
    kustom: Kustom, tmp_path: Path
) -> None:
    """Two processes at the same time; and an amount that goes down, up, and down again."""
    state, quantities = tmp_path, list[int]()
    async with hosting(kustom, state, "auto") as one, hosting(kustom, state, "legacy") as two:
        codes = [(await talk.call("refund_order", ONE_TOWEL))["confirm"]["code"] for talk in (one, two)]
        outcomes: list[str] = []
        for talk, code in ((one, codes[0]), (two, codes[1])):
            outcomes.append((await talk.call("refund_order", ONE_TOWEL, confirm=code))["outcome"])
        for quantity in (9, 10, 9, 10):
            await one.agreed("update_order_amount", order_id=TOMATOES, line_changes=[{"line": 1, "quantity": quantity}])
            quantities.append(kustom.order(TOMATOES)["order_lines"][0]["quantity"])
    assert outcomes == ["applied", "already_applied"]
    assert refunded(kustom) == [19900]
    assert quantities == [9, 10, 9, 10]


@both_eras
async def test_an_answer_that_does_not_tell_is_settled_by_reading_or_stays_unknown_with_its_code(
    mode: Mode, kustom: Kustom, tmp_path: Path
) -> None:
    socks = demo("two-captures-nok")
    capture = kustom.order(socks)["captures"][0]["capture_id"]
    extend = {"order_id": socks, "capture_id": capture, "number_of_days": 14}
    refunds = "/orders/{order_id}/refunds"
    async with hosting(kustom, tmp_path, mode) as talk:
        kustom.fault("POST", refunds, "lose_response")
        lost = await talk.agreed("refund_order", ONE_TOWEL)
        kustom.fault("POST", refunds, "late_status", status=503)
        late = await talk.agreed("refund_order", order_id=TOWEL, refunded_amount=4900)
        kustom.fault("POST", refunds, "status", status=503)
        before = await talk.agreed("refund_order", order_id=TOWEL, refunded_amount=100)
        kustom.fault("PATCH", "/orders/{order_id}/captures/{capture_id}/extend-due-date", "lose_response")
        unknown = await talk.agreed("extend_due_date", extend)
        without = await talk.call("extend_due_date", extend)
    assert [answer["outcome"] for answer in (lost, late, before)] == ["applied"] * 3
    assert refunded(kustom) == [19900, 4900, 100]
    posts = [seen["key"] for seen in kustom.requests if seen["method"] == "POST"]
    assert (len(posts), len(set(posts))) == (4, 3)
    assert [answer["error"]["code"] for answer in (unknown, without)] == ["OUTCOME_UNKNOWN", "WRITE_IN_DOUBT"]
    assert not any("confirm" in answer for answer in (unknown, without))
    assert [write[:2] for write in kustom.writes if write[0] == "PATCH"] == [
        ("PATCH", f"captures/{capture}/extend-due-date")
    ]


ORDER = "/orders/{order_id}"
REFUNDS = f"{ORDER}/refunds"
READS = {"limits the rate": (429, 3), "did not accept the credentials": (401, 1), "There is no order": (404, 1)}
RESENDS = {"limits the rate": (429, 4), "refused the request (HTTP 400)": (400, 1), "There is no order": (404, 1)}
"""The message, and Kustom's answer, so many times that no attempt of one call gets another answer."""
SETTINGS: dict[str, dict[str, Any]] = {
    "There is no order": {"KUSTOM_ORDER_SCOPE": BLANKETS},
    "KUSTOM_WRITES": {"KUSTOM_WRITES": "deny"},
}


@pytest.mark.parametrize(
    ("mode", "fault", "ends"),
    sampled([("auto", "lose_response", "already_applied"), ("legacy", "reset", "applied")], 2),
)
async def test_whatever_stops_the_repeat_of_a_write_in_doubt_it_stays_unknown(
    mode: Mode, fault: str, ends: str, kustom: Kustom, tmp_path: Path
) -> None:
    """Refunds made without an answer, and those not made: in the process that sent it, and in others after it."""
    async with hosting(kustom, tmp_path, mode) as talk:
        code = (await talk.call("refund_order", ONE_TOWEL))["confirm"]["code"]
        kustom.fault("POST", REFUNDS, fault)
        kustom.fault("GET", ORDER, "delay", seconds=0)
        kustom.fault("GET", ORDER, "status", status=503, times=3)
        code = (await talk.call("refund_order", ONE_TOWEL, confirm=code))["confirm"]["code"]
        # What was refunded is found before anything is sent again, so only reads can stop that.
        method, path, stops = ("GET", ORDER, READS) if fault == "lose_response" else ("POST", REFUNDS, RESENDS)
        for says, (status, times) in stops.items():
            kustom.fault(method, path, "status", status=status, times=times)
            stopped = await talk.call("refund_order", ONE_TOWEL, confirm=code)
            assert (stopped["outcome"], stopped["error"]["code"]) == ("unknown", "OUTCOME_UNKNOWN")
            assert says in stopped["error"]["message"]
            assert stopped["error"]["message"].endswith("Nothing more was sent.")
            assert kustom.met
    for says, changed in SETTINGS.items():
        async with hosting(kustom, tmp_path, mode, open_writes=1, **changed) as restarted:
            stopped = await restarted.call("refund_order", ONE_TOWEL, confirm=code)
            assert (stopped["outcome"], says in stopped["error"]["message"]) == ("unknown", True)
    async with hosting(kustom, tmp_path, mode, open_writes=1) as restarted:
        assert (await restarted.call("refund_order", ONE_TOWEL, confirm=code))["outcome"] == ends
    assert refunded(kustom) == [19900]
