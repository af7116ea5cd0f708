"""Validators of settings: lists, URLs, host names, ceilings, and the sentence about a wrong one.

Each function takes the value of a variable and returns the value of a field of `Settings`, or raises ValueError with a
sentence that names the rule and never the value.
"""

from __future__ import annotations

import base64
import html
import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import cast
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from kustom_mcp.money import Ceilings
from kustom_mcp.settings.links import ANY, CARRIERS
from kustom_mcp.text import clean

HOOKS_SECRET_BYTES = 16  # the specification has 24 to 64; a shorter one was not copied whole

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_HOST_HEADER = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]+\])(?::\d{{1,5}})?")
_ORIGIN = re.compile(rf"https?://{_HOST_HEADER.pattern}")
_LOOPBACK = re.compile(r"localhost|::1|127(?:\.\d{1,3}){3}")
_LINE_BREAK = re.compile("[\n\v\f\r\x1c-\x1e\x85\u2028\u2029]")
_QUOTES = "\"'`\u00b4\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb\u2039\u203a\uff02\uff07"
_BOM = "\ufeff"
KEY_STARTS = ("kco_test_", "kco_live_")
_KEY_LETTERS = re.compile("kco(?:test|live)")
_SIGN = re.compile("[^a-z]")
_LOOK_ALIKES = str.maketrans(
    "\u0430\u0441\u0435\u0456\u043a\u043e\u0442\u0455\u0475\u04cf\u0410\u0421\u0415\u0406\u041a\u041e\u0422\u0405"
    "\u03ba\u03bf\u03b9\u03bd\u03c4\u03b5\u03f2\u039a\u039f\u0399\u03a4\u0395\u03f9\u0131",
    "aceikotsvlACEIKOTSkoivtecKOITECi",
)
"""Cyrillic and Greek letters that look like those of a key's beginning."""


def unclean(text: str, *, listed: bool = False) -> str | None:
    """Name the mistake in a key, a token or a secret as it was copied, or in a comma list of them; None without one.

    Call it before anything is read in the text, its prefix least of all: a live key in quotes does not begin like a
    live key.
    """
    if _BOM in text:
        return "There is a byte order mark (BOM) in it, which is invisible: type it, or save the file without one."
    if _LINE_BREAK.search(text):
        return "There is a line break in it: it has to be one line."
    if not text.isprintable() or clean(text, len(text)) != text:
        return "There is an invisible character in it: copy it again, without what stands around it, or type it."
    parts = [part.strip() for part in (text.split(",") if listed else [text])]
    if any(part[0] in _QUOTES or part[-1] in _QUOTES for part in parts if part):
        return "There are quotes around it, which would be taken for a part of it: give it without them."
    return None


def key_problem(text: str) -> str | None:
    """Name the mistake in a clean text as one API key, such as another key in it; None without one."""
    start = next((start for start in KEY_STARTS if text.startswith(start)), "")
    if hides_a_key(text[len(start) :]):
        return (
            "KUSTOM_API_KEY takes one key, and this holds more than that: give one key, as Kustom's portal shows it."
            if start
            else "It holds more than a key, or one in other letters or encoded: give it as Kustom's portal shows it."
        )
    if not re.fullmatch("[!-~]*", text):
        return "A key is printable ASCII without blanks: copy it again as Kustom's portal shows it."
    return None


def hides_a_key(text: str) -> bool:
    """Return whether one of Kustom's API keys stands anywhere in a text, also in other letters, escaped or encoded."""
    return any(_KEY_LETTERS.search(_SIGN.sub("", reading.lower())) for reading in _readings(text))


def plain(text: str) -> str:
    """Return a text in plain letters: letters of other alphabets that look like Latin ones are those."""
    return unicodedata.normalize("NFKC", text).translate(_LOOK_ALIKES)


def _readings(text: str) -> Iterator[str]:
    """Return a text in plain letters, unescaped, backwards, and decoded from base64 and hexadecimal."""
    letters = plain(text)
    for shown in (letters, unquote(letters), html.unescape(letters)):
        yield shown
        yield shown[::-1]
        for run in re.findall(r"[A-Za-z0-9+/]{8,}", shown.replace("-", "+").replace("_", "/")):
            for offset in range(4):
                part = run[offset:]
                part = part[: len(part) - (len(part) % 4 == 1)]
                yield base64.b64decode(part + "=" * (-len(part) % 4)).decode("latin-1")
        for run in re.findall(r"[0-9A-Fa-f]{14,}", shown):
            yield bytes.fromhex(run[: len(run) // 2 * 2]).decode("latin-1")


def lower(value: object) -> object:
    """Put a text into lower case."""
    return value.lower() if isinstance(value, str) else value


def items(value: object) -> object:
    """Split a comma list into a tuple; an empty entry is an error, because it is mostly a slip."""
    if not isinstance(value, str):
        return value
    found = tuple(item.strip() for item in value.split(","))
    if "" in found:
        raise ValueError(f"Entry {found.index('') + 1} of the list is empty.")
    return found


def _checked(value: object, good: Callable[[str], object], what: str) -> object:
    found = items(value)
    if isinstance(value, str):
        for number, item in enumerate(cast("tuple[str, ...]", found), start=1):
            if not good(item):
                raise ValueError(f"Entry {number} of the list is not {what}.")
    return found


def is_order_id(text: str) -> bool:
    """Return whether a text is an order id."""
    return _UUID.fullmatch(text) is not None


def order_ids(value: object) -> object:
    """Check a list of order ids."""
    return _checked(lower(value), is_order_id, "an order id (a UUID)")


def tracking_hosts(value: object) -> object:
    """Check a list of hosts, each with its subdomains, or the words `carriers` and `any`."""
    found = cast(
        "tuple[str, ...] | frozenset[str]",
        _checked(
            lower(value),
            lambda item: item in (CARRIERS, ANY) or ("." in item and _HOST.fullmatch(item)),
            f"a host name like track.example.com (subdomains are included), {CARRIERS} or {ANY}",
        ),
    )
    if ANY in found and len(found) > 1:
        raise ValueError(f"{ANY} stands alone: it allows every host.")
    return found


def seal_keys(value: object) -> object:
    """Check a list of secrets that seal and sign."""
    return _checked(value, lambda key: len(key.encode()) >= 32, "at least 32 bytes long")


def ceilings(value: object) -> object:
    """Read ceilings by currency."""
    return Ceilings.parse(value) if isinstance(value, str) else value


def token(value: SecretStr) -> SecretStr:
    """Check a bearer token, which has to fit into a header."""
    if not re.fullmatch(r"[!-~]+", value.get_secret_value()):
        raise ValueError("A token is printable ASCII without spaces.")
    return value


def claim(value: str) -> str:
    """Check the name of a claim in an access token; some issuers write it as a URL."""
    if not re.fullmatch(r"[!-~]{1,200}", value):
        raise ValueError("It is the name of one claim: printable ASCII without spaces.")
    return value


def hooks_path(value: SecretStr) -> SecretStr:
    """Check a part of a path that is to be unguessable."""
    path = value.get_secret_value()
    if "/" in path:
        raise ValueError("Only the last part of the URL belongs here, what stands after /hooks/kustom/.")
    if not re.fullmatch(r"[A-Za-z0-9_-]{24,200}", path) or len(set(path)) < 8:
        raise ValueError("It is a random text of 24 to 200 letters, digits, hyphens and underscores.")
    return value


def hooks_secrets(value: object) -> object:
    """Check a list of signing secrets of webhooks."""
    return _checked(
        value,
        _is_hooks_secret,
        "a signing secret as Kustom's portal shows it beside the webhook, whole: `whsec_` and base64",
    )


def _is_hooks_secret(text: str) -> bool:
    if not re.fullmatch(r"whsec_[A-Za-z0-9+/]+={0,2}", text):
        return False
    try:
        return len(base64.b64decode(text.removeprefix("whsec_") + "==")) >= HOOKS_SECRET_BYTES
    except ValueError:
        return False


def http_hosts(value: object) -> object:
    """Check a list of Host headers."""
    return _checked(lower(value), _HOST_HEADER.fullmatch, "a Host header like mcp.example.com or mcp.example.com:8443")


def http_origins(value: object) -> object:
    """Check a list of origins."""
    return _checked(lower(value), _ORIGIN.fullmatch, "an origin like https://chat.example.com")


def store(value: SecretStr) -> SecretStr:
    """Check the URL of a PostgreSQL database."""
    url = value.get_secret_value()
    if not url.startswith("postgresql://") or not host_of(url):
        raise ValueError("The store must be a URL like postgresql://user:password@host/database.")
    return value


def user(value: str) -> str:
    """Check a user name: no colon, and no API key."""
    if ":" in value:
        raise ValueError("A user name cannot contain a colon.")
    if hides_a_key(value):
        raise ValueError("This is an API key, which belongs into KUSTOM_API_KEY.")
    return value


def merchant(value: str) -> str:
    """Check a merchant id and put it into upper case."""
    if not re.fullmatch(r"[A-Za-z0-9]{1,32}", value):
        raise ValueError(
            "It is the merchant id (MID) alone, letters and digits as in Kustom's portal, such as PM12345."
        )
    return value.upper()


def merchant_id(user_name: str) -> str:
    """Return the merchant id at the beginning of a user name, in upper case; "" where it does not look like one."""
    head = re.split("[-_]", user_name, maxsplit=1)[0].upper()
    return head if re.fullmatch("[A-Z]{1,3}[0-9]{3,}", head) else ""


def base_url(value: str) -> str:
    """Check a URL to be safe to send the key to, and take its last slash off."""
    scheme, host = value.partition("://")[0].lower(), host_of(value)
    if scheme != "https" and not (scheme == "http" and is_loopback(host)):
        raise ValueError("The URL must start with https://; http:// is for loopback only.")
    if not host or re.search(r"[@?#\\\s]", value):
        raise ValueError("The URL must be a host and a path, without user name, query or fragment.")
    if not (value.isascii() and value.isprintable()):  # some of the others are left out, or change, on the way
        raise ValueError("The URL must be plain ASCII, international names in their form with xn--.")
    return value.rstrip("/")


def proxy(value: SecretStr) -> SecretStr:
    """Check the URL of a proxy."""
    url = value.get_secret_value()
    if not url.lower().startswith(("http://", "https://")) or not host_of(url):
        raise ValueError("The proxy must be a URL that starts with http:// or https://.")
    return value


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL in one form: lower case, without the usual port."""
    parts = urlsplit(url)
    host, usual = host_of(url), {"https": 443, "http": 80}.get(parts.scheme)
    port = "" if parts.port in (None, usual) else f":{parts.port}"
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}"


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine's own."""
    return _LOOPBACK.fullmatch(host) is not None


def host_of(url: str) -> str:
    """Return the host of a URL in lower case; "" when it has none or its port is no number."""
    try:
        parts = urlsplit(url)
        return (parts.hostname or "").rstrip(".") if parts.port != 0 else ""
    except ValueError:
        return ""
