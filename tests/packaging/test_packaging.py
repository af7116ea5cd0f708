"""Files published beside the package say the same as it: names, version, variables, descriptions.

The rules of the MCP registry's `server.json` (schema 2025-12-11 and the registry's own requirements) are stated here,
because the schema itself is not ours to ship; the desktop bundle's manifest is validated by its own tool when it is
built. The calls with which an official client tries every tool are tried here first, where a mistake in one is cheap.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import re
import tomllib
from typing import Any

import pytest

from kustom_mcp import __version__
from kustom_mcp.settings.environment import load, table
from kustom_mcp.tools.catalog import CATALOG
from tests.generate import ROOT
from tests.support.conversation import ERRORS, conversation

PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT: dict[str, Any] = PYPROJECT["project"]
SERVER: dict[str, Any] = json.loads((ROOT / "packaging" / "server.json").read_text(encoding="utf-8"))
MANIFEST: dict[str, Any] = json.loads((ROOT / "packaging" / "mcpb" / "manifest.json").read_text(encoding="utf-8"))
SETTINGS = {row.name for row in table()}
README, HOSTS, LISTED = (
    (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/hosts.md", "docs/settings.md")
)


def test_every_file_names_the_same_thing_in_the_same_version() -> None:
    (package,) = SERVER["packages"]
    name = PROJECT["name"]
    assert (name, MANIFEST["name"], package["identifier"], SERVER["name"].rpartition("/")[2]) == (name,) * 4
    assert (MANIFEST["version"], SERVER["version"], package["version"]) == (__version__,) * 3
    assert list(PROJECT["scripts"]) == [name]  # `uvx NAME` finds its command by the name
    assert MANIFEST["description"] == PROJECT["description"]
    assert MANIFEST["license"] == PROJECT["license"]
    assert MANIFEST["display_name"] == SERVER["title"]
    assert MANIFEST["compatibility"]["runtimes"]["python"] == PROJECT["requires-python"]


def test_newer_code_is_built_and_the_same_code_is_not() -> None:
    """`uv run` and `uvx --from CLONE` look at these files only. Compiled code is written at the first start: if they
    looked at it, the second would build and install, which a host without a network cannot."""
    package = {path for path in (ROOT / "kustom_mcp").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    needed = {*package, *(ROOT / "prompts").glob("*.md"), ROOT / "pyproject.toml"} - {ROOT / "kustom_mcp" / "py.typed"}
    looked = {path for key in PYPROJECT["tool"]["uv"]["cache-keys"] for path in ROOT.glob(key["file"])}
    assert (needed - looked, looked - needed) == (set(), {ROOT / "README.md"})


def test_the_readme_proves_to_the_registry_that_the_package_belongs_to_the_name() -> None:
    assert re.findall(r"<!-- mcp-name: (\S+) -->", README) == [SERVER["name"]]


def test_the_install_link_and_the_line_for_vs_code_hold_what_the_host_starts() -> None:
    (link,) = re.findall(r"cursor://anysphere\.cursor-deeplink/mcp/install\?name=kustom&config=([\w=]+)", HOSTS)
    (told,) = re.findall(r"code --add-mcp '(\{.*?\})'", HOSTS)
    assert json.loads(base64.b64decode(link)) == {"command": "uvx", "args": ["kustom-mcp"]}
    assert json.loads(told) == {"name": "kustom", "command": "uvx", "args": ["kustom-mcp"]}


def test_every_variable_that_a_host_is_told_to_set_is_a_setting() -> None:
    listed = {variable["name"]: variable for variable in SERVER["packages"][0]["environmentVariables"]}
    bundled = set(MANIFEST["server"]["mcp_config"]["env"]) - {"ALLOW_WRITES"}
    assert (set(listed) - SETTINGS, bundled - SETTINGS) == (set(), set())
    assert bundled <= set(listed)
    assert [name for name in listed if f"`{name}`" not in LISTED] == []
    assert [name for name, variable in listed.items() if variable.get("isSecret")] == ["KUSTOM_API_KEY"]
    for name, variable in listed.items():
        for choice in variable.get("choices", []):
            key = {"production": "kco_live_x", "playground": "kco_test_x"}.get(choice)
            more = {"KUSTOM_API_KEY": key, "KUSTOM_MERCHANT": "PM1"} if key else {}
            assert load({name: choice, **more}).settings


def test_the_registry_would_take_server_json() -> None:
    assert set(SERVER) <= {"$schema", "name", "title", "description", "version", "packages", "remotes", "repository",
                           "websiteUrl", "icons", "_meta"}  # fmt: skip
    assert SERVER["$schema"] == "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", SERVER["name"])
    assert 3 <= len(SERVER["name"]) <= 200
    assert 1 <= len(SERVER["title"]) <= 100
    assert 1 <= len(SERVER["description"]) <= 100
    for package in SERVER["packages"]:
        assert set(package) <= {"registryType", "registryBaseUrl", "identifier", "version", "fileSha256", "transport",
                                "runtimeHint", "runtimeArguments", "packageArguments",
                                "environmentVariables"}  # fmt: skip
        assert re.fullmatch(r"\d+\.\d+\.\d+", package["version"])  # exact, no range, not "latest"
        assert package["transport"] == {"type": "stdio"}
        for variable in package["environmentVariables"]:
            assert set(variable) <= {"name", "description", "isRequired", "isSecret", "format", "default",
                                     "placeholder", "value", "choices", "variables"}  # fmt: skip
            assert isinstance(variable["name"], str)
            assert all(isinstance(choice, str) for choice in variable.get("choices", []))


def test_the_bundle_asks_for_the_key_as_a_secret_and_for_writes_as_a_switch_that_is_off() -> None:
    asked = MANIFEST["user_config"]
    assert {name for name, field in asked.items() if field.get("sensitive")} == {"api_key"}
    assert (asked["allow_writes"]["type"], asked["allow_writes"]["default"]) == ("boolean", False)
    assert not any(field["required"] for field in asked.values())  # with nothing filled in it is the sandbox
    used = set(re.findall(r"\$\{user_config\.(\w+)\}", json.dumps(MANIFEST["server"])))
    assert used == set(asked)


@pytest.mark.parametrize("field", ["description", "title"])
def test_what_a_person_reads_in_the_bundle_is_there(field: str) -> None:
    assert [name for name, asked in MANIFEST["user_config"].items() if not asked[field].strip()] == []


async def test_the_calls_that_an_official_client_makes_are_answered_without_an_error() -> None:
    spec = importlib.util.spec_from_file_location("protocol_check", ROOT / "packaging" / "protocol" / "check.py")
    assert spec is not None
    assert spec.loader is not None
    check = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(check)
    examples: dict[str, dict[str, Any]] = check.examples()
    assert list(examples) == list(CATALOG)
    async with conversation(KUSTOM_TOOLS="all") as talk:
        answers = {tool: await talk.call(tool, arguments) for tool, arguments in examples.items()}
    assert {tool: answer["summary"] for tool, answer in answers.items() if answer["outcome"] in ERRORS} == {}
