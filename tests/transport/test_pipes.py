"""stdin and stdout of every kind that a host may give, and what a host does with its own end: nothing, too little, or
something rude. The pipes are real, and so is the process at the other end."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import tempfile
import tty
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import anyio
import pytest

from kustom_mcp.tools.catalog import CATALOG
from kustom_mcp.transport.pipes import READ_BYTES, Incoming, Outgoing
from tests.support.sample import sampled
from tests.support.unhurried import PATIENCE
from tests.transport.kustom import PATIENT, PROGRAM, Kustom, demo
from tests.transport.pipe import HANDSHAKE, Json, call, lines, request, until

TOWEL = demo("captured-sek")
REFUND = {"order_id": TOWEL, "refunded_amount": 100}
LOOK = call("look", "get_order", {"order_id": TOWEL})
KINDS = ["pipe", "socket"]


@contextmanager
def ends(kind: str) -> Generator[tuple[int, int]]:
    """The places to read and to write: the two ends of a pipe, or two sockets."""
    if kind == "pipe":
        both = os.pipe()
    elif kind == "socket":
        both = tuple(end.detach() for end in socket.socketpair())
    else:
        both = os.openpty()
        tty.setraw(both[1])
    with ExitStack() as stack:
        for each in both:
            stack.callback(closed, each)
        yield both[0], both[1]


def closed(descriptor: int) -> None:
    """Close it unless the test did."""
    try:
        os.fstat(descriptor)
    except OSError:
        return
    os.close(descriptor)


def filled(descriptor: int) -> int:
    """Write until there is no more room; how many bytes there was room for. The descriptor is left as it was."""
    os.set_blocking(descriptor, False)
    count = 0
    try:
        while True:
            count += os.write(descriptor, b"x\n" * 512)
    except BlockingIOError:
        os.set_blocking(descriptor, True)
        return count


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 3, 1000])
async def test_lines_arrive_whole_however_they_are_cut(kind: str, size: int) -> None:
    data = "eins\n\nzwei, größer als €\r\n🙂🙂\n".encode() + b"\xff\xc3\n" + b"ohne Ende \xe2\x82"
    found: list[str] = []

    async def feed(end: int) -> None:
        for start in range(0, len(data), size):
            os.write(end, data[start : start + size])
            await anyio.lowlevel.checkpoint()
        os.close(end)

    with ends(kind) as (here, there), anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            group.start_soon(feed, there)
            found.extend([line async for line in Incoming(here)])
    assert found == data.decode("utf-8", "replace").split("\n")


async def test_no_more_is_read_ahead_than_a_pipe_holds() -> None:
    with ends("pipe") as (here, there), anyio.fail_after(PATIENCE):
        incoming = Incoming(here)
        filled(there)
        first = await anext(incoming)
        taken = filled(there)
        second = await anext(incoming)
        more = filled(there)
    assert (first, second, more) == ("x", "x", 0)
    assert taken <= READ_BYTES


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("blocking", [True, False])
async def test_a_host_that_does_not_read_holds_up_its_answers_and_nothing_else(kind: str, blocking: bool) -> None:
    """Also where the host has made the pipe non-blocking for itself, which makes it so for us."""
    text = "größer" * 1_000_000
    written, meanwhile, found = list[bool](), list[bool](), list[str]()

    async def write(end: int) -> None:
        await Outgoing(end).write(text)
        written.append(True)
        os.close(end)

    with ends(kind) as (here, there), anyio.fail_after(PATIENCE):
        os.set_blocking(there, blocking)
        async with anyio.create_task_group() as group:
            group.start_soon(write, there)
            for _ in range(100):  # the event loop goes on
                await anyio.lowlevel.checkpoint()
            meanwhile.extend([*written, os.get_blocking(there)])
            found.extend([line async for line in Incoming(here)])
    assert (meanwhile, written, found) == ([blocking], [True], [text])


async def test_a_host_that_is_gone_is_an_error_to_write_to_and_the_end_to_read_from() -> None:
    with ends("pipe") as (here, there):
        os.close(here)
        with pytest.raises(BrokenPipeError):
            await Outgoing(there).write("x\n")
    with ends("socket") as (here, there):
        os.write(here, b"nobody reads this")
        os.close(there)
        assert [line async for line in Incoming(here)] == []


class Server:
    """A server process at the other end of two descriptors."""

    def __init__(self, process: subprocess.Popen[bytes], said: int, heard: int) -> None:
        self.process = process
        self.said = said
        self.heard = heard
        self._answers: dict[Json, Json] = {}
        self._begun = b""

    def send(self, *messages: Json) -> None:
        os.write(self.said, lines(messages))

    def answer(self, number: Json) -> Json:
        """Read until this request is answered."""
        while number not in self._answers:
            ready, _, _ = select.select([self.heard], [], [], PATIENCE)
            assert ready, "no answer"
            *whole, self._begun = (self._begun + os.read(self.heard, READ_BYTES)).split(b"\n")
            self._answers |= {message["id"]: message["result"] for message in map(json.loads, whole)}
        return self._answers[number]


@contextmanager
def serving(
    kustom: Kustom, state: Path, inward: tuple[int, int], outward: tuple[int, int], program: Sequence[str] = PROGRAM
) -> Generator[Server]:
    """A server that reads the first of `inward` and writes to the second of `outward`, ours are the others."""
    env = {**kustom.settings, "KUSTOM_STATE_DIR": str(state), "KUSTOM_TOOLS": "all"}
    env["DRAINING"] = str(state / "draining")
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(program, stdin=inward[0], stdout=outward[1], stderr=stderr, env=env)
        try:
            yield Server(process, inward[1], outward[0])
        finally:
            process.kill()
            process.wait()
        stderr.seek(0)
        assert stderr.read() == b""


@pytest.mark.parametrize("kind", [*KINDS, "terminal"])
def test_every_kind_of_stream_serves_and_stays_as_the_host_made_it(kind: str, kustom: Kustom, tmp_path: Path) -> None:
    """A pipe each way; one socket, or one terminal, for both. What is shared must not become non-blocking."""
    with ExitStack() as stack:
        inward = stack.enter_context(ends(kind))
        outward = stack.enter_context(ends(kind)) if kind == "pipe" else inward
        if kind != "pipe":
            inward = (inward[1], inward[0])
        before = [fcntl.fcntl(each, fcntl.F_GETFL) for each in (inward[0], outward[1])]
        server = stack.enter_context(serving(kustom, tmp_path, inward, outward))
        server.send(*HANDSHAKE, LOOK)
        outcome = server.answer("look")["structuredContent"]["outcome"]
        during = [fcntl.fcntl(each, fcntl.F_GETFL) for each in (inward[0], outward[1])]
        server.process.send_signal(signal.SIGTERM)
        code = server.process.wait(PATIENCE)
        after = [fcntl.fcntl(each, fcntl.F_GETFL) for each in (inward[0], outward[1])]
    assert (outcome, code) == ("ok", 0)
    assert before == during == after


def test_files_serve_as_well(kustom: Kustom, tmp_path: Path) -> None:
    """As in `kustom-mcp < requests.jsonl > answers.jsonl`."""
    asked, answered = tmp_path / "requests.jsonl", tmp_path / "answers.jsonl"
    asked.write_bytes(lines([*HANDSHAKE, LOOK]))
    env = {**kustom.settings, "KUSTOM_STATE_DIR": str(tmp_path / "state")}
    with asked.open() as stdin, answered.open("w") as stdout:
        run = subprocess.run(PROGRAM, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, env=env, timeout=PATIENCE)
    assert (run.returncode, run.stderr) == (0, b"")
    assert [json.loads(line)["id"] for line in answered.read_text().splitlines()] == ["hello", "look"]


@pytest.mark.parametrize("kind", sampled(KINDS, 2))
async def test_a_refund_goes_on_while_the_host_reads_nothing(kind: str, kustom: Kustom, tmp_path: Path) -> None:
    lists = [request(number, "tools/list") for number in range(30)]
    with ExitStack() as stack:
        inward, outward = stack.enter_context(ends(kind)), stack.enter_context(ends(kind))
        server = stack.enter_context(serving(kustom, tmp_path, inward, outward))
        server.send(*HANDSHAKE, call("preview", "refund_order", REFUND))
        code = server.answer("preview")["structuredContent"]["confirm"]["code"]
        server.send(*lists, call("refund", "refund_order", {**REFUND, "confirm": code}))
        await until(lambda: kustom.order(TOWEL)["refunded_amount"] == 100)
        looked = len(kustom.requests)
        server.send(LOOK)
        await until(lambda: len(kustom.requests) > looked)
        tools = [len(server.answer(each["id"])["tools"]) for each in lists]
        outcomes = [server.answer(number)["structuredContent"]["outcome"] for number in ("refund", "look")]
    assert tools == [len(CATALOG)] * len(lists)
    assert outcomes == ["applied", "ok"]


async def test_a_host_that_drops_a_socket_with_unread_answers_changes_nothing_about_a_write(
    kustom: Kustom, tmp_path: Path
) -> None:
    """Hosts on Node.js talk through sockets; a socket that is closed so is reset, not ended."""
    with ends("socket") as (here, there), serving(kustom, tmp_path, (there, here), (here, there), PATIENT) as server:
        os.close(there)
        server.send(*HANDSHAKE, call("preview", "refund_order", REFUND))
        code = server.answer("preview")["structuredContent"]["confirm"]["code"]
        kustom.fault("POST", "/orders/{order_id}/refunds", "delay", seconds=1)
        server.send(call("refund", "refund_order", {**REFUND, "confirm": code}), request("list", "tools/list"))
        await until(lambda: kustom.met)
        await until(lambda: bool(select.select([here], [], [], 0)[0]))
        os.close(here)
        status = await asyncio.to_thread(server.process.wait, PATIENCE)
    assert (status, list((tmp_path / "intents").glob("*.json"))) == (0, [])
    assert kustom.order(TOWEL)["refunded_amount"] == 100
