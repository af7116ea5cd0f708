"""Limits on what one caller may take of a server that many share: calls a second, and requests at a time.

`RateLimiter` limits how fast calls may come: a bucket of tokens for each caller, and one for all together.
`ConcurrencyLimiter` limits how many requests to Kustom are under way: callers take turns, and none may have all of
them. While a person is being asked, a call holds neither.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

REQUESTS = 64
"""Requests to Kustom under way: as many as the HTTP client keeps connections."""
REQUESTS_EACH = 48
"""Requests to Kustom under way for one caller: a quarter of all is always left for the others."""

CALLS_OF_ONE = (50.0, 200.0)
"""The pace of one caller: calls a second, and how many may come at once."""
ALL_CALLS = (1000.0, 4000.0)
FORGET_AFTER = 60.0  # seconds without a call after which a bucket is certainly full again


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float

    def wait(self, now: float, per_second: float, most: float) -> float:
        """Take a token; else the seconds until there is one."""
        self.tokens = min(most, self.tokens + max(0.0, now - self.at) * per_second)
        self.at = now
        if self.tokens >= 1.0:
            self.tokens -= 1.0
            return 0.0
        return (1.0 - self.tokens) / per_second


class RateLimiter:
    """A limit on how fast calls may come. `each` and `together`: calls a second, and how many may come at once."""

    def __init__(
        self,
        each: tuple[float, float] = CALLS_OF_ONE,
        together: tuple[float, float] = ALL_CALLS,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._each = each
        self._together = together
        self._clock = clock
        self._all = _Bucket(together[1], clock())
        self._callers: OrderedDict[str, _Bucket] = OrderedDict()
        """Least recently active first."""

    def wait(self, caller: str) -> float:
        """Count a call and return 0 if it may go on; else return the seconds until one may, uncounted."""
        now = self._clock()
        self._forget(now)
        bucket = self._callers.setdefault(caller, _Bucket(self._each[1], now))
        self._callers.move_to_end(caller)
        return bucket.wait(now, *self._each) or self._all.wait(now, *self._together)

    def _forget(self, now: float) -> None:
        """Drop the buckets of callers that have been quiet long enough for theirs to be full."""
        while self._callers:
            oldest = next(iter(self._callers))
            if now - self._callers[oldest].at < FORGET_AFTER:
                return
            del self._callers[oldest]


class QueueTimeout(Exception):
    """No slot became free in time."""


class ConcurrencyLimiter:
    """A limit on the requests under way, in all and of one caller. Waiting callers are admitted in turn, one each."""

    def __init__(self, total: int = REQUESTS, each: int = REQUESTS_EACH) -> None:
        self._free = total
        self._each = each
        self._taken: dict[str, int] = {}
        self._waiting: OrderedDict[str, deque[anyio.Event]] = OrderedDict()

    @asynccontextmanager
    async def slot(self, caller: str, *, within: float) -> AsyncGenerator[None]:
        """Hold a slot for one request, when it is this caller's turn. QueueTimeout after `within` seconds."""
        if self._free and not self._waiting and self._taken.get(caller, 0) < self._each:
            self._take(caller)
        else:
            with anyio.move_on_after(within) as scope:
                await self._queue(caller)
            if scope.cancelled_caught:
                raise QueueTimeout
        try:
            yield
        finally:
            self._give_back(caller)

    async def _queue(self, caller: str) -> None:
        turn = anyio.Event()
        self._waiting.setdefault(caller, deque()).append(turn)
        self._admit()
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():  # it came at the moment that the caller left
                self._give_back(caller)
            else:
                self._leave(caller, turn)
            raise

    def _leave(self, caller: str, turn: anyio.Event) -> None:
        self._waiting[caller].remove(turn)
        if not self._waiting[caller]:
            del self._waiting[caller]

    def _take(self, caller: str) -> None:
        self._free -= 1
        self._taken[caller] = self._taken.get(caller, 0) + 1

    def _give_back(self, caller: str) -> None:
        self._free += 1
        self._taken[caller] -= 1
        if not self._taken[caller]:
            del self._taken[caller]
        self._admit()

    def _admit(self) -> None:
        """Give free slots to the callers that wait: one each, in turn."""
        while self._free:
            caller = next((name for name in self._waiting if self._taken.get(name, 0) < self._each), None)
            if caller is None:
                return
            turn = self._waiting[caller].popleft()
            if self._waiting[caller]:
                self._waiting.move_to_end(caller)
            else:
                del self._waiting[caller]
            self._take(caller)
            turn.set()
