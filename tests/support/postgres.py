"""A real PostgreSQL for tests: one that is started here from the system's packages, or one that is there.

KUSTOM_TEST_POSTGRES names the URL of an account that may create databases; without it the server is started in a
directory of its own, with a port of its own, as another user where we are root. Every test has its own database.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

PASSWORD = "canary-pass-word-7c1e"
USER = "canary_user_91af"
STARTING = 120  # seconds
QUICK = ("fsync=off", "full_page_writes=off", "shared_buffers=16MB", "max_connections=60", "autovacuum=off")


class Postgres:
    """A server of our own that can be stopped, killed and frozen."""

    def __init__(self, binaries: Path, directory: Path) -> None:
        self._binaries = binaries
        self._data = directory / "data"
        self._password = directory / "password"
        self._password.write_text(PASSWORD)
        self._user = "nobody" if os.getuid() == 0 else None
        if self._user:
            for path in (directory, self._password):
                shutil.chown(path, self._user)
        self._run(
            "initdb", "-D", str(self._data), "-U", USER, "--auth=scram-sha-256", "--pwfile", str(self._password),
            "--no-sync", "--no-locale", "--encoding=UTF8",
        )  # fmt: skip
        self.port = _free_port()
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        settings = " ".join(f"-c {setting}" for setting in QUICK)
        options = f"-h 127.0.0.1 -p {self.port} -k '' {settings}"
        self._run("pg_ctl", "start", "-D", str(self._data), "-w", "-t", str(STARTING), "-o", options)

    def stop(self, how: str = "fast") -> None:
        """`how`: fast is an orderly end, immediate is a crash."""
        self._run("pg_ctl", "stop", "-D", str(self._data), "-w", "-t", str(STARTING), "-m", how)

    @contextmanager
    def frozen(self) -> Generator[None]:
        """Every process of it stands still; connections stay open and nobody answers."""
        first = int((self._data / "postmaster.pid").read_text().split()[0])
        processes = [first, *map(int, Path(f"/proc/{first}/task/{first}/children").read_text().split())]
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                os.kill(process, signal.SIGCONT)

    def _run(self, program: str, *arguments: str) -> None:
        as_user = ["setpriv", f"--reuid={self._user}", "--regid=nogroup", "--clear-groups"] if self._user else []
        done = subprocess.run(
            [*as_user, str(self._binaries / program), *arguments],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "TZ": "UTC"},
            check=False,
        )
        assert done.returncode == 0, f"{program} ended with {done.returncode}"


def binaries() -> Path | None:
    """The folder of initdb and its companions; the newest version."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    beside = shutil.which("initdb")
    return found[-1].parent if found else Path(beside).parent if beside else None


@contextmanager
def own_server() -> Generator[Postgres]:
    """A server that ends with the block."""
    where = binaries()
    assert where is not None
    directory = Path(tempfile.mkdtemp(prefix="kustom-postgres-"))
    try:
        server = Postgres(where, directory)
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def database(url: str) -> Generator[str]:
    """The URL of a new database of that server; it goes with the block."""
    name = f"kustom_test_{secrets.token_hex(6)}"
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} STRATEGY file_copy").format(sql.Identifier(name)))
    try:
        yield url.rpartition("/")[0] + f"/{name}"
    finally:
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def query(url: str, statement: str) -> list[tuple[object, ...]]:
    """Run a statement of the test itself."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
