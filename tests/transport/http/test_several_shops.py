"""Several shops over HTTP: whose webhook it is, what a person may see, customer tokens, and readiness."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx

from kustom_mcp.settings.people import PeopleFile
from kustom_mcp.simulator.shops import orders_of
from kustom_mcp.transport.http.access import Callers
from kustom_mcp.transport.http.app import web_app
from kustom_mcp.transport.http.people import People
from tests.support.advice import misadvised
from tests.support.conversation import demo
from tests.support.shops import SeveralShops, of_their_own
from tests.transport.pipe import call, request
from tests.transport.webhooks.hearing import HOOKS, PATH, SECRET, signed, told

TOWEL = demo("captured-sek")
OTHER_SECRET = "whsec_b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhlcm90aGVy"
NORWAYS = next(seed.order_id for seed in orders_of("norway") if seed.status == "CAPTURED")
BASE = "http://127.0.0.1:8080"


@asynccontextmanager
async def served(tmp_path: Path, people: str = "") -> AsyncGenerator[tuple[SeveralShops, httpx.AsyncClient]]:
    """The web app of two twins, with their webhooks' secrets, and an HTTP client in front of it."""
    (tmp_path / "sweden.whsec").write_text(SECRET)
    (tmp_path / "norway.whsec").write_text(OTHER_SECRET)
    tables = {name: f'hooks_secret_file = "{name}.whsec"' for name in ("sweden", "norway")}
    shops = SeveralShops(tmp_path, tables, {"KUSTOM_HOOKS_PATH": PATH})
    access = None
    if people:
        file = tmp_path / "people.toml"
        file.write_text(people)
        file.chmod(0o600)
        access = Callers(People(PeopleFile(file, ["sweden", "norway"])), None)
    web = web_app(shops.shops, 8080, access)
    async with (
        web.router.lifespan_context(web),
        httpx.AsyncClient(transport=httpx.ASGITransport(web), base_url=BASE) as http,
    ):
        yield shops, http


def person(name: str, lines: str) -> str:
    return f'[people.{name}]\ntoken_sha256 = "{hashlib.sha256(f"{name}-token".encode()).hexdigest()}"\n{lines}\n'


async def use(http: httpx.AsyncClient, bearer: str, tool: str, **arguments: Any) -> Any:
    headers = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2026-07-28"}
    headers |= {"mcp-method": "tools/call", "mcp-name": f"kustom_{tool}", "authorization": f"Bearer {bearer}"}
    body = request(1, "tools/call", call(1, tool, arguments)["params"], "2026-07-28")
    content = (await _result(http, headers, body))["structuredContent"]
    listing = request(2, "tools/list", {}, "2026-07-28")
    listed = await _result(http, headers | {"mcp-method": "tools/list", "mcp-name": ""}, listing)
    assert misadvised(f"kustom_{tool}", content, {one["name"]: one["inputSchema"] for one in listed["tools"]}) == []
    return content


async def _result(http: httpx.AsyncClient, headers: Mapping[str, str], body: Any) -> Any:
    text = (await http.post("/mcp", headers=headers, json=body)).text
    data = next((line[6:] for line in text.splitlines() if line.startswith("data: ")), text)
    return json.loads(data)["result"]


async def test_of_two_accounts_of_one_merchant_the_signature_tells_whose_a_webhook_is(tmp_path: Path) -> None:
    async with served(tmp_path) as (shops, http):
        text = shops.file.read_text().replace("MNORWAY", "MSWEDEN").replace(":1/norway", ":2/norway")
        shops.file.write_text(text)
        statuses: list[int] = []
        for kind, secret in (("order", SECRET), ("capture", OTHER_SECRET), ("refund", OTHER_SECRET[:-4] + "AAAA")):
            body = told(f"{kind}.created", TOWEL, merchant_id="MSWEDEN")
            statuses.append((await http.post(HOOKS, content=body, headers=signed(body, secret))).status_code)
        assert statuses == [200, 200, 401]


async def test_a_webhook_is_for_the_shop_of_its_merchant_and_verified_with_its_secret_alone(tmp_path: Path) -> None:
    async with served(tmp_path) as (shops, http):

        async def post(merchant: str, secret: str) -> int:
            body = told("order.created", TOWEL, merchant_id=merchant)
            return (await http.post(HOOKS, content=body, headers=signed(body, secret))).status_code

        statuses = [
            await post("MSWEDEN", SECRET),
            await post("mnorway", OTHER_SECRET),
            await post("MNORWAY", SECRET),
            await post("PM999", SECRET),
        ]
        assert statuses == [200, 200, 401, 200]
        assert (await http.post(HOOKS, params={"order_id": TOWEL})).status_code == 200
        assert (await http.post(HOOKS, content=b"{}", headers=signed(b"{}"))).status_code == 400
        assert shops.shops.failing() == {}


async def test_a_person_and_a_customer_token_are_for_their_shops_alone(tmp_path: Path) -> None:
    people = person("anna", 'shops = ["norway"]') + person("bot", 'may = ["customers"]')
    async with served(tmp_path, people) as (_, http):
        answer = await use(http, "anna-token", "get_order", order_id=TOWEL)
        assert (answer["outcome"], answer["shop"]) == ("ok", "norway")
        hidden = [await use(http, "anna-token", "get_order", order_id=TOWEL, shop=shop) for shop in ("sweden", "x")]
        assert hidden[0] == hidden[1]

        async def ask(**asked: str) -> httpx.Response:
            headers = {"authorization": "Bearer bot-token"}
            return await http.post("/customer-tokens", json={"order_id": TOWEL, **asked}, headers=headers)

        good = {"postal_code": "11122"}
        statuses = [(await ask(**good, **shop)).status_code for shop in ({}, {"shop": "oslo"}, {"shop": "norway"})]
        assert statuses == [404, 404, 200]  # both twins have it, one of them does not exist
        token = (await ask(**good, shop="norway")).json()["access_token"]
        assert (await use(http, token, "get_order", order_id=TOWEL))["shop"] == "norway"
        assert (await use(http, token, "get_order", order_id=TOWEL, shop="sweden"))["outcome"] == "not_sent"


async def test_a_failing_shop_makes_the_server_degraded_and_not_unready(tmp_path: Path) -> None:
    async with served(tmp_path) as (shops, http):
        assert (await http.get("/readyz")).json() == {"ready": True, "because": []}
        await shops.shops.opened(shops.shops.now()["norway"])
        shops.app("norway").note_health("Kustom did not accept its credentials")
        answer = await http.get("/readyz")
        assert (answer.status_code, answer.json()) == (
            200,
            {"ready": True, "because": [], "degraded": ["shop norway: Kustom did not accept its credentials"]},
        )


async def test_a_customer_of_one_of_several_shops_is_found_and_wrong_proofs_count_over_all(tmp_path: Path) -> None:
    people = person("bot", 'may = ["customers"]') + person("narrow", 'may = ["customers"]\nshops = ["sweden"]')
    async with served(tmp_path, people) as (shops, http):
        norway = of_their_own(shops).simulators["norway"]

        async def ask(who: str = "bot", **asked: str) -> httpx.Response:
            headers = {"authorization": f"Bearer {who}-token"}
            return await http.post("/customer-tokens", json={"order_id": NORWAYS, **asked}, headers=headers)

        found = await ask(postal_code="0150", shop=" ")
        assert (found.status_code, found.json()["orders"]) == (200, [NORWAYS])
        assert (await use(http, found.json()["access_token"], "get_order", order_id=NORWAYS))["shop"] == "norway"
        assert (await ask("narrow", postal_code="0150")).status_code == 404
        wrong = [await ask(postal_code="9999", shop=shop) for shop in ("norway", "sweden", "", "sweden")]
        assert [one.status_code for one in wrong] == [404] * 4
        before = len(norway.requests)
        assert (await ask(postal_code="0150", shop="norway")).status_code == 404  # with the narrow one it was five
        assert len(norway.requests) == before
        lines = [
            json.loads(line) for line in (tmp_path / "state" / "audit").rglob("*").__next__().read_text().splitlines()
        ]
        told = [(line.get("shop"), line.get("why")) for line in lines if line["event"] == "customer_token"]
        assert (told[0], told[-1]) == (("Hem Norway", None), ("Hem Norway", "too_many_failures"))
