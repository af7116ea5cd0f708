"""Commands that documents and the program print work as they are printed: from a clone, in an empty home.

The package is not published, so `uvx kustom-mcp` and a bare `kustom-mcp` stand in the one marked place only.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

from kustom_mcp.cli.account import ABOUT_ORDERS
from kustom_mcp.cli.parser import parse
from tests.generate import DOCUMENTS as PEOPLE
from tests.generate import ROOT
from tests.support.sample import sampled
from tests.transport.kustom import demo, simulating

DOCUMENTS = [
    *(path for path in PEOPLE if path.name != "CHANGELOG.md"),
    ROOT / ".env.example",
    *sorted((ROOT / "prompts").glob("*.md")),
    *sorted((ROOT / "kustom_mcp" / "data").rglob("*.md")),
]
PUBLISHED = re.compile(r"<!-- published -->\n.*?<!-- end -->", re.DOTALL)
EXAMPLES: dict[str, str] = {
    "HOST": "cursor",
    "FILE": "orders.csv",
    "ORDER_ID": demo("captured-sek"),
    "ORDER_ID...": demo("captured-sek"),
    "PATH_OF_THE_CLONE": str(ROOT),
}
PATIENCE = 120  # seconds; against a hang
SAFE = {"check", "tools", "audit", "resolve", "install", "book"}
NOT_ALONE = {"HOST", "--playground", "forget", "--complete-from"}
HERE = "http://127.0.0.1:8090"
KEPT = ("PATH", "SYSTEMROOT", "TMPDIR", "TEMP", "SSL_CERT_FILE", "UV_INDEX_URL", "UV_DEFAULT_INDEX")

needs_uv = pytest.mark.skipif(
    os.name != "posix" or (shutil.which("uv") is None and not os.environ.get("CI")), reason="uv, in a shell"
)


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def code(text: str) -> Iterator[str]:
    """Code in a document: in the line, or as lines of a block, without a prompt."""
    yield from re.findall(r"`([^`\n]+)`", text)
    for language, block in re.findall(r"^[ ]*```(\w*)\n(.*?)^[ ]*```$", text, re.MULTILINE | re.DOTALL):
        if language == "shell":
            yield from block.splitlines()
        elif language == "console":
            yield from re.findall(r"^\$ (.+)$", block, re.MULTILINE)
    yield from re.findall(r"^    (\S.*)$", text, re.MULTILINE)


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command in a document, those of `&&` and what a host's own command is told one by one."""
    for line in code(text):
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # no command: a sentence with an apostrophe, or a piece of one
            continue
        while words:
            end = next((n for n, word in enumerate(words) if word in ("&&", "--")), len(words))
            yield words[:end]
            words = words[end + 1 :]


def ours(text: str) -> list[list[str]]:
    """The commands that start this program, in any form."""
    starts = ([word for word in words if not re.match(r"[A-Z_]+=", word)][:1] for words in commands(text))
    return [
        words
        for words, first in zip(commands(text), starts, strict=True)
        if first in (["kustom-mcp"], ["uvx"]) or (first == ["uv"] and "kustom-mcp" in words)
    ]


def of_a_clone(path: Path) -> list[list[str]]:
    """The commands of a document outside of what is marked as not published yet."""
    return ours(PUBLISHED.sub("", path.read_text(encoding="utf-8")))


def arguments(words: Sequence[str]) -> list[str]:
    """Arguments of this program, with examples in the place of names in capitals."""
    return [EXAMPLES.get(word, word) for word in words[words.index("kustom-mcp") + 1 :]]


@pytest.fixture(scope="session")
def cache() -> str:
    """Distributions that uv has fetched before."""
    return subprocess.run(["uv", "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def home(cache: str, tmp_path: Path) -> dict[str, str]:
    """An environment with an empty home and nothing of ours, in which the hosts' own commands do nothing, and well."""
    (tmp_path / "bin").mkdir()
    for name in ("claude", "code"):
        (tmp_path / "bin" / name).symlink_to(shutil.which("true") or "true")
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    ours = str(Path(sys.executable).parent)  # which is on the PATH of the tests, and of no person
    path = os.pathsep.join([str(tmp_path / "bin"), *(at for at in os.get_exec_path() if at != ours)])
    return {**kept, "PATH": path, "HOME": str(tmp_path), "UV_CACHE_DIR": cache}


def run(words: Sequence[str], folder: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """A command, as a person starts it who types nothing else."""
    return subprocess.run(
        words, cwd=folder, env=env, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


def printed() -> dict[str, list[str]]:
    """Every command that is printed for a clone and does its work without anything else, by its line."""
    return {
        " ".join(words): words
        for path in DOCUMENTS
        for words in of_a_clone(path)
        if set(arguments(words)[:1]) & SAFE and not set(words) & NOT_ALONE and words[0] == "uv"
    }


@pytest.mark.parametrize("path", DOCUMENTS, ids=relative)
def test_what_works_only_after_publishing_stands_in_the_marked_place(path: Path) -> None:
    by_uv = re.compile(r"([A-Z_]+=\S+ )*uv run (--(extra|directory) \S+ )?kustom-mcp( |$)")
    assert [line for words in of_a_clone(path) if not by_uv.match(line := " ".join(words))] == []
    assert '"uvx"' not in PUBLISHED.sub("", path.read_text(encoding="utf-8"))


def test_one_place_is_marked_so_and_says_so() -> None:
    marked = [part for path in DOCUMENTS for part in PUBLISHED.findall(path.read_text(encoding="utf-8"))]
    assert len(marked) == 1
    assert "it is not yet" in marked[0]
    assert "`uvx kustom-mcp`" in marked[0]


@pytest.mark.parametrize("path", DOCUMENTS, ids=relative)
def test_every_printed_command_is_one_that_this_program_takes(path: Path) -> None:
    for words in ours(path.read_text(encoding="utf-8")):
        parse(arguments(words))


@needs_uv
@pytest.mark.parametrize("line", sampled(printed(), 4))
def test_a_printed_command_works_in_a_clone_with_an_empty_home(line: str, home: dict[str, str], tmp_path: Path) -> None:
    words = printed()[line]
    given = arguments(words)
    if given[0] == "install":
        given.append("--yes")
    if "--env-file" in given:
        given[given.index("--env-file") + 1] = str(tmp_path / "kustom.env")
        (tmp_path / "kustom.env").write_text("KUSTOM_ENVIRONMENT=sandbox\nKUSTOM_WRITES=deny\n")
    if given[:2] == ["book", "import"]:
        given[2] = str(tmp_path / "orders.csv")
        Path(given[2]).write_text(f"order id\n{EXAMPLES['ORDER_ID']}\n")
    invented = {"KUSTOM_ENVIRONMENT": "sandbox"} if given[0] in ABOUT_ORDERS else {}
    done = run([*words[: words.index("kustom-mcp") + 1], *given], ROOT, {**home, **invented})
    assert (done.returncode, done.stdout == "") == (0, False), done.stderr


@needs_uv
def test_the_simulator_and_the_check_against_it_work_as_they_are_printed(home: dict[str, str]) -> None:
    (words,) = [words for path in PEOPLE for words in of_a_clone(path) if any(HERE in word for word in words)]
    with simulating() as kustom:
        started = shlex.join(words).replace(HERE, kustom.url)
        done = run(["sh", "-c", started], ROOT, home)
    assert (done.returncode, "Credentials: accepted." in done.stdout) == (0, True), done.stderr


@needs_uv
def test_an_entry_by_hand_starts_the_server_once_it_names_the_clone(home: dict[str, str], tmp_path: Path) -> None:
    hosts = (ROOT / "docs" / "hosts.md").read_text(encoding="utf-8")
    (first, *_) = re.findall(r"```json\n(.*?)```", hosts, re.DOTALL)
    entry: dict[str, Any] = json.loads(first)["mcpServers"]["kustom"]
    words: list[str] = [EXAMPLES.get(str(word), str(word)) for word in entry["args"]]
    server = StdioServerParameters(command=entry["command"], args=words, env={**home, **entry["env"]}, cwd=tmp_path)

    async def listed() -> set[str]:
        with anyio.fail_after(PATIENCE):
            async with Client(server) as client:
                return {tool.name for tool in (await client.list_tools()).tools}

    assert "kustom_get_order" in anyio.run(listed)


SCRIPT = str(Path(sys.executable).with_name("kustom-mcp"))
STARTS = {
    "in the clone": (["uv", "run", "kustom-mcp"], ROOT, "uv run kustom-mcp"),
    "in a folder of the clone": (["uv", "run", "kustom-mcp"], ROOT / "docs", "uv run kustom-mcp"),
    "from elsewhere": (
        ["uv", "run", "--project", str(ROOT), "kustom-mcp"],
        None,
        f"uv run --project {ROOT} kustom-mcp",
    ),
    "by its file": ([SCRIPT], None, f"uv run --project {ROOT} kustom-mcp"),
    "without uv": ([SCRIPT], None, SCRIPT),
}


@needs_uv
@pytest.mark.parametrize("how", STARTS)
def test_what_the_program_prints_works_where_it_was_started(how: str, home: dict[str, str], tmp_path: Path) -> None:
    """The line about help is an example: what is printed elsewhere is made in the same place."""
    words, folder, shown = STARTS[how]
    env = {**home, "PATH": "/usr/bin:/bin"} if how == "without uv" else home
    refused = run([*words, "book"], folder or tmp_path, env)
    (told,) = re.findall(r"\(see (.+)\)\n$", refused.stderr)
    assert (refused.returncode, told) == (2, f"{shown} book --help")
    done = run(["sh", "-c", told], folder or tmp_path, env)
    assert (done.returncode, done.stdout.startswith("usage: ")) == (0, True), done.stderr


@needs_uv
@pytest.mark.exam
def test_the_last_screen_of_the_demo_prints_one_command_that_works(home: dict[str, str]) -> None:
    shown = run(["uv", "run", "kustom-mcp", "demo"], ROOT, home).stdout.partition("What next")[2]
    (told,) = re.findall(r"^  (\S.*)$", shown, re.MULTILINE)
    assert told == "uv run kustom-mcp install claude-code"  # whose command is there, and not the folders of others
    done = run(["sh", "-c", f"{told} --yes"], ROOT, home)
    assert (done.returncode, done.stdout.rpartition("Installed into ")[2][:11]) == (0, "Claude Code"), done.stderr
