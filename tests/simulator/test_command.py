"""`simulate` as a real process."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import AsyncGenerator

import httpx2 as httpx
import pytest

from kustom_mcp.settings.environment import load
from kustom_mcp.simulator.app import API_KEY
from kustom_mcp.simulator.events import MERCHANT, SECRET
from tests.support.unhurried import PATIENCE

pytestmark = pytest.mark.real_clock

PROGRAM = "import sys; from kustom_mcp.cli.simulate import run; sys.exit(run(int(sys.argv[1]), 0, *sys.argv[2:]))"


@contextlib.asynccontextmanager
async def started(port: int, *words: str) -> AsyncGenerator[asyncio.subprocess.Process, None]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, str(port), *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(PATIENCE):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_command_says_where_it_listens_and_stops_on_a_signal(number: signal.Signals) -> None:
    async with started(0) as process:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        assert line.startswith("listening on http://127.0.0.1:")
        url = line.removeprefix("listening on ").strip()
        async with httpx.AsyncClient(timeout=PATIENCE) as http:
            assert len((await http.get(f"{url}/sandbox/orders")).json()) >= 12
            process.send_signal(number)
            rest, told = await process.communicate()
        assert (process.returncode, rest) == (0, b"")
        _, _, printed = told.decode().partition("use it with ")
        found = load(dict(setting.split("=", 1) for setting in printed.split())).settings
        assert (found.environment, found.base_url, found.merchant) == ("playground", url, MERCHANT)
        assert found.effective_api_key.get_secret_value() == API_KEY


async def test_the_secret_that_webhooks_are_signed_with_is_said_first() -> None:
    async with started(0, "http://127.0.0.1:9/hooks") as process:
        assert process.stderr is not None
        line = (await process.stderr.readline()).decode()
    assert line == f"webhooks are of merchant {MERCHANT}, signed: KUSTOM_HOOKS_SECRET={SECRET}\n"


@pytest.mark.parametrize("port", ["taken", "70000"])
async def test_a_port_that_cannot_be_had_is_one_line_and_exit_code_2(port: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1] if port == "taken" else int(port)
        async with started(number) as process:
            out, told = await process.communicate()
    assert (process.returncode, out, told.count(b"\n")) == (2, b"", 1)
    assert told.startswith(f"kustom-mcp: --port {number}: ".encode())
