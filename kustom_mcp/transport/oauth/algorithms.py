"""The keys of the issuer's JSON Web Key Set that may sign an access token, each with its algorithms.

Asymmetric keys only, and each with the algorithms of its own family, or the one that it names itself: so the header of
a token chooses among what its key allows and nothing else. A symmetric key in a public document is no secret, and a
private one no longer is; both are left out, as are keys for encryption. One odd key hides no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, cast

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_BY_CURVE: Final = {
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
}
ALGORITHMS: Final = frozenset(_RSA).union(*_BY_CURVE.values())
"""Every algorithm that a token may be signed with. Neither `none` nor HMAC is among them."""

RSA_BITS: Final = range(2048, 8193)
MOST_KEYS: Final = 64


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A public key, its id where it has one, and the algorithms that it may be used with."""

    kid: str | None
    algorithms: frozenset[str]
    public: PublicKey


def signing_keys(document: object) -> tuple[SigningKey, ...]:
    """The keys of a JSON Web Key Set that may sign. ValueError when the document is none."""
    listed = cast("dict[str, object]", document).get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("it is not a JSON Web Key Set")
    keys = cast("list[object]", listed)
    if len(keys) > MOST_KEYS:
        raise ValueError(f"it has more than {MOST_KEYS} keys")
    return tuple(found for key in keys if (found := _signing_key(key)) is not None)


def _signing_key(given: object) -> SigningKey | None:
    if not isinstance(given, dict):
        return None
    key = cast("dict[str, Any]", given)
    algorithms, kid = _algorithms(key), key.get("kid")
    if not algorithms or not _for_signatures(key) or not isinstance(kid, str | None):
        return None
    try:
        public = jwt.PyJWK(key, algorithm=algorithms[0]).key
    except Exception:  # whatever a stranger's key is made of, the others still count
        return None
    if isinstance(public, RSAPublicKey) and public.key_size not in RSA_BITS:
        return None
    # What was published with its private half has become another type by now, and is left out like any other.
    return SigningKey(kid, frozenset(algorithms), public) if isinstance(public, PublicKey) else None


def _algorithms(key: dict[str, Any]) -> tuple[str, ...]:
    """The algorithms of a key: those of its family, or of these the one that it names."""
    kty, crv = key.get("kty"), key.get("crv")
    family = _RSA if kty == "RSA" else _BY_CURVE.get((str(kty), str(crv)), ())
    return tuple(name for name in family if key.get("alg", name) == name)


def _for_signatures(key: dict[str, Any]) -> bool:
    operations = key.get("key_ops", ["verify"])
    return key.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
