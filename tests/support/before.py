"""State as version 0.1.0 left it, when an account was the environment and a part of the user name.

`left` writes what a server of that version had written (commit 267171a) after a refund of 50.00 that was applied and
one of 7.00 without an outcome, on the sandbox's captured order: its records as they were, but for their times.
`as_before` turns what a server of today has written back into that form, so that it can be about any order.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from kustom_mcp.app.app import App

ORDER = "55e7d67e-ae6a-64a9-a89c-5bc7a0187b4d"
APPLIED = ("355cdc4a390d4a28b8f11878700d22bf", "8f1604739436876fd6f2654c7ff9d33c")
"""Under which the refund of 50.00 was remembered for PM12345: its key, and the digest of its call."""
DOUBTED = "03078633-f2ca-485f-94c9-f54d8aad7cdf"
DIGEST = "0933e0f68b14d167b376cd898b20d300"
"""Key and digest of the refund of 7.00 for PM12345."""

_LIMITS = """
CREATE TABLE applied (name VARCHAR NOT NULL PRIMARY KEY, until FLOAT NOT NULL, facts VARCHAR NOT NULL);
CREATE TABLE intents (record VARCHAR NOT NULL PRIMARY KEY, key VARCHAR NOT NULL, digest VARCHAR NOT NULL,
  account VARCHAR NOT NULL, expires FLOAT NOT NULL, content VARCHAR NOT NULL);
CREATE TABLE moved (key VARCHAR NOT NULL PRIMARY KEY, account VARCHAR NOT NULL, kind VARCHAR NOT NULL,
  currency VARCHAR NOT NULL, amount BIGINT NOT NULL, at FLOAT NOT NULL, holders INTEGER NOT NULL);
CREATE TABLE pauses (account VARCHAR NOT NULL PRIMARY KEY, until FLOAT NOT NULL);
CREATE TABLE schema_version (version INTEGER NOT NULL PRIMARY KEY);
INSERT INTO schema_version VALUES (1), (2), (3), (4);
CREATE TABLE writes (caller VARCHAR NOT NULL, at FLOAT NOT NULL);
CREATE INDEX writes_by_caller ON writes (caller, at);
CREATE INDEX moved_by_account ON moved (account, kind, currency, at);
CREATE INDEX intents_by_digest ON intents (digest);
CREATE INDEX intents_by_key ON intents (key);
CREATE INDEX applied_by_until ON applied (until);
"""
_BOOK = """
CREATE TABLE book (number INTEGER NOT NULL PRIMARY KEY, account INTEGER NOT NULL, order_id VARCHAR NOT NULL,
  id_backwards VARCHAR NOT NULL, kind INTEGER NOT NULL, merchant_reference1 VARCHAR, merchant_reference2 VARCHAR,
  klarna_reference VARCHAR, payment_type VARCHAR, order_amount BIGINT NOT NULL, original_order_amount BIGINT NOT NULL,
  captured_amount BIGINT NOT NULL, refunded_amount BIGINT NOT NULL, remaining_authorized_amount BIGINT NOT NULL,
  created_at BIGINT NOT NULL, expires_at BIGINT NOT NULL, captured_at BIGINT NOT NULL, refunded_at BIGINT NOT NULL,
  read_at BIGINT NOT NULL);
CREATE TABLE book_accounts (account INTEGER NOT NULL PRIMARY KEY, name VARCHAR NOT NULL UNIQUE);
CREATE TABLE book_feeds (account INTEGER NOT NULL PRIMARY KEY, since BIGINT NOT NULL, next_read BIGINT NOT NULL);
CREATE TABLE book_hints (account INTEGER NOT NULL, order_id VARCHAR NOT NULL, source VARCHAR NOT NULL,
  verified INTEGER NOT NULL, disputed INTEGER NOT NULL, state INTEGER NOT NULL, due BIGINT NOT NULL,
  tries INTEGER NOT NULL, news INTEGER NOT NULL, PRIMARY KEY (account, order_id));
CREATE TABLE book_imports (account INTEGER NOT NULL, file VARCHAR NOT NULL, done INTEGER NOT NULL,
  rejected INTEGER NOT NULL, at BIGINT NOT NULL, PRIMARY KEY (account, file));
CREATE TABLE book_kinds (kind INTEGER NOT NULL PRIMARY KEY, currency VARCHAR NOT NULL, status VARCHAR NOT NULL,
  fraud_status VARCHAR NOT NULL, remains INTEGER NOT NULL, unshipped INTEGER NOT NULL, disputed INTEGER NOT NULL,
  source VARCHAR NOT NULL);
INSERT INTO book_kinds VALUES (1, 'SEK', 'CAPTURED', 'ACCEPTED', 0, 1, 0, 'call');
CREATE TABLE book_listeners (account INTEGER NOT NULL, name VARCHAR NOT NULL, until BIGINT NOT NULL,
  proven INTEGER NOT NULL, PRIMARY KEY (account, name));
CREATE TABLE book_names (number INTEGER NOT NULL, name VARCHAR NOT NULL);
INSERT INTO book_names VALUES (1, 'sandbox8'), (1, 'se19977');
CREATE TABLE book_sums (account INTEGER NOT NULL, kind INTEGER NOT NULL, day INTEGER NOT NULL, orders BIGINT NOT NULL,
  order_amount BIGINT NOT NULL, original_order_amount BIGINT NOT NULL, captured_amount BIGINT NOT NULL,
  refunded_amount BIGINT NOT NULL, remaining_authorized_amount BIGINT NOT NULL, PRIMARY KEY (account, kind, day));
CREATE UNIQUE INDEX book_by_id ON book (account, order_id);
CREATE INDEX book_by_id_backwards ON book (account, id_backwards);
CREATE INDEX book_by_created ON book (account, kind, created_at);
CREATE INDEX book_by_expires ON book (account, kind, expires_at, remaining_authorized_amount, created_at, read_at,
  order_amount, original_order_amount, captured_amount, refunded_amount) WHERE remaining_authorized_amount > 0;
CREATE INDEX book_by_remaining ON book (account, kind, remaining_authorized_amount, expires_at, created_at, read_at)
  WHERE remaining_authorized_amount > 0;
CREATE INDEX book_by_read ON book (account, kind, read_at);
CREATE INDEX book_by_refunded ON book (account, refunded_at, kind, created_at, expires_at, read_at, order_amount,
  original_order_amount, captured_amount, refunded_amount, remaining_authorized_amount) WHERE refunded_at <> 0;
CREATE INDEX book_names_by_name ON book_names (name);
CREATE INDEX book_names_by_number ON book_names (number);
PRAGMA user_version = 1;
"""
_DAY = 86_400_000


def left(state: Path, merchant: str, environment: str = "playground", now: float | None = None) -> None:
    """Write it into an empty state directory, under the name of this merchant."""
    now = time.time() if now is None else now
    account, at = f"{environment}/{merchant}", int(now * 1000)
    for part in ("", "limits", "book", "intents", "applied"):
        (state / part).mkdir(mode=0o700, parents=True, exist_ok=True)
    with closing(sqlite3.connect(state / "limits" / "limits.sqlite3")) as limits, limits:
        limits.executescript(_LIMITS)
        for key, amount in (("355cdc4a-390d-4a28-b8f1-1878700d22bf", 5000), (DOUBTED, 700)):
            limits.execute(
                "INSERT INTO moved VALUES (?, ?, 'refund', 'SEK', ?, ?, 1)", (key, account, amount, now - 60)
            )
            limits.execute("INSERT INTO writes VALUES (?, ?)", (f"{account}/root", now - 60))
    with closing(sqlite3.connect(state / "book" / "book.sqlite3")) as book, book:
        book.executescript(_BOOK)
        book.execute("INSERT INTO book_accounts VALUES (1, ?)", (account,))
        amounts, created = (79400, 79400, 79400, 5000, 0), at - 9 * _DAY
        row = (1, 1, ORDER, "d4b7810a7cb5", 1, "SE-19977", None, "SANDBOX8", "INVOICE", *amounts, created)
        row += (created + 28 * _DAY, created + _DAY, at - 61_000, at - 60_000)
        book.execute(f"INSERT INTO book VALUES ({', '.join('?' * len(row))})", row)
        day = created // _DAY
        for bucket in (day, -2 - day // 32, -1):
            book.execute("INSERT INTO book_sums VALUES (1, 1, ?, 1, ?, ?, ?, ?, ?)", (bucket, *amounts))
    intent = {
        "digest": DIGEST,
        "environment": environment,
        "merchant": merchant,
        "expires": int(now) + 86_000,
        "key": DOUBTED,
        "before": "95b0ed92e06f066d151b9ca2e3d465ac",
        "after": "1637f60503d252cfa4232d5c27444943",
        "figures": {
            "status": "CAPTURED",
            "order_amount": 79400,
            "captured_amount": 79400,
            "refunded_amount": 5000,
            "remaining_authorized_amount": 0,
        },
        "head": "refund-7.00SEK-55e7d67e",
        "opened_at": "2026-11-28T17:56:46.802835+00:00",
        "tool": "kustom_refund_order",
        "caller": "root",
        "host": "t",
        "arguments": {"refunded_amount": 700, "order_id": ORDER},
    }
    _write(state / "intents" / f"{DOUBTED}.{DIGEST}.da236e8e.json", intent)
    for name in APPLIED:
        said = {"until": now + 900, "facts": {"at": "2026-11-28T17:56:46.719458+00:00"}}
        _write(state / "applied" / f"{name}.json", said)


def digest(environment: str, merchant: str, tool: str, arguments: dict[str, Any]) -> str:
    """The requests that stood for a call."""
    text = json.dumps([environment, merchant, tool, arguments], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()[:16].hex()


def as_before(app: App, merchant: str, calls: Iterable[tuple[str, dict[str, Any]]]) -> None:
    """Give what a server that has ended keeps in its state directory the names of before; `calls`: tool and arguments
    of those that it knows."""
    state, environment = app.settings.state_path, app.settings.environment
    assert state is not None
    old = f"{environment}/{merchant}"
    renamed = {digest_now(app, *call): digest(environment, merchant, *call) for call in calls}
    for part in ("limits", "intents", "applied"):
        (state / part).mkdir(mode=0o700)
    with closing(sqlite3.connect(state / "store.sqlite3")) as store, store:
        store.row_factory = sqlite3.Row
        for row in store.execute("SELECT * FROM intents").fetchall():
            named = renamed.get(row["digest"], row["digest"])
            if row["outcome"] is not None:
                for name in (row["key"].replace("-", ""), named):
                    _write(state / "applied" / f"{name}.json", {"until": row["sent"] + _DAY / 1000, "facts": {}})
                continue
            content = json.loads(row["content"]) | {"digest": named, "merchant": merchant, "tool": row["tool"]}
            content |= {"key": row["key"], "expires": row["sent"] + _DAY / 1000, "opened_at": ""}
            _write(state / "intents" / f"{row['key']}.{named}.da236e8e.json", content)
        tables = store.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        for (table,) in tables:
            if table not in ("writes", "moved", "schema_version"):
                store.execute(f"DROP TABLE {table}")
        store.execute("DELETE FROM schema_version WHERE version > 1")
        store.execute("UPDATE moved SET account = ?", (old,))
    (state / "store.sqlite3").rename(state / "limits" / "limits.sqlite3")
    with closing(sqlite3.connect(state / "book" / "book.sqlite3")) as book, book:
        book.execute("UPDATE book_accounts SET name = ?", (old,))


def digest_now(app: App, tool: str, arguments: dict[str, Any]) -> str:
    """The requests that stand for a call today."""
    text = json.dumps([app.account.name, tool, arguments], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()[:16].hex()


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, separators=(",", ":")))
