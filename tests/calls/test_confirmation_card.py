"""Confirmation in the order card: the model gets a preview without a code, and only the card's page can answer it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from mcp import MCPError
from mcp.client.extension import ClientExtension, advertise
from mcp.types import TextResourceContents

from kustom_mcp.calls.card import APPROVE, EXTENSION, ORDER_CARD, PAGE_TYPE
from kustom_mcp.schema.result import compact
from kustom_mcp.simulator.app import Simulator
from tests.calls.faults_of_a_write import in_doubt, line_mended
from tests.calls.gated_operations import (
    ADDRESS,
    CANCEL,
    DUE_DATE,
    GATED,
    LUND,
    READABLE,
    REFUND,
    Case,
    name_of,
    only,
    refunded,
    somebody,
)
from tests.calls.quick import ALL as SERVER
from tests.calls.quick import Time, quickly
from tests.support.conversation import CARDS, MODES, Mode, Talk, conversation, yes

CARD: dict[str, Any] = {**SERVER, "KUSTOM_CONFIRM": "card"}
EVERY = pytest.mark.parametrize("case", GATED, ids=name_of)
SEAL = re.compile(r'<meta name="kustom-seal" content="(\w*)">')


def with_(**other: Any) -> dict[str, Any]:
    """The settings of a server for cards, and others."""
    return {**CARD, **other}


@dataclass
class Card:
    """A card that a host shows for one preview: what its page does, without the page."""

    talk: Talk
    tool: str
    given: Mapping[str, Any]
    state: str
    seal: str

    async def preview(self, **other: Any) -> dict[str, Any]:
        return await self._asks(**{"state": self.state, **other})

    async def answer(self, code: str, *, approve: bool = True, **other: Any) -> dict[str, Any]:
        return await self._asks(**{"code": code, "approve": approve, **other})

    async def _asks(self, **sent: Any) -> dict[str, Any]:
        return await self.talk.call(APPROVE, {"seal": self.seal, "tool": self.tool, "arguments": self.given, **sent})


async def page(talk: Talk) -> str:
    (contents,) = (await talk.client.read_resource(ORDER_CARD)).contents
    assert isinstance(contents, TextResourceContents)
    return contents.text


async def shown(talk: Talk, case: Case, given: Mapping[str, Any]) -> Card:
    """The host shows the card for the first call. It must have sent nothing, and hold no code."""
    answer = await talk.call(case.tool, given)
    assert (answer["outcome"], talk.sent) == ("confirmation_required", [])
    tool = f"kustom_{case.tool}"
    assert answer["confirm"] == {"tool": tool, "state": answer["confirm"]["state"]}
    found = SEAL.search(await page(talk))
    assert found
    assert found[1] not in compact(answer)
    return Card(talk, tool, given, answer["confirm"]["state"], found[1])


@EVERY
@pytest.mark.parametrize("mode", MODES)
async def test_a_yes_in_the_card_sends_exactly_what_was_previewed_once(case: Case, mode: Mode) -> None:
    async with conversation(mode, extensions=CARDS, **only(case, CARD)) as talk:
        order_id, given = case.begin(talk)
        card = await shown(talk, case, given)
        preview = await card.preview()
        assert (preview["outcome"], talk.sent) == ("confirmation_required", [])
        code = preview["confirm"]["code"]
        answers = [await card.answer(code) for _ in range(3)]
        assert [answer["outcome"] for answer in answers] == ["applied", "already_applied", "already_applied"]
        assert talk.sent == case.sent(talk, order_id)


@EVERY
async def test_a_no_in_the_card_sends_nothing(case: Case) -> None:
    async with conversation(extensions=CARDS, **only(case, CARD)) as talk:
        _, given = case.begin(talk)
        card = await shown(talk, case, given)
        code = (await card.preview())["confirm"]["code"]
        answer = await card.answer(code, approve=False)
        assert (answer["outcome"], talk.sent) == ("declined", [])
        assert "KUSTOM_CONFIRM" not in answer["next_step"]


OTHER_TYPE = (advertise(EXTENSION, {"mimeTypes": ["text/html"]}),)
WITHOUT: dict[str, Sequence[ClientExtension]] = {
    "nothing": (),
    "no types": (advertise(EXTENSION),),
    "another type": OTHER_TYPE,
}


@pytest.mark.parametrize("extensions", WITHOUT.values(), ids=WITHOUT)
@pytest.mark.parametrize("mode", MODES)
async def test_a_host_that_shows_no_cards_cannot_get_an_approval(
    mode: Mode, extensions: Sequence[ClientExtension]
) -> None:
    async with conversation(mode, yes, extensions=extensions, **only(REFUND, CARD)) as talk:
        _, given = REFUND.begin(talk)
        found = SEAL.search(await page(talk))
        assert found
        answers = [
            await talk.call(REFUND.tool, given),
            await Card(talk, f"kustom_{REFUND.tool}", given, "0" * 32, found[1]).preview(),
        ]
        assert [answer["error"]["code"] for answer in answers] == ["HUMAN_APPROVAL_UNAVAILABLE"] * 2
        assert (talk.sent, talk.questions) == ([], [])


@pytest.mark.parametrize("kind", ["true", "yes", "the card's own code", "the state"])
async def test_nothing_that_a_model_sends_as_confirm_is_a_code(kind: str) -> None:
    async with conversation(extensions=CARDS, **only(REFUND, CARD)) as talk:
        _, given = REFUND.begin(talk)
        card = await shown(talk, REFUND, given)
        code = (await card.preview())["confirm"]["code"]
        confirm = {"true": True, "yes": "yes", "the card's own code": code, "the state": card.state}[kind]
        answer = await talk.call(REFUND.tool, given, confirm=confirm)
        assert (answer["error"]["code"], answer["outcome"], talk.sent) == ("CONFIRMATION_INVALID", "not_sent", [])
        assert answer["confirm"] == {"tool": card.tool, "state": card.state}


async def test_a_code_of_another_mode_is_none_in_the_card() -> None:
    simulator = Simulator()
    keys: dict[str, Any] = {"KUSTOM_KEYS": "k" * 32, "KUSTOM_ENVIRONMENT": "sandbox"}
    async with conversation(simulator=simulator, **only(REFUND, {**SERVER, **keys})) as talk:
        _, given = REFUND.begin(talk)
        code = (await talk.call(REFUND.tool, given))["confirm"]["code"]
    async with conversation(extensions=CARDS, simulator=simulator, **only(REFUND, {**CARD, **keys})) as talk:
        talk.mark()
        card = await shown(talk, REFUND, given)
        answer = await card.answer(code)
        assert (answer["error"]["code"], talk.sent) == ("CONFIRMATION_INVALID", [])
        own = (await card.preview())["confirm"]["code"]
    async with conversation(simulator=simulator, **only(REFUND, {**SERVER, **keys})) as talk:
        talk.mark()
        answer = await talk.call(REFUND.tool, given, confirm=own)
        assert (answer["error"]["code"], talk.sent) == ("CONFIRMATION_INVALID", [])


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "no seal": ({"seal": ""}, "INVALID_ARGUMENT", "seal"),
    "a foreign seal": ({"seal": "0" * 64}, "CONFIRMATION_INVALID", "seal"),
    "not ASCII": ({"seal": "återbetala"}, "CONFIRMATION_INVALID", "seal"),
    "a tool without a gate": ({"tool": "kustom_get_order"}, "INVALID_ARGUMENT", "tool"),
    "no tool": ({"tool": "kustom_approve"}, "INVALID_ARGUMENT", "tool"),
    "state and code": ({"state": "0" * 32}, "INVALID_ARGUMENT", "state"),
    "an unknown argument": ({"confirm": "yes"}, "UNKNOWN_ARGUMENT", "confirm"),
    "a coerced answer": ({"approve": "true"}, "INVALID_ARGUMENT", "approve"),
}


@pytest.mark.parametrize(("other", "error", "field"), WRONG.values(), ids=WRONG)
async def test_what_no_page_of_this_server_sends_is_refused(other: dict[str, Any], error: str, field: str) -> None:
    async with conversation(extensions=CARDS, **only(REFUND, CARD)) as talk:
        _, given = REFUND.begin(talk)
        card = await shown(talk, REFUND, given)
        code = (await card.preview())["confirm"]["code"]
        answer = await card.answer(code, **other)
        assert (answer["outcome"], answer["error"]["code"], talk.sent) == ("not_sent", error, [])
        assert answer["error"]["field"] == field


@EVERY
async def test_an_approval_is_for_its_arguments_only(case: Case) -> None:
    async with conversation(extensions=CARDS, **only(case, CARD)) as talk:
        _, given = case.begin(talk)
        _, other = case.begin(talk)
        card = await shown(talk, case, given)
        code = (await card.preview())["confirm"]["code"]
        answer = await card.answer(code, arguments=other)
        assert (answer["error"]["code"], talk.sent) == ("CONFIRMATION_MISMATCH", [])


@pytest.mark.parametrize("case", READABLE, ids=name_of)
async def test_a_card_that_is_shown_again_after_a_change_offers_no_second_yes(case: Case) -> None:
    """A host shows old cards again. What was done already must not be offered anew as if it had not been."""
    async with conversation(extensions=CARDS, **only(case, CARD)) as talk:
        order_id, given = case.begin(talk)
        card = await shown(talk, case, given)
        await card.answer((await card.preview())["confirm"]["code"])
        again = await card.preview()
        assert again["outcome"] in {"not_sent", "already_applied"}
        assert "confirm" not in again
        assert talk.sent == case.sent(talk, order_id)


async def test_a_change_between_the_cards_preview_and_the_yes_is_named_and_can_be_answered_anew() -> None:
    async with conversation(extensions=CARDS, **only(REFUND, CARD)) as talk:
        order_id, given = REFUND.begin(talk)
        card = await shown(talk, REFUND, given)
        code = (await card.preview())["confirm"]["code"]
        somebody(talk, order_id, refunded(1000))
        changed = await card.answer(code)
        assert (changed["error"]["code"], talk.sent) == ("STATE_CHANGED", [])
        assert (await card.answer(changed["confirm"]["code"]))["outcome"] == "applied"
        assert talk.sent == REFUND.sent(talk, order_id)


async def test_an_expired_approval_is_answered_with_a_fresh_one() -> None:
    time = Time()
    async with conversation(extensions=CARDS, host=time.run, **only(REFUND, CARD)) as talk:
        _, given = REFUND.begin(talk)
        card = await shown(talk, REFUND, given)
        code = (await card.preview())["confirm"]["code"]
        time.pass_by(901)
        late = await card.answer(code)
        assert (late["error"]["code"], talk.sent) == ("CONFIRMATION_EXPIRED", [])
        assert (await card.answer(late["confirm"]["code"]))["outcome"] == "applied"


@pytest.mark.parametrize(("kind", "settled"), [("lose_response", "already_applied"), ("reset", "applied")])
async def test_an_answer_in_doubt_is_settled_by_the_card_and_the_model_never_holds_its_code(
    kind: str, settled: str
) -> None:
    async with conversation(extensions=CARDS, host=quickly, **only(REFUND, CARD)) as talk:
        order_id, given = REFUND.begin(talk)
        card = await shown(talk, REFUND, given)
        code = (await card.preview())["confirm"]["code"]
        in_doubt(talk, kind)
        unknown = await card.answer(code)
        assert unknown["outcome"] == "unknown"
        line_mended(talk)
        model = await talk.call(REFUND.tool, given)
        assert "code" not in model.get("confirm", {})
        assert (await card.answer(unknown["confirm"]["code"]))["outcome"] == settled
        assert sum(refund["refunded_amount"] for refund in talk.stored(order_id)["refunds"]) == 5000


async def test_a_doubt_that_nobody_can_settle_gives_the_model_no_code_either() -> None:
    async with conversation(extensions=CARDS, host=quickly, **only(DUE_DATE, CARD)) as talk:
        _, given = DUE_DATE.begin(talk)
        card = await shown(talk, DUE_DATE, given)
        code = (await card.preview())["confirm"]["code"]
        in_doubt(talk, "reset")
        unknown = await card.answer(code)
        line_mended(talk)
        model = await talk.call(DUE_DATE.tool, given)
        assert [answer["outcome"] for answer in (unknown, model)] == ["unknown", "unknown"]
        assert ("confirm" in unknown, "confirm" in model) == (False, False)


async def test_any_replica_with_the_same_keys_takes_the_answer() -> None:
    simulator = Simulator()
    shared: dict[str, Any] = only(CANCEL, {**CARD, "KUSTOM_KEYS": "a" * 32, "KUSTOM_ENVIRONMENT": "sandbox"})
    rotated: dict[str, Any] = {**shared, "KUSTOM_KEYS": f"{'b' * 32},{'a' * 32}"}
    async with conversation(extensions=CARDS, simulator=simulator, **shared) as one:
        order_id, given = CANCEL.begin(one)
        card = await shown(one, CANCEL, given)
    async with conversation(extensions=CARDS, simulator=simulator, **rotated) as other:
        card.talk = other
        code = (await card.preview())["confirm"]["code"]
    async with conversation(extensions=CARDS, simulator=simulator, **rotated) as third:
        card.talk = third
        third.mark()
        assert (await card.answer(code))["outcome"] == "applied"
        assert third.sent == CANCEL.sent(third, order_id)


async def test_the_cards_preview_says_all_that_would_be_sent() -> None:
    """An address is shown whole, old and new, to the person who approves it."""
    async with conversation(extensions=CARDS, **only(ADDRESS, CARD)) as talk:
        _, given = ADDRESS.begin(talk)
        preview = await (await shown(talk, ADDRESS, given)).preview()
        assert set(preview["confirm"]) == {"code", "expires_at", "action", "effect", "afterwards"}
        assert f'Street address: "Exempelgatan 1" -> "{LUND["street_address"]}".' in preview["details"]


async def test_policy_is_asked_again_at_the_answer() -> None:
    async with conversation(extensions=CARDS, **only(REFUND, CARD)) as talk:
        _, given = REFUND.begin(talk)
        card = await shown(talk, REFUND, given)
        code = (await card.preview())["confirm"]["code"]
        stricter = only(REFUND, {**CARD, "KUSTOM_MAX_AMOUNT": "SEK:999"})
        async with conversation(extensions=CARDS, simulator=talk.simulator, **stricter) as later:
            card.talk = later
            answer = await card.answer(code)
        assert (answer["error"]["code"], talk.sent) == ("LIMIT_EXCEEDED", [])


@pytest.mark.parametrize(("means", "there"), [("card", True), ("auto", False), ("code", False), ("flag", False)])
@pytest.mark.parametrize("extensions", [CARDS, ()], ids=["cards", "no cards"])
async def test_the_cards_tool_is_listed_for_apps_only_where_it_can_be_used(
    means: str, there: bool, extensions: Sequence[ClientExtension]
) -> None:
    async with conversation(extensions=extensions, **with_(KUSTOM_CONFIRM=means)) as talk:
        listed = {tool.name: tool for tool in (await talk.client.list_tools()).tools}
        assert (APPROVE in listed) is there
        if there:
            assert listed[APPROVE].meta == {"ui": {"resourceUri": ORDER_CARD, "visibility": ["app"]}}
            assert [name for name, tool in listed.items() if "confirm" in tool.input_schema["properties"]] == []
        else:
            with pytest.raises(MCPError, match="no such tool"):
                await talk.client.call_tool(APPROVE, {})


async def test_a_model_is_told_that_the_card_answers() -> None:
    async with conversation(extensions=CARDS, **CARD) as talk, conversation(**SERVER) as other:
        told, otherwise = talk.client.instructions or "", other.client.instructions or ""
        assert ("order card" in told, "order card" in otherwise, len(told.encode()) < 2000) == (True, False, True)


async def test_where_nothing_can_be_approved_the_cards_tool_is_not_there() -> None:
    async with conversation(extensions=CARDS, **with_(KUSTOM_WRITES="deny")) as talk:
        assert APPROVE not in {tool.name for tool in (await talk.client.list_tools()).tools}


@pytest.mark.parametrize(("means", "sealed"), [("card", True), ("auto", False)])
async def test_the_page_is_a_resource_of_its_kind_and_sealed_only_where_it_may_answer(means: str, sealed: bool) -> None:
    async with conversation(extensions=CARDS, **with_(KUSTOM_CONFIRM=means)) as talk:
        (contents,) = (await talk.client.read_resource(ORDER_CARD)).contents
        assert (contents.uri, contents.mime_type) == (ORDER_CARD, PAGE_TYPE)
        found = SEAL.search(await page(talk))
        assert found
        assert bool(found[1]) is sealed
        assert ORDER_CARD not in {resource.uri for resource in (await talk.client.list_resources()).resources}


async def test_the_record_says_that_it_was_the_card() -> None:
    async with conversation(extensions=CARDS, **only(REFUND, CARD)) as talk:
        _, given = REFUND.begin(talk)
        card = await shown(talk, REFUND, given)
        code = (await card.preview())["confirm"]["code"]
        await card.answer(code, approve=False)
        await card.answer(code)
        lines = [(line["event"], line.get("means") or line.get("reason")) for line in talk.app.audit.memory]
    assert lines == [
        ("preview", "card"),
        ("preview", "card"),
        ("declined", "card"),
        ("intent", "card"),
        ("outcome", None),
    ]
