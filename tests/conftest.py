"""Fixtures for tests of many folders: a real PostgreSQL, where there is one; and compiled code."""

from __future__ import annotations

import asyncio
import compileall
import contextlib
import gc
import importlib
import json
import os
import signal
import sys
import sysconfig
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from jsonschema import Draft202012Validator

import kustom_mcp
from tests.support import oracles, postgres
from tests.support.unhurried import Unhurried

TESTS = Path(__file__).parent

settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


def pytest_configure(config: pytest.Config) -> None:
    """Compile the packages once, by the first of the processes, where no process may write bytecode. Else hundreds of
    servers would each compile everything that they import, for half a second and more."""
    if sys.dont_write_bytecode and sys.prefix != sys.base_prefix and not hasattr(config, "workerinput"):
        for folder in (sysconfig.get_path("purelib"), str(Path(kustom_mcp.__file__).parent)):
            compileall.compile_dir(folder, quiet=2, workers=0)
    sys.dont_write_bytecode = False  # pytest keeps its rewritten tests, too, and need not rewrite them in each process
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a shell; servers would inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    check_each_schema_once()
    oracles.watch()


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Import a share of all tests first where several processes collect all of them: what one has rewritten for its
    assertions the others read, and none does it all again."""
    config = session.config
    worker: dict[str, Any] | None = getattr(config, "workerinput", None)
    if worker is None or config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return
    number, count = int(worker["workerid"].removeprefix("gw")), int(worker["workercount"])
    for path in sorted(TESTS.rglob("test_*.py"))[number::count]:
        with contextlib.suppress(Exception, pytest.skip.Exception):  # collecting it says what is wrong
            importlib.import_module(".".join(path.relative_to(TESTS.parent).with_suffix("").parts))


def pytest_collection_finish() -> None:
    """Leave what is there for good out of every later search for garbage."""
    gc.collect()
    gc.freeze()


def check_each_schema_once() -> None:
    """The SDK's client makes sure of a tool's output schema in every session, which takes longer than the call. Tests
    open thousands of sessions for the same few schemas."""
    check, good = Draft202012Validator.check_schema, set[str]()

    def check_once(schema: object) -> None:
        text = json.dumps(schema)
        if text not in good:
            check(schema)  # pyright: ignore[reportArgumentType]
            good.add(text)

    Draft202012Validator.check_schema = check_once  # pyright: ignore[reportAttributeAccessIssue]


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Deadlines must not depend on the machine, so time passes only while nothing works; but a test that waits for
    another process, which works unseen, is marked `real_clock` and has the usual loop."""
    if item.get_closest_marker("real_clock"):
        return {"usual": asyncio.new_event_loop}
    return {"unhurried": Unhurried}


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
