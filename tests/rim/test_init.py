"""`rim init`: what it guesses, what it writes, and that it never writes over anything."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from rim.project import examine, load, read
from rim.schema.table import KEYS, TABLES
from rim.starting import guess, written
from tests.rim.conftest import Shell, site_folder

MODULE = '<!doctype html><div id="app"></div><script type="module" src="/assets/index-BQk3xY9z.js"></script>'
GUESSES = [  # files, site, dir, spa
    ({"index.html": "<h1>hi</h1>"}, "my-site", ".", False),
    ({"dist/index.html": MODULE}, "my-site", "dist", True),
    ({"dist/index.html": MODULE, "dist/about.html": "<h1>"}, "my-site", "dist", False),
    ({"dist/index.html": MODULE, "dist/a/b.htm": "<h1>"}, "my-site", "dist", False),
    ({"dist/index.html": "<script src=/app.js></script>"}, "my-site", "dist", False),
    ({".output/public/index.html": "x"}, "my-site", ".output/public", False),
    ({"public/favicon.ico": "x", "_site/index.html": "x"}, "my-site", "_site", False),
    ({"package.json": {"name": "@acme/Shop", "scripts": {"build": "tsc && vite build"}}}, "shop", "dist", False),
    ({"package.json": {"scripts": {"build": "vite build --outDir ./web/out/"}}}, "my-site", "web/out", False),
    ({"package.json": {"scripts": {"build": "vite build --outDir ../x"}}}, "my-site", "dist", False),
    ({"package.json": {"scripts": {"build": "react-scripts build"}}, "www/index.html": ""}, "my-site", "build", False),
    ({"package.json": "[]", "out/index.html": "x"}, "my-site", "out", False),
    ({"package.json": "{"}, "my-site", None, False),
    ({"package.json": {"name": 3, "scripts": []}}, "3", None, False),
    ({}, "my-site", None, False),
]  # fmt: skip


@pytest.mark.parametrize(("files", "site", "build", "spa"), GUESSES, ids=range(len(GUESSES)))
def test_what_it_guesses(files: dict[str, object], site: str, build: str | None, spa: bool, tmp_path: Path) -> None:
    """From package.json, from folders' names, from the page itself; and what it writes is a file that is read."""
    plain = {name: value if isinstance(value, str) else json.dumps(value) for name, value in files.items()}
    folder = site_folder(tmp_path / "My Site", plain)
    found = guess(folder)
    assert (found.site, found.dir, found.spa) == (site, build, spa)
    assert set(found.why) == set(found.values)
    project, findings = read(written(found), folder / "rim.toml")
    assert findings == []
    assert (project.site, project.dir, project.spa) == (site, build, True if spa else None)


def test_every_comment_taken_away_is_still_a_file() -> None:
    """Each key stands there, as a line that is right once its mark is gone; a default is what the reader has."""
    text = written(guess(Path(__file__).parent / "nothing-here"))
    bare = re.sub(r"^#(?=[a-z\[])", "", text, flags=re.MULTILINE)
    project, findings = read(bare, Path("rim.toml"))
    assert findings == []
    for table in TABLES:
        assert not table.name or f"\n{table.head}\n" in bare
    assert [line.split(" = ")[0] for line in bare.splitlines() if re.match(r"[a-z_]+ = ", line)] == [
        key.name for key in KEYS
    ]
    untouched, _ = read("", Path("rim.toml"))
    for key in KEYS:
        if key.has_default and not key.table and key.name not in ("encode", "spa"):
            assert getattr(project, key.name) == getattr(untouched, key.name), key.name


def test_the_command(shell: Shell) -> None:
    """One line on stdout that says what is next; a file that is there is left alone unless --force says otherwise."""
    folder = site_folder(shell.home / "shop", {"dist/index.html": MODULE})
    done = shell.rim("init", "shop")
    assert (done.returncode, done.stdout) == (0, "wrote shop/rim.toml; next: rim check, then rim publish\n")
    assert 'dir = "dist"  (it holds an index.html)' in done.stderr
    assert load(folder).spa is True
    (folder / "rim.toml").write_text('site = "mine"')
    again = shell.rim("init", "shop")
    assert (again.returncode, again.stdout) == (3, "")
    assert "--force" in again.stderr
    assert load(folder).site == "mine"
    assert shell.result("init", "shop", "--force")["site"] == "shop"
    assert load(folder).site == "shop"


def test_without_a_build_folder(shell: Shell) -> None:
    """Nothing to guess from: the file says what there is to set, and the next step is named."""
    done = shell.rim("init")
    assert done.returncode == 0
    assert "set `dir`" in done.stdout
    assert examine(shell.home)[1] == []


def test_no_such_folder(shell: Shell) -> None:
    """Exit 2, and nothing is made."""
    assert shell.rim("init", "nowhere").returncode == 2
    assert not (shell.home / "nowhere").exists()


def test_the_schema_command(shell: Shell) -> None:
    """`rim schema` prints the shipped one."""
    assert json.loads(shell.rim("schema").stdout)["title"] == "rim.toml"
