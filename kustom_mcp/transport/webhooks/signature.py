"""The signature of a webhook, by the Standard Webhooks specification, as the package of that name verifies it.

The headers are `webhook-id`, `webhook-timestamp` (Unix time in seconds) and `webhook-signature`. Signed are id, time
and raw body, joined by dots, with HMAC-SHA256 and the decoded part of a `whsec_` secret. While a secret changes, both
sign, and the header has several signatures with blanks between them. A time more than 300 seconds from ours is refused.

The package raises any of several errors for a malformed header, and stops at the first of several signatures that it
cannot read. So it is given well-formed ones only, and a malformed one beside them spoils none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from standardwebhooks import Webhook, WebhookVerificationError

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"

_ID = re.compile(r"[!-~]{1,256}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_SIGNATURE = re.compile(r"v1,[A-Za-z0-9+/]{43}=")


def signed_id(body: bytes, headers: Iterable[tuple[str, str]], secrets: Sequence[Webhook]) -> str | None:
    """Return the id of the event where one of the secrets signed it within the last 300 seconds, by our clock."""
    found: dict[str, list[str]] = {ID: [], TIMESTAMP: [], SIGNATURE: []}
    for name, value in headers:
        if name.lower() in found:
            found[name.lower()].append(value)
    if [len(values) for values in found.values()] != [1, 1, 1]:
        return None
    good = [one for one in found[SIGNATURE][0].split(" ") if _SIGNATURE.fullmatch(one)]
    if not (good and _ID.fullmatch(found[ID][0]) and _TIMESTAMP.fullmatch(found[TIMESTAMP][0])):
        return None
    read = {ID: found[ID][0], TIMESTAMP: found[TIMESTAMP][0], SIGNATURE: " ".join(good)}
    fits = [_fits(secret, body, read) for secret in secrets]  # all of them, so that the time tells nothing
    return read[ID] if any(fits) else None


def _fits(secret: Webhook, body: bytes, headers: dict[str, str]) -> bool:
    try:
        secret.verify(body, headers, json_parse=False)
    except (WebhookVerificationError, ValueError):  # ValueError: a body that is not UTF-8
        return False
    return True
