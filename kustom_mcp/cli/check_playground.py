"""`kustom-mcp check --playground ORDER_ID`: does Kustom do what the sandbox assumes?

For the first person with a test key and an order to throw away. Every experiment says what it will send and is asked
about on its own; without a yes it is left out. It never runs against production. What it sends is not in the audit: it
is about an order that nobody will ever ship.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from kustom_mcp.api import identifiers
from kustom_mcp.api.errors import OmsError
from kustom_mcp.app.app import App
from kustom_mcp.cli.playground_experiments import EXPERIMENTS, PART, Lab
from kustom_mcp.settings.settings import ConfigError, Settings
from kustom_mcp.simulator.behaviours import BEHAVIOURS

DIFFERENT = 1
Ask = Callable[[str], bool | None]


@dataclass(frozen=True)
class Finding:
    """What one experiment showed. `seen` is None where it was left out."""

    behaviour: str
    assumed: str
    expected: str
    seen: str | None

    @property
    def verdict(self) -> str:
        """`assumed` still, `confirmed` or `different`."""
        return "assumed" if self.seen is None else "confirmed" if self.seen == self.expected else "different"


def run(settings: Settings, order_id: str, ask: Ask | None = None, app: App | None = None) -> int:
    """Try everything that is agreed to. 0: nothing differs; 1: something does, or it broke off. ConfigError."""
    if settings.environment != "playground":
        raise ConfigError("KUSTOM_ENVIRONMENT", "--playground is for the playground only.")
    if not settings.writes_allowed:
        raise ConfigError("KUSTOM_WRITES", "--playground writes to a test order: set it to allow.")
    try:
        order = identifiers.order_id(order_id)
    except identifiers.IdentifierError as error:
        raise ConfigError("--playground", f"{str(error)[:1].upper()}{str(error)[1:]}.") from None
    return anyio.run(_try_out, app or App.of(settings), order, ask or _ask)


async def _try_out(app: App, order_id: str, ask: Ask) -> int:
    findings: list[Finding] = []
    async with app.lifespan():
        lab = Lab(app, order_id)
        try:
            order = await lab.read()
            if order.status != "AUTHORIZED" or order.remaining_authorized_amount <= PART:
                print(f"This needs a fresh order of more than 1.00 that is AUTHORIZED; this one is {order.status}.")
                return DIFFERENT
            print(f"Order {order_id} will be changed, captured, released and refunded. Use one that nobody needs.")
            for number, experiment in enumerate(EXPERIMENTS, 1):
                assumed = next(each.sentence for each in BEHAVIOURS if each.name == experiment.behaviour)
                print(f"\n{number} of {len(EXPERIMENTS)}. {assumed}")
                answer = ask(f"   This {experiment.sends}. Try it? [y/N] ")
                if answer is None:
                    raise ConfigError("--playground", "Nobody can be asked here, so nothing was tried.")
                seen = await experiment.run(lab) if answer else None
                finding = Finding(experiment.behaviour, assumed, experiment.expected, seen)
                findings.append(finding)
                print(f"   {finding.verdict}{f': {seen}' if seen else ''}")
        except OmsError as error:
            print(f"\nIt broke off: {error}")
            _sum_up(findings)
            return DIFFERENT
    return _sum_up(findings)


def _sum_up(findings: list[Finding]) -> int:
    different = [finding for finding in findings if finding.verdict == "different"]
    counts = {word: sum(each.verdict == word for each in findings) for word in ("confirmed", "different", "assumed")}
    print("\n" + ", ".join(f"{count} {word}" for word, count in counts.items()))
    for finding in different:
        print(f"{finding.behaviour}: the sandbox {finding.expected!r}, Kustom {finding.seen!r}")
    return DIFFERENT if different else 0


def _ask(question: str) -> bool | None:
    if not sys.stdin.isatty():
        return None
    return input(question).strip().lower() in ("y", "yes")
