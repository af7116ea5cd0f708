"""Builds the desktop bundle with the official tool, and tries what it built.

    uv run python packaging/mcpb/build.py [FILE]

The bundle holds the package itself and names the locked versions of what it needs, which uv fetches on the user's
machine. What was packed is unpacked elsewhere, and its own command is run with an empty home directory: as a person who
filled in nothing, with a test key and the switch off and on, and with a shops file. A real client lists the tools and
reads a demo order.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import anyio
from icon import png
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

from kustom_mcp import __version__
from kustom_mcp.settings.settings import Settings
from kustom_mcp.simulator.demo_orders import demo_orders
from kustom_mcp.tools.catalog import CATALOG

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TOOL = "@anthropic-ai/mcpb@2.1.2"
PATIENCE = 120  # seconds; the first start fetches what it needs
KEPT = ("PATH", "SYSTEMROOT", "TMPDIR", "TEMP", "SSL_CERT_FILE", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_CACHE_DIR")


def assemble(into: Path) -> None:
    """Put together what is packed."""
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(ROOT / "kustom_mcp", into / "kustom_mcp", ignore=ignored)
    shutil.copytree(ROOT / "prompts", into / "kustom_mcp" / "data" / "prompts")
    for path in (HERE / "manifest.json", HERE / "server.py", ROOT / "README.md", ROOT / "LICENSE"):
        shutil.copy(path, into)
    (into / "icon.png").write_bytes(png())
    (into / "pyproject.toml").write_text(project(), encoding="utf-8")


def project() -> str:
    """The bundle as a project of uv: no package of its own, and exactly the locked versions."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = re.findall(r"^([A-Za-z0-9._-]+==[^\\\n]+?) *\\?$", lock, re.MULTILINE)
    head = f'[project]\nname = "kustom-mcp-bundle"\nversion = "{__version__}"\nrequires-python = ">=3.11"\n'
    return f"{head}dependencies = {json.dumps(pins, indent=2)}\n\n[tool.uv]\npackage = false\n"


def mcpb(*words: str) -> None:
    """Run the official tool."""
    subprocess.run(["npx", "--yes", "--loglevel=error", TOOL, *words], check=True, stdin=subprocess.DEVNULL)


def filled_in(text: str, folder: Path, config: dict[str, str]) -> str:
    """A value of the manifest as a host uses it; what nobody filled in stays as it is written."""
    text = text.replace("${__dirname}", str(folder))
    return re.sub(r"\$\{user_config\.(\w+)\}", lambda found: config.get(found[1], found[0]), text)


async def tried(folder: Path, config: dict[str, str]) -> tuple[list[str], str]:
    """Run the bundle's command in an empty home: the tools that it lists, and the environment that it names."""
    started = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["server"]["mcp_config"]
    with tempfile.TemporaryDirectory() as home:
        env = {name: os.environ[name] for name in KEPT if name in os.environ} | {"HOME": home, "USERPROFILE": home}
        env |= {name: filled_in(value, folder, config) for name, value in started["env"].items()}
        words = [filled_in(word, folder, config) for word in started["args"]]
        server = StdioServerParameters(command=started["command"], args=words, env=env, cwd=home)
        with anyio.fail_after(PATIENCE):
            async with Client(server) as client:
                listed = (await client.list_tools()).tools
                tools = [tool.name for tool in listed]
                several = ["shop" in tool.input_schema["properties"] for tool in listed]
                assert several == ["shops_file" in config] * len(listed)
                if "api_key" in config:
                    return tools, ""
                order = await client.call_tool("kustom_get_order", {"order_id": demo_orders()[0].order_id})
                found: Any = order.structured_content
                return tools, found["environment"]


def shops_file(folder: Path) -> Path:
    """A shops file with one shop of the usual sandbox, and one of another country."""
    path = folder / "shops.toml"
    path.touch(mode=0o600)
    tables = ('[shops.home]\nmerchant = "PM1"\n', '[shops.norway]\nmerchant = "PM2"\n')
    path.write_text("".join(f'{table}environment = "sandbox"\n' for table in tables), encoding="utf-8")
    return path


def default_tools() -> list[str]:
    """The tools of the package, as they are listed where KUSTOM_TOOLS is not set."""
    toolsets: tuple[str, ...] = Settings.model_fields["tools"].default
    return [tool.name for tool in CATALOG.values() if tool.toolset in toolsets]


def main() -> None:
    """Build, validate, pack, unpack, run."""
    target = Path(sys.argv[1] if len(sys.argv) > 1 else f"kustom-mcp-{__version__}.mcpb").resolve()
    with tempfile.TemporaryDirectory() as scratch:
        source, unpacked = Path(scratch, "source"), Path(scratch, "unpacked")
        source.mkdir()
        assemble(source)
        mcpb("validate", str(source / "manifest.json"))
        mcpb("pack", str(source), str(target))
        with zipfile.ZipFile(target) as bundle:
            bundle.extractall(unpacked)
        everything, environment = anyio.run(tried, unpacked, dict[str, str]())
        assert (everything, environment) == (default_tools(), "sandbox"), (everything, environment)
        key = {"username": "PM1", "api_key": "kco_test_api_x", "allow_writes": "false"}
        reading, _ = anyio.run(tried, unpacked, key)
        writing, _ = anyio.run(tried, unpacked, {**key, "allow_writes": "true"})
        assert reading == [name for name in everything if not CATALOG[name].writes], reading
        assert writing == everything
        shops = {"shops_file": str(shops_file(Path(scratch)))}
        assert anyio.run(tried, unpacked, {**shops, "allow_writes": "false"}) == (reading, "sandbox")
        assert anyio.run(tried, unpacked, {**shops, "allow_writes": "true"}) == (everything, "sandbox")
    print(f"{target.name}: {target.stat().st_size // 1024} kB, tried as packed")


if __name__ == "__main__":
    main()
