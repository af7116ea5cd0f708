"""The command line of `kustom-mcp book`: the arguments of each command, and the module that carries it out."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from kustom_mcp.schema.dates import period_start
from kustom_mcp.settings.settings import ConfigError, Settings

FRESH_FOR = 24 * 3600
STALE_AFTER = 3600
FASTEST = 20
FIRST_YEAR, LAST_YEAR = 2000, 2100


def add(commands: Any, parser: type[ArgumentParser], *shared: ArgumentParser) -> None:
    """Add `book` to the commands. `shared`: the options that all of them take."""
    book: ArgumentParser = commands.add_parser(
        "book", parents=[*shared], help="the order book: import, sync, status, forget"
    )
    parts = book.add_subparsers(dest="part", metavar="import|sync|status|forget", required=True, parser_class=parser)

    def part(name: str, help: str) -> ArgumentParser:
        made: ArgumentParser = parts.add_parser(name, parents=[*shared], help=help)
        made.set_defaults(parser=made)  # who says what is wrong with further arguments
        return made

    into = part("import", "read the orders that a CSV or Excel export names, and keep them")
    into.add_argument("file", type=Path, metavar="FILE", help="a CSV file, or an Excel file (.xlsx)")
    into.add_argument("--column", metavar="NAME", help="header, number or letter of the column with the order ids")
    into.add_argument("--sheet", metavar="NAME", help="sheet of an Excel file")
    _age(into, FRESH_FOR, "orders that were read within so many seconds are not read again, default a day")
    into.add_argument("--restart", action="store_true", help="begin at the first line, whatever was done before")
    into.add_argument(
        "--complete-from",
        type=_moment,
        metavar="DATE",
        help="the file has every order created since this date or time: `complete_since` begins there",
    )
    into.add_argument(
        "--not-kustom",
        action="append",
        default=[],
        metavar="METHOD",
        help="a payment method in the file that is not Kustom's; may be repeated",
    )
    sync = part("sync", "read again the open orders that were read too long ago, and what was only announced")
    _age(sync, STALE_AFTER, "read again what was read before so many seconds, default an hour")
    sync.add_argument(
        "--settlements-from", type=_moment, metavar="DATE", help="read the orders that were paid out since then, too"
    )
    for reading in (into, sync):
        reading.add_argument(
            "--rate", type=_rate, default=5, metavar="N", help=f"orders read a second, 1 to {FASTEST}, default 5"
        )
    status = part("status", "how many orders there are, of which kinds, and how old the knowledge is")
    _age(status, STALE_AFTER, "what was read before so many seconds counts as stale, default an hour")
    status.add_argument("--json", action="store_true", help="as JSON")
    forget = part("forget", "take orders out, for good")
    forget.add_argument("order_ids", nargs="*", metavar="ORDER_ID", help="an order id, or a link to it in the portal")
    forget.add_argument("--before", type=_moment, metavar="DATE", help="what was created before this date or time")
    forget.add_argument("--email", metavar="ADDRESS", help="the orders of whoever has it (KUSTOM_BOOK_PEOPLE)")
    forget.add_argument("--phone", metavar="NUMBER", help="the orders of whoever has it (KUSTOM_BOOK_PEOPLE)")
    forget.add_argument("--all", action="store_true", help="every order of this account")
    forget.add_argument("--yes", action="store_true", help="with --all: do not ask")


def run(given: Namespace, settings: Settings, telemetry: Mapping[str, str], timezone: str) -> int:
    """Run the command; its exit code. `timezone`: that of the shop, which dates are of. ConfigError."""
    from kustom_mcp.cli.book.runner import run_with_app

    zone = ZoneInfo(timezone)
    if given.part == "import":
        from kustom_mcp.cli.book.import_file import Options, import_file

        options = Options(
            given.file,
            given.column,
            given.sheet,
            given.max_age,
            given.rate,
            given.restart,
            complete_from=period_start(given.complete_from, zone),
            not_kustom=tuple(given.not_kustom),
        )
        return run_with_app(settings, telemetry, lambda app: import_file(app, options))
    if given.part == "sync":
        from kustom_mcp.cli.book.sync import sync

        since = period_start(given.settlements_from, zone)
        return run_with_app(settings, telemetry, lambda app: sync(app, given.max_age, given.rate, since))
    if given.part == "status":
        from kustom_mcp.cli.book.status import report

        return run_with_app(settings, telemetry, lambda app: report(app, given.max_age, as_json=given.json))
    from kustom_mcp.book.people import Sought
    from kustom_mcp.cli.book.forget import Selection, forget

    person = Sought(email=given.email, phone=given.phone)
    if (bool(given.order_ids), given.before is not None, person.given, given.all).count(True) != 1:
        raise ConfigError("book forget", "Give either order ids, --before DATE, --email and --phone, or --all.")
    before = period_start(given.before, zone)
    selection = Selection(tuple(given.order_ids), before, given.all, given.yes, person)
    return run_with_app(settings, telemetry, lambda app: forget(app, selection))


def _age(parser: ArgumentParser, default: int, help: str) -> None:
    parser.add_argument("--max-age", type=_seconds, default=default, metavar="SECONDS", help=help)


def _seconds(text: str) -> int:
    return _whole(text, 0, 10**8, "an age is a number of seconds")


def _rate(text: str) -> int:
    return _whole(text, 1, FASTEST, f"the rate is a number from 1 to {FASTEST}")


def _whole(text: str, least: int, most: int, sentence: str) -> int:
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else -1
    if not least <= number <= most:
        raise ArgumentTypeError(sentence)
    return number


def _moment(text: str) -> str:
    """Check a date or time. Which time it is, the time zone of the shop decides."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ArgumentTypeError(
            f"a date is like 2026-01-31, a time like 2026-01-31T12:00:00Z, from {FIRST_YEAR} to {LAST_YEAR}"
        )
    return text
