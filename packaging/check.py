"""Runs the steps of the Dockerfile in order, without a container engine: in an empty directory, as this user.

    uv run python packaging/check.py

The first stage is carried out (its COPY and RUN lines, with the paths of the image below a temporary directory), then
the command of the second one is started as the image would start it, asked for its health with the image's own health
check, and stopped with the image's own signal. Users and ownership are left to the engine.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = ROOT / "packaging" / "Dockerfile"
IMAGE_PATHS = ("/opt/kustom-mcp", "/build", "/var/lib/kustom-mcp")
STATE = {"KUSTOM_HTTP_TOKEN": "only-for-this-check-0123456789abcdef"}
PATIENCE = 30  # seconds


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile: the word, and the rest with its continuation lines joined."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines if line.strip())]


def moved(text: str, root: Path) -> str:
    """The paths of the image, below `root`."""
    for path in IMAGE_PATHS:
        text = text.replace(path, f"{root}{path}")
    return text.replace("python -m venv", f"{sys.executable} -m venv")


def build(root: Path, steps: list[tuple[str, str]]) -> None:
    """Carry out the first stage."""
    here = root / "build"
    for word, rest in steps:
        print(f"{word} {rest}", flush=True)
        if word == "COPY":
            *sources, target = rest.split()
            for name in sources:
                source, to = ROOT / name, here / target
                if source.is_dir():
                    shutil.copytree(source, to, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(source, to)
        elif word == "RUN":
            subprocess.run(moved(rest, root), shell=True, check=True, cwd=here)


def run(root: Path, steps: dict[str, str]) -> None:
    """Start what the image starts, ask for its health, stop it."""
    words = [*json.loads(steps["ENTRYPOINT"]), *json.loads(steps["CMD"])]
    settings = dict(pair.split("=", 1) for pair in moved(steps["ENV"], root).split() if pair.startswith("KUSTOM_"))
    env = {"PATH": f"{root}/opt/kustom-mcp/bin:{os.environ['PATH']}", **settings, **STATE}
    healthy = json.loads(steps["HEALTHCHECK"].partition(" CMD ")[2])
    print(" ".join(words), flush=True)
    process = subprocess.Popen(words, cwd=root, env=env)
    try:
        until = time.monotonic() + PATIENCE
        while subprocess.run(healthy, env=env, stderr=subprocess.DEVNULL, check=False).returncode:
            assert process.poll() is None, "the server has ended"
            assert time.monotonic() < until, "the server did not become healthy"
            time.sleep(0.2)
        process.send_signal(getattr(signal, steps["STOPSIGNAL"]))
        assert process.wait(PATIENCE) == 0, "the server did not end well"
    finally:
        process.kill()
    print("healthy, and ended well")


def main() -> None:
    """Exit code 1 where a step fails."""
    given = instructions()
    second = [number for number, (word, _) in enumerate(given) if word == "FROM"][1]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "build").mkdir()
        build(root, given[:second])
        run(root, dict(given[second:]))


if __name__ == "__main__":
    main()
