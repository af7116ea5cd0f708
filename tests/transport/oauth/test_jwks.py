"""The life of keys: how long they are kept, when they are asked for again, and an issuer that is down."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import pytest
from anyio import wait_all_tasks_blocked
from anyio.lowlevel import checkpoint

from kustom_mcp.transport.oauth.algorithms import SigningKey, signing_keys
from kustom_mcp.transport.oauth.issuer import IssuerError, Published
from kustom_mcp.transport.oauth.jwks import INTERVAL, LIFETIME, STALE, KeySet, KeysUnavailable
from tests.support.unhurried import PATIENCE
from tests.transport.oauth.issuing import ISSUER, ec_key, ed_key, jwk, rsa_key

DOWN = IssuerError("the issuer could not be reached (ConnectError)")


@dataclass
class World:
    """An issuer that says `says`, or fails with it; the time; and how often it was asked. `gate` holds it up."""

    says: list[dict[str, object]] | Exception
    now: float = 1000.0
    asked: int = 0
    at_once: int = 0
    most_at_once: int = 0
    gate: anyio.Event | None = None

    async def read(self) -> Published:
        self.asked += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await (self.gate.wait() if self.gate else checkpoint())
        finally:
            self.at_once -= 1
        if isinstance(self.says, Exception):
            raise self.says
        return Published(ISSUER, signing_keys({"keys": self.says}))

    @asynccontextmanager
    async def keys(self) -> AsyncGenerator[KeySet]:
        """The key set, its first refresh done unless a gate holds it."""
        with anyio.fail_after(PATIENCE):
            async with KeySet(self.read, clock=lambda: self.now) as keys:
                await wait_all_tasks_blocked()
                yield keys


def kid(key: SigningKey | None) -> str | None:
    return key.kid if key else None


async def test_keys_are_asked_for_once_and_kept() -> None:
    world = World([jwk(ec_key(), "one"), jwk(ec_key(), "two")])
    async with world.keys() as keys:
        world.now += LIFETIME - 1
        assert kid(await keys.find("one", "ES256")) == "one"
        assert kid(await keys.find("two", "ES256")) == "two"
        assert await keys.issuer() == ISSUER
    assert world.asked == 1


async def test_old_keys_are_renewed_without_anybody_waiting() -> None:
    world = World([jwk(ec_key(), "one")])
    async with world.keys() as keys:
        world.now += LIFETIME
        world.gate = anyio.Event()
        assert kid(await keys.find("one", "ES256")) == "one"
        world.says = [jwk(ec_key(), "two")]
        world.gate.set()
        await wait_all_tasks_blocked()
        assert await keys.find("one", "ES256") is None
    assert world.asked == 2


async def test_a_new_key_is_found_when_a_token_names_it() -> None:
    world = World([jwk(ec_key(), "one")])
    async with world.keys() as keys:
        world.says = [jwk(ec_key(), "one"), jwk(ec_key(), "two")]
        world.now += INTERVAL
        assert kid(await keys.find("two", "ES256")) == "two"
    assert world.asked == 2


async def test_invented_key_ids_do_not_make_us_hammer_the_issuer() -> None:
    world = World([jwk(ec_key(), "one")])
    async with world.keys() as keys:
        for second in range(100):
            assert await keys.find(f"invented-{second}", "ES256") is None
            world.now += 1
    assert world.asked <= 1 + 100 / INTERVAL


async def test_many_who_wait_ask_once() -> None:
    world = World([jwk(ec_key(), "one")], gate=anyio.Event())
    found: list[str | None] = []
    async with world.keys() as keys:

        async def look() -> None:
            found.append(kid(await keys.find("one", "ES256")))

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(look)
            await wait_all_tasks_blocked()
            assert world.gate is not None
            world.gate.set()
    assert (found, world.asked, world.most_at_once) == (["one"] * 20, 1, 1)


async def test_a_caller_who_leaves_does_not_take_the_refresh_along() -> None:
    world = World([jwk(ec_key(), "one")], gate=anyio.Event())
    async with world.keys() as keys:
        async with anyio.create_task_group() as group:
            group.start_soon(keys.find, "one", "ES256")
            await wait_all_tasks_blocked()
            group.cancel_scope.cancel()
        assert world.gate is not None
        world.gate.set()
        assert kid(await keys.find("one", "ES256")) == "one"
    assert world.asked == 1


async def test_an_issuer_that_is_down_at_first_is_asked_again_later() -> None:
    world = World(DOWN)
    async with world.keys() as keys:
        with pytest.raises(KeysUnavailable):
            await keys.find("one", "ES256")
        assert await keys.issuer() is None
        assert world.asked == 1
        world.says = [jwk(ec_key(), "one")]
        world.now += INTERVAL
        assert kid(await keys.find("one", "ES256")) == "one"
    assert world.asked == 2


async def test_the_last_keys_are_used_for_a_day_while_the_issuer_is_down(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    world = World([jwk(ec_key(), "one")])
    async with world.keys() as keys:
        world.says = DOWN
        world.now += STALE - 1
        assert kid(await keys.find("one", "ES256")) == "one"
        await wait_all_tasks_blocked()
        with pytest.raises(KeysUnavailable):  # it may be a new one
            await keys.find("two", "ES256")
        world.now += 1
        with pytest.raises(KeysUnavailable):
            await keys.find("one", "ES256")
    assert caplog.messages == [
        "The keys of the token issuer could not be read: the issuer could not be reached (ConnectError); "
        "the last known keys stay in use."
    ]


async def test_a_failure_nobody_thought_of_ends_nothing() -> None:
    world = World(ZeroDivisionError())
    async with world.keys() as keys:
        with pytest.raises(KeysUnavailable):
            await keys.find("one", "ES256")
        world.says = [jwk(ec_key(), "one")]
        world.now += INTERVAL
        assert kid(await keys.find("one", "ES256")) == "one"


async def test_an_issuer_that_withdraws_every_key_is_believed() -> None:
    world = World([jwk(ec_key(), "one")])
    async with world.keys() as keys:
        world.says = []
        world.now += LIFETIME
        await keys.find("one", "ES256")
        await wait_all_tasks_blocked()
        assert await keys.find("one", "ES256") is None


async def test_a_key_is_given_for_its_own_algorithm_only() -> None:
    world = World([jwk(rsa_key(), "one", alg="PS256"), jwk(ec_key(), "one")])
    async with world.keys() as keys:
        assert await keys.find("one", "RS256") is None
        found = await keys.find("one", "ES256")
        assert found is not None
        assert found.algorithms == {"ES256"}


async def test_a_token_without_a_key_id_needs_the_only_key_of_its_kind() -> None:
    world = World([jwk(ec_key(), "one"), jwk(ec_key(), "two"), jwk(ed_key(), None)])
    async with world.keys() as keys:
        assert await keys.find(None, "ES256") is None
        assert await keys.find(None, "EdDSA") is not None
        assert await keys.find("one", "EdDSA") is None


async def test_keys_are_found_in_its_lifetime_only() -> None:
    with pytest.raises(RuntimeError):
        await KeySet(World([]).read).find("one", "ES256")


async def test_an_error_inside_its_lifetime_passes_as_it_is() -> None:
    world = World([], gate=anyio.Event())
    with pytest.raises(ZeroDivisionError):
        async with world.keys():
            raise ZeroDivisionError
