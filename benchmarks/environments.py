"""An environment for each system, holding that system only, and what it weighs.

Made with uv in a cache folder outside the repository; byte code is compiled beforehand, as after a first start. The
versions that systems share are those of requirements.lock, so that only the systems differ.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.upstream import ROOT

_PINNED = re.compile(r"^([A-Za-z0-9._-]+==[^ \\;]+)", re.MULTILINE)


@dataclass(frozen=True)
class Environment:
    """A virtual environment. `mib`: its site-packages without compiled byte code; `packages`: distributions in it."""

    python: str
    mib: float
    packages: int
    versions: dict[str, str]


def ours(cache: Path) -> Environment:
    """This project as it is in the working tree, installed like any package."""
    return _made(cache / "ours", cache, [str(ROOT)], fresh="kustom-mcp")


def earlier(cache: Path, revision: str) -> Environment:
    """This project as it was at a commit."""
    source = cache / f"source-{revision}"
    if not source.exists():
        source.mkdir(parents=True)
        packed = subprocess.run(["git", "-C", str(ROOT), "archive", revision], capture_output=True, check=True).stdout
        subprocess.run(["tar", "-x", "-C", str(source)], input=packed, check=True)
    return _made(cache / f"at-{revision}", cache, [str(source)])


def bare(cache: Path) -> Environment:
    """The official SDK, which brings its HTTP client."""
    return _made(cache / "bare", cache, ["mcp"])


def automatic(cache: Path) -> Environment:
    """FastMCP, the newest that resolves."""
    return _made(cache / "fastmcp", cache, ["fastmcp>=4,<5"])


def _made(folder: Path, cache: Path, packages: list[str], *, fresh: str | None = None) -> Environment:
    cache.mkdir(parents=True, exist_ok=True)
    pinned = cache / "constraints.txt"
    pinned.write_text("\n".join(_PINNED.findall((ROOT / "requirements.lock").read_text(encoding="utf-8"))))
    if not folder.exists():
        _uv("venv", "--python", "3.11", str(folder))
    python = next(path for path in (folder / "bin/python", folder / "Scripts/python.exe") if path.exists())
    again = ["--refresh-package", fresh, "--reinstall-package", fresh] if fresh else []
    _uv("pip", "install", "--python", str(python), "--compile-bytecode", "--constraint", str(pinned), *again, *packages)
    listed = _uv("pip", "list", "--python", str(python), "--format", "freeze").splitlines()
    site = next(folder.glob("**/site-packages"))
    files = [path for path in site.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    versions = {name: version for name, _, version in (line.partition("==") for line in listed)}
    return Environment(str(python), sum(path.stat().st_size for path in files) / 2**20, len(listed), versions)


def _uv(*arguments: str) -> str:
    done = subprocess.run(["uv", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"uv {' '.join(arguments)} failed:\n{done.stderr}")
    return done.stdout
