"""Kustom, played by `kustom-mcp simulate` in a process of its own.

What happened is read here and nowhere else: the orders through the API itself, the requests from the simulator's log.
The server under test is never asked whether it told the truth.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import httpx2 as httpx

from kustom_mcp.simulator.demo_orders import demo_orders
from kustom_mcp.simulator.events import MERCHANT
from tests.support.unhurried import PATIENCE

PROGRAM = [sys.executable, "-m", "kustom_mcp"]
PATIENT = [sys.executable, str(Path(__file__).with_name("patiently.py"))]
"""The server with all the time it needs to end; see there."""
USERNAME = f"{MERCHANT}-demo"
API_KEY = "kco_test_api_sandbox"
API = "/ordermanagement/v1"

Json = Any


def demo(name: str) -> str:
    """The id of a demo order."""
    return next(seed.order_id for seed in demo_orders() if seed.name == name)


def playground(url: str) -> dict[str, str]:
    """Settings that make a server take the simulator at an address for the playground."""
    return {
        "KUSTOM_ENVIRONMENT": "playground",
        "KUSTOM_API_URL": url,
        "KUSTOM_USERNAME": USERNAME,
        "KUSTOM_API_KEY": API_KEY,
    }


class Playground(Protocol):
    """The address that a server takes for the playground."""

    @property
    def settings(self) -> dict[str, str]: ...


class Kustom:
    """The simulator, from outside."""

    def __init__(self, url: str, http: httpx.Client) -> None:
        self.url = url
        self._http = http

    @property
    def settings(self) -> dict[str, str]:
        """Settings that make a server take this for the playground."""
        return playground(self.url)

    @property
    def account(self) -> str:
        """The name of that server's account."""
        return f"playground/{self.url}/{MERCHANT}"

    def reset(self) -> None:
        self._http.post("/sandbox/reset").raise_for_status()

    def fault(self, method: str, path: str, fault: str, **more: Json) -> None:
        """Let the next request like this meet a mishap."""
        self._http.post(
            "/sandbox/faults", json={"method": method, "path": path, "fault": fault, **more}
        ).raise_for_status()

    @property
    def met(self) -> bool:
        """Return whether every fault has been met by a request: one with a delay is on its way."""
        return self._http.get("/sandbox/faults").json() == []

    def add(self, **given: Json) -> str:
        """Add an order made from any part of one; its id."""
        return str(self._http.post("/sandbox/orders", json=given).raise_for_status().json()["order_id"])

    def listed(self) -> dict[str, str]:
        """The status of every order, by its id."""
        return {row["order_id"]: row["status"] for row in self._http.get("/sandbox/orders").json()}

    def order(self, order_id: str) -> dict[str, Json]:
        """The order, read directly."""
        return self._http.get(f"{API}/orders/{order_id}").raise_for_status().json()

    def change(self, method: str, path: str, body: Json = None) -> None:
        """A write by somebody else, past the server under test. `path` starts after /ordermanagement/v1."""
        self._http.request(method, f"{API}{path}", json=body).raise_for_status()

    @property
    def requests(self) -> list[dict[str, Json]]:
        """Every request to the API since the start of the test."""
        return self._http.get("/sandbox/requests").json()

    @property
    def writes(self) -> list[tuple[str, str, Json]]:
        """Every write that had an effect of its own, no replays: method, path after the order's id, body."""
        return [
            (seen["method"], seen["path"].removeprefix(f"{API}/orders/").partition("/")[2], seen["body"])
            for seen in self.requests
            if seen["method"] != "GET" and not seen["replayed"] and 200 <= (seen["status"] or 0) < 300
        ]


@contextmanager
def simulating(*words: str) -> Generator[Kustom, None, None]:
    """A simulator process, on any free port, for as long as the block runs. `words`: more options."""
    process = subprocess.Popen(
        [*PROGRAM, "simulate", "--port", "0", *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().removeprefix("listening on ").strip()
        with httpx.Client(base_url=url, auth=(USERNAME, API_KEY), timeout=PATIENCE, trust_env=False) as http:
            yield Kustom(url, http)
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)
