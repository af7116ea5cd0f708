"""Which bearer values are good, and what they give."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import re
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx2 as httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import SecretStr

from kustom_mcp.calls.policy import Principal
from kustom_mcp.settings.environment import load
from kustom_mcp.settings.settings import ConfigError
from kustom_mcp.transport.http.access import access_for, require_access
from kustom_mcp.transport.oauth.jwks import KeysUnavailable
from kustom_mcp.transport.oauth.tokens import (
    LONGEST_TOKEN,
    MOST_ORDERS,
    NOT_A_TOKEN,
    SCOPES,
    Access,
    Grant,
    StaticToken,
    TokenRefused,
)
from tests.transport.oauth.issuing import (
    AUDIENCE,
    ISSUER,
    KEYS,
    METADATA,
    ORDER,
    SUBJECT,
    PrivateKey,
    Site,
    admitting,
    claims,
    ec_key,
    ed_key,
    encoded,
    jwk,
    part,
    rsa_key,
    settings,
    token,
)

UNKNOWN_KEY = "The access token is signed with a key that KUSTOM_OAUTH_ISSUER does not publish."
OTHER_ISSUER = "The access token is from another issuer than KUSTOM_OAUTH_ISSUER."
OTHER_AUDIENCE = "The access token is for another audience than KUSTOM_OAUTH_AUDIENCE."
LACKING = "The access token lacks one of the claims exp, iss and aud."
EXPIRED = "The access token has expired."
TOO_EARLY = "The access token is not valid yet."
BAD_SIGNATURE = "The signature of the access token is wrong."
ANOTHER_KIND = "This JWT is not an access token."
ID_TOKEN = "This is an ID token; an access token is needed."
BOUND = "The access token is bound to a key of its holder, which cannot be checked as a bearer token."
BAD_SCOPES = "The scopes of the access token cannot be read."
BAD_ORDERS = "The claim kustom_orders of the access token is not a list of at most 256 order ids."
NO_PERSON = "The claim with the name of the person (KUSTOM_OAUTH_PERSON) is missing or cannot be read."
NOBODY = "The access token names no subject."


def now() -> int:
    return int(time.time())


async def granted(value: str) -> Grant:
    async with admitting() as access:
        return await access.grant(value)


async def refusal(access: Access, value: str) -> str:
    with pytest.raises(TokenRefused) as refused:
        await access.grant(value)
    assert refused.value.__cause__ is None
    return str(refused.value)


def unsigned(header: dict[str, Any], signature: str = "") -> str:
    return f"{part(header)}.{part(claims())}.{signature}"


def hmac_with_the_public_key() -> str:
    """A token that a verifier takes for RS256 which lets the header choose the algorithm."""
    pem = rsa_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed = f"{part({'alg': 'HS256', 'kid': 'k1', 'typ': 'at+jwt'})}.{part(claims())}"
    return f"{signed}.{encoded(hmac.digest(pem, signed.encode(), 'sha256'))}"


def altered() -> str:
    """A good token whose claims were changed afterwards."""
    header, _, signature = token(scope="orders:read").split(".")
    return f"{header}.{part(claims())}.{signature}"


STRANGER = rsa_key("stranger")
THEIRS = jwk(STRANGER, "theirs")
GOOD = token()

BAD: dict[str, tuple[Callable[[], str] | str, str]] = {
    "empty": ("", NOT_A_TOKEN),
    "not a JWT": ("secret", NOT_A_TOKEN),
    "three parts of nothing": ("..", NOT_A_TOKEN),
    "two parts": (GOOD.rpartition(".")[0], NOT_A_TOKEN),
    "five parts, as an encrypted token has": (f"{GOOD}.a.b", NOT_A_TOKEN),
    "a header that is a list": (f"{part([])}.{part({})}.", NOT_A_TOKEN),
    "a header nested deeply": (f"{encoded(b'[' * 9000)}.{part({})}.", NOT_A_TOKEN),
    "claims that are a list": (f"{part({'alg': 'RS256', 'kid': 'k1'})}.{part([])}.AAAA", BAD_SIGNATURE),
    "a space inside": (GOOD[:9] + " " + GOOD[9:], NOT_A_TOKEN),
    "characters outside ASCII": (GOOD + "é", NOT_A_TOKEN),
    "huge": (GOOD + "A" * LONGEST_TOKEN, "The access token is too long."),
    "no algorithm": (unsigned({"kid": "k1"}), NOT_A_TOKEN),
    "algorithm none": (unsigned({"alg": "none", "kid": "k1"}), NOT_A_TOKEN),
    "algorithm None": (unsigned({"alg": "None", "kid": "k1"}), NOT_A_TOKEN),
    "algorithm as a list": (unsigned({"alg": ["RS256"], "kid": "k1"}), NOT_A_TOKEN),
    "HMAC with the public key as secret": (hmac_with_the_public_key, NOT_A_TOKEN),
    "no signature": (unsigned({"alg": "RS256", "kid": "k1"}), BAD_SIGNATURE),
    "a stranger's signature": (lambda: token(STRANGER), BAD_SIGNATURE),
    "altered claims": (altered, BAD_SIGNATURE),
    "unknown key id": (lambda: token(header={"kid": "k2"}), UNKNOWN_KEY),
    "a path as key id": (lambda: token(header={"kid": "../../../dev/null"}), UNKNOWN_KEY),
    "an address as key id": (lambda: token(header={"kid": "https://evil.example/keys"}), UNKNOWN_KEY),
    "a number as key id": (unsigned({"alg": "RS256", "kid": 7}), NOT_A_TOKEN),
    "the key of another algorithm": (lambda: token(ec_key(), "ES256"), UNKNOWN_KEY),
    "a key of its own": (lambda: token(STRANGER, header={"kid": "theirs", "jwk": THEIRS}), UNKNOWN_KEY),
    "a key of its own under a known id": (lambda: token(STRANGER, header={"jwk": THEIRS}), BAD_SIGNATURE),
    "an address of keys": (lambda: token(STRANGER, header={"jku": "https://evil.example/keys"}), BAD_SIGNATURE),
    "an address of a certificate": (lambda: token(STRANGER, header={"x5u": "https://evil.example/x"}), BAD_SIGNATURE),
    "a critical extension": (lambda: token(header={"crit": ["exp"], "exp": 1}), NOT_A_TOKEN),
    "a critical extension that the library knows": (lambda: token(header={"crit": ["b64"], "b64": True}), NOT_A_TOKEN),
    "type: a logout token": (lambda: token(header={"typ": "logout+jwt"}), ANOTHER_KIND),
    "type: bound to a key": (lambda: token(header={"typ": "dpop+jwt"}), ANOTHER_KIND),
    "type: a number": (unsigned({"alg": "RS256", "kid": "k1", "typ": 7}), ANOTHER_KIND),
    "another issuer": (lambda: token(iss="https://evil.example"), OTHER_ISSUER),
    "an issuer below ours": (lambda: token(iss=f"{ISSUER}/evil"), OTHER_ISSUER),
    "an issuer that starts like ours": (lambda: token(iss=f"{ISSUER}.evil.example"), OTHER_ISSUER),
    "a list of issuers": (lambda: token(iss=[ISSUER]), OTHER_ISSUER),
    "no issuer": (lambda: token(iss=None), LACKING),
    "another audience": (lambda: token(aud="https://other.example.com/mcp"), OTHER_AUDIENCE),
    "an audience that starts like ours": (lambda: token(aud=f"{AUDIENCE}/admin"), OTHER_AUDIENCE),
    "an audience in other letters": (lambda: token(aud=AUDIENCE.upper()), OTHER_AUDIENCE),
    "two audiences, neither ours": (lambda: token(aud=["https://a.example", "https://b.example"]), OTHER_AUDIENCE),
    "an audience among numbers": (lambda: token(aud=[AUDIENCE, 7]), OTHER_AUDIENCE),
    "an audience as a key": (lambda: token(aud={AUDIENCE: True}), OTHER_AUDIENCE),
    "no audience": (lambda: token(aud=None), LACKING),
    "no audience in a list": (lambda: token(aud=[]), LACKING),
    "expired": (lambda: token(exp=now() - 60), EXPIRED),
    "expires at the beginning of time": (lambda: token(exp=0), EXPIRED),
    "no expiry": (lambda: token(exp=None), LACKING),
    "expiry as text": (lambda: token(exp=str(now() + 300)), NOT_A_TOKEN),
    "expiry without end": (lambda: token(exp=float("inf")), NOT_A_TOKEN),
    "not yet valid": (lambda: token(nbf=now() + 300), TOO_EARLY),
    "issued in the future": (lambda: token(iat=now() + 300), TOO_EARLY),
    "a truth as the time of issue": (lambda: token(iat=True), NOT_A_TOKEN),
    "no subject": (lambda: token(sub=None, client_id=None), NOBODY),
    "an empty subject": (lambda: token(sub="", client_id=None), NOBODY),
    "a number as subject": (lambda: token(sub=7), NOT_A_TOKEN),
    "an ID token, by its hash": (lambda: token(header={"typ": "JWT"}, at_hash="x"), ID_TOKEN),
    "an ID token, by its code's hash": (lambda: token(header={"typ": "JWT"}, c_hash="x"), ID_TOKEN),
    "an ID token, by its nonce": (lambda: token(header={"typ": "JWT"}, scope=None, nonce="x"), ID_TOKEN),
    "an ID token that says so": (lambda: token(header={"typ": "JWT"}, typ="ID"), ID_TOKEN),
    "an ID token by its use": (lambda: token(header={"typ": None}, token_use="id"), ID_TOKEN),
    "bound to a certificate": (lambda: token(cnf={"x5t#S256": "x"}), BOUND),
    "scopes as an object": (lambda: token(scope={"orders:read": True}), BAD_SCOPES),
    "a number among the scopes": (lambda: token(scope=["orders:read", 7]), BAD_SCOPES),
    "orders as a string": (lambda: token(kustom_orders=ORDER), BAD_ORDERS),
    "orders as an object": (lambda: token(kustom_orders={ORDER: True}), BAD_ORDERS),
    "an empty order": (lambda: token(kustom_orders=[ORDER, ""]), BAD_ORDERS),
    "a number among the orders": (lambda: token(kustom_orders=[ORDER, 7]), BAD_ORDERS),
    "an order with a line end": (lambda: token(kustom_orders=[f"{ORDER}\n"]), BAD_ORDERS),
    "every order": (lambda: token(kustom_orders=["*"]), BAD_ORDERS),
    "orders: true": (lambda: token(kustom_orders=True), BAD_ORDERS),
    "too many orders": (lambda: token(ec_key(), "ES256", {"kid": "e"}, kustom_orders=[ORDER] * 257), BAD_ORDERS),
}


@pytest.fixture(scope="module")
def site() -> Site:
    return Site.of(jwk(rsa_key()), jwk(ec_key(), "e"))


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_token_is_refused_with_its_reason(name: str, site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "kustom_mcp")
    value, said = BAD[name]
    async with admitting(site) as access:
        assert await refusal(access, value if isinstance(value, str) else value()) == said
    assert set(site.asked) == {METADATA, KEYS}
    assert caplog.messages == []


async def test_orders_set_to_null_refuse_the_token() -> None:
    whole = json.dumps({**claims(), "kustom_orders": None}).encode()
    value = jwt.PyJWS().encode(whole, ec_key(), "ES256", {"kid": "e", "typ": "at+jwt"})
    async with admitting(Site.of(jwk(ec_key(), "e"))) as access:
        assert await refusal(access, value) == BAD_ORDERS


async def test_a_good_token_gives_its_rights() -> None:
    expires = now() + 300
    grant = await granted(token(exp=expires))
    name = hashlib.sha256(json.dumps([ISSUER, "subject", SUBJECT]).encode()).hexdigest()[:20]
    client = hashlib.sha256(json.dumps([ISSUER, "client", "chat"]).encode()).hexdigest()[:20]
    anna = Principal(SUBJECT, identity=f"token-{name}", source="issuer")
    assert grant == Grant(anna, SCOPES, f"token-{client}", ISSUER, expires)


@pytest.mark.parametrize(
    ("key", "alg"),
    [
        *((rsa_key(), name) for name in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
        (ec_key(), "ES256"),
        (ec_key(ec.SECP384R1), "ES384"),
        (ec_key(ec.SECP521R1), "ES512"),
        (ed_key(), "EdDSA"),
    ],
)
async def test_asymmetric_algorithms_are_good(key: PrivateKey, alg: str) -> None:
    async with admitting(Site.of(jwk(key))) as access:
        assert (await access.grant(token(key, alg))).principal.writes


async def test_a_key_that_names_its_algorithm_takes_no_other() -> None:
    async with admitting(Site.of(jwk(rsa_key(), alg="PS256"))) as access:
        assert (await access.grant(token(alg="PS256"))).principal.writes
        assert await refusal(access, token(alg="RS256")) == UNKNOWN_KEY


@pytest.mark.parametrize(
    "made",
    [
        lambda: token(iss=f"{ISSUER}/"),
        lambda: token(aud=[AUDIENCE, "https://other.example.com"]),
        lambda: token(header={"typ": "JWT"}),
        lambda: token(header={"typ": "application/AT+JWT"}),
        lambda: token(header={"typ": None}),
        lambda: token(header={"kid": None}),
        lambda: token(header={"typ": "JWT"}, nonce="x"),
        lambda: token(header={"typ": None}, token_use="access"),
        lambda: token(exp=now() - 5),
        lambda: token(nbf=now() + 5, iat=now() + 5),
        lambda: token(exp=now() + 300.5),
    ],
)
async def test_what_issuers_differ_in_is_good(made: Callable[[], str]) -> None:
    assert (await granted(made())).principal.writes


@pytest.mark.parametrize(
    ("given", "scopes", "writes"),
    [
        ({"scope": "orders:read"}, ("orders:read",), False),
        ({"scope": "openid  orders:write"}, ("openid", "orders:write"), True),
        ({"scope": None, "scp": ["orders:read", "orders:write"]}, ("orders:read", "orders:write"), True),
        ({"scope": None, "scp": "orders:read orders:write"}, ("orders:read", "orders:write"), True),
        ({"scope": "orders:read", "scp": ["orders:write"]}, ("orders:read",), False),
        (
            {"scope": "ORDERS:WRITE orders:writes xorders:write"},
            ("ORDERS:WRITE", "orders:writes", "xorders:write"),
            False,
        ),
        ({"scope": ""}, (), False),
        ({"scope": None}, (), False),
    ],
)
async def test_scopes_are_read_to_the_letter(given: dict[str, Any], scopes: tuple[str, ...], writes: bool) -> None:
    grant = await granted(token(**given))
    assert (grant.scopes, grant.principal.writes) == (scopes, writes)


@pytest.mark.parametrize(
    ("given", "orders"),
    [([ORDER], {ORDER}), ([ORDER.upper(), ORDER], {ORDER}), ([], set[str]()), ([ORDER] * MOST_ORDERS, {ORDER})],
)
async def test_a_token_may_be_narrowed_to_orders(given: list[str], orders: set[str]) -> None:
    async with admitting(Site.of(jwk(ec_key()))) as access:
        assert (await access.grant(token(ec_key(), "ES256", kustom_orders=given))).principal.orders == orders


async def test_an_identity_is_a_subject_s_own_and_the_same_in_every_process() -> None:
    values = (
        token(),
        token(client_id="other", scope="orders:read", exp=now() + 290, iss=f"{ISSUER}/"),
        token(sub="bob@example.com"),
        token(sub="chat"),
        token(sub=None),
        token(sub=None, client_id=None, azp="chat"),
        token(oid="00000000-0000-4000-8000-000000000001"),
    )
    anna, again, *others, in_entra = [(await granted(value)).principal.identity for value in values]
    assert in_entra == anna
    assert anna == again
    assert others[2] == others[3]  # the client itself, by either claim
    assert len({anna, *others}) == 4
    assert all(re.fullmatch(r"token-[0-9a-f]{20}", name) for name in (anna, *others))


@pytest.mark.parametrize(
    ("setting", "given", "name"),
    [
        ("", {}, SUBJECT),
        ("", {"oid": "a-guid"}, "a-guid"),
        ("", {"sub": None}, "chat"),
        ("", {"sub": None, "client_id": None, "azp": "chat"}, "chat"),
        ("email", {"email": "anna@example.com", "sub": "7"}, "anna@example.com"),
        ("https://example.com/name", {"https://example.com/name": "Anna Å."}, "Anna Å."),
        ("email", {}, None),
        ("email", {"email": ""}, None),
        ("email", {"email": ["anna@example.com"]}, None),
        ("email", {"email": "anna\n"}, None),
        ("email", {"email": "an\u202ena"}, None),
        ("email", {"email": "a" * 201}, None),
        ("", {"sub": "\ud800"}, None),
        ("", {"oid": 7}, None),
    ],
)
async def test_the_person_is_the_claim_that_the_setting_names(
    setting: str, given: dict[str, Any], name: str | None
) -> None:
    async with admitting(Site.of(jwk(ec_key())), **({"KUSTOM_OAUTH_PERSON": setting} if setting else {})) as access:
        value = token(ec_key(), "ES256", **given)
        if name is None:
            assert await refusal(access, value) == NO_PERSON
        else:
            assert (await access.grant(value)).principal.name == name


async def test_an_issuer_for_customers_gives_no_token_for_all_orders() -> None:
    async with admitting(Site.of(jwk(ec_key())), KUSTOM_OAUTH_REQUIRE="orders") as access:
        assert await refusal(access, token(ec_key(), "ES256")) == (
            "The access token lacks the claim kustom_orders, which KUSTOM_OAUTH_REQUIRE asks for."
        )
        for orders in ([ORDER], []):
            grant = await access.grant(token(ec_key(), "ES256", kustom_orders=orders))
            assert grant.principal.orders == set(orders)


async def test_two_issuers_may_have_the_same_subject() -> None:
    other = "https://other.example.com"
    site = Site({KEYS: {"keys": [jwk(rsa_key())]}})
    where = settings(KUSTOM_OAUTH_ISSUER=other, KUSTOM_OAUTH_JWKS_URL=KEYS)
    async with access_for(where, transport=site.transport) as access:
        assert access is not None
        assert (await access.grant(token(iss=other))).principal != (await granted(token())).principal


async def test_a_new_key_of_the_issuer_is_taken_when_its_day_comes() -> None:
    site = Site.of(jwk(rsa_key()))
    async with access_for(settings(), transport=site.transport) as access:
        assert access is not None
        await access.grant(token())
        site.answers[KEYS] = {"keys": [jwk(ec_key(), "k2")]}
        assert await refusal(access, token(ec_key(), "ES256", {"kid": "k2"})) == UNKNOWN_KEY  # asked a moment ago
    async with access_for(settings(), transport=site.transport) as access:
        assert access is not None
        await access.grant(token(ec_key(), "ES256", {"kid": "k2"}))


async def test_while_the_issuer_has_not_answered_nothing_is_said_about_a_token() -> None:
    site = Site({METADATA: httpx.ConnectError("down")})
    async with admitting(site) as access:
        with pytest.raises(KeysUnavailable):
            await access.grant(token())
        assert await access.issuer() == ISSUER
    assert site.asked == [METADATA]


async def test_the_issuer_s_own_spelling_is_told() -> None:
    site = Site.of()
    site.answers[METADATA] = {"issuer": f"{ISSUER}/", "jwks_uri": KEYS}
    async with admitting(site) as access:
        assert access.issued
        assert await access.issuer() == f"{ISSUER}/"


async def test_the_static_token_gives_every_right() -> None:
    async with access_for(load({"KUSTOM_HTTP_TOKEN": "letmein"}).settings) as access:
        assert access is not None
        principal = Principal("token", identity="http-token", source="token")
        assert await access.grant("letmein") == Grant(principal, SCOPES, "http-token")
        assert (access.issued, await access.issuer()) == (False, "")
        for wrong in ("", "letmei", "letmeinn", "LETMEIN", "létmein", "letmein\x00"):
            assert await refusal(access, wrong) == "The token is not the one that this server expects."


def test_the_static_token_is_not_kept() -> None:
    assert "letmein" not in str(vars(StaticToken(SecretStr("letmein"))))


async def test_without_token_and_issuer_every_caller_is_let_in() -> None:
    async with access_for(load({}).settings) as access:
        assert access is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.7", "mcp.example.com", "127.0.0.1.evil.example"])
def test_an_address_that_others_reach_needs_a_token_or_an_issuer(host: str) -> None:
    with pytest.raises(ConfigError) as error:
        require_access(load({}).settings, host)
    assert str(error.value) == (
        "KUSTOM_HTTP_TOKEN: Other machines can reach this address, so this, KUSTOM_PEOPLE_FILE or "
        "KUSTOM_OAUTH_ISSUER is needed."
    )
    require_access(load({"KUSTOM_HTTP_TOKEN": "letmein"}).settings, host)
    require_access(settings(), host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "LOCALHOST", "::1"])
def test_an_address_of_this_machine_needs_neither(host: str) -> None:
    require_access(load({}).settings, host)


def test_stdio_does_not_pay_for_tokens() -> None:
    program = (
        "import sys, kustom_mcp.cli.serve, kustom_mcp.transport.stdio; "
        "oauth = {f'kustom_mcp.transport.oauth.{name}' for name in ('tokens', 'middleware')}; "
        "print(sorted(({'jwt'} | oauth) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
