"""Links that a customer will click: their check, their host, and the hosts of carriers.

A link is read as a browser reads it, or not at all: where the two could differ (backslashes, tabs, a user name before
the host, a host that is not plain ASCII, an escaped dot) it is refused, so that the host that is compared and shown is
the host that opens. International names are taken in their `xn--` form, which hides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from urllib.parse import urlsplit

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_MARKS = frozenset(' \\<>"')

CARRIERS = "carriers"
"""The word that stands for the list that ships with the server."""
ANY = "any"


@cache
def carriers() -> frozenset[str]:
    """Load the hosts of carriers and of tracking services, from `data/carriers.txt`."""
    text = files("kustom_mcp").joinpath("data", "carriers.txt").read_text(encoding="utf-8")
    return frozenset(host for line in text.splitlines() if not line.startswith("#") for host in line.split())


def host_of(link: str) -> str:
    """Return the host of an http or https link: lower case, without port and final dot. ValueError names the
    mistake."""
    if not link.isprintable() or _MARKS & set(link):
        raise ValueError("it holds a space, a backslash or another character that no link has")
    try:
        parts = urlsplit(link)
        name, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("it is not a link, or its port is not a number") from None
    if parts.scheme not in ("https", "http") or not name:
        raise ValueError("it must start with https:// or http:// and name a host")
    if "@" in parts.netloc:
        raise ValueError("it must not hold a user name before the host")
    name = name.removesuffix(".")
    if not _HOST.fullmatch(name):
        raise ValueError("its host must be a plain name like track.example.com, in its xn-- form where it is not ASCII")
    return name


def shown_host(link: object) -> str:
    """Return the host of a link for the person who approves it; words where no host can be told."""
    try:
        return host_of(link) if isinstance(link, str) else "no host"
    except ValueError:
        return "no host that can be read"


def is_web_address(text: str) -> bool:
    """Return whether a text is a web address that hides nothing: http or https, or without scheme and host."""
    if "\\" in text or not text.isprintable():
        return False
    address = text.strip()
    if not _SCHEME.match(address) and not address.startswith("//"):
        return True
    try:
        host_of(f"https:{address}" if address.startswith("//") else address)
    except ValueError:
        return False
    return True


def is_within(host: str, hosts: Iterable[str]) -> bool:
    """Return whether a host is one of these, or below one of them."""
    return any(host == one or host.endswith(f".{one}") for one in hosts)
