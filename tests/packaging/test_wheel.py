"""The wheel is what people run: built, installed into an empty environment with exactly the locked dependencies, and
started from an empty directory without any of this checkout.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

from kustom_mcp import __version__
from kustom_mcp.calls.policy import DEFAULT_TOOLSETS
from kustom_mcp.tools.catalog import CATALOG
from tests.support.unhurried import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
UV = os.environ.get("UV") or shutil.which("uv")
SCRIPTS = "Scripts" if sys.platform == "win32" else "bin"
KEPT = ("PATH", "SYSTEMROOT", "TMPDIR", "TEMP", "SSL_CERT_FILE")

pytestmark = [
    pytest.mark.real_clock,
    pytest.mark.wheel,
    pytest.mark.skipif(UV is None and not os.environ.get("CI"), reason="uv is not installed: it builds the wheel"),
]


def run(command: Sequence[str | Path], *, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Return a command's output; an assertion with its complaints when it fails."""
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, f"{command} gave {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def inside(folder: Path) -> set[str]:
    """The names of a folder's files, without their endings."""
    return {path.stem for path in folder.iterdir()}


def surroundings(home: Path) -> dict[str, str]:
    """An environment without settings of ours and without this checkout's Python."""
    return {name: os.environ[name] for name in KEPT if name in os.environ} | {"HOME": str(home)}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert UV, "uv is needed to build the wheel"
    into = tmp_path_factory.mktemp("wheel")
    run([UV, "build", "--quiet", "--wheel", "--out-dir", into, ROOT], cwd=ROOT)
    (built,) = into.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `kustom-mcp` of an environment that holds the locked dependencies and the wheel, and nothing else."""
    assert UV
    home = tmp_path_factory.mktemp("environment")
    run([UV, "venv", "--quiet", "--python", sys.executable, home], cwd=home)
    python = home / SCRIPTS / ("python.exe" if sys.platform == "win32" else "python")
    install = [UV, "pip", "install", "--quiet", "--python", python]
    run([*install, "--require-hashes", "--requirement", ROOT / "requirements.lock"], cwd=home)
    run([*install, "--no-deps", wheel], cwd=home)
    run([UV, "pip", "check", "--quiet", "--python", python], cwd=home)
    return home / SCRIPTS / "kustom-mcp"


def test_the_wheel_holds_the_package_its_texts_and_nothing_else(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    package = {path for path in (ROOT / "kustom_mcp").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    expected = {path.relative_to(ROOT).as_posix() for path in package}
    expected |= {f"kustom_mcp/data/prompts/{path.name}" for path in (ROOT / "prompts").glob("*.md")}
    assert names == expected


def test_the_installed_command_tells_its_version(installed: Path, tmp_path: Path) -> None:
    assert run([installed, "--version"], cwd=tmp_path, env=surroundings(tmp_path)) == f"kustom-mcp {__version__}\n"


@pytest.mark.parametrize("on_the_path", [True, False])
def test_the_installed_command_prints_how_it_is_started(installed: Path, on_the_path: bool, tmp_path: Path) -> None:
    env = surroundings(tmp_path)
    path = [str(installed.parent)] if on_the_path else []
    env["PATH"] = os.pathsep.join([*path, *(at for at in os.get_exec_path() if at != str(Path(sys.executable).parent))])
    told = help_of(installed, cwd=tmp_path, env=env)
    assert told == f"{'kustom-mcp' if on_the_path else installed} book --help"
    assert run(shlex.split(told), cwd=tmp_path, env=env).startswith("usage: ")


def test_what_uvx_starts_says_so_and_writes_it_into_a_host(wheel: Path, tmp_path: Path) -> None:
    assert UV
    env = surroundings(tmp_path) | {"UV_CACHE_DIR": run([UV, "cache", "dir"], cwd=tmp_path).strip()}
    uvx = [UV, "tool", "run", "--from", wheel, "kustom-mcp"]
    assert help_of(*uvx, cwd=tmp_path, env=env) == f"uvx --from {wheel} kustom-mcp book --help"
    run([*uvx, "install", "cursor", "--yes"], cwd=tmp_path, env=env)
    entry = json.loads((tmp_path / ".cursor" / "mcp.json").read_text())["mcpServers"]["kustom"]
    assert (Path(entry["command"]).stem, entry["args"]) == ("uvx", ["--from", str(wheel), "kustom-mcp"])
    assert run([entry["command"], *entry["args"], "--version"], cwd=tmp_path, env=env | entry["env"])


def help_of(*words: str | Path, cwd: Path, env: dict[str, str]) -> str:
    """The command that a wrong command line advises."""
    refused = subprocess.run([*words, "book"], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    (told,) = re.findall(r"\(see (.+)\)\n$", refused.stderr)
    return told


def test_the_installed_command_lists_the_tools_without_settings(installed: Path, tmp_path: Path) -> None:
    listed = json.loads(run([installed, "tools", "--json"], cwd=tmp_path, env=surroundings(tmp_path)))
    assert [tool["name"] for tool in listed] == [
        tool.name for tool in CATALOG.values() if tool.toolset in DEFAULT_TOOLSETS
    ]


async def test_the_installed_server_answers_over_stdio_with_its_prompts_and_texts(
    installed: Path, tmp_path: Path
) -> None:
    env = surroundings(tmp_path) | {"KUSTOM_TOOLS": "all"}
    server = StdioServerParameters(command=str(installed), env=env, cwd=tmp_path)
    with anyio.fail_after(PATIENCE):
        async with Client(server) as client:
            tools = [tool.name for tool in (await client.list_tools()).tools]
            prompts = {prompt.name for prompt in (await client.list_prompts()).prompts}
            resources = [resource.uri for resource in (await client.list_resources()).resources]
            texts = [(await client.read_resource(uri)).contents for uri in resources]
    assert tools == list(CATALOG)
    assert prompts == inside(ROOT / "prompts")
    assert "kustom://reference/demo-orders" in resources
    assert all(texts)
    assert inside(tmp_path) == set()
