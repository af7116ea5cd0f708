"""`kustom-mcp tools`: the catalogue, with the tools that these settings switch off."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from kustom_mcp.calls.policy import Policy
from kustom_mcp.schema.result import Json
from kustom_mcp.server.handlers import TOOL_FACTS
from kustom_mcp.server.tool_list import listing
from kustom_mcp.settings.settings import Settings
from kustom_mcp.tools.catalog import CATALOG

if TYPE_CHECKING:
    from kustom_mcp.settings.shops_file import ShopsFile


def run(settings: Settings, *, as_json: bool, shops: ShopsFile | None = None) -> int:
    """Print the catalogue: as a list for people, or as `tools/list` gives it. `shops`: where there are several.
    ConfigError where one of them names tools that there are not."""
    if shops is None:
        policy = Policy(settings, TOOL_FACTS)
        _print(lambda: listing(policy.listed, settings.confirm, settings.schemas), policy.why_off, as_json=as_json)
    else:
        from kustom_mcp.server.shops import policy_of, tools_of

        listed = list(shops().values())
        policies = {shop.name: policy_of(shop) for shop in listed}
        _print(lambda: tools_of(listed, settings), lambda name: _why_off(policies, name), as_json=as_json)
    return 0


def _print(tools: Callable[[], Mapping[str, Json]], why_off: Callable[[str], str | None], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(list(tools().values()), indent=2, ensure_ascii=False))
        return
    width = max(map(len, CATALOG))
    for tool in CATALOG.values():
        why = why_off(tool.name)
        kind = "confirmed" if tool.effect.gated else "writes" if tool.writes else "reads"
        first = tool.description.partition(". ")[0].rstrip(".")
        print(f"{tool.name:<{width}}  {kind:<9}  {f'off: {why}' if why else first}")


def _why_off(policies: Mapping[str, Policy], tool: str) -> str | None:
    """The reasons why a tool is off, shop by shop; None where each shop has it."""
    reasons: dict[str, list[str]] = {}
    for name, policy in policies.items():
        if why := policy.why_off(tool):
            reasons.setdefault(why, []).append(name)
    return "; ".join(f"in {', '.join(names)}, {why}" for why, names in reasons.items()) or None
