"""An endpoint as data: name, method, path, request body and answer; and the one way from it to a URL.

Ids come from a model, and a model repeats text of web pages. On a naive builder the order id `<uuid>/cancel#`, given to
the harmless acknowledge call, cancels the order. So an id must match its pattern whole, is percent-encoded, and the
finished URL is compared, part by part, with the template's literal parts and the expected origin before anything may
leave. A value in a query is held to its pattern in the same way.

A write cannot be asked for without an `Authority`: the type checker refuses the call, and so does the client.
"""

from __future__ import annotations

import re
import uuid
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, Generic, Literal, TypeVar, get_args
from urllib.parse import quote, unquote

import httpx2 as httpx
from pydantic import TypeAdapter

from kustom_mcp.api.errors import InvalidIdentifier

T = TypeVar("T")

PREFIX: Final = "/ordermanagement/v1"
SETTLEMENTS: Final = "/settlements/v1"

_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", re.ASCII)

PATTERNS: Final = {
    "order_id": re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII),
    "capture_id": re.compile(r"[0-9A-Za-z-]{1,64}", re.ASCII),
    "refund_id": re.compile(r"[0-9A-Za-z-]{1,64}", re.ASCII),
    "payment_reference": re.compile(r"(?!summary$)[0-9A-Za-z_-]{1,64}", re.ASCII),  # /payouts/summary is no payout
    "currency_code": re.compile(r"[A-Z]{3}", re.ASCII),
    "start_date": _TIME,
    "end_date": _TIME,
    "size": re.compile(r"[1-9][0-9]{0,2}", re.ASCII),
    "offset": re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII),
}
"""The pattern that each parameter of a path or a query must match whole. An order id has the shape of a UUID, with any
version digit (C)."""

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Endpoint:
    """The common part of reads and writes. `name` is Kustom's operation id, `path` is relative to `prefix`, `query`
    names the parameters that may follow it."""

    name: str
    method: str
    path: str
    placeholders: tuple[str, ...] = field(init=False)
    prefix: str = field(default=PREFIX, kw_only=True)
    query: tuple[str, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        """Fill in the placeholders; a parameter without a pattern is a mistake in this package."""
        names = tuple(_PLACEHOLDER.findall(self.path))
        unknown = [name for name in (*names, *self.query) if name not in PATTERNS]
        if unknown:
            raise TypeError(f"{self.name} has parameters without a pattern: {', '.join(unknown)}")
        object.__setattr__(self, "placeholders", names)

    @property
    def template(self) -> str:
        """The path with its placeholders, `prefix` included."""
        return self.prefix + self.path

    def path_for(self, **ids: str) -> str:
        """Return the path with its parameters filled in, `prefix` included, and with its query.

        Raises InvalidIdentifier for a value that does not match its pattern, and TypeError for a missing or extra one.
        """
        if set(ids) - set(self.query) != set(self.placeholders):
            raise TypeError(f"{self.name} takes the path parameters {', '.join(self.placeholders)}")
        for name, value in ids.items():
            if not PATTERNS[name].fullmatch(value):
                raise InvalidIdentifier(name)
        asked = "&".join(f"{name}={quote(ids[name], safe='')}" for name in self.query if name in ids)
        path = self.prefix + _PLACEHOLDER.sub(lambda found: quote(ids[found[1]], safe=""), self.path)
        return f"{path}?{asked}" if asked else path

    def fits(self, path: str) -> bool:
        """Return whether a finished path is this endpoint's: literal parts equal, parameters whole, nothing around
        them."""
        path, mark, asked = path.partition("?")
        wanted = self.template.split("/")
        parts = path.split("/")
        return (
            len(parts) == len(wanted)
            and all(
                PATTERNS[literal[1:-1]].fullmatch(part) if literal.startswith("{") else part == literal
                for literal, part in zip(wanted, parts, strict=True)
            )
            and (not mark or all(self._asks(part) for part in asked.split("&")))
        )

    def _asks(self, part: str) -> bool:
        """Return whether a part of a query is a parameter of this endpoint with a value that fits its pattern."""
        name, _, value = part.partition("=")
        return name in self.query and PATTERNS[name].fullmatch(unquote(value)) is not None


@dataclass(frozen=True)
class Read(Endpoint, Generic[T]):
    """A GET: harmless, repeatable. `gives` is the type of its answer."""

    method: str = field(init=False, default="GET")
    path: str
    gives: type[T]

    def parse(self, content: bytes | bytearray) -> T:
        """Parse an answer as `gives`. Raises pydantic's ValidationError."""
        return _adapter(self.gives).validate_json(content)


@dataclass(frozen=True)
class Write(Endpoint):
    """A POST or PATCH.

    `takes` names the request body in `field_limits.BODIES`, None for no body. `gives` is the response header that holds
    the new resource's id, None when nothing is made.
    """

    takes: str | None = None
    gives: str | None = None

    def __post_init__(self) -> None:
        """Hold the method to the two that the API writes with."""
        super().__post_init__()
        if self.method not in ("POST", "PATCH"):
            raise TypeError(f"{self.name} is not a write: {self.method}")


@cache
def _adapter(gives: type[T]) -> TypeAdapter[T]:
    return TypeAdapter(gives)


def url_for(base: httpx.URL, endpoint: Read[Any] | Write, ids: dict[str, str]) -> httpx.URL:
    """Return the contained URL of an endpoint below a base URL. Raises InvalidIdentifier for an id that does not
    fit."""
    root = base.raw_path.rstrip(b"/")
    return contained(base.copy_with(raw_path=root + endpoint.path_for(**ids).encode("ascii")), base, endpoint)


def contained(url: httpx.URL, base: httpx.URL, endpoint: Read[Any] | Write) -> httpx.URL:
    """Return the URL if it is exactly the endpoint's, on the base's origin and below its path; else
    InvalidIdentifier."""
    root = base.raw_path.rstrip(b"/").decode("ascii")
    path = url.raw_path.decode("ascii")
    origin = (url.scheme, url.host, url.port, url.userinfo, url.fragment)
    if origin != (base.scheme, base.host, base.port, b"", "") or not path.startswith(root):
        raise InvalidIdentifier("url")
    if not endpoint.fits(path[len(root) :]):
        raise InvalidIdentifier("url")
    return url


Means = Literal["code", "form", "card", "flag", "settle"]
"""The means by which a write was approved. `settle`: the open intent of an earlier approval is being resolved."""


@dataclass(frozen=True)
class Authority(ABC):
    """The permission of a write: an approval, or a declared reason for needing none. `key` is the idempotency key."""

    key: uuid.UUID

    def __post_init__(self) -> None:
        """Refuse a key that is not a UUID, a mistake in the calling code."""
        if not isinstance(self.key, uuid.UUID):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError("The idempotency key is a UUID.")

    @property
    @abstractmethod
    def reason(self) -> str:
        """One short sentence for the audit log."""


@dataclass(frozen=True)
class Approved(Authority):
    """An approval that was given by one of the means of confirmation."""

    means: Means

    def __post_init__(self) -> None:
        """Refuse an unknown means."""
        super().__post_init__()
        if self.means not in get_args(Means):
            raise TypeError("An approval names the means by which it was given.")

    @property
    def reason(self) -> str:
        """Name the means of the approval."""
        return f"approved by {self.means}"


@dataclass(frozen=True)
class NeedsNone(Authority):
    """The declared reason why a write needs no approval. It must be said."""

    because: str

    def __post_init__(self) -> None:
        """Refuse an empty reason."""
        super().__post_init__()
        if not self.because.strip():
            raise TypeError("A write without approval says why it needs none.")

    @property
    def reason(self) -> str:
        """Return the declared reason."""
        return f"needs no approval: {self.because}"
