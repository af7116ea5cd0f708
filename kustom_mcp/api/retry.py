"""The decision to try again, and when: pure functions, a retry budget and a pause that all calls share.

Clocks and randomness are given, so that every decision can be tested without waiting. Times are seconds of a monotonic
clock. Full jitter, because callers that failed together must not come back together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from kustom_mcp.api.outcome import Outcome


@dataclass(frozen=True)
class RetryPolicy:
    """The attempts of a call and the pauses between them. `attempts` counts all; `first` and `longest` bound the
    backoff, in seconds."""

    attempts: int
    first: float = 0.25
    longest: float = 8.0


READS: Final = RetryPolicy(attempts=3)
WRITES: Final = RetryPolicy(attempts=4)
"""One sending and up to three more with the same key."""

LONGEST_PAUSE: Final = 60.0
"""The longest pause for all calls after one Retry-After, in seconds. A nonsense value must not stop the process for a
year."""

URGENT_PAUSE: Final = 1.0
"""Seconds that an approved write, and a read that it needs, wait at most for a pause."""

LONGEST_RETRY_AFTER: Final = 86_400.0


def next_wait(
    number: int,
    outcome: Outcome,
    *,
    policy: RetryPolicy,
    now: float,
    deadline: float,
    retry_after: float | None,
    rand: Callable[[], float],
) -> float | None:
    """Return the seconds from the end of attempt `number` (from 1) to the next one, or None to stop.

    A Retry-After is obeyed, with the jitter on top, when it fits before the deadline; when it does not, there is no
    point in trying earlier.
    """
    if outcome in (Outcome.APPLIED, Outcome.REFUSED) or number >= policy.attempts:
        return None
    backoff = rand() * min(policy.longest, policy.first * 2 ** (number - 1))
    wait = backoff + (retry_after or 0.0)
    return wait if now + wait < deadline else None


def parse_retry_after(text: str | None, wall: float) -> float | None:
    """Parse a Retry-After header into seconds from now: whole seconds or an HTTP date. Nonsense is None; the past is 0.

    `wall` is the time of day as a POSIX timestamp.
    """
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return min(float(text), LONGEST_RETRY_AFTER)
    when = parse_date(text)
    return None if when is None else min(max(when - wall, 0.0), LONGEST_RETRY_AFTER)


def parse_date(text: str | None) -> float | None:
    """Parse an HTTP date into a POSIX timestamp. Nonsense is None."""
    try:
        when = parsedate_to_datetime(text or "")
        return when.replace(tzinfo=when.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        return None


class RetryBudget:
    """The retries that all reads of a process may make together: a bucket of tokens that refills with time.

    When Kustom is down, every call fails and every call would try three times: the budget keeps us from tripling its
    load.
    """

    def __init__(self, clock: Callable[[], float], *, capacity: float = 30.0, per_second: float = 1.0) -> None:
        self._clock = clock
        self._capacity = capacity
        self._per_second = per_second
        self._tokens = capacity
        self._at = clock()

    def take(self) -> bool:
        """Take one retry. Return False when there is none left: the caller stops."""
        now = self._clock()
        self._tokens, self._at = self._refilled(now), now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    @property
    def left(self) -> float:
        """The number of retries now."""
        return self._refilled(self._clock())

    def _refilled(self, now: float) -> float:
        return min(self._capacity, self._tokens + (now - self._at) * self._per_second)


class CoolDown:
    """The pause of all calls after a 429: none is sent before it has passed, but for what is urgent.

    `started`, when it is set, is told the seconds of each pause that begins here, so that replicas can be told.
    """

    def __init__(self, clock: Callable[[], float], *, usual: float = 1.0) -> None:
        self._clock = clock
        self._usual = usual
        self._until = clock()
        self.started: Callable[[float], None] | None = None

    def start(self, retry_after: float | None) -> None:
        """Begin or lengthen the pause: as long as Kustom asked, within LONGEST_PAUSE."""
        pause = self._usual if retry_after is None else min(retry_after, LONGEST_PAUSE)
        self.join(pause)
        if self.started is not None:
            self.started(pause)

    def join(self, seconds: float) -> None:
        """Pause for so long because another replica was told to, within LONGEST_PAUSE."""
        self._until = max(self._until, self._clock() + min(seconds, LONGEST_PAUSE))

    @property
    def remaining(self) -> float:
        """Seconds until the end of the pause, 0 without one."""
        return max(0.0, self._until - self._clock())
