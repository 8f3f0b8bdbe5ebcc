"""Building from the last build: the same release as from nothing, or from nothing."""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from content.block import Block
from content.cid import CID, RAW
from content.release import Rules
from content.walk import links
from rim import reading
from rim import scan as scanning
from rim.build import Built, Pieces, Unknown, build, keep
from rim.client import Origin as Client
from rim.ignore import Filter, for_folder
from rim.last import load, recipe
from rim.memo import Memo
from rim.output import Advance, Bars
from rim.publisher import Job, Publisher
from rim.scan import Scan, scan
from tests.kit.nodes import Origin
from tests.rim.conftest import Shell, site_folder

RECIPE = recipe("none")


def silent(total: int) -> Advance:
    return lambda count: None


def live(built: Built) -> dict[str, object]:
    """As the origin shows a release."""
    return {"root": str(built.root), "index": str(built.index)}


def whole(folder: Path, accept: Filter | None = None) -> Built:
    """Built from nothing."""
    memo = Memo(None)
    built = build(scan(str(folder), accept or for_folder(folder), memo, silent), {}, Rules())
    memo.close()
    return built


def again(folder: Path, memo: Memo, before: Built | None) -> tuple[Scan, Built]:
    """Built from the last build, and kept."""
    last = load(memo, str(folder), RECIPE, None if before is None else live(before))
    found = scan(str(folder), for_folder(folder), memo, silent, last)
    built = build(found, {}, Rules(), lambda cid: memo.node(str(folder), RECIPE, cid))
    keep(memo, found, built, RECIPE)
    return found, built


@pytest.fixture
def old(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every file were old enough to be believed at the next look: ctime cannot be set back."""
    monkeypatch.setattr(reading, "_RACY_NS", 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """300 files in nested folders, an empty one, a link."""
    names = {f"{'abc'[n % 3]}/{n % 7}/{n % 5}/f{n}.txt": os.urandom(n) for n in range(300)}
    made = site_folder(tmp_path / "site", {**names, "index.html": "<h1>"})
    (made / "a" / "empty").mkdir()
    (made / "link").symlink_to("index.html")
    return made


@pytest.mark.parametrize("seed", range(6))
def test_any_change_gives_what_building_from_nothing_gives(
    tmp_path: Path, memo: Memo, folder: Path, old: None, seed: int
) -> None:
    """Files and folders that come, go, change, move or become each other: same Root, Index, count and size each time,
    and the blocks made are all that the release before lacks."""
    rng, built = random.Random(seed), again(folder, memo, None)[1]
    held = set(built.made)
    for number in range(12):
        for _ in range(rng.randint(0, 4)):
            edit(rng, folder, number)
        found, built = again(folder, memo, built)
        assert found.last is not None
        expected = whole(folder)
        assert (built.root, built.index, built.files, built.size) == (
            expected.root, expected.index, expected.files, expected.size,
        )  # fmt: skip
        held |= set(built.made)
        assert set(expected.made) <= held


def edit(rng: random.Random, folder: Path, number: int) -> None:
    """One change of any kind."""
    everything = sorted(folder.rglob("*"))
    place = rng.choice(everything)
    within = place if place.is_dir() and not place.is_symlink() else place.parent
    kind = rng.randrange(7)
    if kind == 0:
        (within / f"new-{number}").write_bytes(rng.randbytes(rng.randint(0, 99)))
    elif kind == 1 and place.is_file() and not place.is_symlink():
        place.write_bytes(rng.randbytes(50))
    elif kind == 2 and not place.is_dir():
        place.unlink()
    elif kind == 3:
        (within / f"deep-{number}" / "er").mkdir(parents=True, exist_ok=True)
    elif kind == 4 and place.is_dir() and not place.is_symlink():
        place.rename(folder / f"moved-{number}-{rng.randrange(10**9)}")
    elif kind == 5 and place.is_file():
        place.unlink()
        place.mkdir()
        (place / "inside").write_text("now a folder")
    else:
        link = within / f"link-{number}"
        link.unlink(missing_ok=True)
        link.symlink_to(f"somewhere-{rng.randrange(99)}")


def test_only_what_changed_is_looked_at(memo: Memo, folder: Path, old: None) -> None:
    """One changed file costs the folders from it to the top: those are made anew, and a branch of the Index."""
    _, built = again(folder, memo, None)
    (folder / "a/0/0/f0.txt").write_text("changed")
    found, after = again(folder, memo, built)
    assert set(found.closely) == {"", "a/", "a/0/", "a/0/0/"}
    assert found.hashed == 1
    assert len(after.made) - len(after.nodes) == 4 + 1  # the link of the top is made with it
    assert len(after.nodes) < len(built.nodes)
    found, same = again(folder, memo, after)
    assert not found.closely
    assert not found.is_empty
    assert (same.root, same.index, same.made) == (after.root, after.index, {})


def test_pieces_are_what_the_live_release_lacks(memo: Memo, folder: Path, old: None) -> None:
    """What is announced with the next release is all that it has and the live one has not."""
    found, built = again(folder, memo, None)
    held = set(Pieces(found, {}, built, memo).by_cid)
    (folder / "b/1/1/new.txt").write_text("new")
    found, built = again(folder, memo, built)
    pieces = Pieces(found, {}, built, memo)
    blocks = [Block(cid, pieces.load(cid)) for cid in pieces.by_cid]
    assert built.root in pieces.by_cid
    assert len(blocks) < 40
    assert all(link in held or link in pieces.by_cid for block in blocks for link in links(block))


def test_a_young_file_is_looked_at_again(memo: Memo, folder: Path) -> None:
    """A folder that held something younger than 2 s when it was read is not believed by its print."""
    _, built = again(folder, memo, None)
    found, _ = again(folder, memo, built)
    assert "a/0/0/" in found.closely
    assert "a/empty/" not in found.closely


def test_what_is_live_must_be_the_last_build(memo: Memo, folder: Path, old: None) -> None:
    """Where another release is live, or none, or the recipe is another, all is built anew."""
    _, built = again(folder, memo, None)
    other = CID.of(RAW, b"other")
    assert load(memo, str(folder), RECIPE, live(built)) is not None
    assert load(memo, str(folder), RECIPE, None) is None
    assert load(memo, str(folder), RECIPE, {**live(built), "root": str(other)}) is None
    assert load(memo, str(folder), RECIPE, {**live(built), "index": str(other)}) is None
    assert load(memo, str(folder), recipe("best"), live(built)) is None


def test_a_build_is_believed_for_30_days(memo: Memo, folder: Path, old: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then all is built anew, however often it was built from the last one."""
    _, built = again(folder, memo, None)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 31 * 86_400)
    assert load(memo, str(folder), RECIPE, live(built)) is None


def damaged_last(db: sqlite3.Connection, rng: random.Random) -> None:
    ((data,),) = db.execute("SELECT data FROM lasts")
    at = rng.randrange(len(data))
    db.execute("UPDATE lasts SET data = ?", (data[:at] + bytes((data[at] ^ 1 << rng.randrange(8),)) + data[at + 1 :],))


def cut_last(db: sqlite3.Connection, rng: random.Random) -> None:
    ((data,),) = db.execute("SELECT data FROM lasts")
    db.execute("UPDATE lasts SET data = ?", (data[: rng.randrange(len(data))],))


def no_nodes(db: sqlite3.Connection, rng: random.Random) -> None:
    db.execute("DELETE FROM nodes")


def damaged_nodes(db: sqlite3.Connection, rng: random.Random) -> None:
    db.execute("UPDATE nodes SET data = zeroblob(100)")


@pytest.mark.parametrize("damage", [damaged_last, cut_last, no_nodes, damaged_nodes])
def test_a_damaged_memo_gives_no_wrong_release(
    tmp_path: Path, folder: Path, old: None, damage: Callable[[sqlite3.Connection, random.Random], None]
) -> None:
    """What does not hold is found, and then there is no last build."""
    memo, rng = Memo(tmp_path / "memo"), random.Random(4)
    _, built = again(folder, memo, None)
    for number in range(20):
        with sqlite3.connect(tmp_path / "memo" / "memo.sqlite") as db:
            damage(db, rng)
        db.close()
        (folder / "c/2/2").mkdir(exist_ok=True)
        (folder / "c/2/2/new.txt").write_text(f"new {number}")
        try:
            found, after = again(folder, memo, built)
        except Unknown:
            found, after = again(folder, memo, None)
        assert found.last is None
        assert (after.root, after.index) == (whole(folder).root, whole(folder).index)
        built = after
    memo.close()


def test_an_old_memo_gives_no_wrong_release(tmp_path: Path, folder: Path, old: None) -> None:
    """A memo put back from a backup is of a build that is not live; and where it is again, prints tell what changed."""
    memo = Memo(tmp_path / "memo")
    _, first = again(folder, memo, None)
    memo.close()
    backup = (tmp_path / "memo" / "memo.sqlite").read_bytes()
    (folder / "a/0/0/f0.txt").write_text("changed")
    memo = Memo(tmp_path / "memo")
    _, second = again(folder, memo, first)
    memo.close()
    for name in (tmp_path / "memo").iterdir():
        name.unlink()
    (tmp_path / "memo" / "memo.sqlite").write_bytes(backup)
    memo = Memo(tmp_path / "memo")
    assert load(memo, str(folder), RECIPE, live(second)) is None
    found, third = again(folder, memo, first)
    assert found.last is not None
    assert (third.root, third.index) == (second.root, second.index)
    memo.close()


def test_nodes_that_no_index_needs_go(tmp_path: Path, folder: Path, old: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The memo holds the nodes of one Index and those of the last few changes, however often it is changed."""
    monkeypatch.setattr("rim.last._STREWN_MAX", 5)
    memo = Memo(tmp_path / "memo")
    _, built = again(folder, memo, None)
    for number in range(30):
        (folder / "a/0/0/f0.txt").write_text(f"changed {number}")
        _, built = again(folder, memo, built)
    with sqlite3.connect(tmp_path / "memo" / "memo.sqlite") as db:
        ((count,),) = db.execute("SELECT count(*) FROM nodes")
    db.close()
    assert count <= len(whole(folder).nodes) + 5 + 5
    memo.close()


def test_a_folder_that_changes_under_the_walk(
    memo: Memo, folder: Path, old: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder above a change that is another at the second look has the walk begun again."""
    _, built = again(folder, memo, None)
    (folder / "a/0/0/f0.txt").write_text("changed")
    closely, news = scanning._closely, ["late"]

    def meddled(*arguments: Any) -> None:
        if news:
            (folder / news.pop()).write_text("late")
        closely(*arguments)

    monkeypatch.setattr(scanning, "_closely", meddled)
    _, after = again(folder, memo, built)
    assert (after.root, after.index) == (whole(folder).root, whole(folder).index)


def test_a_file_older_than_1970(memo: Memo, folder: Path, old: None) -> None:
    """Times before the epoch are times too."""
    os.utime(folder / "index.html", (-1000, -1000))
    _, built = again(folder, memo, None)
    assert again(folder, memo, built)[1].root == built.root


# Against an origin.


def test_a_republish_sends_only_the_path_to_the_root(user: Shell, folder: Path) -> None:
    """The second publish announces and sends what is new; what is live is what building from nothing gives."""
    time.sleep(2.1)  # the publisher's own clock: files younger than 2 s are read again
    first = user.result("publish", folder, "--site", "again", "--encode", "none")
    (folder / "a/0/0/f0.txt").write_text("changed")
    second = user.result("publish", folder, "--site", "again", "--encode", "none")
    assert first["files"] == second["files"]
    assert second["blocks_sent"] < 12
    assert second["root"] == str(whole(folder).root)
    assert user.result("publish", folder, "--site", "again", "--encode", "none")["unchanged"]


def test_an_origin_that_lost_blocks_gets_all_of_them(
    origin: Origin, memo: Memo, folder: Path, old: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the origin lacks what a release from the last build needs, commit 1 says so, and all is sent anew."""
    job = Job(folder, "lost", encode="none", warm=False)
    with Client(origin.url, origin.token) as client:
        Publisher(job, client, Bars(), memo).publish()
        (folder / "a/0/0/f0.txt").write_bytes(news := os.urandom(99))
        make, tries = Pieces.__init__, list[bool]()

        def lossy(pieces: Pieces, found: Scan, *more: Any) -> None:
            make(pieces, found, *more)
            tries.append(found.last is not None)
            if found.last is not None:
                del pieces.by_cid[CID.of(RAW, news)]

        monkeypatch.setattr(Pieces, "__init__", lossy)
        outcome = Publisher(job, client, Bars(), memo).publish()
    assert tries == [True, False]
    assert outcome.root == str(whole(folder).root)
