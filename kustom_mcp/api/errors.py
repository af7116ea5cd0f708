"""The errors of the API client, as a tree:

    OmsError
    ├── NotSent                   nothing of this request reached Kustom: no connection, no time, no budget
    │   ├── InvalidIdentifier     an id that cannot be an id; no request was built
    │   └── WritesOff             the client is read-only; no request was built
    ├── Refused                   Kustom answered and did not do it: 3xx (never followed) and 4xx
    │   ├── NotFound              404, and Klarna's 400 for a malformed refund id
    │   ├── NotAllowed            403 with NOT_ALLOWED or a *_NOT_ALLOWED code: the order's state forbids it
    │   ├── AuthenticationFailed  401; 403 FORBIDDEN; 403 without JSON (blocked before the credentials were looked at)
    │   └── RateLimited           429, or our own pause after one: nothing was done, later it may be
    ├── Unavailable               reads: 5xx, 408, 409, timeout, broken connection
    ├── ProtocolError             reads: an answer that is not what the API promises
    └── OutcomeUnknown            writes: sent, and no answer that says whether it happened

The branches follow the person who can act, and whether anything can have happened: after NotSent and Refused nothing
was done; only OutcomeUnknown leaves it open. `str()` and `repr()` hold our own sentences only. Kustom's texts, which
may quote an order, are in `messages`, for the caller to treat as third-party data.
"""

from __future__ import annotations

from typing import Final

NO_SUCH: Final = frozenset({"NO_SUCH_ORDER", "NO_SUCH_CAPTURE", "NOT_FOUND", "RESOURCE_NOT_FOUND"})
"""Codes that say that something does not exist."""


class OmsError(Exception):
    """Any failure of the API client. `str()` is one sentence of our own."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)


class NotSent(OmsError):
    """Nothing of this request reached Kustom. `cause` names the obstacle: an exception's class or our word."""

    def __init__(self, cause: str, sentence: str = "Kustom could not be reached; nothing was sent.") -> None:
        super().__init__(sentence)
        self.cause = cause


class InvalidIdentifier(NotSent):
    """A path parameter that does not match its pattern. `parameter` names it; the value is not repeated."""

    def __init__(self, parameter: str) -> None:
        super().__init__("invalid_identifier", f"{parameter} does not have the form of an id; nothing was sent.")
        self.parameter = parameter


class WritesOff(NotSent):
    """The client was built read-only, so anything but a read is refused before a request exists."""

    def __init__(self) -> None:
        super().__init__("writes_off", "This client is read-only; nothing was sent.")


class Refused(OmsError):
    """Kustom answered and did not do it.

    `status` is the HTTP status, `error_code` and `correlation_id` are Kustom's where it sent them in a sane form,
    `messages` its own texts, cut: third-party data.
    """

    sentence = "Kustom refused the request"

    def __init__(
        self,
        status: int,
        *,
        error_code: str | None = None,
        correlation_id: str | None = None,
        messages: tuple[str, ...] = (),
    ) -> None:
        code = f", {error_code}" if error_code else ""
        super().__init__(f"{self.sentence} (HTTP {status}{code}).")
        self.status = status
        self.error_code = error_code
        self.correlation_id = correlation_id
        self.messages = messages


class NotFound(Refused):
    """Kustom has no such order, capture or refund for these credentials."""

    sentence = "Kustom has no such resource"


class NotAllowed(Refused):
    """The order's state, or Kustom's rules, do not allow it."""

    sentence = "Kustom does not allow this for the order as it is"


class AuthenticationFailed(Refused):
    """The credentials were not accepted - or, when `blocked`, never looked at: a gateway turned the request away."""

    sentence = "Kustom did not accept the credentials"

    def __init__(
        self,
        status: int,
        *,
        blocked: bool = False,
        error_code: str | None = None,
        correlation_id: str | None = None,
        messages: tuple[str, ...] = (),
    ) -> None:
        if blocked:
            self.sentence = "The request was blocked before Kustom looked at the credentials"
        super().__init__(status, error_code=error_code, correlation_id=correlation_id, messages=messages)
        self.blocked = blocked


class RateLimited(Refused):
    """Too many requests: nothing was done. `retry_after` is in seconds, None where Kustom gave none."""

    sentence = "Kustom limits the rate of requests; nothing was done"

    def __init__(
        self,
        status: int = 429,
        *,
        retry_after: float | None = None,
        error_code: str | None = None,
        correlation_id: str | None = None,
        messages: tuple[str, ...] = (),
    ) -> None:
        super().__init__(status, error_code=error_code, correlation_id=correlation_id, messages=messages)
        self.retry_after = retry_after


class Unavailable(OmsError):
    """A read that failed on the way or at Kustom. `status` is None without an answer; `cause` names the failure."""

    def __init__(self, cause: str, *, status: int | None = None, correlation_id: str | None = None) -> None:
        answer = f" (HTTP {status})" if status else ""
        super().__init__(f"Kustom did not give an answer to the read{answer}.")
        self.cause = cause
        self.status = status
        self.correlation_id = correlation_id


class ProtocolError(OmsError):
    """An answer to a read that breaks the API's promises. `cause` is our own word for the fault."""

    def __init__(self, cause: str, sentence: str = "Kustom's answer to the read is not what its API promises.") -> None:
        super().__init__(sentence)
        self.cause = cause


class OutcomeUnknown(OmsError):
    """A write that was sent and may have happened. `cause` names the event that came instead of an answer; `stopped`
    is the reason why it was not sent once more, None where nothing but the doubt was."""

    def __init__(
        self,
        cause: str,
        *,
        status: int | None = None,
        error_code: str | None = None,
        correlation_id: str | None = None,
        stopped: Refused | NotSent | None = None,
    ) -> None:
        answer = f" (HTTP {status})" if status else ""
        super().__init__(f"The write was sent and may have happened: Kustom's answer does not tell{answer}.")
        self.cause = cause
        self.status = status
        self.error_code = error_code
        self.correlation_id = correlation_id
        self.stopped = stopped
