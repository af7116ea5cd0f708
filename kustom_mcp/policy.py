"""What the operator allows: writes, toolsets, ceilings, scope, tracking hosts, and how many writes a minute.

Decided from settings alone, so that nothing an order contains and nothing a model says can widen it. Every call asks
again, the second call of a confirmation too: an operator may have changed their mind in between.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import NamedTuple
from urllib.parse import urlsplit

from kustom_mcp.money import show
from kustom_mcp.result import Code, Failure
from kustom_mcp.settings import ConfigError, Settings

DEFAULT_TOOLSETS = ("orders", "captures", "refunds")
TOOLSETS = (*DEFAULT_TOOLSETS, "klarna")


class Kind(NamedTuple):
    """What policy must know of a tool: its toolset, and whether it changes anything."""

    toolset: str
    writes: bool


class Policy:
    """The operator's settings, as answers to the questions that a call asks."""

    def __init__(self, settings: Settings, catalog: Mapping[str, Kind], *, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._catalog = catalog
        self._clock = clock
        self._selected = _selection(settings.tools, catalog)
        self._writes: dict[str, deque[float]] = {}

    def listed(self, tool: str) -> bool:
        """Whether `tools/list` shows the tool."""
        return self.why_off(tool) is None

    def why_off(self, tool: str) -> str | None:
        """Why a tool of the catalogue is switched off, naming the setting; None when it is on."""
        kind = self._catalog[tool]
        if kind.writes and not self._settings.writes_allowed:
            return "the server is read-only (KUSTOM_WRITES=allow opens it)"
        if tool not in self._selected:
            return f"switched off (add {kind.toolset} or {tool} to KUSTOM_TOOLS)"
        return None

    def require(self, tool: str) -> None:
        """Refuse a tool that is switched off. Failure NOT_PERMITTED."""
        why = self.why_off(tool)
        if why:
            setting = "KUSTOM_TOOLS" if "KUSTOM_TOOLS" in why else "KUSTOM_WRITES"
            raise Failure(
                Code.NOT_PERMITTED,
                f"{tool} is not available here: {why}.",
                next_step=f"Tell the person that the operator of this server decides this with {setting}.",
            )

    def in_scope(self, order_id: str) -> bool:
        """Whether KUSTOM_ORDER_SCOPE lets this order be seen at all."""
        scope = self._settings.order_scope
        return scope is None or order_id in scope

    def within_ceiling(self, amount: int, currency: str, field: str) -> None:
        """Hold one write to KUSTOM_MAX_AMOUNT. `amount` in minor units. Failure LIMIT_EXCEEDED."""
        ceilings = self._settings.max_amount
        limit = ceilings.limit(currency) if ceilings else None
        if limit is not None and amount > limit:
            raise Failure(
                Code.LIMIT_EXCEEDED,
                f"{show(amount, currency)} is above {show(limit, currency)}, the most that one write may move here "
                "(KUSTOM_MAX_AMOUNT). Nothing was sent.",
                field=field,
                next_step="Do not split the amount to get around this: ask the person to do it in the Kustom portal.",
            )

    def tracking_link(self, uri: str, field: str) -> None:
        """Hold a tracking link to KUSTOM_TRACKING_HOSTS. Failure NOT_PERMITTED."""
        hosts = self._settings.tracking_hosts
        if hosts is not None and (urlsplit(uri).hostname or "") not in hosts:
            raise Failure(
                Code.NOT_PERMITTED,
                "This tracking link names a host that the operator has not listed in KUSTOM_TRACKING_HOSTS. "
                "Nothing was sent.",
                field=field,
                next_step="Send the tracking number without the link, or ask the operator to add the carrier's host.",
            )

    def count_write(self, caller: str) -> None:
        """Count one write of this caller. Failure RATE_LIMITED above KUSTOM_WRITES_PER_MINUTE."""
        now = self._clock()
        recent = self._writes.setdefault(caller, deque())
        while recent and recent[0] <= now - 60:
            recent.popleft()
        if len(recent) >= self._settings.writes_per_minute:
            wait = max(1, round(recent[0] + 60 - now))
            raise Failure(
                Code.RATE_LIMITED,
                f"This server sends at most {self._settings.writes_per_minute} writes a minute "
                "(KUSTOM_WRITES_PER_MINUTE). Nothing was sent.",
                retry_after_seconds=wait,
                next_step=f"Wait {wait} seconds, then repeat the call.",
            )
        recent.append(now)


def _selection(names: tuple[str, ...], catalog: Mapping[str, Kind]) -> frozenset[str]:
    """The tools that KUSTOM_TOOLS names. ConfigError for a name that is neither a toolset nor a tool."""
    if "all" in names:
        return frozenset(catalog)
    selected: set[str] = set()
    for name in names:
        if name in TOOLSETS:
            selected.update(tool for tool, kind in catalog.items() if kind.toolset == name)
        elif name in catalog:
            selected.add(name)
        else:
            near = get_close_matches(name, [*TOOLSETS, *catalog], 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            known = ", ".join(TOOLSETS)
            raise ConfigError(
                "KUSTOM_TOOLS", f"names something that is neither a toolset ({known}), all, nor a tool{hint}"
            )
    return frozenset(selected)
