"""Which of an issuer's keys may sign, and with what."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import RSAAlgorithm

from kustom_mcp.transport.oauth.algorithms import ALGORITHMS, signing_keys
from tests.transport.oauth.issuing import ec_key, ed_key, jwk, rsa_key

RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
PRIVATE: dict[str, Any] = RSAAlgorithm.to_jwk(rsa_key(), as_dict=True)


def test_neither_none_nor_hmac_is_an_algorithm() -> None:
    assert {*RSA, "ES256", "ES384", "ES512", "EdDSA"} == ALGORITHMS


@pytest.mark.parametrize(
    ("key", "algorithms"),
    [
        (jwk(rsa_key()), RSA),
        (jwk(rsa_key(), alg="PS256"), {"PS256"}),
        (jwk(rsa_key(), use="sig", key_ops=["verify"]), RSA),
        (jwk(ec_key()), {"ES256"}),
        (jwk(ec_key(ec.SECP384R1)), {"ES384"}),
        (jwk(ec_key(ec.SECP521R1)), {"ES512"}),
        (jwk(ed_key(), alg="EdDSA"), {"EdDSA"}),
    ],
)
def test_a_key_may_do_what_its_kind_or_its_own_word_allows(key: dict[str, Any], algorithms: set[str]) -> None:
    (found,) = signing_keys({"keys": [key]})
    assert (found.kid, found.algorithms) == ("k1", algorithms)


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(jwk(rsa_key(), use="enc"), id="for encryption"),
        pytest.param(jwk(rsa_key(), alg="RSA-OAEP"), id="an algorithm for encryption"),
        pytest.param(jwk(rsa_key(), alg="HS256"), id="an RSA key that says HMAC"),
        pytest.param(jwk(rsa_key(), alg="ES256"), id="an RSA key that says EC"),
        pytest.param(jwk(rsa_key(), alg="none"), id="none"),
        pytest.param(jwk(rsa_key(), key_ops=["encrypt"]), id="operations without verify"),
        pytest.param(jwk(rsa_key(), key_ops="verify"), id="operations as a string"),
        pytest.param(jwk(rsa_key("short", 1024)), id="1024 bits"),
        pytest.param({**PRIVATE, "kid": "k1", "key_ops": ["sign", "verify"]}, id="a private key"),
        pytest.param({"kty": "oct", "k": "c2VjcmV0", "kid": "k1", "alg": "HS256"}, id="symmetric"),
        pytest.param(jwk(ec_key(ec.SECP256K1)), id="another curve"),
        pytest.param({**jwk(ec_key()), "x": "AAAA"}, id="not on the curve"),
        pytest.param({**jwk(rsa_key()), "n": 7}, id="a modulus of another type"),
        pytest.param({**jwk(rsa_key()), "kid": 7}, id="an id of another type"),
        pytest.param({"kty": ["RSA"]}, id="a kind of another type"),
        pytest.param({}, id="nothing"),
        pytest.param("k1", id="no object"),
    ],
)
def test_a_key_that_may_not_sign_is_left_out_and_hides_no_other(key: object) -> None:
    assert [found.kid for found in signing_keys({"keys": [key, jwk(ec_key(), "good")]})] == ["good"]


@pytest.mark.parametrize(
    "document", [None, [], {}, {"keys": {}}, {"keys": "k1"}, {"keys": [jwk(ec_key(), str(n)) for n in range(65)]}]
)
def test_what_is_no_key_set_is_refused(document: object) -> None:
    with pytest.raises(ValueError, match=r"^it (is not a JSON Web Key Set|has more than 64 keys)$"):
        signing_keys(document)
