"""An upload and everything that may happen to it: a restart, a death, a full disk, a file that moves on."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from content.release import Rules
from rim import sending
from rim.build import Pieces, build
from rim.client import Origin as Client
from rim.exits import Failed
from rim.ignore import for_folder
from rim.memo import Memo
from rim.output import Advance, Bars
from rim.publisher import Job, Publisher
from rim.reading import Changed
from rim.scan import scan
from rim.sending import Sender
from tests.kit.nodes import Origin
from tests.rim.conftest import Shell, site_folder
from tests.rim.test_client import answer, server


def silent(total: int) -> Advance:
    return lambda count: None


def files(count: int = 60, size: int = 400_000) -> dict[str, bytes | str]:
    return {f"f{number}.bin": os.urandom(size) for number in range(count)}


def pieces_of(folder: Path, memo: Memo) -> Pieces:
    found = scan(str(folder), for_folder(folder), memo, silent)
    return Pieces(found, {}, build(found, {}, Rules()), memo)


def dying(tmp_path: Path, name: str, count: int) -> Origin:
    """An origin that dies at the count-th step of this name after it was ready."""
    log = tmp_path / "probe-steps"
    probe = Origin(tmp_path / "probe" / "state", env={"RIM_STEPS_LOG": str(log)})
    probe.start()
    before = len(log.read_text().splitlines())
    shell = Shell(tmp_path / "probe", {"RIM_ORIGIN": probe.url, "RIM_TOKEN": probe.token})
    shell.result("publish", site_folder(tmp_path / "probe-site", files()))
    probe.stop()
    names = log.read_text().splitlines()
    at = [number for number, step in enumerate(names, 1) if number > before and step == name][count - 1]
    return Origin(tmp_path / "origin" / "state", env={"RIM_CRASH_AT": str(at)})


def reborn(node: Origin) -> Origin:
    """The same origin, started once more and not to die."""
    again = Origin(node.state)
    again.command, again.url = node.command, node.url
    again.start()
    return again


@pytest.mark.parametrize(("name", "count"), [("blocks written", 1), ("blocks synced", 1), ("blocks written", 2)])
def test_an_origin_that_dies_and_comes_back(shell: Shell, tmp_path: Path, name: str, count: int) -> None:
    """Killed in the middle of an upload and started again, the origin gets the rest, and the publish ends well."""
    node = dying(tmp_path, name, count)
    node.start()
    shell.env = {"RIM_ORIGIN": node.url, "RIM_TOKEN": node.token}
    folder = site_folder(tmp_path / "site", files())
    process = node.process
    assert process is not None
    with ThreadPoolExecutor(1) as pool:
        back = pool.submit(lambda: reborn(node) if process.wait() == 137 else None)
        try:
            done = shell.rim("publish", folder, "--json")
        finally:
            node.stop()
            again = back.result()
        assert again is not None, "it was to die"
        try:
            assert done.returncode == 0, done.stderr
            assert shell.result("publish", folder)["unchanged"] is True
        finally:
            again.stop()


def test_an_origin_that_dies_for_good(shell: Shell, tmp_path: Path) -> None:
    """Killed in the middle of an upload and not seen again: exit code 1 after a bounded time; and the same command goes
    on with what had arrived once the origin is back."""
    node = dying(tmp_path, "blocks synced", 2)
    node.start()
    shell.env = {"RIM_ORIGIN": node.url, "RIM_TOKEN": node.token}
    folder = site_folder(tmp_path / "site", files())
    done = shell.rim("publish", folder, RIM_RETRY="0.5")
    assert (done.returncode, node.stop()) == (1, 137)
    assert "cannot be reached" in done.stderr
    assert "nothing is lost" in done.stderr
    again = reborn(node)
    try:
        assert shell.result("publish", folder)["blocks_sent"] < 55
    finally:
        again.stop()


class Fake:
    """An origin of a few lines that lacks every block and answers uploads as told."""

    def __init__(self, *uploads: tuple[int, dict[str, Any]]) -> None:
        self.uploads = list(uploads)
        self.asked = 0

    def __call__(self, request: BaseHTTPRequestHandler, number: int) -> None:
        if request.path.endswith("/missing") or "/missing?" in request.path:
            self.asked += 1
            count = int(request.headers["Content-Length"]) // 36
            answer(request, 200, json.dumps({"lease": "L", "missing": list(range(count)), "expires": 0}).encode())
        elif request.path.endswith("/blocks"):
            status, body = self.uploads.pop(0) if len(self.uploads) > 1 else self.uploads[0]
            answer(request, status, json.dumps(body).encode())
        else:
            answer(request, 404, b'{"error": "not_found", "message": "no such site"}')


def test_a_full_disk(shell: Shell, tmp_path: Path) -> None:
    """507 ends the publish with 1 and says whose disk."""
    fake = Fake((507, {"error": "disk_full", "message": "full"}))
    with server(fake) as url:
        done = shell.rim("publish", site_folder(tmp_path / "site"), RIM_ORIGIN=url, RIM_TOKEN="t")
    assert (done.returncode, done.stdout) == (1, "")
    assert "the origin disk is full" in done.stderr


def test_a_lost_lease_is_opened_again(tmp_path: Path, memo: Memo) -> None:
    """An origin that forgot the lease is asked again from the start; one that always does is a fault."""
    pieces = pieces_of(site_folder(tmp_path / "site"), memo)
    lost: tuple[int, dict[str, Any]] = (404, {"error": "no_lease", "message": "gone"})
    fake = Fake(lost, (200, {"blocks": 1, "bytes": 1}))
    with server(fake) as url, Client(url, "") as origin:
        assert Sender(origin, "s", pieces).send(silent).blocks == len(pieces.by_cid)
    assert fake.asked == 2
    with server(Fake(lost)) as url, Client(url, "") as origin, pytest.raises(Failed, match="lease"):
        Sender(origin, "s", pieces).send(silent)


def test_a_bad_block_is_a_file_that_changed(tmp_path: Path, memo: Memo) -> None:
    """When the origin finds that a block is not its CID, the file behind it is the one to read again."""
    folder = site_folder(tmp_path / "site")
    pieces = pieces_of(folder, memo)
    cid = next(cid for cid, piece in pieces.by_cid.items() if getattr(piece, "file", None))
    fake = Fake((422, {"error": "bad_block", "message": "no", "cid": str(cid)}))
    with server(fake) as url, Client(url, "") as origin, pytest.raises(Changed):
        Sender(origin, "s", pieces).send(silent)


def test_batches_are_bounded(tmp_path: Path, memo: Memo, monkeypatch: pytest.MonkeyPatch) -> None:
    """No CAR is over its bytes or blocks, none is empty, and together they are everything once."""
    pieces = pieces_of(site_folder(tmp_path / "site", files(20, 1000)), memo)
    monkeypatch.setattr(sending, "_BATCH_BLOCKS", 7)
    monkeypatch.setattr(sending, "_BATCH_BYTES", 5_000)
    sender = Sender(Client("http://127.0.0.1:1", ""), "s", pieces)
    batches = list(sender._batches(list(pieces.by_cid)))
    assert [cid for batch in batches for cid in batch] == list(pieces.by_cid)
    assert all(batch and len(batch) <= 7 for batch in batches)
    assert all(len(batch) == 1 or sum(map(pieces.length, batch)) <= 5_000 for batch in batches)
    for batch in batches:
        assert len(b"".join(sender._car(batch))) == sender._car_length(batch)


def test_a_file_that_changes_between_scan_and_sending(
    user: Shell, origin: Origin, tmp_path: Path, memo: Memo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is published as it is now, whole; one that changes again is exit code 1."""
    folder = site_folder(tmp_path / "moving")
    changes: list[bytes] = [b"second"]
    ask = Sender._ask

    def meddled(self: Sender, cids: Any) -> Any:
        if changes:
            (folder / "index.html").write_bytes(changes.pop())
        return ask(self, cids)

    monkeypatch.setattr(Sender, "_ask", meddled)
    with Client(origin.url, origin.token) as client:
        job = Job(folder, "moving", encode="none")
        Publisher(job, client, Bars(False), memo).publish()
        changes += [b"fourth", b"third"]
        (folder / "index.html").write_bytes(b"before")
        with pytest.raises(Failed, match=r"index\.html changed while it was read, twice"):
            Publisher(job, client, Bars(False), memo).publish()
        assert not changes
    monkeypatch.undo()
    assert user.result("publish", folder, "--encode", "none", "--dry-run")["changed"] == [
        {"path": "/index.html", "bytes": 6}
    ]
