"""The records of several shops, those too of a shop that the shops file no longer has.

All shops of a server keep their intents in one store. Whose an intent is, its account says; where no shop of the file
has that account any more, the record itself says of which shop it was. A write in doubt stays in sight until it is
resolved, also when its shop was taken out of the file, or was made another account there.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kustom_mcp.app.app import shared_store
from kustom_mcp.settings.settings import ConfigError, Settings
from kustom_mcp.settings.shops_file import SANDBOX, Shop, ShopsFile
from kustom_mcp.state.account import account_of
from kustom_mcp.state.audit_log import AuditLog
from kustom_mcp.state.database import Store
from kustom_mcp.state.intents import Intent, Intents
from kustom_mcp.text import clean, nearest

_LONGEST = 60


@dataclass(frozen=True)
class ShopOf:
    """The shop of a record. `shop` is None where the file does not have it now. `account`: in words, for people."""

    name: str
    title: str
    account: str
    shop: Shop | None = None

    @property
    def words(self) -> str:
        """The shop for a sentence: name, title where it has another, account."""
        title = f', "{self.title}"' if self.title != self.name else ""
        return f"{self.name}{title} ({self.account})" if self.account else f"{self.name}{title}"

    def is_called(self, wanted: str) -> bool:
        """Whether a person means it: by name, or by title."""
        return wanted in (self.name, self.title)


class ShopRecords:
    """The intents of several shops in their one store, and whose each is."""

    def __init__(self, file: ShopsFile, settings: Settings, store: Store) -> None:
        state = _state_settings(file, settings).state_path
        self.intents = Intents(store, state=None if settings.store else state)
        self.audit = AuditLog(state, settings.audit_log)
        self.names = [shop.name for shop in file().values()]
        self._accounts = [(account_of(shop.settings), shop) for shop in file().values()]

    def shop_of(self, intent: Intent) -> ShopOf | None:
        """The shop of a record; None for that of a server without a shops file, which may share the store."""
        holding = [shop for account, shop in self._accounts if account.name == intent.account]
        holding += [shop for account, shop in self._accounts if account.may_hold(intent.account)]
        if holding:
            shop = holding[0]
            return ShopOf(shop.name, shop.title, _account_in_words(shop.settings.environment, shop.settings), shop)
        title = _text(intent.content, "shop")
        if not title:
            return None
        environment = _text(intent.content, "environment")
        merchant = _text(intent.content, "merchant")
        return ShopOf(
            _text(intent.content, "shop_name") or title,
            title,
            f"{environment}, merchant {merchant}" if merchant else environment,
        )

    def has(self, name: str) -> bool:
        """Whether the file has a shop of this name or title."""
        return any(name in (shop.name, shop.title) for _, shop in self._accounts)

    def in_doubt(self) -> list[tuple[Intent, ShopOf]]:
        """The writes in doubt of the shops, those of the file and others, oldest first. AuditUnavailable."""
        return [(one, shop) for one in self.intents.unresolved() if (shop := self.shop_of(one)) is not None]

    def without_shop(self) -> list[tuple[Intent, ShopOf]]:
        """The writes in doubt whose shop the file does not have now, oldest first. AuditUnavailable."""
        return [(one, shop) for one, shop in self.in_doubt() if shop.shop is None]

    def chosen(self, name: str | None) -> list[tuple[Intent, ShopOf]]:
        """The writes in doubt of the shop that is named, or of all. AuditUnavailable; ConfigError for an unknown name,
        which a shop that was taken out of the file has for as long as a write of it is in doubt."""
        found = self.in_doubt()
        if name is None:
            return found
        mine = [(one, shop) for one, shop in found if shop.is_called(name)]
        if not mine and not self.has(name):
            raise unknown_shop(name, list(dict.fromkeys([*self.names, *(shop.name for _, shop in found)])))
        return mine


def unknown_shop(name: str | None, known: Collection[str]) -> ConfigError:
    """The error for a name that no shop has."""
    near = nearest(name, known) if name else None
    hint = f"Did you mean {near}?" if near else f"The shops are {', '.join(known)}."
    return ConfigError("--shop", f"It names the shop that this is about. {hint}")


@contextmanager
def shop_records(file: ShopsFile, settings: Settings) -> Generator[ShopRecords]:
    """The records of all shops of a file, for a command. ConfigError."""
    state = _state_settings(file, settings).state_path
    store = shared_store(settings) or Store.file(state / "store.sqlite3" if state else None)
    try:
        yield ShopRecords(file, settings, store)
    finally:
        store.close()


def _state_settings(file: ShopsFile, settings: Settings) -> Settings:
    """The settings that say where records are that outlive a process: also where all shops that are left are
    sandboxes, which keep none."""
    if settings.shops_file == SANDBOX:
        return next(iter(file().values())).settings
    return settings.model_copy(update={"environment": "production"})


def _account_in_words(environment: str, settings: Settings) -> str:
    return f"{environment}, merchant {settings.merchant}" if settings.merchant else environment


def _text(content: Mapping[str, Any], name: str) -> str:
    value = content.get(name)
    return clean(value, _LONGEST) if isinstance(value, str) else ""
