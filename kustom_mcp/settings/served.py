"""The settings that only a server for many needs: `serve --http`, who may call it, and what its replicas share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, SecretStr

from kustom_mcp.settings import validators as values


class Served(BaseModel):
    """The part of `Settings` that stdio has no use for. Field `x` is the variable KUSTOM_X."""

    store: Annotated[SecretStr, AfterValidator(values.store)] | None = Field(
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
    http_token: Annotated[SecretStr, AfterValidator(values.token)] | None = Field(
        default=None, description="Static bearer token that callers of `serve --http` must send."
    )
    http_token_file: Path | None = Field(
        default=None, description="File to read the bearer token from, instead of KUSTOM_HTTP_TOKEN."
    )
    oauth_issuer: Annotated[str, AfterValidator(values.base_url)] = Field(
        default="",
        description="Issuer of the JWT access tokens that callers of `serve --http` must send, instead of a static "
        "token. Scopes `orders:read` and `orders:write`; the claim `kustom_orders` narrows a token to these order ids.",
    )
    oauth_audience: str = Field(
        default="", description="What the audience of an access token must name: mostly the URL of this server."
    )
    oauth_jwks_url: Annotated[str, AfterValidator(values.base_url)] = Field(
        default="",
        description="Where the issuer's keys are.",
        json_schema_extra={"shown": "found in the issuer's metadata"},
    )
    http_hosts: Annotated[tuple[str, ...], BeforeValidator(values.http_hosts)] = Field(
        default=(),
        description="Comma list of exact Host header values that `serve --http` answers.",
        json_schema_extra={"shown": "loopback"},
    )
    http_origins: Annotated[tuple[str, ...], BeforeValidator(values.http_origins)] = Field(
        default=(),
        description="Comma list of exact Origin header values that `serve --http` answers.",
        json_schema_extra={"shown": "loopback"},
    )
    http_sessions: Annotated[Literal["on", "off"], BeforeValidator(values.lower)] = Field(
        default="on",
        description="`off` for replicas without affinity: handshake clients then get codes instead of forms.",
    )
    hooks_path: Annotated[SecretStr, AfterValidator(values.hooks_path)] | None = Field(
        default=None,
        description="`serve --http` takes Kustom's webhooks and push callbacks at `/hooks/kustom/` and this: a random "
        "text of at least 24 letters, digits, hyphens and underscores.",
    )
    hooks_path_file: Path | None = Field(
        default=None, description="File to read that from, instead of KUSTOM_HOOKS_PATH."
    )
    hooks_secret: Annotated[tuple[SecretStr, ...], BeforeValidator(values.hooks_secrets)] = Field(
        default=(),
        description="Secret that webhooks are signed with (Standard Webhooks), as the portal shows it: `whsec_...`; "
        "while it changes, the new one and the old one as a comma list. A webhook without a good signature is refused.",
    )
    hooks_secret_file: Path | None = Field(
        default=None,
        description="File to read the secret from, instead of KUSTOM_HOOKS_SECRET; it is read again when it changes.",
    )
