"""The log: one line for every commit, durable before the Head, chained, and read by who may."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from origin.fsck import fsck
from origin.log import By, Entry, Log, broken
from tests.origin.play import Client, make, origin, parts, site_files

FIRST = make(site_files("one"), author="Ada", message="the first")
SECOND = make(site_files("two"), author="Ada", message="the second")


def entries(client: Client, query: str = "") -> list[dict[str, Any]]:
    return list(client.ok("GET", f"/api/v1/log{query}")["entries"])


def test_every_commit_is_one_line_with_who_and_why(tmp_path: Path) -> None:
    """Publish, roll back, purge, configure, rotate, remove: in order, with detail; what changed nothing has no line."""
    with origin(tmp_path / "state") as client:
        client.publish("demo", FIRST)
        sequence = client.publish("demo", SECOND, FIRST.cid)
        assert client.activate("demo", SECOND, SECOND.cid).status == 200  # the same again
        client.ok("POST", "/api/v1/sites/demo/rollback", {"author": "Bo", "message": "it was broken"})
        client.ok("POST", "/api/v1/sites/demo/purge", {"paths": ["/a"], "tags": ["t"]})
        client.ok("PUT", "/api/v1/sites/demo", {"hosts": ["demo.test"], "settings": {"max_stale": 60}})
        client.ok("PUT", "/api/v1/sites/demo", {"hosts": ["demo.test"], "settings": {"max_stale": 60}})
        assert client.ask("PUT", "/api/v1/sites/other", {"hosts": ["demo.test"]}).error == "host_taken"
        old = client.ok("GET", "/api/v1/keys")["catalog"]
        new = client.ok("POST", "/api/v1/keys/rotate", {"author": "Cy"})["catalog"]
        client.ok("DELETE", "/api/v1/sites/demo")
        rows = entries(client)
        assert [(row["action"], row["author"], row["message"]) for row in rows] == [
            ("begin", "", ""),
            ("stage", "Ada", "the first"),
            ("activate", "Ada", "the first"),
            ("stage", "Ada", "the second"),
            ("activate", "Ada", "the second"),
            ("rollback", "Bo", "it was broken"),
            ("purge", "", ""),
            ("configure", "", ""),
            ("rotate", "Cy", ""),
            ("adopt", "", ""),
            ("remove", "", ""),
        ]
        assert rows[4]["sequence"] == sequence
        assert rows[4]["detail"] == {"release": str(SECOND.cid), "previous": str(FIRST.cid)}
        assert rows[5]["detail"] == {"release": str(FIRST.cid), "previous": str(SECOND.cid)}
        assert rows[6]["detail"] == {"floors": [["path", "/a"], ["tag", "t"]], "generation": 6}
        assert rows[7]["detail"] == {"hosts": ["demo.test"], "settings": ["max_stale"]}
        assert rows[8]["detail"] == {"catalog": new, "previous": old}
        assert {row["token"] for row in rows} == {"", "first admin token"}
        assert [row["sequence"] for row in rows] == sorted({row["sequence"] for row in rows})
        assert rows[-1]["sequence"] == client.ok("GET", "/api/v1/status")["sequence"]
    assert fsck(tmp_path / "state", lambda line: None) == 0


def test_pages_and_who_sees_what(tmp_path: Path) -> None:
    """The newest so many; from a sequence on the first so many; a token for a site sees that site's lines."""
    with origin(tmp_path / "state") as client:
        for number in range(300):  # more than one chunk of the file
            client.ok("PUT", f"/api/v1/sites/s{number % 3}", {"settings": {"n": number, "x" * 200: "y"}})
        rows = entries(client, "?limit=1000")
        assert len(rows) == 301
        assert entries(client, "?limit=7") == rows[-7:]
        seen, since = [], 0
        while page := entries(client, f"?since={since}&limit=40"):
            assert len(page) <= 40
            seen += page
            since = page[-1]["sequence"]
        assert seen == rows
        assert entries(client, "?site=s1&limit=5") == [row for row in rows if row["site"] == "s1"][-5:]
        mine = client.as_(client.make_token("publish", sites=["s2"]))
        assert entries(mine, "?limit=1000") == [row for row in rows if row["site"] == "s2"]
        assert mine.get("/api/v1/log?site=s1").status == 403
        assert client.as_(None).get("/api/v1/log").status == 401


def test_a_line_taken_out_or_changed_is_seen(tmp_path: Path) -> None:
    """A line removed from the middle, one changed, the end cut off: fsck names each."""
    state = tmp_path / "state"
    with origin(state) as client:
        client.publish("demo", FIRST)
        client.ok("POST", "/api/v1/sites/demo/purge", {"all": True})
    path = state / "log.jsonl"
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    said: list[str] = []
    for damaged, what in (
        (b"".join(lines[:1] + lines[2:]), "log.jsonl, line 2: the line before it is not the one"),
        (whole.replace(b'"Ada"', b'"Bob"', 1), "log.jsonl, line 3: the line before it is not the one"),
        (b"".join(lines[:-1]), "its last lines were taken out"),
    ):
        path.write_bytes(damaged)
        said.clear()
        assert fsck(state, said.append) == 1
        assert any(what in line for line in said), said
    path.write_bytes(whole)
    assert fsck(state, said.append) == 0


@pytest.mark.parametrize("torn", [b"{", b'{"sequence":99,"time":1}', b"\0" * 70_000, b"x\ny\n"])
def test_a_start_cuts_what_was_never_acknowledged(tmp_path: Path, torn: bytes) -> None:
    """A torn tail, and lines above the Head, go; the chain goes on from the last acknowledged one."""
    path = tmp_path / "log.jsonl"
    log = Log(path, 10, 1.0)
    log.append([Entry("a", "x"), Entry("b", "y", {"k": "\udc80"}, By("me", "why", "t"))], 11, 2.0)
    kept = path.read_bytes()
    log.append([Entry("c", "z")], 12, 3.0)
    with open(path, "ab") as file:
        file.write(torn)
    again = Log(path, 11, 4.0)
    assert path.read_bytes() == kept
    again.append([Entry("c", "z")], 12, 3.0)
    assert list(broken(path, 12)) == []
    assert [row["site"] for row in again.read(lambda row: True, 12, 10)] == ["", "a", "b", "c"]
    assert again.read(lambda row: True, 12, 1, since=10) == again.read(lambda row: row["sequence"] == 11, 12, 9)
    again.take_back()
    assert path.read_bytes() == kept


def test_a_full_disk_leaves_no_line_of_a_commit_that_was_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Head cannot be replaced: its line is taken back, and the next commit's stands in its place."""
    from origin import catalog
    from origin.errors import StoreFull

    def full(*_: object, **__: object) -> None:
        raise StoreFull("full")

    with origin(tmp_path / "state") as client:
        client.ok("PUT", "/api/v1/sites/a", {})
        with monkeypatch.context() as patched:
            patched.setattr(catalog, "replace_file", full)
            assert client.ask("PUT", "/api/v1/sites/b", {}).status == 507
        assert [row["site"] for row in entries(client)] == ["", "a"]
        client.ok("PUT", "/api/v1/sites/c", {})
        assert [row["site"] for row in entries(client)] == ["", "a", "c"]
        rows = [json.loads(line) for line in (tmp_path / "state" / "log.jsonl").read_text().splitlines()]
        assert rows[-1]["sequence"] == parts(client).catalog.world.sequence
    assert fsck(tmp_path / "state", lambda line: None) == 0
