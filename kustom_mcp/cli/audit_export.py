"""`kustom-mcp audit export`: the journal of this account as CSV or JSON lines on stdout, oldest first.

Amounts are minor units; in CSV a column says them as people write them. The file may be opened in a spreadsheet, so a
text that a person typed never begins a formula there. All else, the account and the number of writes too, is on stderr.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TextIO, cast

from kustom_mcp.app.app import App
from kustom_mcp.calls.activity import COLUMNS, record
from kustom_mcp.money import show
from kustom_mcp.schema.result import Json
from kustom_mcp.settings.settings import Settings
from kustom_mcp.state.audit_log import AuditUnavailable
from kustom_mcp.state.intents import Intent, Intents

if TYPE_CHECKING:
    from io import TextIOWrapper

    from kustom_mcp.settings.shops_file import ShopsFile

CSV = "csv"
SHOP = "shop"
UNREAD = 1
PAGE = 500
_SHOWN = "amount_shown"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def run(settings: Settings, first: str | None, last: str | None, form: str) -> int:
    """Print the writes that were sent from the day `first` to the day `last`, both included, in UTC.

    1: the journal cannot be read, so what was printed is not all.
    """
    app = App.of(settings)
    try:
        return _print(app.intents, lambda: app.intents.own_names(app.account), record, first, last, form)
    finally:
        app.records.close()


def run_shops(
    file: ShopsFile, settings: Settings, name: str | None, first: str | None, last: str | None, form: str
) -> int:
    """As `run`, for all shops or the one that is named, those too that the file does not have any more. In CSV a column
    names the shop by its title. ConfigError."""
    from kustom_mcp.cli.shop_writes import shop_records, unknown_shop

    with shop_records(file, settings) as records:

        def of_shop(intent: Intent) -> dict[str, Json] | None:
            shop = records.shop_of(intent)
            if shop is None or not (name is None or shop.is_called(name)):
                return None
            return {**record(intent), SHOP: shop.title}

        with suppress(AuditUnavailable):  # it is told below
            if name is not None and not records.has(name):
                others = (records.shop_of(intent) for intent in _intents(records.intents, records.intents.names()))
                if not any(shop.is_called(name) for shop in others if shop is not None):
                    raise unknown_shop(name, records.names)
        return _print(records.intents, records.intents.names, of_shop, first, last, form, shops=True)


def _print(
    intents: Intents,
    names: Callable[[], Sequence[str]],
    told_of: Callable[[Intent], dict[str, Json] | None],
    first: str | None,
    last: str | None,
    form: str,
    *,
    shops: bool = False,
) -> int:
    """Print the records of accounts, as far as `told_of` gives one. Returns the exit code."""
    count = 0
    try:
        write = _csv(shops=shops) if form == CSV else _json_line
        for intent in _intents(intents, names(), _midnight(first), _midnight(last, days=1)):
            told = told_of(intent)
            if told is not None:
                write(told)
                count += 1
    except AuditUnavailable as error:
        problem = f"The journal in {intents.place} cannot be read ({error.why})."
        part = f"Of its writes {count} were exported, and these are not all."
        print(f"kustom-mcp: audit export: {problem} {part}", file=sys.stderr)
        return UNREAD
    print(f"{count} {'write' if count == 1 else 'writes'} exported.", file=sys.stderr)
    return 0


def _intents(
    intents: Intents, names: Sequence[str], since: float | None = None, before: float | None = None
) -> Iterator[Intent]:
    place: tuple[float, str] | None = None
    while True:
        page = intents.journal(names, since=since, before=before, after=place, most=PAGE, oldest_first=True)
        yield from page
        if len(page) < PAGE:
            return
        place = page[-1].at, page[-1].key


def _midnight(day: str | None, days: int = 0) -> float | None:
    if day is None:
        return None
    return (datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=days)).timestamp()


def _json_line(told: Mapping[str, Any]) -> None:
    print(json.dumps(told, separators=(",", ":")))


def _csv(*, shops: bool) -> Any:
    """Print the names of the columns. Returns the function that prints a record. `shops`: whether one is the shop."""
    out: TextIO = sys.stdout
    if hasattr(out, "reconfigure"):
        cast("TextIOWrapper", out).reconfigure(encoding="utf-8", newline="")
    names = list(COLUMNS)
    names.insert(names.index("amount") + 1, _SHOWN)
    if shops:
        names.insert(names.index("account") + 1, SHOP)
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)

    def write(told: Mapping[str, Any]) -> None:
        amount = show(told["amount"], told["currency"]) if "amount" in told and "currency" in told else ""
        writer.writerow(_cell({**told, _SHOWN: amount}.get(name, "")) for name in names)

    return write


def _cell(value: Any) -> Any:
    """A value in one cell: lines as "1x2" for two of line 1, before and after as "refunded_amount: 5000"."""
    if isinstance(value, dict):
        return "; ".join(f"{name}: {part}" for name, part in cast("dict[str, Any]", value).items())
    if isinstance(value, list):
        return " ".join(_line(line) for line in cast("list[dict[str, Any]]", value))
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value


def _line(line: Mapping[str, Any]) -> str:
    price = f"@{line['unit_price']}" if "unit_price" in line else ""
    quantity = f"x{line['quantity']}" if "quantity" in line else ""
    return f"{line.get('line')}{quantity}{price}"
