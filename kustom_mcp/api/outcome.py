"""The outcome of an attempt, as far as it proves an effect: four classes, and two literal tables that give each its
class.

The question is whether Kustom can have acted. Two mistakes are possible, and they are not equal: to call a lost answer
"not sent" pays a refund twice; to call a refused connection "ambiguous" costs one read of the order. So an exception is
NOT_SENT only where the connection was never made, and anything not in the tables is AMBIGUOUS.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

import httpx2 as httpx


class Outcome(Enum):
    """The class of an attempt."""

    NOT_SENT = "not_sent"
    """Nothing was done, and the same request may go out again: it never arrived, or Kustom said 429."""
    REFUSED = "refused"
    """Kustom answered that it did not do it: 3xx (never followed) and 4xx."""
    AMBIGUOUS = "ambiguous"
    """Sent, and nothing says whether it was done."""
    APPLIED = "applied"
    """Any 2xx, with any body."""


EXCEPTIONS: Final[dict[type[Exception], Outcome]] = {
    # The connection was not made, or the URL was never dialled.
    httpx.ConnectError: Outcome.NOT_SENT,
    httpx.ConnectTimeout: Outcome.NOT_SENT,
    httpx.PoolTimeout: Outcome.NOT_SENT,
    httpx.ProxyError: Outcome.NOT_SENT,
    httpx.UnsupportedProtocol: Outcome.NOT_SENT,
    httpx.InvalidURL: Outcome.NOT_SENT,
    # The connection was there. A write that broke off may have been whole for the other side, and an idle connection
    # that the other side closed looks the same as one that it closed after acting.
    httpx.ReadError: Outcome.AMBIGUOUS,
    httpx.ReadTimeout: Outcome.AMBIGUOUS,
    httpx.WriteError: Outcome.AMBIGUOUS,
    httpx.WriteTimeout: Outcome.AMBIGUOUS,
    httpx.CloseError: Outcome.AMBIGUOUS,
    httpx.RemoteProtocolError: Outcome.AMBIGUOUS,
    # Ours to blame, but raised at any point of the exchange, so nothing is proved.
    httpx.LocalProtocolError: Outcome.AMBIGUOUS,
    httpx.CookieConflict: Outcome.AMBIGUOUS,
    # An answer had begun. The client uses its status where there is one, and never follows, decodes or raises for
    # status.
    httpx.DecodingError: Outcome.AMBIGUOUS,
    httpx.TooManyRedirects: Outcome.AMBIGUOUS,
    httpx.HTTPStatusError: Outcome.AMBIGUOUS,
    httpx.SSEError: Outcome.AMBIGUOUS,
    httpx.StreamError: Outcome.AMBIGUOUS,
    httpx.StreamConsumed: Outcome.AMBIGUOUS,
    httpx.StreamClosed: Outcome.AMBIGUOUS,
    httpx.ResponseNotRead: Outcome.AMBIGUOUS,
    httpx.RequestNotRead: Outcome.AMBIGUOUS,
    # Families: a member without an entry of its own proves nothing.
    httpx.HTTPError: Outcome.AMBIGUOUS,
    httpx.RequestError: Outcome.AMBIGUOUS,
    httpx.TransportError: Outcome.AMBIGUOUS,
    httpx.TimeoutException: Outcome.AMBIGUOUS,
    httpx.NetworkError: Outcome.AMBIGUOUS,
    httpx.ProtocolError: Outcome.AMBIGUOUS,
}
"""Every exception of the HTTP library. A test walks the library's classes and fails when one is missing here."""

STATUSES: Final[dict[int, Outcome]] = {
    408: Outcome.AMBIGUOUS,
    409: Outcome.AMBIGUOUS,
    429: Outcome.NOT_SENT,
}
"""The statuses that differ from their hundred."""

HUNDREDS: Final[dict[int, Outcome]] = {
    2: Outcome.APPLIED,
    3: Outcome.REFUSED,
    4: Outcome.REFUSED,
}
"""The class of the rest of a hundred; 5xx, and a status that no server may send, prove nothing."""


def of_exception(error: Exception) -> Outcome:
    """Return the class of an attempt that ended in an exception."""
    return EXCEPTIONS.get(type(error), Outcome.AMBIGUOUS)


def of_status(status: int) -> Outcome:
    """Return the class of an attempt that was answered."""
    return STATUSES.get(status) or HUNDREDS.get(status // 100, Outcome.AMBIGUOUS)
