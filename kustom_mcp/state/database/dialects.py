"""Statements that differ between the kinds of database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, delete, literal_column, select
from sqlalchemy.dialects import postgresql, sqlite


def insert(connection: Connection, table: Table) -> Any:
    """Return an insert that has `on_conflict_do_update`."""
    return postgresql.insert(table) if _shared(connection) else sqlite.insert(table)


def purge(connection: Connection, table: Table, old: ColumnElement[bool]) -> None:
    """Remove outdated rows of all accounts, but not those that another transaction is removing."""
    if _shared(connection):
        row: ColumnElement[Any] = literal_column("ctid")
        free = select(row).select_from(table).where(old).with_for_update(skip_locked=True)
        connection.execute(delete(table).where(row.in_(free)))
    else:
        connection.execute(delete(table).where(old))


def _shared(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"
