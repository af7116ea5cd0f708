"""From many measurements to a few figures, and figures as a table."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence, Set


class Figures:
    """Measurements by what was measured and on which system."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def add(self, what: str, system: str, *values: float) -> None:
        self._values[what][system].extend(values)

    def median(self, what: str, system: str) -> float | None:
        values = self._values[what].get(system)
        return statistics.median(values) if values else None

    def as_json(self) -> dict[str, dict[str, dict[str, float]]]:
        """Median, least, most and quartiles of everything."""
        return {
            what: {system: _spread(values) for system, values in by_system.items()}
            for what, by_system in self._values.items()
        }

    def rows(self, systems: Sequence[str], against: str, ours: str, alone: Set[str]) -> list[list[str]]:
        """A row for each thing that was measured: median with quartiles for each system, and ours against another.

        What is in `alone` is not compared.
        """
        rows: list[list[str]] = []
        for what, by_system in self._values.items():
            cells = [_cell(by_system.get(system)) for system in systems]
            mine, other = self.median(what, ours), self.median(what, against)
            rows.append([what, *cells, f"{mine / other:.2f}" if mine and other and what not in alone else ""])
        return rows


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown, its columns padded, so that it can be read in a terminal and put into a document."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    padded = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in padded)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of the values does not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def _spread(values: list[float]) -> dict[str, float]:
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3
    names = ("median", "lower quartile", "upper quartile", "least", "most")
    figures = (middle, low, high, min(values), max(values))
    return {name: round(value, 4) for name, value in zip(names, figures, strict=True)}


def _cell(values: list[float] | None) -> str:
    if not values:
        return ""
    spread = _spread(values)
    if spread["least"] == spread["most"]:
        return _number(spread["median"])
    return f"{_number(spread['median'])} ({_number(spread['lower quartile'])}-{_number(spread['upper quartile'])})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
