"""What tests of many folders are given: a real PostgreSQL, where there is one."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

from tests import postgres


@pytest.fixture(scope="session", autouse=True)
def no_state_of_the_person(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Servers that are not given a state directory keep nothing in that of whoever runs the tests."""
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="session")
def postgres_url() -> Generator[str]:
    """An account that may create databases. Skips where there is no server and none can be started, but not in CI."""
    given = os.environ.get("KUSTOM_TEST_POSTGRES")
    if given:
        yield given
    elif postgres.binaries() is None and not os.environ.get("CI"):
        pytest.skip("no PostgreSQL here: install Debian's postgresql, or give KUSTOM_TEST_POSTGRES")
    else:
        with postgres.own_server() as server:
            yield server.url


@pytest.fixture
def shared_database(postgres_url: str) -> Generator[str]:
    """The URL of an empty database of this test."""
    with postgres.database(postgres_url) as url:
        yield url
