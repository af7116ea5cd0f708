"""Mishaps that leave a write in doubt: its answer is lost, or it is, and the order cannot be looked at either."""

from __future__ import annotations

from kustom_mcp.oms.retry import READS
from kustom_mcp.simulator.faults import Fault
from tests.conversation import Talk

ORDER = "/orders/{order_id}"


def in_doubt(talk: Talk, kind: str, *, reads_before: int = 1) -> None:
    """The next write meets this fault; then reading the order fails for as long as the server tries.

    `lose_response`: it happens. `reset`: it does not. `reads_before`: reads of the order before the write.
    """
    for method in ("POST", "PATCH"):
        for path in ("", "/{action}", "/captures/{capture_id}/{action}"):
            talk.simulator.faults.add(Fault(method, ORDER + path, kind))
    talk.simulator.faults.add(Fault("GET", ORDER, "delay", times=reads_before))
    talk.simulator.faults.add(Fault("GET", ORDER, "status", status=503, times=READS.attempts))


def line_mended(talk: Talk) -> None:
    """Everything works again."""
    talk.simulator.faults.clear()
