"""What returning visitors download: the figure that a publish tells, beside the bytes of the deltas themselves."""

from __future__ import annotations

import gzip
import random
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import brotli  # type: ignore[import-untyped]
import pytest
import zstandard

from edge.browsers import dcz
from rim import returning
from rim.client import Origin as Client
from rim.job import Job, Outcome
from rim.memo import Memo
from rim.output import Bars
from rim.project import load
from rim.publisher import Publisher
from rim.returning import Returning
from tests.kit.nodes import Origin
from tests.rim.conftest import Shell, site_folder

WORDS = [f"let {random.Random(n).getrandbits(64):x} = {n};\n" for n in range(4_000)]  # some 100 kB that pack badly
OLD, NEW = "".join(WORDS), "".join([*WORDS[:2_000], "let changed = true;\n", *WORDS[2_000:]])


class Desk:
    """One who publishes a folder again and again."""

    def __init__(self, origin: Origin, memo: Memo) -> None:
        self.client = Client(origin.url, origin.token)
        self.memo = memo

    def publisher(self, folder: Path, memo: Memo | None = None) -> Publisher:
        job = Job(folder, folder.name, project=load(folder), warm=False, encode="fast")
        return Publisher(job, self.client, Bars(False), memo or self.memo)

    def publish(self, folder: Path, memo: Memo | None = None) -> Outcome:
        return self.publisher(folder, memo).publish()


@pytest.fixture
def desk(origin: Origin, memo: Memo) -> Iterator[Desk]:
    made = Desk(origin, memo)
    yield made
    made.client.close()


def deploy(folder: Path) -> None:
    """The next build: one script under a new hash, one page, and one file that is not kept fresh."""
    (folder / "assets/app-0a1b2c3d.js").unlink()
    site_folder(folder, {"assets/app-9f8e7d6c.js": NEW, "index.html": "<h1>2</h1>", "data.json": "[2]"})


@pytest.fixture
def folder(desk: Desk, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A site, live."""
    name = request.node.name.replace("_", "-").replace("[", "-").rstrip("]")[-40:].strip("-").lower()
    files = {
        "assets/app-0a1b2c3d.js": OLD,
        "index.html": "<h1>1</h1>",
        "data.json": "[1]",
        "a-5e6f7a8b.css": "p{}" * 999,
    }
    made = site_folder(tmp_path / name, files)
    first = desk.publish(made)
    assert (first.returning, "returning" in first.value()) == (None, False), "nobody was here before"
    return made


def smallest(data: str) -> int:
    """The smallest of the codings that `fast` makes, or none."""
    import brotli

    raw = data.encode()
    zstd = zstandard.ZstdCompressor(level=6).compress(raw)
    return min(len(raw), len(zstd), len(brotli.compress(raw, quality=5)))


@pytest.mark.parametrize("memo_is_there", [True, False])
def test_a_deploy(desk: Desk, folder: Path, memo_is_there: bool) -> None:
    """The new script as a delta to the old one, the bytes of which are here or at the origin; pages and what is asked
    again every time do not count."""
    deploy(folder)
    fresh = Memo(None)
    outcome = desk.publish(folder, desk.memo if memo_is_there else fresh)
    fresh.close()
    delta = len(dcz.compress(OLD.encode(), NEW.encode(), returning.sha256(OLD.encode()).digest())[0])
    assert outcome.returning == {"files": 1, "bytes": delta, "without": smallest(NEW)}
    assert delta * 20 < smallest(NEW)
    assert outcome.value()["returning"] == outcome.returning
    assert outcome.remark.endswith("kB without deltas)")
    again = desk.publish(folder)
    assert (again.unchanged, again.returning) == (True, None)


def test_what_would_be(desk: Desk, folder: Path) -> None:
    """--dry-run tells it too."""
    deploy(folder)
    assert desk.publisher(folder).changes().returning is None, "--diff is followed by the publish, which tells it"
    changes = desk.publisher(folder).changes(measured=True)
    assert changes.returning is not None
    assert changes.value()["returning"]["files"] == 1
    assert "\nreturning visitors download " in changes.text()


def test_new_and_renamed_files(desk: Desk, folder: Path) -> None:
    """A file that is like none before counts whole; a page alone is no figure to tell."""
    site_folder(folder, {"assets/other-1b2c3d4e.js": NEW, "index.html": "<h1>2</h1>"})
    assert desk.publish(folder).returning == {"files": 1, "bytes": smallest(NEW), "without": smallest(NEW)}
    site_folder(folder, {"index.html": "<h1>3</h1>"})
    quiet = desk.publish(folder)
    assert (quiet.returning, quiet.remark) == ({"files": 0, "bytes": 0, "without": 0}, "")


def test_its_bounds(desk: Desk, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bytes, or the time, that it may take, a file counts as without deltas."""
    monkeypatch.setattr(returning, "OLD_BYTES", 1_000)
    deploy(folder)
    whole = {"files": 1, "bytes": smallest(NEW), "without": smallest(NEW)}
    assert desk.publish(folder).returning == whole
    monkeypatch.undo()
    monkeypatch.setattr(returning, "SECONDS", 0)
    (folder / "assets/app-9f8e7d6c.js").rename(folder / "assets/app-7a6b5c4d.js")
    (folder / "assets/app-7a6b5c4d.js").write_text(OLD)
    outcome = desk.publish(folder)
    assert outcome.returning is not None
    assert outcome.returning["bytes"] == outcome.returning["without"]


def test_its_faults_are_none_of_the_publishs(desk: Desk, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever breaks: the release is live, and there is no figure."""

    def broken(*arguments: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(dcz, "compress", broken)
    deploy(folder)
    outcome = desk.publish(folder)
    assert (outcome.returning, outcome.remark, outcome.unchanged) == (None, "", False)
    live = desk.client.get(f"/api/v1/sites/{folder.name}")["live"]
    assert live["release"] == outcome.release


@pytest.mark.parametrize("coding", ["zstd", "br", "gzip"])
def test_what_unpacks_to_far_more_is_not_unpacked(coding: str) -> None:
    """An encoding of the live release is somebody else's bytes: a few hundred may stand for gigabytes."""
    zeros = bytes(16 << 20)
    pack = {"zstd": zstandard.compress, "br": brotli.compress, "gzip": gzip.compress}[coding]
    packed = pack(zeros)
    assert returning._UNPACK[coding](packed, len(zeros)) == zeros
    tracemalloc.start()
    try:
        assert len(returning._UNPACK[coding](packed, 1_000)) < 1 << 20
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()


def test_the_words() -> None:
    """What is saved is told where something is."""
    assert Returning(1, 40, 100_000).text() == "returning visitors download 40 B in 1 file (100.0 kB without deltas)"
    assert Returning(2, 500, 500).text() == "returning visitors download 500 B in 2 files"


def test_the_command(user: Shell, tmp_path: Path) -> None:
    """One line on stderr, the object in JSON."""
    folder = site_folder(tmp_path / "back", {"app-0a1b2c3d.js": OLD})
    user.result("publish", folder)
    (folder / "app-0a1b2c3d.js").unlink()
    (folder / "app-9f8e7d6c.js").write_text(NEW)
    preview = user.result("publish", folder, "--preview", "try")
    assert "returning" not in preview, "it has a host of its own"
    done = user.rim("publish", folder)
    assert done.returncode == 0
    assert done.stderr.startswith("returning visitors download ")
