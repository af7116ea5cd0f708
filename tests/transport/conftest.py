"""One simulator process for all tests of the transports; each test starts with the demo orders and no faults."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.transport.kustom import Kustom, simulating


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Here everybody waits for other processes: all tests are as if marked `real_clock`."""
    return {"usual": asyncio.new_event_loop}


@pytest.fixture(scope="session")
def simulator() -> Iterator[Kustom]:
    with simulating() as kustom:
        yield kustom


@pytest.fixture
def kustom(simulator: Kustom) -> Kustom:
    simulator.reset()
    return simulator
