"""The secret by which everything in one process seals."""

from __future__ import annotations

import pytest

from kustom_mcp.app.app import App
from kustom_mcp.settings.environment import load
from kustom_mcp.state import secret
from kustom_mcp.state.database import StoreBusy


def test_a_process_has_one_secret_also_where_the_store_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object) -> bytes:
        raise StoreBusy

    app, other = App.of(load({}).settings), App.of(load({}).settings)
    monkeypatch.setattr(secret, "kept_secret", busy)
    assert app.secret == app.secret != other.secret
