"""`kustom-mcp shops add NAME`: ask a person for a shop, try its key, and write both down.

The key is asked without echo and goes into a file beside the shops file, which names it; no key stands in the shops
file itself. Comments and order of the shops file stay: the new table is put at its end.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

import anyio

from kustom_mcp.app.app import App
from kustom_mcp.cli.check import try_a_read
from kustom_mcp.cli.person import answer_to, is_yes
from kustom_mcp.cli.program import shown
from kustom_mcp.cli.shops import described
from kustom_mcp.settings.environment import load_beside_shops
from kustom_mcp.settings.private_toml import read_private, write_private
from kustom_mcp.settings.settings import ConfigError
from kustom_mcp.settings.shops_file import SETTING, parse_shops
from kustom_mcp.settings.validators import merchant_id

NOT_WRITTEN: Final = 1


class PersonToAsk(Protocol):
    """A way to ask a person: the answer to a question; None where nobody answers."""

    def __call__(self, question: str, *, secret: bool = False) -> str | None: ...


def run(name: str, environ: Mapping[str, str], env_file: Path | None = None, ask: PersonToAsk = answer_to) -> int:
    """Add a shop. 0: it is written; 1: its key does not work, and it is not wanted all the same. ConfigError."""
    within, path, environ = load_beside_shops(environ, env_file)
    before = read_private(SETTING, path) if path.exists() else None
    text = before or ""
    if before is not None and name in parse_shops(text, within, path.parent, environ):
        raise ConfigError(SETTING, f"shops.{name} is there already: change it in the file.")
    key_file = path.with_name(f"{name}.key")
    if key_file.exists():
        raise ConfigError(SETTING, f"A file {key_file.name} is there already: move it away, or choose another name.")
    fields, key = _asked(name, ask)
    _write_key(key_file, key)
    kept = False
    try:
        lines = [f"[shops.{name}]", *(f"{field} = {json.dumps(value, ensure_ascii=False)}" for field, value in fields)]
        gap = "" if not text or text.endswith("\n\n") else "\n" if text.endswith("\n") else "\n\n"
        changed = f"{text}{gap}" + "\n".join(lines) + "\n"
        shop = parse_shops(changed, within, path.parent, environ)[name]
        works, found = anyio.run(try_a_read, App.of(shop.settings), f"shops.{name}")
        print(found)
        if not works and not is_yes(ask("Write it down all the same? [y/N] ")):
            print("Nothing was written.")
            return NOT_WRITTEN
        write_private(SETTING, path, before, changed)
        kept = True
    finally:
        if not kept:
            key_file.unlink(missing_ok=True)
    print(f"Written: {described(shop)}. Its key is in {key_file.name} beside the file.")
    print(f"A server that runs knows the shop with the next call. To change what may be done there, edit {path.name};")
    print(f"`{shown('shops')}` tries all of them.")
    return 0


def _asked(name: str, ask: PersonToAsk) -> tuple[list[tuple[str, str]], str]:
    """The fields of the table, and the key. ConfigError."""

    def must(question: str, *, secret: bool = False) -> str:
        answer = ask(question, secret=secret)
        if answer is None:
            raise ConfigError("shops add", "Nobody answers here: it needs a person at a terminal. Nothing was written.")
        return answer.strip()

    title = must(f"Title, as people read it [{name}]: ") or name
    username = must("User name of the API credentials, like PM12345-support: ")
    merchant = merchant_id(username) or must("Merchant id (MID): ")
    key = must("API key (not shown): ", secret=True)
    environment = "production" if key.startswith("kco_live_") else "playground"
    if not key.startswith(("kco_live_", "kco_test_")):
        environment = must("Environment, playground or production [playground]: ") or "playground"
    fields = [("title", title), ("merchant", merchant), ("username", username)]
    fields += [("api_key_file", f"{name}.key"), ("environment", environment)]
    if environment == "playground":
        fields.append(("api_url", must("Address of the API, where it is not Kustom's [Kustom's]: ")))
    return [(field, value) for field, value in fields if value], key


def _write_key(path: Path, key: str) -> None:
    """Write a key into a new private file. ConfigError."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{key}\n")
    except OSError as error:
        raise ConfigError(SETTING, f"The key cannot be written beside the file ({error.strerror}).") from None
