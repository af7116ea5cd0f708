"""The tokens of the people file: a bearer value becomes a Grant with the rights of its person.

A value is looked up by its digest, so that neither its length nor the time of the answer tells anything of it. The file
is looked at with each request, and once more before a write leaves.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

from kustom_mcp.calls.policy import Principal
from kustom_mcp.settings.people import ListedPerson, PeopleFile
from kustom_mcp.transport.oauth.tokens import READ, WRITE, Grant


class People:
    """The people who may call now. `wall`: unix seconds."""

    def __init__(self, file: PeopleFile, wall: Callable[[], float] = time.time) -> None:
        self._file = file
        self._wall = wall

    def by_token(self, token: str) -> ListedPerson | None:
        """The person with this token; None where there is none, or no more."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
        found = (person for person in self._file().values() if digest in person.tokens)
        return next(filter(self._good, found), None)

    def by_name(self, name: str) -> ListedPerson | None:
        """The person of this name; None where there is none, or no more."""
        person = self._file().get(name)
        return person if person is not None and self._good(person) else None

    def _good(self, person: ListedPerson) -> bool:
        return person.until is None or self._wall() < person.until.timestamp()

    def grant(self, token: str) -> Grant | None:
        """The rights of the person with this token; None where it is nobody's."""
        person = self.by_token(token)
        if person is None:
            return None

        def renew() -> Principal | None:
            now = self.by_token(token)
            return None if now is None else principal(now, renew)

        scopes = tuple(scope for scope, right in ((READ, "read"), (WRITE, "write")) if right in person.may)
        return Grant(principal(person, renew), scopes, identity(person))


def identity(person: ListedPerson) -> str:
    """The identity of a person: the same for each of their tokens, and no name of a user of the system."""
    return f"person:{person.name}"


def principal(person: ListedPerson, renew: Callable[[], Principal | None]) -> Principal:
    """The caller with the rights of this person."""
    return Principal(
        person.name,
        writes="write" in person.may,
        orders=person.orders,
        identity=identity(person),
        source="people",
        shops=person.shops,
        max_amount=person.max_amount,
        renew=renew,
    )
