"""The account of a server: environment, API origin and merchant, and its names in earlier versions.

Idempotency keys, ceilings, open intents, the journal, the order book and codes belong to one account. A new API key
changes none of them.

Version 0.1 named an account by the environment and a part of the user name. If that part was a whole user name or held
the merchant id, it named one merchant: `spending_statements` and `book.adopting` rename its records. If the user name
was empty or was cut at its first hyphen, several merchants may have had the same name: those records stay as they are.
Open intents and used approvals need no renaming: `state.intents` finds them by the order, which belongs to one
merchant. Names of today contain a colon, and no user name can.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import secrets
from dataclasses import dataclass
from errno import EIO
from pathlib import Path

from kustom_mcp.settings.settings import Settings
from kustom_mcp.settings.validators import merchant_id, origin_of
from kustom_mcp.state.private_files import parsed, private_directory, put_first

EMBEDDED = "embedded:"
"""The origin of the sandbox, which has no address."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Account:
    """`merchant`: the merchant id in upper case, a made-up name if it is not known, "" in the sandbox. `former`: the
    part of the user name by which version 0.1 named this merchant and no other; `shared`: parts that others may have
    had as well.
    """

    environment: str
    origin: str
    merchant: str
    former: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()

    @property
    def earlier(self) -> tuple[str, ...]:
        """The part of the user name by which version 0.1 named this merchant, alone or not."""
        return self.former + self.shared

    @property
    def name(self) -> str:
        """The name of its records in the store and in the state directory."""
        return f"{self.environment}/{self.origin}/{self.merchant}"

    @property
    def title(self) -> str:
        """The name of the account for people."""
        return f"{self.environment}, merchant {self.merchant}" if self.merchant else self.environment

    def was_named(self, name: str) -> bool:
        """Return whether version 0.1 gave this name to this account and to no other."""
        part = self._part(name)
        if part is None:
            return False
        return part in self.former or (self.merchant != "" and merchant_id(part) == self.merchant)

    def may_have_been_named(self, name: str) -> bool:
        """Return whether version 0.1 gave this name to this account, and perhaps to others."""
        return self._part(name) in self.shared and not self.was_named(name)

    def may_hold(self, name: str) -> bool:
        """Return whether the records of this name may be of this account."""
        return name == self.name or self.was_named(name) or self.may_have_been_named(name)

    def _part(self, name: str) -> str | None:
        environment, slash, part = name.partition("/")
        return part if slash and environment == self.environment and ":" not in part else None


def account_of(settings: Settings) -> Account:
    """Return the account of these settings. If the merchant is not known, it has a made-up name in the state
    directory."""
    origin = EMBEDDED if settings.sandboxed else origin_of(settings.base_url)
    merchant = settings.merchant
    if not merchant and not settings.sandboxed:
        merchant = _made_up(settings.state_path, origin)
    head = settings.username.partition("-")[0]
    whole = not head.startswith(("M", "PM"))  # other user names were never cut
    former = settings.username if whole else head
    alone = settings.sandboxed or former.upper() == merchant or (whole and bool(former))
    if alone:
        # The user name may have been left out before: then it named everybody.
        names = ((former,), ("",) if former and not settings.sandboxed else ())
    else:
        names = ((), tuple(dict.fromkeys((former, ""))))
    return Account(settings.environment, origin, merchant, *names)


def _made_up(state: Path | None, origin: str) -> str:
    """Return the name that the state directory keeps for the merchant at this origin; made now if there is none."""
    name = f"UNNAMED{secrets.token_hex(4).upper()}"
    if state is None:
        return name
    path = state / "accounts" / f"{hashlib.sha256(origin.encode()).hexdigest()[:16]}.json"
    try:
        with contextlib.suppress(FileNotFoundError):
            return _kept(path)
        private_directory(path.parent)
        put_first(path, json.dumps({"origin": origin, "merchant": name}).encode())
        return _kept(path)
    except OSError as error:
        why = error.strerror or type(error).__name__
        log.warning(
            "KUSTOM_MERCHANT is not set, and no name can be kept in the state directory (%s): this account ends with "
            "this run",
            why,
        )
    return name


def _kept(path: Path) -> str:
    """Read the name in a file. OSError, also if it holds none."""
    name = parsed(path.read_bytes()).get("merchant")
    if not isinstance(name, str) or not name:
        raise OSError(EIO, "the file of the name is damaged")
    return name
