"""The signed word for manifests: for which releases, when it is made again, and that nothing takes it back."""

from __future__ import annotations

import io
import random
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from content import manifest
from content.asking import drive
from content.catalog import Signed, Site
from content.cid import CID
from content.errors import BadRecord
from content.headerrule import HeaderRule
from content.headers import parse
from content.release import Release, Rules
from origin.backup import backup
from origin.log import By
from origin.restore import restore
from origin.signing import chosen
from tests.origin.play import Client, Made, make, origin, parts

OWN = "https://gateway.example"
WORKER = {"check": 60, "gateways": [OWN], "complete": True}


def version(number: int, worker: dict[str, Any] | None = WORKER) -> Made:
    """A release with one page, precached, and a service worker."""
    rules = Rules(precache={"paths": ["/index.html"], "bytes": 9}, worker=worker)
    return make({"index.html": b"page %d" % number, "other.js": b"x"}, rules=rules)


A, B, C = (version(number) for number in range(3))
PLAIN = version(9, worker=None)


def site(client: Client) -> Site:
    found: Site = parts(client).catalog.world.sites["demo"]
    return found


def signed(client: Client) -> tuple[Signed, ...]:
    """The site's words, each held against its key as an edge does."""
    store, found = parts(client).store, site(client)
    for word in found.signed:
        release = Release.from_block(store.get(word.release))
        listed, core = drive(manifest.made(found.name, word, release), store.get)
        assert [entry.path for entry in listed] == ["/index.html"]
        manifest.verify(found.ipns or "", core, word.signature)
    assert len({word.serial for word in found.signed}) <= 1
    return found.signed


def of(client: Client) -> list[CID]:
    return [word.release for word in signed(client)]


def serial(client: Client) -> int:
    return signed(client)[0].serial


def test_who_is_signed_for_and_when(tmp_path: Path) -> None:
    """Live, and what is rolled out, from the commit on that makes them so; each time under a higher serial, and with
    the clock's microseconds in it. Other commits leave the word as it is, bit for bit."""
    with origin(tmp_path / "state") as client:
        begun = time.time_ns() // 1_000
        client.publish("demo", A)
        assert of(client) == [A.cid]
        assert begun <= serial(client) <= time.time_ns() // 1_000
        kept = signed(client)
        client.ok("PATCH", "/api/v1/sites/demo", {"hosts": ["demo.test"], "settings": {"max_stale": 9}})
        client.ok("POST", "/api/v1/sites/demo/purge", {"all": True, "browsers": True})
        client.ok("PUT", "/api/v1/sites/demo/previews/pr-1", {"release": str(A.cid), "lease": None})
        assert signed(client) == kept
        serials = [serial(client)]
        deeds: list[tuple[str, str, dict[str, Any], list[CID]]] = [
            ("PUT", "rollout", {"release": "pr-2", "percent": 5}, [A.cid, B.cid]),
            ("DELETE", "rollout", {}, [A.cid]),
            ("PUT", "rollout", {"release": "pr-2", "percent": 5}, [A.cid, B.cid]),
        ]
        lease, missing = client.missing("demo", B.blocks)
        client.send(lease, missing)
        client.ok("PUT", "/api/v1/sites/demo/previews/pr-2", {"release": str(B.cid), "lease": lease})
        for method, path, body, releases in deeds:
            client.ok(method, f"/api/v1/sites/demo/{path}", body)
            assert of(client) == releases
            serials.append(serial(client))
        kept = signed(client)
        client.ok("PUT", "/api/v1/sites/demo/rollout", {"release": "pr-2", "percent": 50})
        assert signed(client) == kept  # a wider share is the same two releases
        client.publish("demo", B, A.cid)
        assert of(client) == [B.cid]
        client.ok("POST", "/api/v1/sites/demo/rollback", {})
        assert of(client) == [A.cid]
        serials.append(serial(client))
        client.publish("demo", PLAIN, A.cid)
        assert of(client) == []
        client.publish("demo", C, PLAIN.cid)
        serials.append(serial(client))
        assert serials == sorted(set(serials))


def test_a_site_without_a_worker_has_the_block_it_always_had(tmp_path: Path) -> None:
    """Nothing of it is written."""
    with origin(tmp_path / "state") as client:
        client.publish("demo", PLAIN)
        assert site(client).signed == ()
        assert b"signed" not in site(client).to_block().data


def test_the_switch(tmp_path: Path) -> None:
    """Off takes the word back, and neither a publish nor a rollback nor any setting gives it; on gives it again, under
    a serial above all that were. Both are lines of the log; the same again is none."""
    with origin(tmp_path / "state") as client:
        client.publish("demo", A)
        first = serial(client)
        off = client.ok("PUT", "/api/v1/sites/demo/worker", {"on": False, "author": "Ada", "message": "it throws"})
        assert off["worker"] == {"on": False, "live": True, "signed": []}
        assert site(client).signed == ()
        assert client.ok("PUT", "/api/v1/sites/demo/worker", {"on": False})["generation"] == off["generation"]
        client.publish("demo", B, A.cid)
        client.ok("POST", "/api/v1/sites/demo/rollback", {})
        client.ok("PUT", "/api/v1/sites/demo", {"settings": {"max_stale": 5}})
        client.ok("PATCH", "/api/v1/sites/demo", {"settings": {"worker": None}})
        assert dict(site(client).settings) == {"max_stale": 5, "worker": "off"}
        for wrong in ({"worker": "on"}, {"worker": True}):
            assert client.ask("PATCH", "/api/v1/sites/demo", {"settings": wrong}).status == 400
            assert client.stage("demo", C, A.cid, settings=wrong).status in (400, 409)
        assert site(client).signed == ()
        on = client.ok("PUT", "/api/v1/sites/demo/worker", {"on": True})
        assert (on["worker"]["on"], [row["release"] for row in on["worker"]["signed"]]) == (True, [str(A.cid)])
        assert serial(client) > first
        assert client.ok("GET", "/api/v1/sites/demo")["worker"] == on["worker"]
        told = [(row["action"], row["message"]) for row in client.ok("GET", "/api/v1/log")["entries"]]
        assert [row for row in told if row[0].startswith("worker")] == [("worker off", "it throws"), ("worker on", "")]
        for body in ({}, {"on": "yes"}, {"on": 1}):
            assert client.ask("PUT", "/api/v1/sites/demo/worker", body).status == 400
        assert client.ask("PUT", "/api/v1/sites/none/worker", {"on": True}).error == "no_site"
        weak = client.as_(client.make_token("purge"))
        assert weak.ask("PUT", "/api/v1/sites/demo/worker", {"on": False}).status == 403


def test_a_publish_that_wishes_otherwise_does_not_turn_the_switch(tmp_path: Path) -> None:
    """rim.toml's settings come with every publish; what they say of the worker is refused before anything has moved."""
    with origin(tmp_path / "state") as client:
        client.publish("demo", A, settings={"max_stale": 5})
        client.ok("PUT", "/api/v1/sites/demo/worker", {"on": False})
        lease, missing = client.missing("demo", B.blocks)
        client.send(lease, missing)
        assert client.stage("demo", B, A.cid, lease, settings={"worker": "on"}).error == "bad_request"
        staged = client.stage("demo", B, A.cid, lease, settings={"max_stale": 9, "worker": None})
        assert staged.status == 200
        body = {"release": str(B.cid), "expected": str(A.cid), "settings": {"max_stale": 9, "worker": None}}
        client.ok("POST", "/api/v1/sites/demo/activate", body)
        assert dict(site(client).settings) == {"max_stale": 9, "worker": "off"}


def test_gateways_of_edges_that_are_here(tmp_path: Path) -> None:
    """rim.toml's first, then theirs in order of name; what is no URL is not signed, nor one that has left."""
    with origin(tmp_path / "state") as client:
        for node, gateway in (("b", "https://b.example"), ("a", "https://a.example/"), ("c", "javascript:x"), ("d", 5)):
            client.ok("POST", "/api/v1/report", {"node": node, "sequence": 1, "gateway": gateway})
        client.ok("POST", "/api/v1/report", {"node": "e", "sequence": 1, "gateway": "https://e.example"})
        client.ok("POST", "/api/v1/report", {"node": "e", "sequence": 1, "leaving": True})
        client.publish("demo", A)
        assert signed(client)[0].gateways == (OWN, "https://a.example", "https://b.example")
        shown = {row["node"]: row["gateway"] for row in client.ok("GET", "/api/v1/edges")["edges"]}
        assert shown == {
            "a": "https://a.example/",
            "b": "https://b.example",
            "c": None,
            "d": None,
            "e": "https://e.example",
        }
    with origin(tmp_path / "state") as client:
        assert {row["gateway"] for row in client.ok("GET", "/api/v1/edges")["edges"]} == set(shown.values())


def test_no_more_gateways_than_a_browser_would_ask() -> None:
    """Eight, each once, the site's own before all."""
    edges = [f"https://{name}.example" for name in "zyxwvutsrq"]
    assert chosen([OWN, f"{OWN}/"], [*edges, OWN]) == (OWN, *sorted(edges)[:7])
    assert chosen([], ["https://" + "g" * 300]) == ()


def test_a_rotated_catalog_key_leaves_the_word(tmp_path: Path) -> None:
    """Sites have keys of their own."""
    with origin(tmp_path / "state") as client:
        client.publish("demo", A)
        kept = signed(client)
        client.ok("POST", "/api/v1/keys/rotate")
        assert signed(client) == kept


def test_a_site_made_again_goes_ahead(tmp_path: Path) -> None:
    """Removed and published anew under the same name and key: browsers that knew it take the new word."""
    with origin(tmp_path / "state") as client:
        client.publish("demo", B)
        before = serial(client)
        client.ok("DELETE", "/api/v1/sites/demo")
        client.publish("demo", A)
        assert serial(client) > before


def test_a_restored_origin_signs_ahead_of_what_was_lost(tmp_path: Path) -> None:
    """After the backup it went on, and browsers have seen that: the word for the release of the backup is made again,
    above every serial that can have been, by the same key."""
    here, there = tmp_path / "here", tmp_path / "there"
    archived = io.BytesIO()
    with origin(here) as client:
        client.publish("demo", A)
        backup(here, archived, lambda total: lambda count: None)
        client.publish("demo", B, A.cid)
        lost, name = serial(client), site(client).ipns
    archived.seek(0)
    restore(archived, there, By("Ada"))
    with origin(there) as client:
        assert of(client) == [A.cid]
        assert (serial(client) > lost, site(client).ipns) == (True, name)


def test_serials_go_on_where_the_clock_goes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also over a time without any word. A clock beyond what a script can count signs nothing, and refuses nothing."""
    with origin(tmp_path / "state") as client:
        client.publish("demo", A)
        before, signing = serial(client), parts(client).catalog.signing
        monkeypatch.setattr(signing, "_clock", lambda: 1.0)
        client.ok("PUT", "/api/v1/sites/demo/worker", {"on": False})
        client.ok("PUT", "/api/v1/sites/demo/worker", {"on": True})
        assert serial(client) > before
        monkeypatch.setattr(signing, "_clock", lambda: 2**53 / 1e6)
        client.publish("demo", B, A.cid)
        assert (site(client).signed, client.live("demo")) == ((), str(B.cid))


def test_a_forged_word_does_not_verify(tmp_path: Path) -> None:
    """Any other serial, gateway or release is another text."""
    with origin(tmp_path / "state") as client:
        client.publish("demo", A)
        client.publish("demo", B, A.cid)
        (word,), store, found = signed(client), parts(client).store, site(client)
        forged = [
            replace(word, serial=word.serial + 1),
            replace(word, gateways=("https://evil.example",)),
            replace(word, release=A.cid),
            replace(word, signature=random.Random(1).randbytes(64)),
        ]
        for other in forged:
            release = Release.from_block(store.get(other.release))
            core = drive(manifest.made("demo", other, release), store.get)[1]
            with pytest.raises(BadRecord):
                manifest.verify(found.ipns or "", core, other.signature)


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        (Rules(worker={"check": "soon"}), "bad_release"),
        (Rules(worker={"gateways": ["javascript:x"]}), "bad_release"),
        (Rules(precache={"paths": ["no path"]}), "bad_release"),
        (Rules(precache={"paths": [f"/{n}" for n in range(1_001)]}), "bad_release"),
    ],
)
def test_a_release_that_no_worker_is_served_by_is_refused(tmp_path: Path, rules: Rules, code: str) -> None:
    with origin(tmp_path / "state") as client:
        made = make({"index.html": b"x"}, rules=rules)
        lease, missing = client.missing("demo", made.blocks)
        client.send(lease, missing)
        assert client.stage("demo", made, None, lease).error == code


def test_a_release_whose_manifest_would_be_too_long_is_refused(tmp_path: Path) -> None:
    """Said to who publishes it, while it can be mended; and nobody signs, or makes again and again, 64 MB of JSON."""
    text = "/*\n" + "".join(f"  X-{number}: {'v' * 1_900}\n" for number in range(30))
    files = {f"{number}.js": b"%d" % number for number in range(100)}
    headers = [rule.to_value() for rule in parse(text)[0]]
    rules = Rules(headers=headers, precache={"paths": sorted(f"/{path}" for path in files)}, worker=WORKER)
    with origin(tmp_path / "state") as client:
        made = make(files, rules=rules)
        lease, missing = client.missing("demo", made.blocks)
        client.send(lease, missing)
        refused = client.stage("demo", made, None, lease)
        assert (refused.status, refused.error) == (422, "bad_release")
        made = make(files, rules=replace(rules, worker=None))
        lease, missing = client.missing("demo", made.blocks)
        client.send(lease, missing)
        assert client.stage("demo", made, None, lease).status == 200


def test_a_manifest_that_cannot_be_made_refuses_no_commit(tmp_path: Path) -> None:
    """A release that a version with another grammar let in: it is live without a worker, and the log says why."""
    with origin(tmp_path / "state") as client:
        client.publish("demo", A)
        known = parts(client).catalog.signing._known
        client.publish("demo", B, A.cid)
        release = replace(A.release, rules=replace(A.release.rules, headers=[HeaderRule("no source", ()).to_value()]))
        parts(client).store.put([release.to_block()])
        known.clear()
        item = replace(site(client).retained[1], release=release.to_block().cid)
        kept = (site(client).retained[0], item)
        parts(client).catalog.world.sites["demo"] = replace(site(client), retained=kept)
        client.ok("POST", "/api/v1/sites/demo/rollback", {})
        assert (site(client).signed, client.live("demo")) == ((), str(item.release))
