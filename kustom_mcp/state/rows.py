"""Open intents and carried-out calls as rows of the store that replicas share.

Times are kept by the store's clock, so that a replica whose clock runs ahead does not forget what another has done.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from kustom_mcp.state.audit_log import AuditUnavailable
from kustom_mcp.state.database import Store, StoreBusy, StoreUnavailable
from kustom_mcp.state.json_files import parsed

if TYPE_CHECKING:
    from sqlalchemy import Connection

T = TypeVar("T")


class IntentRows:
    """The statements on the tables `intents` and `applied`. AuditUnavailable everywhere."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def open(self, record: str, key: str, intent: Mapping[str, Any]) -> None:
        from kustom_mcp.state.database.tables import INTENTS

        def work(connection: Connection) -> None:
            row = {
                "record": record,
                "key": key,
                "digest": intent["digest"],
                "account": str(intent.get("account", "")),
                "expires": float(intent["expires"]) + self._store.skew,
                "content": json.dumps(intent, separators=(",", ":"), default=str),
            }
            connection.execute(INTENTS.insert().values(row))

        self._run(work)

    def close(self, key: str) -> None:
        from kustom_mcp.state.database.tables import INTENTS

        self._run(lambda connection: connection.execute(INTENTS.delete().where(INTENTS.c.key == key)))

    def withdraw(self, record: str) -> None:
        from kustom_mcp.state.database.tables import INTENTS

        self._run(lambda connection: connection.execute(INTENTS.delete().where(INTENTS.c.record == record)))

    def of(self, digest: str, now: float) -> list[dict[str, Any]]:
        """Return the open intents of a call. Their `expires` is by the clock of `now`."""
        from kustom_mcp.state.database.tables import INTENTS

        def work(connection: Connection) -> list[dict[str, Any]]:
            skew = self._store.skew
            wanted = (INTENTS.c.digest == digest, INTENTS.c.expires > now + skew)
            return [
                {**parsed(row.content), "id": row.key, "expires": row.expires - skew}
                for row in connection.execute(INTENTS.select().where(*wanted))
            ]

        return self._run(work)

    def all(self) -> list[tuple[str, dict[str, Any]]]:
        """Return every record by its name; {} for one that cannot be understood."""
        from kustom_mcp.state.database.tables import INTENTS

        def work(connection: Connection) -> list[tuple[str, dict[str, Any]]]:
            rows = connection.execute(INTENTS.select().order_by(INTENTS.c.record))
            return [(row.record, parsed(row.content)) for row in rows]

        return self._run(work)

    def remember(self, name: str, facts: Mapping[str, Any], until: float, now: float) -> None:
        from kustom_mcp.state.database.dialects import insert, purge
        from kustom_mcp.state.database.tables import APPLIED

        def work(connection: Connection) -> None:
            skew = self._store.skew
            values = {"until": until + skew, "facts": json.dumps(facts)}
            new = insert(connection, APPLIED).values(name=name, **values)
            connection.execute(new.on_conflict_do_update(index_elements=[APPLIED.c.name], set_=values))
            purge(connection, APPLIED, APPLIED.c.until <= now + skew)

        self._run(work)

    def recall(self, name: str, now: float) -> dict[str, Any] | None:
        from kustom_mcp.state.database.tables import APPLIED

        def work(connection: Connection) -> dict[str, Any] | None:
            wanted = (APPLIED.c.name == name, APPLIED.c.until > now + self._store.skew)
            row = connection.execute(APPLIED.select().where(*wanted)).first()
            return parsed(row.facts) if row else None

        return self._run(work)

    def _run(self, work: Callable[[Connection], T]) -> T:
        try:
            return self._store.run(work)
        except (StoreBusy, StoreUnavailable) as error:
            raise _unavailable(error) from None


def _unavailable(error: Exception) -> AuditUnavailable:
    return AuditUnavailable(str(error) or "busy")
