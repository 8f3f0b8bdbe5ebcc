"""The scan: what is walked, what is read again, and what it refuses."""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from content.cid import CID, RAW
from content.unixfs import file as unixfs_file
from rim import reading
from rim.exits import Failed, Refused, Usage
from rim.ignore import for_folder
from rim.memo import Memo
from rim.output import Advance
from rim.scan import Scan, scan
from tests.rim.conftest import site_folder

OLD = 1_600_000_000


def silent(total: int) -> Advance:
    return lambda count: None


def look(folder: Path, memo: Memo, bar: Callable[[int], Advance] = silent) -> Scan:
    return scan(str(folder), for_folder(folder), memo, bar)


def settle(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if 2 s had passed since the folder was written: ctime cannot be set back, so the clock goes on instead."""
    now = reading.time.time_ns
    monkeypatch.setattr(reading.time, "time_ns", lambda: now() + 3_000_000_000)


def test_every_file_has_its_hash(tmp_path: Path, memo: Memo) -> None:
    """A file's CID is what unixfs makes of its bytes, whatever its size, and its SHA-256 is of the whole."""
    sizes = [0, 1, 1 << 20, (1 << 20) + 1, 3_500_000]
    data = {f"f{size}": os.urandom(size) for size in sizes}
    found = look(site_folder(tmp_path / "site", data), memo)
    for file in found.files:
        assert file.cid == unixfs_file(data[file.path], lambda block: None).cid
        assert file.sha256 == sha256(data[file.path]).digest()
    assert {file.path for file in found.files} == set(data)
    assert found.size == sum(sizes)


def test_unchanged_files_are_not_read_again(tmp_path: Path, memo: Memo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second scan of old files reads none; one changed file is read alone."""
    folder = site_folder(tmp_path / "site")
    settle(folder, monkeypatch)
    assert look(folder, memo).hashed == 3
    assert look(folder, memo).hashed == 0
    (folder / "index.html").write_text("new")
    again = look(folder, memo)
    assert again.hashed == 1
    assert next(f for f in again.files if f.path == "index.html").cid == CID.of(RAW, b"new")


def test_young_files_are_read_again(tmp_path: Path, memo: Memo) -> None:
    """A file that changed less than 2 s before it was read may change again unseen: it is read again next time."""
    folder = site_folder(tmp_path / "site", {"a": "1"})
    assert look(folder, memo).hashed == 1
    assert look(folder, memo).hashed == 1


def test_same_size_and_mtime_is_seen_by_ctime(tmp_path: Path, memo: Memo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other bytes of equal length with the old mtime put back are found: ctime tells."""
    folder = site_folder(tmp_path / "site", {"a": "one"})
    os.utime(folder / "a", (OLD, OLD))
    settle(folder, monkeypatch)
    look(folder, memo)
    (folder / "a").write_bytes(b"two")
    os.utime(folder / "a", (OLD, OLD))
    assert look(folder, memo).files[0].cid == CID.of(RAW, b"two")


def test_a_removed_file_is_forgotten(tmp_path: Path, memo: Memo, monkeypatch: pytest.MonkeyPatch) -> None:
    """The memo of a folder does not grow with files that are gone."""
    folder = site_folder(tmp_path / "site")
    settle(folder, monkeypatch)
    look(folder, memo)
    (folder / "index.html").unlink()
    look(folder, memo)
    assert set(memo.files(str(folder))) == {"css/app.css", "img/a.png"}


def test_links_and_folders(tmp_path: Path, memo: Memo) -> None:
    """Links are kept as links, to files, folders and nowhere; empty folders are seen."""
    folder = site_folder(tmp_path / "site")
    (folder / "empty" / "deep").mkdir(parents=True)
    (folder / "to-file").symlink_to("index.html")
    (folder / "to-folder").symlink_to("css")
    (folder / "to-nowhere").symlink_to("/nowhere/at/all")
    found = look(folder, memo)
    assert found.links == {"to-file": "index.html", "to-folder": "css", "to-nowhere": "/nowhere/at/all"}
    assert set(found.dirs) == {"css", "img", "empty", "empty/deep"}


def test_a_file_that_changes_once_is_read_once_more(
    tmp_path: Path, memo: Memo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One change while reading is forgiven, and what is published is the new state."""
    folder = site_folder(tmp_path / "site", {"a": "1"})
    changes = [b"22"]
    meddle(monkeypatch, lambda: (folder / "a").write_bytes(changes.pop()) if changes else None)
    assert look(folder, memo).files[0].cid == CID.of(RAW, b"22")


def test_a_file_that_changes_twice_fails(tmp_path: Path, memo: Memo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that changes at every try ends the publish, by name, with exit code 1."""
    folder = site_folder(tmp_path / "site", {"a": "1", "b": "2"})
    count = iter(range(100))
    meddle(monkeypatch, lambda: (folder / "a").write_bytes(b"x" * (10 + next(count))))
    with pytest.raises(Failed, match="changed while it was read, twice") as caught:
        look(folder, memo)
    assert caught.value.code == 1
    assert caught.value.hint


def test_a_file_that_vanishes_is_left_out(tmp_path: Path, memo: Memo) -> None:
    """A file that goes between walk and read has the walk begun again, without it."""
    folder = site_folder(tmp_path / "site")

    def bar(total: int) -> Advance:
        (folder / "index.html").unlink(missing_ok=True)  # the walk has seen it, no thread has opened it
        return lambda count: None

    found = look(folder, memo, bar)
    assert {file.path for file in found.files} == {"css/app.css", "img/a.png"}


@pytest.mark.parametrize("secret", [".env", ".env.local", "tls/server.pem", "a.KEY", "id_rsa", "deep/id_ed25519"])
def test_secrets_are_refused(tmp_path: Path, memo: Memo, secret: str) -> None:
    """Files that look like secrets end the publish with exit code 3, named."""
    folder = site_folder(tmp_path / "site", {"index.html": "hi", secret: "s"})
    with pytest.raises(Refused, match=secret.replace(".", r"\.")) as caught:
        look(folder, memo)
    assert caught.value.code == 3
    assert "--allow-secret" in caught.value.hint
    assert scan(str(folder), for_folder(folder, allow_secret=True), memo, silent).files


def test_no_secrets(tmp_path: Path, memo: Memo) -> None:
    """Names that only resemble secrets are published: an example, a folder, a longer word."""
    names = [".env.example", "keys/a.txt", "id_rsa.html", "monkey", "public.pem.txt"]
    found = look(site_folder(tmp_path / "site", dict.fromkeys(names, "x")), memo)
    assert {file.path for file in found.files} == set(names)


def test_a_name_that_is_not_utf8(tmp_path: Path, memo: Memo) -> None:
    """A name in another encoding is refused with exit code 2, shown as its bytes."""
    folder = site_folder(tmp_path / "site")
    (Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.html"))).write_text("x")
    with pytest.raises(Usage, match=r"caf\\xe9") as caught:
        look(folder, memo)
    assert caught.value.code == 2


def test_a_link_target_that_is_not_utf8(tmp_path: Path, memo: Memo) -> None:
    """So is a link whose target is not UTF-8."""
    folder = site_folder(tmp_path / "site")
    os.symlink(b"caf\xe9", os.fsencode(folder / "link"))
    with pytest.raises(Usage, match="target of the link"):
        look(folder, memo)


def test_a_fifo_is_no_file(tmp_path: Path, memo: Memo) -> None:
    """A FIFO is refused and never opened: opening one would wait for ever."""
    folder = site_folder(tmp_path / "site")
    os.mkfifo(folder / "pipe")
    with pytest.raises(Usage, match="pipe is no file"):
        look(folder, memo)


def test_no_folder(tmp_path: Path, memo: Memo) -> None:
    """A folder that is not there is exit code 2."""
    with pytest.raises(Usage, match="no folder"):
        look(tmp_path / "nowhere", memo)


def test_an_error_in_a_thread_ends_the_others(tmp_path: Path, memo: Memo, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first error of a thread is raised, and no thread is left running."""
    import threading

    folder = site_folder(tmp_path / "site", {f"f{n}": os.urandom(100) for n in range(500)})
    meddle(monkeypatch, lambda: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    with pytest.raises(Usage, match="cannot be read: Permission denied"):
        look(folder, memo)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("rim")]


def meddle(monkeypatch: pytest.MonkeyPatch, action: Callable[[], object]) -> None:
    """Do something while a file is being read: after its bytes were taken, before it is looked at again."""
    exactly = reading._exactly

    def meddled(descriptor: int, length: int, path: str) -> bytes:
        data = exactly(descriptor, length, path)
        if path in ("a", "f0"):
            action()
        return data

    monkeypatch.setattr(reading, "_exactly", meddled)
