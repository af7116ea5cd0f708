"""People of the people file over HTTP: rights, ceilings, two tokens, and the end of a person while a call runs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from kustom_mcp.calls.policy import Principal
from kustom_mcp.money import Ceilings
from kustom_mcp.settings.people import PeopleFile
from kustom_mcp.settings.settings import ConfigError
from kustom_mcp.transport.http.access import access_for, require_access
from kustom_mcp.transport.http.people import People
from kustom_mcp.transport.oauth.tokens import SCOPES, TokenRefused
from tests.support.conversation import demo
from tests.transport.http.callers import callers
from tests.transport.oauth.issuing import Site, ec_key, jwk, settings, token
from tests.transport.oauth.serving_with_tokens import bound, serving
from tests.transport.pipe import call, request

TOWEL = demo("captured-sek")
BLANKETS = demo("authorized-sek")
REFUND = {"order_id": TOWEL, "refunded_amount": 5000, "confirm": True}


def write(path: Path, **people: str) -> Path:
    """Write a people file: the lines of each, with the digest of the token `NAME-token`, or the tokens of a list."""
    tables = list[str]()
    for name, lines in people.items():
        digest = hashlib.sha256(f"{name}-token".encode()).hexdigest()
        tables.append(f'[people.{name}]\ntoken_sha256 = ["{digest}", "{second(name)}"]\n{lines}\n')
    path.write_text("".join(tables))
    path.chmod(0o600)
    return path


def second(name: str) -> str:
    return hashlib.sha256(f"{name}-second".encode()).hexdigest()


async def ask(url: str, bearer: str, method: str, params: Mapping[str, Any]) -> httpx.Response:
    headers = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2026-07-28"}
    headers |= {"mcp-method": method, "mcp-name": params.get("name") or "", "authorization": f"Bearer {bearer}"}
    async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
        return await http.post(url, headers=headers, json=request(1, method, dict(params), "2026-07-28"))


async def use(url: str, bearer: str, tool: str, arguments: Mapping[str, Any]) -> Any:
    answer = await ask(url, bearer, "tools/call", call(1, tool, dict(arguments))["params"])
    assert answer.status_code == 200, answer.text
    text = answer.text
    data = next(line[6:] for line in text.splitlines() if line.startswith("data: ")) if "data: " in text else text
    return httpx.Response(200, content=data).json()["result"]


@pytest.mark.real_clock
async def test_rights_of_people(tmp_path: Path) -> None:
    file = write(
        tmp_path / "people.toml",
        reader='may = ["read"]',
        desk=f'may = ["read", "write"]\nmax_amount = "SEK:5000"\norders = ["{TOWEL}"]',
        bot='may = ["customers"]',
        former='may = ["read"]\nexpires = 2020-01-01',
    )
    async with serving(bound(), KUSTOM_PEOPLE_FILE=str(file), KUSTOM_CONFIRM="flag") as served:
        listed = [await use_list(served.url, f"{name}-token") for name in ("reader", "desk")]
        read_only = await use(served.url, "reader-token", "refund_order", REFUND)
        outside = await use(served.url, "desk-token", "get_order", {"order_id": BLANKETS})
        too_much = await use(served.url, "desk-token", "refund_order", {**REFUND, "refunded_amount": 5001})
        done = await use(served.url, "desk-token", "refund_order", REFUND)
        again = await use(served.url, "desk-second", "refund_order", REFUND)
        refused = [
            (answer.status_code, answer.headers["www-authenticate"].split('"')[1:2])
            for answer in [
                await ask(served.url, value, "tools/list", {}) for value in ("bot-token", "former-token", "x")
            ]
        ]
        write(file, reader='may = ["read"]')
        removed = await ask(served.url, "desk-token", "tools/list", {})
    writes = {"kustom_refund_order", "kustom_acknowledge_order"}
    assert [(writes & names, scope) for names, scope in listed] == [(set(), "private"), (writes, "private")]
    assert read_only["structuredContent"]["error"]["code"] == "NOT_PERMITTED"
    assert "KUSTOM_PEOPLE_FILE" in read_only["structuredContent"]["next_step"]
    assert outside["structuredContent"]["error"]["code"] == "NOT_FOUND"
    assert too_much["structuredContent"]["error"]["code"] == "LIMIT_EXCEEDED"
    assert "50.00 SEK, the most that one write may move here (max_amount in KUSTOM_PEOPLE_FILE)" in str(too_much)
    assert [done["structuredContent"]["outcome"], again["structuredContent"]["outcome"]] == [
        "applied",
        "already_applied",
    ]
    assert refused == [(403, ["insufficient_scope"]), (401, ["invalid_token"]), (401, ["invalid_token"])]
    assert removed.status_code == 401
    desk = [caller for caller in served.callers if caller.name == "desk"]
    assert {(caller.identity, caller.source) for caller in desk} == {("person:desk", "people")}


async def use_list(url: str, bearer: str) -> tuple[set[str], str]:
    answer = await ask(url, bearer, "tools/list", {})
    text = answer.text
    data = next(line[6:] for line in text.splitlines() if line.startswith("data: ")) if "data: " in text else text
    result = httpx.Response(200, content=data).json()["result"]
    return {tool["name"] for tool in result["tools"]}, result["cacheScope"]


def test_both_tokens_of_a_person_are_one_caller_with_the_rights_of_now(tmp_path: Path) -> None:
    now = [0.0]
    file = write(tmp_path / "people.toml", desk='may = ["read", "write"]\nexpires = 1970-01-01')
    people = People(PeopleFile(file), wall=lambda: now[0])
    grants = [people.grant("desk-token"), people.grant("desk-second")]
    assert grants[0] is not None
    assert grants[0] == grants[1]
    assert grants[0].scopes == SCOPES
    renew = grants[0].principal.renew
    assert renew is not None
    assert renew() == grants[0].principal
    write(file, desk='expires = 1970-01-01\nmay = ["read"]  # less')
    narrowed = renew()
    assert narrowed is not None
    assert not narrowed.writes
    now[0] = 86400.0
    assert (renew(), people.grant("desk-second"), people.by_name("desk")) == (None, None, None)
    assert people.grant("") is people.grant("\ud800") is None


@pytest.mark.parametrize("left", [None, Principal("removed", writes=False, source="people")])
async def test_a_person_who_is_removed_while_a_call_runs_sends_nothing(left: Principal | None) -> None:
    """The rights are asked for at the start of the call, and again right before its write."""
    asked = list[Principal | None]()

    def renew() -> Principal | None:
        asked.append(here if not asked else left)
        return asked[-1]

    here = Principal("removed", source="people", renew=renew)
    async with callers(KUSTOM_CONFIRM="flag") as these:
        these.admit("removed", here)
        told = await these.call("removed", "refund_order", REFUND)
    assert (told["outcome"], told["error"]["code"]) == ("not_sent", "NOT_PERMITTED")
    assert (len(asked), these.writes) == (2, 0)


async def test_the_stricter_ceiling_holds_and_a_currency_without_one_has_no_room() -> None:
    own = {
        "more": Principal("more", max_amount=Ceilings({"SEK": 9000})),
        "less": Principal("less", max_amount=Ceilings({"SEK": 3000})),
        "euros": Principal("euros", max_amount=Ceilings({"EUR": 9000})),
        "others": Principal("others", max_amount=Ceilings({}, 9000)),
    }
    async with callers(KUSTOM_CONFIRM="flag", KUSTOM_MAX_AMOUNT="SEK:4000") as these:
        told = dict[str, list[str]]()
        for name, principal in own.items():
            these.admit(name, principal)
            for amount in (3500, 4500):
                answer = await these.call(name, "refund_order", {**REFUND, "confirm": False, "refunded_amount": amount})
                told.setdefault(name, []).append(answer["outcome"])
    asked, refused = "confirmation_required", "not_sent"
    assert told == {
        "more": [asked, refused],
        "less": [refused, refused],
        "euros": [refused, refused],
        "others": [asked, refused],
    }


async def test_single_sign_on_and_people_stand_beside_each_other_under_different_names(tmp_path: Path) -> None:
    file = write(tmp_path / "people.toml", anna='may = ["read"]')
    where = settings(KUSTOM_PEOPLE_FILE=str(file))
    async with access_for(where, transport=Site.of(jwk(ec_key())).transport) as access:
        assert access is not None
        assert (access.issued, access.together) == (True, False)
        assert (await access.grant("anna-token")).principal.source == "people"
        assert (await access.grant(token(ec_key(), "ES256"))).principal.source == "issuer"
        with pytest.raises(TokenRefused, match="names its person like one in KUSTOM_PEOPLE_FILE"):
            await access.grant(token(ec_key(), "ES256", sub="anna"))


async def test_a_people_file_opens_an_address_and_must_be_good(tmp_path: Path) -> None:
    missing = settings(KUSTOM_PEOPLE_FILE=str(tmp_path / "missing.toml"))
    require_access(missing, "0.0.0.0")
    with pytest.raises(ConfigError, match="KUSTOM_PEOPLE_FILE: The file cannot be read"):
        async with access_for(missing):
            pass
