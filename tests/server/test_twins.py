"""Two twins in one server: the same order ids, references and user names, and nothing of one in an answer about the
other.

The walk is driven from the catalogue: a new tool is walked by itself, with arguments made from its own schema. Each
text of an order carries the name of its shop, so that a fact of the other one is seen wherever it stands; and each
sandbox tells what it was asked.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from kustom_mcp.calls.policy import Principal
from kustom_mcp.schema.result import compact
from kustom_mcp.simulator.demo_orders import demo_orders
from kustom_mcp.simulator.faults import Fault
from kustom_mcp.tools.catalog import CATALOG
from tests.support.conversation import demo
from tests.support.shops import OPERATOR, SeveralShops, several_shops

TOWEL = demo("captured-sek")
UNKNOWN = "00000000-0000-4000-8000-000000000000"
TWINS = {"sweden": 'username = "support"', "norway": 'username = "support"'}
ORDERS = [seed.order_id for seed in demo_orders()]
DONE = frozenset({"ok", "applied", "already_applied"})
SHIPMENT = {"shipping_company": "DHL", "tracking_number": "001", "shipping_method": "Home"}
VALUES: dict[str, Any] = {
    "order_ids": [TOWEL],
    "shipping_info": [SHIPMENT],
    "number_of_days": 14,
    "refunded_amount": 100,
    "captured_amount": 100,
    "merchant_reference2": "mine",
    "shipping_address": {"city": "Lund", "postal_code": "22100"},
    "from": "2026-11-01",
    "before": "2026-11-30",
    "line_changes": [{"line": 1, "quantity": 1}],
    "created_from": "2020-01-01",
}
"""A value of each argument that a call needs or can be made with."""
CHOSEN: dict[str, tuple[str, ...]] = {
    "kustom_capture_order": ("captured_amount",),
    "kustom_refund_order": ("refunded_amount",),
    "kustom_update_order_amount": ("line_changes",),
    "kustom_update_merchant_references": ("merchant_reference2",),
    "kustom_update_customer_details": ("shipping_address",),
    "kustom_find_orders": ("created_from",),
    "kustom_list_payouts": ("from", "before"),
}
"""The arguments of tools that need one of several, beside those that their schema requires."""
OVER_ALL = [name for name, tool in CATALOG.items() if "order_id" not in tool.wire()["inputSchema"].get("required", ())]
OF_ONE = [name for name in CATALOG if name not in OVER_ALL]


def arguments_of(tool: str, order: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments for a call of a tool about an order, as its sandbox holds it."""
    wire = CATALOG[tool].wire()["inputSchema"]
    given: dict[str, Any] = {}
    for name in (*wire.get("required", ()), *CHOSEN.get(tool, ())):
        if name == "order_id":
            given[name] = order["order_id"]
        elif name in ("capture_id", "refund_id"):
            entries = order.get(f"{name.removesuffix('_id')}s") or [{name: "none"}]
            given[name] = entries[0][name]
        else:
            given[name] = VALUES[name]  # a new tool that needs another argument: give it a value above
    if tool == "kustom_list_transactions":
        given["order_id"] = order["order_id"]
    return given


def marked(shops: SeveralShops) -> SeveralShops:
    """Put the name of its shop into each text of each order."""
    for name, simulator in shops.simulators.items():
        mark = f"fact-of-{name}"
        for order_id in ORDERS:
            record = simulator.store.find(order_id)
            assert record is not None
            _mark(record.order, mark)
    return shops


def _mark(value: Any, mark: str) -> None:
    if isinstance(value, list):
        for one in cast("list[Any]", value):
            _mark(one, mark)
    elif isinstance(value, dict):
        for name, one in cast("dict[str, Any]", value).items():
            if name in ("name", "merchant_data", "description", "given_name", "tracking_number") and one:
                value[name] = mark
            _mark(one, mark)


def order_in(shops: SeveralShops, shop: str, order_id: str) -> Mapping[str, Any]:
    record = shops.simulators[shop].store.find(order_id)
    assert record is not None
    return record.order


@asynccontextmanager
async def twins(folder: Path) -> AsyncGenerator[SeveralShops]:
    """The twins, and callers for one, both and none."""
    _made(folder)
    async with several_shops(folder, TWINS, KUSTOM_TOOLS="all", KUSTOM_WRITES_PER_MINUTE="10000") as shops:
        for name in TWINS:
            shops.principals[name] = Principal(name, shops=frozenset({name}))
        shops.principals["nobody"] = Principal("nobody", shops=frozenset())
        shops.principals["both"] = Principal("both", shops=frozenset(TWINS))
        yield marked(shops)


def _made(folder: Path) -> None:
    folder.mkdir(exist_ok=True)


def holds(answer: Any, name: str) -> bool:
    return name in compact(answer).casefold()


async def walked(shops: SeveralShops, shop: str, who: str, *, named: bool) -> list[tuple[str, str]]:
    """Call each tool until it does its work on some order; the outcomes. Every answer is held to what is of the other
    shop."""
    other = next(name for name in TWINS if name != shop)
    told: list[tuple[str, str]] = []
    for tool in CATALOG:
        outcome = ""
        for order_id in ORDERS if tool in OF_ONE else ORDERS[:1]:
            given = arguments_of(tool, order_in(shops, shop, order_id))
            answer = await one_call(shops, tool, {**given, **({"shop": shop} if named else {})}, who)
            assert not holds(answer, other), (tool, answer)
            assert answer.get("shop") == shop, (tool, answer)
            outcome = answer["outcome"]
            if outcome in DONE:
                break
        assert shops.seen(other) == [], tool
        told.append((tool, outcome))
    return told


async def one_call(shops: SeveralShops, tool: str, given: dict[str, Any], who: str) -> dict[str, Any]:
    """A call, confirmed with its code where it has one."""
    arguments: dict[str, Any] = {**given}
    if "from" in arguments:
        arguments["from_"] = arguments.pop("from")
    answer = await shops.call(tool.removeprefix("kustom_"), who=who, **arguments)
    if answer["outcome"] == "confirmation_required":
        answer = await shops.call(tool.removeprefix("kustom_"), who=who, **arguments, confirm=answer["confirm"]["code"])
    return answer


@pytest.mark.parametrize(("who", "named"), [("operator", True), ("both", True), ("norway", True), ("norway", False)])
async def test_every_tool_does_its_work_in_one_twin_and_tells_and_asks_nothing_of_the_other(
    who: str, named: bool, tmp_path: Path
) -> None:
    async with twins(tmp_path) as shops:
        told = dict(await walked(shops, "norway", who, named=named))
        assert {tool: outcome for tool, outcome in told.items() if outcome not in DONE} == {}
        assert set(told) == set(CATALOG)


async def test_what_happens_in_one_twin_changes_nothing_in_the_other(tmp_path: Path) -> None:
    """A write in doubt, a lease, a pause, a used-up ceiling, and every write carried out."""
    async with twins(tmp_path / "alone") as shops:
        alone = await walked(shops, "norway", "operator", named=True)
    async with twins(tmp_path / "beside") as shops:
        await walked(shops, "sweden", "operator", named=True)
        sweden = shops.app("sweden")
        for order_id in ORDERS:
            sweden.intents.lease(sweden.account.name, order_id, "somebody", 600.0)
        faults = shops.simulators["sweden"].faults
        faults.add(Fault("GET", "/orders/{order_id}", "status", status=401, times=10**6))
        sweden.client.cool_down.start(600.0)
        sweden.note_health("Kustom did not accept its credentials")
        shops.seen("sweden")
        assert await walked(shops, "norway", "operator", named=True) == alone


@pytest.mark.parametrize("tool", OF_ONE)
async def test_an_order_of_both_is_asked_about_and_a_code_of_one_is_worthless_in_the_other(
    tool: str, tmp_path: Path
) -> None:
    async with twins(tmp_path) as shops:
        for order_id in ORDERS:
            given = arguments_of(tool, order_in(shops, "norway", order_id))
            answer = await shops.call(tool.removeprefix("kustom_"), who="both", **given)
            assert answer["error"]["code"] == "SHOP_REQUIRED", answer
            if not CATALOG[tool].effect.gated:
                return
            preview = await shops.call(tool.removeprefix("kustom_"), **given, shop="sweden")
            if preview["outcome"] != "confirmation_required":
                continue
            code = preview["confirm"]["code"]
            foreign = await shops.call(tool.removeprefix("kustom_"), **given, shop="norway", confirm=code)
            assert foreign["outcome"] == "not_sent", foreign
            assert foreign["error"]["code"].startswith("CONFIRMATION_")
            assert not holds(foreign, "sweden")
            writes = [one for name in TWINS for one in shops.seen(name) if not one.startswith("GET")]
            assert writes == []
            return
        pytest.fail("no demo order takes this tool")


@pytest.mark.parametrize("tool", list(CATALOG))
async def test_for_a_caller_another_shop_is_one_that_does_not_exist(tool: str, tmp_path: Path) -> None:
    async with twins(tmp_path) as shops:
        given = arguments_of(tool, order_in(shops, "norway", TOWEL))
        for who in ("norway", "nobody"):
            hidden = [
                await one_call(shops, tool, {**given, "shop": shop}, who) for shop in ("sweden", "oslo", "MSWEDEN")
            ]
            assert hidden[0] == hidden[1] == hidden[2]
            assert not holds(hidden[0], "sweden")
            assert not holds(hidden[0], "norway") or who == "norway"
        answer = await one_call(shops, tool, given, "nobody")
        assert (answer["outcome"], answer["error"]["code"]) == ("not_sent", "NOT_PERMITTED")
        assert (shops.seen("sweden"), shops.seen("norway")) == ([], [])


@pytest.mark.parametrize("tool", OVER_ALL)
async def test_an_answer_over_both_says_of_each_row_whose_it_is(tool: str, tmp_path: Path) -> None:
    async with twins(tmp_path) as shops:
        for name in TWINS:
            for order_id in ORDERS[:3]:
                await shops.call("get_order", order_id=order_id, shop=name)
        given = arguments_of(tool, order_in(shops, "norway", TOWEL))
        answer = await one_call(shops, tool, given, "both")
        lists: list[list[Any]] = [value for value in answer.values() if isinstance(value, list)]
        rows: list[dict[str, Any]] = [row for rows in lists for row in rows if isinstance(row, dict)]
        for row in rows:
            if "shop" in row:
                assert not any(holds(row, f"fact-of-{name}") for name in TWINS if name != row["shop"]), row
            else:
                assert not holds(row, "fact-of-"), row
        narrow = await one_call(shops, tool, given, "norway")
        assert not holds(narrow, "sweden"), narrow


async def test_no_resource_prompt_completion_or_list_shows_a_shop_that_a_caller_may_not_see(tmp_path: Path) -> None:
    async with twins(tmp_path) as shops:
        await shops.call("get_order", order_id=TOWEL, shop="sweden")
        answers: list[Any] = []
        for who in ("norway", "nobody"):

            async def ask(method: str, params: dict[str, Any], who: str = who) -> Any:
                answers.append(answer := await shops.ask(method, params, who=who))
                return answer.get("result", {})

            resources = (await ask("resources/list", {}))["resources"]
            templates = (await ask("resources/templates/list", {}))["resourceTemplates"]
            uris = [one["uri"] for one in resources] + [
                one["uriTemplate"].replace("{order_id}", TOWEL) for one in templates
            ]
            for uri in uris:
                await ask("resources/read", {"uri": uri})
            for prompt in (await ask("prompts/list", {}))["prompts"]:
                names = [one["name"] for one in prompt.get("arguments", [])]
                await ask("prompts/get", {"name": prompt["name"], "arguments": dict.fromkeys(names, TOWEL)})
                for name in names:
                    reference = {"type": "ref/prompt", "name": prompt["name"]}
                    for typed in ("", "s", "n"):
                        await ask("completion/complete", {"ref": reference, "argument": {"name": name, "value": typed}})
            await ask("tools/list", {})
        assert len(answers) > 30
        assert [answer for answer in answers if holds(answer, "sweden")] == []
        assert shops.seen("sweden") == ["GET 200"]


async def test_an_order_of_another_shop_costs_the_same_requests_as_one_that_does_not_exist(tmp_path: Path) -> None:
    """Also where the book knows whose it is, or that shop was asked before."""
    async with twins(tmp_path) as shops:
        shops.principals["third"] = Principal("third", shops=frozenset({"norway"}))
        theirs = str(shops.simulators["sweden"].add_order({"merchant_reference1": "SE-9"}).order["order_id"])
        assert (await shops.call("get_order", order_id=theirs, shop="sweden"))["outcome"] == "ok"
        assert (await shops.call("get_order", order_id=theirs))["shop"] == "sweden"
        for name in TWINS:
            shops.seen(name)
        for tool in OF_ONE:
            work: list[Any] = []
            for order_id in (theirs, UNKNOWN):
                given = {**arguments_of(tool, {"order_id": order_id}), "order_id": order_id}
                answers = [await one_call(shops, tool, given, "norway") for _ in range(2)]
                work.append(([compact(answer).replace(order_id, "ID") for answer in answers], shops.seen("norway")))
                assert shops.seen("sweden") == []
            assert work[0] == work[1], tool
        found = [await shops.call("find_orders", who="norway", reference=text) for text in ("SE-9", "SE-8", theirs[:8])]
        assert all(answer["orders"] == [] for answer in found)
        assert len({compact({**answer, "now": "", "coverage": {}}) for answer in found}) == 1


async def test_the_operator_is_the_one_who_sees_all(tmp_path: Path) -> None:
    """The walk above would find nothing if the marks were not there."""
    async with twins(tmp_path) as shops:
        assert OPERATOR.shops is None
        for name in TWINS:
            answer = await shops.call("get_order", order_id=TOWEL, shop=name, include=["lines", "customer"])
            assert holds(answer, f"fact-of-{name}")
