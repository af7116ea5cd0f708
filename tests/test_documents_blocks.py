"""Blocks of commands in documents, run in the order in which they are printed, each document in an empty home: in a
clone, and with the wheel in the place of `uv run`. Servers run on until the end of their document.

Lines that a block prints for Node's `npx` are tried where clients and protocol are (packaging/).
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.generate import DOCUMENTS, ROOT
from tests.test_documents_commands import KEPT, PUBLISHED, needs_uv, relative

PATIENCE = 600  # seconds; against a hang
SERVERS = {"serve --http": "8080", "simulate": "8090"}
"""Commands that do not end, with the port that is printed for them."""
FILES = {
    "kustom.env": "KUSTOM_ENVIRONMENT=sandbox\nKUSTOM_WRITES=deny\n",
    "orders.csv": "order id\n55e7d67e-ae6a-64a9-a89c-5bc7a0187b4d\n",
}
PROLOGUE = """
set -eu
stop() { for each in $(jobs -p); do kill "$each" 2>/dev/null || true; done; wait; }
trap stop EXIT
awake() { until curl --silent --output /dev/null "http://127.0.0.1:$1/"; do kill -0 "$2"; sleep 0.1; done; }
token() { grep --only-matching --max-count=1 'kmp_[A-Za-z0-9_-]*' said; }
"""

pytestmark = [pytest.mark.exam, pytest.mark.real_clock, needs_uv]


def lines(path: Path) -> Iterator[str]:
    """Lines of a document's blocks for a shell, without prompts and what is marked as not published yet."""
    text = PUBLISHED.sub("", path.read_text(encoding="utf-8"))
    for language, block in re.findall(r"^[ ]*```(shell|console)\n(.*?)^[ ]*```$", text, re.MULTILINE | re.DOTALL):
        whole = textwrap.dedent(block).replace("\\\n", " ")
        yield from whole.splitlines() if language == "shell" else re.findall(r"^\$ (.+)$", whole, re.MULTILINE)


PRINTED = {relative(path): found for path in DOCUMENTS if set(found := [*lines(path)]) - {"uv run kustom-mcp demo"}}
"""The lines of each document that prints more than the tour, which the README's commands in `.ci/run` show."""


def free() -> str:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        return str(one.getsockname()[1])


def script(printed: list[str], *, wheel: bool) -> str:
    """A document's lines as one shell script, which says each line that went well."""
    ports = {port: free() for port in SERVERS.values()}
    told = [PROLOGUE]
    for line in printed:
        if line.startswith("npx "):
            continue
        line = line.split("   #")[0].strip()
        done = f"echo {shlex.quote(line)} went well"
        line = line.replace("kmp_...", "$(token)").replace(
            "https://mcp.example.com", f"http://127.0.0.1:{ports['8080']}"
        )
        line = re.sub(r"127\.0\.0\.1:(\d+)", lambda found: f"127.0.0.1:{ports.get(found[1], found[1])}", line)
        line = re.sub(r"uv run (--extra \w+ )?kustom-mcp", "kustom-mcp", line) if wheel else line
        server = next((port for words, port in SERVERS.items() if f"kustom-mcp {words}" in line), None)
        if server:
            line = re.sub(r"--port \d+", "", line)
            told += [f"{line} --port {ports[server]} </dev/null >/dev/null 2>&1 &", f"awake {ports[server]} $!", done]
        elif line.startswith("export "):
            told += [line, done]
        else:
            yes = " --yes" if "kustom-mcp install" in line else ""
            told += [f"{line}{yes} </dev/null >said 2>&1 || {{ cat said; false; }}", done]
    return "\n".join(told)


@pytest.fixture(scope="module")
def cache() -> str:
    return subprocess.run(["uv", "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of this clone, as they are now, in a folder of their own."""
    folder = tmp_path_factory.mktemp("clone")
    named = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(named, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def installed(clone: Path, cache: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of an environment with the wheel and what its extras bring."""
    folder = tmp_path_factory.mktemp("wheel")
    env = surroundings(folder, cache)
    subprocess.run(["uv", "build", "--quiet", "--wheel", "--out-dir", folder, clone], env=env, check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run(["uv", "venv", "--quiet", folder / "env"], env=env, check=True)
    python = folder / "env" / "bin" / "python"
    install = ["uv", "pip", "install", "--quiet", "--python", python, f"{wheel}[excel,otel]"]
    subprocess.run(install, env=env, check=True)
    return python.parent


def surroundings(home: Path, cache: str, *first: Path) -> dict[str, str]:
    """An environment with an empty home, nothing of ours, and hosts whose own commands do nothing, and well."""
    (home / "bin").mkdir(exist_ok=True)
    for name in ("claude", "code"):
        if not (home / "bin" / name).exists():
            (home / "bin" / name).symlink_to(shutil.which("true") or "true")
    kept = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith(("UV_", "SSL_"))}
    ours = str(ROOT / ".venv" / "bin")  # which is on the PATH of the tests, and of no person
    path = [*map(str, first), str(home / "bin"), *(at for at in os.get_exec_path() if at != ours)]
    return {**kept, "PATH": os.pathsep.join(path), "HOME": str(home), "UV_CACHE_DIR": cache}


@pytest.mark.parametrize("wheel", [False, True], ids=["clone", "wheel"])
@pytest.mark.parametrize("document", PRINTED)
def test_the_blocks_of_a_document_work_in_their_order(
    document: str, *, wheel: bool, clone: Path, cache: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    first = [request.getfixturevalue("installed")] if wheel else []
    folder = tmp_path if wheel else clone
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o600)
    env = surroundings(home, cache, *first)
    if document != "docs/sandbox.md":  # which says itself where to look
        env["KUSTOM_ENVIRONMENT"] = "sandbox"
    done = subprocess.run(
        ["bash", "-c", script(PRINTED[document], wheel=wheel)],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    well = re.findall(r" went well$", done.stdout, re.MULTILINE)
    (folder / "people.toml").unlink(missing_ok=True)
    assert (done.returncode, len(well)) == (0, sum(not line.startswith("npx ") for line in PRINTED[document])), (
        f"{done.stdout[-2000:]}{done.stderr[-2000:]}"
    )


def test_uvx_runs_newer_code_of_a_clone(clone: Path, cache: str, tmp_path: Path) -> None:
    env = surroundings(tmp_path, cache)

    def version() -> str:
        told = ["uvx", "--from", str(clone), "kustom-mcp", "--version"]
        return subprocess.run(told, cwd=tmp_path, env=env, capture_output=True, text=True, check=True).stdout

    path = clone / "kustom_mcp" / "__init__.py"
    text, before = path.read_text(encoding="utf-8"), version()
    try:
        path.write_text(re.sub(r'__version__ = "[^"]+"', '__version__ = "0.99.0"', text), encoding="utf-8")
        assert (before == version(), version()) == (False, "kustom-mcp 0.99.0\n")
    finally:
        path.write_text(text, encoding="utf-8")
