"""Whether a webhook is signed: HMAC-SHA256 over the raw body with a secret that the portal shows.

Assumed. Kustom says that webhooks are signed and that two secrets are good for up to ten minutes when one is changed;
how the signature is written is not published. So the header and the encoding are settings, several signatures may stand
in it, separated by commas, and each may have a prefix such as `sha256=`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Literal

Encoding = Literal["hex", "base64"]

MOST = 4  # signatures that are looked at
_FORMS = {
    "hex": re.compile(r"(?:[A-Za-z0-9]{1,16}=)?([0-9A-Fa-f]{64})"),
    "base64": re.compile(r"(?:[A-Za-z0-9]{1,16}=)?([A-Za-z0-9+/_-]{43})=?"),
}


def signed(body: bytes, given: Sequence[str], secrets: Sequence[str], encoding: Encoding) -> bool:
    """Whether one of the signatures in these headers was made of this body with one of the secrets."""
    found = [_decoded(text.strip(), encoding) for text in ",".join(given).split(",")][:MOST]
    expected = [hmac.new(secret.encode(), body, hashlib.sha256).digest() for secret in secrets]
    return any([hmac.compare_digest(one, other) for one in found for other in expected])  # noqa: C419 - all of them


def _decoded(text: str, encoding: Encoding) -> bytes:
    """The signature; empty when it is none."""
    match = _FORMS[encoding].fullmatch(text)
    if match is None:
        return b""
    if encoding == "hex":
        return bytes.fromhex(match[1])
    return base64.urlsafe_b64decode(match[1].replace("+", "-").replace("/", "_") + "=")
