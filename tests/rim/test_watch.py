"""`rim up --watch`: what counts as a save, and what becomes of one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rim.watching import Watcher
from tests.kit.nodes import until
from tests.kit.ring import Up
from tests.rim.conftest import Shell, site_folder


@contextmanager
def watching(folder: Path) -> Iterator[Watcher]:
    watcher = Watcher(folder)
    watcher.start()
    try:
        yield watcher
    finally:
        watcher.stop()


def test_a_save_is_told_by_name(tmp_path: Path) -> None:
    """What was written, made or taken away, relative to the folder; nothing else, and nothing twice."""
    folder = site_folder(tmp_path / "site", {"a.txt": "a", "b.txt": "b"})
    with watching(folder) as watcher:
        (folder / "a.txt").write_text("A")
        assert watcher.changes(30) == ["a.txt"]
        (folder / "b.txt").unlink()
        assert watcher.changes(30) == ["b.txt"]
        assert watcher.changes(0) is None


def test_what_is_never_published_is_no_save(tmp_path: Path) -> None:
    """A commit or an install beside the site publishes nothing."""
    folder = site_folder(tmp_path / "site", {".git/HEAD": "x", "node_modules/a/b.js": "1", "a.txt": "a"})
    with watching(folder) as watcher:
        (folder / ".git/HEAD").write_text("y")
        (folder / "node_modules/a/b.js").write_text("2")
        (folder / "a.txt").write_text("A")
        assert watcher.changes(30) == ["a.txt"]


def test_a_folder_made_anew(tmp_path: Path) -> None:
    """A build takes its folder away and makes another: that counts, and it is watched on."""
    folder = site_folder(tmp_path / "site", {"a.txt": "a"})
    with watching(folder) as watcher:
        shutil.rmtree(folder)
        site_folder(folder, {"b.txt": "b"})
        assert watcher.changes(30) is not None
        until("a save in the new one is told of", lambda: "c.txt" in _saved(watcher, folder / "c.txt"))


def _saved(watcher: Watcher, file: Path) -> Sequence[str]:
    file.write_text("x")
    return watcher.changes(1) or ()


def test_the_file_beside_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rim.toml that speaks of the folder from outside counts too."""
    folder = site_folder(tmp_path / "site", {"a.txt": "a"})
    toml = tmp_path / "rim.toml"
    toml.write_text("spa = false")
    monkeypatch.chdir(tmp_path)
    with watching(folder) as watcher:
        toml.write_text("spa = true")
        assert watcher.changes(30) == ["../rim.toml"]


def test_without_a_folder(shell: Shell) -> None:
    """Nothing to watch: exit 2 before anything starts."""
    done = shell.rim("up", "--watch", "--state", shell.home / "state")
    assert (done.returncode, done.stdout) == (2, "")
    assert "rim init" in done.stderr
    assert not (shell.home / "state").exists()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A ring of two that watches its folder."""
    root = tmp_path_factory.mktemp("watch")
    with Up(root, site_folder(root / "hello"), "--watch", edges=2) as ring:
        yield ring


def line(up: Up) -> dict[str, Any]:
    """The next line on stdout."""
    assert up.process is not None
    assert up.process.stdout is not None
    found: dict[str, Any] = json.loads(up.process.stdout.readline())
    return found


def test_save_and_see(up: Up) -> None:
    """Saved, and live at every edge when the line is printed; what cannot be published leaves what is live."""
    page = up.root / "hello/index.html"
    page.write_text("<h1>two</h1>")
    told = line(up)
    assert (told["site"], told["changed"]) == ("hello", ["index.html"])
    assert told["ms"] > 0
    for edge in range(2):
        assert up.get("hello", "/index.html", edge).body.startswith(b"<h1>two</h1>\n<script src=")
    (up.root / "hello/rim.toml").write_text("spaa = true")
    until("the error is told", lambda: "rim.toml:1: error: unknown key spaa" in (up.root / "up.log").read_text())
    assert up.get("hello", "/index.html").body.startswith(b"<h1>two</h1>")
    (up.root / "hello/rim.toml").write_text("spa = true")
    assert line(up)["changed"] == ["rim.toml"]
    assert up.get("hello", "/a/route", headers={"Sec-Fetch-Mode": "navigate"}).status == 200


def test_the_release_does_not_hold_the_script(up: Up) -> None:
    """The bytes at the origin are those on disk: the tag is on the way only."""
    car = up.root / "hello.car"
    up.rim("export", "hello", "--output", str(car))
    held = car.read_bytes()
    assert (up.root / "hello/index.html").read_bytes() in held
    assert b"/.rim/reload" not in held
