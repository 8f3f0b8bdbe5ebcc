"""Denials at the origin: what words mean, what is committed, who may, what is refused, and lists as files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from content import tree
from content.cid import CID, DAG_CBOR, DAG_PB, RAW, base58
from content.walk import drive
from origin import denials, world
from origin.errors import StateError
from origin.reading import source
from tests.origin.play import Client, Made, make, origin, parts

TEXT, CODED = b"what is denied " * 20, b"what is denied, in brotli, say"
FILES = {
    "index.html": b"<title>home</title>",
    "bad.txt": TEXT,
    "a/index.html": b"<title>a</title>",
    "about.html": b"<title>about</title>",
    "a/good.txt": b"nobody minds this",
}
BAD, BR = CID.of(RAW, TEXT), CID.of(RAW, CODED)


def v0(cid: CID) -> str:
    """The one text of a block's rule."""
    return f"/ipfs/{base58(cid.multihash)}"


def of(name: str) -> list[str]:
    """The rule of a file without encodings."""
    return [v0(CID.of(RAW, FILES[name]))]


def release(**more: bytes) -> Made:
    files = {**FILES, **{name.replace("__", "."): data for name, data in more.items()}}
    return make(files, links={"link.txt": "bad.txt", "a/up.txt": "../bad.txt"}, encoded={"bad.txt": CODED})


def deny(client: Client, what: str, **more: Any) -> Any:
    return client.ok("POST", "/api/v1/deny", {"what": what, **more})


def allow(client: Client, what: str, **more: Any) -> Any:
    return client.ok("POST", "/api/v1/allow", {"what": what, **more})


def rules(client: Client) -> list[str]:
    return sorted(row["rule"] for row in client.ok("GET", "/api/v1/denied")["rules"])


class Words(NamedTuple):
    what: Callable[[Made], str]
    rules: Callable[[Made], list[str]]
    recursive: bool = False


KEY = CID(bytes((1, 0x72, 0, 36)) + b"\x08\x01\x12\x20" + bytes(range(32)))
FILE = [v0(BAD), v0(BR)]
WORDS = {
    "a CID": Words(lambda made: str(BAD), lambda made: FILE),
    "a CIDv0": Words(lambda made: base58(BAD.multihash), lambda made: FILE),
    "another codec": Words(lambda made: str(CID.of_digest(DAG_PB, BAD.digest)), lambda made: FILE),
    "a path": Words(
        lambda made: f"/ipfs/{made.release.root}/bad.txt", lambda made: [v0(made.release.root) + "/bad.txt"]
    ),
    "recursive": Words(
        lambda made: f"/ipfs/{made.release.root}", lambda made: [v0(made.release.root) + "/*"], recursive=True
    ),
    "recursive, a path": Words(
        lambda made: f"/ipfs/{made.release.root}/a", lambda made: [v0(made.release.root) + "/a*"], recursive=True
    ),
    "ipfs://": Words(lambda made: f"ipfs://{made.release.root}/a/*", lambda made: [v0(made.release.root) + "/a*"]),
    "ipns://": Words(lambda made: "ipns://Domain.example/", lambda made: ["/ipns/domain.example"]),
    "a key": Words(lambda made: f"/ipns/{KEY}", lambda made: [f"/ipns/{KEY.base36()}"]),
    "a double hash": Words(lambda made: "//" + "ab" * 32, lambda made: ["//" + "ab" * 32], recursive=True),
    "the URL of a file": Words(lambda made: "http://demo.localhost:8080/bad.txt?x#y", lambda made: FILE),
    "of a site's host": Words(lambda made: "https://www.example/bad.txt", lambda made: FILE),
    "of a link": Words(lambda made: "https://www.example/a/up.txt", lambda made: FILE),
    "of a folder": Words(lambda made: "https://www.example/a/", lambda made: of("a/index.html")),
    "of a folder, bare": Words(lambda made: "https://www.example/a", lambda made: of("a/index.html")),
    "of a page": Words(lambda made: "https://www.example/about", lambda made: of("about.html")),
    "of the first page": Words(lambda made: "https://www.example", lambda made: of("index.html")),
}


def test_words_and_their_rules(tmp_path: Path) -> None:
    """Each way to say what is denied, the rules that it becomes, and that the same words take them back."""
    made = release()
    with origin(tmp_path / "state") as client:
        client.publish("demo", made)
        client.ok("PATCH", "/api/v1/sites/demo", {"hosts": ["www.example"]})
        for name, case in WORDS.items():
            told = deny(client, case.what(made), recursive=case.recursive)
            assert told["rules"] == case.rules(made), name
            assert rules(client) == sorted(case.rules(made)), name
            took = allow(client, case.what(made))
            assert (sorted(took["removed"]), took["still"]) == (sorted(case.rules(made)), []), name
            assert rules(client) == []


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({"what": "hello"}, 400, "bad_request"),
        ({"what": "/ipfs/hello"}, 400, "bad_request"),
        ({"what": "!/ipfs/" + str(BAD)}, 400, "bad_request"),
        ({}, 400, "bad_request"),
        ({"what": str(BAD), "status": 404}, 400, "bad_request"),
        ({"what": str(BAD), "status": "451"}, 400, "bad_request"),
        ({"what": str(BAD), "reason": 7}, 400, "bad_request"),
        ({"what": str(BAD), "reason": "x" * 1001}, 400, "bad_request"),
        ({"what": "https://nobody.example/"}, 404, "no_site"),
        ({"what": "https://demo.localhost/nothing"}, 404, "no_path"),
    ],
)
def test_words_that_mean_nothing(tmp_path: Path, body: dict[str, Any], status: int, error: str) -> None:
    """Refused, with nothing committed."""
    with origin(tmp_path / "state") as client:
        client.publish("demo", release())
        before = client.ok("GET", "/api/v1/status")["sequence"]
        answer = client.ask("POST", "/api/v1/deny", body)
        assert (answer.status, answer.error) == (status, error)
        assert client.ok("GET", "/api/v1/status")["sequence"] == before


def test_who_may(tmp_path: Path) -> None:
    """Scope admin for all sites, for the list too; a publisher, a node and nobody may not."""
    with origin(tmp_path / "state") as client:
        others = [client.make_token("publish", "purge", "pin", sites="*"), client.make_token("edge", sites="*")]
        others.append(client.make_token("admin", sites=["demo"]))
        for token in others:
            for method, path in (("POST", "deny"), ("POST", "allow"), ("GET", "denied")):
                body = None if method == "GET" else {"what": str(BAD)}
                assert client.as_(token).ask(method, f"/api/v1/{path}", body).status == 403
        assert client.as_(None).get("/api/v1/denied").status == 401


def test_a_commit_of_its_own_with_its_line(tmp_path: Path) -> None:
    """A sequence and a line of the log; the same again is no commit; another reason is one; a restart keeps all."""
    with origin(tmp_path / "state") as client:
        client.publish("demo", release())
        first = deny(client, str(BAD), status=451, reason="a court", author="me", message="claim 17")["sequence"]
        assert deny(client, str(BAD), status=451, reason="a court")["sequence"] == first
        second = deny(client, v0(BAD), status=410, reason="another")["sequence"]
        assert second > first
        (line,) = [row for row in client.ok("GET", "/api/v1/log")["entries"] if row["sequence"] == first]
        assert (line["action"], line["author"], line["message"]) == ("deny", "me", "claim 17")
        assert line["detail"] == {"rule": v0(BAD), "status": 451, "reason": "a court", "asked": str(BAD)}
        client.ok("POST", "/api/v1/gc")
        kept = parts(client).catalog.world.denied
    with origin(tmp_path / "state") as client:
        assert parts(client).catalog.world.denied == kept
        assert [row.reason for row in kept.values()] == ["another", "another"]
        denied = parts(client).catalog.world.catalog.denied
        assert len(drive(tree.rows(denied), source(parts(client).store))) == 2
        assert client.get(f"/ipfs/{BAD}?format=raw").status == 410
        third = allow(client, str(BAD))
        assert sorted(third["removed"]) == sorted(FILE)
        assert allow(client, str(BAD)) == {**third, "removed": []}, "nothing to take back, and no commit"
        assert parts(client).catalog.world.catalog.denied == tree.EMPTY.cid
        assert client.get(f"/ipfs/{BAD}?format=raw").body == TEXT


def test_words_that_lead_elsewhere_by_now(tmp_path: Path) -> None:
    """A URL whose file is another one, or gone: what was denied by these words is what is allowed again."""
    with origin(tmp_path / "state") as client:
        made = release()
        client.publish("demo", made)
        deny(client, "https://demo.localhost/bad.txt")
        other = make({"index.html": b"<title>new</title>"})
        client.publish("demo", other, made.cid)
        assert sorted(allow(client, "https://demo.localhost/bad.txt")["removed"]) == sorted(FILE)


def test_the_gateway_refuses(tmp_path: Path) -> None:
    """To anybody and to nodes: the block under every codec, its encoding, a path that leads there, a CAR. What goes to
    nodes as control blocks goes on, and what is not denied too. The reason is told, and that it is denied."""
    made = release()
    with origin(tmp_path / "state") as client:
        client.publish("demo", made)
        node = client.as_(client.make_token("edge", sites="*"))
        deny(client, str(BAD), status=451, reason="a court")
        for cid in (
            BAD,
            BR,
            CID(BAD.multihash),
            CID.of_digest(DAG_PB, BAD.digest),
            CID.of_digest(DAG_CBOR, BAD.digest),
        ):
            answer = node.get(f"/ipfs/{cid}?format=raw")
            assert (answer.status, answer.error, answer.headers["rim-reason"]) == (451, "denied", "denied"), cid
            assert answer.headers["cache-control"] == "no-store"
        assert "a court" in answer.json["message"]
        assert client.as_(None).get(f"/ipfs/{BAD}?format=raw").status == 451
        assert client.as_(None).get(f"/ipfs/{made.release.root}/bad.txt?format=raw").status == 451
        assert client.as_(None).get(f"/ipfs/{made.release.root}/a/good.txt?format=raw").status == 200
        assert node.get(f"/ipfs/{made.release.index}?format=raw").status == 200
        assert node.get(f"/ipfs/{made.cid}?format=raw").status == 200
        allow(client, str(BAD))
        deny(client, f"/ipfs/{made.release.root}/a*")
        assert client.as_(None).get(f"/ipfs/{made.release.root}/a/good.txt?format=raw").status == 410
        assert client.as_(None).get(f"/ipfs/{made.release.root}/bad.txt?format=raw").status == 200


PUBLISHED = {
    "a file": lambda made: str(BAD),
    "an encoding": lambda made: str(BR),
    "the Root": lambda made: str(made.release.root),
    "a path of the Root": lambda made: f"/ipfs/{made.release.root}/bad.txt",
}


@pytest.mark.parametrize("what", PUBLISHED.values(), ids=PUBLISHED)
def test_a_publish_of_what_is_denied(tmp_path: Path, what: Callable[[Made], str]) -> None:
    """Refused before commit 1, the path named; the live release that has it too is no excuse. Allowed, it is taken."""
    made = release()
    with origin(tmp_path / "state") as client:
        client.publish("demo", made)
        deny(client, what(made), reason="a court")
        for site, again, expected in (("other", made, None), ("demo", release(new__txt=b"new"), made.cid)):
            if site == "demo" and what(made) in (str(made.release.root), f"/ipfs/{made.release.root}/bad.txt"):
                continue  # another Root, of which nothing is said
            lease, lacking = client.missing(site, again.blocks)
            if lacking:
                client.send(lease, lacking)
            answer = client.stage(site, again, expected, lease)
            assert (answer.status, answer.error) == (422, "denied"), answer
            assert "a court" in answer.json["message"]
            assert what(made) == str(made.release.root) or answer.json["path"] == "/bad.txt"
        clean = make({"index.html": b"<title>clean</title>"})
        client.publish("clean", clean)
        client.publish("clean", make({"index.html": b"<title>clean</title>", "b.txt": b"b"}), clean.cid)
        allow(client, what(made))
        client.publish("other", made)


def test_a_clean_release_is_not_looked_through_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is live and known to be clean is compared with; another list, and all of it is looked at again."""
    with origin(tmp_path / "state") as client:
        first = release()
        client.publish("demo", first)
        deny(client, str(CID.of(RAW, b"elsewhere")))
        walked: list[CID] = []
        rows = tree.rows

        def counted(root: CID, prefix: str = "") -> Any:
            walked.append(root)
            return rows(root, prefix)

        monkeypatch.setattr(denials.tree, "rows", counted)
        second, third = release(b__txt=b"b"), release(c__txt=b"c")
        client.publish("demo", second, first.cid)
        client.publish("demo", third, second.cid)
        assert walked.count(second.release.index) == 1
        assert third.release.index not in walked
        deny(client, str(CID.of(RAW, b"elsewhere too")))
        client.publish("demo", release(d__txt=b"d"), third.cid)
        assert len(walked) > 1


def test_number_of_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Catalog's own list is at every node with the Head: at its limit (10,000; here 2) one more is refused, and
    what is there can still be taken away."""
    monkeypatch.setattr(world, "DENIED_ROWS", 2)
    with origin(tmp_path / "state") as client:
        deny(client, "/ipns/a.example")
        deny(client, "/ipns/b.example")
        answer = client.ask("POST", "/api/v1/deny", {"what": "/ipns/c.example"})
        assert answer.status == 422
        assert "rules of the catalog" in answer.json["message"]
        deny(client, "/ipns/b.example", reason="said anew")
        allow(client, "/ipns/a.example")
        deny(client, "/ipns/c.example")
        assert rules(client) == ["/ipns/b.example", "/ipns/c.example"]


def test_a_rule_past_its_length_fails_alone(tmp_path: Path) -> None:
    """A path that the tree could not hold (1,024 bytes with all of the rule): refused, and the Catalog goes on."""
    at_limit = 1024 - len(v0(BAD)) - 1
    with origin(tmp_path / "state") as client:
        deny(client, f"/ipfs/{BAD}/" + "x" * at_limit)
        answer = client.ask("POST", "/api/v1/deny", {"what": f"/ipfs/{BAD}/" + "x" * (at_limit + 1)})
        assert (answer.status, answer.error) == (422, "limit_exceeded")
        deny(client, str(BAD))


def test_the_record_of_a_denied_name(tmp_path: Path) -> None:
    """A site's key: its record is refused under each spelling; the catalog's own never is, or no edge would hear."""
    with origin(tmp_path / "state") as client:
        client.publish("demo", release())
        name, catalog = client.ok("GET", "/api/v1/sites/demo")["ipns"], client.ok("GET", "/api/v1/status")["catalog"]
        assert client.get(f"/ipns/{name}?format=ipns-record").status == 200
        deny(client, f"/ipns/{name}", status=451)
        deny(client, f"/ipns/{catalog}")
        for text in (name, str(CID.parse(name))):
            assert client.get(f"/ipns/{text}?format=ipns-record").status == 451
        record = {"Accept": "application/vnd.ipfs.ipns-record"}
        assert client.ask("GET", f"/routing/v1/ipns/{name}", headers=record).status == 451
        assert client.get(f"/ipns/{catalog}?format=ipns-record").status == 200
        allow(client, f"/ipns/{name}")
        assert client.get(f"/ipns/{name}?format=ipns-record").status == 200


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_lists_as_files(tmp_path: Path) -> None:
    """Denied from the start; read again when it has changed; gone, empty or broken, the last good one holds. What the
    operator allows always overrules it."""
    path = write(tmp_path / "mine.deny", f"/ipfs/{BAD}", "nonsense")
    with origin(tmp_path / "state", denylists=(path,)) as client:
        made = release()
        lease, lacking = client.missing("demo", made.blocks)
        client.send(lease, lacking)
        assert client.stage("demo", made, None, lease).error == "denied"
        told = client.ok("GET", "/api/v1/denied")
        assert told["lists"] == [{"name": "mine.deny", "rules": 1}, {"name": "catalog", "rules": 0}]
        took = allow(client, str(BAD))
        assert (took["removed"], took["still"]) == ([], ["mine.deny"])
        took = allow(client, str(BAD), always=True)
        assert (took["added"], took["still"]) == (["!" + v0(BAD)], [])
        client.publish("demo", made)
        assert client.get(f"/ipfs/{BAD}?format=raw").status == 200
        deny(client, str(BAD))
        assert rules(client) == sorted(FILE)
        allow(client, str(BAD))
        assert client.get(f"/ipfs/{BAD}?format=raw").status == 410

        ours = parts(client).denials
        for step in (path.unlink, lambda: write(path), lambda: write(path, "version: 7", "---")):
            step()
            ours.look()
            assert client.get(f"/ipfs/{BAD}?format=raw").status == 410
        write(path, f"/ipfs/{BR}")
        ours.look()
        assert client.get(f"/ipfs/{BAD}?format=raw").status == 200
        assert client.get(f"/ipfs/{BR}?format=raw").status == 410
        seen = ours._files[0].list
        os.utime(path)
        ours.look()
        assert ours._files[0].list is not seen, "a file that was written anew is read anew"


def test_an_origin_does_not_start_without_its_list(tmp_path: Path) -> None:
    with (
        pytest.raises(StateError, match=r"denylist .*mine\.deny: No such file"),
        origin(tmp_path / "state", denylists=(tmp_path / "mine.deny",)),
    ):
        pass
