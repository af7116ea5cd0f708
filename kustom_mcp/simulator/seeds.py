"""The demo orders: one for every status, several currencies and the oddities of real shops, by name.

Everything in them is invented; mail addresses are at example.com. Ids are stable and have odd version digits, as real
ones do. Dates are relative to the moment of a reset, so that an AUTHORIZED order has not expired by the time somebody
looks.
"""

from kustom_mcp.simulator.demo_curious import CURIOUS
from kustom_mcp.simulator.demo_usual import USUAL
from kustom_mcp.simulator.goods import Seed

__all__ = ["Seed", "demo_orders"]


def demo_orders() -> tuple[Seed, ...]:
    """All demo orders, the usual ones first."""
    return USUAL + CURIOUS
