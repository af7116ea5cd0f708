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
    Column("record", String, primary_key=True),  # one attempt at an intent
    Column("key", String, nullable=False),
    Column("digest", String, nullable=False),
    Column("account", String, nullable=False),
    Column("expires", Float, nullable=False),
    Column("content", String, nullable=False),
)
Index("intents_by_digest", INTENTS.c.digest)
Index("intents_by_key", INTENTS.c.key)

APPLIED = Table(
    "applied",
    TABLES,
    Column("name", String, primary_key=True),
    Column("until", Float, nullable=False),
    Column("facts", String, nullable=False),
)
Index("applied_by_until", APPLIED.c.until)

PAUSES = Table("pauses", TABLES, Column("account", String, primary_key=True), Column("until", Float, nullable=False))

PROBE = delete(APPLIED).where(APPLIED.c.name == "")
"""A statement that changes nothing, and fails where nothing can be changed."""
