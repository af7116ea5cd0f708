"""`kustom-mcp tools`: the catalogue, with the tools that these settings switch off."""

from __future__ import annotations

import json

from kustom_mcp.calls.policy import Policy
from kustom_mcp.server.handlers import TOOL_FACTS
from kustom_mcp.server.tool_list import listing
from kustom_mcp.settings.settings import Settings
from kustom_mcp.tools.catalog import CATALOG


def run(settings: Settings, *, as_json: bool) -> int:
    """Print the catalogue: as a list for people, or as `tools/list` gives it."""
    policy = Policy(settings, TOOL_FACTS)
    if as_json:
        listed = listing(policy.listed, settings.confirm, settings.schemas)
        print(json.dumps(list(listed.values()), indent=2, ensure_ascii=False))
        return 0
    width = max(map(len, CATALOG))
    for tool in CATALOG.values():
        why = policy.why_off(tool.name)
        kind = "confirmed" if tool.effect.gated else "writes" if tool.writes else "reads"
        first = tool.description.partition(". ")[0].rstrip(".")
        print(f"{tool.name:<{width}}  {kind:<9}  {f'off: {why}' if why else first}")
    return 0
