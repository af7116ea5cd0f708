"""The command line that starts this program: for a person's terminal, and for a host that starts it later.

A printed command has to work where it is read. A clone is started by `uv run`, which puts its own folder on the PATH of
its child processes only; uvx keeps a program in a temporary folder; an installed tool may be on the PATH or not. So the
name alone is never printed.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

NAME = "kustom-mcp"
_SOURCE = Path(__file__).resolve().parents[2]


def shown(*words: str) -> str:
    """The command line that starts this program as it was started now, for the person who reads it here."""
    line = [*_for_people(), *words]
    return subprocess.list2cmdline(line) if sys.platform == "win32" else shlex.join(line)


def for_hosts() -> list[str]:
    """The words that start this program from anywhere, in any environment."""
    python = Path(sys.executable)
    uvx = shutil.which("uvx")
    if uvx and _from_uvx():
        return [uvx, *_origin(), NAME]
    script = python.with_name(f"{NAME}.exe" if sys.platform == "win32" else NAME)
    return [str(script)] if script.is_file() else [str(python), "-m", "kustom_mcp"]


def _for_people() -> list[str]:
    if shutil.which("uvx") and _from_uvx():
        return ["uvx", *_origin(), NAME]
    if (_SOURCE / "pyproject.toml").is_file() and shutil.which("uv"):
        return ["uv", "run", *([] if _inside(_SOURCE) else ["--project", str(_SOURCE)]), NAME]
    words, found = for_hosts(), shutil.which(NAME)
    by_uv_run = "UV_RUN_RECURSION_DEPTH" in os.environ  # whose PATH is not that of the terminal
    return [NAME] if found and Path(found).resolve() == Path(words[0]).resolve() and not by_uv_run else words


def _inside(folder: Path) -> bool:
    try:
        return Path.cwd().is_relative_to(folder)
    except FileNotFoundError:  # the working directory was deleted
        return False


def _from_uvx() -> bool:
    return "archive-v0" in Path(sys.prefix).resolve().parts


def _origin() -> list[str]:
    """The origin for uvx, if not an index: `direct_url.json` of the installed distribution says it (PEP 610)."""
    import json
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import unquote, urlsplit

    try:
        told = distribution(NAME).read_text("direct_url.json")
    except PackageNotFoundError:
        told = None
    url = str(json.loads(told).get("url", "")) if told else ""
    if not url:
        return []
    return ["--from", unquote(urlsplit(url).path) if url.startswith("file://") else url]
