"""Documentation is held against the code: generated parts, commands, links, and what a commit may name."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from rim.app import app_for

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "bench").glob("*.md")])
PAGES += sorted((ROOT / "deploy").rglob("*.md"))
LINK = re.compile(r"\]\(([^)\s#]*)(#[^)\s]*)?\)")


def script(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / name), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def headings(page: Path) -> list[str]:
    return re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)


def test_generated_parts_are_up_to_date() -> None:
    """What tables in the code say, docs/ says too; else: run scripts/generate_docs.py."""
    done = script("generate_docs.py", "--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_command_is_a_heading() -> None:
    """Every verb of the command line, inner ones too, has its place in docs/commands.md."""
    known = set(headings(ROOT / "docs" / "commands.md"))
    group = typer.main.get_command(app_for(()))
    commands: dict[str, object] = group.commands  # type: ignore[attr-defined]
    for name, command in commands.items():
        assert f"rim {name}" in known
        for inner in getattr(command, "commands", ()):
            assert f"rim {name} {inner}" in known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """A link between pages names a file that is there, and a heading that is in it."""
    for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{page.name} links to {target}"
        if anchor and path.suffix == ".md":
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings(path)}
            assert anchor[1:] in slugs, f"{page.name} links to {target}{anchor}"


def test_each_decision_is_listed() -> None:
    """The list of decisions names every page of them."""
    folder = ROOT / "docs" / "decisions"
    listed = (folder / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in folder.glob("[0-9]*.md") if f"({page.name})" not in listed] == []


def test_each_dependency_has_its_reason() -> None:
    """What pyproject.toml installs for users, the decision about dependencies names."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    reasons = (ROOT / "docs" / "decisions" / "0002-dependencies.md").read_text(encoding="utf-8")
    names = [re.split(r"[<>=\[;]", wanted)[0] for wanted in project["dependencies"]]
    assert [name for name in names if name not in reasons] == []


def test_no_committed_file_names_a_registry_or_a_machine() -> None:
    """scripts/committed.py finds nothing here, and does find what it is there for."""
    assert script("committed.py").returncode == 0
    found = subprocess.run(
        [sys.executable, "-c", "import committed; print(*committed.REGISTRIES.split('|'), sep='\\n')"],
        cwd=ROOT / "scripts",
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.search(found.stdout.splitlines()[0], "https://" + "pypi" + ".org/simple")
