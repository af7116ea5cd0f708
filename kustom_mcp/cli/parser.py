"""The command line itself: which command, which env file. Each command's module is imported only when it is asked
for."""

from __future__ import annotations

import json
import os
import re
import sys
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from kustom_mcp.cli import account, program
from kustom_mcp.cli.book import parser as book
from kustom_mcp.cli.install.hosts import HOSTS, NAME
from kustom_mcp.settings.environment import Loaded
from kustom_mcp.settings.settings import ConfigError, Settings

if TYPE_CHECKING:
    from kustom_mcp.settings.shops_file import ShopsFile

USAGE_ERROR = 2
SCENES = 8
"""Of the demo, whose modules are loaded only where it is shown."""


class _Parser(ArgumentParser):
    """A parser without abbreviations: what is read in an entry, and what would be run, must be the same words."""

    def __init__(self, **given: Any) -> None:
        super().__init__(allow_abbrev=False, **given)

    def error(self, message: str) -> NoReturn:
        """Print the error and where help is, in one line."""
        self.exit(USAGE_ERROR, f"kustom-mcp: {message} (see {self.prog} --help)\n")


def run(argv: Sequence[str]) -> int:
    """Run the command that the arguments name, and return its exit code."""
    given = parse(argv)
    if given.command == "simulate":
        from kustom_mcp.cli import simulate

        return simulate.run(given.port, given.orders, given.hooks, given.assume)
    if given.command == "demo":
        from kustom_mcp.cli.demo import command as demo

        return demo.run_cards() if given.card else demo.run(scene=given.scene, shops=given.shops)
    if given.command == "audit" and given.path is not None:  # looking into files needs no credentials
        from kustom_mcp.cli import audit

        return audit.run(given.path)
    try:
        if given.command == "install":
            from kustom_mcp.cli.install import command as install

            machine = install.this_machine()
            wish = install.InstallOptions(
                given.name, given.remove, given.yes, given.replace_key, given.env_file, given.shops
            )
            return install.run(given.host, machine, wish)
        if given.command == "shops" and given.action == "add":
            from kustom_mcp.cli import shops_add

            return shops_add.run(given.name, os.environ, given.env_file)
        return _with_settings(given, account.settings_for(given))
    except ConfigError as error:
        print(f"kustom-mcp: {error}", file=sys.stderr)
        return USAGE_ERROR


def _with_settings(given: Namespace, loaded: Loaded) -> int:
    for warning in loaded.warnings:
        print(f"kustom-mcp: {warning}", file=sys.stderr)
    loaded = account.of_one_shop(given, loaded)
    account.announce(given, loaded)
    if given.command in ("check", "shops"):
        return _tried(given, loaded)
    if given.command == "tools":
        from kustom_mcp.cli import tools

        return tools.run(loaded.settings, as_json=given.json, shops=loaded.shops)
    if given.command in ("audit", "resolve"):
        return _about_writes(given, loaded.settings, loaded.shops)
    if given.command == "book":
        return book.run(given, loaded.settings, loaded.telemetry, loaded.timezone)
    if given.command == "people":
        return _people(given, loaded)
    from kustom_mcp.cli import serve

    orders: int = getattr(given, "orders", 0)
    if orders and (not loaded.settings.sandboxed or loaded.shops is not None):
        raise ConfigError("--orders", "Orders are invented in the sandbox only.")
    if getattr(given, "http", False):
        host, port = given.host or "127.0.0.1", 8080 if given.port is None else given.port
        return serve.run_http(loaded.settings, host, port, loaded.telemetry, orders, loaded.shops)
    return serve.run(loaded.settings, loaded.telemetry, orders, loaded.shops)


def _about_writes(given: Namespace, settings: Settings, shops: ShopsFile | None) -> int:
    shop: str | None = getattr(given, "shop", None)
    if given.command == "audit" and given.export:
        from kustom_mcp.cli import audit_export

        days, form = (given.first, given.last), given.format or audit_export.CSV
        if shops is not None:
            return audit_export.run_shops(shops, settings, shop, *days, form)
        return audit_export.run(settings, *days, form)
    if given.command == "audit":
        from kustom_mcp.cli import audit

        return audit.run(None, settings) if shops is None else audit.run_shops(shops, settings, shop)
    from kustom_mcp.cli import resolve

    if shops is not None:
        return resolve.run_shops(shops, settings, shop, given.order_id, given.how, given.reason)
    return resolve.run(settings, given.order_id, given.how, given.reason)


def _tried(given: Namespace, loaded: Loaded) -> int:
    """Try the credentials: of one account, or of each shop."""
    order_id: str | None = getattr(given, "playground", None)
    if loaded.shops is not None or given.command == "shops":
        from kustom_mcp.cli import shops

        if order_id is not None:
            raise ConfigError("--playground", "It tries things on one account: name its shop with --shop.")
        return shops.run_list(loaded)
    if order_id is not None:
        from kustom_mcp.cli import check_playground

        return check_playground.run(loaded.settings, order_id, port=given.port)
    from kustom_mcp.cli import check

    return check.run(loaded)


def _people(given: Namespace, loaded: Loaded) -> int:
    from kustom_mcp.cli import people

    if given.action == "list":
        return people.run_list(loaded.settings)
    if given.action == "remove":
        return people.run_remove(loaded.settings, given.name, older=given.older)
    options = {
        "may": _toml_list(given.may),
        "shops": _toml_list(given.shops),
        "max_amount": json.dumps(given.max_amount) if given.max_amount else "",
        "expires": given.expires,
    }
    return people.run_add(loaded.settings, given.name, {name: value for name, value in options.items() if value})


def _add_audit(commands: Any, after: _Parser, of_host: _Parser) -> None:
    """The options of `audit` and `audit export`."""
    audit = commands.add_parser(
        "audit", parents=[after, of_host], help="writes without an outcome, and how to settle them; or `audit export`"
    )
    audit.add_argument(
        "path",
        nargs="?",
        type=Path,
        metavar="PATH",
        help="a state directory or an audit file; else KUSTOM_STATE_DIR. The word export: the whole journal, on stdout",
    )
    audit.add_argument("--from", dest="first", type=_day, metavar="DATE", help="of the export: first day, UTC")
    audit.add_argument("--to", dest="last", type=_day, metavar="DATE", help="of the export: last day, UTC")
    audit.add_argument("--format", choices=("csv", "jsonl"), help="of the export: csv (default) or jsonl, JSON lines")


def _tell_export(parser: _Parser, given: Namespace) -> None:
    """Tell `audit export` from `audit PATH`."""
    given.export = given.path == Path("export")
    if given.export:
        given.path = None
    elif given.first or given.last or given.format:
        parser.error("--from, --to and --format are for audit export")


def _toml_list(given: str | None) -> str:
    return json.dumps([item.strip() for item in given.split(",")]) if given else ""


def _add_people(commands: Any, after: _Parser) -> None:
    """The options of `people`."""
    people = commands.add_parser("people", parents=[after], help="who may call `serve --http` (KUSTOM_PEOPLE_FILE)")
    actions = people.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=_Parser)
    add = actions.add_parser("add", parents=[after], help="add a person and print their token, once")
    add.add_argument("name", type=_name, metavar="NAME", help="a person who is there gets a second token")
    add.add_argument("--may", metavar="RIGHTS", help="comma list of read, write and customers, default read")
    add.add_argument("--shops", metavar="NAMES", help="comma list of shops, default all")
    add.add_argument("--max-amount", metavar="AMOUNTS", help="most of one write in minor units, like SEK:200000")
    add.add_argument("--expires", type=_day, metavar="DATE", help="last day of the token, like 2027-06-30")
    actions.add_parser("list", parents=[after], help="the people and their rights")
    remove = actions.add_parser("remove", parents=[after], help="take a person out")
    remove.add_argument("name", type=_name, metavar="NAME")
    remove.add_argument("--older", action="store_true", help="end only the older of two tokens")


def _order_id(text: str) -> str:
    from kustom_mcp.api import identifiers

    try:
        return identifiers.order_id(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise ArgumentTypeError("the date is like 2027-06-30") from None


def _install(commands: Any, after: _Parser) -> None:
    """The options of `install`."""
    install = commands.add_parser("install", parents=[after], help="put this server into a host")
    install.add_argument("host", choices=HOSTS, metavar="HOST", help=", ".join(HOSTS))
    install.add_argument(
        "--name",
        type=_name,
        default=NAME,
        metavar="NAME",
        help=f"name of the entry, default {NAME}: one more has another",
    )
    install.add_argument(
        "--shops", metavar="FILE", help="several shops: the path of their file, or sandbox for three that are built in"
    )
    install.add_argument("--remove", action="store_true", help="take it out of the host again")
    install.add_argument(
        "--yes", action="store_true", help="do not ask before writing; a key in use is still asked about"
    )
    install.add_argument(
        "--replace-key", action="store_true", help="replace the key that the entry uses, and do not ask"
    )


def _of_host() -> _Parser:
    """The options of the commands that can work with a host's settings."""
    parser = _Parser(add_help=False)
    hosts = ", ".join(HOSTS)
    parser.add_argument(
        "--host", dest="of_host", choices=HOSTS, default=SUPPRESS, metavar="HOST",
        help=f"with the settings that a host was given: {hosts}",
    )  # fmt: skip
    name = f"with --host: the entry's name, default {NAME}"
    parser.add_argument("--name", dest="entry", type=_name, default=SUPPRESS, metavar="NAME", help=name)
    parser.add_argument(
        "--shop", default=SUPPRESS, metavar="NAME", help="the shop that this is about, where there are several"
    )
    return parser


def parse(argv: Sequence[str]) -> Namespace:
    """The command that the arguments name, and its options. SystemExit with code 2 for wrong ones, 0 after --help."""
    common = _Parser(add_help=False)
    common.add_argument(
        "--env-file", type=Path, default=None, metavar="PATH", help="read settings from this file where unset"
    )
    parser = _Parser(
        prog=program.shown(),
        description="MCP server for Kustom Checkout order management. Without a command it serves MCP over stdio.",
        parents=[common],
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    # Subcommands take --env-file too; SUPPRESS keeps one that stood before the command.
    after = _Parser(add_help=False)
    after.add_argument("--env-file", type=Path, default=SUPPRESS, metavar="PATH", help="settings file")
    serve = commands.add_parser("serve", parents=[after], help="serve MCP over stdio: what a host spawns")
    serve.add_argument("--http", action="store_true", help="over Streamable HTTP instead, at /mcp")
    serve.add_argument("--host", default=None, help="with --http: address to listen on, default 127.0.0.1")
    serve.add_argument("--port", type=_port, default=None, help="with --http: port, default 8080, 0 for any")
    demo = commands.add_parser("demo", parents=[after], help="a guided tour against the embedded sandbox")
    demo.add_argument("--scene", type=_scene, default=None, metavar="N", help=f"one scene of it, 1 to {SCENES}")
    demo.add_argument("--shops", action="store_true", help="the tour of three shops, each in its own currency, instead")
    demo.add_argument("--card", action="store_true", help="the cards of the demo orders instead, in a browser")
    simulate = commands.add_parser("simulate", parents=[after], help="the sandbox alone, as an HTTP server on loopback")
    simulate.add_argument("--port", type=_port, default=8090, help="port, default 8090, 0 for any")
    simulate.add_argument("--hooks", default=None, metavar="URL", help="send webhooks to this http URL on loopback")
    simulate.add_argument(
        "--assume",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="assume something else of Kustom, such as keys=forgotten; or the report of check --playground",
    )
    for sandboxed in (serve, simulate):
        sandboxed.add_argument(
            "--orders", type=_orders, default=0, metavar="N", help="in the sandbox: so many more invented orders"
        )
    of_host = _of_host()
    check = commands.add_parser("check", parents=[after, of_host], help="try the settings and the credentials")
    check.add_argument(
        "--playground",
        metavar="ORDER_ID",
        help="try on a throw-away test order what the sandbox only assumes of Kustom",
    )
    check.add_argument("--port", type=_port, default=8080, help="with --playground: port for webhooks, default 8080")
    tools = commands.add_parser("tools", parents=[after], help="the catalogue of tools")
    tools.add_argument("--json", action="store_true", help="as `tools/list` gives them")
    _install(commands, after)
    _add_audit(commands, after, of_host)
    resolve = commands.add_parser(
        "resolve", parents=[after, of_host], help="find out what became of writes in doubt, or close them by hand"
    )
    resolve.add_argument("order_id", nargs="?", type=_order_id, metavar="ORDER_ID", help="one order; else all")
    resolve.add_argument(
        "--as", dest="how", choices=("done", "not-done"), default=None, help="close by hand, after a look at the portal"
    )
    resolve.add_argument("--reason", default=None, metavar="TEXT", help="with --as: why, for the journal")
    book.add(commands, _Parser, after, of_host)
    _add_people(commands, after)
    shops = commands.add_parser(
        "shops", parents=[after], help="the shops of KUSTOM_SHOPS_FILE, and whether each can be used"
    )
    shops.set_defaults(action=None)
    of_shops = shops.add_subparsers(dest="action", metavar="ACTION", parser_class=_Parser)
    add_shop = of_shops.add_parser("add", parents=[after], help="ask for a shop, try its key, and write both down")
    add_shop.add_argument("name", type=_name, metavar="NAME", help="up to 32 letters a to z, digits and hyphens")
    given, unknown = parser.parse_known_args(argv)
    if unknown:
        getattr(given, "parser", parser).error(f"unrecognized arguments: {' '.join(unknown)}")
    if given.command == "serve" and not given.http and (given.host is not None or given.port is not None):
        parser.error("--host and --port are for serve --http")
    if given.command == "demo" and (given.card or given.shops) and given.scene is not None:
        parser.error("--scene is for the usual tour, without --card and --shops")
    if given.command == "demo" and given.card and given.shops:
        parser.error("give either --card or --shops")
    if given.command == "audit":
        _tell_export(parser, given)
    if getattr(given, "path", None) is not None and hasattr(given, "of_host"):
        parser.error("give either a path or --host")
    return given


def _port(text: str) -> int:
    number = int(text) if text.isascii() and text.isdecimal() else -1
    if not 0 <= number <= 65535:
        raise ArgumentTypeError("the port is a number from 0 to 65535")
    return number


def _scene(text: str) -> int:
    number = int(text) if text.isascii() and text.isdecimal() else 0
    if not 1 <= number <= SCENES:
        raise ArgumentTypeError(f"the scene is a number from 1 to {SCENES}")
    return number


def _orders(text: str) -> int:
    number = int(text) if text.isascii() and text.isdecimal() else -1
    if not 0 <= number <= 10_000:
        raise ArgumentTypeError("the number of orders is from 0 to 10000")
    return number


def _name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", text):
        raise ArgumentTypeError("the name is up to 32 lower-case letters (a to z), digits and hyphens, no hyphen first")
    return text


def _version() -> str:
    from kustom_mcp import __version__

    return f"kustom-mcp {__version__}"
