"""The memo: it may be lost at any time, and a publish goes on without it."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path

import pytest

from content.cid import CID, RAW
from rim import memo as module
from rim.memo import Known, Memo

KNOWN = Known((1, 2, 3, 4), CID.of(RAW, b"x"), b"\1" * 32)


def test_what_is_learned_is_known(tmp_path: Path) -> None:
    """Files are known again after reopening, by their paths below the folder and no other."""
    memo = Memo(tmp_path)
    memo.learn("/a", {"b/c": KNOWN}, ())
    memo.learn("/ab", {"d": KNOWN}, ())
    memo.learn("/a/b", {"e": KNOWN}, ())
    memo.close()
    memo = Memo(tmp_path)
    assert memo.files("/a") == {"b/c": KNOWN, "b/e": KNOWN}
    memo.learn("/a", {}, ["b/c"])
    assert memo.files("/a") == {"b/e": KNOWN}
    memo.close()


@pytest.mark.parametrize("damage", [b"", b"not a database at all, but long enough to look like one" * 20])
def test_a_damaged_file_is_begun_anew(tmp_path: Path, damage: bytes) -> None:
    """A memo that is no database is replaced."""
    (tmp_path / "memo.sqlite").write_bytes(damage)
    memo = Memo(tmp_path)
    memo.learn("/a", {"b": KNOWN}, ())
    assert memo.files("/a") == {"b": KNOWN}
    memo.close()


def test_another_version_is_begun_anew(tmp_path: Path) -> None:
    """A memo of a Rim to come is not guessed at."""
    db = sqlite3.connect(tmp_path / "memo.sqlite")
    db.execute("PRAGMA user_version = 99")
    db.commit()
    db.close()
    memo = Memo(tmp_path)
    memo.learn("/a", {"b": KNOWN}, ())
    assert memo.files("/a") == {"b": KNOWN}
    memo.close()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """Where no memo can be kept a private one serves the run."""
    (tmp_path / "file").write_text("in the way")
    memo = Memo(tmp_path / "file" / "state")
    memo.keep_encodings(b"s", "fast", "", {KNOWN.cid: b"data"})
    assert memo.blob(KNOWN.cid) == b"data"
    memo.close()


def test_two_first_publishes_at_once(tmp_path: Path) -> None:
    """Many begin the memo together; nobody fails and nothing is lost."""
    barrier = threading.Barrier(8)
    failures: list[BaseException] = []

    def one(number: int) -> None:
        try:
            barrier.wait()
            memo = Memo(tmp_path)
            memo.learn(f"/{number}", {"f": KNOWN}, ())
            memo.close()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    memo = Memo(tmp_path)
    assert not failures
    assert all(memo.files(f"/{number}") for number in range(8))
    memo.close()


def test_unused_encodings_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Encodings that no publish used for 60 days are dropped, those in use stay, shared bytes too."""
    old, new, shared = (CID.of(RAW, data) for data in (b"old", b"new", b"shared"))
    memo = Memo(tmp_path)
    memo.keep_encodings(b"1", "fast", f"br {old.hex()} 1 gzip {shared.hex()} 1", {old: b"o", shared: b"s"})
    memo.keep_encodings(b"2", "fast", f"br {new.hex()} 1 gzip {shared.hex()} 1", {new: b"n", shared: b"s"})
    now = module.time.time()
    monkeypatch.setattr(module.time, "time", lambda: now + 59 * 86_400)
    memo.encodings([b"2"], "fast")
    monkeypatch.setattr(module.time, "time", lambda: now + 61 * 86_400)
    memo.prune()
    assert memo.encodings([b"1", b"2"], "fast").keys() == {b"2"}
    assert (memo.blob(old), memo.blob(new), memo.blob(shared)) == (None, b"n", b"s")
    memo.close()


def test_pages_that_no_publish_reads_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found in a page is kept as long as it is of use, for 60 days after."""
    memo = Memo(tmp_path)
    monkeypatch.setattr(time, "time", lambda: 1_000_000)
    memo.keep_pages({b"used": "a", b"unused": "b"})
    monkeypatch.setattr(time, "time", lambda: 1_000_000 + 50 * 86_400)
    memo.keep_pages({}, [b"used"])
    monkeypatch.setattr(time, "time", lambda: 1_000_000 + 61 * 86_400)
    memo.prune()
    assert (memo.page(b"used"), memo.page(b"unused")) == ("a", None)
    memo.close()
