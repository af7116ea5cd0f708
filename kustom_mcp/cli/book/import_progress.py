"""The progress of an import: outcomes of rows, counted and reported in the order of the lines, and the last line done.

Orders are read side by side and finish in any order. A line counts as done when it and every line before it are
finished; one that could not be read holds that back, so that the next run comes to it again.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter, OrderedDict
from collections.abc import Callable

from kustom_mcp.cli.book.bulk_read import Piece, ReadOutcome

REMEMBERED = 10_000
"""Orders of which a second row is known to be one: an export of order lines names an order in several rows."""

_COUNTED = (
    ("read", "read", True),
    ("fresh", "already fresh", True),
    ("repeated", "repeated", False),
    ("elsewhere", "of other payment methods than Kustom's", False),
    ("rejected", "rejected", True),
    ("unread", "not read", False),
)


class ImportProgress:
    """The progress of one run. `say` gets each row that was rejected or not read.

    `after`: the line up to which an earlier run had finished; `rejected`: how many rows up to there it rejected.
    """

    def __init__(self, say: Callable[[str], None], after: int = 0, rejected: int = 0) -> None:
        self._say = say
        self._after = after
        self._before = rejected
        self._rejected_done = rejected
        self._rejected: list[int] = []
        """Rejected lines, of which some may come after the last line done."""
        self._counts: Counter[str] = Counter()
        self._last = after
        self._open: dict[int, None] = {}
        self._unread: float = math.inf
        self._reports: list[tuple[int, str]] = []
        self._outcomes: OrderedDict[str, tuple[ReadOutcome, str] | list[int]] = OrderedDict()
        """The outcome of an order; until it is known, the further lines that name it."""

    def begin(self, line: int, order_id: str) -> bool:
        """Begin a row with an order id. True when the order must be looked up."""
        self._begin(line)
        known = self._outcomes.get(order_id)
        if known is None:
            self._outcomes[order_id] = []
            if len(self._outcomes) > REMEMBERED:
                self._outcomes.popitem(last=False)
            return True
        if isinstance(known, list):
            known.append(line)
        else:
            self._repeat(line, *known)
        return False

    def reject(self, line: int, why: str) -> None:
        """Finish a row without an order id."""
        self._begin(line)
        self._end(line, ReadOutcome.REJECTED, why)

    def elsewhere(self, line: int) -> None:
        """Finish a row of which Kustom has no order, because it was paid in another way."""
        self._begin(line)
        self._end(line, ReadOutcome.READ, "", "elsewhere")

    def fresh(self, line: int, order_id: str) -> None:
        """Finish a row whose order the book has read recently."""
        self._finish(line, order_id, ReadOutcome.READ, "", "fresh")

    def finish(self, piece: Piece, ends: ReadOutcome, why: str) -> None:
        """Finish the rows of an order that was to be read."""
        self._finish(piece.key, piece.order_id, ends, why, ends.value)

    @property
    def done(self) -> int:
        """The last line before which every line is finished."""
        first = min(next(iter(self._open), math.inf), self._unread)
        return self._last if first == math.inf else int(first) - 1

    @property
    def rejected(self) -> int:
        """Number of rows rejected up to the line that is done."""
        done = self.done
        while self._rejected and self._rejected[0] <= done:
            heapq.heappop(self._rejected)
            self._rejected_done += 1
        return self._rejected_done

    @property
    def all_read(self) -> bool:
        """True if every row of the file led to an order that the book knows, or is not Kustom's."""
        return not self._before and not self._counts["rejected"] and not self._counts["unread"]

    @property
    def complete(self) -> bool:
        return not self._open and self._unread == math.inf

    @property
    def counts(self) -> str:
        """The counts so far, in words."""
        return ", ".join(
            f"{self._counts[name]:,} {words}" for name, words, always in _COUNTED if always or self._counts[name]
        )

    @property
    def summary(self) -> str:
        """The counts of this run, and what was rejected before it."""
        rows = self._counts.total()
        since = f" after line {self._after:,}" if self._after else ""
        before = f"; {self._before:,} rejected before that" if self._before else ""
        return f"{rows:,} row{'' if rows == 1 else 's'}{since}: {self.counts}{before}."

    def _begin(self, line: int) -> None:
        self._last = line
        self._open[line] = None

    def _finish(self, line: int, order_id: str, ends: ReadOutcome, why: str, counted: str) -> None:
        waiting = self._outcomes.get(order_id)
        self._outcomes[order_id] = ends, why
        self._end(line, ends, why, counted)
        for other in waiting if isinstance(waiting, list) else ():
            self._repeat(other, ends, why)

    def _repeat(self, line: int, ends: ReadOutcome, why: str) -> None:
        self._end(line, ends, why, "repeated" if ends is ReadOutcome.READ else ends.value)

    def _end(self, line: int, ends: ReadOutcome, why: str, counted: str = "rejected") -> None:
        self._counts[counted] += 1
        del self._open[line]
        if counted == "rejected":
            heapq.heappush(self._rejected, line)
        if ends is not ReadOutcome.READ:
            heapq.heappush(self._reports, (line, f"line {line}: {'not read: ' * (ends is ReadOutcome.UNREAD)}{why}"))
        if ends is ReadOutcome.UNREAD:
            self._unread = min(self._unread, line)
        first = next(iter(self._open), math.inf)
        while self._reports and self._reports[0][0] < first:
            self._say(heapq.heappop(self._reports)[1])

    def report_rest(self) -> None:
        """Report the rows that waited for lines before them: the run ends."""
        while self._reports:
            self._say(heapq.heappop(self._reports)[1])
