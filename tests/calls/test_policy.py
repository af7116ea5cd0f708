"""The operator's permissions, asked for at every call, the confirming one too, and by the HTTP client itself."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from kustom_mcp.api.endpoint import Approved
from kustom_mcp.api.endpoints import CANCEL_ORDER
from kustom_mcp.api.errors import WritesOff
from kustom_mcp.calls.policy import Policy, Principal, ToolFacts
from kustom_mcp.schema.result import Code, ToolError
from kustom_mcp.server.handlers import TOOL_FACTS
from kustom_mcp.settings.settings import ConfigError, Settings
from kustom_mcp.simulator.app import Simulator
from tests.calls.gated_operations import AMOUNT, CAPTURE, GATED, REFUND, UNGATED, Case, name_of
from tests.calls.quick import ALL as SERVER
from tests.calls.quick import Time
from tests.calls.rounds import YES, question
from tests.support.conversation import conversation, yes

NEVER_THERE = "00000000-0000-4000-8000-000000000000"
STRICTER: dict[str, tuple[dict[str, Any], str]] = {
    "read-only": ({"KUSTOM_WRITES": "deny"}, "NOT_PERMITTED"),
    "tool off": ({"KUSTOM_TOOLS": "orders,captures"}, "NOT_PERMITTED"),
    "ceiling": ({"KUSTOM_MAX_AMOUNT": "SEK:4999"}, "LIMIT_EXCEEDED"),
    "another currency": ({"KUSTOM_MAX_AMOUNT": "EUR:99999,*:0"}, "LIMIT_EXCEEDED"),
    "scope": ({"KUSTOM_ORDER_SCOPE": NEVER_THERE}, "NOT_FOUND"),
}


@pytest.mark.parametrize(("stricter", "code"), STRICTER.values(), ids=STRICTER)
async def test_settings_that_changed_since_the_preview_are_asked_at_the_confirmation(
    stricter: dict[str, Any], code: str
) -> None:
    async with conversation(**SERVER) as talk:
        _, given = REFUND.begin(talk)
        confirm = (await talk.call(REFUND.tool, given))["confirm"]["code"]
        async with conversation(simulator=talk.simulator, **{**SERVER, **stricter}) as later:
            answer = await later.call(REFUND.tool, given, confirm=confirm)
        assert (answer["error"]["code"], "confirm" in answer, talk.sent) == (code, False, [])


@pytest.mark.parametrize(("stricter", "code"), STRICTER.values(), ids=STRICTER)
async def test_settings_that_changed_since_the_question_are_asked_at_the_answer(
    stricter: dict[str, Any], code: str
) -> None:
    async with conversation(person=yes, **SERVER) as talk:
        _, given = REFUND.begin(talk)
        asked = await question(talk, REFUND.tool, given)
        async with conversation(person=yes, simulator=talk.simulator, **SERVER | stricter) as later:
            answer = await asked.answered(later, YES)
        assert (answer["error"]["code"], talk.sent) == (code, [])


@pytest.mark.parametrize("case", [*GATED, *UNGATED], ids=name_of)
async def test_a_read_only_server_lists_and_does_nothing_that_writes(case: Case) -> None:
    for mode in ("auto", "flag"):
        async with conversation(KUSTOM_WRITES="deny", KUSTOM_CONFIRM=mode, **SERVER) as talk:
            _, given = case.begin(talk)
            for confirm in ({}, {"confirm": True}):
                answer = await talk.call(case.tool, given, **(confirm if case in GATED else {}))
                assert (answer["outcome"], answer["error"]["code"]) == ("not_sent", "NOT_PERMITTED")
                assert "KUSTOM_WRITES" in answer["error"]["message"]
            listed = {tool.name for tool in (await talk.client.list_tools()).tools}
            assert listed == {name for name, kind in TOOL_FACTS.items() if not kind.writes}
            assert talk.requests == []


REHEARSAL = "Nothing will be sent: this server only previews (KUSTOM_WRITES=preview). "
REHEARSED = {
    "code": "NOT_PERMITTED",
    "message": "This server previews and sends nothing (KUSTOM_WRITES=preview). Nothing was sent.",
    "retry": "never",
}


@pytest.mark.parametrize("case", GATED, ids=name_of)
async def test_a_rehearsal_previews_what_would_be_sent_and_sends_nothing(case: Case) -> None:
    previews: list[dict[str, Any]] = []
    for writes in ("allow", "preview"):
        async with conversation(KUSTOM_WRITES=writes, KUSTOM_CONFIRM="code", **SERVER) as talk:
            _, given = case.begin(talk)
            previews.append(await talk.call(case.tool, given))
    real, rehearsed = previews
    assert rehearsed["summary"] == real["summary"].replace("Not done yet. ", f"Not done yet. {REHEARSAL}")
    assert rehearsed["details"] == real["details"]
    async with conversation(KUSTOM_WRITES="preview", KUSTOM_CONFIRM="code", **SERVER) as talk:
        order_id, given = case.begin(talk)
        code = (await talk.call(case.tool, given))["confirm"]["code"]
        answer = await talk.call(case.tool, given, confirm=code)
        assert (answer["outcome"], answer["error"], talk.sent) == ("not_sent", REHEARSED, [])
        order = (await talk.call("get_order", {"order_id": order_id}))["order"]
        assert "can" not in order or order["can"] == []
        assert "only previewed here, never sent (KUSTOM_WRITES=allow opens it)" in [no["why"] for no in order["cannot"]]
        assert "unresolved_writes" not in order
        assert {tool.name for tool in (await talk.client.list_tools()).tools} == set(TOOL_FACTS)


@pytest.mark.parametrize("case", [*GATED, *UNGATED], ids=name_of)
async def test_a_rehearsal_sends_nothing_by_a_flag_or_without_a_gate(case: Case) -> None:
    async with conversation(KUSTOM_WRITES="preview", KUSTOM_CONFIRM="flag", **SERVER) as talk:
        _, given = case.begin(talk)
        answer = await talk.call(case.tool, given, **({"confirm": True} if case in GATED else {}))
        assert (answer["outcome"], answer["error"], talk.requests) == ("not_sent", REHEARSED, [])


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_form_of_a_rehearsal_says_first_that_nothing_will_be_sent(mode: Any) -> None:
    asked: list[str] = []

    def person(question: str) -> Any:
        asked.append(question)
        return yes(question)

    async with conversation(mode, person=person, KUSTOM_WRITES="preview", **SERVER) as talk:
        _, given = REFUND.begin(talk)
        answer = await talk.call(REFUND.tool, given)
        assert (answer["outcome"], answer["error"], talk.sent) == ("not_sent", REHEARSED, [])
    assert [text.startswith(REHEARSAL) for text in asked] == [True]


@pytest.mark.parametrize("writes", ["deny", "preview"])
async def test_the_client_of_a_server_that_sends_nothing_refuses_by_itself(writes: str) -> None:
    async with conversation(KUSTOM_WRITES=writes) as talk:
        order_id, _ = CAPTURE.begin(talk)
        with pytest.raises(WritesOff):
            await talk.app.client.write(
                CANCEL_ORDER, Approved(uuid.uuid4(), "code"), deadline=talk.app.clock() + 5, order_id=order_id
            )
        assert talk.requests == []


async def test_a_tool_that_is_off_names_the_setting() -> None:
    async with conversation(KUSTOM_TOOLS="orders,kustom_refund_order") as talk:
        _, given = CAPTURE.begin(talk)
        answer = await talk.call(CAPTURE.tool, given)
        assert answer["error"]["message"] == (
            "kustom_capture_order is not available here: "
            "switched off (add captures or kustom_capture_order to KUSTOM_TOOLS)."
        )
        listed = {tool.name for tool in (await talk.client.list_tools()).tools}
        assert listed == {name for name, facts in TOOL_FACTS.items() if facts.toolset == "orders"} | {
            "kustom_refund_order"
        }


CEILINGS: list[tuple[Case, dict[str, Any], str, bool]] = [
    (REFUND, {}, "SEK:5000", True),
    (REFUND, {}, "SEK:4999", False),
    (REFUND, {}, "EUR:9999999", False),
    (REFUND, {}, "EUR:1,*:5000", True),
    (REFUND, {}, "EUR:1,*:4999", False),
    (REFUND, {}, "*:0,SEK:5000", True),
    (CAPTURE, {}, "SEK:5000", True),
    (CAPTURE, {}, "SEK:4999", False),
    (AMOUNT, {}, "SEK:1", True),
    (AMOUNT, {"line_changes": [{"line": 1, "quantity": 3}]}, "SEK:17000", True),
    (AMOUNT, {"line_changes": [{"line": 1, "quantity": 3}]}, "SEK:16999", False),
]


@pytest.mark.parametrize(("case", "other", "ceiling", "allowed"), CEILINGS)
async def test_a_ceiling_holds_one_write_by_its_currency(
    case: Case, other: dict[str, Any], ceiling: str, allowed: bool
) -> None:
    async with conversation(KUSTOM_CONFIRM="flag", KUSTOM_MAX_AMOUNT=ceiling, **SERVER) as talk:
        _, given = case.begin(talk)
        for confirm in (False, True):
            answer = await talk.call(case.tool, given | other, confirm=confirm)
            if not allowed:
                assert (answer["outcome"], answer["error"]["code"]) == ("not_sent", "LIMIT_EXCEEDED")
        assert len(talk.sent) == allowed


async def test_writes_of_a_minute_are_counted_and_only_what_leaves_counts() -> None:
    now = Time()
    async with conversation(host=now.run, KUSTOM_CONFIRM="flag", KUSTOM_WRITES_PER_MINUTE="3", **SERVER) as talk:
        _, given = REFUND.begin(talk)
        for number in range(3):
            await talk.call(REFUND.tool, given, reference=f"R-{number}")
            done = await talk.call(REFUND.tool, given | {"refunded_amount": 100}, reference=f"R-{number}", confirm=True)
            assert done["outcome"] == "applied"
            now.pass_by(10)
        answer = await talk.call(REFUND.tool, given, confirm=True)
        assert (answer["outcome"], answer["error"]["code"], len(talk.sent)) == ("not_sent", "RATE_LIMITED", 3)
        assert 29 <= answer["error"]["retry_after_seconds"] <= 31
        now.pass_by(answer["error"]["retry_after_seconds"] + 1)
        assert (await talk.call(REFUND.tool, given, confirm=True))["outcome"] == "applied"


async def test_an_order_out_of_scope_looks_exactly_like_one_that_does_not_exist() -> None:
    sandbox = Simulator()
    async with (
        conversation(simulator=sandbox, **SERVER) as everything,
        conversation(simulator=sandbox, KUSTOM_ORDER_SCOPE=NEVER_THERE, **SERVER) as scoped,
    ):
        for case in (*GATED, *UNGATED):
            _, given = case.begin(everything)
            hidden = await scoped.call(case.tool, given)
            missing = await everything.call(case.tool, given | {"order_id": NEVER_THERE})
            assert hidden == missing
            assert hidden["error"]["code"] == "NOT_FOUND"
        assert all(NEVER_THERE in seen.path for seen in scoped.requests if seen.method == "GET")
        assert scoped.sent == []


async def test_the_scope_lets_through_what_it_names() -> None:
    sandbox = Simulator()
    order_id = str(sandbox.add_order({"captures": [{"captured_amount": 10000}]}).order["order_id"])
    async with conversation(simulator=sandbox, KUSTOM_ORDER_SCOPE=order_id, **SERVER) as talk:
        done = await talk.confirmed("refund_order", order_id=order_id.upper(), refunded_amount=100)
        assert done["outcome"] == "applied"


@pytest.mark.parametrize(
    ("hosts", "uri", "allowed"),
    [
        ("track.example.com", "https://track.example.com/1", True),
        ("track.example.com", "https://TRACK.example.com:8443/1", True),
        ("track.example.com", "https://sub.track.example.com/1", True),
        ("track.example.com", "https://example.com/1", False),
        ("track.example.com", "https://xtrack.example.com/1", False),
        ("track.example.com", "https://track.example.com.evil.example/1", False),
        ("carriers", "https://tracking.postnord.com/1", True),
        ("carriers", "https://track.example.com/1", False),
        ("carriers,track.example.com", "https://track.example.com/1", True),
        ("carriers,track.example.com", "https://tracking.postnord.com/1", True),
        ("any", "https://anything.example/1", True),
        ("track.example.com", "https://evil.example/track.example.com", False),
        (None, "https://anything.example/1", True),
    ],
)
async def test_tracking_links_are_held_to_the_hosts(hosts: str | None, uri: str, allowed: bool) -> None:
    settings: dict[str, Any] = {**SERVER, "KUSTOM_CONFIRM": "flag"} | (
        {"KUSTOM_TRACKING_HOSTS": hosts} if hosts else {}
    )
    async with conversation(**settings) as talk:
        _, given = CAPTURE.begin(talk)
        shipment = {"shipping_company": "PostNord SE", "tracking_uri": uri}
        calls = (("capture_order", {**given, "confirm": True}), ("add_shipping_info", {"order_id": given["order_id"]}))
        for tool, more in calls:
            answer = await talk.call(tool, more, shipping_info=[shipment])
            assert answer["outcome"] == ("applied" if allowed else "not_sent")
            if not allowed:
                assert (answer["error"]["code"], answer["error"]["field"]) == (
                    "NOT_PERMITTED",
                    "shipping_info[0].tracking_uri",
                )
        assert len(talk.sent) == (2 if allowed else 0)


HOST_OF_NOBODY = (
    *("evil.example", "parcel 1, EVIL.EXAMPLE", "evil[.]example", "me@evil.example", "postnord.se.evil.example"),
    "шоп.рф",
)
ORDINARY = (
    *("Bring.se", "tracking.postnord.com", "DHL", "PostNord A.B.", "Schenker AG/Co.", "DHL.Express", "00.34.01.22"),
    "RR123456789SE",
)


@pytest.mark.parametrize(
    "field", ["shipping_company", "tracking_number", "return_shipping_company", "return_tracking_number"]
)
async def test_a_carrier_and_a_number_name_no_other_host_than_a_link_may(field: str) -> None:
    async with conversation(KUSTOM_TRACKING_HOSTS="carriers", KUSTOM_CONFIRM="flag") as talk:
        _, given = CAPTURE.begin(talk)
        order_id = given["order_id"]
        for text in HOST_OF_NOBODY:
            for tool, more in (("capture_order", {**given, "confirm": True}), ("add_shipping_info", {})):
                answer = await talk.call(tool, more, order_id=order_id, shipping_info=[{field: text}])
                told = answer["error"]["code"], answer["error"]["field"]
                assert told == ("NOT_PERMITTED", f"shipping_info[0].{field}"), text
                assert "KUSTOM_TRACKING_HOSTS" in answer["next_step"]
                assert text not in str(answer)
        assert talk.sent == []
        answer = await talk.call("add_shipping_info", order_id=order_id, shipping_info=[{field: x} for x in ORDINARY])
        assert answer["outcome"] == "applied"


LIVE = {"environment": "production", "username": "M1-a", "api_key": "kco_live_x", "merchant": "M1"}
NARROWED = Principal("customer", orders=frozenset({NEVER_THERE}))


@pytest.mark.parametrize(
    ("settings", "principal", "allowed"),
    [
        ({}, Principal("all"), True),
        ({}, NARROWED, False),
        (LIVE, Principal("all"), False),
        (LIVE | {"tracking_hosts": "any"}, NARROWED, True),
        (LIVE | {"tracking_hosts": "track.example.com"}, NARROWED, True),
    ],
)
def test_in_production_and_for_narrowed_tokens_links_lead_to_carriers_unless_said(
    settings: dict[str, Any], principal: Principal, allowed: bool
) -> None:
    policy = Policy(Settings.model_validate(settings), TOOL_FACTS).for_caller(principal)
    shipments = [{"tracking_number": "1", "return_tracking_uri": "https://track.example.com/1"}]
    if allowed:
        policy.tracking_links(shipments)
        return
    policy.tracking_links([{"tracking_uri": "https://www.dhl.com/1", "shipping_company": "dhl.com"}])
    with pytest.raises(ToolError, match="KUSTOM_TRACKING_HOSTS"):
        policy.tracking_links([{"shipping_company": "track.example.com"}])
    with pytest.raises(ToolError, match="KUSTOM_TRACKING_HOSTS") as caught:
        policy.tracking_links(shipments)
    assert (caught.value.code, caught.value.setting) == (Code.NOT_PERMITTED, "KUSTOM_TRACKING_HOSTS")


CATALOG = {
    "kustom_get_order": ToolFacts("orders", False, "getOrder", False, False),
    "kustom_refund_order": ToolFacts("refunds", True, "refundOrder", True, True),
}


@pytest.mark.parametrize("names", ["refund", "Refunds", "kustom_refund", "everything"])
def test_a_name_that_is_no_toolset_and_no_tool_stops_the_start(names: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Policy(Settings.model_validate({"tools": names}), CATALOG)
    assert caught.value.setting == "KUSTOM_TOOLS"


def test_a_mistyped_toolset_is_told_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        Policy(Settings.model_validate({"tools": "refund"}), CATALOG)
    assert caught.value.sentence.endswith("did you mean refunds?")
    with pytest.raises(ConfigError) as caught:
        Policy(Settings.model_validate({"tools": "zzzzzz"}), CATALOG)
    assert caught.value.sentence.endswith("nor a tool")


def test_what_is_off_is_required_in_vain() -> None:
    policy = Policy(Settings.model_validate({"tools": "orders"}), CATALOG)
    policy.require("kustom_get_order")
    with pytest.raises(ToolError):
        policy.require("kustom_refund_order")


def test_what_shows_many_orders_together_is_refused_where_only_some_exist() -> None:
    narrowed = Principal("customer", orders=frozenset({NEVER_THERE}))
    for settings, principal, setting in (
        (Settings(), narrowed, "token"),
        (Settings(), Principal("nobody", orders=frozenset()), "token"),
        (Settings(order_scope=frozenset({NEVER_THERE})), Principal("all"), "KUSTOM_ORDER_SCOPE"),
    ):
        with pytest.raises(ToolError) as caught:
            Policy(settings, TOOL_FACTS).for_caller(principal).require_all_orders()
        assert (caught.value.code, caught.value.setting) == ("NOT_PERMITTED", setting)
    Policy(Settings(), TOOL_FACTS).for_caller(Principal("all")).require_all_orders()
