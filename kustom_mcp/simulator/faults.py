"""Scripted faults as data: a fault, the request that meets it, and how often.

    status          answered with that status before any effect
    delay           waits `seconds`, then proceeds
    lose_response   has its effect, then the connection is closed without an answer
    reset           the connection is reset before any effect
    late_status     has its effect, then is answered with that status
    truncate        has its effect, then half of the answer arrives

A fault is used up after `times` requests. They are played out in `exchange`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from kustom_mcp.simulator.routes import PREFIX, match_template

KINDS: Final = ("status", "delay", "lose_response", "reset", "late_status", "truncate")
_PREFIX: Final = "/" + "/".join(PREFIX)
_PREFIXES: Final = (_PREFIX, "/settlements/v1")


@dataclass(slots=True)
class Fault:
    """One mishap waiting for its requests. `path` is a template as in `routes`; /ordermanagement/v1 may precede it,
    and /settlements/v1 must where it is meant."""

    method: str
    path: str
    kind: str
    status: int = 500
    seconds: float = 0.0
    times: int = 1
    code: str | None = None
    body: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def meets(self, method: str, segments: tuple[str, ...]) -> bool:
        """Return whether this fault is for such a request. The method * is every method."""
        template = self.path if self.path.startswith(_PREFIXES) else _PREFIX + self.path
        return self.method.upper() in (method, "*") and match_template(template, segments) is not None


class Faults:
    """The faults that still wait, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Let the next `times` requests meet this fault."""
        self._waiting.append(fault)

    def clear(self) -> None:
        """Forget all faults."""
        self._waiting.clear()

    def waiting(self) -> tuple[Fault, ...]:
        """Return the faults that have not been used up."""
        return tuple(self._waiting)

    def take(self, method: str, segments: tuple[str, ...]) -> Fault | None:
        """Return the fault that this request meets, used once; None is a good line."""
        for fault in self._waiting:
            if fault.meets(method, segments):
                fault.times -= 1
                if fault.times < 1:
                    self._waiting.remove(fault)
                return fault
        return None
