"""`kustom-mcp book forget`: remove orders from the book and from its file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from kustom_mcp.api import identifiers
from kustom_mcp.app.app import App
from kustom_mcp.book import writing
from kustom_mcp.book.database import BookTransaction
from kustom_mcp.book.people import NOBODY, KeyLost, Sought
from kustom_mcp.book.query import Query
from kustom_mcp.book.search import Search
from kustom_mcp.cli.book.runner import NOT_ALL, note, patiently, result
from kustom_mcp.cli.person import agrees
from kustom_mcp.settings.settings import ConfigError
from kustom_mcp.state.threads import in_thread


class Selection(NamedTuple):
    """The orders to forget: ids, a time of creation (unix milliseconds), a person, or all. `yes`: without asking."""

    order_ids: tuple[str, ...]
    before: int | None
    everything: bool
    yes: bool
    person: Sought = NOBODY


async def forget(app: App, selection: Selection, say: Callable[[str], None] = result) -> int:
    """Remove orders; 1 where a named one is not there, some may be the person's unknown to the book, or the answer was
    no. ConfigError, BookUnavailable."""
    order_ids = {_order_id(text) for text in selection.order_ids}
    if selection.before is not None and selection.before > app.wall() * 1000:
        raise ConfigError("--before", "It is in the future, and would take out every order: --all does that.")
    digests = await _digests(app, selection.person) if selection.person.given else []
    if not await app.book.exists():
        say("The book has no orders, so nothing was forgotten.")
        return NOT_ALL if order_ids else 0
    if selection.everything and not selection.yes and not await _agreed(app):
        say("Nothing was forgotten.")
        return NOT_ALL

    def work(tx: BookTransaction, account: int) -> tuple[writing.Forgotten, int]:
        if not digests:
            return _taken_out(app, tx, account, selection, order_ids), 0
        unknown = Search(tx, account, Query(), None).known(0).without_people
        return writing.forget(tx, account, writing.of_person(tx, account, digests)), unknown

    gone, unknown = await patiently(lambda: app.book.change(work))
    tidy = not any(gone) or await app.book.tidy()
    missing = len(order_ids) - sum(gone) if order_ids else 0
    say(_said(gone, missing, unknown))
    if digests and gone.orders:
        note("Kustom still has what was forgotten: an order that is read or announced again is kept again")
    if not tidy and app.store is not None:
        note("PostgreSQL removes them from its files with its next VACUUM of the tables kustom_mcp.book*")
    elif not tidy:
        note("another process is busy with the book: run this again, so that nothing of them stays in its files")
    return NOT_ALL if missing or unknown else 0


def _taken_out(
    app: App, tx: BookTransaction, account: int, selection: Selection, order_ids: Iterable[str]
) -> writing.Forgotten:
    if selection.everything:
        app.book.people.begin_anew()
        return writing.forget_all(tx, account)
    if selection.before is not None:
        return writing.forget_before(tx, account, selection.before)
    return writing.forget(tx, account, order_ids)


def _said(gone: writing.Forgotten, missing: int, unknown: int) -> str:
    """Say what was forgotten. `missing`: orders that were named and are not there; `unknown`: without people."""
    told = [f"Forgot {gone.orders:,} order{'' if gone.orders == 1 else 's'}"]
    if gone.hints:
        told[0] += f" and {gone.hints:,} that {_were(gone.hints)} announced and not read yet"
    if missing:
        told.append(f"{missing:,} {_were(missing)} not in the book")
    if unknown:
        told.append(f"{unknown:,} {_were(unknown)} kept without people, so it is not known whose: give their ids")
    return f"{'; '.join(told)}."


async def _digests(app: App, person: Sought) -> list[list[int]]:
    """Return the digests of a person. ConfigError where none are kept, or it cannot be one."""
    people = app.book.people
    if not people.on:
        raise ConfigError(
            "KUSTOM_BOOK_PEOPLE",
            "It is off, so nobody's orders can be told. Digests that were kept while it was on are still there: set it "
            "to on for this command, or give order ids, or --all.",
        )
    await patiently(lambda: app.book.ask(lambda tx, account: None))
    try:
        return people.sought(person)
    except KeyLost:
        raise ConfigError(
            "--email", "The key with which people were kept is missing: only --all forgets them."
        ) from None
    except ValueError as error:
        field = str(error)
    raise ConfigError(f"--{field}", "It is no e-mail address." if field == "email" else "It is no phone number.")


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _order_id(text: str) -> str:
    try:
        return identifiers.order_id(text.strip())
    except identifiers.IdentifierError as error:
        problem = str(error).partition(". ")[0]
    raise ConfigError("ORDER_ID", f"{problem[:1].upper()}{problem[1:]}.")


async def _agreed(app: App) -> bool:
    place, account = app.book.place, app.account.title
    answer = await in_thread(lambda: agrees(f"Forget all orders of {account} in {place}? [y/N] "))
    if answer is None:
        raise ConfigError("--all", "Nobody can be asked here: add --yes.")
    return answer
