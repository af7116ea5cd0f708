"""`kustom-mcp audit`: the writes that were sent and have no outcome yet, and how to resolve each.

Each is a small file in the state directory, or a row of the store that replicas share, which goes with the outcome;
what is left was cut off by the end of its process, or by an answer that never came. An audit file can be read instead:
an intent in it without an outcome. Ids, amounts and times only: nobody's name or address is in these records, and
nothing from them is printed uncleaned.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kustom_mcp.app.app import App, shared_store
from kustom_mcp.book import BookUnavailable
from kustom_mcp.calls.confirmation import RESOLVING_SECONDS
from kustom_mcp.cli.program import shown
from kustom_mcp.money import show
from kustom_mcp.settings.settings import ConfigError, Settings
from kustom_mcp.state.audit_log import AuditUnavailable
from kustom_mcp.state.database import Store, StoreBusy, StoreUnavailable, StoreUnfit
from kustom_mcp.state.intents import Intent, Intents
from kustom_mcp.state.spending_limits import LimitsBusy, LimitsUnavailable
from kustom_mcp.text import clean

if TYPE_CHECKING:
    from kustom_mcp.cli.shop_writes import ShopOf
    from kustom_mcp.settings.shops_file import ShopsFile

FOUND, USAGE = 1, 2
RUNNING = 120  # seconds in which it may simply be under way
NAMED_AT_START = 20
IN_THE_STORE = "The store (KUSTOM_STORE)"
STORE = "store.sqlite3"
PARTS = (STORE, "audit", "intents", "applied", "limits")
AMOUNTS = ("refunded_amount", "captured_amount", "order_amount")

LOOK = "look at the order, in the Kustom portal or with kustom_get_order"
REPEAT = (
    "Repeat the same call with the same arguments, and with its code as confirm if its answer gave one. "
    "The server looks at the order first and does it at most once."
)


@dataclass(frozen=True)
class Open:
    """One write without an outcome. `what`: the head of its code, or its amount. Times are unix seconds, 0: unknown.

    `server`: environment and merchant, and `account`: the name of theirs, "" where an earlier version wrote it.
    `traced`: whether the order shows the effect. `record`: how its record is called, None in an audit file. `shop`: its
    shop, of several.
    """

    tool: str
    order: str
    what: str
    sent: float
    expires: float
    traced: bool
    record: str | None
    server: str = ""
    account: str = ""
    shop: ShopOf | None = None

    @property
    def of_shop(self) -> list[str]:
        """The words that name its shop to a command."""
        return ["--shop", self.shop.name] if self.shop else []

    def advice(self, now: float) -> str:
        """The way to resolve it, in words."""
        end = f" Then close it: {shown('resolve', *self.of_shop)}." if self.record else ""
        if self.shop is not None and self.shop.shop is None:
            return (
                "KUSTOM_SHOPS_FILE does not have its shop now, so nobody looks at the order: put the shop back, or "
                f"look in the Kustom portal and close it: {closing(self)}."
            )
        if not self.tool:
            return f"This record cannot be read. The audit lines of its time name the order: {LOOK}.{end}"
        if not self.traced:
            return f"The API does not show whether this happened: look at the order in the Kustom portal.{end}"
        if self.expires <= now:
            return f"This is too old to be settled by a repeat: {LOOK}.{end}"
        wait = "It may still be running: look again in two minutes. " if now - self.sent < RUNNING else ""
        return f"{wait}{REPEAT} This works until {_when(self.expires)}."


def closing(one: Open) -> str:
    """The command that closes a write by hand."""
    return shown("resolve", one.order, *one.of_shop, "--as", "done", "--reason", "TEXT") + " (or --as not-done)"


def run_shops(file: ShopsFile, settings: Settings, name: str | None) -> int:
    """Print what is open in all shops, or in one, also in those that the file does not have any more.

    0: nothing; 1: something is open, or cannot be read. ConfigError.
    """
    from kustom_mcp.cli.shop_writes import shop_records

    with shop_records(file, settings) as records:
        try:
            found = [_of_intent(intent, "the store", shop) for intent, shop in records.chosen(name)]
        except AuditUnavailable:
            print("The records of open writes cannot be read, so nobody can say what is open.")
            return FOUND
    _report(f"the shop {name}" if name else "any shop", found, 0, time.time(), in_file=False)
    return FOUND if found else 0


def without_shop_at_start(file: ShopsFile, settings: Settings) -> None:
    """Name on stderr the writes without an outcome whose shop was taken out of the shops file, a line each."""
    from kustom_mcp.cli.shop_writes import shop_records

    with shop_records(file, settings) as records, suppress(AuditUnavailable):  # told for the shops that are there
        _name([_of_intent(intent, "a record", shop) for intent, shop in records.without_shop()])


def without_shop(file: ShopsFile, settings: Settings) -> list[str]:
    """Sentences about the writes without an outcome whose shop was taken out of the shops file. AuditUnavailable."""
    from kustom_mcp.cli.shop_writes import shop_records

    with shop_records(file, settings) as records:
        found = [_of_intent(intent, "a record", shop) for intent, shop in records.without_shop()]
    told = [f"No outcome yet: {_in_words(one)} See {shown('audit', *one.of_shop)}." for one in found[:NAMED_AT_START]]
    return told + ([f"And {len(found) - NAMED_AT_START} more."] if len(found) > NAMED_AT_START else [])


def run(path: Path | None, settings: Settings | None = None, *, now: float | None = None) -> int:
    """Print what is open in `path`, a state directory or an audit file, or else where the settings keep it.

    0: nothing; 1: something is open, or cannot be read; 2: there is no such place. ConfigError.
    """
    now = time.time() if now is None else now
    shared = shared_store(settings) if settings and path is None else None
    place = path or (settings.state_path if settings else None)
    if place is None and shared is None:
        print("The embedded sandbox keeps its records in memory, so nothing is open. KUSTOM_STATE_DIR is not set.")
        return 0
    if path is not None and not path.exists():
        return _no_such_place("There is no such file or directory.")
    if path is not None and path.is_dir() and not any((path / part).exists() for part in PARTS):
        return _no_such_place(f"This is no state directory: it has none of {', '.join(PARTS)}.")
    name = IN_THE_STORE if shared else str(place)
    in_file = not shared and place is not None and place.is_file()
    try:
        if in_file:
            found, unread = _in_file(cast("Path", place))
        else:
            records = shared or Store.file(cast("Path", place) / STORE)
            found, unread = _all_open(Intents(records, state=None if shared else place), None if shared else place), 0
    except (AuditUnavailable, OSError):
        print(f"{name} cannot be read, so nobody can say what is open.")
        return FOUND
    finally:
        if shared:
            shared.close()
    _report(name, found, unread, now, in_file=in_file)
    return FOUND if found or unread else 0


def name_at_start(app: App) -> None:
    """Name what this server has left open on stderr, a line each. It starts whatever it finds, and without a store.

    ConfigError for a store that answers, but cannot be used by this version or this account.
    """
    try:
        if app.store is not None or not app.intents.none_kept():
            app.records.writable()
        found = _all_open(app.intents, None if app.store else app.settings.state_path)
    except StoreUnfit as error:
        problem = str(error)
    except (AuditUnavailable, StoreUnavailable, StoreBusy):
        what = "the store (KUSTOM_STORE)" if app.store else "the records of open writes"
        print(f"kustom-mcp: {what} cannot be read, so no writes will be sent", file=sys.stderr)
        return None
    else:
        mine = [one for one in found if one.account in ("", app.account.name) or app.account.was_named(one.account)]
        return _name(mine, app.shop.name if app.shop else "")
    raise ConfigError("KUSTOM_STORE" if app.store is not None else "KUSTOM_STATE_DIR", problem)


def shared_at_start(app: App) -> None:
    """Say on stderr that an earlier version left records that may be this merchant's or another's."""
    account = app.account
    if not account.shared:
        return
    looks: dict[str, Callable[[], int]] = {
        "writes without an outcome": lambda: sum(
            account.may_have_been_named(one.account) for one in app.intents.unresolved()
        ),
        "reservations of daily ceilings": lambda: app.limits.count_shared(account),
        "orders in the order book": lambda: app.book.count_shared(account),
    }
    found: list[str] = []
    with suppress(AuditUnavailable, LimitsBusy, LimitsUnavailable, BookUnavailable):  # who needs it will complain
        for what, look in looks.items():
            found += [f"{what}: {count:,}"] if (count := look()) else []
    if found:
        print(
            "kustom-mcp: an earlier version kept this where KUSTOM_USERNAME did not tell merchants apart "
            f"({', '.join(found)}). It may be another merchant's, so it was left there: book and ceilings of this one "
            "begin anew. A write without an outcome is looked for when its call is repeated, and listed by "
            f"{shown('audit')}",
            file=sys.stderr,
        )


def ceilings_at_start(app: App) -> None:
    """Say on stderr in which currencies of the order book nothing may move, because a ceiling does not name them."""
    given = {"KUSTOM_MAX_AMOUNT": app.settings.max_amount, "KUSTOM_MAX_DAILY": app.settings.max_daily}
    closed = {name: ceilings for name, ceilings in given.items() if ceilings is not None and ceilings.others is None}
    if not closed or app.settings.writes == "deny":
        return
    known: set[str] = set()
    with suppress(BookUnavailable):  # the search will complain
        known = app.book.currencies()
    for name, ceilings in closed.items():
        unnamed = sorted(known - set(ceilings.by_currency))
        if unnamed:
            print(
                f"kustom-mcp: {name} does not name {', '.join(unnamed)}, a currency of orders in the order book: its "
                f"ceiling there is 0. Add {unnamed[0]}:AMOUNT in minor units, or *:AMOUNT for every other currency",
                file=sys.stderr,
            )


def _name(found: list[Open], shop: str = "") -> None:
    """Name writes on stderr, those of a shop of several with its name."""
    for one in found[:NAMED_AT_START]:
        words = ["--shop", shop] if shop else one.of_shop
        of_shop = f" in the shop {shop}," if shop else ""
        print(f"kustom-mcp: no outcome yet: {_in_words(one)}{of_shop} see {shown('audit', *words)}", file=sys.stderr)
    if len(found) > NAMED_AT_START:
        print(f"kustom-mcp: and {len(found) - NAMED_AT_START} more writes without an outcome", file=sys.stderr)


def _in_words(one: Open) -> str:
    """A write in a sentence that goes on; with its shop, where that is none of the file."""
    said = f"{one.tool} {one.what} of order {one.order}, sent {_when(one.sent)}," if one.tool else str(one.record)
    return said if one.shop is None else f"{said} in a shop that is not in KUSTOM_SHOPS_FILE now: {one.shop.words}."


def _no_such_place(sentence: str) -> int:
    print(f"kustom-mcp: audit: {sentence} Give a state directory or an audit file.", file=sys.stderr)
    return USAGE


def _report(place: str, found: list[Open], unread: int, now: float, *, in_file: bool) -> None:
    if unread:
        print(f"{unread} {'line of this file' if unread == 1 else 'lines of this file'} cannot be read.")
    if not found:
        print(f"No write is without an outcome in {place}.")
        return
    some = "1 write has" if len(found) == 1 else f"{len(found)} writes have"
    print(f"{some} no outcome: it was sent, and nobody knows yet whether it happened.")
    if in_file:
        print("Another process may have settled it since, in its own file: the state directory says what is open now.")
    for one in found:
        print()
        print(one.what or "A record that cannot be read")
        if one.tool:
            print(f"  tool       {one.tool}\n  order      {one.order}\n  sent       {_when(one.sent)}")
        if one.shop:
            there = "" if one.shop.shop else ", not in KUSTOM_SHOPS_FILE now"
            title = f" ({one.shop.title})" if one.shop.title != one.shop.name else ""
            print(f"  shop       {one.shop.name}{title}{there}")
        if one.server:
            print(f"  server     {one.server}")
        print(f"  to settle  {one.advice(now)}")


def _all_open(intents: Intents, state: Path | None) -> list[Open]:
    """The open intents, of a state directory or of the store; oldest first. AuditUnavailable."""
    where = str(state / STORE) if state else "the store"
    return [_of_intent(one, f"the intent {clean(one.key, 100)} in {where}") for one in intents.unresolved()]


def _in_file(path: Path) -> tuple[list[Open], int]:
    """The intents of an audit file without an outcome, and how many lines cannot be read. OSError."""
    opened: dict[str, list[Open]] = {}
    unread = 0
    with path.open(encoding="utf-8", errors="replace") as lines:
        for text in lines:
            line = _parsed(text)
            key = _text(line, "key")
            if not line:
                unread += bool(text.strip())
            elif line.get("event") == "intent":
                opened.setdefault(key, []).append(_of_line(line))
            elif line.get("event") == "withdrawn" and opened.get(key):  # its record failed, so it did not leave
                opened[key].pop()
            elif line.get("event") == "outcome" and line.get("outcome") != "unknown":
                opened.pop(key, None)
    return [sent[-1] for sent in opened.values() if sent], unread


def _of_intent(intent: Intent, record: str, shop: ShopOf | None = None) -> Open:
    content = intent.content
    if not intent.tool:
        return Open("", "", "", 0, 0, False, record, _server(content), intent.account, shop)
    return Open(
        tool=clean(intent.tool, 100),
        order=clean(intent.order_id, 100),
        what=_text(content, "head") or _amount(_arguments(content)),
        sent=intent.sent,
        expires=intent.sent + RESOLVING_SECONDS,
        traced=bool(_text(content, "after").strip("0")),
        record=record,
        server=_server(content),
        account=intent.account,
        shop=shop,
    )


def _of_line(line: Mapping[str, Any]) -> Open:
    sent = _time(line.get("time"))
    return Open(
        tool=_text(line, "tool") or "a tool without a name",
        order=_text(_arguments(line), "order_id"),
        what=_amount(_arguments(line)),
        sent=sent,
        expires=sent + RESOLVING_SECONDS,
        traced=True,
        record=None,
    )


def _server(record: Mapping[str, Any]) -> str:
    """Whose intent it is, from its record or from settings."""
    environment, merchant = _text(record, "environment"), _text(record, "merchant")
    return f"{environment}, merchant {merchant}" if merchant else environment


def _amount(arguments: Mapping[str, Any]) -> str:
    """The amount of a call whose code has no head here."""
    given = (arguments.get(name) for name in AMOUNTS)
    amount = next((value for value in given if isinstance(value, int)), None)
    return "A write" if amount is None else f"A write of {show(amount, _text(arguments, 'currency'))}"


def _parsed(text: str) -> dict[str, Any]:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _arguments(record: Mapping[str, Any]) -> Mapping[str, Any]:
    value = record.get("arguments")
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    return clean(value, 100) if isinstance(value, str) else ""


def _time(value: object) -> float:
    try:
        return datetime.fromisoformat(str(value)).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _when(seconds: float) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC" if seconds else "at an unknown time"
    except (ValueError, OverflowError, OSError):
        return "at an unknown time"
