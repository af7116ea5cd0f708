"""The settings, one field each, checked before anything starts.

Field, default, meaning and check stand in one place; the documents and `.env.example` are made from it. Plain pydantic:
the values come from a given mapping (`environment.load`), and importing pydantic-settings alone takes 50 ms of a
start-up. Errors name the setting and never repeat a value.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, cast
from urllib.parse import quote

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from kustom_mcp.money import Ceilings
from kustom_mcp.settings import validators

SANDBOX_KEY = "kco_test_api_sandbox"
PRODUCTION_HOST = "api.kustom.co"
Environment = Literal["sandbox", "playground", "production"]
Dialect = Literal["standard", "nullable", "open"]

_API = {"sandbox": "", "playground": "https://api.playground.kustom.co", "production": f"https://{PRODUCTION_HOST}"}
_PORTAL = {"playground": "https://portal.playground.kustom.co", "production": "https://portal.kustom.co"}
_TOLD_BY_KEY: dict[str, Environment] = {"kco_test_": "playground", "kco_live_": "production"}

TIMEZONE = "Europe/Stockholm"
"""The time zone of a shop that names none."""


class ConfigError(Exception):
    """A setting is wrong. One line that names it, and never a value."""

    def __init__(self, setting: str, sentence: str) -> None:
        super().__init__(f"{setting}: {sentence}")
        self.setting = setting
        self.sentence = sentence


Lower = BeforeValidator(validators.lower)


class Settings(BaseModel):
    """The settings of one server. Field `x` is the variable KUSTOM_X. ConfigError or ValidationError."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    username: Annotated[str, AfterValidator(validators.user)] = Field(
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
    writes: Annotated[Literal["allow", "deny", "preview"] | None, Lower] = Field(
        default=None,
        description="`deny`: tools that change anything are not listed, and nothing but GET is ever sent. `preview`, "
        "to rehearse: all is listed and previewed on real orders, a confirmation is refused, and nothing but GET is "
        "ever sent.",
        json_schema_extra={"shown": "allow; in production deny"},
    )
    confirm: Annotated[Literal["auto", "code", "form", "card", "flag"], Lower] = Field(
        default="auto",
        description="How a person confirms: `auto` (a form where the host has them, else a code), `code`, `form`, "
        "`card` (a button in the order card, where the host shows it), or `flag` for trusted automation.",
    )
    max_amount: Annotated[Ceilings | None, BeforeValidator(validators.ceilings)] = Field(
        default=None,
        description="Ceiling of one write in minor units, like `SEK:500000,EUR:50000,*:0` (`*`: every other currency; "
        "without it those have the ceiling 0). Limits a capture, a refund, and a new order amount above the old one.",
    )
    api_key_file: Path | None = Field(
        default=None,
        description="File to read the API key from, instead of KUSTOM_API_KEY; it is read again when it changes.",
    )
    merchant: Annotated[str, AfterValidator(validators.merchant)] = Field(
        default="",
        description="Merchant id (MID), such as PM12345. Environment, API address and merchant make the account that "
        "keys, ceilings, open writes, the order book and codes belong to. Needed for production and for KUSTOM_STORE "
        "where the user name does not begin with it; the playground makes a name of its own instead.",
        json_schema_extra={"shown": "the head of the user name"},
    )
    shops_file: str | None = Field(
        default=None,
        description="File of several shops, each with credentials, rights and ceilings of its own; private, without a "
        "key in it, and read again when it changes. `sandbox`: three built-in ones. KUSTOM_USERNAME, KUSTOM_API_KEY, "
        "KUSTOM_ENVIRONMENT, KUSTOM_API_URL, KUSTOM_MERCHANT and KUSTOM_HOOKS_SECRET stand in it then, and what is set "
        "beside it is a bound that no shop exceeds.",
    )
    api_url: Annotated[str, AfterValidator(validators.base_url)] = Field(
        default="",
        description="Another base URL: https, or http on loopback only.",
        json_schema_extra={"shown": "by environment"},
    )
    tools: Annotated[tuple[str, ...], BeforeValidator(validators.items)] = Field(
        default=("orders", "captures", "refunds"),
        description="Comma list of toolsets (`orders`, `captures`, `refunds`, `settlements`, `klarna`) and tool names "
        "to expose, or `all`.",
    )
    confirm_ttl: int = Field(
        default=900,
        ge=30,
        le=3600,
        description="Seconds that a confirmation code lives, 30 to 3600; also the longest wait for a person.",
    )
    max_daily: Annotated[Ceilings | None, BeforeValidator(validators.ceilings)] = Field(
        default=None,
        description="Ceiling of all refunds, and separately of all captures, in any 24 hours, per account and "
        "currency; minor units, like KUSTOM_MAX_AMOUNT. A refusal of what is sent again gives nothing back.",
    )
    writes_per_minute: int = Field(default=30, ge=1, le=10000, description="Writes a minute, per caller.")
    order_scope: Annotated[frozenset[str] | None, BeforeValidator(validators.order_ids)] = Field(
        default=None, description="Comma list of order ids: any other order looks exactly like one that does not exist."
    )
    tracking_hosts: Annotated[frozenset[str] | None, BeforeValidator(validators.tracking_hosts)] = Field(
        default=None,
        description="Comma list of hosts (subdomains included) that tracking links may name, `carriers` for the list "
        "that ships with the server, or `any`.",
        json_schema_extra={"shown": "carriers in production and for narrowed tokens, else any"},
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
        description="Directory for audit, intents, counts and the order book, 0700. The sandbox keeps them in memory "
        "unless it is set.",
        json_schema_extra={"shown": "the platform's state directory"},
    )
    book_days: int = Field(
        default=400,
        ge=0,
        le=3650,
        description="Days after its creation that an order stays in the order book, which remembers states, amounts "
        "and references of the orders that this server has met. 0: no book.",
    )
    schemas: Annotated[Dialect, Lower] = Field(
        default="standard",
        description="Dialect of the tools' input schemas: `standard`; `nullable` (every argument is required, and null "
        "stands for one that is not given) for OpenAI's strict mode; `open` (without `additionalProperties`) for "
        "Google's Python SDK. The same arguments are accepted in all three.",
    )
    text: Annotated[Literal["full", "short"], Lower] = Field(
        default="full",
        description="How much the text block of a result repeats of its structured content: `full`, or `short` "
        "(summary and next step, where nothing went wrong and nobody is asked), for hosts that hand both to the model.",
    )
    book_people: Annotated[Literal["on", "off"] | None, Lower] = Field(
        default=None,
        description="`on`: orders are found by e-mail address, phone, and name with postal code. The order book then "
        "keeps keyed digests of them: see SECURITY.md.",
        json_schema_extra={"shown": "off; in the sandbox on"},
    )
    audit_log: str | None = Field(
        default=None,
        description="Another file for the audit, or `-` for stderr.",
        json_schema_extra={"shown": "in the state directory"},
    )
    refund_reasons: Annotated[Literal["required"] | None, Lower] = Field(
        default=None,
        description="`required`: a refund needs a `reason`, for the journal and for whoever approves it.",
        json_schema_extra={"shown": "none needed"},
    )
    keys: Annotated[tuple[SecretStr, ...], BeforeValidator(validators.seal_keys)] = Field(
        default=(),
        description="Keys that seal codes and state, newest first: a comma list of at least 32 bytes each.",
        json_schema_extra={"shown": "a random secret, made once in the store"},
    )
    proxy: Annotated[SecretStr, AfterValidator(validators.proxy)] | None = Field(
        default=None,
        description="Proxy for requests to Kustom and to the issuer of tokens, http or https; HTTP_PROXY, netrc and "
        "the like are ignored.",
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Lower] = Field(
        default="warning", description="How much is logged to stderr: `debug`, `info`, `warning` or `error`."
    )
    # What follows is for `serve --http`: who may call it, and what its replicas share.
    store: Annotated[SecretStr, AfterValidator(validators.store)] | None = Field(
        default=None,
        description="`postgresql://user:password@host/database`: what several machines share (intents, ceilings, "
        "write rate). Needs the extra `postgres`.",
        json_schema_extra={"shown": "the state directory"},
    )
    store_file: Path | None = Field(
        default=None, description="File to read the URL of the store from, instead of KUSTOM_STORE."
    )
    drain: float = Field(
        default=25,
        ge=0,
        le=600,
        description="Seconds that `serve --http` waits for writes in flight at shutdown.",
    )
    http_token: Annotated[SecretStr, AfterValidator(validators.token)] | None = Field(
        default=None, description="Static bearer token that callers of `serve --http` must send."
    )
    http_token_file: Path | None = Field(
        default=None, description="File to read the bearer token from, instead of KUSTOM_HTTP_TOKEN."
    )
    people_file: Path | None = Field(
        default=None,
        description="File of the people who may call `serve --http`, each with a token, rights and ceilings of their "
        "own; private, and read again when it changes. The command `people` makes it.",
    )
    oauth_issuer: Annotated[str, AfterValidator(validators.base_url)] = Field(
        default="",
        description="Issuer of the JWT access tokens that callers of `serve --http` must send, instead of a static "
        "token. Scopes `orders:read` and `orders:write`; the claim `kustom_orders` narrows a token to these order ids.",
    )
    oauth_audience: str = Field(
        default="", description="What the audience of an access token must name: mostly the URL of this server."
    )
    oauth_jwks_url: Annotated[str, AfterValidator(validators.base_url)] = Field(
        default="",
        description="Where the issuer's keys are.",
        json_schema_extra={"shown": "found in the issuer's metadata"},
    )
    oauth_require: Annotated[Literal["orders"] | None, Lower] = Field(
        default=None,
        description="`orders`: an access token without the claim `kustom_orders` is refused, so that none is for all "
        "orders.",
    )
    oauth_person: Annotated[str, AfterValidator(validators.claim)] = Field(
        default="",
        description="The claim of an access token whose value the journal keeps as the person.",
        json_schema_extra={"shown": "`oid`, else `sub`"},
    )
    http_hosts: Annotated[tuple[str, ...], BeforeValidator(validators.http_hosts)] = Field(
        default=(),
        description="Comma list of exact Host header values that `serve --http` answers.",
        json_schema_extra={"shown": "loopback"},
    )
    http_origins: Annotated[tuple[str, ...], BeforeValidator(validators.http_origins)] = Field(
        default=(),
        description="Comma list of exact Origin header values that `serve --http` answers.",
        json_schema_extra={"shown": "loopback"},
    )
    http_sessions: Annotated[Literal["on", "off"], BeforeValidator(validators.lower)] = Field(
        default="on",
        description="`off` for replicas without affinity: handshake clients then get codes instead of forms.",
    )
    hooks_path: Annotated[SecretStr, AfterValidator(validators.hooks_path)] | None = Field(
        default=None,
        description="`serve --http` takes Kustom's webhooks and push callbacks at `/hooks/kustom/` and this: a random "
        "text of at least 24 letters, digits, hyphens and underscores.",
    )
    hooks_path_file: Path | None = Field(
        default=None, description="File to read that from, instead of KUSTOM_HOOKS_PATH."
    )
    hooks_secret: Annotated[tuple[SecretStr, ...], BeforeValidator(validators.hooks_secrets)] = Field(
        default=(),
        description="Secret that webhooks are signed with (Standard Webhooks), as the portal shows it: `whsec_...`; "
        "while it changes, the new one and the old one as a comma list. A webhook without a good signature is refused.",
    )
    hooks_secret_file: Path | None = Field(
        default=None,
        description="File to read the secret from, instead of KUSTOM_HOOKS_SECRET; it is read again when it changes.",
    )
    hooks_retry: int = Field(
        default=12,
        ge=1,
        le=168,
        description="Hours for which Kustom sends again what was not answered. After a shorter silence of this server "
        "`complete_since` stays as it was.",
    )

    @model_validator(mode="before")
    @classmethod
    def _which_environment(cls, given: dict[str, Any]) -> dict[str, Any]:
        for name in SECRETS & given.keys():
            require_clean(f"KUSTOM_{name.upper()}", name, given[name])
        if given.get("shops_file"):
            return _no_shop_beside_the_file(given)
        if not given.get("merchant") and (told := validators.merchant_id(str(given.get("username", "")))):
            given = {**given, "merchant": told}
        if given.get("environment"):
            return given
        if not any(given.get(name) for name in ("username", "api_key", "api_url")):
            return {**given, "environment": "sandbox"}
        told = _told_by(given.get("api_key"))
        if told is None and given.get("api_key"):
            raise ConfigError(
                "KUSTOM_ENVIRONMENT", "It must be given: playground or production. This key does not tell."
            )
        return {**given, "environment": told or "playground"}

    @model_validator(mode="after")
    def _what_is_served_fits(self) -> Settings:
        if self.http_token and self.oauth_issuer:
            raise ConfigError("KUSTOM_HTTP_TOKEN", "Give either this or KUSTOM_OAUTH_ISSUER, not both.")
        for name in ("oauth_require", "oauth_person"):
            if getattr(self, name) and not self.oauth_issuer:
                raise ConfigError(f"KUSTOM_{name.upper()}", "It means nothing without KUSTOM_OAUTH_ISSUER.")
        if bool(self.oauth_issuer) != bool(self.oauth_audience):
            missing = "KUSTOM_OAUTH_AUDIENCE" if self.oauth_issuer else "KUSTOM_OAUTH_ISSUER"
            raise ConfigError(missing, "KUSTOM_OAUTH_ISSUER and KUSTOM_OAUTH_AUDIENCE are needed together.")
        if self.hooks_path and not self.book_days:
            raise ConfigError("KUSTOM_HOOKS_PATH", "Webhooks are for the order book, and KUSTOM_BOOK_DAYS is 0.")
        if self.hooks_secret and not self.hooks_path:
            raise ConfigError("KUSTOM_HOOKS_SECRET", "It means nothing without KUSTOM_HOOKS_PATH.")
        return self

    @model_validator(mode="after")
    def _nothing_contradicts(self) -> Settings:
        if self.environment == "sandbox":
            if self.api_url:
                raise ConfigError("KUSTOM_API_URL", "The sandbox is embedded and has no URL; unset one of the two.")
            return self
        if self.api_key is None:
            raise ConfigError("KUSTOM_API_KEY", "It is needed for anything but the sandbox.")
        self.require_fits(self.api_key)
        if self._at_production and self.environment != "production":
            raise ConfigError("KUSTOM_API_URL", "This is production's host, but KUSTOM_ENVIRONMENT says playground.")
        if not self.merchant and (self.environment == "production" or self.store):
            what = "production" if self.environment == "production" else "a shared store (KUSTOM_STORE)"
            raise ConfigError(
                "KUSTOM_MERCHANT",
                f"It must be given for {what}, because KUSTOM_USERNAME does not begin with the merchant id (MID). "
                "Kustom's portal shows it.",
            )
        return self

    def require_fits(self, key: SecretStr) -> None:
        """Refuse a clean API key that is for another host. ConfigError."""
        told, secure = _told_by(key), self.base_url.startswith("https://")
        if told == "production" and (self.environment != "production" or not self._at_production or not secure):
            raise ConfigError("KUSTOM_API_KEY", "A live key (kco_live_) is for production and Kustom's own host only.")
        if told == "playground" and (self.environment == "production" or self._at_production):
            raise ConfigError("KUSTOM_API_KEY", "A test key (kco_test_) is not for production.")

    @property
    def _at_production(self) -> bool:
        return validators.host_of(self.base_url) == PRODUCTION_HOST

    @property
    def sandboxed(self) -> bool:
        """Return whether the embedded sandbox answers instead of Kustom."""
        return self.environment == "sandbox"

    @property
    def writes_allowed(self) -> bool:
        """Return KUSTOM_WRITES, or its default: allowed but in production."""
        return self.writes == "allow" if self.writes else self.environment != "production"

    @property
    def rehearses(self) -> bool:
        """Return whether writes are previewed and never sent."""
        return self.writes == "preview"

    @property
    def keeps_people(self) -> bool:
        """Return KUSTOM_BOOK_PEOPLE, or its default: only in the sandbox."""
        return self.book_people == "on" if self.book_people else self.sandboxed

    @property
    def effective_api_key(self) -> SecretStr:
        """The key to send; in the sandbox its own, with any credentials."""
        return SecretStr(SANDBOX_KEY) if self.sandboxed or self.api_key is None else self.api_key

    @property
    def base_url(self) -> str:
        """The base URL of requests, without a slash at the end; "" in the sandbox."""
        return self.api_url or _API[self.environment]

    def portal_url(self, order_id: str) -> str | None:
        """Return the order's page in Kustom's portal (C); None in the sandbox."""
        if self.sandboxed:
            return None
        page = f"{_PORTAL[self.environment]}/orders/list/{quote(order_id, safe='')}"
        return f"{page}?merchantId={quote(self.merchant, safe='')}" if self.merchant else page

    @property
    def state_path(self) -> Path | None:
        """The directory of all that must outlive the process; None where it is kept in memory."""
        if self.state_dir is not None:
            return self.state_dir.expanduser()
        if self.sandboxed:
            return None
        from platformdirs import user_state_path

        return user_state_path("kustom-mcp", appauthor=False)


def fields_of(*kinds: type) -> frozenset[str]:
    """Return the settings whose values are of one of these kinds, or hold some."""
    names = [kind.__name__ for kind in kinds]
    return frozenset(
        name for name, field in Settings.model_fields.items() if any(kind in repr(field.annotation) for kind in names)
    )


SECRETS = fields_of(SecretStr) | {"username"}
LISTS = fields_of(tuple, frozenset, Ceilings)
"""Settings that are written as a comma list."""
OF_A_SHOP = frozenset(
    {
        *("username", "api_key", "api_key_file", "environment", "api_url", "merchant", "hooks_secret"),
        *("hooks_secret_file", "writes", "confirm", "max_amount", "max_daily", "order_scope", "tools"),
        *("tracking_hosts", "pii", "refund_reasons"),
    }
)
"""Settings that each shop of KUSTOM_SHOPS_FILE has for itself; all others are the server's."""
_IN_THE_FILE = (
    *("api_key_file", "hooks_secret_file", "username", "api_key", "environment", "api_url", "merchant"),
    "hooks_secret",
)
"""Settings of OF_A_SHOP that say which account it is."""
HTTP_ONLY = frozenset(
    name for name in Settings.model_fields if name.startswith(("drain", "http_", "people_", "oauth_", "hooks_"))
)
"""Settings that mean nothing over stdio."""


def _no_shop_beside_the_file(given: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a server of several shops. ConfigError where one account is named beside the file."""
    for name in _IN_THE_FILE:
        if given.get(name):
            raise ConfigError(
                f"KUSTOM_{name.upper()}", "KUSTOM_SHOPS_FILE is set, and each shop has its own there: leave this out."
            )
    return {**given, "environment": "sandbox"}


def require_clean(setting: str, name: str, value: object) -> None:
    """Refuse a value of the secret `name` that is more than the secret. ConfigError, which names `setting`."""
    for part in cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,):
        text = part.get_secret_value() if isinstance(part, SecretStr) else part
        problem = validators.unclean(text, listed=name in LISTS) if isinstance(text, str) else None
        if problem:
            raise ConfigError(setting, problem)


def _told_by(key: object) -> Environment | None:
    """Return the environment that a clean API key is for. ConfigError where it has something else around it."""
    text = key.get_secret_value() if isinstance(key, SecretStr) else str(key)
    problem = validators.key_problem(text)
    if problem:
        raise ConfigError("KUSTOM_API_KEY", problem)
    return next((environment for start, environment in _TOLD_BY_KEY.items() if text.startswith(start)), None)
