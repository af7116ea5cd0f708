"""The issuer's key set, kept for a while, and read again when a token names a key that is not in it.

Three dangers shape it. Tokens with invented key ids must not make us hammer the issuer: one refresh at a time, and one
every ten seconds at most. A caller who leaves must not take the refresh of others along: it runs in a task of its own.
And the issuer may be down: the last keys stay in use then, but not for ever, because a key that the issuer withdrew
looks the same from here as one that it cannot confirm. A day leaves time to mend things; new tokens are not to be had
meanwhile, and the old ones run out by themselves.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self

import anyio
from anyio.abc import TaskGroup

from kustom_mcp.transport.oauth.algorithms import SigningKey
from kustom_mcp.transport.oauth.issuer import IssuerError, Published

LIFETIME: Final = 600.0
"""Seconds that keys are used without asking. A withdrawn key is trusted this long while the issuer answers."""
STALE: Final = 24 * 3600.0
"""Seconds that the last keys are used while the issuer does not answer."""
INTERVAL: Final = 10.0
"""Seconds between the ends of two refreshes, at least, whatever tokens say."""

log = logging.getLogger(__name__)


class KeysUnavailable(Exception):
    """A token cannot be checked now: the issuer does not answer, and no key known here fits."""


class KeySet:
    """Keys from `read`. An async context manager, entered once per process; entering starts the first refresh."""

    def __init__(
        self, read: Callable[[], Awaitable[Published]], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._clock = clock
        self._tasks: TaskGroup | None = None
        self._published: Published | None = None
        self._read_at = 0.0
        self._tried_at = float("-inf")
        self._failed = False
        self._refreshing: anyio.Event | None = None

    async def __aenter__(self) -> Self:
        self._tasks = await anyio.create_task_group().__aenter__()
        self._refresh()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks, self._tasks = self._tasks, None
        if tasks is not None:
            tasks.cancel_scope.cancel()
            await tasks.__aexit__(None, None, None)  # what ended the server is not for this group to wrap

    async def find(self, kid: str | None, algorithm: str) -> SigningKey | None:
        """The key of this id for this algorithm; None: the issuer has no such key. KeysUnavailable.

        A token without a key id is checked with the one key that fits its algorithm, if there is just one.
        """
        if self._usable is not None and self._age >= LIFETIME:
            self._refresh()  # for those who come later: what is at hand is good enough for this one
        key = self._pick(kid, algorithm)
        if key is None and await self._news():
            key = self._pick(kid, algorithm)
        if key is None and self._failed:
            raise KeysUnavailable
        return key

    async def issuer(self) -> str | None:
        """The issuer's name as it writes it itself; None as long as it has not answered."""
        if self._published is None:
            await self._news()
        return self._published.issuer if self._published else None

    @property
    def _age(self) -> float:
        return self._clock() - self._read_at

    @property
    def _usable(self) -> Published | None:
        return self._published if self._age < STALE else None

    def _pick(self, kid: str | None, algorithm: str) -> SigningKey | None:
        keys = self._usable.keys if self._usable else ()
        fitting = [key for key in keys if algorithm in key.algorithms and kid in (None, key.kid)]
        return fitting[0] if fitting and (kid is not None or len(fitting) == 1) else None

    async def _news(self) -> bool:
        """Wait for a refresh, the one that runs or a new one. False when none is due, or it failed."""
        running = self._refresh()
        if running is None:
            return False
        await running.wait()
        return not self._failed

    def _refresh(self) -> anyio.Event | None:
        """The refresh that runs now, started if one is due. None when none is."""
        if self._tasks is None:
            raise RuntimeError("Keys are found inside `async with` only.")
        if self._refreshing is None and self._clock() - self._tried_at >= INTERVAL:
            self._refreshing = anyio.Event()
            self._tasks.start_soon(self._replace, self._refreshing)
        return self._refreshing

    async def _replace(self, done: anyio.Event) -> None:
        """Ask for the keys, and keep the old ones when that fails. Raises nothing: others depend on this task group."""
        self._failed = True
        try:
            self._published = await self._read()
            self._read_at = self._clock()
            self._failed = False
        except IssuerError as error:
            kept = "the last known keys stay in use" if self._usable else "no access token can be checked"
            log.warning("The keys of the token issuer could not be read: %s; %s.", error, kept)
        except Exception:
            log.exception("Reading the keys of the token issuer failed.")
        finally:
            self._tried_at = self._clock()
            self._refreshing = None
            done.set()
        if not self._failed and self._published is not None and not self._published.keys:
            log.warning("The token issuer publishes no key that may sign; every access token is refused.")
