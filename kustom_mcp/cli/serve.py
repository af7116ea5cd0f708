"""`kustom-mcp` and `kustom-mcp serve`: MCP over stdio, or with `--http` over Streamable HTTP.

On stdio stdout belongs to the protocol; whatever is for people goes to stderr.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import anyio

from kustom_mcp.app.app import App
from kustom_mcp.app.telemetry import start
from kustom_mcp.cli import stdout
from kustom_mcp.cli.audit import ceilings_at_start, name_at_start, shared_at_start, without_shop_at_start
from kustom_mcp.server.handlers import Serving
from kustom_mcp.settings.settings import ConfigError, Settings
from kustom_mcp.settings.validators import is_loopback
from kustom_mcp.transport.stdio import serve_stdio

if TYPE_CHECKING:
    from kustom_mcp.app.shops import Shops
    from kustom_mcp.settings.shops_file import ShopsFile


def run(
    settings: Settings,
    telemetry: Mapping[str, str] | None = None,
    orders: int = 0,
    shops: ShopsFile | None = None,
) -> int:
    """Serve over stdio until stdin ends. `telemetry`: the OTEL_ variables. `orders`: so many more in the sandbox.
    `shops`: where there are several."""
    app = _prepared(settings, telemetry, orders, shops)
    if os.isatty(0) and os.isatty(2):
        from kustom_mcp.cli.program import shown

        _say(
            f"An assistant's program starts this and talks to it. Ctrl-C ends it; `{shown('demo')}` shows what it does."
        )
    try:
        anyio.run(_serve, app)
    finally:
        stdout.end()
    return 0


def run_http(
    settings: Settings,
    host: str,
    port: int,
    telemetry: Mapping[str, str] | None = None,
    orders: int = 0,
    shops: ShopsFile | None = None,
) -> int:
    """Serve over HTTP until a signal comes. ConfigError where it may not, or cannot, listen there."""
    from kustom_mcp.settings.people import PeopleFile
    from kustom_mcp.transport.http.access import require_access
    from kustom_mcp.transport.http.app import PATH, listen, serve_http

    require_access(settings, host)
    if settings.people_file is not None:
        PeopleFile(settings.people_file, shops)  # a wrong one is told before anything starts
    try:
        listener = listen(host, port)
    except OSError as error:
        raise ConfigError("--port", f"Cannot listen on {host}:{port} ({error.strerror}).") from None
    app = _prepared(settings, telemetry, orders, shops)
    if not is_loopback(host) and not settings.http_hosts:
        _say("KUSTOM_HTTP_HOSTS is not set, so only requests to localhost are answered.")
    if settings.hooks_path and not settings.hooks_secret and shops is None:
        _say("KUSTOM_HOOKS_SECRET is not set, so webhooks are hints only: nothing becomes complete, nothing disputed.")
    shown = f"[{host}]" if ":" in host else host
    _say(f"listening on http://{shown}:{listener.getsockname()[1]}{PATH}")
    anyio.run(partial(serve_http, app, listener, shops=shops))
    return 0


def _say(sentence: str) -> None:
    print(f"kustom-mcp: {sentence}", file=sys.stderr, flush=True)


def _prepared(settings: Settings, telemetry: Mapping[str, str] | None, orders: int, shops: ShopsFile | None) -> Serving:
    """The app, once everything that is needed has been imported."""
    logging.basicConfig(
        stream=sys.stderr, level=settings.log_level.upper(), format="kustom-mcp: %(levelname)s %(name)s: %(message)s"
    )
    for chatty in ("httpx2", "httpcore2", "mcp"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    app = _one(settings, telemetry, orders) if shops is None else _several(settings, telemetry, shops)
    gc.freeze()  # what has been imported stays: the collector need not look at it again
    gc.enable()
    return app


def _one(settings: Settings, telemetry: Mapping[str, str] | None, orders: int) -> App:
    simulator = None
    if orders:
        from kustom_mcp.cli.simulate import crowded

        simulator = crowded(orders)
    app = App.of(settings, simulator=simulator, telemetry=start(telemetry or {}))
    name_at_start(app)
    shared_at_start(app)
    ceilings_at_start(app)
    return app


def _several(settings: Settings, telemetry: Mapping[str, str] | None, file: ShopsFile) -> Shops:
    from kustom_mcp.app.shops import Shops

    shops = Shops(file, settings, telemetry=start(telemetry or {}))
    for one in shops.now().values():
        name_at_start(one.app)
        shared_at_start(one.app)
        ceilings_at_start(one.app)
    without_shop_at_start(file, settings)
    return shops


async def _serve(app: Serving) -> None:
    """With the event loop's modules loaded too, stdout is given back: from here on the SDK keeps it."""
    stdout.restore()
    await serve_stdio(app)
