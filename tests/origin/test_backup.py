"""An origin as an archive and back: whole while it runs, refused when anything is wrong with it, all or nothing."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from content import ipns
from content.cid import CID
from content.limits import MiB
from origin import archive, steps
from origin import backup as backups
from origin.archive import BadArchive
from origin.backup import backup
from origin.errors import BackupError, StateError
from origin.fsck import fsck
from origin.log import By
from origin.restore import Restored, restore
from origin.state import State
from origin.steps import CRASH_STATUS
from origin.store.frozen import open_packs
from origin.store.pack import Pack
from tests.kit import disks
from tests.kit.nodes import RIM, until
from tests.origin.play import make, origin, parts, process, site_files

FIRST = make({**site_files("one"), "app-3f8a9c1d.js": b"old"}, immutable=["app-3f8a9c1d.js"])
SECOND = make(site_files("two"))
BIG = make({"big.bin": random.Random(7).randbytes(3 * MiB)})


def packed(state: Path, **more: Any) -> bytes:
    """The archive of this folder."""
    out = io.BytesIO()
    backup(state, out, lambda total: lambda count: None, **more)
    return out.getvalue()


def unpacked(data: bytes, folder: Path, **more: Any) -> Restored:
    return restore(io.BytesIO(data), folder, By("Ada"), **more)


def sound(state: Path) -> bool:
    said: list[str] = []
    assert fsck(state, said.append) == 0, said
    return True


def some_origin(state: Path) -> bytes:
    """A stopped origin with a site of two releases, and its archive."""
    with origin(state) as client:
        client.publish("demo", FIRST)
        client.publish("demo", SECOND, FIRST.cid)
    return packed(state)


def test_all_of_an_origin_comes_back(tmp_path: Path) -> None:
    """Taken while it runs: sites, retained releases, tokens, pins, edges, log, keys; and nothing is one byte off."""
    here, there = tmp_path / "here", tmp_path / "there"
    with origin(here) as client:
        client.publish("demo", FIRST)
        client.publish("demo", SECOND, FIRST.cid)
        client.publish("other", BIG)
        client.ok("PUT", "/api/v1/sites/demo", {"hosts": ["demo.test"], "settings": {"spa": True}})
        client.ok("PUT", f"/api/v1/pins/{BIG.release.root}", {"name": "kept"})
        client.ok("DELETE", "/api/v1/sites/other")
        publisher = client.make_token("publish", sites=["demo"])
        before = {path: client.ok("GET", path) for path in ("/api/v1/sites/demo", "/api/v1/pins", "/api/v1/tokens")}
        told = client.ok("GET", "/api/v1/log?limit=1000")["entries"]
        sequence = client.ok("GET", "/api/v1/status")["sequence"]
        data = packed(here)
    restored = unpacked(data, there)
    assert sound(there)
    assert restored.before == sequence < restored.world.sequence
    assert (there / "admin-token").read_bytes() == (here / "admin-token").read_bytes()
    modes = {path.stat().st_mode & 0o777 for path in there.rglob("*") if path.is_file()}
    assert modes == {0o600}
    with origin(there) as client:
        after = {path: client.ok("GET", path) for path in before}
        generations = [before["/api/v1/sites/demo"].pop("generation"), after["/api/v1/sites/demo"].pop("generation")]
        assert after == before
        assert generations[0] < generations[1]
        *old, last = client.ok("GET", "/api/v1/log?limit=1000")["entries"]
        assert old == told
        assert (last["action"], last["author"], last["detail"]["sequence"]) == ("restore", "Ada", sequence)
        assert not parts(client).store.missing([*FIRST.store, *SECOND.store, BIG.release.root])
        client.as_(publisher).publish("demo", FIRST, SECOND.cid)


def test_other_tools_read_the_archive(tmp_path: Path) -> None:
    """It is a tar of CARs and small files with their sums, and holds what is kept and nothing else."""
    state = tmp_path / "state"
    with origin(state) as client:
        client.publish("demo", FIRST)
        client.publish("gone", BIG)
        client.ok("DELETE", "/api/v1/sites/gone")
        data = packed(state)
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for info in tar:
            file = tar.extractfile(info)
            assert file is not None
            files[info.name] = file.read()
            assert (info.mode, info.isreg()) == (0o600, True)
    sums = dict(reversed(line.split("  ")) for line in files["SHA256SUMS"].decode().splitlines())
    small = {name for name in files if not name.startswith("blocks/")} - {"SHA256SUMS"}
    assert sums == {name: sha256(files[name]).hexdigest() for name in small}
    from content import car

    blocks = {block.cid for name, body in files.items() if name.startswith("blocks/") for block in car.read(body)[1]}
    assert set(FIRST.store) <= blocks
    assert not blocks & (set(BIG.store) - set(FIRST.store))
    assert json.loads(files["MANIFEST.json"])["blocks"] == len(blocks)
    assert "state/leases" not in " ".join(files)


def test_backups_amid_publishes_and_collections(tmp_path: Path) -> None:
    """Three publishers, removals and a collector that never rests: every archive taken meanwhile is a whole origin."""
    state, over = tmp_path / "state", threading.Event()
    with origin(state) as client:

        def publish(site: str) -> None:
            expected: CID | None = None
            for number in range(10_000):
                if over.is_set():
                    return
                made = make({**site_files(f"{site} {number}"), "big": random.Random(number).randbytes(200_000)})
                client.publish(site, made, expected)
                expected = made.cid
                if number % 5 == 4:
                    client.ok("DELETE", f"/api/v1/sites/{site}")
                    expected = None

        def collect() -> None:
            while not over.is_set():
                client.ok("POST", "/api/v1/gc")

        busy = [threading.Thread(target=publish, args=(f"site-{n}",)) for n in range(3)]
        busy.append(threading.Thread(target=collect))
        for thread in busy:
            thread.start()
        try:
            archives = []
            for _ in range(12):
                head = (state / "head").read_bytes()
                until("another Head", lambda head=head: (state / "head").read_bytes() != head)
                archives.append(packed(state))
        finally:
            over.set()
            for thread in busy:
                thread.join()
    assert len({sha256(data).digest() for data in archives}) == len(archives)
    for number, data in enumerate(archives):
        unpacked(data, tmp_path / f"restored-{number}")
        assert sound(tmp_path / f"restored-{number}")


def test_what_is_collected_after_the_look_is_in_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The site goes, and its blocks and their packs with it, between the look at the Head and the first block read."""
    state, copy = tmp_path / "state", backups._copy
    with origin(state) as client:
        client.publish("demo", BIG)

        def late(*arguments: Any) -> None:
            client.ok("DELETE", "/api/v1/sites/demo")
            assert client.ok("POST", "/api/v1/gc")["bytes_freed"] > 3 * MiB
            assert parts(client).store.get(BIG.cid) is None
            copy(*arguments)

        monkeypatch.setattr(backups, "_copy", late)
        data = packed(state)
    unpacked(data, tmp_path / "restored")
    with origin(tmp_path / "restored") as client:
        assert client.live("demo") == str(BIG.cid)
        assert not parts(client).store.missing(BIG.store)


def test_a_block_that_went_between_two_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The packs of a moment ago and a Head of now: something is lacking, so it looks again."""
    state, looks = tmp_path / "state", 0
    with origin(state) as client:
        client.publish("demo", FIRST)
        packs = open_packs(state / "packs")
        for pack in packs.values():
            pack.size = 200

        def stale(folder: Path) -> dict[int, Pack]:
            nonlocal looks
            looks += 1
            return packs if looks <= 4 else open_packs(folder)

        monkeypatch.setattr(backups, "open_packs", stale)
        data = packed(state)
    assert looks == 6
    unpacked(data, tmp_path / "restored")
    assert sound(tmp_path / "restored")


def test_a_damaged_origin_gives_no_archive(tmp_path: Path) -> None:
    """A block of what is live is rotten: it is named, with what to do; a folder without Head or of another version."""
    state = tmp_path / "state"
    some_origin(state)
    pack = next((state / "packs").glob("*.car"))
    leaf = next(block for block in SECOND.blocks if block.data.startswith(b"two 3"))
    whole = pack.read_bytes()
    at = whole.index(leaf.data)
    pack.write_bytes(whole[:at] + b"X" + whole[at + 1 :])
    with pytest.raises(BackupError, match=f"{leaf.cid}.*rim origin fsck"):
        packed(state)
    pack.write_bytes(whole)
    (state / "VERSION").write_text("9\n")
    with pytest.raises(StateError, match="version '9'"):
        packed(state)
    (state / "VERSION").write_text("1\n")
    (state / "head").unlink()
    with pytest.raises(StateError, match="start the origin once"):
        packed(state)
    with pytest.raises(StateError, match="is no state folder"):
        packed(tmp_path / "nothing")


def test_a_torn_tail_and_a_log_ahead_of_the_head(tmp_path: Path) -> None:
    """A folder as a kill leaves it: nothing that was not acknowledged goes in, and the folder is not touched."""
    state = tmp_path / "state"
    some_origin(state)
    pack, log = next((state / "packs").glob("*.car")), state / "log.jsonl"
    pack.write_bytes(pack.read_bytes() + b"\x50torn")
    told = log.read_bytes()
    log.write_bytes(told + b'{"sequence":9999999999999999,"site":"never"}\n{"half')
    before = {path: path.read_bytes() for path in state.rglob("*") if path.is_file()}
    data = packed(state)
    assert {path: path.read_bytes() for path in state.rglob("*") if path.is_file()} == before
    unpacked(data, tmp_path / "restored")
    assert (tmp_path / "restored" / "log.jsonl").read_bytes().startswith(told)
    assert b"never" not in (tmp_path / "restored" / "log.jsonl").read_bytes()


class Shots:
    """A picture of a folder at every named step: what a kill there would leave."""

    def __init__(self, folder: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.pictures = pictures
        self.names: list[str] = []
        monkeypatch.setattr(steps._steps, "armed", True)
        monkeypatch.setattr(steps._steps, "reached", self.reached)

    def reached(self, name: str) -> None:
        self.names.append(name)
        shutil.copytree(self.folder, self.pictures / str(len(self.names)), dirs_exist_ok=False)

    def all(self) -> Iterator[tuple[str, Path]]:
        for number, name in enumerate(self.names, 1):
            yield name, self.pictures / str(number)


def test_a_rotation_that_was_cut_short_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed at every step of a rotation: the archive of what is left restores, under the old key as long as no Head
    names the successor, and under that from then on."""
    state = tmp_path / "state"
    with origin(state) as client:
        client.publish("demo", FIRST)
        old = client.ok("GET", "/api/v1/keys")["catalog"]
        with monkeypatch.context() as patch:
            shots = Shots(state, tmp_path / "pictures", patch)
            new = client.ok("POST", "/api/v1/keys/rotate")["catalog"]
    first = shots.names.index("head: renamed")
    for number, (name, picture) in enumerate(shots.all()):
        restored = unpacked(packed(picture), tmp_path / f"restored-{number}")
        assert restored.catalog == (old if number < first else new), name
        assert sound(tmp_path / f"restored-{number}")
    assert {"successor adopted", "last record of the old key kept", "key: renamed"} <= set(shots.names)


def test_last_words_of_rotated_keys_are_kept(tmp_path: Path) -> None:
    """A node that was away through the rotation, the loss and the restore is still led to the successor."""
    state = tmp_path / "state"
    with origin(state) as client:
        client.publish("demo", FIRST)
        old = client.ok("GET", "/api/v1/keys")["catalog"]
        new = client.ok("POST", "/api/v1/keys/rotate")["catalog"]
        client.publish("demo", SECOND, FIRST.cid)
        client.ok("POST", "/api/v1/gc")
    assert unpacked(packed(state), tmp_path / "restored").catalog == new
    with origin(tmp_path / "restored") as client:
        assert client.ok("GET", "/api/v1/keys") == {"catalog": new, "previous": [old]}
        last = ipns.verify(old, client.get(f"/ipns/{old}").body)
        assert client.get(f"/ipfs/{last.value.removeprefix('/ipfs/')}?format=raw").status == 200
        client.ok("POST", "/api/v1/gc")
    assert sound(tmp_path / "restored")


def test_site_records_go_ahead_of_the_lost_ones(tmp_path: Path) -> None:
    """A resolver holds the record of a release that was published after the backup: it takes the restored one."""
    state = tmp_path / "state"
    with origin(state) as client:
        client.publish("demo", FIRST)
        client.publish("still", FIRST)
        data = packed(state)
        client.publish("demo", SECOND, FIRST.cid)
        names = {site: client.ok("GET", f"/api/v1/sites/{site}")["ipns"] for site in ("demo", "still")}
        held = {site: ipns.verify(name, client.get(f"/ipns/{name}").body) for site, name in names.items()}
    unpacked(data, tmp_path / "restored")
    with origin(tmp_path / "restored") as client:
        for site, name in names.items():
            record = ipns.verify(name, client.get(f"/ipns/{name}").body)
            assert record.value == f"/ipfs/{FIRST.release.root}"
            assert record.sequence > held[site].sequence


def test_a_pin_of_as_much_as_was_here(tmp_path: Path) -> None:
    """A DAG of which some blocks never came: what there is comes back under its pin, and outlives a collection."""
    state = tmp_path / "state"
    leaf = next(block for block in BIG.blocks if len(block.data) == MiB)
    with origin(state) as client:
        client.publish("demo", FIRST)
        lease, missing = client.missing("loose", BIG.blocks)
        client.send(lease, [block for block in missing if block != leaf])
        client.ok("PUT", f"/api/v1/pins/{BIG.release.root}", {"name": "torn", "partial": True})
        data = packed(state)
    unpacked(data, tmp_path / "restored")
    assert sound(tmp_path / "restored")
    with origin(tmp_path / "restored") as client:
        client.ok("POST", "/api/v1/gc")
        assert [pin["name"] for pin in client.ok("GET", "/api/v1/pins")["pins"]] == ["torn"]
        store = parts(client).store
        files = [block.cid for block in BIG.blocks if not block.cid.is_control]
        assert store.missing(files) == [leaf.cid]


# -- a key that was rotated after the backup


def rotated_since(tmp_path: Path) -> tuple[bytes, bytes, str, str]:
    """A backup from before a rotation, the PEM of the key since, and both names."""
    state = tmp_path / "lost"
    with origin(state) as client:
        client.publish("demo", FIRST)
        data = packed(state)
        old = client.ok("GET", "/api/v1/keys")["catalog"]
        new = client.ok("POST", "/api/v1/keys/rotate")["catalog"]
    return data, (state / "keys" / "catalog.key").read_bytes(), old, new


def test_the_key_of_now_is_handed_over_to(tmp_path: Path) -> None:
    """Given the successor's key, the restored origin signs with it; the old key's last word leads there."""
    data, pem, old, new = rotated_since(tmp_path)
    assert unpacked(data, tmp_path / "without").catalog == old
    restored = unpacked(data, tmp_path / "with", successor=pem)
    assert restored.catalog == new
    assert sound(tmp_path / "with")
    with origin(tmp_path / "with") as client:
        assert client.ok("GET", "/api/v1/keys") == {"catalog": new, "previous": [old]}
        again = packed(tmp_path / "with")
    assert unpacked(again, tmp_path / "again", successor=pem).catalog == new
    old_pem = next(body for name, body in members(data) if name == "state/keys/catalog.key")
    with pytest.raises(BackupError, match="was rotated away before"):
        unpacked(again, tmp_path / "back", successor=old_pem)
    with pytest.raises(StateError, match="cannot be read"):
        unpacked(again, tmp_path / "back", successor=b"no key")
    assert not (tmp_path / "back").exists()


# -- archives that are not to be believed


def members(data: bytes) -> Iterator[tuple[str, bytes]]:
    for member in archive.read(io.BytesIO(data)):
        yield member.name, b"".join(member.pieces())


def boundaries(data: bytes) -> list[int]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return [at for info in tar for at in (info.offset, info.offset_data)]


def nothing_at(folder: Path) -> bool:
    return not folder.exists()


def test_an_archive_that_was_cut_short(tmp_path: Path) -> None:
    """After every member, inside each, and at places drawn by lot: refused, and nothing is there."""
    data = some_origin(tmp_path / "state")
    lot = random.Random(1)
    places = {0, 1, 511, len(data) - 1, len(data) - 512, len(data) - 1024}
    places |= {at + more for at in boundaries(data) for more in (0, 1, 100)}
    for at in sorted(places | {lot.randrange(len(data)) for _ in range(20)}):
        with pytest.raises(BadArchive):
            unpacked(data[:at], tmp_path / "restored")
        assert nothing_at(tmp_path / "restored")


def test_an_archive_with_a_flipped_bit(tmp_path: Path) -> None:
    """One bit anywhere: refused, saying where; or it was one that says nothing (the codec in a CID of a CAR: blocks are
    kept by their hash), and what is restored is sound and the same."""
    state = tmp_path / "state"
    data = some_origin(state)
    lot, harmless = random.Random(2), 0
    places = [at + lot.randrange(512) for at in boundaries(data)] + [lot.randrange(len(data)) for _ in range(120)]
    for number, at in enumerate(places):
        flipped = bytearray(data)
        flipped[at] ^= 1 << lot.randrange(8)
        folder = tmp_path / f"restored-{number}"
        try:
            restored = unpacked(bytes(flipped), folder)
        except (BadArchive, BackupError):
            assert nothing_at(folder), at
            continue
        harmless += 1
        live = restored.world.sites["demo"].live
        assert live is not None
        assert (live.release, sound(folder)) == (SECOND.cid, True)
    assert harmless < len(places) // 20


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("state/keys/catalog.key", "state/keys/catalog.key is damaged"),
        ("state/tokens.json", "state/tokens.json is damaged"),
        ("state/log.jsonl", "state/log.jsonl is damaged"),
        ("MANIFEST.json", "MANIFEST.json is damaged"),
        ("blocks/000001.car", "damaged in blocks/000001.car: block bafk"),
    ],
)
def test_the_damage_is_named(tmp_path: Path, name: str, named: str) -> None:
    """One byte of one member."""
    data = bytearray(some_origin(tmp_path / "state"))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        info = tar.getmember(name)
    leaf = next(block for block in SECOND.blocks if block.data.startswith(b"two 3"))
    at = data.index(leaf.data) if name.startswith("blocks/") else info.offset_data + info.size // 2
    data[at] ^= 1
    with pytest.raises(BadArchive, match=named):
        unpacked(bytes(data), tmp_path / "restored")


def rebuilt(data: bytes, change: Callable[[dict[str, bytes]], object]) -> bytes:
    """The archive with other members, its sums in order: what someone would make who knows the form."""
    files = dict(members(data))
    change(files)
    out = io.BytesIO()
    writer = archive.Writer(out, 1)
    for name, body in files.items():
        if name.startswith("blocks/"):
            writer._member(name, len(body), (body,))
        elif name not in ("rim-backup", "MANIFEST.json", "SHA256SUMS"):
            writer.add(name, body)
    writer.close(files["MANIFEST.json"])
    return out.getvalue()


def without(name: str) -> Callable[[dict[str, bytes]], object]:
    return lambda files: files.pop(name)


def with_(name: str, body: bytes) -> Callable[[dict[str, bytes]], object]:
    return lambda files: files.update({name: body})


def manifest(**values: Any) -> Callable[[dict[str, bytes]], object]:
    def change(files: dict[str, bytes]) -> None:
        files["MANIFEST.json"] = json.dumps({**json.loads(files["MANIFEST.json"]), **values}).encode()

    return change


FALSE: list[tuple[str, Callable[[dict[str, bytes]], object], str]] = [
    ("no blocks", without("blocks/000001.car"), "the catalog is damaged|not in the store"),
    ("no key", without("state/keys/catalog.key"), "no keys/catalog.key"),
    ("no head", without("state/head"), "no head"),
    ("another key", with_("state/keys/catalog.key", b"x"), "cannot be read"),
    ("another version", with_("state/VERSION", b"7\n"), "version '7'"),
    ("another format", manifest(format=2), "format 2"),
    ("a later manifest", manifest(sequence=2**60), "should be at"),
    ("no time", manifest(made="x"), "MANIFEST.json cannot be read"),
    ("from the future", manifest(made=2**40), "set the clock"),
    ("tokens that are none", with_("state/tokens.json", b"{}"), "tokens.json cannot be read"),
    ("packs", with_("state/packs/000009.car", b""), "no backup of ours has"),
    ("a lock", with_("state/lock", b""), "no backup of ours has"),
    ("site records", with_("state/sites/demo.ipns", b""), "no backup of ours has"),
]


@pytest.mark.parametrize(("change", "said"), [row[1:] for row in FALSE], ids=[row[0] for row in FALSE])
def test_an_archive_that_is_no_whole_origin(
    tmp_path: Path, change: Callable[[dict[str, bytes]], object], said: str
) -> None:
    """Well formed, sums and all, and false."""
    data = rebuilt(some_origin(tmp_path / "state"), change)
    with pytest.raises((BadArchive, BackupError, StateError), match=said):
        unpacked(data, tmp_path / "restored")
    assert nothing_at(tmp_path / "restored")


def head_of(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, link
    return info.tobuf(tarfile.GNU_FORMAT)


HOSTILE: list[tuple[str, bytes]] = [
    ("upward", head_of("../evil", 1) + b"x"),
    ("upward inside", head_of("state/../../evil", 1) + b"x"),
    ("absolute", head_of("/tmp/evil", 1) + b"x"),
    ("hidden", head_of("state/.evil", 1) + b"x"),
    ("a name of nothing", head_of("", 1) + b"x"),
    ("control characters", head_of("state/\x1b[2J", 1) + b"x"),
    ("symlink", head_of("state/keys", kind=tarfile.SYMTYPE, link="/etc")),
    ("hard link", head_of("state/tokens.json", kind=tarfile.LNKTYPE, link="/etc/passwd")),
    ("device", head_of("state/tokens.json", kind=tarfile.CHRTYPE)),
    ("fifo", head_of("state/tokens.json", kind=tarfile.FIFOTYPE)),
    ("folder", head_of("state/keys", kind=tarfile.DIRTYPE)),
    ("a long name of 8 EiB", head_of("././@LongLink", 1 << 62, tarfile.GNUTYPE_LONGNAME)),
    ("a pax header of 1 TiB", head_of("pax", 1 << 40, tarfile.XHDTYPE)),
    ("sparse", head_of("state/tokens.json", 1 << 40, tarfile.GNUTYPE_SPARSE)),
    ("a file of 1 EiB that is not there", head_of("state/tokens.json", 1 << 60)),
    ("sums of 1 TiB", head_of("SHA256SUMS", 1 << 40)),
    ("a negative size", head_of("state/tokens.json", -1)),
    ("no tar", random.Random(3).randbytes(5000)),
    ("compressed", b"\x28\xb5\x2f\xfd" + bytes(5000)),
    ("a CAR with a header of 1 GiB", head_of("blocks/000001.car", 16) + b"\x80\x80\x80\x80\x04" + bytes(507)),
    ("nothing", b""),
    ("only its end", bytes(1024)),
]


@pytest.mark.parametrize("first", [True, False], ids=["at once", "after a true beginning"])
@pytest.mark.parametrize("body", [row[1] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
def test_a_hostile_archive(tmp_path: Path, body: bytes, first: bool) -> None:
    """Refused before anything is written outside of the folder being built, and with it gone."""
    begin = b"" if first else head_of(archive.FIRST, 3) + b"rim".ljust(512, b"\0")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BadArchive):
        unpacked(begin + body, tmp_path / "deep" / "restored")
    (tmp_path / "deep").rmdir()
    assert sorted(tmp_path.rglob("*")) == before


def test_the_same_name_twice_and_a_file_under_a_file(tmp_path: Path) -> None:
    """The second one would replace what was checked, or has no place."""
    data = some_origin(tmp_path / "state")
    end = data.index(head_of("x")[:0] + b"MANIFEST.json\0")
    for name in ("state/head", "state/head/x", "rim-backup"):
        twice = data[:end] + head_of(name, 0) + data[end:]
        with pytest.raises((BadArchive, OSError)):
            unpacked(twice, tmp_path / "restored")
        assert nothing_at(tmp_path / "restored")
    with pytest.raises(BadArchive, match="more where its end should be"):
        unpacked(data + data, tmp_path / "restored")
    unpacked(data + bytes(10_240), tmp_path / "restored")  # padded to whole tapes, as tar does


# -- folders


def test_only_an_empty_folder_is_taken(tmp_path: Path) -> None:
    """An origin's own, one in use, one with anything in it: as they were. The top of a fresh disk is empty."""
    data = some_origin(tmp_path / "state")
    with pytest.raises(BackupError, match="is an origin's state folder already"):
        unpacked(data, tmp_path / "state")
    with process(tmp_path / "busy") as running, pytest.raises(StateError, match=f"process {running.process.pid}"):
        unpacked(data, tmp_path / "busy")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter").write_text("dear")
    with pytest.raises(BackupError, match=r"not empty .*'letter'"):
        unpacked(data, tmp_path / "full")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["letter"]
    (tmp_path / "disk" / "lost+found").mkdir(parents=True)
    with pytest.raises(BadArchive):
        unpacked(data[:9000], tmp_path / "disk")
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["lost+found"]
    unpacked(data, tmp_path / "disk")
    assert sound(tmp_path / "disk")


def test_killed_at_every_step_of_a_restore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the last step the folder is no origin's, and says what to do; the same again makes it one. What somebody
    has put there meanwhile is not taken for ours."""
    data, folder = some_origin(tmp_path / "state"), tmp_path / "restored"
    folder.mkdir()
    with monkeypatch.context() as patch:
        shots = Shots(folder, tmp_path / "pictures", patch)
        unpacked(data, folder)
    assert {"restored blocks stored", "archive read", "restored part moved", "restored"} <= set(shots.names)
    for name, picture in shots.all():
        if name == "restored":
            assert sound(picture)
            assert not (picture / ".restoring").exists()
            continue
        with pytest.raises(StateError, match="was cut short: run `rim origin restore` again"), State(picture):
            raise AssertionError
        with pytest.raises(StateError):
            fsck(picture)
        (picture / "stranger").write_text("mine")
        with pytest.raises(BackupError, match="stranger"):
            unpacked(data, picture)
        (picture / "stranger").unlink()
        unpacked(data, picture)
        assert sound(picture)
    print(f"{len(shots.names)} crash points: {', '.join(dict.fromkeys(shots.names))}")


# -- the commands


def rim(*arguments: object, env: dict[str, str] | None = None, **more: Any) -> subprocess.CompletedProcess[Any]:
    return subprocess.run(
        [*RIM, "origin", *map(str, arguments)], env={**os.environ, **(env or {})}, capture_output=True, **more
    )


def test_the_commands(tmp_path: Path) -> None:
    """To a file and back; through a pipe; what they say; an old archive of that name is replaced when all is well."""
    state, file = tmp_path / "state", tmp_path / "archive.tar"
    some_origin(state)
    file.write_text("yesterday's")
    file.chmod(0o644)
    done = rim("backup", file, "--state", state, "--json", text=True)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["file"], said["sites"], said["size"]) == (str(file), 1, file.stat().st_size)
    assert file.stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.glob(".*"))
    again = rim("restore", file, "--state", tmp_path / "restored", "--json", text=True)
    assert again.returncode == 0, again.stderr
    told = json.loads(again.stdout)
    assert (told["before"], told["sites"][0]["live"]) == (said["sequence"], str(SECOND.cid))
    killed = rim("restore", file, "--state", tmp_path / "killed", env={"RIM_CRASH_AT": "9"})
    assert killed.returncode == CRASH_STATUS
    assert not (tmp_path / "killed" / "VERSION").exists()
    assert rim("restore", file, "--state", tmp_path / "killed").returncode == 0
    stream = rim("backup", "-", "--state", state)
    assert stream.returncode == 0
    piped = rim("restore", "-", "--state", tmp_path / "piped", input=stream.stdout)
    assert piped.returncode == 0
    assert str(SECOND.cid) in piped.stdout.decode()
    assert sound(tmp_path / "piped")


def test_what_the_commands_refuse(tmp_path: Path) -> None:
    """Exit codes and sentences; a failed backup leaves the old archive as it was."""
    state, file = tmp_path / "state", tmp_path / "archive.tar"
    file.write_bytes(some_origin(state))
    whole = file.read_bytes()

    def refused(code: int, words: str, *arguments: object) -> None:
        done = rim(*arguments, text=True)
        assert (done.returncode, words in done.stderr) == (code, True), done.stderr
        assert "Traceback" not in done.stderr

    refused(2, "is no file", "backup", tmp_path, "--state", state)
    refused(2, "--json", "backup", "-", "--json", "--state", state)
    refused(2, "inside the origin's own folder", "backup", state / "archive.tar", "--state", state)
    refused(1, "No such file", "backup", tmp_path / "no" / "where", "--state", state)
    refused(1, "is no state folder", "backup", file, "--state", tmp_path / "nothing")
    assert file.read_bytes() == whole
    refused(1, "No such file", "restore", tmp_path / "none.tar", "--state", tmp_path / "new")
    refused(2, "is a folder", "restore", tmp_path, "--state", tmp_path / "new")
    refused(3, "already", "restore", file, "--state", state)
    file.write_bytes(whole[:-5000])
    refused(3, "cut short", "restore", file, "--state", tmp_path / "new")
    assert nothing_at(tmp_path / "new")


def test_an_interrupted_backup_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C in the middle: exit 130. Killed: the next one takes away what is left, and not what another is writing."""
    state = tmp_path / "state"
    with origin(state) as client:
        client.publish("demo", make({f"{n}.bin": random.Random(n).randbytes(MiB) for n in range(24)}))
    out = tmp_path / "out"
    out.mkdir()
    for number, code in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        stopped = start_backup(out / "archive.tar", state)
        stopped.send_signal(number)
        stopped.send_signal(signal.SIGCONT)
        assert stopped.wait(20) == code
        assert [path.name for path in out.iterdir() if not path.name.startswith(".")] == []
        assert len(list(out.iterdir())) == (number == signal.SIGKILL)
    other = start_backup(out / "archive.tar", state)
    assert rim("backup", out / "archive.tar", "--state", state).returncode == 0
    assert len(list(out.iterdir())) == 2, "the archive, and the part of the one that is stopped"
    other.send_signal(signal.SIGCONT)
    assert other.wait(20) == 0
    assert [path.name for path in out.iterdir()] == ["archive.tar"]


def start_backup(file: Path, state: Path) -> subprocess.Popen[bytes]:
    """A backup that stands still in the middle: it has begun to write."""
    code = (
        "import os, signal, sys; from origin import archive; member = archive.Writer._member\n"
        "def stopping(self, name, *rest):\n"
        "    member(self, name, *rest)\n"
        "    name.startswith('blocks/') and self._cars == 1 and os.kill(os.getpid(), signal.SIGSTOP)\n"
        "archive.Writer._member = stopping\n"
        "from rim.cli import main; sys.argv = ['rim', *sys.argv[1:]]; main()"
    )
    command = [sys.executable, "-c", code, "origin", "backup", str(file), "--state", str(state)]
    started = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status = os.waitpid(started.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    return started


@dataclass
class Disk:
    folder: Path

    def fill(self, leave: int) -> None:
        free = os.statvfs(self.folder)
        size = free.f_bavail * free.f_frsize - leave
        (self.folder / "filler").write_bytes(bytes(size))

    def free(self) -> None:
        (self.folder / "filler").unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A file system of 32 MB."""
    with disks.small_disk(tmp_path / "small", "size=32m") as folder:
        yield Disk(folder)


def test_a_full_disk(disk: Disk, tmp_path: Path) -> None:
    """Backup and restore say that it is full, leave nothing, and work once there is room. A restore straight onto the
    mount works too: nobody could rename a folder to its place."""
    state, file = tmp_path / "state", disk.folder / "archive.tar"
    with origin(state) as client:
        client.publish("demo", make({f"{n}.bin": random.Random(n).randbytes(MiB) for n in range(10)}))
    disk.fill(5 * MiB)
    done = rim("backup", file, "--state", state, text=True)
    assert (done.returncode, "No space left" in done.stderr) == (1, True), done.stderr
    assert [path.name for path in disk.folder.iterdir()] == ["filler"]
    disk.free()
    assert rim("backup", file, "--state", state).returncode == 0
    whole = file.read_bytes()
    file.unlink()
    for room in (5 * MiB, 200_000):
        (disk.folder / "state").mkdir()
        disk.fill(room)
        done = rim("restore", "-", "--state", disk.folder / "state", input=whole)
        assert (done.returncode, b"disk is full" in done.stderr or b"No space left" in done.stderr) == (1, True), done
        assert list((disk.folder / "state").iterdir()) == []
        disk.free()
        (disk.folder / "state").rmdir()
    done = rim("restore", "-", "--state", disk.folder, input=whole)
    assert done.returncode == 0, done.stderr
    assert sound(disk.folder)


def test_memory_does_not_grow_with_the_bytes(tmp_path: Path) -> None:
    """An archive of 160 MiB is written and read in not much more memory than one of nothing."""

    def peak(*arguments: object) -> int:
        code = (
            "import resource, subprocess, sys\n"
            "code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode\n"
            "print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, *RIM, "origin", *map(str, arguments)], capture_output=True, text=True
        )
        status, kib = map(int, done.stdout.split())
        assert status == 0, done.stderr
        return kib * 1024

    peaks = {}
    for name, count in (("small", 1), ("large", 160)):
        state, file = tmp_path / name, tmp_path / f"{name}.tar"
        with origin(state) as client:
            for part in range(0, count, 16):
                files = {f"{n}.bin": random.Random(n).randbytes(MiB) for n in range(part, min(count, part + 16))}
                client.publish(f"site-{part}", make(files))
        peaks[name] = peak("backup", file, "--state", state), peak("restore", file, "--state", tmp_path / f"{name}-2")
    for small, large in zip(peaks["small"], peaks["large"], strict=True):
        assert large - small < 80 * MiB, peaks


def test_a_clock_that_stands_in_the_past(tmp_path: Path) -> None:
    """Sequences follow the clock: what it would sign is behind what edges have. A few minutes are no matter."""
    data = some_origin(tmp_path / "state")
    with pytest.raises(BackupError, match="set the clock"):
        unpacked(data, tmp_path / "restored", clock=lambda: time.time() - 3600)
    restored = unpacked(data, tmp_path / "restored", clock=lambda: time.time() - 60)
    assert restored.world.sequence > restored.before
