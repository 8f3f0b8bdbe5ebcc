"""[html] of rim.toml through whole publishes, against a real origin: two Roots, nothing to publish twice, faults."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from content.cid import CID
from rim import reading
from rim.client import Origin as Client
from rim.exits import Usage
from rim.job import Job, Outcome
from rim.memo import Memo
from rim.output import Bars
from rim.project import load
from rim.publisher import Publisher
from tests.kit.nodes import Origin
from tests.rim.conftest import Shell, site_folder

PAGE = """<!doctype html><head><link rel="stylesheet" href="/css/app.css"><script src="/app-0a1b2c3d.js"></script>
</head>"""
FILES = {"index.html": PAGE, "app-0a1b2c3d.js": "let a = 1", "css/app.css": "body{}", "deep/er/page.html": PAGE}
TOML = "[html]\nintegrity = true\nworker = true\npreload = true\n[service_worker]\n"


def sri(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode()


@pytest.fixture
def old(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every file were old enough to be believed at the next look: ctime cannot be set back."""
    monkeypatch.setattr(reading, "_RACY_NS", 0)


class Desk:
    """One who publishes, with one memo."""

    def __init__(self, origin: Origin, memo: Memo) -> None:
        self.client = Client(origin.url, origin.token)
        self.memo = memo

    def publisher(self, folder: Path, site: str) -> Publisher:
        job = Job(folder, site, project=load(folder), warm=False)
        return Publisher(job, self.client, Bars(False), self.memo)

    def publish(self, folder: Path, site: str) -> Outcome:
        return self.publisher(folder, site).publish()

    def block(self, cid: str) -> bytes:
        return self.client.call("GET", f"/ipfs/{cid}?format=raw").body


@pytest.fixture
def desk(origin: Origin, memo: Memo) -> Iterator[Desk]:
    made = Desk(origin, memo)
    yield made
    made.client.close()


def test_two_roots(desk: Desk, tmp_path: Path, old: None) -> None:
    """The folder's own Root is the one that a publish without [html] has; the other holds the inserted pages, and the
    same folder again is nothing to publish, with both still told."""
    folder = site_folder(tmp_path / "site", FILES)
    plain = desk.publish(folder, "plain")
    assert (plain.folder_root, "folder_root" in plain.value()) == ("", False)
    (folder / "rim.toml").write_text(TOML)
    first = desk.publish(folder, "html")
    assert first.folder_root not in ("", first.root)
    for _ in range(2):
        again = desk.publish(folder, "html")
        assert again.unchanged
        assert (again.root, again.folder_root, again.release) == (first.root, first.folder_root, first.release)
    live = desk.client.get("/api/v1/sites/html")["live"]
    assert live["rules"]["worker"] == {"check": 60, "gateways": [], "complete": True}
    assert len(live["rules"]["precache"]["paths"]) == 4
    (deep, top) = sorted(live["rules"]["headers"])
    assert (top[0], deep[0]) == ("/deep/er/page.html", "/")
    assert f'</app-0a1b2c3d.js>; rel=preload; as=script; integrity="{sri("let a = 1")}"' in deep[1][0][1]


def test_the_folders_own_root_is_bit_for_bit(desk: Desk, tmp_path: Path, old: None) -> None:
    """With rim.toml beside the folder, folder_root is the Root of the same files without any [html]."""
    folder = site_folder(tmp_path / "bits", FILES)
    plain = desk.publish(folder, "bits")
    project = folder.parent / "rim.toml"
    project.write_text(TOML)
    job = Job(folder, "bits", project=load(folder.parent), warm=False)
    made = Publisher(job, desk.client, Bars(False), desk.memo).publish()
    assert made.folder_root == plain.root
    assert made.root != plain.root


def test_a_script_that_changes_changes_the_pages_that_load_it(desk: Desk, tmp_path: Path, old: None) -> None:
    """Also where the pages' folders are as they were; and what is published is what building from nothing gives."""
    folder = site_folder(tmp_path / "dep", {**FILES, "rim.toml": TOML, "other/x.txt": "x"})
    first = desk.publish(folder, "dep")
    (folder / "css/app.css").write_text("body{color:red}")
    second = desk.publish(folder, "dep")
    assert second.root != first.root
    assert second.folder_root != first.folder_root
    fresh = Memo(None)
    again = Publisher(Job(folder, "dep", project=load(folder), warm=False), desk.client, Bars(False), fresh).publish()
    assert (again.unchanged, again.root, again.folder_root) == (True, second.root, second.folder_root)
    fresh.close()
    (folder / "css/app.css").write_text("body{}")
    assert desk.publish(folder, "dep").root == first.root


def test_what_would_change(desk: Desk, tmp_path: Path, old: None) -> None:
    """--dry-run names the pages too: their bytes will be others."""
    folder = site_folder(tmp_path / "dry", {**FILES, "rim.toml": TOML})
    desk.publish(folder, "dry")
    (folder / "css/app.css").write_text("body{color:red}")
    changes = desk.publisher(folder, "dry").changes()
    assert [change.path for change in changes.changes] == ["/css/app.css", "/deep/er/page.html", "/index.html"]


def test_a_page_over_one_block(desk: Desk, tmp_path: Path, old: None) -> None:
    """Its DAG is that of the page as published, and every block of it is at the origin."""
    long = PAGE + "x" * 2_500_000
    folder = site_folder(tmp_path / "long", {**FILES, "index.html": long, "rim.toml": TOML})
    outcome = desk.publish(folder, "long")
    asset = desk.client.get("/api/v1/sites/long")["live"]
    assert asset["root"] == outcome.root
    assert CID.parse(outcome.folder_root) != CID.parse(outcome.root)


def test_a_wrong_integrity_is_refused(desk: Desk, tmp_path: Path) -> None:
    """Exit 2 with file and line, before anything is sent; `rim check` says the same."""
    wrong = f"<!doctype html>\n<script src=/app-0a1b2c3d.js integrity={sri('let a = 2')}></script>"
    folder = site_folder(tmp_path / "wrong", {**FILES, "index.html": wrong, "rim.toml": TOML})
    with pytest.raises(Usage, match=r"index\.html:2: error: integrity=.* is not that of app-0a1b2c3d\.js"):
        desk.publish(folder, "wrong")
    assert "wrong" not in [site["name"] for site in desk.client.get("/api/v1/sites")["sites"]]
    (folder / "rim.toml").write_text("[html]\nworker = true\n[service_worker]\n")
    assert desk.publish(folder, "wrong").root


def test_the_command(user: Shell, tmp_path: Path) -> None:
    """Both Roots on stderr and in JSON; `rim check` knows wrong values; --no-ignore leaves pages as they are."""
    folder = site_folder(tmp_path / "cli", {**FILES, "rim.toml": TOML})
    done = user.rim("publish", folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("root bafy")
    assert "the folder's own, before [html]: bafy" in done.stderr
    again = user.result("publish", folder)
    assert again["unchanged"] is True
    assert again["root"] in done.stderr
    assert again["folder_root"] in done.stderr
    exact = user.rim("publish", folder, "--no-ignore", "--json")
    assert "folder_root" not in exact.stdout
    assert "bit for bit" in exact.stderr
    assert again["folder_root"] in exact.stdout, "which is what that publish has for a Root"
    assert user.rim("check", folder, "--strict").returncode == 0
    (folder / "index.html").write_text("<script src=/css/app.css integrity=sha256-AAAA></script>")
    checked = user.rim("check", folder)
    assert checked.returncode == 2
    assert "index.html:1: error: integrity=" in checked.stdout
    assert user.rim("publish", folder).returncode == 2


def test_what_is_good_to_know_is_said(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What did not fit into the precache, and pages that are left as they are: above the bars, when there is news."""
    said: list[str] = []
    toml = "[html]\nworker = true\n[service_worker]\n[precache]\nmax_bytes = 150\n"
    folder = site_folder(tmp_path / "notes", {**FILES, "odd.html": b"\xff\xfea", "rim.toml": toml})
    for _ in range(2):
        publisher = desk.publisher(folder, "notes")
        monkeypatch.setattr(publisher._bars, "say", said.append)
        publisher.publish()
    assert len(said) == 2
    assert "note: precache:" in said[0]
    assert "of 5 files fit into 150 B" in said[0]
    assert "odd.html: warning: is no text" in said[1]
