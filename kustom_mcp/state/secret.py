"""The random secret of a store, made once: what seals codes and records, unless KUSTOM_KEYS is set.

It lives with what it protects: in a private file of the state directory, or in the database of the replicas. A new API
key changes nothing of it.
"""

from __future__ import annotations

import secrets
from errno import EIO
from pathlib import Path
from typing import TYPE_CHECKING

from kustom_mcp.state.database import Store
from kustom_mcp.state.private_files import private_directory, put_first

if TYPE_CHECKING:
    from sqlalchemy import Connection

BYTES = 32


def kept_secret(store: Store, state: Path | None) -> bytes:
    """Return the secret of the store; made now if there is none. OSError, StoreBusy, StoreUnavailable."""
    if store.shared:
        return bytes.fromhex(store.run(_in_database, locks=("secret",)))
    if state is None:
        return secrets.token_bytes(BYTES)
    path = state / "keys" / "secret"
    if not path.exists():
        private_directory(path.parent)
        put_first(path, secrets.token_hex(BYTES).encode())
    try:
        return bytes.fromhex(path.read_text())
    except ValueError:
        raise OSError(EIO, "the file of the secret is damaged") from None


def _in_database(connection: Connection) -> str:
    from kustom_mcp.state.database.tables import SECRETS

    there = connection.execute(SECRETS.select().where(SECRETS.c.name == "ring")).first()
    if there is not None:
        return str(there.value)
    value = secrets.token_hex(BYTES)
    connection.execute(SECRETS.insert().values(name="ring", value=value))
    return value
