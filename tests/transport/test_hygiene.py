"""stdout carries the protocol and nothing else, whatever libraries print; ^C while starting leaves no traceback."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.sample import sampled
from tests.support.unhurried import PATIENCE
from tests.transport.kustom import PROGRAM, Kustom, demo
from tests.transport.pipe import HANDSHAKE, call, lines, spawned, until

ORDER = {"order_id": demo("authorized-sek")}
NOISE = "NOISE-FROM-A-LIBRARY"

# Python imports `sitecustomize` from the path before anything else, so these stand for a careless library.
AT_IMPORT = f"""
import os, sys
print("{NOISE} in the buffer")
class Careless:
    def find_spec(self, name, path=None, target=None):
        if name in ("mcp", "httpx2", "pydantic", "anyio._backends._asyncio", "kustom_mcp.app.app"):
            print("{NOISE}", name)
            print("{NOISE} flushed", name, flush=True)
            os.write(1, b"{NOISE} straight to the descriptor\\n")
            os.system("echo {NOISE} from a child")
sys.meta_path.insert(0, Careless())
"""
IN_A_CALL = f"""
import os, sys, json
real = json.dumps
def dumps(*given, **more):
    print("{NOISE} in the buffer")
    os.write(1, b"{NOISE} straight to the descriptor\\n")
    return real(*given, **more)
json.dumps = dumps
"""
SLOW_IMPORT = """
import os, sys, time
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == MODULE:
            open(os.environ["HOME"] + "/here", "w").close()
            time.sleep(600)
sys.meta_path.insert(0, Slow())
"""


def library(path: Path, code: str) -> dict[str, str]:
    """The environment in which every Python program runs this first."""
    (path / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": f"{path}{os.pathsep}{Path.cwd()}", "HOME": str(path)}


@pytest.mark.parametrize("code", [AT_IMPORT, IN_A_CALL], ids=["at import", "in a call"])
@pytest.mark.parametrize("buffered", ["", pytest.param("1", marks=pytest.mark.exam)])
async def test_what_a_library_prints_goes_to_stderr(code: str, buffered: str, kustom: Kustom, tmp_path: Path) -> None:
    """`Pipe` takes every line that comes out for a message, until the very end of the process."""
    env = library(tmp_path, code if not buffered else code.replace(f'print("{NOISE} in the buffer")\nclass', "class"))
    async with spawned(kustom, tmp_path / "state", PYTHONUNBUFFERED=buffered, **env) as pipe:
        looked = await pipe.result(*HANDSHAKE, call("look", "get_order", ORDER))
        pipe.close()
        code_at_end = await pipe.ended()
    assert (looked["outcome"], code_at_end) == ("ok", 0)
    assert pipe.answers.keys() == {"hello", "look"}
    assert NOISE in pipe.stderr


@pytest.mark.parametrize("words", sampled([["serve"], ["--env-file={}", "serve"], ["serve", "--env-file", "{}"]], 3))
def test_every_way_to_serve_keeps_stdout_clean(words: list[str], tmp_path: Path) -> None:
    settings = tmp_path / "settings"
    settings.write_text("KUSTOM_TOOLS=all\n")
    run = subprocess.run(
        [*PROGRAM, *(word.format(settings) for word in words)],
        input=lines([*HANDSHAKE, call("look", "get_order", ORDER)]),
        capture_output=True,
        env=library(tmp_path, AT_IMPORT),
        timeout=PATIENCE,
        check=True,
    )
    assert [json.loads(line)["id"] for line in run.stdout.splitlines()] == ["hello", "look"]
    assert NOISE.encode() in run.stderr


@pytest.mark.parametrize("words", sampled([["tools"], ["--help"], ["--version"], ["serve", "--help"]], 4))
def test_other_commands_print_to_stdout(words: list[str], tmp_path: Path) -> None:
    run = subprocess.run([*PROGRAM, *words], capture_output=True, env={"HOME": str(tmp_path)}, timeout=PATIENCE)
    assert (run.returncode, run.stderr) == (0, b"")
    assert b"kustom" in run.stdout


@pytest.mark.parametrize(
    "module",
    [
        "kustom_mcp.cli.parser",
        pytest.param("pydantic", marks=pytest.mark.exam),
        pytest.param("mcp.server", marks=pytest.mark.exam),
        "anyio._backends._asyncio",
    ],
)
async def test_an_interrupt_while_it_starts_says_nothing(module: str, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *PROGRAM,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=library(tmp_path, SLOW_IMPORT.replace("MODULE", repr(module))),
    )
    await until((tmp_path / "here").exists)
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(PATIENCE):
        said = await process.communicate()
    assert said == (b"", b"")
    assert process.returncode == -signal.SIGINT


async def test_an_interrupt_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    """As under nohup: the server starts in spite of it."""
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    go_on = tmp_path / "go on"
    os.mkfifo(go_on)
    slow = SLOW_IMPORT.replace("MODULE", "'pydantic'").replace("time.sleep(600)", f"open({str(go_on)!r}).read()")
    process = await asyncio.create_subprocess_exec(
        *PROGRAM,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=library(tmp_path, code + slow),
    )
    await until((tmp_path / "here").exists)
    process.send_signal(signal.SIGINT)
    await asyncio.to_thread(go_on.write_text, "")
    async with asyncio.timeout(PATIENCE):
        out, _ = await process.communicate(lines(HANDSHAKE))
    assert (json.loads(out)["id"], process.returncode) == ("hello", 0)


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_missing_standard_stream_is_no_reason_to_mix_up_the_others(closed: int, tmp_path: Path) -> None:
    run = subprocess.run(
        [*PROGRAM],
        input=lines(HANDSHAKE),
        capture_output=True,
        env={"HOME": str(tmp_path)},
        timeout=PATIENCE,
        preexec_fn=lambda: os.close(closed),
    )
    assert closed == 2 or b'"id"' not in run.stderr
    if closed == 2:
        assert json.loads(run.stdout)["id"] == "hello"
    else:
        assert run.stdout == b""


@pytest.mark.skipif(os.name != "posix", reason="terminals")
def test_a_person_who_starts_it_in_a_terminal_is_told_what_it_waits_for() -> None:
    import pty

    person, terminal = pty.openpty()
    process = subprocess.Popen(PROGRAM, stdin=terminal, stdout=subprocess.PIPE, stderr=terminal)
    os.close(terminal)
    try:
        with open(person, "rb", buffering=0, closefd=False) as screen:
            told = screen.readline().decode()
        os.write(person, b"\x04")  # the end of what is typed
        out, _ = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        os.close(person)
    assert told.startswith("kustom-mcp: An assistant's program starts this and talks to it. Ctrl-C ends it; `")
    assert told.endswith(" demo` shows what it does.\r\n")
    assert (out, process.returncode) == (b"", 0)
