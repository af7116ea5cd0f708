"""The meaning of an answer: the errors of its status and body, the new resource's id, cleaned of anything that is not
ours.

Error bodies are JSON, HTML from a gateway, or nothing; all are read without complaint, since the status alone decides
the class. A 403 is the exception: with a *_NOT_ALLOWED code it is about the order, without any JSON it comes from a
gateway that blocks callers by region before the credentials are looked at (C).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypedDict, TypeVar

from pydantic import ValidationError

from kustom_mcp.api.endpoint import PATTERNS, Read, Write
from kustom_mcp.api.errors import (
    NO_SUCH,
    AuthenticationFailed,
    NotAllowed,
    NotFound,
    NotSent,
    OutcomeUnknown,
    ProtocolError,
    RateLimited,
    Refused,
    Unavailable,
)
from kustom_mcp.api.models import ApiModel, ErrorBody
from kustom_mcp.api.outcome import Outcome
from kustom_mcp.api.plain_words import is_id, is_plain
from kustom_mcp.api.reconcile import Written
from kustom_mcp.api.send import AttemptResult
from kustom_mcp.api.settlements import ListPage

T = TypeVar("T")

MESSAGE_LENGTH: Final = 255
MESSAGES: Final = 10
WITHHELD: Final = (
    "[withheld: this text of Kustom's is not only plain words, and what is not could be this server's credentials in "
    "another form]"
)
_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,63}", re.ASCII)
_UNPRINTABLE = re.compile(r"[^!-~]+", re.ASCII)


@dataclass(frozen=True)
class ErrorFacts:
    """The cleaned facts of an error body and its headers. `spoken`: the body was the API's own JSON object."""

    error_code: str | None = None
    correlation_id: str | None = None
    messages: tuple[str, ...] = ()
    spoken: bool = False


def error_facts(attempt: AttemptResult) -> ErrorFacts:
    """Read an error body. Anything that is not the API's JSON gives nothing but the correlation id of the headers."""
    header = clean_id(attempt.headers.get("klarna-correlation-id"))
    try:
        body = ErrorBody.model_validate_json(attempt.body)
    except (ValidationError, RecursionError):
        return ErrorFacts(correlation_id=header)
    code = body.error_code or ""
    code = code if _CODE.fullmatch(code) and is_plain(code) else ""
    correlation_id = clean_id(body.correlation_id) or header
    return ErrorFacts(
        error_code=code or None,
        correlation_id=correlation_id,
        messages=_plain_messages(body.error_messages, code, correlation_id or ""),
        spoken=True,
    )


def _plain_messages(said: Sequence[str], *beside: str) -> tuple[str, ...]:
    """Return the messages that are plain words, cut, and WITHHELD for each other one; one WITHHELD for all that are
    plain one by one and not together with each other and with what is said `beside` them."""
    messages = [text if is_plain(text) else WITHHELD for text in said]
    if not is_plain(*(text for text in messages if text != WITHHELD), *beside):
        return (WITHHELD,)
    return tuple(text if text == WITHHELD else text[:MESSAGE_LENGTH] for text in messages[:MESSAGES])


class _Known(TypedDict):
    error_code: str | None
    correlation_id: str | None
    messages: tuple[str, ...]


def _known(facts: ErrorFacts) -> _Known:
    return {"error_code": facts.error_code, "correlation_id": facts.correlation_id, "messages": facts.messages}


def clean_id(text: str | None) -> str | None:
    """Return an id for support, which is opaque, without blanks and signs that are not seen; None for what is in no
    form of an id, since 40 characters hold a key in many an encoding."""
    shown = _UNPRINTABLE.sub("", text or "")
    return shown if shown and is_id(shown) else None


def refusal(attempt: AttemptResult) -> Refused:
    """Return the error of an answer that refused: 3xx, 4xx."""
    status = attempt.status or 0
    facts = error_facts(attempt)
    code = facts.error_code or ""
    if status == 429:
        return RateLimited(retry_after=attempt.retry_after, **_known(facts))
    if status == 404 or (status == 400 and code in NO_SUCH):
        return NotFound(status, **_known(facts))
    if status == 403 and code.endswith("NOT_ALLOWED"):
        return NotAllowed(status, **_known(facts))
    if status == 401 or (status == 403 and (code == "FORBIDDEN" or not facts.spoken)):
        blocked = status == 403 and not facts.spoken
        return AuthenticationFailed(status, blocked=blocked, **_known(facts))
    return Refused(status, **_known(facts))


def read_failure(attempt: AttemptResult) -> Unavailable | Refused | NotSent:
    """Return the error of a read whose attempts are used up."""
    if attempt.outcome is Outcome.AMBIGUOUS:
        return Unavailable(attempt.cause, status=attempt.status, correlation_id=error_facts(attempt).correlation_id)
    return nothing_done(attempt)


def nothing_done(attempt: AttemptResult) -> Refused | NotSent:
    """Return the error of an attempt that provably did nothing: 429, another refusal, or no connection."""
    return NotSent(attempt.cause) if attempt.status is None else refusal(attempt)


def unknown(attempt: AttemptResult, last: AttemptResult) -> OutcomeUnknown:
    """Return the error of a write that an attempt left in doubt, with the refusal that stopped the last attempt."""
    facts = error_facts(attempt)
    return OutcomeUnknown(
        attempt.cause,
        status=attempt.status,
        error_code=facts.error_code,
        correlation_id=facts.correlation_id,
        stopped=None if last.outcome is Outcome.AMBIGUOUS else nothing_done(last),
    )


def new_id(endpoint: Write, attempt: AttemptResult, path: Mapping[str, str]) -> str | None:
    """Return the id of the new capture or refund: its own header, else a Location below the path that was written to
    (C: both are relied on). None for an id of the path, and for a Location of anything else."""
    if endpoint.gives is None:
        return None
    below, _, last = attempt.headers.get("location", "").partition("?")[0].rstrip("/").rpartition("/")
    written_to = endpoint.path_for(**path).removeprefix(endpoint.prefix)
    named = last if below.endswith(written_to) else ""
    for candidate in (attempt.headers.get(endpoint.gives, "").strip(), named):
        if PATTERNS["capture_id"].fullmatch(candidate) and candidate not in path.values():
            return candidate
    return None


def written(endpoint: Write, attempt: AttemptResult, number: int, path: Mapping[str, str]) -> Written:
    """Return the report of a write that was answered with a 2xx. `path`: the ids that it was sent to."""
    return Written(
        attempt.status,
        new_id=new_id(endpoint, attempt, path),
        attempts=number,
        correlation_id=clean_id(attempt.headers.get("klarna-correlation-id")),
    )


def parsed(endpoint: Read[T], attempt: AttemptResult, path: Mapping[str, str]) -> T:
    """Parse the answer to a read, and hold it to the requested ids. Raises ProtocolError."""
    if attempt.flaw is not None:
        raise ProtocolError(attempt.flaw)
    try:
        found = endpoint.parse(attempt.body)
    except (ValidationError, RecursionError):
        # Raised outside, so that the rejected text is nowhere in the error's context.
        found = None
    if found is None:
        raise ProtocolError("not_the_promised_json")
    if isinstance(found, ListPage):
        _about_what_was_asked(found.entries, path)
        return found
    for name, asked in path.items():
        told = getattr(found, name, None)
        if told is not None and str(told).lower() != asked.lower():
            raise ProtocolError("another_" + name)
    return found


def _about_what_was_asked(entries: Sequence[ApiModel], asked: Mapping[str, str]) -> None:
    """Hold each entry of a list to the filter: one that was ignored would show entries of others."""
    for entry in entries:
        for name in type(entry).model_fields.keys() & asked.keys():
            if str(getattr(entry, name) or "").lower() != asked[name].lower():
                raise ProtocolError("another_" + name)
