"""`kustom-mcp` and `kustom-mcp serve`: MCP over stdio. stdout belongs to the protocol, stderr to people."""

from __future__ import annotations

import gc
import logging
import sys

import anyio

from kustom_mcp.app import App
from kustom_mcp.commands import stdout
from kustom_mcp.commands.audit import name_at_start
from kustom_mcp.settings import Settings
from kustom_mcp.stdio import serve_stdio


def run(settings: Settings) -> int:
    """Serve until stdin ends."""
    logging.basicConfig(
        stream=sys.stderr, level=settings.log_level.upper(), format="kustom-mcp: %(levelname)s %(name)s: %(message)s"
    )
    for chatty in ("httpx2", "httpcore2", "mcp"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    name_at_start(settings.state_path)
    app = App.of(settings)
    gc.freeze()  # what has been imported stays: the collector need not look at it again
    gc.enable()
    try:
        anyio.run(_serve, app)
    finally:
        stdout.end()
    return 0


async def _serve(app: App) -> None:
    """With the event loop's modules loaded too, stdout is given back: from here on the SDK keeps it."""
    stdout.restore()
    await serve_stdio(app)
