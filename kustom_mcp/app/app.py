"""One running server: its settings, API client, audit, open intents, limits and order book, from start to end.

It also keeps two promises that need one owner: writes to one order happen one after the other in this process, and a
write in flight is finished or cut at the drain limit, never abandoned because a client left.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from functools import cached_property
from math import inf
from typing import TYPE_CHECKING

import anyio

from kustom_mcp import __version__
from kustom_mcp.api.client import KustomClient
from kustom_mcp.app.fair_queue import ConcurrencyLimiter, RateLimiter
from kustom_mcp.app.running import RunningCalls
from kustom_mcp.app.telemetry import SILENT, Telemetry
from kustom_mcp.book import Book
from kustom_mcp.settings.environment import KeyFile
from kustom_mcp.settings.settings import TIMEZONE, ConfigError, Settings
from kustom_mcp.state.account import Account, account_of
from kustom_mcp.state.audit_log import AuditLog
from kustom_mcp.state.database import Store, StoreBusy, StoreUnavailable
from kustom_mcp.state.intents import Intents
from kustom_mcp.state.private_files import writable
from kustom_mcp.state.shared_cooldown import sharing
from kustom_mcp.state.spending_limits import SpendingLimits
from kustom_mcp.state.threads import in_thread

if TYPE_CHECKING:
    import httpx2 as httpx

    from kustom_mcp.api.observer import Observer
    from kustom_mcp.settings.shops_file import Shop
    from kustom_mcp.simulator.app import Simulator

log = logging.getLogger(__name__)

SANDBOX_USER = "sandbox"
SANDBOX_URL = "http://sandbox.invalid"
LEAST_SECONDS_TO_FINISH = 0.1
"""The time to record an outcome after the drain limit: less than a host waits after it."""
LEAST_FLUSH_SECONDS = 0.1
"""Seconds that telemetry has at the end even where waiting for a write has used up the drain limit."""


class Busy(Exception):
    """Another write to this order is still running, or the server is shutting down."""


def boottime() -> float:
    """Return seconds of a clock that goes on while the machine sleeps, where the system has one."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


@dataclass
class _Turn:
    lock: anyio.Lock = field(default_factory=anyio.Lock)
    waiting: int = 0


@dataclass
class App:
    """One running server: all that a call needs of the process. Build with `App.of`, enter `lifespan()` before use."""

    settings: Settings
    account: Account
    client: KustomClient
    audit: AuditLog
    intents: Intents
    limits: SpendingLimits
    book: Book
    telemetry: Telemetry = SILENT
    records: Store = field(default_factory=Store.memory)
    """The store of intents and counts: that of the replicas, else a file of the state directory, or memory."""
    store: Store | None = None
    """The database of the replicas, KUSTOM_STORE. None where records are kept in the state directory, or in memory."""
    simulator: Simulator | None = None
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    boottime: Callable[[], float] = boottime
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep
    concurrency: ConcurrencyLimiter = field(default_factory=ConcurrencyLimiter)
    rate_limiter: RateLimiter | None = None
    callers_differ: bool = False
    """Whether callers have tokens, so that an answer for one may differ from that for another."""
    zone: tzinfo = field(default_factory=lambda: _zone())
    """The time zone of the shop, which dates in questions are of."""
    shop: Shop | None = None
    """The shop that this is about, where the server has several."""
    failing: str | None = None
    """The reason why this shop, of several, cannot be used now, in words; None as far as is known."""
    is_current: Callable[[], bool] = lambda: True
    """Whether the shops file still has this shop as it was when the app was made."""
    draining: bool = False
    _turns: dict[str, _Turn] = field(default_factory=dict[str, _Turn])
    calls: RunningCalls = field(default_factory=RunningCalls)
    _shares_store: bool = False
    """Whether other shops of the server keep their records in the same store."""
    _drained_by: float | None = None
    _in_flight: set[anyio.CancelScope] = field(default_factory=set[anyio.CancelScope])

    @classmethod
    def of(
        cls,
        settings: Settings,
        *,
        simulator: Simulator | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        telemetry: Telemetry = SILENT,
        clock: Callable[[], float] = time.monotonic,
        shop: Shop | None = None,
        beside: App | None = None,
    ) -> App:
        """Build the app for these settings. In the sandbox the simulator is embedded; a transport or a clock is for
        tests. `shop`: the one that it is, of several; `beside`: another of them, with the same store."""
        if settings.sandboxed and transport is None:
            from kustom_mcp.app.sandbox import SandboxTransport
            from kustom_mcp.simulator.app import Simulator

            simulator = simulator or Simulator()
            transport = SandboxTransport(simulator)
        observer: Observer = telemetry
        if shop is not None:
            from kustom_mcp.app.health import Health  # only where there are several

            telemetry = telemetry.for_shop(shop.name)
            observer = Health(telemetry, lambda why: app.note_health(why))
        state, account = settings.state_path, account_of(settings)
        shared = beside.store if beside else shared_store(settings)
        records = beside.records if beside else shared or Store.file(state / "store.sqlite3" if state else None)
        client = KustomClient(
            base_url=SANDBOX_URL if settings.sandboxed else settings.base_url,
            username=SANDBOX_USER if settings.sandboxed else settings.username,
            api_key=KeyFile(settings),
            transport=transport,
            read_only=not settings.writes_allowed,
            proxy=settings.proxy.get_secret_value() if settings.proxy else None,
            user_agent=f"kustom-mcp/{__version__}",
            clock=clock,
            observer=observer,
        )
        app = cls(
            settings=settings,
            account=account,
            client=client,
            audit=AuditLog(state, settings.audit_log),
            intents=Intents(records, state=state, now=lambda: app.wall()),
            limits=SpendingLimits(records, account=account),
            book=Book.of(
                state,
                shared,
                account,
                settings.book_days,
                lambda: app.wall(),
                people=settings.keeps_people,
                beside=beside.book if beside and (state or shared) else None,  # one in memory ends with its shop
            ),
            records=records,
            store=shared,
            telemetry=telemetry,
            simulator=simulator,
            clock=clock,
            shop=shop,
            _shares_store=shop is not None,
        )
        if shop is not None:
            app.zone = _zone(shop.timezone)
        telemetry.retries(lambda: app.client.retries_left)
        return app

    def note_health(self, failing: str | None) -> None:
        """Note the reason why this shop cannot be used, or None, as its last request showed it."""
        self.failing = failing

    def use(self, records: Store) -> None:
        """Keep intents and counts in another store than that of the settings: for tests."""
        self.records = records
        self.intents = Intents(records, state=self.settings.state_path, now=lambda: self.wall())
        self.limits = SpendingLimits(records, account=self.account)

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[App]:
        """Open the HTTP client for as long as the server runs."""
        try:
            if self.simulator is not None:
                self.simulator.announce_to(self.book.announce)
            sharing_pauses = sharing(self.client.cool_down, self.store, self.account.name, self.wall)
            async with self.client, sharing_pauses, self.book.kept():
                yield self
        finally:
            if not self._shares_store:
                self.records.close()

    @cached_property
    def secret(self) -> bytes:
        """The random secret of the store, made once: a new API key ends neither codes nor records. ConfigError.

        Read once, so that all that seals in this process seals alike, also where the store cannot be read.
        """
        from kustom_mcp.state.secret import kept_secret

        try:
            return kept_secret(self.records, self.settings.state_path)
        except (OSError, StoreBusy, StoreUnavailable) as error:
            log.warning("the secret of the store cannot be read (%s): codes end with this run", type(error).__name__)
            return secrets.token_bytes(32)

    def now(self) -> datetime:
        """The time of day, in UTC."""
        return datetime.fromtimestamp(self.wall(), UTC)

    def local(self, moment: int) -> str:
        """Write a time, given in unix milliseconds, as people of the shop read it."""
        return f"{datetime.fromtimestamp(moment / 1000, self.zone):%Y-%m-%d %H:%M}"

    @asynccontextmanager
    async def turn(self, order_id: str, *, within: float) -> AsyncGenerator[None]:
        """Wait for this order's turn to be written to, at most `within` seconds. Busy when it does not come."""
        turn = self._turns.setdefault(order_id, _Turn())
        turn.waiting += 1
        try:
            with anyio.move_on_after(within) as scope:
                await turn.lock.acquire()
            if scope.cancelled_caught:
                raise Busy
            try:
                yield
            finally:
                turn.lock.release()
        finally:
            turn.waiting -= 1
            if not turn.waiting:
                del self._turns[order_id]

    @contextmanager
    def shielded(self, seconds: float) -> Generator[anyio.CancelScope]:
        """Finish the block although its caller left, but within `seconds` or the drain limit."""
        if self.draining:
            raise Busy
        with self._in_time(anyio.current_time() + seconds) as scope:
            yield scope

    @contextmanager
    def finishing(self, seconds: float) -> Generator[anyio.CancelScope]:
        """Finish the end of a write like `shielded`; it has a moment even after the drain limit."""
        limit = inf if self._drained_by is None else self._drained_by
        last = max(limit, anyio.current_time() + LEAST_SECONDS_TO_FINISH)
        with self._in_time(min(last, anyio.current_time() + seconds)) as scope:
            yield scope

    @contextmanager
    def _in_time(self, deadline: float) -> Generator[anyio.CancelScope]:
        with anyio.CancelScope(shield=True, deadline=deadline) as scope:
            self._in_flight.add(scope)
            self.telemetry.in_flight(1)
            try:
                yield scope
            finally:
                self._in_flight.discard(scope)
                self.telemetry.in_flight(-1)

    def running(self) -> AbstractContextManager[None]:
        """Note that a tool call runs, so that the end of the process can wait for its answer."""
        return self.calls.running()

    async def store_writable(self) -> bool:
        """Return whether the records of a write can be written. Takes a few seconds at most."""
        directory = self.settings.state_path
        if directory is not None and not await in_thread(lambda: writable(directory)):
            return False
        try:
            if self.store is not None:
                await in_thread(self.store.writable)
        except (StoreBusy, StoreUnavailable):
            return False
        return True

    @property
    def calls_in_flight(self) -> int:
        """The number of tool calls that run."""
        return self.calls.count

    async def idle(self) -> None:
        """Wait until all tool calls that run now have ended."""
        await self.calls.idle()

    def drain(self, seconds: float) -> None:
        """Start no more writes, and give those in flight this long."""
        self.draining = True
        self._drained_by = limit = anyio.current_time() + seconds
        for scope in self._in_flight:
            scope.deadline = min(scope.deadline, limit)

    async def flush_telemetry(self, seconds: float) -> None:
        """Let telemetry export all that it holds, within so many seconds and before the drain limit."""
        if self.telemetry.on:
            left = seconds if self._drained_by is None else min(seconds, self._drained_by - anyio.current_time())
            await anyio.to_thread.run_sync(self.telemetry.finish, max(LEAST_FLUSH_SECONDS, left))


def _zone(name: str = TIMEZONE) -> tzinfo:
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


def shared_store(settings: Settings) -> Store | None:
    """Open the store of KUSTOM_STORE. ConfigError."""
    if settings.store is None:
        return None
    try:
        return Store.postgres(settings.store)
    except ImportError:
        problem = "It needs the extra `postgres`: install kustom-mcp[postgres]."
    except ValueError as error:
        problem = str(error)
    raise ConfigError("KUSTOM_STORE", problem)
