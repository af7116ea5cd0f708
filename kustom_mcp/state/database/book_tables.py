"""The tables of the order book, as numbered steps like those that `migrations` has for the other tables.

Apart from those because the book of one machine is a file of its own that needs no SQLAlchemy: `book.sqlite` applies
these there, and `migrations` in PostgreSQL. Plain SQL that SQLite and PostgreSQL both take.

Facts that many orders share are kept once: `book_kinds` has a row for each combination of the facts by which people
filter, and an order names its kind by a number. So every index begins with the kind, and a search walks a few indexes
in order. Those of orders with something left to capture hold no others, so few that they can carry every field of a
search. `book_sums` counts the orders of a kind by the day of their creation, by blocks of days
and altogether (days below zero, see `book.writing`); with it totals over a million orders are a sum over few rows.

A column that is searched by a beginning has to compare by its bytes: `{bytes}` says so in PostgreSQL; SQLite does.
`{packed}`: the rows stand in the primary key itself, in SQLite.
"""

from __future__ import annotations

BOOK_STEPS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE {}book_accounts (account INTEGER NOT NULL PRIMARY KEY, name VARCHAR NOT NULL UNIQUE)",
        "CREATE TABLE {}book_kinds (kind INTEGER NOT NULL PRIMARY KEY, currency VARCHAR NOT NULL, "
        "status VARCHAR NOT NULL, fraud_status VARCHAR NOT NULL, remains INTEGER NOT NULL, "
        "unshipped INTEGER NOT NULL, disputed INTEGER NOT NULL, source VARCHAR NOT NULL)",
        # Times are unix milliseconds, 0 where Kustom sent none; amounts are minor units.
        "CREATE TABLE {}book (number INTEGER NOT NULL PRIMARY KEY, account INTEGER NOT NULL, "
        # `id_backwards`: the last characters of order_id, the last one first, so that its end can be looked for.
        "order_id VARCHAR{bytes} NOT NULL, id_backwards VARCHAR{bytes} NOT NULL, kind INTEGER NOT NULL, "
        "merchant_reference1 VARCHAR, merchant_reference2 VARCHAR, klarna_reference VARCHAR, "
        "payment_type VARCHAR, order_amount BIGINT NOT NULL, original_order_amount BIGINT NOT NULL, "
        "captured_amount BIGINT NOT NULL, refunded_amount BIGINT NOT NULL, "
        "remaining_authorized_amount BIGINT NOT NULL, created_at BIGINT NOT NULL, expires_at BIGINT NOT NULL, "
        "captured_at BIGINT NOT NULL, refunded_at BIGINT NOT NULL, read_at BIGINT NOT NULL)",
        "CREATE UNIQUE INDEX book_by_id ON {}book (account, order_id)",
        "CREATE INDEX book_by_id_backwards ON {}book (account, id_backwards)",
        "CREATE INDEX book_by_created ON {}book (account, kind, created_at)",
        "CREATE INDEX book_by_expires ON {}book (account, kind, expires_at, remaining_authorized_amount, created_at, "
        "read_at, order_amount, original_order_amount, captured_amount, refunded_amount) "
        "WHERE remaining_authorized_amount > 0",
        "CREATE INDEX book_by_remaining ON {}book (account, kind, remaining_authorized_amount, expires_at, created_at, "
        "read_at) WHERE remaining_authorized_amount > 0",
        "CREATE INDEX book_by_read ON {}book (account, kind, read_at)",
        "CREATE INDEX book_by_refunded ON {}book (account, refunded_at, kind, created_at, expires_at, read_at, "
        "order_amount, original_order_amount, captured_amount, refunded_amount, remaining_authorized_amount) "
        "WHERE refunded_at <> 0",
        "CREATE TABLE {}book_names (number INTEGER NOT NULL, name VARCHAR NOT NULL)",
        "CREATE INDEX book_names_by_name ON {}book_names (name)",
        "CREATE INDEX book_names_by_number ON {}book_names (number)",
        "CREATE TABLE {}book_sums (account INTEGER NOT NULL, kind INTEGER NOT NULL, day INTEGER NOT NULL, "
        "orders BIGINT NOT NULL, order_amount BIGINT NOT NULL, original_order_amount BIGINT NOT NULL, "
        "captured_amount BIGINT NOT NULL, refunded_amount BIGINT NOT NULL, "
        "remaining_authorized_amount BIGINT NOT NULL, PRIMARY KEY (account, kind, day))",
        "CREATE TABLE {}book_imports (account INTEGER NOT NULL, file VARCHAR NOT NULL, done INTEGER NOT NULL, "
        "rejected INTEGER NOT NULL, at BIGINT NOT NULL, PRIMARY KEY (account, file))",
        # Orders that somebody has named from outside, until they have been read: see `book.hints`.
        "CREATE TABLE {}book_hints (account INTEGER NOT NULL, order_id VARCHAR{bytes} NOT NULL, "
        "source VARCHAR NOT NULL, verified INTEGER NOT NULL, disputed INTEGER NOT NULL, state INTEGER NOT NULL, "
        "due BIGINT NOT NULL, tries INTEGER NOT NULL, news INTEGER NOT NULL, PRIMARY KEY (account, order_id))",
        # Since when every new order was announced, and who listens: see `book.completeness`.
        "CREATE TABLE {}book_feeds (account INTEGER NOT NULL PRIMARY KEY, since BIGINT NOT NULL, "
        "next_read BIGINT NOT NULL)",
        "CREATE TABLE {}book_listeners (account INTEGER NOT NULL, name VARCHAR NOT NULL, until BIGINT NOT NULL, "
        "proven INTEGER NOT NULL, PRIMARY KEY (account, name))",
    ),
    (
        # When a server listened last, when one began after a silence, and until when Kustom may repeat what was missed
        # in it: see `book.completeness`.
        "CREATE TABLE {}book_silences (account INTEGER NOT NULL PRIMARY KEY, heard BIGINT NOT NULL, "
        "resumed BIGINT NOT NULL, awaited BIGINT NOT NULL)",
        "DROP TABLE IF EXISTS {}book_listeners",
        "CREATE TABLE {}book_listeners (account INTEGER NOT NULL, name VARCHAR NOT NULL, until BIGINT NOT NULL, "
        "PRIMARY KEY (account, name))",
        # Webhooks that were kept, by a digest of their ids: see `book.repeats`.
        "CREATE TABLE {}book_events (account INTEGER NOT NULL, event VARCHAR NOT NULL, at BIGINT NOT NULL, "
        "PRIMARY KEY (account, event))",
    ),
    (
        # References of captures and refunds, one a line; the single captures and refunds; digests of people.
        "ALTER TABLE {}book ADD COLUMN other_references VARCHAR",
        # 0: kept by version 0.1, without single captures and refunds; 1: without people; 2: with people.
        "ALTER TABLE {}book_kinds ADD COLUMN detail INTEGER NOT NULL DEFAULT 0",
        # The key of the digests of people, told by what it makes of a fixed text.
        "ALTER TABLE {}book_accounts ADD COLUMN people BIGINT",
        # `name`: the letters and digits of a reference, the last one first; `written`: 48 bits of its exact form.
        "CREATE TABLE {}book_references (account INTEGER NOT NULL, name VARCHAR{bytes} NOT NULL, "
        "number INTEGER NOT NULL, written BIGINT NOT NULL, PRIMARY KEY (account, name, number, written)){packed}",
        # `amount` is 0 where it is that of the whole order, which is mostly so, and below 0 where it is not known.
        "CREATE TABLE {}book_moves (account INTEGER NOT NULL, refund INTEGER NOT NULL, kind INTEGER NOT NULL, "
        "at BIGINT NOT NULL, number INTEGER NOT NULL, amount BIGINT NOT NULL, "
        "PRIMARY KEY (account, refund, kind, at, number, amount)){packed}",
        "INSERT INTO {}book_moves SELECT account, 0, kind, captured_at, number, -1 FROM {}book WHERE captured_at <> 0",
        "INSERT INTO {}book_moves SELECT account, 1, kind, refunded_at, number, -1 FROM {}book WHERE refunded_at <> 0",
        "CREATE INDEX book_moves_by_number ON {}book_moves (number)",
        "CREATE INDEX book_moves_by_amount ON {}book_moves (account, amount) WHERE amount > 0",
        "CREATE INDEX book_by_amount ON {}book (account, order_amount, kind)",
        "CREATE TABLE {}book_people (account INTEGER NOT NULL, digest BIGINT NOT NULL, number INTEGER NOT NULL, "
        "PRIMARY KEY (account, digest, number)){packed}",
        "CREATE INDEX book_people_by_number ON {}book_people (number)",
        "DROP INDEX IF EXISTS {}book_by_refunded",
        "DROP TABLE IF EXISTS {}book_names",
        # Orders of version 0.1 whose references have not been put in yet: `book.upgrading` does that.
        "CREATE TABLE {}book_unnamed (number INTEGER NOT NULL PRIMARY KEY)",
        "INSERT INTO {}book_unnamed SELECT number FROM {}book",
    ),
)
