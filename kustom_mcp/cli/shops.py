"""`kustom-mcp shops`: the shops of KUSTOM_SHOPS_FILE, and whether the credentials of each work.

Each is tried with one harmless read, all at once: a shop that fails is named and stops no other.
"""

from __future__ import annotations

from collections.abc import Mapping

import anyio

from kustom_mcp.app.app import App
from kustom_mcp.cli.audit import without_shop
from kustom_mcp.cli.check import try_a_read
from kustom_mcp.server.shops import policy_of
from kustom_mcp.settings.environment import Loaded
from kustom_mcp.settings.settings import ConfigError
from kustom_mcp.settings.shops_file import SETTING, Shop
from kustom_mcp.state.audit_log import AuditUnavailable

FAILED = 1


def run_list(loaded: Loaded) -> int:
    """Print the shops. 0: the credentials of all work; 1: those of one do not, or a write without an outcome is left of
    a shop that is not in the file any more. ConfigError without a shops file."""
    if loaded.shops is None:
        raise ConfigError(SETTING, "This command lists the shops of the file that it names: set it.")
    shops = loaded.shops()
    for shop in shops.values():
        policy_of(shop)
    found = anyio.run(_tried, shops)
    for shop in shops.values():
        print(described(shop))
        print(f"  {found[shop.name][1]}")
    failing = [name for name, (good, _) in found.items() if not good]
    if failing:
        print(f"{len(failing)} of {len(shops)} shops cannot be used now: {', '.join(failing)}. The others can.")
    try:
        left = without_shop(loaded.shops, loaded.settings)
    except AuditUnavailable:
        left = ["The records of writes without an outcome cannot be read."]
    for sentence in left:
        print(sentence)
    return FAILED if failing or left else 0


def described(shop: Shop) -> str:
    """A shop in one line: name, title, account, and what may be done there."""
    settings = shop.settings
    merchant = f", merchant {settings.merchant}" if settings.merchant else ""
    writes = "previews writes" if settings.rehearses else "writes" if settings.writes_allowed else "reads only"
    return f"{shop.name}: {shop.title} ({settings.environment}{merchant}; {writes})"


async def _tried(shops: Mapping[str, Shop]) -> dict[str, tuple[bool, str]]:
    found: dict[str, tuple[bool, str]] = {}

    async def one(shop: Shop) -> None:
        app = App.of(shop.settings)
        found[shop.name] = await try_a_read(app, f"shops.{shop.name}")

    async with anyio.create_task_group() as group:
        for shop in shops.values():
            group.start_soon(one, shop)
    return found
