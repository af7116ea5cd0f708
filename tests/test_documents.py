"""Documents are compared with the code: names exist, commands and snippets are accepted, tables and output are real."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kustom_mcp import __version__
from kustom_mcp.app.telemetry import WritePart
from kustom_mcp.calls.card import APPROVE
from kustom_mcp.calls.confirmation import Mode
from kustom_mcp.calls.write import Call
from kustom_mcp.cli.parser import run
from kustom_mcp.schema.result import OUTCOMES
from kustom_mcp.server.resources import documented_codes
from kustom_mcp.settings.environment import GONE, load, table
from kustom_mcp.tools.catalog import CATALOG
from tests.generate import DOCUMENTS, PACKAGE, PARTS, ROOT, files
from tests.support.transcripts import SCENES
from tests.support.unhurried import PATIENCE

README = ROOT / "README.md"
TEXTS = {path: path.read_text(encoding="utf-8") for path in DOCUMENTS}
ALL = "\n".join(TEXTS.values())
MODELS = sorted([*(ROOT / "prompts").glob("*.md"), *(ROOT / "kustom_mcp" / "data").rglob("*.md")])
SHIPPED = [ROOT / "packaging" / name for name in ("Dockerfile", "compose.yaml", "nginx.conf")]
NAMING = [*DOCUMENTS, *MODELS, *SHIPPED, ROOT / ".env.example"]
PACKAGED = [
    *DOCUMENTS,
    *MODELS,
    ROOT / ".env.example",
    ROOT / "pyproject.toml",
    ROOT / "requirements.lock",
    ROOT / ".ci" / "run",
    ROOT / ".gitignore",
]
SETTINGS = {row.name for row in table()} | GONE.keys()

CONTAINER_SECRETS = "/run/secrets/"

LINK = re.compile(r"https?://([^/\s\"'`)>:,]+)")
HOSTS = re.compile(r"127\.0\.0\.1|(?:[a-z-]+\.)*kustom\.co|(?:[a-z-]+\.)*example\.com")
MACHINE = re.compile(r"(?<![\w.~*}])/(?:work|home|root|Users|opt|tmp|var)/")
WORKSHOP = re.compile(r"\b(?:SPEC|DESIGN)(?:\.md)?\b|\bissues? \d|\bthe lead\b")
NOT_CODES = {"HTTPS_PROXY", "HTTP_PROXY", "PART_CAPTURED", "PATH_OF_THE_CLONE"}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def guide(name: str) -> str:
    return TEXTS[ROOT / "docs" / f"{name}.md"]


def blocks(language: str, text: str = ALL) -> list[str]:
    """The fenced blocks of a language, indented ones too."""
    return re.findall(rf"^[ ]*```{language}\n(.*?)^[ ]*```$", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> set[str]:
    """The commands of ours that a text shows in the line."""
    return set(re.findall(r"`uv run kustom-mcp(?: ([a-z]+))?[^`\n]*`", text))


def anchor(heading: str) -> str:
    """The name under which a heading can be linked to."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors(path: Path) -> set[str]:
    """Places that can be linked to in a document."""
    prose = re.sub(r"^ *```.*?^ *```$", "", TEXTS[path], flags=re.MULTILINE | re.DOTALL)
    return {anchor(heading) for heading in re.findall(r"^#+ (.+)$", prose, re.MULTILINE)}


def links(path: Path) -> Iterator[tuple[Path, str]]:
    """Every link and picture of a document that leads to a file of ours, with the heading that it names, or ""."""
    for target, heading in re.findall(r"(?:\]\(|\bsrc=\")([^()\":#]*)(?:#([^()\"]+))?[)\"]", TEXTS[path]):
        yield (path.parent / target).resolve() if target else path, heading


@pytest.mark.parametrize("path", files(), ids=relative)
def test_a_generated_file_is_what_the_code_says(path: Path) -> None:
    assert read(path) == files()[path](), "Run `uv run python -m tests.generate`, and look at the diff."


def test_the_replicas_of_the_compose_file_share_what_they_must() -> None:
    composed = yaml.safe_load(read(ROOT / "packaging" / "compose.yaml"))
    names = [name for name in composed["services"] if name.startswith("kustom-mcp")]
    replicas = [composed["services"][name] for name in names]
    assert len(replicas) == 2
    assert len({json.dumps({**replica, "volumes": None}) for replica in replicas}) == 1
    (environment, *_) = [replica["environment"] for replica in replicas]
    assert environment["KUSTOM_HTTP_SESSIONS"] == "off"
    files = {name: value for name, value in environment.items() if name.endswith("_FILE")}
    assert {value.removeprefix(CONTAINER_SECRETS) for value in files.values()} == set(replicas[0]["secrets"])
    assert set(replicas[0]["secrets"]) < set(composed["secrets"])
    assert not {"KUSTOM_API_KEY", "KUSTOM_STORE", "KUSTOM_HTTP_TOKEN"} & set(environment)
    balanced = re.findall(r"server (\S+):8080", read(ROOT / "packaging" / "nginx.conf"))
    assert balanced == names == composed["services"]["balancer"]["depends_on"]


def test_every_generated_part_and_every_conversation_is_shown() -> None:
    assert set(re.findall(r"<!-- generated: ([a-z-]+) -->", ALL)) == set(PARTS)
    assert set(re.findall(r"<!-- transcript: ([a-z-]+) -->", ALL)) == set(SCENES)


@pytest.mark.parametrize("path", DOCUMENTS, ids=relative)
def test_every_link_leads_to_a_file_and_to_a_heading_in_it(path: Path) -> None:
    assert [str(target) for target, _ in links(path) if not target.exists()] == []
    assert [heading for target, heading in links(path) if heading and heading not in anchors(target)] == []


def test_the_readme_is_short_and_leads_to_every_document() -> None:
    assert len(TEXTS[README].splitlines()) <= 180
    reached, new = set[Path](), {README}
    while new:
        reached |= new
        new = {target for path in new for target, _ in links(path) if target in TEXTS} - reached
    assert [relative(path) for path in DOCUMENTS if path not in reached] == []


@pytest.mark.parametrize("path", NAMING, ids=relative)
def test_every_tool_and_setting_that_a_document_names_exists(path: Path) -> None:
    text = read(path)
    tools = set(re.findall(r"\bkustom_[a-z_]+\b", text)) - {"kustom_mcp", "kustom_orders", "kustom_shops"}
    settings = set(re.findall(r"\bKUSTOM_[A-Z_]+\b", text))
    assert (tools - {*CATALOG, APPROVE}, settings - SETTINGS) == (set(), set())


@pytest.mark.parametrize("path", [*DOCUMENTS, *(ROOT / "prompts").glob("*.md")], ids=relative)
def test_every_code_that_a_document_names_is_explained_in_the_errors_reference(path: Path) -> None:
    named = set(re.findall(r"\b(?!OTEL_)(?:[A-Z]{3,}_)+[A-Z]{3,}\b", read(path))) - SETTINGS - NOT_CODES
    assert named - set(documented_codes()) == set()


def test_every_file_and_every_step_of_a_call_that_the_architecture_names_exists() -> None:
    text = guide("architecture").replace("`__init__.py`", "")
    named = re.findall(r"`((?![./])[a-z_./]+(?:\.[a-z]+|/))`", text)
    assert len(named) > 30
    assert [name for name in named if not any((folder / name).exists() for folder in (PACKAGE, ROOT))] == []
    assert [step for step in re.findall(r"`call\.([a-z_]+)\(", text) if not hasattr(Call, step)] == []


def test_a_picture_is_small() -> None:
    sizes = {relative(path): path.stat().st_size for path in (ROOT / "docs").rglob("*.png")}
    assert {name: size for name, size in sizes.items() if size > 60_000} == {}
    shown = {relative(target) for path in DOCUMENTS for target, _ in links(path) if target.suffix == ".png"}
    assert shown == set(sizes)


def test_every_outcome_and_every_means_of_the_gate_is_explained() -> None:
    assert [name for name in OUTCOMES if f"`{name}`" not in guide("results")] == []
    assert re.findall(r"^\| `([a-z]+)` \|", guide("confirmation"), re.MULTILINE) == list(Mode.__args__)


def test_telemetry_names_every_span_metric_and_attribute_of_ours() -> None:
    source = read(ROOT / "kustom_mcp" / "app" / "telemetry" / "opentelemetry.py")
    names = r"((?:kustom|mcp\.server|http\.client)\.[a-z_.]+[a-z])"
    parts = {f"kustom.{part}" for part in WritePart.__args__}
    assert set(re.findall(f"`{names}`", guide("telemetry"))) == {*re.findall(f'"{names}"', source), *parts}


def test_the_commands_that_there_are_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(["--help"])
    known = set(re.findall(r"^    ([a-z]+) ", capsys.readouterr().out, re.MULTILINE))
    assert commands(guide("settings").partition("## Commands")[2]) - {""} == known
    assert commands(ALL) - {""} == known


@pytest.mark.parametrize("path", [*DOCUMENTS, *MODELS], ids=relative)
def test_json_in_documents_is_json(path: Path) -> None:
    for block in blocks("json", read(path)):
        json.loads(block)


def test_each_host_entry_starts_this_server_with_settings_that_exist() -> None:
    entries: list[dict[str, Any]] = []
    for block in blocks("json", guide("hosts")):
        document = json.loads(block)
        entries += (document.get("mcpServers") or document["servers"]).values()
    assert len(entries) == 4
    for entry in entries:
        assert [entry["command"], *entry["args"]] == ["uv", "run", "--directory", "PATH_OF_THE_CLONE", "kustom-mcp"]
        environment = {name: "kco_test_api_x" if "KEY" in name else "PM1" for name in entry["env"]}
        assert load(environment).settings.environment == "playground"


def test_what_documents_show_of_the_tour_is_the_tour() -> None:
    shown = [block for block in blocks("console") if block.startswith("$ uv run kustom-mcp demo\n")]
    assert len(shown) > 2
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KUSTOM_")}
    done = subprocess.run(
        [sys.executable, "-m", "kustom_mcp", "demo"],
        cwd=ROOT, env=kept, capture_output=True, encoding="utf-8", check=True, timeout=PATIENCE,
    )  # fmt: skip
    random_end = re.compile(r"\.[0-9A-Za-z_-]{6}…")
    for block in shown:
        printed, at = random_end.sub(".######…", done.stdout), 0
        _, _, copied = random_end.sub(".######…", block).partition("\n")
        for part in re.split(r"^\[\.\.\.\]\n", copied, flags=re.MULTILINE):
            at = printed.find(part, at)
            assert at >= 0, f"the tour does not print this here:\n{part}"
            at += len(part)


def test_the_changelog_opens_with_the_present_version() -> None:
    newest = re.search(r"^## (\S+) - (\S+)$", read(ROOT / "CHANGELOG.md"), re.MULTILINE)
    assert newest
    assert newest[1] == __version__


@pytest.mark.parametrize("path", PACKAGED, ids=relative)
def test_nothing_tells_where_this_was_made(path: Path) -> None:
    text = read(path)
    assert [host for host in LINK.findall(text) if not HOSTS.fullmatch(host)] == []
    assert MACHINE.findall(text) == []
    assert WORKSHOP.findall(text) == []


@pytest.mark.parametrize("path", sorted((ROOT / "kustom_mcp").rglob("*.py")), ids=relative)
def test_the_source_names_no_workshop_and_no_machine(path: Path) -> None:
    text = read(path)
    assert MACHINE.findall(text) == []
    assert WORKSHOP.findall(text) == []


def test_the_lock_names_every_dependency_with_hashes_and_no_source() -> None:
    lock = read(ROOT / "requirements.lock")
    pinned = re.findall(
        r"^([a-z0-9._-]+)==[^\s;]+(?: ;[^\\\n]+)? \\\n    --hash=sha256:[0-9a-f]{64}", lock, re.MULTILINE
    )
    wanted = re.search(r"^dependencies = \[(.*?)^\]", read(ROOT / "pyproject.toml"), re.MULTILINE | re.DOTALL)
    assert wanted
    assert {name.lower() for name in re.findall(r'^  "([A-Za-z0-9._-]+)', wanted[1], re.MULTILINE)} <= set(pinned)
    assert [line for line in lock.splitlines() if "://" in line or line.startswith("--") or " @ " in line] == []
