"""The tables as the statements use them, in every kind of database. Their history is in `migrations`."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, MetaData, String, Table, delete

TABLES = MetaData()

WRITES = Table("writes", TABLES, Column("caller", String, nullable=False), Column("at", Float, nullable=False))
Index("writes_by_caller", WRITES.c.caller, WRITES.c.at)

MOVED = Table(
    "moved",
    TABLES,
    Column("key", String, primary_key=True),
    Column("account", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("currency", String, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("at", Float, nullable=False),
    Column("holders", Integer, nullable=False),  # attempts that have not said that nothing moved
)
Index("moved_by_account", MOVED.c.account, MOVED.c.kind, MOVED.c.currency, MOVED.c.at)

INTENTS = Table(
    "intents",
    TABLES,
    Column("account", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("digest", String, nullable=False),  # of the call
    Column("tool", String, nullable=False),
    Column("order_id", String, nullable=False),
    Column("outcome", String),  # NULL: sent, and not known yet
    Column("attempts", Integer, nullable=False),
    Column("sent", Float, nullable=False),
    Column("closed", Float),
    Column("looks", Integer, nullable=False),  # in a row that did not find it
    Column("looked", Float, nullable=False),
    Column("entry", String),  # the id that Kustom gave
    Column("content", String, nullable=False),
    Column("sealed", String),
)

LEASES = Table(
    "leases",
    TABLES,
    Column("account", String, primary_key=True),
    Column("order_id", String, primary_key=True),
    Column("holder", String, nullable=False),
    Column("until", Float, nullable=False),
)

TRIES = Table(
    "tries",
    TABLES,
    Column("id", String, nullable=False),  # of one try, which may count for several subjects
    Column("subject", String, nullable=False),
    Column("at", Float, nullable=False),
)
Index("tries_by_subject", TRIES.c.subject, TRIES.c.at)

SECRETS = Table("secrets", TABLES, Column("name", String, primary_key=True), Column("value", String, nullable=False))

FORMER_INTENTS = Table(
    "former_intents",
    TABLES,
    Column("record", String, primary_key=True),
    Column("key", String, nullable=False),
    Column("digest", String, nullable=False),
    Column("account", String, nullable=False),
    Column("expires", Float, nullable=False),
    Column("content", String, nullable=False),
)

FORMER_APPLIED = Table(
    "former_applied",
    TABLES,
    Column("name", String, primary_key=True),
    Column("until", Float, nullable=False),
    Column("facts", String, nullable=False),
)

PAUSES = Table("pauses", TABLES, Column("account", String, primary_key=True), Column("until", Float, nullable=False))

PROBE = delete(LEASES).where(LEASES.c.holder == "")
"""A statement that changes nothing, and fails where nothing can be changed."""
