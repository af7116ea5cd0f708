"""POST /customer-tokens with a real server: whose order it is, and what a token, or a guess, leads to."""

from __future__ import annotations

import hashlib
import time
from math import floor
from pathlib import Path
from typing import Any

import anyio
import httpx2 as httpx
import jwt
import pytest
from mcp import MCPError
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import ElicitRequestParams, ElicitResult

from kustom_mcp.calls.token import derive
from kustom_mcp.settings.people import PeopleFile
from kustom_mcp.simulator.faults import Fault
from kustom_mcp.transport.http.customer_tokens import PREFIX, SECONDS, CustomerTokens
from kustom_mcp.transport.http.customers import A_MINUTE, FAILURES, MOST_ORDERS, NOT_FOUND, STEP
from kustom_mcp.transport.http.people import People
from kustom_mcp.transport.oauth.tokens import SCOPES, TokenRefused
from tests.support.conversation import demo
from tests.transport.http.chatbots import chatbot, of
from tests.transport.http.test_people import second, write

BLANKETS = demo("authorized-sek")
TOWEL = demo("captured-sek")
TESTA = "testa.testsson@example.com"
REFUND = {"order_id": TOWEL, "refunded_amount": 100}
MISSING = "00000000-0000-4000-8000-000000000000"


def people_file(folder: Path, **more: str) -> str:
    return str(write(folder / "people.toml", bot='may = ["customers"]', **more))


async def test_a_customer_gets_the_orders_that_are_theirs_and_no_others(tmp_path: Path) -> None:
    file = people_file(tmp_path, full='may = ["write", "customers"]', reader='may = ["read", "write"]')
    async with chatbot(file, KUSTOM_CONFIRM="flag") as bot:
        ours = [
            bot.simulator.add_order({"merchant_reference1": "SHOP-1", **of(email, code)}).order["order_id"]
            for email, code in (("Åsa@example.com", "111 22"), ("eva@example.com", "11122"), ("åsa@EXAMPLE.com", "9"))
        ]
        nameless = bot.simulator.add_order({"merchant_reference1": "SHOP-2"}).order
        for address in ("billing_address", "shipping_address"):
            nameless[address] = {"country": "SE"}
        both = await bot.prove("bot-token", reference=" shop-1 ", email="A\u030asa@example.com ")
        one = await bot.prove("bot-token", reference="SHOP-1", email="eva@example.com", order_id=None, shop="")
        by_code = await bot.prove("full-second", reference="SHOP-1", postal_code="11122")
        by_id = await bot.prove("full-token", order_id=ours[0].upper(), postal_code="se-111 22")
        none = [
            await bot.prove("bot-token", **body)
            for body in (
                {"reference": "SHOP-2", "email": "none"},
                {"reference": "SHOP-2", "email": "demo.customer@example.com"},
                {"order_id": nameless["order_id"], "postal_code": "11122"},
                {"reference": "SHOP", "email": "eva@example.com"},
                {"reference": "SHOP1", "email": "eva@example.com"},
                {"reference": ours[1], "email": "eva@example.com"},
            )
        ]
        who = [await bot.prove(bearer, order_id=TOWEL, email="x@example.com") for bearer in ("reader-token", "x")]
        got = by_code.json()["access_token"]
        listed = [await bot.tools(token) for token in (got, both.json()["access_token"])]
        own = await bot.use(got, "get_order", order_id=ours[1])
        foreign = await bot.use(got, "get_order", order_id=ours[2])
        written = await bot.use(got, "acknowledge_order", order_id=ours[1])
        denied = await bot.use(both.json()["access_token"], "acknowledge_order", order_id=ours[0])
        again = await bot.prove(got, order_id=ours[1], postal_code="11122")
    fits = [answer.json()["orders"] for answer in (both, one, by_code, by_id)]
    assert [sorted(each) for each in fits] == [sorted(ours[::2]), [ours[1]], sorted(ours[:2]), [ours[0]]]
    for answer in (both, one, by_code, by_id):
        assert answer.json().keys() == {"access_token", "expires_in", "orders"}
    assert [(answer.status_code, answer.json()) for answer in none] == [(404, NOT_FOUND)] * len(none)
    assert [(answer.status_code, answer.json()["error"]) for answer in who] == [
        (403, "insufficient_scope"),
        (401, "invalid_token"),
    ]
    assert ["kustom_refund_order" in names for names in listed] == [True, False]
    assert [own["outcome"], written["outcome"]] == ["ok", "applied"]
    assert foreign["error"]["code"] == "NOT_FOUND"
    assert denied["error"]["code"] == "NOT_PERMITTED"
    assert "hand over" in denied["next_step"]
    assert again.status_code == 401, "a customer's token asks for no other"
    assert bot.why == [*["given"] * 4, *["no_fit"] * 3, *["unknown"] * 3, "may_not"]
    assert bot.journal[2]["orders"] == by_code.json()["orders"]
    assert "example.com" not in str(bot.served.app.audit.memory)
    assert "shop-1" not in str(bot.journal).lower()


async def test_a_wrong_and_an_unknown_order_cannot_be_told_apart(tmp_path: Path) -> None:
    """The same answer after the same time, however slow Kustom is; and the sixth try finds nothing, right or not."""
    async with chatbot(people_file(tmp_path)) as bot:
        await bot.prove("bot-token", reference="SE-20451", postal_code="11122")
        told = list[tuple[int, bytes, int]]()
        for body in ({"reference": "SE-20451"}, {"reference": "SE-404"}, {"order_id": TOWEL}, {"order_id": MISSING}):
            bot.simulator.faults.add(Fault("GET", "/orders/{order_id}", "delay", seconds=0.6))
            began = anyio.current_time()
            answer = await bot.prove("bot-token", **body, email="guess@example.com")
            told.append((answer.status_code, answer.content, floor((anyio.current_time() - began) / STEP)))
        assert not bot.simulator.faults.waiting()
        guesses = [{"reference": "se-20451"}, {"order_id": BLANKETS}] * 2
        for body in guesses:
            assert (await bot.prove("bot-token", **body, email="guess@example.com")).status_code == 404
        seen = len(bot.simulator.requests)
        late = [
            await bot.prove("bot-token", **body, postal_code="11122")
            for body in ({"reference": "SE-20451"}, {"order_id": BLANKETS}, {"reference": "WEB-9931"})
        ]
        other = await bot.prove("bot-token", order_id=TOWEL, email=TESTA)
    assert len({(status, content) for status, content, _ in told}) == 1
    assert {seconds for *_, seconds in told} == {2}
    assert 1 + len(guesses) == FAILURES
    assert [answer.status_code for answer in late] == [404] * 3
    assert bot.why[-4:] == [*["too_many_failures"] * 3, "given"]
    assert other.status_code == 200
    assert len(bot.simulator.requests) == seen + 1


async def test_what_cannot_be_read_is_the_same_answer_and_a_kustom_that_is_down_counts_no_failure(
    tmp_path: Path,
) -> None:
    bad = ("", "[]", "null", "{", "[" * 9000, '{"reference": 5, "email": "a@b.c"}', '"x"', '{"email": "a@b.c"}')
    bodies: list[dict[str, Any]] = [
        {"reference": "SE-20451"},
        {"reference": "SE-20451", "order_id": BLANKETS, "email": "a@example.com"},
        {"reference": "SE-20451", "email": "a" * 400},
        {"reference": "SE-20451", "mail": "a@example.com"},
        {"reference": "  ", "email": "a@example.com"},
        {"order_id": "SE-20451", "email": "a@example.com"},
    ]
    async with chatbot(people_file(tmp_path)) as bot:
        told = [await bot.prove("bot-token", text) for text in bad]
        told += [await bot.prove("bot-token", **body) for body in bodies]
        assert bot.simulator.requests == []
        bot.simulator.faults.add(Fault("GET", "/orders/{order_id}", "status", status=400, times=FAILURES + 1))
        down = [await bot.prove("bot-token", order_id=TOWEL, email=TESTA) for _ in range(FAILURES + 1)]
        up = await bot.prove("bot-token", order_id=TOWEL, email=TESTA)
        async with anyio.create_task_group() as group:
            for _ in range(A_MINUTE + 1 - len(bot.journal)):
                group.start_soon(bot.prove, "bot-token", "at once")
        url = "/customer-tokens"
        others = [await bot.http.get(url), await bot.http.post(url), await bot.http.post(url, content=b"x" * 20_000)]
        foreign = await bot.http.post(url, headers={"origin": "https://evil.example"})
    assert {(answer.status_code, answer.content) for answer in [*told, *down]} == {(404, down[0].content)}
    assert (down[0].json(), up.status_code) == (NOT_FOUND, 200)
    before = [*["unreadable"] * len(told), *["unavailable"] * len(down), "given"]
    assert bot.why[: len(before)] == before
    assert sorted(bot.why[len(before) :]) == ["too_fast", *["unreadable"] * (A_MINUTE - len(before))]
    assert [answer.status_code for answer in (*others, foreign)] == [405, 401, 413, 403]


async def test_a_person_sees_no_further_than_their_orders_and_a_book_that_is_off_finds_none(tmp_path: Path) -> None:
    file = people_file(tmp_path, narrow=f'may = ["customers"]\norders = ["{TOWEL}"]')
    async with chatbot(file, KUSTOM_BOOK_DAYS="0") as bot:
        answers = [
            await bot.prove(bearer, order_id=order_id, email=TESTA)
            for bearer, order_id in (("narrow-token", TOWEL), ("narrow-token", BLANKETS))
        ]
        off = await bot.prove("bot-token", reference="SE-19977", email=TESTA)
    assert [answer.status_code for answer in (*answers, off)] == [200, 404, 404]
    assert bot.why == ["given", "unknown", "no_book"]


async def test_a_record_that_cannot_be_written_gives_no_token(tmp_path: Path) -> None:
    audit = tmp_path / "no" / "folder"
    async with chatbot(people_file(tmp_path), KUSTOM_AUDIT_LOG=str(audit)) as bot:
        answer = await bot.prove("bot-token", order_id=TOWEL, email=TESTA)
    assert (answer.status_code, answer.json()) == (404, NOT_FOUND)


SECRETS = [b"new" * 11, b"old" * 11]


def signing(file: Path, secrets: list[bytes] = SECRETS, account: str = "a", now: float = 0.0) -> CustomerTokens:
    return CustomerTokens(secrets, account, People(PeopleFile(file), wall=lambda: now), wall=lambda: now)


def test_a_token_ends_with_its_time_its_person_its_key_and_the_token_that_asked_for_it(tmp_path: Path) -> None:
    file = write(tmp_path / "people.toml", bot='may = ["write", "customers"]\nmax_amount = "SEK:100"')
    person = People(PeopleFile(file)).by_token("bot-second")
    assert person is not None
    token = signing(file, SECRETS[1:]).issue(person, "bot-second", [TOWEL])
    good = signing(file, now=SECONDS - 1).grant(token)
    assert (good.scopes, good.principal.orders, good.principal.name) == (SCOPES, {TOWEL}, "customer of bot")
    assert good.principal.max_amount == person.max_amount
    assert good.expires_at == SECONDS
    other = signing(file).issue(person, "bot-token", [BLANKETS])
    assert good.client != signing(file).grant(other).client, "two customers are two callers"
    assert good.client == signing(file).grant(signing(file).issue(person, "bot-token", [TOWEL])).client
    claims = jwt.decode(token.removeprefix(PREFIX), options={"verify_signature": False})
    forged = [
        PREFIX + jwt.encode({**claims, **more}, key, algorithm=algorithm)
        for more, key, algorithm in (
            ({"orders": [BLANKETS]}, b"x" * 32, "HS256"),
            ({}, derive(SECRETS[0], "customer-token") * 2, "HS512"),
            ({}, derive(SECRETS[0], "confirmation"), "HS256"),
            ({}, "", "none"),
            ({"aud": "b"}, derive(SECRETS[0], "customer-token"), "HS256"),
        )
    ]
    for bad in (*forged, token[:-2], token.removeprefix(PREFIX), PREFIX, PREFIX + "a" * 9000, f"{token}é"):
        with pytest.raises(TokenRefused, match="not a customer token"):
            signing(file).grant(bad)
    for late in (signing(file, SECRETS[:1]), signing(file, account="b"), signing(file, now=SECONDS)):
        with pytest.raises(TokenRefused):
            late.grant(token)
    renew = good.principal.renew
    assert renew is not None
    assert renew() == good.principal
    write(file, bot=f'may = ["customers"]\norders = ["{BLANKETS}"]')
    narrowed = renew()
    assert narrowed is not None
    assert (narrowed.writes, narrowed.orders, narrowed.identity) == (False, frozenset(), good.principal.identity)
    ends = ['may = ["read", "write"]', 'may = ["customers"]\nexpires = 2020-01-01', None]
    for number, text in enumerate(ends):
        write(file, bot='may = ["write", "customers"]')
        assert signing(file).grant(token)
        write(file, **({"bot": text} if text else {f"other{number}": 'may = ["read"]'}))
        with pytest.raises(TokenRefused, match="ask for a new one"):
            signing(file, now=time.time() if text else 0.0).grant(token)
    first = hashlib.sha256(b"bot-token").hexdigest()
    file.write_text(write(file, bot='may = ["customers"]').read_text().replace(second("bot"), "0" * 64))
    assert first in file.read_text()
    assert signing(file).grant(other).principal.writes is False
    with pytest.raises(TokenRefused, match="ask for a new one"):
        signing(file).grant(token)


async def test_a_person_who_is_removed_while_the_customer_reads_a_form_sends_nothing(tmp_path: Path) -> None:
    file = people_file(tmp_path, full='may = ["write", "customers"]')
    async with chatbot(file) as bot:
        token = (await bot.prove("full-token", order_id=TOWEL, email=TESTA)).json()["access_token"]
        asked = list[str]()

        async def ask(context: object, params: ElicitRequestParams) -> ElicitResult:
            asked.append(params.message)
            people_file(tmp_path)
            return ElicitResult(action="accept", content={"approve": True})

        headers = {"authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(headers=headers, timeout=60, trust_env=False, verify=False) as http:
            way = streamable_http_client(bot.served.url, http_client=http)
            told = ""
            async with Client(way, elicitation_callback=ask) as client:
                try:
                    told = str(await client.call_tool("kustom_refund_order", REFUND))
                except MCPError as error:
                    told = str(error)
        writes = [seen.method for seen in bot.simulator.requests if seen.method != "GET"]
    assert len(asked) == 1
    assert told == "The customer token is not good any more: ask for a new one."
    assert writes == []


async def test_replicas_that_share_a_store_take_each_others_tokens_and_count_together(tmp_path: Path) -> None:
    file, state = people_file(tmp_path), str(tmp_path / "state")
    async with chatbot(file, KUSTOM_STATE_DIR=state) as one, chatbot(file, KUSTOM_STATE_DIR=state) as two:
        got = (await one.prove("bot-token", order_id=TOWEL, email=TESTA)).json()["access_token"]
        read = await two.use(got, "get_order", order_id=TOWEL)
        guesses = [
            await (one, two)[number % 2].prove("bot-token", order_id=TOWEL, email="x@y.z") for number in range(5)
        ]
        late = [await each.prove("bot-second", order_id=TOWEL, email=TESTA) for each in (one, two)]
    assert read["outcome"] == "ok"
    assert [answer.status_code for answer in (*guesses, *late)] == [404] * 7


async def test_of_a_reference_of_many_orders_the_newest_are_looked_at(tmp_path: Path) -> None:
    async with chatbot(people_file(tmp_path)) as bot:
        for _ in range(MOST_ORDERS + 5):
            bot.simulator.add_order({"merchant_reference1": "SAME", "billing_address": {"email": "a@example.com"}})
        answer = await bot.prove("bot-token", reference="same", email="a@example.com")
        met = await bot.tools(answer.json()["access_token"])
    assert (answer.status_code, len(answer.json()["orders"]), "kustom_get_order" in met) == (200, MOST_ORDERS, True)
