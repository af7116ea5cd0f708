"""Clients that `packaging/clients/check.py` lets talk to the server: what the document prints of them is run."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from kustom_mcp.settings.environment import load
from kustom_mcp.tools.catalog import CATALOG
from tests.generate import ROOT

CLIENTS = ROOT / "packaging" / "clients"
DOCUMENT = (ROOT / "docs" / "frameworks.md").read_text(encoding="utf-8")


def module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"clients_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


check, story = module(CLIENTS / "check.py"), module(CLIENTS / "story.py")


def test_every_block_is_that_of_a_client_and_every_client_has_its_program() -> None:
    assert re.findall(r"<!-- client: ([\w-]+) -->", DOCUMENT) == list(check.CLIENTS)
    assert len(re.findall(r"^```\w+$", DOCUMENT, re.MULTILINE)) == len(check.CLIENTS)
    programs = {path.name for path in (CLIENTS / "programs").iterdir() if path.is_file()}
    shared = {"javascript.py", "bridge.mjs"}
    assert programs - shared == {client.program for client in check.CLIENTS.values()}


@pytest.mark.parametrize("name", check.CLIENTS)
def test_a_block_starts_the_server_of_a_clone_with_settings_that_exist(name: str) -> None:
    language, text = check.snippet(name)
    words = re.findall(r'"([^"]+)"', text) if language != "shell" else text.split()
    at = words.index("run")
    told = ["run", "--project", "PATH_OF_THE_CLONE", "kustom-mcp", "--env-file", "kustom.env"]
    assert ("uv" in words, words[at : at + 6]) == (True, told)
    assert load(dict(re.findall(r'"(KUSTOM_[A-Z]+)": "([a-z]+)"', text))).settings
    if language == "python":
        (main,) = [node for node in ast.parse(text).body if getattr(node, "name", "") == "main"]
        assert isinstance(main, ast.AsyncFunctionDef)


@pytest.mark.parametrize("name", check.CLIENTS)
def test_the_table_names_the_versions_that_are_run_what_is_set_and_who_approves(name: str) -> None:
    client = check.CLIENTS[name]
    rows = [line for line in DOCUMENT.splitlines() if line.startswith("| [")]
    (row,) = [row for row in rows if all(f"`{package}`" in row for package in client.packages)]
    _, _, _, settings, approves, *_ = [cell.strip() for cell in row.split("|")]
    assert check.DAY in DOCUMENT
    told = dict(re.findall(r"`(KUSTOM_\w+)=(\w+)`", settings))
    assert set(re.findall(r'"(KUSTOM_[A-Z]+)": "([a-z]+)"', check.snippet(name)[1])) in (set(told.items()), set())
    assert ("by your function" in approves, "a code" in approves) == (client.forms, not client.forms)


def test_the_story_gives_every_argument_of_a_refund() -> None:
    schema = CATALOG["kustom_refund_order"].wire()["inputSchema"]
    assert {*story.OPTIONAL, "order_id", "lines"} == set(schema["properties"])
