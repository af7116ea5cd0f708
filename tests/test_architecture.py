"""The tree is the architecture: the direction of imports, and what may be called what.

The rules about imports stand in `pyproject.toml`; here they are run, and what import-linter cannot say is added.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kustom_mcp.tools.catalog import CATALOG
from kustom_mcp.tools.tool import Operation
from tests.support.unhurried import PATIENCE

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "kustom_mcp"
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))
TOOLS = sorted(path for path in (PACKAGE / "tools" / "catalog").glob("*.py") if path.name != "__init__.py")

TOP_LEVEL = {
    ".ci",
    ".env.example",
    ".git-blame-ignore-revs",
    ".gitignore",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "benchmarks",
    "docs",
    "kustom_mcp",
    "packaging",
    "prompts",
    "pyproject.toml",
    "requirements.lock",
    "tests",
}

STAND_TWICE: dict[str, str] = {}
"""Names of classes that two modules may share, each with the reason."""


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(module: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def imported_at_runtime(node: ast.AST) -> Iterator[str]:
    """The top-level packages that a module really imports, without what only a type checker sees."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in child.names)
        if isinstance(child, ast.ImportFrom):
            yield (child.module or "").partition(".")[0]
        yield from imported_at_runtime(child)


def test_imports_follow_the_contracts() -> None:
    run = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", run], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_opens_with_what_it_holds(path: Path) -> None:
    assert ast.get_docstring(tree(path)), f"{relative(path)} has no docstring"


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_that_another_names_exists(path: Path) -> None:
    rooms = "|".join(folder.name for folder in PACKAGE.iterdir() if folder.is_dir() and folder.name != "data")
    named = re.findall(rf"`((?:{rooms})(?:\.[a-z_]+)+)`", path.read_text(encoding="utf-8"))
    places = {name: PACKAGE.joinpath(*name.split(".")) for name in named}
    assert [name for name, at in places.items() if not at.is_dir() and not at.with_suffix(".py").is_file()] == []


def test_class_names_stand_once() -> None:
    stands: dict[str, list[str]] = {}
    for path in MODULES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef):
                stands.setdefault(node.name.lstrip("_"), []).append(relative(path))
    assert {name: paths for name, paths in stands.items() if len(paths) > 1 and name not in STAND_TWICE} == {}
    assert all(len(stands.get(name, ())) > 1 for name in STAND_TWICE)


def test_the_tools_folder_is_the_contents_page() -> None:
    assert {f"kustom_{path.stem}" for path in TOOLS} == set(CATALOG)


@pytest.mark.parametrize("name", CATALOG)
def test_a_tool_is_one_function_in_the_file_of_its_name(name: str) -> None:
    tool = CATALOG[name]
    assert isinstance(tool, Operation)
    assert f"kustom_{tool.run.__name__}" == name == tool.name
    assert tool.run.__module__ == f"kustom_mcp.tools.catalog.{tool.run.__name__}"
    decorated = [
        f.name for f in functions(tree(PACKAGE / "tools" / "catalog" / f"{tool.run.__name__}.py")) if f.decorator_list
    ]
    assert decorated == [tool.run.__name__]


def test_only_the_client_the_sandbox_and_the_issuer_import_the_http_library_when_they_run() -> None:
    importing = {relative(path) for path in MODULES if "httpx2" in imported_at_runtime(tree(path))}
    outside = {path for path in importing if not path.startswith("kustom_mcp/api/")}
    assert outside == {"kustom_mcp/transport/oauth/issuer.py", "kustom_mcp/app/sandbox.py"}


def test_the_top_level_of_the_repository_holds_nothing_new() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    assert {name.partition("/")[0] for name in listed.stdout.split("\0") if name} <= TOP_LEVEL
