"""Wrong answers are counted for each subject over an hour, at once and by all processes that share a store."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from kustom_mcp.state.database import Store
from kustom_mcp.state.tries import HOUR, Tries

NOW = 1_767_355_200.0


@pytest.fixture(params=["memory", "postgres"])
def tries(request: pytest.FixtureRequest) -> Generator[Tries]:
    """The tries of each kind of store."""
    if request.param == "memory":
        store = Store.memory()
    else:
        store = Store.postgres(SecretStr(request.getfixturevalue("shared_database")))
    yield Tries(store)
    store.close()


def test_a_subject_has_so_many_tries_an_hour_and_right_ones_do_not_count(tries: Tries) -> None:
    for second in range(3):
        right = tries.take(["order", "reference"], 2, NOW + second)
        assert right is not None
        tries.take_back(right, ["order", "reference"])
    assert [tries.take(["order", f"reference {n}"], 2, NOW + n) is not None for n in range(3)] == [True, True, False]
    assert tries.take(["reference 2"], 1, NOW) is not None, "what was refused is not counted"
    assert tries.take(["order"], 2, NOW + HOUR - 1) is None
    assert tries.take(["order"], 2, NOW + HOUR) is not None, "the first has become an hour old"
    assert tries.take(["order"], 2, NOW + HOUR) is None


def test_a_clock_that_was_set_back_does_not_make_a_try_count_for_longer(tries: Tries) -> None:
    assert tries.take(["order"], 1, NOW + 30 * 24 * HOUR) is not None
    assert tries.take(["order"], 1, NOW) is None
    assert tries.take(["order"], 1, NOW + HOUR) is not None


def test_a_hundred_at_once_from_two_processes_are_no_more_than_five(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    both = [Tries(Store.file(path, patience=60)) for _ in range(2)]
    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(tries.take, ["order"], 5, NOW) for tries in both * 20]
        counted = [one.result() for one in running]
    assert sum(name is not None for name in counted) == 5
    assert Tries(Store.file(path)).take(["order"], 5, NOW) is None, "a restart forgets none"
