"""Several shops in one server: finding the shop of an order, and what each answer says of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from kustom_mcp.book import BookUnavailable
from kustom_mcp.calls.card import ORDER_CARD
from kustom_mcp.calls.policy import Principal
from kustom_mcp.schema.result import compact
from kustom_mcp.server.shop_finder import too_many_unknown
from kustom_mcp.settings.environment import load
from kustom_mcp.simulator.app import API_KEY, Simulator
from kustom_mcp.simulator.faults import Fault
from kustom_mcp.simulator.shops import orders_of
from tests.app.test_telemetry import Watcher
from tests.support.conversation import conversation, demo
from tests.support.shops import of_their_own, several_shops

TOWEL = demo("captured-sek")
NO_SUCH = "00000000-0000-4000-8000-000000000000"
NORWAYS = next(seed.order_id for seed in orders_of("norway") if seed.status == "CAPTURED")
FINLANDS = next(seed.order_id for seed in orders_of("finland") if seed.status == "CAPTURED")
THREE = {"sweden": "", "norway": "", "finland": ""}


def code_of(answer: dict[str, Any]) -> str:
    return answer["error"]["code"]


async def test_the_shop_of_an_unknown_order_is_found_by_asking_all_and_then_remembered(tmp_path: Path) -> None:
    async with several_shops(tmp_path, THREE) as shops:
        of_their_own(shops)
        found = await shops.call("get_order", order_id=NORWAYS)
        assert (found["outcome"], found["shop"], found["environment"]) == ("ok", "norway", "playground")
        assert [shops.seen(name) for name in THREE] == [["GET 404"], ["GET 200"], ["GET 404"]]
        assert (await shops.call("get_order", order_id=NORWAYS))["shop"] == "norway"
        assert [shops.seen(name) for name in THREE] == [[], ["GET 200"], []]
        assert (await shops.call("get_order", order_id=NORWAYS, shop="Hem Sweden"))["outcome"] == "rejected"


async def test_after_a_restart_the_book_knows_the_shop(tmp_path: Path) -> None:
    async with several_shops(tmp_path, THREE) as shops:
        of_their_own(shops)
        await shops.call("get_order", order_id=NORWAYS)
    async with several_shops(tmp_path, THREE) as shops:
        of_their_own(shops)
        assert (await shops.call("get_order", order_id=NORWAYS))["shop"] == "norway"
        assert [shops.seen(name) for name in THREE] == [[], ["GET 200"], []]


async def test_an_order_that_no_shop_knows_is_not_asked_for_twice_in_a_minute(tmp_path: Path) -> None:
    async with several_shops(tmp_path) as shops:
        for asked in (["GET 404"], []):
            answer = await shops.call("get_order", order_id=NO_SUCH)
            assert (code_of(answer), answer["outcome"], "shop" in answer) == ("NOT_FOUND", "rejected", False)
            assert [shops.seen(name) for name in ("sweden", "norway")] == [asked, asked]
        shops.time += 61
        await shops.call("get_order", order_id=NO_SUCH)
        assert shops.seen("sweden") == ["GET 404"]


async def test_an_id_that_two_shops_know_needs_the_shop(tmp_path: Path) -> None:
    async with several_shops(tmp_path) as shops:
        for tool in ("get_order", "cancel_order", "list_captures"):
            answer = await shops.call(tool, order_id=TOWEL)
            assert code_of(answer) == "SHOP_REQUIRED"
            assert "2 shops know this order id: sweden and norway." in answer["summary"]
        assert (await shops.call("get_order", order_id=TOWEL, shop="norway"))["shop"] == "norway"


async def test_where_a_shop_does_not_answer_an_order_is_not_said_to_be_missing(tmp_path: Path) -> None:
    async with several_shops(tmp_path, THREE) as shops:
        of_their_own(shops).broken.add("finland")
        answer = await shops.call("get_order", order_id=FINLANDS)
        assert (code_of(answer), answer["outcome"], answer["error"]["retry"]) == (
            "SHOP_UNAVAILABLE",
            "not_sent",
            "later",
        )
        assert "finland" in answer["summary"]
        assert "sweden" not in answer["summary"]
        assert (await shops.call("get_order", order_id=NORWAYS))["shop"] == "norway"
        assert shops.shops.failing() == {"finland": "Kustom did not answer for it"}
        shops.broken.clear()
        assert (await shops.call("get_order", order_id=FINLANDS))["shop"] == "finland"
        assert shops.shops.failing() == {}


async def test_a_shop_whose_key_is_wrong_is_named_and_stops_no_other(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.key"
    wrong.write_text("kco_test_api_no_such_key")
    async with several_shops(tmp_path, THREE) as shops:
        of_their_own(shops)
        file = shops.file.read_text()
        head, _, tail = file.partition("[shops.finland]")
        tail = tail.replace('api_key_env = "KEY"', 'api_key_file = "wrong.key"')
        shops.file.write_text(f"{head}[shops.finland]{tail}")
        answer = await shops.call("get_order", order_id=FINLANDS, shop="finland")
        assert (code_of(answer), answer["shop"]) == ("AUTHENTICATION_FAILED", "finland")
        assert answer["summary"].startswith("The shop finland is failing: ")
        assert (await shops.call("get_order", order_id=NORWAYS))["shop"] == "norway"
        listed = (await shops.ask("resources/read", {"uri": "kustom://reference/shops"}))["result"]["contents"][0][
            "text"
        ]
        assert "failing: Kustom did not accept its credentials" in listed


async def test_orders_of_several_shops_in_one_list(tmp_path: Path) -> None:
    async with several_shops(tmp_path, THREE) as shops:
        of_their_own(shops)
        answer = await shops.call("get_orders", order_ids=[FINLANDS, NORWAYS, NO_SUCH])
        assert [(row["outcome"], row.get("shop")) for row in answer["orders"]] == [
            ("ok", "finland"),
            ("ok", "norway"),
            ("rejected", None),
        ]
        assert [(total["shop"], total["purchase_currency"]) for total in answer["totals"]] == [
            ("norway", "NOK"),
            ("finland", "EUR"),
        ]
        many = [f"00000000-0000-4000-8000-0000000001{number:02}" for number in range(12)]
        told = [row["error"] for row in (await shops.call("get_orders", order_ids=many))["orders"]]
        assert sorted(told) == ["NOT_FOUND"] * 10 + ["SHOP_REQUIRED"] * 2
        assert "The shops are sweden, norway, finland." in too_many_unknown(list(THREE)).message


async def test_a_search_over_shops_is_in_one_order_and_goes_on_where_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with several_shops(tmp_path) as shops:
        for name, simulator in shops.simulators.items():
            for order in simulator.store.records():
                await shops.call("get_order", order_id=str(order.order["order_id"]), shop=name)
        whole = await shops.call("find_orders", reference="SE-19977")
        rows = sorted((row["match"], row["shop"]) for row in whole["orders"])
        assert rows == [("exact", "norway"), ("exact", "sweden")]
        assert "Searched in sweden, norway." in whole["summary"]
        assert whole["next_step"].startswith("Several orders have exactly the same reference")
        pages: list[tuple[str, str]] = []
        dates: list[str] = []
        cursor = ""
        while cursor is not None:
            answer = await shops.call("find_orders", currency="SEK", limit=3, cursor=cursor)
            pages += [(row["order_id"], row["shop"]) for row in answer["orders"]]
            dates += [row["created_at"] for row in answer["orders"]]
            cursor = answer.get("next_cursor")
        orders = [one.order for one in Simulator().store.records()]
        kronor = [str(order["order_id"]) for order in orders if order["purchase_currency"].upper() == "SEK"]
        assert sorted(pages) == sorted((order_id, name) for order_id in kronor for name in ("sweden", "norway"))
        assert dates == sorted(dates, reverse=True)
        one = await shops.call("find_orders", reference="SE-19977", shop="norway")
        assert (one["shop"], len(one["orders"])) == ("norway", 1)
        assert "next_step" not in one
        apps = [shops.app(name) for name in ("sweden", "norway")]
        for app in apps:
            monkeypatch.setattr(app.book, "complete_since", _ever_since)
        asked: dict[str, Any] = {"status": "CAPTURED", "limit": 1}
        assert "complete_since" in (await shops.call("find_orders", **asked))["coverage"]
        monkeypatch.setattr(apps[0].book, "ask", _broken)  # and of what sweden has nothing is said
        half = await shops.call("find_orders", **asked)
        assert "No answer from sweden (AUDIT_UNAVAILABLE)" in half["summary"]
        assert "complete_since" not in half["coverage"]


def _ever_since(*_: object) -> int:
    return 1


async def _broken(questions: object) -> None:
    raise BookUnavailable("broken")


async def test_a_write_names_the_shop_and_its_code_is_worthless_in_another(tmp_path: Path) -> None:
    async with several_shops(tmp_path) as shops:
        asked: dict[str, Any] = {"order_id": TOWEL, "refunded_amount": 5000}
        preview = await shops.call("refund_order", **asked, shop="sweden")
        assert (preview["outcome"], preview["shop"]) == ("confirmation_required", "sweden")
        assert preview["details"][0] == 'Shop: "Hem Sweden", playground.'
        code = preview["confirm"]["code"]
        elsewhere = await shops.call("refund_order", **asked, shop="norway", confirm=code)
        assert code_of(elsewhere) == "CONFIRMATION_INVALID"
        done = await shops.call("refund_order", **asked, shop="sweden", confirm=code)
        assert (done["outcome"], done["shop"]) == ("applied", "sweden")
        assert [name for name in ("sweden", "norway") if "POST 201" in shops.seen(name)] == ["sweden"]
        (row,) = (await shops.call("list_activity"))["activity"]
        assert (row["shop"], row["amount"]) == ("sweden", 5000)
        (intent,) = shops.app("sweden").intents.journal([shops.app("sweden").account.name])
        assert intent.content["shop"] == "Hem Sweden"


async def test_a_failing_shop_is_named_in_every_answer_about_it_and_no_longer_when_it_answers(tmp_path: Path) -> None:
    async with several_shops(tmp_path, THREE, KUSTOM_TOOLS="all") as shops:
        of_their_own(shops)
        orders = [NORWAYS, FINLANDS]
        assert (await shops.call("get_orders", order_ids=orders))["summary"] == "Read 2 of 2 orders."
        broken = shops.simulators["finland"]
        why = "The shop finland failed when it was last asked: Kustom"

        async def told(fault: int, tool: str, path: str = "/orders/{order_id}", **arguments: Any) -> dict[str, Any]:
            broken.faults.add(Fault("GET", path, "status", status=fault, times=3))
            answer = await shops.call(tool, **arguments)
            broken.faults.clear()
            return answer

        rows = await told(401, "get_orders", order_ids=orders)
        assert [(row["shop"], row.get("error")) for row in rows["orders"]] == [
            ("norway", None),
            ("finland", "AUTHENTICATION_FAILED"),
        ]
        assert rows["summary"].endswith(f"{why} did not accept its credentials.")
        listed = await shops.call("list_activity")
        assert why in listed["summary"]  # it was not asked again
        assert (await shops.call("get_order", order_id=FINLANDS))["outcome"] == "ok"
        assert why not in (await shops.call("list_activity"))["summary"]
        silent = await told(500, "get_order", order_id=FINLANDS)
        assert silent["summary"].startswith("The shop finland is failing: ")
        found = await shops.call("find_orders", status="CAPTURED")
        assert f"{why} did not answer for it." in found["summary"]
        assert (await shops.call("get_order", order_id=NO_SUCH, shop="finland"))["outcome"] == "rejected"
        assert shops.shops.failing() == {}
        paid = await told(429, "list_payouts", "/settlements/v1/payouts")
        assert f"{why} wants its requests to wait." in paid["summary"]


async def test_a_caller_sees_no_trace_of_a_shop_outside_its_token(tmp_path: Path) -> None:
    async with several_shops(tmp_path, THREE) as shops:
        of_their_own(shops)
        shops.principals["narrow"] = Principal("narrow", source="people", shops=frozenset({"sweden", "norway"}))
        shops.principals["none"] = Principal("none", source="people", shops=frozenset())
        await shops.call("get_order", order_id=FINLANDS)
        for name in THREE:
            shops.seen(name)
        answers = [await shops.call("get_order", who="narrow", order_id=order_id) for order_id in (FINLANDS, NO_SUCH)]
        assert answers[0] == answers[1]
        assert shops.seen("finland") == []
        told = [
            await shops.call("get_order", who="narrow", order_id=NO_SUCH, shop=shop) for shop in ("finland", "fooland")
        ]
        assert told[0] == told[1]
        assert "finland" not in compact(await shops.call("find_orders", who="narrow", status="CAPTURED"))
        listed = await shops.ask("resources/read", {"uri": "kustom://reference/shops"}, who="narrow")
        assert "finland" not in compact(listed)
        assert code_of(await shops.call("find_orders", who="none", status="CAPTURED")) == "NOT_PERMITTED"
        assert code_of(await shops.call("get_order", who="none", order_id=FINLANDS)) == "NOT_PERMITTED"


async def test_what_is_off_in_a_shop_is_refused_there_in_its_own_words(tmp_path: Path) -> None:
    words = "WooCommerce: set it to Completed"
    tables = {"sweden": f'writes = "deny"\n[shops.sweden.elsewhere]\ncapture = "{words}"', "norway": ""}
    async with several_shops(tmp_path, tables) as shops:
        refused = await shops.call("refund_order", order_id=TOWEL, refunded_amount=5000, shop="sweden")
        assert code_of(refused) == "NOT_PERMITTED"
        assert '"allow" as `writes` of shops.sweden in KUSTOM_SHOPS_FILE opens it' in refused["summary"]
        view = (await shops.call("get_order", order_id=TOWEL, shop="sweden"))["order"]
        cannot = {one["tool"]: one["why"] for one in view["cannot"]}
        assert cannot["kustom_capture_order"] == f"people of this shop do it elsewhere: {words}"
        preview = await shops.call("refund_order", order_id=TOWEL, refunded_amount=5000, shop="norway")
        assert preview["outcome"] == "confirmation_required"
        assert shops.seen("sweden") == ["GET 200"]


async def test_a_preview_says_what_people_do_elsewhere(tmp_path: Path) -> None:
    words = "WooCommerce: set it to Refunded"
    tables = {"sweden": f'[shops.sweden.elsewhere]\nrefund = "{words}"', "norway": ""}
    async with several_shops(tmp_path, tables) as shops:
        preview = await shops.call("refund_order", order_id=TOWEL, refunded_amount=5000, shop="sweden")
        assert any(words in warning for warning in preview["warnings"])


async def test_a_shop_that_comes_goes_or_changes_does_so_with_the_next_call(tmp_path: Path) -> None:
    async with several_shops(tmp_path) as shops:
        before = (await shops.ask("tools/list", {}))["result"]["tools"]
        kept = shops.app("norway")
        await shops.call("get_order", order_id=TOWEL, shop="norway")
        shops.write({"sweden": 'tools = "refunds"', "norway": "", "denmark": ""})
        assert (await shops.call("get_order", order_id=TOWEL, shop="denmark"))["shop"] == "denmark"
        assert shops.app("norway") is kept
        assert code_of(await shops.call("get_order", order_id=TOWEL, shop="sweden")) == "NOT_PERMITTED"
        shops.write({"sweden": 'tools = "refundz"', "norway": ""})
        refused = await shops.call("get_order", order_id=TOWEL, shop="sweden")
        assert (code_of(refused), "its table names tools that there are not" in refused["summary"]) == (
            "NOT_PERMITTED",
            True,
        )
        assert (await shops.call("get_order", order_id=TOWEL, shop="norway"))["shop"] == "norway"
        shops.write({"norway": ""})
        assert (await shops.call("get_order", order_id=TOWEL))["shop"] == "norway"
        assert code_of(await shops.call("get_order", order_id=TOWEL, shop="sweden")) == "INVALID_ARGUMENT"
        assert (await shops.ask("tools/list", {}))["result"]["tools"] == before


async def test_every_tool_has_the_argument_shop_and_the_list_grows_by_little(tmp_path: Path) -> None:
    async with conversation(KUSTOM_TOOLS="all") as talk:
        alone = (await talk.client.list_tools()).model_dump(mode="json", by_alias=True, exclude_none=True)["tools"]
    async with several_shops(tmp_path, KUSTOM_TOOLS="all") as shops:
        listed = (await shops.ask("tools/list", {}))["result"]["tools"]
    assert [tool["name"] for tool in listed] == [tool["name"] for tool in alone]
    for tool in listed:
        assert tool["inputSchema"]["properties"].pop("shop") == {"type": "string", "description": "Shop, by name."}
        assert tool["outputSchema"]["properties"].pop("shop") == {"type": "string"}
    assert listed == alone
    added = {"shop": {"type": "string", "description": "Shop, by name."}}, {"shop": {"type": "string"}}
    grown = len(compact(added).encode())
    assert grown * len(listed) < 2500


async def test_the_built_in_shops_answer_where_an_order_is() -> None:
    loaded = load({"KUSTOM_SHOPS_FILE": "sandbox"})
    assert loaded.shops is not None
    from mcp.client import Client

    from kustom_mcp.app.shops import Shops
    from kustom_mcp.server.handlers import build_server

    async with Client(build_server(Shops(loaded.shops, loaded.settings))) as client:
        assert "Several shops (sweden, norway, finland)" in (client.instructions or "")
        answer = await client.call_tool("kustom_find_orders", {"reference": "1004"})
        content: dict[str, Any] = answer.structured_content or {}
        rows = [(row["order_id"], row["shop"], row["purchase_currency"]) for row in content["orders"]]
        assert rows == [(NORWAYS, "norway", "NOK")]


async def test_twins_share_no_ceiling_lease_pause_or_journal(tmp_path: Path) -> None:
    ceiling = 'max_daily = "SEK:6000"\nconfirm = "code"'
    async with several_shops(tmp_path, {"sweden": ceiling, "norway": ceiling}) as shops:

        async def refund(shop: str, reference: str) -> dict[str, Any]:
            asked: dict[str, Any] = {"order_id": TOWEL, "refunded_amount": 5000, "reference": reference, "shop": shop}
            preview = await shops.call("refund_order", **asked)
            if preview["outcome"] != "confirmation_required":
                return preview
            return await shops.call("refund_order", **asked, confirm=preview["confirm"]["code"])

        sweden, norway = shops.app("sweden"), shops.app("norway")
        assert (await refund("sweden", "one"))["outcome"] == "applied"
        assert code_of(await refund("sweden", "two")) == "LIMIT_EXCEEDED"
        sweden.client.cool_down.start(30.0)
        sweden.intents.lease(sweden.account.name, TOWEL, "somebody", 30.0)
        assert (await refund("norway", "two"))["outcome"] == "applied"
        assert norway.client.cool_down.remaining == 0.0
        assert norway.account.name != sweden.account.name
        told = {
            shop: [
                row["third_party"]["reference"] for row in (await shops.call("list_activity", shop=shop))["activity"]
            ]
            for shop in ("sweden", "norway")
        }
        assert told == {"sweden": ["one"], "norway": ["two"]}
        found = [await shops.call("find_orders", reference="two", shop=shop) for shop in ("sweden", "norway")]
        assert [len(answer["orders"]) for answer in found] == [0, 1]


async def test_a_shop_with_cards_beside_one_with_codes(tmp_path: Path) -> None:
    async with several_shops(tmp_path, {"sweden": "", "norway": 'confirm = "card"'}) as shops:
        asked: dict[str, Any] = {"order_id": TOWEL, "refunded_amount": 5000}
        assert "code" in (await shops.call("refund_order", cards=True, **asked, shop="sweden"))["confirm"]
        preview = await shops.call("refund_order", cards=True, **asked, shop="norway")
        card = (await shops.ask("resources/read", {"uri": ORDER_CARD}, cards=True))["result"]["contents"][0]["text"]
        found = re.search('name="kustom-seal" content="([0-9a-f]+)"', card)
        assert found is not None

        async def approve(**given: Any) -> dict[str, Any]:
            whole = {"seal": found[1], "tool": "kustom_refund_order", "arguments": {**asked, "shop": "norway"}, **given}
            params = {"name": "kustom_approve", "arguments": whole}
            return (await shops.ask("tools/call", params, cards=True))["result"]["structuredContent"]

        again = await approve(state=preview["confirm"]["state"])
        assert again["details"][0] == 'Shop: "Hem Norway", playground.'
        done = await approve(code=again["confirm"]["code"], approve=True)
        assert (done["outcome"], done["shop"]) == ("applied", "norway")
        assert [name for name in ("sweden", "norway") if "POST 201" in shops.seen(name)] == ["norway"]


async def test_a_server_of_one_shop_says_nothing_of_shops() -> None:
    async with conversation() as talk:
        asked: dict[str, Any] = {"order_id": TOWEL, "refunded_amount": 5000}
        answers = [
            await talk.call("get_order", order_id=TOWEL),
            await talk.call("get_orders", order_ids=[TOWEL]),
            await talk.call("find_orders", reference="SE-19977"),
            await talk.call("refund_order", **asked),
            await talk.call("list_activity"),
        ]
        assert not any('"shop"' in compact(answer) or "Shop:" in compact(answer) for answer in answers)
        assert "Several shops" not in (talk.client.instructions or "")
        refused = await talk.call("get_order", order_id=TOWEL, shop="sweden")
        assert refused["error"]["code"] == "UNKNOWN_ARGUMENT"


async def test_an_order_that_left_the_shop_of_the_book_is_found_in_another(tmp_path: Path) -> None:
    async with several_shops(tmp_path, THREE) as shops:
        of_their_own(shops)
        await shops.call("get_order", order_id=NORWAYS)
        norway, finland = (shops.simulators[name] for name in ("norway", "finland"))
        norway.store, finland.store = finland.store, norway.store
        shops.time += 61
        for name in THREE:
            shops.seen(name)
        answer = await shops.call("get_order", order_id=NORWAYS)
        assert (answer["outcome"], answer["shop"]) == ("ok", "finland")
        assert [shops.seen(name) for name in THREE] == [["GET 404"], ["GET 404"], ["GET 200"]]


async def test_who_knew_an_order_is_remembered_of_the_account_and_not_of_the_name(tmp_path: Path) -> None:
    async with several_shops(tmp_path, KUSTOM_BOOK_DAYS="0") as shops:
        await shops.call("get_order", order_id=TOWEL, shop="sweden")
        text = shops.file.read_text()
        swapped = text.replace("MSWEDEN", "X").replace("MNORWAY", "MSWEDEN").replace("X", "MNORWAY")
        shops.file.write_text(swapped.replace(":1/sweden", ":1/x").replace(":1/norway", ":1/sweden"))
        shops.seen("sweden")
        answer = await shops.call("update_merchant_references", order_id=TOWEL, merchant_reference2="mine")
        assert (answer["outcome"], answer["shop"]) == ("applied", "norway")  # the name that the account has now
        assert shops.seen("sweden") == []


async def test_a_name_comes_before_a_title_and_no_title_is_the_name_of_another(tmp_path: Path) -> None:
    async with several_shops(tmp_path, THREE) as shops:
        before = shops.shops.now()
        shops.file.write_text(shops.file.read_text().replace("Hem Sweden", "Norway"))
        assert shops.shops.now() is before


async def test_a_call_whose_shop_was_changed_is_not_current_any_more(tmp_path: Path) -> None:
    async with several_shops(tmp_path) as shops:
        sweden, norway = shops.app("sweden"), shops.app("norway")
        assert sweden.is_current()
        shops.write({"sweden": 'writes = "deny"', "norway": ""})
        assert (sweden.is_current(), norway.is_current()) == (False, True)
        assert shops.app("sweden").is_current()


async def test_a_caller_has_one_limit_over_all_shops(tmp_path: Path) -> None:
    limits = {"KUSTOM_WRITES_PER_MINUTE": "2", "KUSTOM_BOOK_PEOPLE": "on"}
    async with several_shops(tmp_path, settings=limits) as shops:
        shops.principals["anna"] = Principal("anna", source="people")

        async def acknowledge(shop: str, who: str = "operator") -> str:
            answer = await shops.call("update_merchant_references", who=who, order_id=TOWEL, shop=shop, **new())
            return answer["outcome"] if "error" not in answer else code_of(answer)

        numbers = iter(range(9))

        def new() -> dict[str, Any]:
            return {"merchant_reference2": f"mine {next(numbers)}"}

        told = [await acknowledge(shop) for shop in ("sweden", "norway", "sweden", "norway")]
        assert told == ["applied", "applied", "RATE_LIMITED", "RATE_LIMITED"]
        assert await acknowledge("norway", "anna") == "applied"
        searches = [await shops.call("find_orders", email="nobody@example.com") for _ in range(21)]
        assert [answer["outcome"] for answer in searches] == ["ok"] * 20 + ["not_sent"]
        assert code_of(await shops.call("find_orders", email="nobody@example.com", shop="norway")) == "RATE_LIMITED"


async def test_what_a_shop_refuses_is_refused_in_the_name_of_its_own_field(tmp_path: Path) -> None:
    narrow = 'max_amount = "SEK:1000"\nmax_daily = "SEK:2000"\ntracking_hosts = "dhl.com"\nconfirm = "form"'
    loose = 'max_amount = "SEK:9000"\nmax_daily = "SEK:9000"\nwrites = "deny"'
    bound = {"KUSTOM_MAX_AMOUNT": "SEK:4000", "KUSTOM_WRITES": "allow"}
    async with several_shops(
        tmp_path, {"sweden": narrow, "norway": loose, "denmark": 'max_daily = "SEK:10"'}, settings=bound
    ) as shops:

        async def told(shop: str, amount: int = 5000) -> str:
            answer = await shops.call("refund_order", order_id=TOWEL, refunded_amount=amount, shop=shop)
            return f"{code_of(answer)} {answer['summary']} {answer['next_step']}"

        assert "(`max_amount` of shops.sweden in KUSTOM_SHOPS_FILE)" in await told("sweden")
        assert '"code" as `confirm` of shops.sweden in KUSTOM_SHOPS_FILE' in await told("sweden", 500)
        assert '"allow" as `writes` of shops.norway in KUSTOM_SHOPS_FILE opens it' in await told("norway")
        assert "(KUSTOM_MAX_AMOUNT)" in await told("denmark")
        assert "(`max_daily` of shops.denmark in KUSTOM_SHOPS_FILE)" in await told("denmark", 500)
        shipment = {"tracking_uri": "https://ups.com/1"}
        link = await shops.call("add_shipping_info", order_id=TOWEL, shipping_info=[shipment], shop="sweden")
        assert "`tracking_hosts` of shops.sweden in KUSTOM_SHOPS_FILE" in link["summary"]
        assert all("POST 201" not in shops.seen(name) for name in shops.simulators)


async def test_a_shop_of_blanks_is_not_given(tmp_path: Path) -> None:
    async with several_shops(tmp_path, THREE) as shops:
        of_their_own(shops)
        nothings: list[Any] = ["", " ", "\t \n", None, [], {}]
        for nothing in nothings:
            assert (await shops.call("get_order", order_id=NORWAYS, shop=nothing))["shop"] == "norway"


async def test_reports_name_the_shop_and_never_its_key(tmp_path: Path) -> None:
    watcher = Watcher()
    async with several_shops(tmp_path, telemetry=watcher.telemetry) as shops:
        await shops.call("update_merchant_references", order_id=TOWEL, merchant_reference2="mine", shop="norway")
        await shops.call("refund_order", order_id=TOWEL, refunded_amount=5000, shop="sweden")
        spans = [(span.name, str((span.attributes or {}).get("kustom.shop"))) for span in watcher.seen]
        assert {shop for name, shop in spans if name.startswith("tools/call")} == {"norway", "sweden"}
        assert {shop for name, shop in spans if name.startswith(("GET", "PATCH", "kustom."))} == {"norway", "sweden"}
        metrics = watcher.metrics()
        assert metrics["kustom.writes"] == {"kustom_update_merchant_references applied norway": 1}
        assert sorted(metrics["kustom.retry_budget.remaining"]) == ["norway", "sweden"]
        assert not any(API_KEY in str(span.to_json()) for span in watcher.seen)


async def test_a_shops_file_that_is_gone_is_told_once_and_its_shops_are_used_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with several_shops(tmp_path) as shops:
        shops.file.unlink()
        for _ in range(2):
            assert (await shops.call("get_order", order_id=TOWEL, shop="norway"))["outcome"] == "ok"
        told = [line.getMessage() for line in caplog.records if "KUSTOM_SHOPS_FILE" in line.getMessage()]
        assert told == ["KUSTOM_SHOPS_FILE: The file is not there any more. The list of shops from before is used on."]


async def test_who_may_only_read_or_is_a_customer_is_advised_nothing_else_by_any_shop(tmp_path: Path) -> None:
    """The server holds each answer to what its caller is listed; a customer hears nothing of the people who run it."""
    wish: dict[str, Any] = {"order_id": TOWEL, "refunded_amount": 100, "confirm": True}
    given: dict[str, dict[str, Any]] = {
        "get_order": {}, "list_captures": {}, "resolve_order": {}, "refund_order": wish | {"reference": "R-2"},
        "cancel_order": {"confirm": True}, "acknowledge_order": {}, "find_orders": {"reference": "SE-19977"},
        "get_orders": {"order_ids": [TOWEL, NO_SUCH]}, "list_activity": {},
    }  # fmt: skip
    told: set[str] = set()
    async with several_shops(tmp_path, THREE, KUSTOM_CONFIRM="flag", KUSTOM_BOOK_PEOPLE="on") as shops:
        shops.principals |= {
            "reader": Principal("reader", writes=False, source="people"),
            "customer": Principal("customer", orders=frozenset({TOWEL}), source="customer"),
        }
        shops.simulators["sweden"].faults.add(Fault("POST", "/orders/{order_id}/refunds", "reset", times=9))
        assert (await shops.call("refund_order", shop="sweden", **wish))["outcome"] == "unknown"
        shops.broken.add("finland")
        for who in ("reader", "customer", "operator"):
            for tool, arguments in given.items():
                named = {"order_id": TOWEL} if tool not in ("find_orders", "get_orders", "list_activity") else {}
                for more in ({}, {"shop": "sweden"}, {"shop": "finland"}, {"shop": "denmark"}, {"order": NO_SUCH}):
                    asked: dict[str, Any] = {**named, **arguments, **more}
                    answer = await shops.call(tool, who=who, **asked)
                    told.add(answer.get("error", {}).get("code", answer["outcome"]))
    assert told >= {
        "NOT_PERMITTED", "UPSTREAM_UNAVAILABLE", "WRITE_IN_DOUBT", "UNKNOWN_ARGUMENT", "ok",
    }  # fmt: skip
