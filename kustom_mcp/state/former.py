"""The records of version 0.1, taken over into the store by the first process of this version.

Version 0.1 kept open intents and carried-out calls in small files (`intents/`, `applied/`), replicas in rows of their
own, and the counts of spending limits in `limits/limits.sqlite3`; what was done, only its audit files told. A file
stands where the directory of intents was, so that a process of that version, if one still runs, sends no write any
more: it cannot keep an intent.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kustom_mcp.state.private_files import number, parsed

if TYPE_CHECKING:
    from sqlalchemy import Connection

_APPROVED = "approved by "
DAY = 24 * 3600.0
MARK = "The intents of this directory are in store.sqlite3, since kustom-mcp 0.2. Do not remove this file.\n"


class StillUsed(Exception):
    """A process of the version before uses these records."""


def move_limits(state: Path) -> None:
    """Make the file of spending limits the store, where there is no store yet. StillUsed, OSError.

    Leaving WAL mode needs the file alone, so it fails while a process of the version before has it open.
    """
    old, new = state / "limits" / "limits.sqlite3", state / "store.sqlite3"
    if new.exists() or not old.exists():
        return
    connection = sqlite3.connect(old, timeout=1.0, isolation_level=None)
    try:
        mode = connection.execute("PRAGMA journal_mode = DELETE").fetchone()[0]
    except sqlite3.OperationalError:
        mode = "locked"
    finally:
        connection.close()
    if mode != "delete":
        raise StillUsed
    with contextlib.suppress(FileNotFoundError):  # another process of this version was first
        os.rename(old, new)
    with contextlib.suppress(OSError):
        old.parent.rmdir()


def take_over(connection: Connection, state: Path | None) -> None:
    """Put the intents and the used approvals of the version before into the store. OSError."""
    from kustom_mcp.state.database.tables import FORMER_APPLIED, FORMER_INTENTS

    for row in connection.execute(FORMER_INTENTS.select()).all():
        _put_intent(connection, row.key, parsed(row.content))
    for row in connection.execute(FORMER_APPLIED.select()).all():
        _put_used(connection, row.name, row.until)
    connection.execute(FORMER_INTENTS.delete())
    connection.execute(FORMER_APPLIED.delete())
    if state is not None:
        _take_over_files(connection, state)


def _take_over_files(connection: Connection, state: Path) -> None:
    """Read the small files, and put the mark in their place. The directory is renamed first: what a process of the
    version before has written until then is read, and it can write nothing afterwards."""
    place, renamed = state / "intents", state / "intents-0.1"
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        if place.is_dir() and not renamed.exists():
            os.rename(place, renamed)
    if renamed.is_dir():
        with (
            contextlib.suppress(FileExistsError),
            os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as mark,
        ):
            mark.write(MARK)
        for name, content in _files(renamed):
            _put_intent(connection, name.partition(".")[0], content)
        _put_lines(connection, state / "audit")
    for name, content in _files(state / "applied"):
        _put_used(connection, name, number(content.get("until")))


def clear(state: Path | None) -> None:
    """Remove the files that were taken over. Where that fails they are read again, and change nothing."""
    for directory in (state / "intents-0.1", state / "applied") if state is not None else ():
        with contextlib.suppress(OSError):
            for path in directory.iterdir():
                path.unlink()
            directory.rmdir()


def _files(directory: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        names = sorted(name for name in os.listdir(directory) if name.endswith(".json"))
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            yield name[:-5], parsed((directory / name).read_bytes())


def _put_intent(connection: Connection, key: str, content: Mapping[str, Any]) -> None:
    """Add an open intent, damaged ones too: somebody must look at what they were."""
    order_id = _record(content.get("arguments")).get("order_id")
    environment, merchant = content.get("environment"), content.get("merchant")
    account = content.get("account") or (f"{environment}/{merchant or ''}" if environment else "")
    _add(
        connection,
        account=str(account),
        key=key,
        digest=str(content.get("digest") or ""),
        tool=str(content.get("tool") or ""),
        order_id=str(order_id or ""),
        outcome=None,
        sent=_seconds(content.get("opened_at")) or number(content.get("expires")) - DAY,
        closed=None,
        content=json.dumps({**content, "former": True}, separators=(",", ":"), default=str),
    )


def _put_used(connection: Connection, name: str, until: float) -> None:
    """Add an approval that was used, or a call that was carried out: by its key, or by its digest."""
    try:
        key = str(uuid.UUID(name))
    except ValueError:
        key = f"former-{name}"
    _add(
        connection,
        account="",
        key=key,
        digest=name,
        tool="",
        order_id="",
        outcome="applied",
        sent=until - DAY,
        closed=until - DAY,
        content=json.dumps({"former": True, "until": until}),
    )


def _put_lines(connection: Connection, directory: Path) -> None:
    """Add the writes that only the lines of the audit tell of, for the journal. Their keys are not those of intents: no
    approval is judged by them."""
    from sqlalchemy import select

    from kustom_mcp.state.database.tables import INTENTS

    sent, ended = _lines_of(directory)
    there = set(connection.execute(select(INTENTS.c.key)).scalars())
    for key, line in sent.items():
        arguments = _record(line.get("arguments"))
        if key in there or not (line.get("account") and line.get("tool") and arguments.get("order_id")):
            continue
        outcome, approval = ended.get(key, {}), str(line.get("reason") or "")
        means = approval.removeprefix(_APPROVED)
        approved = {"means": means, "approved_by": line.get("caller")} if means != approval else {}
        told = {name: arguments[name] for name in ("currency", "reason") if isinstance(arguments.get(name), str)}
        kept = {name: outcome[name] for name in ("correlation_id", "error") if outcome.get(name)}
        content = {**{name: line.get(name) for name in ("caller", "host")}, "arguments": arguments, "former": True}
        _add(
            connection,
            account=str(line["account"]),
            key=f"former-{key}",
            digest="",
            tool=str(line["tool"]),
            order_id=str(arguments["order_id"]),
            outcome=str(outcome.get("outcome") or "unknown"),
            sent=_seconds(line.get("time")),
            closed=_seconds(outcome.get("time")) or None,
            content=json.dumps({**content, **approved, **told, **kept}, separators=(",", ":"), default=str),
        )


def _lines_of(directory: Path) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """The first line of each intent in the audit files, and the line of its outcome, by key; as far as they can be
    read."""
    sent: dict[str, dict[str, Any]] = {}
    ended: dict[str, dict[str, Any]] = {}
    with contextlib.suppress(OSError):
        for path in sorted(directory.glob("audit-*.jsonl")):
            for text in path.read_bytes().splitlines():
                line = parsed(text)
                key, event = str(line.get("key") or ""), line.get("event")
                if key and event == "intent":
                    sent.setdefault(key, line)
                elif key and event == "outcome" and line.get("outcome") != "unknown":
                    ended[key] = line
    return sent, ended


def _record(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _add(connection: Connection, **row: Any) -> None:
    from kustom_mcp.state.database.dialects import insert
    from kustom_mcp.state.database.tables import INTENTS

    new = insert(connection, INTENTS).values(attempts=1, looks=0, looked=0.0, entry=None, sealed=None, **row)
    connection.execute(new.on_conflict_do_nothing())


def _seconds(value: object) -> float:
    try:
        return datetime.fromisoformat(str(value)).timestamp()
    except (ValueError, OverflowError):
        return 0.0
