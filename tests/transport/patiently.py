"""The server for the tests of its end, as a program: nothing is cut because a machine is slow.

It gives calls in flight ten minutes to finish instead of the second and a half that a host leaves it, and leaves a
file where the environment says, in `DRAINING`, as soon as the end has begun.
"""

from __future__ import annotations

import os
import sys

from kustom_mcp.__main__ import main
from kustom_mcp.app.app import App
from kustom_mcp.transport import stdio
from kustom_mcp.transport.http import app as web

TEN_MINUTES = 600.0
begun = stdio._drain  # pyright: ignore[reportPrivateUsage]


async def noted(app: App) -> None:
    """Say that the end has begun, and go on."""
    os.close(os.open(os.environ["DRAINING"], os.O_CREAT | os.O_WRONLY))
    await begun(app)


if __name__ == "__main__":
    stdio.DRAIN_SECONDS = TEN_MINUTES  # pyright: ignore[reportConstantRedefinition]
    stdio._drain = noted  # pyright: ignore[reportPrivateUsage]
    web._HANG_UP = TEN_MINUTES  # pyright: ignore[reportPrivateUsage, reportConstantRedefinition]
    sys.exit(main())
