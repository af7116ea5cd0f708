"""Mishaps that leave a write in doubt: its answer is lost, or it is, and the order cannot be looked at either."""

from __future__ import annotations

from kustom_mcp.api.retry import READS
from kustom_mcp.simulator.faults import Fault
from tests.support.conversation import Talk

ORDER = "/orders/{order_id}"


def fault(method: str, path: str, kind: str) -> Fault:
    """A fault by its name, which may end in a status. A refusal is in Kustom's own words, and may be tried again."""
    name, _, status = kind.partition(" ")
    told = "REFUND_NOT_ALLOWED" if status == "403" else None
    return Fault(method, path, name, int(status or 500), code=told, headers={"Retry-After": "0"})


def in_doubt(talk: Talk, kind: str, *, reads_before: int = 1) -> None:
    """The next write meets this fault; then reading the order fails for as long as the server tries.

    `lose_response`: it happens. `reset`: it does not. `status 403`: it is answered so. `reads_before`: reads of the
    order before the write.
    """
    for method in ("POST", "PATCH"):
        for path in ("", "/{action}", "/captures/{capture_id}/{action}"):
            talk.simulator.faults.add(fault(method, ORDER + path, kind))
    talk.simulator.faults.add(Fault("GET", ORDER, "delay", times=reads_before))
    talk.simulator.faults.add(Fault("GET", ORDER, "status", status=503, times=READS.attempts))


def line_mended(talk: Talk) -> None:
    """Everything works again."""
    talk.simulator.faults.clear()
