"""Time for tests: a clock that stands still until somebody waits, so that nothing does."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import anyio.lowlevel

from kustom_mcp.api.client import KustomClient
from kustom_mcp.app.app import SANDBOX_URL, App
from kustom_mcp.app.sandbox import SandboxTransport

KEYS = "an invented key of thirty-two bytes or more"
ALL: dict[str, Any] = {"KUSTOM_TOOLS": "all", "KUSTOM_KEYS": KEYS}


@dataclass
class Time:
    """The app's time of day and its stop watch. A wait moves both on; `pass_by` as well."""

    passed: float = 0.0
    start: float = field(default_factory=time.time)

    def pass_by(self, seconds: float) -> None:
        self.passed += seconds

    def clock(self) -> float:
        return self.passed

    def wall(self) -> float:
        return self.start + self.passed

    async def sleep(self, seconds: float) -> None:
        self.passed += seconds
        await anyio.lowlevel.checkpoint()

    def run(self, app: App) -> None:
        """Give an app this time, before it is served."""
        app.clock, app.wall, app.sleep = self.clock, self.wall, self.sleep
        assert app.simulator is not None
        app.client = KustomClient(
            base_url=SANDBOX_URL if app.settings.sandboxed else app.settings.base_url,
            username=app.settings.username,
            api_key=app.settings.effective_api_key,
            transport=SandboxTransport(app.simulator),
            read_only=not app.settings.writes_allowed,
            clock=self.clock,
            wall=self.wall,
            sleep=self.sleep,
            rand=lambda: 1.0,
            observer=app.telemetry,
        )


def quickly(app: App) -> None:
    """A host's change to an app: no wait takes any time."""
    Time().run(app)
