"""Who may do what at the origin: tokens, scopes, quotas, and which blocks are anyone's."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from content.cid import CID, DAG_PB, RAW
from origin.app import ROUTES
from origin.config import OriginConfig
from tests.origin.play import CAR, make, origin, parts, site_files


def test_no_api_route_answers_without_a_token_or_with_a_wrong_one(tmp_path: Path) -> None:
    """Every route of the table, asked with nothing, with rubbish, with a stranger's token."""
    with origin(tmp_path / "state") as client:
        for method, path, _ in ROUTES:
            if not path.startswith("/api/"):
                continue
            filled = path.format(name="demo", id="0" * 24, cid=CID.of(RAW, b"x"), alias="pr")
            for token, word in ((None, "no_token"), ("rim_stranger", "unknown_token"), ("", "no_token")):
                answer = client.as_(token).ask(method, filled, b"")
                assert (answer.status, answer.error) == (401, word), (method, path, token)
                assert answer.headers["www-authenticate"].startswith("Bearer")
        basic = client.as_(None).ask("GET", "/api/v1/sites", headers={"Authorization": "Basic YTpi"})
        assert basic.status == 401


def test_secrets_are_kept_as_hashes_and_nobody_else_reads_the_files(tmp_path: Path) -> None:
    """tokens.json, keys and the first token's file are 0600; secrets stand in none but the last."""
    state = tmp_path / "state"
    with origin(state) as client:
        secret = client.make_token("publish")
        client.ok("PUT", "/api/v1/sites/demo", {})
        assert client.as_(secret).get("/api/v1/sites").status == 200
        assert client.token is not None
        for path in state.rglob("*"):
            if path.is_file():
                assert path.stat().st_mode & 0o077 == 0, path
                assert secret.encode() not in path.read_bytes()
                assert path.name == "admin-token" or client.token.encode() not in path.read_bytes()
            else:
                assert path.stat().st_mode & 0o077 == 0, path
        assert secret not in str(client.ok("GET", "/api/v1/tokens"))


def test_a_token_ends_when_it_expires_or_is_revoked(tmp_path: Path) -> None:
    """Both are 401 with a word of their own; a restart forgets neither."""
    state = tmp_path / "state"
    with origin(state) as client:
        expired = client.as_(client.make_token("publish", expires=int(time.time()) - 1))
        made = client.ok("POST", "/api/v1/tokens", {"name": "r", "scopes": ["publish"]})
        revoked = client.as_(made["token"])
        kept = client.as_(client.make_token("edge", expires=int(time.time()) + 600))
        assert revoked.get("/api/v1/sites").status == 200
        client.ok("DELETE", f"/api/v1/tokens/{made['id']}")
        assert client.ask("DELETE", f"/api/v1/tokens/{made['id']}").status == 404
    with origin(state) as client:
        for old, word in ((expired, "expired_token"), (revoked, "unknown_token")):
            answer = client.as_(old.token).get("/api/v1/sites")
            assert (answer.status, answer.error) == (401, word)
        assert client.as_(kept.token).get("/api/v1/sites").status == 200


def test_the_first_token_is_made_once(tmp_path: Path) -> None:
    """A restart shows none and changes none."""
    state = tmp_path / "state"
    with origin(state) as client:
        assert parts(client).first_token == client.token
    with origin(state) as client:
        assert parts(client).first_token is None
        assert len(client.ok("GET", "/api/v1/tokens")["tokens"]) == 1


@pytest.mark.parametrize(
    ("scope", "method", "path"),
    [
        ("publish", "PUT", "/api/v1/sites/demo"),
        ("publish", "PATCH", "/api/v1/sites/demo"),
        ("publish", "DELETE", "/api/v1/sites/demo"),
        ("publish", "POST", "/api/v1/sites/demo/missing"),
        ("publish", "POST", "/api/v1/sites/demo/stage"),
        ("publish", "POST", "/api/v1/sites/demo/activate"),
        ("publish", "POST", "/api/v1/sites/demo/rollback"),
        ("publish", "POST", "/api/v1/leases/x/blocks"),
        ("purge", "POST", "/api/v1/sites/demo/purge"),
        ("pin", "PUT", f"/api/v1/pins/{CID.of(RAW, b'x')}"),
        ("pin", "DELETE", f"/api/v1/pins/{CID.of(RAW, b'x')}"),
        ("edge", "GET", "/api/v1/head?since=0"),
        ("edge", "POST", "/api/v1/report"),
        ("admin", "POST", "/api/v1/gc"),
        ("admin", "GET", "/api/v1/tokens"),
        ("admin", "POST", "/api/v1/tokens"),
        ("admin", "DELETE", "/api/v1/tokens/x"),
        ("admin", "POST", "/api/v1/keys/rotate"),
    ],
)
def test_each_deed_needs_its_scope(tmp_path: Path, scope: str, method: str, path: str) -> None:
    """All other scopes together are not enough; the right one is, as far as being let in."""
    others = [other for other in ("publish", "purge", "pin", "edge") if other != scope]
    with origin(tmp_path / "state") as client:
        refused = client.as_(client.make_token(*others)).ask(method, path, b"")
        assert (refused.status, refused.error, refused.json["scope"]) == (403, "forbidden", scope)
        assert client.as_(client.make_token(scope)).ask(method, path, b"").status not in (401, 403)


def test_a_token_for_one_site_reaches_no_other(tmp_path: Path) -> None:
    """Neither to write nor to see."""
    made = make(site_files("mine"))
    with origin(tmp_path / "state") as client:
        client.publish("other", make(site_files("other")))
        mine = client.as_(client.make_token("publish", "purge", sites=["mine"]))
        mine.publish("mine", made)
        assert [site["name"] for site in mine.ok("GET", "/api/v1/sites")["sites"]] == ["mine"]
        for method, path in (
            ("GET", ""),
            ("GET", "/releases"),
            ("GET", "/export"),
            ("PUT", ""),
            ("DELETE", ""),
            ("POST", "/missing"),
            ("POST", "/purge"),
        ):
            assert mine.ask(method, f"/api/v1/sites/other{path}", b"").status == 403, path


def test_a_publisher_reads_what_its_own_sites_hold_and_no_other_control_block(tmp_path: Path) -> None:
    """Its own Release and Index for `--diff`; another site's, a Head and the Catalog are for nodes."""
    mine, other = make(site_files("mine")), make(site_files("other"))
    with origin(tmp_path / "state") as client:
        client.publish("mine", mine)
        client.publish("other", other)
        for scopes in (("publish",), ("admin",)):
            reader = client.as_(client.make_token(*scopes, sites=["mine"]))
            for cid in (mine.release.index, mine.cid):
                assert reader.get(f"/ipfs/{cid}?format=raw").status == 200
            for cid in (other.release.index, other.cid):
                assert reader.get(f"/ipfs/{cid}?format=raw").status == 403
            assert reader.get("/api/v1/head?since=0&node=n&region=r").status == 403
        node = client.as_(client.make_token("edge"))
        assert node.get(f"/ipfs/{other.cid}?format=raw").status == 200
        assert client.as_(client.make_token("purge")).get(f"/ipfs/{mine.cid}?format=raw").status == 403


@pytest.mark.parametrize(
    ("scope", "method", "path"),
    [
        ("pin", "PUT", f"/api/v1/pins/{CID.of(RAW, b'x')}"),
        ("pin", "DELETE", f"/api/v1/pins/{CID.of(RAW, b'x')}"),
        ("admin", "POST", "/api/v1/gc"),
        ("admin", "GET", "/api/v1/tokens"),
        ("admin", "POST", "/api/v1/tokens"),
        ("admin", "DELETE", "/api/v1/tokens/x"),
        ("admin", "POST", "/api/v1/keys/rotate"),
    ],
)
def test_a_token_for_one_site_cannot_touch_what_is_all_sites(
    tmp_path: Path, scope: str, method: str, path: str
) -> None:
    """An admin of one site cannot mint a token for all, nor a pinner of one let go what another pinned."""
    with origin(tmp_path / "state") as client:
        answer = client.as_(client.make_token(scope, sites=["mine"])).ask(method, path, b"")
        assert (answer.status, answer.error, answer.json["scope"]) == (403, "forbidden", scope)


def test_a_lease_is_its_tokens_own(tmp_path: Path) -> None:
    """Another publisher cannot write under it, nor end it by a stage of its own."""
    made = make(site_files("lease"))
    with origin(tmp_path / "state") as client:
        one, two = (client.as_(client.make_token("publish")) for _ in range(2))
        lease, _ = one.missing("demo", made.blocks)
        answer = two.ask("POST", f"/api/v1/leases/{lease}/blocks", b"", CAR)
        assert (answer.status, answer.error) == (403, "not_your_lease")
        answer = two.ask("POST", f"/api/v1/sites/demo/missing?lease={lease}", b"")
        assert (answer.status, answer.error) == (403, "not_your_lease")
        answer = two.ask("POST", "/api/v1/sites/demo/stage", {"release": str(made.cid), "lease": lease})
        assert (answer.status, answer.error) == (403, "not_your_lease")
        assert one.ask("POST", f"/api/v1/sites/demo/missing?lease={lease}", b"").status == 200
        stranger = client.as_(client.make_token("admin", sites=["other"]))
        assert stranger.ask("POST", f"/api/v1/leases/{lease}/blocks", b"", CAR).error == "not_your_lease"
        assert two.ask("POST", "/api/v1/leases/none/blocks", b"", CAR).error == "no_lease"


def test_quotas_hold_for_uploads_releases_and_sites(tmp_path: Path) -> None:
    """403 over_quota in each case; up to the quota all is well."""
    small, large = make({"a": b"a" * 1000}), make({"a": b"b" * 5000})
    with origin(tmp_path / "state") as client:
        token = client.as_(client.make_token("publish", quota_bytes=4000, quota_sites=2))
        token.publish("one", small)
        lease, missing = token.missing("one", large.blocks)
        from content import car

        answer = token.ask("POST", f"/api/v1/leases/{lease}/blocks", car.write((), missing), CAR)
        assert (answer.status, answer.error) == (403, "over_quota")
        token.publish("two", small)
        answer = token.stage("three", small, None)
        assert (answer.status, answer.error) == (403, "over_quota")
        assert token.ask("PUT", "/api/v1/sites/three", {}).error == "over_quota"
        client.publish("four", make({"a": b"c" * 2000}))  # the quota is of all sites the token may publish
        answer = token.stage("one", small, small.cid)
        assert (answer.status, answer.error) == (403, "over_quota")


def test_pages_in_a_browser_get_nothing(tmp_path: Path) -> None:
    """A request with an Origin header comes from a page; even with a token it is refused."""
    with origin(tmp_path / "state") as client:
        answer = client.ask("PUT", "/api/v1/sites/demo", b"{}", {"Origin": "https://evil.test"})
        assert (answer.status, answer.error) == (403, "browser")


def test_content_is_anyones_on_loopback_once_it_is_live_or_pinned(tmp_path: Path) -> None:
    """Staged, leased or given-up content is as if absent; control blocks need a token always."""
    made, later = make({"a": b"live", "d/b": b"b"}), make({"a": b"staged"})
    leaf = CID.of(RAW, b"live")
    with origin(tmp_path / "state") as client:
        anyone = client.as_(None)

        def reads(cid: CID) -> int:
            return anyone.get(f"/ipfs/{cid}?format=raw").status

        lease, missing = client.missing("demo", made.blocks)
        client.send(lease, missing)
        assert reads(leaf) == 404
        client.publish("demo", made)
        assert reads(leaf) == reads(made.release.root) == 200
        assert anyone.get(f"/ipfs/{made.release.root}?format=car").status == 200
        assert reads(CID.of(DAG_PB, b"live")) == 200  # the same bytes by another name
        lease, missing = client.missing("demo", later.blocks)
        client.send(lease, missing)
        client.stage("demo", later, made.cid, lease)
        staged = CID.of(RAW, b"staged")
        assert reads(staged) == 404
        unknown = anyone.get(f"/ipfs/{CID.of(RAW, b'never')}?format=raw")
        hidden = anyone.get(f"/ipfs/{staged}?format=raw")
        assert unknown.json["message"].replace(str(CID.of(RAW, b"never")), "X") == hidden.json["message"].replace(
            str(staged), "X"
        )
        client.activate("demo", later, made.cid)
        assert reads(staged) == reads(leaf) == 200
        client.ok("DELETE", "/api/v1/sites/demo")
        assert reads(leaf) == 404
        client.ok("PUT", f"/api/v1/pins/{leaf}", {})
        assert (reads(leaf), reads(staged)) == (200, 404)


def test_control_blocks_need_a_token_of_a_node(tmp_path: Path) -> None:
    """Catalog, Site, Release, Index: refused without a token and with too little, under their raw codec too."""
    made = make(site_files("control"))
    with origin(tmp_path / "state") as client:
        client.publish("demo", made)
        world = parts(client).catalog.world
        control = [world.cid, world.catalog.sites, world.sites["demo"].to_block().cid, made.cid, made.release.index]
        edge, purge = client.as_(client.make_token("edge")), client.as_(client.make_token("purge"))
        for cid in control:
            assert cid.is_control
            for format_ in ("raw", "car"):
                path = f"/ipfs/{cid}?format={format_}"
                assert client.as_(None).get(path).status == 401
                assert client.as_("wrong").get(path).status == 401
                assert purge.get(path).status == 403
                assert edge.get(path).status == 200
            raw = CID.of_digest(RAW, cid.digest)
            assert client.as_(None).get(f"/ipfs/{raw}?format=raw").status == 404
            assert edge.get(f"/ipfs/{raw}?format=raw").status == 404


@pytest.mark.parametrize(
    ("listen", "loopback"),
    [("127.0.0.1:0", True), ("localhost:1", True), ("[::1]:1", True), ("0.0.0.0:1", False), ("10.0.0.1:1", False)],
)
def test_a_listener_knows_whether_it_is_on_loopback(listen: str, loopback: bool) -> None:
    """Names are not believed, but `localhost`."""
    assert OriginConfig(Path("x"), listen).loopback is loopback


def test_off_loopback_every_read_needs_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of public content and of the metrics; the health pages stay open."""
    made = make({"a": b"live"})
    with origin(tmp_path / "state") as client:
        client.publish("demo", made)
        monkeypatch.setattr(OriginConfig, "loopback", property(lambda self: False))
        anyone = client.as_(None)
        leaf = f"/ipfs/{CID.of(RAW, b'live')}?format=raw"
        assert anyone.get(leaf).status == anyone.get("/metrics").status == 401
        assert client.get(leaf).status == client.get("/metrics").status == 200
        assert anyone.get("/healthz").status == anyone.get("/readyz").status == 200


def test_an_empty_token_file_of_another_kind_stops_the_start(tmp_path: Path) -> None:
    """tokens.json that does not read is never taken for none (then the first admin token would be made anew)."""
    from origin.errors import StateError

    state = tmp_path / "state"
    with origin(state):
        pass
    (state / "tokens.json").write_bytes(b"{")
    with pytest.raises(StateError, match=r"tokens\.json"), origin(state):
        pass
    assert os.listdir(state / "leases") == []


def test_a_body_that_stops_coming_gives_its_place_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """408 after the time without one byte; what had come stays."""
    import socket
    from urllib.parse import urlsplit

    from origin.api import asking

    monkeypatch.setattr(asking, "STALL_SECONDS", 0.2)
    with origin(tmp_path / "state") as client:
        lease, _ = client.missing("demo", [])
        address = urlsplit(client.url)
        with socket.create_connection((address.hostname or "", address.port or 0)) as raw:
            head = f"POST /api/v1/leases/{lease}/blocks HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
            raw.sendall(f"{head}Authorization: Bearer {client.token}\r\n\r\nsome".encode())
            assert raw.recv(65536).startswith(b"HTTP/1.1 408 ")
        assert client.get("/readyz").status == 200


def test_bodies_have_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON of a megabyte, CIDs of 40, blocks of a lease: at the limit taken, one past it 413."""
    from origin import leases
    from origin.api import asking, publish

    monkeypatch.setattr(leases, "CIDS_MAX", 3)
    monkeypatch.setattr(publish, "CIDS_BYTES", 36 * 4)
    cids = [CID.of(RAW, bytes([number])) for number in range(5)]
    with origin(tmp_path / "state") as client:
        path = "/api/v1/sites/demo/missing"
        assert client.ask("POST", path, b"".join(cids[:3])).status == 200
        for count in (4, 5):
            assert client.ask("POST", path, b"".join(cids[:count])).status == 413
        assert len(parts(client).leases) == 1
        assert client.ask("POST", path, b"".join(cids[:3])[:-1]).error == "bad_cid"
        fits = b'{"name":"' + b" " * (asking.JSON_BYTES - 11) + b'"}'
        assert client.ask("POST", "/api/v1/tokens", fits).status == 400
        assert client.ask("POST", "/api/v1/tokens", fits + b" ").status == 413
        for body in (b"[]", b"{", b"\xff", b"[" * 100_000):
            assert client.ask("POST", "/api/v1/tokens", body).status == 400
