"""The shops of one running server: an app for each, opened by its first use, and replaced when the shops file changes.

A call is bound to one app and keeps it to its end: one that is taken out, or changed, gets no new calls, and is closed
when its last one has ended. Shops that keep their records in one place share its store and its file of the book, whose
rows are an account's; nothing else is shared.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskGroup, TaskStatus

from kustom_mcp.app.app import App
from kustom_mcp.app.running import RunningCalls
from kustom_mcp.app.telemetry import SILENT, Telemetry
from kustom_mcp.settings.settings import Settings
from kustom_mcp.settings.shops_file import Shop, ShopsFile

if TYPE_CHECKING:
    from kustom_mcp.app.fair_queue import RateLimiter

log = logging.getLogger(__name__)

MakeApp = Callable[[Shop, App | None], App]
"""A function that builds the app of a shop; its second argument is an app with the same store, or None."""


@dataclass(eq=False)
class OpenShop:
    """A shop while it is served."""

    shop: Shop
    app: App
    opened: bool = False
    _opening: anyio.Lock = field(default_factory=anyio.Lock)
    _retired: anyio.Event = field(default_factory=anyio.Event)

    @property
    def name(self) -> str:
        """The name of the shop."""
        return self.shop.name

    @property
    def failing(self) -> str | None:
        """The reason why it cannot be used now, in words; None as far as is known."""
        return self.app.failing

    async def open(self, group: TaskGroup) -> App:
        """Open the app in this group, if it is not."""
        async with self._opening:
            if not self.opened:
                await group.start(self._keep)
        return self.app

    async def _keep(self, *, task_status: TaskStatus[None]) -> None:
        try:
            async with self.app.lifespan():
                self.opened = True
                task_status.started()
                await self._retired.wait()
                await self.app.idle()
        except Exception:
            if not self.opened:
                raise  # to the call that opens it
            log.exception("the shop %s failed; the others go on", self.name)
        finally:
            self.opened = False

    async def retired(self) -> None:
        """Wait until the shop has been taken out or changed, and is given no more calls."""
        await self._retired.wait()

    def retire(self) -> None:
        """Give it no more calls, and close it when its last one has ended."""
        self._retired.set()


class Shops:
    """The shops of one server, and its life. `settings`: those of the environment, which bound each shop."""

    def __init__(
        self,
        file: ShopsFile,
        settings: Settings,
        *,
        telemetry: Telemetry = SILENT,
        make: MakeApp | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.telemetry = telemetry
        self.clock = clock
        self.rate_limiter: RateLimiter | None = None
        self.callers_differ = False
        self.draining = False
        self.calls = RunningCalls()
        self._file = file
        self._make = make or self._app_of
        self._drained: float | None = None
        self._listed: Mapping[str, Shop] = {}
        self._shops: dict[str, OpenShop] = {}
        self._group: TaskGroup | None = None
        self.now()

    def now(self) -> dict[str, OpenShop]:
        """The shops as the file has them now, by name."""
        listed = self._file()
        if listed is not self._listed:
            self._listed = listed
            before, self._shops = self._shops, {}
            for name, shop in listed.items():
                known = before.pop(name, None)
                if known is not None and not shop.differs(known.shop):
                    self._shops[name] = known
                    continue
                if known is not None:
                    known.retire()
                self._shops[name] = made = OpenShop(shop, self._make(shop, self._beside(shop, known)))
                made.app.is_current = partial(self._is_current, made)
            for gone in before.values():
                gone.retire()
        return self._shops

    def _is_current(self, one: OpenShop) -> bool:
        return self.now().get(one.name) is one

    def _beside(self, shop: Shop, before: OpenShop | None) -> App | None:
        """Return an app whose store is that of this shop, too. `before`: the shop as it was."""
        place = (shop.settings.state_path, shop.settings.store)
        others = [*self._shops.values(), *([before] if before else [])]
        same = (one for one in others if (one.app.settings.state_path, one.app.settings.store) == place)
        return next((one.app for one in same), None)

    def _app_of(self, shop: Shop, beside: App | None) -> App:
        simulator = None
        if shop.settings.sandboxed:
            from kustom_mcp.app.sandbox import simulator_of

            simulator = simulator_of(shop.name)
        return App.of(shop.settings, simulator=simulator, telemetry=self.telemetry, shop=shop, beside=beside)

    @property
    def keeper(self) -> App:
        """The app whose secret seals what belongs to no single shop: one of a real account, if there is one."""
        apps = [one.app for one in self.now().values()]
        return next((app for app in apps if not app.settings.sandboxed), apps[0])

    async def opened(self, one: OpenShop) -> App:
        """Open a shop, if it is not. Use inside the lifespan."""
        assert self._group is not None
        app = await one.open(self._group)
        app.rate_limiter = self.rate_limiter
        if self.draining and not app.draining:
            app.drain(max(0.0, (self._drained or 0.0) - anyio.current_time()))
        return app

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[Shops]:
        """Keep the shops open that are used, for as long as the server runs."""
        try:
            async with anyio.create_task_group() as group:
                self._group = group
                try:
                    yield self
                finally:
                    for one in self._shops.values():
                        one.retire()
        finally:
            self._group = None
            for one in self._shops.values():
                one.app.records.close()

    def running(self) -> AbstractContextManager[None]:
        """Note that a tool call runs, so that the end of the process can wait for its answer."""
        return self.calls.running()

    @property
    def calls_in_flight(self) -> int:
        """The number of tool calls that run."""
        return self.calls.count

    async def idle(self) -> None:
        """Wait until all tool calls that run now have ended."""
        await self.calls.idle()

    def drain(self, seconds: float) -> None:
        """Start no more writes in any shop, and give those in flight this long."""
        self.draining = True
        self._drained = anyio.current_time() + seconds
        for one in self._shops.values():
            one.app.drain(seconds)

    async def flush_telemetry(self, seconds: float) -> None:
        """Let telemetry export all that it holds, as `App.flush_telemetry`."""
        await next(iter(self._shops.values())).app.flush_telemetry(seconds)

    async def store_writable(self) -> bool:
        """Return whether the records of a write can be written in all shops."""
        places: dict[int, App] = {id(one.app.records): one.app for one in self.now().values()}
        return all([await app.store_writable() for app in places.values()])

    def failing(self) -> dict[str, str]:
        """The shops that cannot be used now, as far as is known, and why."""
        return {name: one.failing for name, one in self.now().items() if one.failing is not None}
