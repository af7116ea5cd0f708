"""Confirmation by flag: trusted automation says true, once."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from kustom_mcp.tools.catalog import CATALOG
from tests.calls.faults_of_a_write import in_doubt, line_mended
from tests.calls.gated_operations import AMOUNT, CAPTURE, DUE_DATE, GATED, REFUND, Case, amount, name_of, only, somebody
from tests.calls.quick import ALL, Time, quickly
from tests.support.conversation import MODES, Mode, conversation, yes

FLAG: dict[str, Any] = {**ALL, "KUSTOM_CONFIRM": "flag"}
EVERY = pytest.mark.parametrize("case", GATED, ids=name_of)


async def test_confirm_is_a_boolean_in_the_schema_and_a_text_in_the_other_modes() -> None:
    kinds: dict[str, set[str]] = {}
    for mode in ("flag", "auto", "code", "form"):
        async with conversation(KUSTOM_CONFIRM=mode, **ALL) as talk:
            listed = (await talk.client.list_tools()).tools
            confirms = {
                tool.name: tool.input_schema["properties"]["confirm"]["type"]
                for tool in listed
                if "confirm" in tool.input_schema["properties"]
            }
            kinds[mode] = set(confirms.values())
            assert confirms.keys() == {tool.name for tool in CATALOG.values() if tool.effect.gated}
    assert kinds == {"flag": {"boolean"}, "auto": {"string"}, "code": {"string"}, "form": {"string"}}


@EVERY
@pytest.mark.parametrize("mode", MODES)
async def test_true_executes_in_one_call(mode: Mode, case: Case) -> None:
    async with conversation(mode, **only(case, FLAG)) as talk:
        order_id, given = case.begin(talk)
        done = await talk.call(case.tool, given, confirm=True)
        assert (done["outcome"], talk.sent) == ("applied", case.sent(talk, order_id))


@EVERY
@pytest.mark.parametrize("flag", [{"confirm": False}, {}, {"confirm": None}, {"confirm": ""}], ids=repr)
async def test_anything_else_previews_without_a_code(case: Case, flag: dict[str, Any]) -> None:
    async with conversation(person=yes, **only(case, FLAG)) as talk:
        _, given = case.begin(talk)
        preview = await talk.call(case.tool, given | flag)
        assert (preview["outcome"], "confirm" in preview, talk.sent) == ("confirmation_required", False, [])
        assert preview["next_step"].endswith("confirm: true.")
        assert talk.questions == []


@pytest.mark.parametrize("flag", ["true", "yes", " ", 1, 0, [True], {"confirm": True}])
async def test_what_only_looks_like_true_is_refused(flag: Any) -> None:
    async with conversation(**only(REFUND, FLAG)) as talk:
        _, given = REFUND.begin(talk)
        answer = await talk.call(REFUND.tool, given, confirm=flag)
        assert (answer["outcome"], answer["error"]["code"], talk.sent) == ("not_sent", "INVALID_ARGUMENT", [])
        assert answer["error"]["field"] == "confirm"


async def test_a_code_is_nothing_here() -> None:
    async with conversation(**ALL) as codes, conversation(simulator=codes.simulator, **only(REFUND, FLAG)) as talk:
        _, given = REFUND.begin(talk)
        code = (await codes.call(REFUND.tool, given))["confirm"]["code"]
        answer = await talk.call(REFUND.tool, given, confirm=code)
        assert (answer["error"]["code"], talk.sent) == ("INVALID_ARGUMENT", [])


@EVERY
async def test_the_identical_call_is_already_applied(case: Case) -> None:
    async with conversation(**only(case, FLAG)) as talk:
        order_id, given = case.begin(talk)
        outcomes = [(await talk.call(case.tool, given, confirm=True))["outcome"] for _ in range(3)]
        assert outcomes == ["applied", "already_applied", "already_applied"]
        assert talk.sent == case.sent(talk, order_id)


async def test_the_identical_call_says_that_it_was_carried_out_and_not_by_whom() -> None:
    async with conversation(**only(REFUND, FLAG)) as talk:
        _, given = REFUND.begin(talk)
        await talk.call(REFUND.tool, given, confirm=True)
        answer = await talk.call(REFUND.tool, given, confirm=True)
        assert answer["summary"] == (
            "An identical call was carried out, or found done, a short while ago. Nothing was sent by this call."
        )


@pytest.mark.parametrize("case", [REFUND, CAPTURE], ids=name_of)
async def test_another_reference_is_another_intent(case: Case) -> None:
    async with conversation(**only(case, FLAG)) as talk:
        _, given = case.begin(talk)
        given = {**given, next(iter(case.arguments)): 1000}
        answers = [await talk.call(case.tool, given, confirm=True, reference=text) for text in ("R-1", "R-2", "R-1")]
        outcomes = [answer["outcome"] for answer in answers]
        assert outcomes == ["applied", "applied", "already_applied"]
        assert [body["reference"] for _, _, body in talk.sent] == ["R-1", "R-2"]
        assert len({seen.key for seen in talk.writes}) == 2


async def test_the_identical_call_is_a_new_one_after_the_time_is_over() -> None:
    now = Time()
    async with conversation(host=now.run, KUSTOM_CONFIRM_TTL="60", **only(REFUND, FLAG)) as talk:
        _, given = REFUND.begin(talk)
        outcomes: list[str] = []
        for seconds in (59, 2, 0):
            outcomes.append((await talk.call(REFUND.tool, given, confirm=True))["outcome"])
            now.pass_by(seconds)
        assert (outcomes, len(talk.sent)) == (["applied", "already_applied", "applied"], 2)


async def test_a_change_that_was_changed_back_may_be_made_again() -> None:
    """The order shows that it is not so, so saying that it was applied would be wrong."""
    async with conversation(**only(AMOUNT, FLAG)) as talk:
        order_id, given = AMOUNT.begin(talk)
        assert (await talk.call(AMOUNT.tool, given, confirm=True))["outcome"] == "applied"
        somebody(talk, order_id, amount(2, 1))
        assert (await talk.call(AMOUNT.tool, given, confirm=True))["outcome"] == "applied"
        assert talk.stored(order_id)["order_amount"] == 7000


async def test_calls_at_once_are_one_effect() -> None:
    async with conversation(**only(REFUND, FLAG)) as talk:
        order_id, given = REFUND.begin(talk)
        outcomes: list[str] = []

        async def refund() -> None:
            outcomes.append((await talk.call(REFUND.tool, given, confirm=True))["outcome"])

        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(refund)
        assert sorted(outcomes) == ["already_applied"] * 9 + ["applied"]
        assert talk.stored(order_id)["refunded_amount"] == 5000


async def test_a_lost_answer_is_settled_by_the_identical_call_and_stays_settled() -> None:
    async with conversation(host=quickly, **only(REFUND, FLAG)) as talk:
        order_id, given = REFUND.begin(talk)
        in_doubt(talk, "lose_response")
        answer = await talk.call(REFUND.tool, given, confirm=True)
        assert (answer["outcome"], "confirm" in answer) == ("unknown", False)
        line_mended(talk)
        outcomes = [(await talk.call(REFUND.tool, given, confirm=True))["outcome"] for _ in range(3)]
        assert outcomes == ["applied", "already_applied", "already_applied"]
        assert talk.stored(order_id)["refunded_amount"] == 5000


async def test_a_lost_request_is_sent_by_the_identical_call_with_the_same_key() -> None:
    async with conversation(host=quickly, **only(REFUND, FLAG)) as talk:
        order_id, given = REFUND.begin(talk)
        in_doubt(talk, "reset")
        assert (await talk.call(REFUND.tool, given, confirm=True))["outcome"] == "unknown"
        line_mended(talk)
        outcomes = [(await talk.call(REFUND.tool, given, confirm=True))["outcome"] for _ in range(2)]
        assert outcomes == ["applied", "already_applied"]
        assert talk.stored(order_id)["refunded_amount"] == 5000
        assert len({seen.key for seen in talk.writes}) == 1


async def test_a_due_date_is_not_extended_twice_by_a_repeat() -> None:
    async with conversation(**only(DUE_DATE, FLAG)) as talk:
        order_id, given = DUE_DATE.begin(talk)
        for _ in range(2):
            await talk.call(DUE_DATE.tool, given, confirm=True)
        assert talk.sent == DUE_DATE.sent(talk, order_id)


async def test_the_currency_is_a_check_and_makes_no_other_call() -> None:
    async with conversation(**only(REFUND, FLAG)) as talk:
        _, given = REFUND.begin(talk)
        calls = [given, {**given, "currency": "SEK"}, {**given, "currency": "sek"}]
        answers = [await talk.call(REFUND.tool, call, confirm=True) for call in calls]
        assert [answer["outcome"] for answer in answers] == ["applied", "already_applied", "already_applied"]
        assert len(talk.sent) == 1
