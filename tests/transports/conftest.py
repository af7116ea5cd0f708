"""One simulator process for all tests of the transports; each test starts with the demo orders and no faults."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.transports.kustom import Kustom, simulating


@pytest.fixture(scope="session")
def simulator() -> Iterator[Kustom]:
    with simulating() as kustom:
        yield kustom


@pytest.fixture
def kustom(simulator: Kustom) -> Kustom:
    simulator.reset()
    return simulator
