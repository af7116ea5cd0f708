"""Another process that writes to the same book, as another server of this machine or another replica would."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from kustom_mcp.api.models import Order
from kustom_mcp.book.database import BookDatabase
from kustom_mcp.book.entry import entry_of
from kustom_mcp.book.postgres import PostgresBook
from kustom_mcp.book.sqlite import SqliteBook
from kustom_mcp.book.writing import account_number, put
from kustom_mcp.settings.settings import Settings
from kustom_mcp.state.account import account_of
from kustom_mcp.state.database import Store
from tests.support.unhurried import PATIENCE

EACH = 50
SANDBOX = account_of(Settings()).name
"""The account of the embedded sandbox."""


def order(number: int, **more: Any) -> Order:
    made = {"order_id": f"00000000-0000-4000-8000-{number:012}", "status": "AUTHORIZED", "purchase_currency": "SEK"}
    return Order.model_validate(made | {"order_amount": 100, "remaining_authorized_amount": 100} | more)


def started(place: str, first: int) -> subprocess.Popen[bytes]:
    """A process that puts in so many orders, each by itself. `place`: a path, or the URL of a database."""
    program = "import sys; from tests.book.writers import write_many; write_many(sys.argv[1], int(sys.argv[2]))"
    return subprocess.Popen([sys.executable, "-c", program, place, str(first)])


def write_many(place: str, first: int) -> None:
    store = Store.postgres(SecretStr(place), patience=PATIENCE) if place.startswith("postgresql:") else None
    database: BookDatabase = PostgresBook(store) if store else SqliteBook(Path(place), patience=PATIENCE)
    for number in range(first, first + EACH):
        entry = entry_of(order(number), "call", time.time())  # an older one may be taken out meanwhile
        assert entry is not None
        database.write(lambda tx, entry=entry: put(tx, account_number(tx, SANDBOX), [entry]))
    database.close()
    if store:
        store.close()
