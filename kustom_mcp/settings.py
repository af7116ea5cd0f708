"""Settings: what the operator decides, one field each, checked before anything starts.

Field, default, meaning and check stand in one place; the documents and `.env.example` are made from it. Plain pydantic:
the values come from a given mapping (`environment.load`), and importing pydantic-settings alone takes 50 ms of a
start-up. Errors name the setting and never repeat a value.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, cast
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from kustom_mcp.money import Ceilings

SANDBOX_KEY = "kco_test_api_sandbox"
PRODUCTION_HOST = "api.kustom.co"
Environment = Literal["sandbox", "playground", "production"]

_API = {"sandbox": "", "playground": "https://api.playground.kustom.co", "production": f"https://{PRODUCTION_HOST}"}
_PORTAL = {"playground": "https://portal.playground.kustom.co", "production": "https://portal.kustom.co"}
_TOLD_BY_KEY: dict[str, Environment] = {"kco_test_": "playground", "kco_live_": "production"}
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_LOOPBACK = re.compile(r"localhost|::1|127(?:\.\d{1,3}){3}")


class ConfigError(Exception):
    """A setting is wrong. One line that names it, and never a value."""

    def __init__(self, setting: str, sentence: str) -> None:
        super().__init__(f"{setting}: {sentence}")
        self.setting = setting
        self.sentence = sentence


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _items(value: object) -> object:
    """A comma list as a tuple; an empty entry is an error, because it is mostly a slip."""
    if not isinstance(value, str):
        return value
    items = tuple(item.strip() for item in value.split(","))
    if "" in items:
        raise ValueError(f"Entry {items.index('') + 1} of the list is empty.")
    return items


def _checked(value: object, good: Callable[[str], object], what: str) -> object:
    items = _items(value)
    if isinstance(value, str):
        for number, item in enumerate(cast("tuple[str, ...]", items), start=1):
            if not good(item):
                raise ValueError(f"Entry {number} of the list is not {what}.")
    return items


def _order_ids(value: object) -> object:
    return _checked(_lower(value), _UUID.fullmatch, "an order id (a UUID)")


def _host_names(value: object) -> object:
    return _checked(_lower(value), _HOST.fullmatch, "a host name like track.example.com")


def _seal_keys(value: object) -> object:
    return _checked(value, lambda key: len(key.encode()) >= 32, "at least 32 bytes long")


def _ceilings(value: object) -> object:
    return Ceilings.parse(value) if isinstance(value, str) else value


def _means(value: object) -> object:
    if _lower(value) == "card":
        raise ValueError("The means card is not available in this version; use auto, code, form or flag.")
    return _lower(value)


def _user(value: str) -> str:
    if ":" in value:
        raise ValueError("A user name cannot contain a colon.")
    return value


def _base_url(value: str) -> str:
    """A URL that is safe to send the key to, without its last slash."""
    scheme, host = value.partition("://")[0].lower(), _host_of(value)
    if scheme != "https" and not (scheme == "http" and _LOOPBACK.fullmatch(host)):
        raise ValueError("The URL must start with https://; http:// is for loopback only.")
    if not host or re.search(r"[@?#\\\s]", value):
        raise ValueError("The URL must be a host and a path, without user name, query or fragment.")
    return value.rstrip("/")


def _proxy(value: SecretStr) -> SecretStr:
    url = value.get_secret_value()
    if not url.lower().startswith(("http://", "https://")) or not _host_of(url):
        raise ValueError("The proxy must be a URL that starts with http:// or https://.")
    return value


def _host_of(url: str) -> str:
    """The host of a URL in lower case; "" when it has none or its port is no number."""
    try:
        parts = urlsplit(url)
        return (parts.hostname or "").rstrip(".") if parts.port != 0 else ""
    except ValueError:
        return ""


Lower = BeforeValidator(_lower)


class Settings(BaseModel):
    """The settings of one server. Field `x` is the variable KUSTOM_X. ConfigError or ValidationError."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    username: Annotated[str, AfterValidator(_user)] = Field(
        default="", description="User name of the API credentials; Kustom lets you leave it out."
    )
    api_key: SecretStr | None = Field(
        default=None, description="API key. A test key starts with kco_test_, a live one with kco_live_."
    )
    environment: Annotated[Environment, Lower] = Field(
        default="sandbox",
        description="`sandbox` (embedded, in process), `playground` or `production`. Without credentials and URL it is "
        "the sandbox; otherwise it must be given, unless the key tells.",
        json_schema_extra={"shown": "sandbox, or told by the key"},
    )
    writes: Annotated[Literal["allow", "deny"] | None, Lower] = Field(
        default=None,
        description="`deny`: tools that change anything are not listed, and nothing but GET is ever sent.",
        json_schema_extra={"shown": "allow; in production deny"},
    )
    confirm: Annotated[Literal["auto", "code", "form", "flag"], BeforeValidator(_means)] = Field(
        default="auto",
        description="How a person confirms: `auto` (a form where the host has them, else a code), `code`, `form`, or "
        "`flag` for trusted automation.",
    )
    max_amount: Annotated[Ceilings | None, BeforeValidator(_ceilings)] = Field(
        default=None,
        description="Ceiling of one write in minor units, like `SEK:500000,EUR:50000,*:0` (`*`: every other currency). "
        "Limits a capture, a refund, and a new order amount above the old one.",
    )
    api_key_file: Path | None = Field(
        default=None, description="File to read the API key from, instead of KUSTOM_API_KEY."
    )
    api_url: Annotated[str, AfterValidator(_base_url)] = Field(
        default="",
        description="Another base URL: https, or http on loopback only.",
        json_schema_extra={"shown": "by environment"},
    )
    tools: Annotated[tuple[str, ...], BeforeValidator(_items)] = Field(
        default=("orders", "captures", "refunds"),
        description="Comma list of toolsets and tool names to expose, or `all`.",
    )
    confirm_ttl: int = Field(
        default=900,
        ge=30,
        le=3600,
        description="Seconds that a confirmation code lives, 30 to 3600; also the longest wait for a person.",
    )
    max_daily: Annotated[Ceilings | None, BeforeValidator(_ceilings)] = Field(
        default=None,
        description="Ceiling of all refunds, and separately of all captures, in any 24 hours, per merchant and "
        "currency; minor units, like KUSTOM_MAX_AMOUNT.",
    )
    writes_per_minute: int = Field(default=30, ge=1, le=10000, description="Writes a minute, per caller.")
    order_scope: Annotated[frozenset[str] | None, BeforeValidator(_order_ids)] = Field(
        default=None, description="Comma list of order ids: any other order looks exactly like one that does not exist."
    )
    tracking_hosts: Annotated[frozenset[str] | None, BeforeValidator(_host_names)] = Field(
        default=None,
        description="Comma list of hosts that tracking links may name, exactly.",
        json_schema_extra={"shown": "any"},
    )
    pii: Annotated[Literal["on_request", "masked"], Lower] = Field(
        default="on_request",
        description="`on_request`: addresses, e-mail and phone only when `include` asks; `masked`: always masked.",
    )
    timeout: float = Field(
        default=45,
        ge=1,
        le=600,
        description="Deadline of one tool call in seconds, retries included, waiting for a person not.",
    )
    state_dir: Path | None = Field(
        default=None,
        description="Directory for audit, intents and counts, 0700. The sandbox keeps them in memory unless it is set.",
        json_schema_extra={"shown": "the platform's state directory"},
    )
    audit_log: str | None = Field(
        default=None,
        description="Another file for the audit, or `-` for stderr.",
        json_schema_extra={"shown": "in the state directory"},
    )
    keys: Annotated[tuple[SecretStr, ...], BeforeValidator(_seal_keys)] = Field(
        default=(),
        description="Keys that seal codes and state, newest first: a comma list of at least 32 bytes each.",
        json_schema_extra={"shown": "derived from the API key"},
    )
    proxy: Annotated[SecretStr, AfterValidator(_proxy)] | None = Field(
        default=None,
        description="Proxy for requests to Kustom, http or https; HTTP_PROXY, netrc and the like are ignored.",
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Lower] = Field(
        default="warning", description="How much is logged to stderr: `debug`, `info`, `warning` or `error`."
    )

    @model_validator(mode="before")
    @classmethod
    def _which_environment(cls, values: dict[str, Any]) -> dict[str, Any]:
        if values.get("environment"):
            return values
        if not any(values.get(name) for name in ("username", "api_key", "api_url")):
            return {**values, "environment": "sandbox"}
        told = _told_by(values.get("api_key"))
        if told is None and values.get("api_key"):
            raise ConfigError(
                "KUSTOM_ENVIRONMENT", "It must be given: playground or production. This key does not tell."
            )
        return {**values, "environment": told or "playground"}

    @model_validator(mode="after")
    def _nothing_contradicts(self) -> Settings:
        if self.environment == "sandbox":
            if self.api_url:
                raise ConfigError("KUSTOM_API_URL", "The sandbox is embedded and has no URL; unset one of the two.")
            return self
        if self.api_key is None:
            raise ConfigError("KUSTOM_API_KEY", "It is needed for anything but the sandbox.")
        told, secure = _told_by(self.api_key), self.base_url.startswith("https://")
        at_production = _host_of(self.base_url) == PRODUCTION_HOST
        if told == "production" and (self.environment != "production" or not at_production or not secure):
            raise ConfigError("KUSTOM_API_KEY", "A live key (kco_live_) is for production and Kustom's own host only.")
        if told == "playground" and (self.environment == "production" or at_production):
            raise ConfigError("KUSTOM_API_KEY", "A test key (kco_test_) is not for production.")
        if at_production and self.environment != "production":
            raise ConfigError("KUSTOM_API_URL", "This is production's host, but KUSTOM_ENVIRONMENT says playground.")
        return self

    @property
    def sandboxed(self) -> bool:
        """Whether the embedded sandbox answers instead of Kustom."""
        return self.environment == "sandbox"

    @property
    def writes_allowed(self) -> bool:
        """KUSTOM_WRITES, or its default: allowed but in production."""
        return self.writes == "allow" if self.writes else self.environment != "production"

    @property
    def effective_api_key(self) -> SecretStr:
        """The key to send; in the sandbox its own, whatever credentials were given."""
        return SecretStr(SANDBOX_KEY) if self.sandboxed or self.api_key is None else self.api_key

    @property
    def base_url(self) -> str:
        """Where requests go, without a slash at the end; "" in the sandbox."""
        return self.api_url or _API[self.environment]

    @property
    def merchant(self) -> str:
        """Merchant id: the part of the user name before the first hyphen (`M...`, `PM...`), else all of it."""
        first, _, _ = self.username.partition("-")
        return first if first.startswith(("M", "PM")) else self.username

    def portal_url(self, order_id: str) -> str | None:
        """The order's page in Kustom's portal (C); None in the sandbox."""
        if self.sandboxed:
            return None
        page = f"{_PORTAL[self.environment]}/orders/list/{quote(order_id, safe='')}"
        return f"{page}?merchantId={quote(self.merchant, safe='')}" if self.merchant else page

    @property
    def state_path(self) -> Path | None:
        """Directory for what must outlive the process; None where it is kept in memory."""
        if self.state_dir is not None:
            return self.state_dir.expanduser()
        if self.sandboxed:
            return None
        from platformdirs import user_state_path

        return user_state_path("kustom-mcp", appauthor=False)


def _told_by(key: object) -> Environment | None:
    text = key.get_secret_value() if isinstance(key, SecretStr) else str(key)
    return next((environment for start, environment in _TOLD_BY_KEY.items() if text.startswith(start)), None)
