"""The account that a command works with: that of this environment or of a host's entry, named in the first line.

Without credentials a server is the sandbox, so that it can be tried. A command about real orders is refused then: the
answer of the sandbox would be taken for one about them.
"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from dataclasses import replace

from kustom_mcp.cli import program
from kustom_mcp.cli.install.hosts import HOSTS, HOW, NAME
from kustom_mcp.settings.environment import PREFIX, Loaded, load
from kustom_mcp.settings.settings import ConfigError, Settings

ABOUT_ORDERS = ("audit", "resolve", "book")
"""Commands that are about real orders."""


def settings_for(given: Namespace) -> Loaded:
    """The settings of the environment, or of the host that is named. ConfigError."""
    host = _host(given)
    if host is None:
        if getattr(given, "entry", None):
            raise ConfigError("--name", "It names an entry of a host: give --host as well.")
        return load(os.environ, given.env_file)
    if given.env_file:
        raise ConfigError("--host", "It brings settings of its own: leave --env-file out.")
    from kustom_mcp.cli.install import command as install
    from kustom_mcp.cli.install.entries import settings_of

    found = settings_of(host, _entry(given), install.this_machine())
    passed_by = sorted(name for name in os.environ if name.upper().startswith(PREFIX))
    if passed_by:
        print(f"kustom-mcp: --host: of this environment {', '.join(passed_by)} counts for nothing.", file=sys.stderr)
    return load(found.environ, found.env_file)


def of_one_shop(given: Namespace, loaded: Loaded) -> Loaded:
    """The settings of the shop that is named where there are several, for the commands about one account. ConfigError.

    `check` without a shop is about all of them, and `audit` and `resolve` choose for themselves: they know shops that
    the file does not have any more.
    """
    name: str | None = getattr(given, "shop", None)
    if loaded.shops is None:
        if name is not None:
            raise ConfigError("--shop", "KUSTOM_SHOPS_FILE is not set: there is one shop, and it has no name.")
        return loaded
    if given.command not in ("book", "check") or (name is None and given.command == "check"):
        return loaded
    shops = loaded.shops()
    if name is None or name not in shops:
        from kustom_mcp.cli.shop_writes import unknown_shop

        raise unknown_shop(name, list(shops))
    return replace(loaded, settings=shops[name].settings, shops=None, timezone=shops[name].timezone)


def _host(given: Namespace) -> str | None:
    return getattr(given, "of_host", None)


def _entry(given: Namespace) -> str:
    return getattr(given, "entry", None) or NAME


def announce(given: Namespace, loaded: Loaded) -> None:
    """Print the account that the command speaks of. ConfigError for one about real orders without credentials."""
    if given.command in ABOUT_ORDERS:
        _require_orders(given, loaded)
    if given.command in (*ABOUT_ORDERS, "check") and not getattr(given, "json", False):
        stream = sys.stderr if getattr(given, "export", False) else sys.stdout  # where stdout is the export
        print(_about(given, loaded), file=stream)


def _about(given: Namespace, loaded: Loaded) -> str:
    """The account that a command speaks of, or that it is about several shops."""
    if loaded.shops is None:
        return _first_line(given, loaded.settings)
    shops = loaded.shops()
    name: str = getattr(given, "shop", None) or ""
    return _first_line(given, shops[name].settings) if name in shops else f"{len(shops)} shop{'s' * (len(shops) > 1)}"


def _require_orders(given: Namespace, loaded: Loaded) -> None:
    host = _host(given)
    if host and loaded.settings.sandboxed and loaded.shops is None:
        name = ["--name", _entry(given)] if _entry(given) != NAME else []
        again = program.shown("install", host, *name, "--env-file", "PATH")
        raise ConfigError(
            "--host",
            f"{_entry(given)} in {HOW[host].title} has no credentials: it is for the sandbox. `{again}` gives it those "
            "of a file.",
        )
    kept = given.command in ("audit", "resolve") and (loaded.settings.state_dir or loaded.settings.store)
    if loaded.by_default and not kept:
        raise ConfigError(
            "KUSTOM_API_KEY",
            "No credentials are given here, and this command is about real orders. --host HOST takes those that a host "
            f"has ({', '.join(HOSTS)}); KUSTOM_ENVIRONMENT=sandbox asks for the invented orders.",
        )


def _first_line(given: Namespace, settings: Settings) -> str:
    """The account and the environment that a command speaks of."""
    host = _host(given)
    merchant = "" if settings.sandboxed else f", merchant {settings.merchant or 'not given (KUSTOM_MERCHANT)'}"
    source = f", with the settings of {_entry(given)} in {HOW[host].title}" if host else ""
    return f"Environment: {settings.environment}{merchant}{source}"
