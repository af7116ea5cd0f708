"""The client: reads and writes against one Kustom account, with their attempts, their key and the check of an effect.

A read is asked up to three times. A write is one intent with one idempotency key, which every attempt carries; it goes
out again only when the last attempt provably did nothing (no connection, 429), or when looking at the order has shown
that the effect of an ambiguous attempt is absent. While any attempt of a write is in doubt, only finding its effect
ends the doubt: a later refusal may be the refusal of doing it twice, and says nothing about a first attempt that is
still on its way or does not show yet.

The client does not shield a write from cancellation: the caller does, since it must record the outcome as well.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import anyio
import httpx2 as httpx
from pydantic import SecretStr

from kustom_mcp.api import responses, retry
from kustom_mcp.api.connection import ApiConnection
from kustom_mcp.api.endpoint import Authority, Read, Write, url_for
from kustom_mcp.api.errors import WritesOff
from kustom_mcp.api.observer import NOBODY, Observer
from kustom_mcp.api.outcome import Outcome
from kustom_mcp.api.reconcile import EffectCheck, Landed, Written, look
from kustom_mcp.api.send import READ_SECONDS, AttemptResult, PreparedRequest, send_once

T = TypeVar("T")

LOOKING_SHARE: Final = 1 / 3
"""The part of a write's time that is kept for checking its effect: a lost answer must not eat all of it."""


class KustomClient:
    """Kustom's Order Management API for one account. An async context manager; open it once per process.

    `api_key`: the key, or a function that returns it for each request. Deadlines are absolute values of `clock`, in
    seconds. `read_only` refuses anything but GET before a request exists. `clock`, `wall` (time of day, for Retry-After
    dates), `sleep` and `rand` are given so that tests need not wait. `observer` is told of every request.
    """

    def __init__(
        self,
        base_url: str,
        username: str,
        api_key: SecretStr | Callable[[], SecretStr],
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        read_only: bool = False,
        proxy: str | None = None,
        user_agent: str = "kustom-mcp",
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        rand: Callable[[], float] = random.random,
        budget: retry.RetryBudget | None = None,
        observer: Observer = NOBODY,
    ) -> None:
        key = (lambda: api_key) if isinstance(api_key, SecretStr) else api_key
        self._connection = ApiConnection(base_url, username, key, transport, proxy, user_agent)
        self._base = self._connection.base()
        self._server = (self._base.host, self._base.port or (443 if self._base.scheme == "https" else 80))
        self._read_only = read_only
        self._clock = clock
        self._wall = wall
        self._sleep = sleep
        self._rand = rand
        self._budget = budget or retry.RetryBudget(clock)
        self.cool_down = retry.CoolDown(clock)
        """The pause after a 429, for all calls. A 429 that another replica received may lengthen it."""
        self.ahead = 0.0
        """Seconds by which Kustom's clock was ahead of `wall` at its last answer with a `Date`."""
        self._observer = observer
        self._entered = False
        self._opened: tuple[httpx.AsyncClient, httpx.AsyncClient] | None = None

    def __repr__(self) -> str:
        return f"KustomClient({str(self._base)!r}, read_only={self._read_only})"

    async def __aenter__(self) -> Self:
        self._entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        opened, self._opened, self._entered = self._opened, None, False
        for http in opened or ():
            await http.aclose()

    @property
    def retries_left(self) -> float:
        """The number of retries that all calls together may make now."""
        return self._budget.left

    def _http(self, method: str) -> httpx.AsyncClient:
        """Return the HTTP client, opened by the first request: TLS contexts take 20 ms each, which a start need not
        wait for."""
        if not self._entered:
            raise RuntimeError("The client is used inside `async with` only.")
        if self._opened is None:
            self._opened = self._connection.open()
        reading, writing = self._opened
        return reading if method == "GET" else writing

    async def read(self, endpoint: Read[T], *, deadline: float, **path: str) -> T:
        """Read, with up to three attempts before the deadline.

        Raises NotSent, Refused and its kinds, Unavailable, ProtocolError.
        """
        return await self._read(endpoint, deadline, path, urgent=False)

    async def read_for_write(self, endpoint: Read[T], *, deadline: float, **path: str) -> T:
        """Read what an approved write needs: it waits for no long pause of others, and takes nothing from the budget.
        Raises as `read` does."""
        return await self._read(endpoint, deadline, path, urgent=True)

    async def _read(self, endpoint: Read[T], deadline: float, path: dict[str, str], *, urgent: bool) -> T:
        request = PreparedRequest("GET", url_for(self._base, endpoint, path), endpoint.template, {})
        number = 0
        while True:
            number += 1
            attempt = await self._attempt(number, request, deadline, urgent=urgent)
            if attempt.outcome is Outcome.APPLIED:
                return responses.parsed(endpoint, attempt, path)
            if not await self._pause(number, attempt, deadline, retry.READS, urgent=urgent):
                raise responses.read_failure(attempt)

    async def write(
        self,
        endpoint: Write,
        authority: Authority,
        *,
        deadline: float,
        body: Mapping[str, Any] | None = None,
        check_effect: EffectCheck | None = None,
        before_send: Callable[[], Awaitable[None]] | None = None,
        **path: str,
    ) -> Written:
        """Write once, with as many attempts as it takes to know that it was done once.

        `before_send` runs once, after every refusal that needs no network and before the first attempt; an exception in
        it stops the write. `check_effect` looks whether the effect of an ambiguous attempt is there. Raises NotSent,
        Refused and its kinds: nothing was done; OutcomeUnknown: it may have been.
        """
        request = self._prepared(endpoint, authority, body, path)
        share = 1.0 if check_effect is None else 1.0 - LOOKING_SHARE
        if before_send is not None:
            await before_send()
        doubt: AttemptResult | None = None
        number = 0
        while True:
            number += 1
            attempt = await self._attempt(number, request, deadline, share, urgent=True)
            if attempt.outcome is Outcome.APPLIED:
                return responses.written(endpoint, attempt, number, path)
            if attempt.outcome is Outcome.AMBIGUOUS:
                doubt = attempt
            again = await self._pause(number, attempt, deadline, retry.WRITES, urgent=True)
            if doubt is not None:
                landed = await look(check_effect)
                if landed is Landed.PRESENT:
                    return Written(None, resolved=True, attempts=number)
                if landed is Landed.UNCLEAR or not again:
                    raise responses.unknown(doubt, attempt)
            elif not again:
                raise responses.nothing_done(attempt)

    def _prepared(
        self, endpoint: Write, authority: Authority, body: Mapping[str, Any] | None, path: dict[str, str]
    ) -> PreparedRequest:
        """Return the request of a write, the same for each attempt; every refusal that needs no network happens
        here."""
        if not isinstance(authority, Authority):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError("A write needs an Authority.")
        if self._read_only:
            raise WritesOff
        if (body is None) != (endpoint.takes is None):
            raise TypeError(f"{endpoint.name} takes {endpoint.takes or 'no body'}.")
        headers = {"klarna-idempotency-key": str(authority.key)}
        url = url_for(self._base, endpoint, path)
        if body is None:
            return PreparedRequest(endpoint.method, url, endpoint.template, headers)
        headers["content-type"] = "application/json"
        return PreparedRequest(endpoint.method, url, endpoint.template, headers, encode(body))

    async def _attempt(
        self, number: int, request: PreparedRequest, deadline: float, share: float = 1.0, *, urgent: bool
    ) -> AttemptResult:
        """Send once, as soon as the shared pause allows, within a share of the time that is left.

        What is urgent waits for a second of a pause at most: a read of somebody else's that Kustom wants to have later
        stops no approved write. If Kustom wants that later, too, its answer says so.
        """
        if urgent and self.cool_down.remaining:
            await self._sleep(min(self.cool_down.remaining, retry.URGENT_PAUSE))
        while not urgent and (pause := self.cool_down.remaining):
            if self._clock() + pause >= deadline:
                return AttemptResult(Outcome.NOT_SENT, "cool_down", status=429, retry_after=pause)
            await self._sleep(pause)
        http = self._http(request.method)
        left = deadline - self._clock()
        if left <= 0:
            return AttemptResult(Outcome.NOT_SENT, "deadline")
        with self._observer.attempt(request.method, request.template, self._server, number - 1) as seen:
            attempt = await send_once(http, request, seconds=min(READ_SECONDS, left * share), wall=self._wall)
            theirs = retry.parse_date(attempt.headers.get("date"))
            self.ahead = self.ahead if theirs is None else theirs - self._wall()
            attempt = self._connection.redacted(attempt)
            seen.answered(attempt.outcome.value, attempt.status, attempt.error)
        if attempt.status == 429:
            self.cool_down.start(attempt.retry_after)
        return attempt

    async def _pause(
        self, number: int, attempt: AttemptResult, deadline: float, policy: retry.RetryPolicy, *, urgent: bool
    ) -> bool:
        """Wait until the next attempt is due. Return False if there is to be none.

        The budget is for reads. Writes are few, by their limit of a minute, and one that is not sent again after a
        fault is in doubt: what other calls have met must not cause that.
        """
        wait = retry.next_wait(
            number,
            attempt.outcome,
            policy=policy,
            now=self._clock(),
            deadline=deadline,
            retry_after=attempt.retry_after,
            rand=self._rand,
        )
        if wait is None:
            return False
        if not urgent and not self._budget.take():
            self._observer.out_of_retries()
            return False
        await self._sleep(wait)
        return True


def encode(body: Mapping[str, Any]) -> bytes:
    """Encode a JSON body: compact, UTF-8. A lone surrogate, which UTF-8 cannot carry, becomes the replacement
    character."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode("utf-8")
