"""The issuer, asked over HTTP: where its keys are found, and what it cannot talk us into."""

from __future__ import annotations

import asyncio
import json

import anyio
import httpx2 as httpx
import pytest

from kustom_mcp.transport.oauth.issuer import MAX_BODY, Issuer, IssuerError, Published, same_issuer
from tests.support.unhurried import PATIENCE
from tests.transport.oauth.issuing import ISSUER, KEYS, METADATA, Site, ec_key, jwk

OAUTH = f"{ISSUER}/.well-known/oauth-authorization-server"
FOUND = {"keys": [jwk(ec_key())]}


async def published(site: Site, issuer: str = ISSUER, keys_url: str = "") -> Published:
    async with Issuer(issuer, keys_url=keys_url, transport=site.transport) as asked:
        return await asked.read()


async def refusal(site: Site, issuer: str = ISSUER) -> str:
    with pytest.raises(IssuerError) as refused:
        await published(site, issuer)
    return str(refused.value)


async def test_keys_are_found_through_the_issuer_s_metadata() -> None:
    site = Site.of(jwk(ec_key()))
    found = await published(site)
    assert (found.issuer, [key.kid for key in found.keys]) == (ISSUER, ["k1"])
    assert site.asked == [METADATA, KEYS]


async def test_a_request_says_nothing_about_us() -> None:
    site = Site.of(jwk(ec_key()))
    await published(site)
    for request in site.requests:
        assert request.method == "GET"
        assert request.headers["accept-encoding"] == "identity"
        assert not {"authorization", "cookie"} & set(request.headers)


async def test_metadata_of_an_authorization_server_do_as_well() -> None:
    site = Site({OAUTH: {"issuer": ISSUER, "jwks_uri": KEYS}, KEYS: FOUND})
    await published(site)
    assert site.asked == [METADATA, OAUTH, KEYS]


@pytest.mark.parametrize(
    ("place", "before"),
    [
        ("/realms/shop/.well-known/openid-configuration", 0),
        ("/.well-known/oauth-authorization-server/realms/shop", 1),
        ("/.well-known/openid-configuration/realms/shop", 2),
        ("/realms/shop/.well-known/oauth-authorization-server", 3),
    ],
)
async def test_an_issuer_with_a_path_is_looked_up_both_ways(place: str, before: int) -> None:
    issuer = f"{ISSUER}/realms/shop"
    site = Site({ISSUER + place: {"issuer": issuer, "jwks_uri": KEYS}, KEYS: FOUND})
    await published(site, issuer)
    assert len(site.asked) == before + 2
    assert site.asked[-2:] == [ISSUER + place, KEYS]


async def test_a_given_address_of_the_keys_saves_the_search() -> None:
    site = Site({KEYS: FOUND})
    found = await published(site, keys_url=KEYS)
    assert (found.issuer, site.asked) == (ISSUER, [KEYS])


async def test_the_name_is_told_as_the_issuer_writes_it() -> None:
    site = Site({METADATA: {"issuer": f"{ISSUER}/", "jwks_uri": KEYS}, KEYS: FOUND})
    assert (await published(site)).issuer == f"{ISSUER}/"


@pytest.mark.parametrize(
    "other",
    [f"{ISSUER}//", f"{ISSUER}/realms/shop", ISSUER.upper(), "https://login.example.com.evil.example", "", None, 7],
)
async def test_metadata_of_another_issuer_bring_no_keys(other: object) -> None:
    site = Site({METADATA: {"issuer": other, "jwks_uri": KEYS}, KEYS: FOUND})
    assert await refusal(site) == (
        "the metadata found there name another issuer; KUSTOM_OAUTH_ISSUER must equal theirs"
    )
    assert KEYS not in site.asked


@pytest.mark.parametrize(
    "address",
    [
        "http://login.example.com/keys",
        "http://127.0.0.1/keys",
        "file:///etc/passwd",
        "https://user@login.example.com/keys",
        "https://login.example.com/ keys",
        "https:///keys",
        "/keys",
        "",
        None,
        7,
    ],
)
async def test_keys_are_asked_for_at_https_addresses_only(address: object) -> None:
    site = Site({METADATA: {"issuer": ISSUER, "jwks_uri": address}})
    assert await refusal(site) == (
        "no metadata with the address of its keys were found; KUSTOM_OAUTH_JWKS_URL can name it"
    )
    assert site.asked == [METADATA, OAUTH]


async def test_an_issuer_on_this_machine_may_have_its_keys_there() -> None:
    local = "http://127.0.0.1:9000"
    metadata = {"issuer": local, "jwks_uri": f"{local}/keys"}
    site = Site({f"{local}/.well-known/openid-configuration": metadata, f"{local}/keys": FOUND})
    assert [key.kid for key in (await published(site, local)).keys] == ["k1"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (302, "the issuer's key set is not where it should be"),
        (404, "the issuer's key set is not where it should be"),
        (b"<html>", "the issuer's key set is not where it should be"),
        (b"[" * 100_000, "the issuer's key set is not where it should be"),
        (503, "the issuer answered 503"),
        (b" " * (MAX_BODY + 1), "an answer of the issuer is too long"),
        ({"keys": 7}, "the issuer's key set cannot be used: it is not a JSON Web Key Set"),
        (httpx.ConnectError("no route to 10.0.0.7"), "the issuer could not be reached (ConnectError)"),
        (httpx.ReadTimeout("slow"), "the issuer could not be reached (ReadTimeout)"),
    ],
)
async def test_an_answer_without_keys_is_named_and_not_followed(answer: object, said: str) -> None:
    site = Site.of()
    site.answers[KEYS] = answer
    assert await refusal(site) == said
    assert site.asked == [METADATA, KEYS]


async def test_nothing_is_asked_outside_its_lifetime() -> None:
    with pytest.raises(RuntimeError):
        await Issuer(ISSUER).read()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("a", "a", True),
        ("a/", "a", True),
        ("a", "a/", True),
        ("a//", "a", False),
        ("a", "A", False),
        ("a/", "b/", False),
    ],
)
def test_one_slash_at_the_end_makes_no_other_issuer(one: str, other: str, same: bool) -> None:
    assert same_issuer(one, other) is same


@pytest.mark.parametrize("proxy", [None, "http://127.0.0.1:9"])
async def test_on_this_machine_no_proxy_is_used_whoever_names_it(
    proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        issuer = f"http://127.0.0.1:{port}"
        found = FOUND if head.startswith(b"GET /keys ") else {"issuer": issuer, "jwks_uri": f"{issuer}/keys"}
        body = json.dumps(found).encode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s" % (len(body), body))
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        async with Issuer(f"http://127.0.0.1:{port}", proxy=proxy) as asked:
            with anyio.fail_after(PATIENCE):
                found = await asked.read()
    assert [key.kid for key in found.keys] == ["k1"]
