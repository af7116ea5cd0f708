"""Principal: who is calling, and how far that reaches. On stdio it is the person who runs the process, without limits
of their own; over HTTP it is what an access token says."""

from __future__ import annotations

from dataclasses import dataclass

KEY = "kustom.principal"
"""Where an HTTP request carries its principal, in the scope that the server keeps of it."""


@dataclass(frozen=True, slots=True)
class Principal:
    """`name` stands in the record and is what codes and counts are bound to; it is not a person's name or address.

    `writes`: whether tools that change something may be called. `orders`: the order ids that exist for this caller,
    None for all.
    """

    name: str
    writes: bool = True
    orders: frozenset[str] | None = None
