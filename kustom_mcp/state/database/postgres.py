"""PostgreSQL: for several machines, in a schema of its own, `kustom_mcp`.

A lock is an advisory lock of the transaction on each name: of two replicas that want the last unit one waits, and then
sees that it is gone. Every transaction is READ COMMITTED, so that it does see it.

Times are bounded twice. The server ends statements and waits for locks; and because a server that is frozen ends
nothing, the client gives up by itself at the same time and drops the connection. Nothing is set for a whole session,
and nothing is prepared, so that a pooler may stand in between.

Replicas have clocks that differ, and one that is a day ahead would take everybody's reservations for old ones. So all
count by the database's clock: its distance from ours is measured with each new connection, at least every five minutes.
Less than SAME_TIME seconds is no distance: it costs nothing over a minute or a day.
"""

from __future__ import annotations

import hashlib
import logging
import math
import threading
import time
from collections.abc import Generator, Sequence
from typing import Any, cast

import psycopg
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool

from kustom_mcp.state.database import StoreUnfit, migrations

SCHEMA = "kustom_mcp"
CONNECTIONS = 4
RECYCLE = 300  # seconds
SAME_TIME = 2.0

BUSY = frozenset({"55P03", "57014", "40P01", "40001", "53300"})
"""Waited too long for a lock, or for a statement; a deadlock; too many connections."""
NOT_ALLOWED = "42501"

_BOUNDS = text(
    "SELECT set_config('statement_timeout', :bound, true), set_config('lock_timeout', :bound, true), "
    "set_config('idle_in_transaction_session_timeout', :idle, true)"
)
_LOCK = text("SELECT pg_advisory_xact_lock(:number)")
_GRANT = (
    f"The database of KUSTOM_STORE has no tables of kustom-mcp, and this account may not make them. Let an account "
    f"that may start kustom-mcp once, or give this one the schema: CREATE SCHEMA {SCHEMA} AUTHORIZATION the_account."
)
_UPDATE = (
    f"The tables of kustom-mcp in the database of KUSTOM_STORE are older than this version, and this account may not "
    f"change them. Let the account that owns the schema {SCHEMA} start this version once."
)
_USE = (
    f"This account may not use the tables in the schema {SCHEMA}: grant it USAGE of it, and all rights on its tables."
)

_CLOCK = "SELECT extract(epoch FROM clock_timestamp())::float8"
_SCHEMA_THERE = text(f"SELECT 1 FROM pg_namespace WHERE nspname = '{SCHEMA}'")
_VERSIONS = f"FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = '{SCHEMA}'"
_TABLE_THERE = text(f"SELECT 1 {_VERSIONS} AND c.relname = 'schema_version'")
_MAY_USE = text(
    f"SELECT has_schema_privilege('{SCHEMA}', 'USAGE') AND bool_and(has_table_privilege(c.oid, 'SELECT')) "
    f"{_VERSIONS} AND c.relname = 'schema_version'"
)

_bound = threading.local()


class _Patient(psycopg.Connection[Any]):
    """A connection that does not wait for longer than its thread has time."""

    def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
        try:
            return super().wait(_in_time(gen), *args, **options)
        except psycopg.errors.ConnectionTimeout:
            self.close()  # an answer that still comes is read by nothing
            raise


def _in_time(gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Run psycopg's generator until the end of the thread's time: it yields several times a second."""
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and _left() <= 0:
                raise psycopg.errors.ConnectionTimeout("timed out")
            wanted = gen.send(ready)
    except StopIteration as end:
        return end.value


def _left() -> float:
    return float(getattr(_bound, "until", math.inf)) - time.monotonic()


class Postgres:
    """A PostgreSQL database. `url`: as libpq takes it. `patience`: seconds for one transaction, a new connection
    included."""

    def __init__(self, url: SecretStr, patience: float) -> None:
        try:
            conninfo_to_dict(url.get_secret_value())
        except psycopg.Error:
            raise ValueError("It cannot be read as the URL of a PostgreSQL database.") from None
        self._url = url
        self._patience = patience
        self._skew = 0.0
        for talkative in ("sqlalchemy", "psycopg"):  # what they log names hosts and users
            logging.getLogger(talkative).setLevel(logging.CRITICAL)

    def open(self) -> Engine:
        engine = create_engine(
            "postgresql+psycopg://",
            creator=self._connect,
            poolclass=QueuePool,
            pool_size=CONNECTIONS,
            max_overflow=0,
            pool_timeout=self._patience,
            pool_pre_ping=True,
            pool_recycle=RECYCLE,
            isolation_level="READ COMMITTED",
            hide_parameters=True,
            execution_options={"schema_translate_map": {None: SCHEMA}},
        )
        try:
            self._update(engine)
        except BaseException:
            engine.dispose()
            raise
        return engine

    def replaced(self) -> bool:
        return False

    def start_timer(self) -> None:
        """Start this thread's time."""
        _bound.until = time.monotonic() + self._patience

    def begin(self, connection: Connection, locks: Sequence[str]) -> None:
        milliseconds = max(1, int(min(_left(), self._patience) * 1000))
        connection.execute(_BOUNDS, {"bound": str(milliseconds), "idle": str(2 * milliseconds)})
        for number in sorted(_number(name) for name in locks):
            connection.execute(_LOCK, {"number": number})

    def is_busy(self, error: Exception) -> bool:
        return isinstance(error, PoolTimeout) or _state(error) in BUSY

    def name(self, error: Exception) -> str:
        cause = getattr(error, "orig", None) or error
        return f"{type(cause).__name__} {_state(error)}".strip()

    def skew(self) -> float:
        return self._skew

    def _connect(self) -> _Patient:
        left = min(_left(), self._patience)
        if left <= 0:
            raise psycopg.errors.ConnectionTimeout("timed out")
        connection = _Patient.connect(
            self._url.get_secret_value(),
            autocommit=True,
            prepare_threshold=None,
            connect_timeout=math.ceil(left),
            application_name="kustom-mcp",
        )
        sent = time.time()
        row = cast("tuple[float]", connection.execute(_CLOCK).fetchone())
        skew = row[0] - (sent + time.time()) / 2
        self._skew = skew if abs(skew) >= SAME_TIME else 0.0
        connection.autocommit = False
        return connection

    def _update(self, engine: Engine) -> None:
        """Bring the tables up to date, unless another replica does. StoreUnfit."""
        with engine.begin() as connection:
            self.begin(connection, [])
            there, current = self._found(connection)
        if current:
            return
        try:
            with engine.begin() as connection:
                self.begin(connection, ["schema"])
                if not connection.execute(_SCHEMA_THERE).scalar():
                    connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
                migrations.apply(connection, f"{SCHEMA}.")
        except migrations.TooNew as error:
            raise StoreUnfit(str(error)) from None
        except DBAPIError as error:
            if _state(error) != NOT_ALLOWED:
                raise
            problem = StoreUnfit(_UPDATE if there else _GRANT)
        else:
            return
        raise problem

    def _found(self, connection: Connection) -> tuple[bool, bool]:
        """Return whether the tables are there, and up to date. StoreUnfit."""
        there = bool(connection.execute(_TABLE_THERE).scalar())
        if not there:
            return False, False
        if not connection.execute(_MAY_USE).scalar():
            raise StoreUnfit(_USE)
        try:
            return True, migrations.is_current(connection, f"{SCHEMA}.")
        except migrations.TooNew as error:
            raise StoreUnfit(str(error)) from None


def _state(error: Exception) -> str:
    return getattr(getattr(error, "orig", None) or error, "sqlstate", None) or ""


def _number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(f"kustom-mcp {name}".encode()).digest()[:8], "big", signed=True)
