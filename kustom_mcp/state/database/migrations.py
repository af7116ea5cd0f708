"""Migrations of the tables: numbered steps, each applied once, in order, in one transaction under a lock.

The first process to open a store brings it up to date; one that comes at the same moment waits and finds it done. A
step that has been released is never changed: the next change is a new step at the end. The statements are plain SQL
that SQLite and PostgreSQL both take, written out here and not made from `tables`, which will have moved on.

Alembic was weighed and left out: it would add two packages, a folder of scripts and a configuration of its own, for a
handful of linear steps that need neither branches nor downgrades nor comparison with a model.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from kustom_mcp.state.database.book_tables import BOOK_STEPS

STEPS: tuple[tuple[str, ...], ...] = (
    (  # 1: limits. Files from before there were steps have these already.
        "CREATE TABLE IF NOT EXISTS {}writes (caller VARCHAR NOT NULL, at FLOAT NOT NULL)",
        "CREATE INDEX IF NOT EXISTS writes_by_caller ON {}writes (caller, at)",
        "CREATE TABLE IF NOT EXISTS {}moved (key VARCHAR NOT NULL PRIMARY KEY, account VARCHAR NOT NULL, "
        "kind VARCHAR NOT NULL, currency VARCHAR NOT NULL, amount BIGINT NOT NULL, at FLOAT NOT NULL, "
        "holders INTEGER NOT NULL)",
        "CREATE INDEX IF NOT EXISTS moved_by_account ON {}moved (account, kind, currency, at)",
    ),
    (  # 2: open intents and calls that were carried out
        "CREATE TABLE {}intents (record VARCHAR NOT NULL PRIMARY KEY, key VARCHAR NOT NULL, digest VARCHAR NOT NULL, "
        "account VARCHAR NOT NULL, expires FLOAT NOT NULL, content VARCHAR NOT NULL)",
        "CREATE INDEX intents_by_digest ON {}intents (digest)",
        "CREATE INDEX intents_by_key ON {}intents (key)",
        "CREATE TABLE {}applied (name VARCHAR NOT NULL PRIMARY KEY, until FLOAT NOT NULL, facts VARCHAR NOT NULL)",
        "CREATE INDEX applied_by_until ON {}applied (until)",
    ),
    (  # 3: the pause that Kustom asks for
        "CREATE TABLE {}pauses (account VARCHAR NOT NULL PRIMARY KEY, until FLOAT NOT NULL)",
    ),
    BOOK_STEPS[0],  # 4: the order book
    BOOK_STEPS[1],  # 5: silences of its webhooks, and their repeats
    (  # 6: an intent is one row, from its sending to its outcome, and the journal; `state.former` reads those of before
        "DROP INDEX {}intents_by_digest",
        "DROP INDEX {}intents_by_key",
        "DROP INDEX {}applied_by_until",
        "ALTER TABLE {}intents RENAME TO former_intents",
        "ALTER TABLE {}applied RENAME TO former_applied",
        "CREATE TABLE {}intents (account VARCHAR NOT NULL, key VARCHAR NOT NULL, digest VARCHAR NOT NULL, "
        "tool VARCHAR NOT NULL, order_id VARCHAR NOT NULL, outcome VARCHAR, attempts INTEGER NOT NULL, "
        "sent FLOAT NOT NULL, closed FLOAT, looks INTEGER NOT NULL, looked FLOAT NOT NULL, entry VARCHAR, "
        "content VARCHAR NOT NULL, sealed VARCHAR, PRIMARY KEY (account, key))",
        "CREATE INDEX intents_by_order ON {}intents (order_id, account)",
        "CREATE INDEX intents_by_time ON {}intents (sent)",
        "CREATE INDEX intents_unresolved ON {}intents (account) WHERE outcome IS NULL",
        "CREATE TABLE {}leases (account VARCHAR NOT NULL, order_id VARCHAR NOT NULL, holder VARCHAR NOT NULL, "
        "until FLOAT NOT NULL, PRIMARY KEY (account, order_id))",
        "CREATE TABLE {}secrets (name VARCHAR NOT NULL PRIMARY KEY, value VARCHAR NOT NULL)",
    ),
    (  # 7: wrong answers to the question whose order it is
        "CREATE TABLE {}tries (id VARCHAR NOT NULL, subject VARCHAR NOT NULL, at FLOAT NOT NULL)",
        "CREATE INDEX tries_by_subject ON {}tries (subject, at)",
    ),
    (  # 8: the journal of an account, in the order of time
        "DROP INDEX {}intents_by_time",
        "CREATE INDEX intents_by_account ON {}intents (account, sent, key)",
    ),
    (  # 9: single captures and refunds, and people. Their keys stand apart from the book.
        *BOOK_STEPS[2],
        "CREATE TABLE {}people_keys (account VARCHAR NOT NULL PRIMARY KEY, secret VARCHAR NOT NULL)",
    ),
)
LATEST = len(STEPS)
_OF_THE_BOOK = frozenset({4, 5, 9})
"""Steps that a file leaves out: on one machine the book is a file of its own."""


class TooNew(Exception):
    """The store was brought up to date by a newer version than this."""

    def __init__(self, found: int) -> None:
        super().__init__(
            f"The store has schema {found}, and this version of kustom-mcp knows {LATEST}: a newer version has been "
            "here. Update this one."
        )


def is_current(connection: Connection, place: str) -> bool:
    """Return whether no step is missing. `place`: the schema and a dot, or nothing. TooNew. Fails where there is no
    table of versions."""
    found = connection.execute(text(f"SELECT max(version) FROM {place}schema_version")).scalar()
    if found is not None and found > LATEST:
        raise TooNew(found)
    return found == LATEST


def apply(connection: Connection, place: str) -> None:
    """Apply every step that is missing. The caller has a transaction, alone. TooNew."""
    connection.execute(text(f"CREATE TABLE IF NOT EXISTS {place}schema_version (version INTEGER NOT NULL PRIMARY KEY)"))
    done = connection.execute(text(f"SELECT max(version) FROM {place}schema_version")).scalar() or 0
    if done > LATEST:
        raise TooNew(done)
    shared = connection.dialect.name == "postgresql"
    by_bytes, packed = (' COLLATE "C"', "") if shared else ("", " WITHOUT ROWID")
    for version, statements in enumerate(STEPS[done:], start=done + 1):
        for statement in statements if shared or version not in _OF_THE_BOOK else ():
            connection.execute(text(statement.format(*[place] * 3, bytes=by_bytes, packed=packed)))
        connection.execute(text(f"INSERT INTO {place}schema_version VALUES (:version)"), {"version": version})
