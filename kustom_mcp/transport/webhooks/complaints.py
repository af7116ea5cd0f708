"""What is said in the log about requests that anybody can send: at first, then at most once a minute, with a count."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

EVERY = 60.0  # seconds

log = logging.getLogger(__name__)


class Complaints:
    """Sentences of ours, each counted by itself."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said: dict[str, tuple[float, int]] = {}
        """When it was said last, and how often it would have been since."""

    def about(self, sentence: str) -> None:
        now = self._clock()
        said, since = self._said.get(sentence, (float("-inf"), 0))
        if now - said < EVERY:
            self._said[sentence] = said, since + 1
            return
        log.warning("%s%s", sentence, f" ({since} more since this was said last)" if since else "")
        self._said[sentence] = now, 0
